//! Objects in S3, as far as Landfall needs them.
//!
//! What must stay true: a listing is complete, or it is an error. After the listing, each read names the ETag that was
//! listed. A conditional write says whether it was done or refused; a refusal is a value, not an error.

pub mod checksum;
pub mod layer;
pub mod s3;
pub mod upload;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use self::checksum::StoredChecksum;
use crate::error::{Error, Result};

/// An object in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// The ETag, with its quotes, as S3 gives it. In general it is not an MD5.
    pub etag: String,
    /// When the current version was created. S3 gives whole seconds.
    pub last_modified: DateTime<Utc>,
}

/// A page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In key order.
    pub objects: Vec<Listed>,
    /// The next page begins after this key. `None` for the last page.
    pub next: Option<String>,
}

/// What HeadObject says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Size in bytes.
    pub size: u64,
    /// The ETag, with its quotes.
    pub etag: String,
    /// When the current version was created.
    pub last_modified: DateTime<Utc>,
    /// The version, if the bucket keeps versions.
    pub version_id: Option<String>,
    /// `AES256`, `aws:kms`, `aws:kms:dsse`, …
    pub encryption: Option<String>,
    /// ARN of the KMS key, if one was used.
    pub kms_key: Option<String>,
    /// The checksum that S3 keeps of the object, if it keeps one.
    pub checksum: Option<StoredChecksum>,
}

/// A small object, read completely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The ETag, for the next conditional write.
    pub etag: String,
    pub body: Bytes,
}

/// The condition of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `If-None-Match: *`: write only if no object has the key.
    Absent,
    /// `If-Match`: write only if the object still has this ETag.
    Unchanged(String),
}

/// The result of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The object was written.
    Done {
        /// The new ETag.
        etag: String,
    },
    /// The condition did not hold (412), or the object to match is gone (404).
    Refused,
}

/// Parts of an object's content, in order.
pub type Frames = BoxStream<'static, Result<Bytes>>;

/// Reads and writes the objects of S3. [`s3::S3Store`] implements this and, in tests, a reference model does. One test
/// suite, `store_contract`, checks that both do what is said here.
///
/// Each method fails with [`crate::error::ErrorKind`] `NotFound`, `Forbidden`, `Throttled`, `Unavailable` or
/// `Internal`, as their names say.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// The next objects whose key begins with `prefix`, in key order: after the key `after`, or from the first one.
    async fn list_page(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Page>;

    /// All objects whose key begins with `prefix`, in key order. Fails with `Internal` if there are more than `limit`;
    /// it never answers a part of them.
    async fn list(&self, bucket: &str, prefix: &str, limit: usize) -> Result<Vec<Listed>> {
        let mut objects: Vec<Listed> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.list_page(bucket, prefix, after.as_deref()).await?;
            objects.extend(page.objects);
            if objects.len() > limit {
                return Err(Error::internal(format!(
                    "s3://{bucket}/{prefix} holds more than {limit} objects"
                )));
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(objects),
            }
        }
    }

    /// Metadata of an object; `None` if it does not exist.
    async fn head(&self, bucket: &str, key: &str) -> Result<Option<Head>>;

    /// A whole small object; `None` if it does not exist.
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Stored>>;

    /// Bytes `start..end` of the object with this ETag; empty if `start..end` is empty. Fails with `OutputRejected` if
    /// the object has changed or vanished since, and with `Internal` if `start..end` is not within it.
    async fn read(&self, bucket: &str, key: &str, etag: &str, start: u64, end: u64) -> Result<Bytes>;

    /// Bytes `start..end` of the object with this ETag, in order, as they arrive. The parts are small compared to a
    /// usual range, so that a reader's memory stays small. Fails as [`ObjectStore::read`] does, either at once or
    /// within the stream. The stream ends after an error; the bytes before the error are right.
    async fn stream(&self, bucket: &str, key: &str, etag: &str, start: u64, end: u64) -> Result<Frames>;

    /// Writes a small object under a condition. If another write conflicts (409), it tries again by itself.
    async fn put(&self, bucket: &str, key: &str, body: Bytes, condition: Condition) -> Result<Written>;

    /// Begins an upload in parts, and answers its id. See [`upload::Upload`].
    async fn begin_upload(&self, bucket: &str, key: &str) -> Result<String>;

    /// Writes a part, numbered from 1, and answers its ETag. Each part except the last has at least 5 MiB.
    async fn upload_part(&self, bucket: &str, key: &str, upload: &str, number: i32, body: Bytes) -> Result<String>;

    /// Makes an object of the parts, if no object has the key. `parts` holds their ETags in order.
    async fn complete_upload(&self, bucket: &str, key: &str, upload: &str, parts: &[String]) -> Result<Written>;

    /// Deletes the parts of an upload that is not completed.
    async fn abort_upload(&self, bucket: &str, key: &str, upload: &str) -> Result<()>;
}
