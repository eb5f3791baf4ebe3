//! Lambda's Runtime API. A function's process asks it for invocations.
//!
//! What must stay true: each execution environment has a base path of its own,
//! `/environment/<id>/2018-06-01/runtime/…`. A process can therefore only see and answer what was given to it.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use serde_json::json;

use super::lambda::{
    Environment, Lambda, Next,
    api::{document, empty},
};

pub(super) async fn answer(lambda: &Arc<Lambda>, parts: &Parts, body: Bytes) -> Response<Body> {
    let segments: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
    let ["environment", id, "2018-06-01", "runtime", call @ ..] = segments.as_slice() else {
        return refused(StatusCode::NOT_FOUND, "UnknownPath", "not a path of the Runtime API");
    };
    let Some(environment) = lambda.environment(id) else {
        return refused(
            StatusCode::FORBIDDEN,
            "InvalidEnvironment",
            "no such execution environment",
        );
    };
    match (&parts.method, call) {
        (&Method::GET, ["invocation", "next"]) => next(&environment).await,
        (&Method::POST, ["invocation", id, "response"]) => answered(&environment, id, Ok(body)),
        (&Method::POST, ["invocation", id, "error"]) => answered(&environment, id, Err(body)),
        (&Method::POST, ["init", "error"]) => {
            environment.init_failed(body);
            document(StatusCode::ACCEPTED, &json!({"status": "OK"}))
        }
        _ => refused(StatusCode::NOT_FOUND, "UnknownPath", "not a path of the Runtime API"),
    }
}

async fn next(environment: &Arc<Environment>) -> Response<Body> {
    let Some(next) = environment.next().await else {
        return refused(StatusCode::GONE, "Ended", "this execution environment has ended");
    };
    let Next {
        id,
        payload,
        trace,
        arn,
        deadline_ms,
    } = next;
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", arn),
        ("lambda-runtime-trace-id", trace),
    ] {
        // A caller's trace id may hold something that a header may not. Then the function gets none.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    *response.body_mut() = Body::from(payload);
    response
}

fn answered(environment: &Environment, id: &str, reply: Result<Bytes, Bytes>) -> Response<Body> {
    if environment.answered(id, reply) {
        document(StatusCode::ACCEPTED, &json!({"status": "OK"}))
    } else {
        refused(StatusCode::BAD_REQUEST, "InvalidRequestID", "Invalid request ID")
    }
}

fn refused(status: StatusCode, error_type: &str, message: &str) -> Response<Body> {
    document(status, &json!({"errorType": error_type, "errorMessage": message}))
}
