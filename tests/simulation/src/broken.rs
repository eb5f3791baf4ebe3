//! An S3 that does not keep its word.
//!
//! What must stay true: runs in such a world are found out by the promises; it is what shows that they can be broken.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use landfall::{
    error::Result,
    store::{Condition, Frames, Head, ObjectStore, Page, Stored, Written},
};
use landfall_tests::memory_store::MemoryStore;

use crate::plan::Broken;

/// A store that ignores one of the conditions.
pub struct Careless {
    store: Arc<MemoryStore>,
    ignored: Broken,
}

impl Careless {
    /// A store that ignores `ignored`.
    pub fn new(store: Arc<MemoryStore>, ignored: Broken) -> Self {
        Self { store, ignored }
    }
}

#[async_trait]
impl ObjectStore for Careless {
    async fn list_page(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Page> {
        self.store.list_page(bucket, prefix, after).await
    }

    async fn head(&self, bucket: &str, key: &str) -> Result<Option<Head>> {
        self.store.head(bucket, key).await
    }

    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Stored>> {
        self.store.get(bucket, key).await
    }

    async fn read(&self, bucket: &str, key: &str, etag: &str, start: u64, end: u64) -> Result<Bytes> {
        self.store.read(bucket, key, etag, start, end).await
    }

    async fn stream(&self, bucket: &str, key: &str, etag: &str, start: u64, end: u64) -> Result<Frames> {
        self.store.stream(bucket, key, etag, start, end).await
    }

    async fn put(&self, bucket: &str, key: &str, body: Bytes, condition: Condition) -> Result<Written> {
        let is_ignored = match condition {
            Condition::Absent => self.ignored == Broken::IgnoresAbsent,
            Condition::Unchanged(_) => self.ignored == Broken::IgnoresMatch,
        };
        if !is_ignored {
            return self.store.put(bucket, key, body, condition).await;
        }
        self.store.insert(bucket, key, body);
        let etag = self
            .store
            .head(bucket, key)
            .await?
            .map(|head| head.etag)
            .unwrap_or_default();
        Ok(Written::Done { etag })
    }

    async fn begin_upload(&self, bucket: &str, key: &str) -> Result<String> {
        self.store.begin_upload(bucket, key).await
    }

    async fn upload_part(&self, bucket: &str, key: &str, upload: &str, number: i32, body: Bytes) -> Result<String> {
        self.store.upload_part(bucket, key, upload, number, body).await
    }

    async fn complete_upload(&self, bucket: &str, key: &str, upload: &str, parts: &[String]) -> Result<Written> {
        self.store.complete_upload(bucket, key, upload, parts).await
    }

    async fn abort_upload(&self, bucket: &str, key: &str, upload: &str) -> Result<()> {
        self.store.abort_upload(bucket, key, upload).await
    }
}
