//! Objects in S3, as far as Landfall needs them.
//!
//! What must stay true: a listing is complete or an error; every read after the listing is pinned to the listed ETag;
//! a conditional write says which of its outcomes happened and never hides one in an error.

pub mod checksum;
pub mod layer;
pub mod s3;
pub mod upload;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use self::checksum::StoredChecksum;
use crate::error::{Error, Result};

/// One row of a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// The entity tag, with its quotes, as S3 gives it. Not an MD5 in general.
    pub etag: String,
    /// When the current version was created; S3 gives whole seconds.
    pub last_modified: DateTime<Utc>,
}

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Rows in key order.
    pub objects: Vec<Listed>,
    /// The key after which the next page begins; `None` if this is the last one.
    pub next: Option<String>,
}

/// What HeadObject says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Size in bytes.
    pub size: u64,
    /// The entity tag, with its quotes.
    pub etag: String,
    /// When the current version was created.
    pub last_modified: DateTime<Utc>,
    /// The version, where the bucket keeps versions.
    pub version_id: Option<String>,
    /// `AES256`, `aws:kms`, `aws:kms:dsse`, …
    pub encryption: Option<String>,
    /// ARN of the KMS key, where one was used.
    pub kms_key: Option<String>,
    /// The checksum that S3 keeps of it, where it keeps one.
    pub checksum: Option<StoredChecksum>,
}

/// A small object read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The entity tag, for the next conditional write.
    pub etag: String,
    pub body: Bytes,
}

/// When a write may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `If-None-Match: *`: only if no object has the key.
    Absent,
    /// `If-Match`: only if the object still has this ETag.
    Unchanged(String),
}

/// What became of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It happened; the new ETag.
    Done {
        /// Entity tag of what was written.
        etag: String,
    },
    /// The condition did not hold (412), or the object to match is gone (404).
    Refused,
}

/// Parts of an object's content, in order.
pub type Frames = BoxStream<'static, Result<Bytes>>;

/// The objects of S3. Implemented by [`s3::S3Store`] and, in tests, by a reference model; one suite of the tests,
/// `store_contract`, holds both to what is said here.
///
/// Every method fails with [`crate::error::ErrorKind`] `NotFound`, `Forbidden`, `Throttled`, `Unavailable` or
/// `Internal`, each for what its name says.
#[async_trait]
pub trait ObjectStore: Send + Sync {
    /// The next objects whose key begins with `prefix`, in key order: those behind the key `after`, or the first ones.
    async fn list_page(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Page>;

    /// All objects whose key begins with `prefix`, in key order. Fails with `Internal` beyond `limit` objects rather
    /// than giving a part for the whole.
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

    /// Metadata of one object; `None` if it does not exist.
    async fn head(&self, bucket: &str, key: &str) -> Result<Option<Head>>;

    /// A whole small object; `None` if it does not exist.
    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Stored>>;

    /// Bytes `start..end` of the object that has this ETag; none if they are no bytes. Fails with `OutputRejected` if the
    /// object has changed or vanished since, and with `Internal` if `start..end` is not within it.
    async fn read(&self, bucket: &str, key: &str, etag: &str, start: u64, end: u64) -> Result<Bytes>;

    /// Bytes `start..end` of the object that has this ETag, in order, as they arrive, in parts that are small beside a
    /// range: whoever takes them accounts for no more than it takes. Fails as [`ObjectStore::read`] does, at the call or
    /// within the stream, which ends after an error; what came before it is good.
    async fn stream(&self, bucket: &str, key: &str, etag: &str, start: u64, end: u64) -> Result<Frames>;

    /// Writes a small object under a condition. A conflicting concurrent write (409) is tried again within.
    async fn put(&self, bucket: &str, key: &str, body: Bytes, condition: Condition) -> Result<Written>;

    /// Begins to write an object in parts, and gives the id of that upload. See [`upload::Upload`].
    async fn begin_upload(&self, bucket: &str, key: &str) -> Result<String>;

    /// Writes a part, numbered from 1, and gives its entity tag. Every part but the last has at least 5 MiB.
    async fn upload_part(&self, bucket: &str, key: &str, upload: &str, number: i32, body: Bytes) -> Result<String>;

    /// Makes an object of the parts, whose entity tags are given in their order, if none has the key yet.
    async fn complete_upload(&self, bucket: &str, key: &str, upload: &str, parts: &[String]) -> Result<Written>;

    /// Gives the parts up.
    async fn abort_upload(&self, bucket: &str, key: &str, upload: &str) -> Result<()>;
}

/// How far apart two clocks may be, those of functions and of S3: far more than they are.
pub const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(5);

/// What time it is, and waiting. Apart from [`SystemClock`] only tests implement it.
#[async_trait]
pub trait Clock: Send + Sync {
    fn now(&self) -> DateTime<Utc>;

    async fn sleep(&self, duration: Duration);

    /// Waits until it is that time, beside other work: where a test's clock moves by its sleeps, this does not move it.
    async fn until(&self, time: DateTime<Utc>) {
        if let Ok(left) = (time - self.now()).to_std() {
            self.sleep(left).await;
        }
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
