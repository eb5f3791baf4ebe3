//! The Invoke API over HTTP.
//!
//! What must stay true: an answer has the status, the headers and the error names of Lambda's own answer.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::{Lambda, Outcome, PAYLOAD_LIMIT, VERSION};
use crate::edge::ids::{REQUEST_ID, new_id};

/// Answers the Lambda API: invocations, and the list of functions.
pub(in crate::edge) async fn answer(lambda: &Arc<Lambda>, parts: &Parts, body: Bytes) -> Response<Body> {
    let path = parts.uri.path();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match (&parts.method, segments.as_slice()) {
        (&Method::POST, ["2015-03-31", "functions", name, "invocations"]) => {
            invocation(lambda, parts, name, body).await
        }
        (&Method::GET, ["2015-03-31", "functions"] | ["2015-03-31", "functions", ""]) => {
            let functions: Vec<_> = lambda
                .names()
                .into_iter()
                .map(|name| json!({"FunctionName": name, "FunctionArn": lambda.arn(&name), "Runtime": "provided.al2023"}))
                .collect();
            document(StatusCode::OK, &json!({"Functions": functions}))
        }
        _ => refused(
            StatusCode::NOT_FOUND,
            "UnknownOperationException",
            &format!(
                "{} {path} is not simulated here: this Lambda only invokes and lists functions",
                parts.method
            ),
        ),
    }
}

async fn invocation(lambda: &Arc<Lambda>, parts: &Parts, name: &str, body: Bytes) -> Response<Body> {
    let asked = percent_decode_str(name).decode_utf8_lossy();
    let (function, qualifier) = name_and_qualifier(&asked);
    let version = match qualifier {
        None => Some("$LATEST"),
        Some(known) => ["$LATEST", VERSION].into_iter().find(|version| *version == known),
    };
    let (Some(function), Some(version)) = (lambda.function(function), version) else {
        let qualifier = qualifier.map_or_else(String::new, |qualifier| format!(":{qualifier}"));
        return refused(
            StatusCode::NOT_FOUND,
            "ResourceNotFoundException",
            &format!("Function not found: {}{qualifier}", lambda.arn(function)),
        );
    };
    if body.len() > PAYLOAD_LIMIT {
        return refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestTooLargeException",
            &format!("Request must be smaller than {PAYLOAD_LIMIT} bytes for the InvokeFunction operation"),
        );
    }
    let payload = if body.is_empty() {
        Bytes::from_static(b"{}")
    } else {
        body
    };
    if let Err(error) = serde_json::from_slice::<&serde_json::value::RawValue>(&payload) {
        return refused(
            StatusCode::BAD_REQUEST,
            "InvalidRequestContentException",
            &format!("Could not parse request body into json: {error}"),
        );
    }
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let id = new_id();
    let trace = header("x-amzn-trace-id").map_or_else(new_trace, str::to_owned);
    let run = {
        let (lambda, id) = (Arc::clone(lambda), id.clone());
        async move { lambda.invoke(function, id, payload, trace).await }
    };
    let mut response = match header("x-amz-invocation-type").unwrap_or("RequestResponse") {
        "DryRun" => empty(StatusCode::NO_CONTENT),
        "Event" => {
            tokio::spawn(run);
            empty(StatusCode::ACCEPTED)
        }
        "RequestResponse" => match tokio::spawn(run).await {
            Ok(Outcome::Answered(body)) => executed(body, version, false),
            Ok(Outcome::FunctionError(body)) => executed(body, version, true),
            Ok(Outcome::Refused(status, code, message)) => refused(status, code, &message),
            Err(error) => refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                "ServiceException",
                &format!("the invocation failed: {error}"),
            ),
        },
        other => refused(
            StatusCode::BAD_REQUEST,
            "InvalidParameterValueException",
            &format!("{other} is not an invocation type: RequestResponse, Event or DryRun"),
        ),
    };
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The function's name and, if there is one, its version, from a name, a partial ARN or an ARN.
fn name_and_qualifier(asked: &str) -> (&str, Option<&str>) {
    let rest = asked.split_once(":function:").map_or(asked, |(_, name)| name);
    match rest.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (rest, None),
    }
}

fn new_trace() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let digits: [u8; 20] = rand::random();
    let (root, parent) = digits.split_at(12);
    format!(
        "Root=1-{seconds:08x}-{};Parent={};Sampled=0",
        hex::encode(root),
        hex::encode(parent)
    )
}

fn executed(body: Bytes, version: &'static str, is_error: bool) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        HeaderName::from_static("x-amz-executed-version"),
        HeaderValue::from_static(version),
    );
    if is_error {
        headers.insert(
            HeaderName::from_static("x-amz-function-error"),
            HeaderValue::from_static("Unhandled"),
        );
    }
    response
}

fn refused(status: StatusCode, code: &'static str, message: &str) -> Response<Body> {
    let kind = if status.is_server_error() { "Service" } else { "User" };
    let mut response = document(status, &json!({"Type": kind, "Message": message, "message": message}));
    response.headers_mut().insert(
        HeaderName::from_static("x-amzn-errortype"),
        HeaderValue::from_static(code),
    );
    response
}

pub(in crate::edge) fn document(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(in crate::edge) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_by_name_and_by_arn() {
        for (asked, qualifier) in [
            ("verify-output", None),
            ("verify-output:$LATEST", Some("$LATEST")),
            ("111122223333:function:verify-output", None),
            ("arn:aws:lambda:eu-central-1:111122223333:function:verify-output", None),
            (
                "arn:aws:lambda:eu-central-1:111122223333:function:verify-output:12",
                Some("12"),
            ),
        ] {
            assert_eq!(name_and_qualifier(asked), ("verify-output", qualifier), "{asked}");
        }
    }
}
