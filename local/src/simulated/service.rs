//! What a simulated service is to the edge, and what S3 is to the service.

use std::any::Any;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};

/// A service that answers in place of the real one. The edge chooses it by the signing name of a request.
#[async_trait]
pub trait SimulatedService: Any + Send + Sync {
    /// The name in the credential scope of a signature, such as `profile`.
    fn signing_name(&self) -> &'static str;

    /// Whether it answers requests that are signed for this name.
    fn answers(&self, signing_name: &str) -> bool {
        signing_name == self.signing_name()
    }

    /// Answers one request.
    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes>;

    /// Brings jobs up to the present. The edge calls it about 5 times a second.
    async fn advance(&self);

    /// Puts into a bucket what the sample events of a kind read.
    async fn prepare(&self, _kind: &str, _bucket: &str) -> anyhow::Result<()> {
        Ok(())
    }
}

/// Where simulated jobs put their files.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Writes one object, encrypted with `kms_key` if one is named. An error is what the service would get from S3. Its
    /// text ends up in the answer or in the job's status message.
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
