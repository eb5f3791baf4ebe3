//! The export services, simulated.
//!
//! What must stay true: a simulated service accepts and refuses what the real one does, with the same status, code
//! and body, and writes real files through the same S3 that the functions read. Nothing in it is random: answers,
//! ids and files follow from the seed, the clock and the calls.

use std::any::Any;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub mod customer_profiles;
mod orc;
pub mod pinpoint;
pub mod profiles;
pub mod quicksight;
pub mod scenario;
pub mod simulator;

/// A service that answers in place of the real one. The edge picks it by the signing name of a request.
#[async_trait]
pub trait SimulatedService: Any + Send + Sync {
    /// The name in the credential scope of a signature, such as `profile`.
    fn signing_name(&self) -> &'static str;

    /// Whether it answers what is signed for this name.
    fn answers(&self, signing_name: &str) -> bool {
        signing_name == self.signing_name()
    }

    /// Answers one request.
    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes>;

    /// Moves jobs on to the present; the edge calls it about 5 times a second.
    async fn advance(&self);

    /// Puts into a bucket what the sample events of a kind read.
    async fn prepare(&self, _kind: &str, _bucket: &str) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Where simulated jobs put their files.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Writes one object, encrypted with `kms_key` where one is named. An error is what the service would get from
    /// S3: its text ends up in the answer or in the job's status message.
    async fn put(&self, bucket: &str, key: &str, body: Bytes, kms_key: Option<&str>) -> anyhow::Result<()>;
}

/// What imports read.
#[async_trait]
pub trait Source: Send + Sync {
    /// The keys that begin with a prefix, in order.
    async fn list(&self, bucket: &str, prefix: &str) -> anyhow::Result<Vec<String>>;

    /// A whole object.
    async fn get(&self, bucket: &str, key: &str) -> anyhow::Result<Bytes>;
}

/// Mark on an answer that the caller never gets: the edge closes the connection without answering.
///
/// It is an extension of the response, so that an edge that does not know it still answers an error (500).
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

    /// What AWS answers when no operation has this method and path. Its body has no message, as at AWS.
    pub fn unknown_operation() -> Self {
        Self::new(StatusCode::NOT_FOUND, "UnknownOperationException", "")
    }

    /// What AWS answers when a body is not JSON or a member has another JSON type than the model's.
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SerializationException", message)
    }

    /// The answer. All members of such errors go by the name `Message` in the models of the three export services.
    pub fn into_response(self, request_id: &str) -> Response<Bytes> {
        let body = if self.message.is_empty() {
            json!({})
        } else {
            json!({ "Message": self.message })
        };
        let mut response = json_response(self.status, request_id, &body);
        response
            .headers_mut()
            .insert("x-amzn-errortype", HeaderValue::from_static(self.code));
        response
    }
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

/// 16 bytes that follow from what is given, and differ whenever a part of it does.
pub(crate) fn derived_bytes(seed: u64, parts: &[&str]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    for part in parts {
        // With its length, so that ("ab", "c") and ("a", "bc") differ.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    bytes
}

/// [`derived_bytes`] as 32 hex digits: the shape of the ids that AWS gives to snapshots and jobs.
pub(crate) fn derived_hex(seed: u64, parts: &[&str]) -> String {
    hex::encode(derived_bytes(seed, parts))
}

/// [`derived_bytes`] in the shape of a version 4 UUID: the shape of request ids and of part file names.
pub(crate) fn derived_uuid(seed: u64, parts: &[&str]) -> String {
    let mut bytes = derived_bytes(seed, parts);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
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

    #[test]
    fn derived_ids_differ_with_every_part() {
        let ids = [
            derived_hex(1, &["ab", "c"]),
            derived_hex(1, &["a", "bc"]),
            derived_hex(1, &["abc"]),
            derived_hex(2, &["abc"]),
        ];
        let shape = regex::Regex::new("^[a-f0-9]{32}$").unwrap();
        for (i, id) in ids.iter().enumerate() {
            assert!(shape.is_match(id));
            assert!(!ids[..i].contains(id));
        }
        let uuid = derived_uuid(1, &["x"]);
        let shape = "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";
        assert!(regex::Regex::new(shape).unwrap().is_match(&uuid), "{uuid}");
    }
}
