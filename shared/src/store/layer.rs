//! A store around another store, which counts, delays, fails or drops calls.
//!
//! What must stay true: each call passes through the layer, and has no effect unless the layer lets it through.
//!
//! [`Layered`] turns each call into a [`Call`] and hands it to its [`Layer`]. The layer makes the call, changes it, or
//! answers in its place, and the caller gets its [`Answer`]. No deployed function has a layer.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::{Condition, Frames, Head, ObjectStore, Page, Stored, Written};
use crate::error::{Error, Result};

/// A call of an [`ObjectStore`], with its arguments.
#[derive(Clone, Debug)]
pub enum Call<'a> {
    ListPage {
        bucket: &'a str,
        prefix: &'a str,
        after: Option<&'a str>,
    },
    Head {
        bucket: &'a str,
        key: &'a str,
    },
    Get {
        bucket: &'a str,
        key: &'a str,
    },
    Read {
        bucket: &'a str,
        key: &'a str,
        etag: &'a str,
        start: u64,
        end: u64,
    },
    Stream {
        bucket: &'a str,
        key: &'a str,
        etag: &'a str,
        start: u64,
        end: u64,
    },
    Put {
        bucket: &'a str,
        key: &'a str,
        body: Bytes,
        condition: Condition,
    },
    BeginUpload {
        bucket: &'a str,
        key: &'a str,
    },
    UploadPart {
        bucket: &'a str,
        key: &'a str,
        upload: &'a str,
        number: i32,
        body: Bytes,
    },
    CompleteUpload {
        bucket: &'a str,
        key: &'a str,
        upload: &'a str,
        parts: &'a [String],
    },
    AbortUpload {
        bucket: &'a str,
        key: &'a str,
        upload: &'a str,
    },
}

/// The answer to a call.
pub enum Answer {
    Page(Page),
    Head(Option<Head>),
    Stored(Option<Stored>),
    Bytes(Bytes),
    Frames(Frames),
    Written(Written),
    /// The id of an upload, or the ETag of a part.
    Name(String),
    Nothing,
}

impl<'a> Call<'a> {
    pub async fn make(self, store: &dyn ObjectStore) -> Result<Answer> {
        Ok(match self {
            Call::ListPage { bucket, prefix, after } => Answer::Page(store.list_page(bucket, prefix, after).await?),
            Call::Head { bucket, key } => Answer::Head(store.head(bucket, key).await?),
            Call::Get { bucket, key } => Answer::Stored(store.get(bucket, key).await?),
            Call::Read {
                bucket,
                key,
                etag,
                start,
                end,
            } => Answer::Bytes(store.read(bucket, key, etag, start, end).await?),
            Call::Stream {
                bucket,
                key,
                etag,
                start,
                end,
            } => Answer::Frames(store.stream(bucket, key, etag, start, end).await?),
            Call::Put {
                bucket,
                key,
                body,
                condition,
            } => Answer::Written(store.put(bucket, key, body, condition).await?),
            Call::BeginUpload { bucket, key } => Answer::Name(store.begin_upload(bucket, key).await?),
            Call::UploadPart {
                bucket,
                key,
                upload,
                number,
                body,
            } => Answer::Name(store.upload_part(bucket, key, upload, number, body).await?),
            Call::CompleteUpload {
                bucket,
                key,
                upload,
                parts,
            } => Answer::Written(store.complete_upload(bucket, key, upload, parts).await?),
            Call::AbortUpload { bucket, key, upload } => {
                store.abort_upload(bucket, key, upload).await?;
                Answer::Nothing
            }
        })
    }

    /// The key of the call, or the prefix of a listing.
    pub fn key(&self) -> &'a str {
        match self {
            Call::ListPage { prefix, .. } => prefix,
            Call::Head { key, .. }
            | Call::Get { key, .. }
            | Call::Read { key, .. }
            | Call::Stream { key, .. }
            | Call::Put { key, .. }
            | Call::BeginUpload { key, .. }
            | Call::UploadPart { key, .. }
            | Call::CompleteUpload { key, .. }
            | Call::AbortUpload { key, .. } => key,
        }
    }
}

/// Stands between a caller and a store.
#[async_trait]
pub trait Layer: Send + Sync {
    /// Answers a call, as a rule by making it with `store`.
    async fn call(&self, call: Call<'_>, store: &dyn ObjectStore) -> Result<Answer>;
}

/// A store whose calls all pass through a layer.
pub struct Layered<L> {
    store: Arc<dyn ObjectStore>,
    pub layer: L,
}

impl<L: Layer> Layered<L> {
    pub fn new(store: Arc<dyn ObjectStore>, layer: L) -> Self {
        Self { store, layer }
    }

    async fn call(&self, call: Call<'_>) -> Result<Answer> {
        self.layer.call(call, self.store.as_ref()).await
    }
}

/// Unwraps the answer that belongs to the call.
macro_rules! answer {
    ($answered:expr, $pattern:pat => $answer:expr) => {
        match $answered? {
            $pattern => Ok($answer),
            _ => Err(Error::internal(
                "a layer gave an answer that does not belong to the call",
            )),
        }
    };
}

#[async_trait]
impl<L: Layer> ObjectStore for Layered<L> {
    async fn list_page(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Page> {
        let call = Call::ListPage { bucket, prefix, after };
        answer!(self.call(call).await, Answer::Page(page) => page)
    }

    async fn head(&self, bucket: &str, key: &str) -> Result<Option<Head>> {
        let call = Call::Head { bucket, key };
        answer!(self.call(call).await, Answer::Head(head) => head)
    }

    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Stored>> {
        let call = Call::Get { bucket, key };
        answer!(self.call(call).await, Answer::Stored(stored) => stored)
    }

    async fn read(&self, bucket: &str, key: &str, etag: &str, start: u64, end: u64) -> Result<Bytes> {
        let call = Call::Read {
            bucket,
            key,
            etag,
            start,
            end,
        };
        answer!(self.call(call).await, Answer::Bytes(bytes) => bytes)
    }

    async fn stream(&self, bucket: &str, key: &str, etag: &str, start: u64, end: u64) -> Result<Frames> {
        let call = Call::Stream {
            bucket,
            key,
            etag,
            start,
            end,
        };
        answer!(self.call(call).await, Answer::Frames(frames) => frames)
    }

    async fn put(&self, bucket: &str, key: &str, body: Bytes, condition: Condition) -> Result<Written> {
        let call = Call::Put {
            bucket,
            key,
            body,
            condition,
        };
        answer!(self.call(call).await, Answer::Written(written) => written)
    }

    async fn begin_upload(&self, bucket: &str, key: &str) -> Result<String> {
        let call = Call::BeginUpload { bucket, key };
        answer!(self.call(call).await, Answer::Name(id) => id)
    }

    async fn upload_part(&self, bucket: &str, key: &str, upload: &str, number: i32, body: Bytes) -> Result<String> {
        let call = Call::UploadPart {
            bucket,
            key,
            upload,
            number,
            body,
        };
        answer!(self.call(call).await, Answer::Name(etag) => etag)
    }

    async fn complete_upload(&self, bucket: &str, key: &str, upload: &str, parts: &[String]) -> Result<Written> {
        let call = Call::CompleteUpload {
            bucket,
            key,
            upload,
            parts,
        };
        answer!(self.call(call).await, Answer::Written(written) => written)
    }

    async fn abort_upload(&self, bucket: &str, key: &str, upload: &str) -> Result<()> {
        let call = Call::AbortUpload { bucket, key, upload };
        answer!(self.call(call).await, Answer::Nothing => ())
    }
}
