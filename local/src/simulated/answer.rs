//! Answers of REST-JSON services, and the record of them.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

/// Marks an answer that the caller never gets. The edge closes the connection instead.
///
/// It is an extension of the response. An edge that does not know it still answers an error (500).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionCut;

/// An error of a REST-JSON service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: StatusCode,
    /// The shape's name, such as `ThrottlingException`: the value of `x-amzn-errortype`.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// An error. `message` never holds personal data.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// AWS's answer if no operation has this method and path. As at AWS, its body has no message.
    pub fn unknown_operation() -> Self {
        Self::new(StatusCode::NOT_FOUND, "UnknownOperationException", "")
    }

    /// AWS's answer if a body is not JSON, or if a member has another JSON type than in the model.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SerializationException", message)
    }

    /// The body. All members of such errors go by the name `Message` in the models of the three export services.
    pub fn body(&self) -> Value {
        if self.message.is_empty() {
            json!({})
        } else {
            json!({ "Message": self.message })
        }
    }

    pub fn into_response(self, request_id: &str) -> Response<Bytes> {
        let body = self.body();
        Failure::from(self).response(request_id, &body)
    }
}

/// Why a call gets no result: an error, and whether the caller ever gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub refusal: Refusal,
    /// The connection is cut before the answer.
    pub cut: bool,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, cut: false }
    }
}

impl Failure {
    /// The answer, with a body in the words of its service.
    pub fn response(&self, request_id: &str, body: &Value) -> Response<Bytes> {
        let mut response = json_response(self.refusal.status, request_id, body);
        let code = HeaderValue::from_static(self.refusal.code);
        response.headers_mut().insert("x-amzn-errortype", code);
        if self.cut {
            response.extensions_mut().insert(ConnectionCut);
        }
        response
    }
}

/// A call and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call<Operation> {
    /// When it came.
    pub at: DateTime<Utc>,
    /// What was asked for.
    pub operation: Operation,
    /// The HTTP status of the answer. 500 if the connection was cut.
    pub status: u16,
    /// The error's name, if the answer was an error.
    pub error: Option<&'static str>,
}

/// An answer of a REST-JSON service.
pub fn json_response(status: StatusCode, request_id: &str, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_status_type_id_and_message() {
        let response =
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "ThrottlingException", "slow \"down\"").into_response("1-2-3");
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["x-amzn-errortype"], "ThrottlingException");
        assert_eq!(response.headers()["x-amzn-requestid"], "1-2-3");
        assert_eq!(response.headers()["content-type"], "application/json");
        let body: Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(body, json!({"Message": "slow \"down\""}));
    }
}
