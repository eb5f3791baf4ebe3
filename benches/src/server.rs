//! The S3 server of the benchmark, which serves the files of a folder from memory.
//!
//! What must stay true: it listens on loopback only, and checks signatures, `If-Match` and ranges as S3 does. A range
//! goes to the socket without a copy, and in one piece unless a link paces it. So the contestant gets as much as
//! possible of the two cores that it shares with the server.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use s3s::{
    Body, S3, S3Request, S3Response, S3Result,
    auth::SimpleAuth,
    dto::{
        ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, ListObjectsV2Input,
        ListObjectsV2Output, Object, StreamingBlob, Timestamp,
    },
    s3_error,
    service::S3ServiceBuilder,
};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use crate::link::Link;

/// The only bucket.
pub const BUCKET: &str = "benchmark";
/// The only key id.
pub const ACCESS_KEY: &str = "benchmark";
/// The secret of that key. The server is on loopback and serves only invented data.
pub const SECRET_KEY: &str = "benchmark-secret";
/// The region that clients sign for.
pub const REGION: &str = "us-east-1";

struct Stored {
    bytes: Bytes,
    etag: String,
    modified: Timestamp,
}

struct Objects {
    by_key: BTreeMap<String, Stored>,
    /// Paces the contents, if there is a link.
    link: Option<Arc<Link>>,
}

impl Objects {
    /// Reads the files of a folder. The key of each is `<name of the folder>/<name of the file>`.
    fn load(folder: &Path, link: Option<Link>) -> Result<Self> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut by_key = BTreeMap::new();
        let entries = folder
            .read_dir()
            .with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let digest = hex::encode(Sha256::digest(&bytes));
            let stored = Stored {
                bytes: bytes.into(),
                etag: etag(&digest).to_owned(),
                modified: Timestamp::from(SystemTime::now()),
            };
            by_key.insert(format!("{name}/{file}"), stored);
        }
        Ok(Self {
            by_key,
            link: link.map(Arc::new),
        })
    }

    /// The body for these bytes: all of them at once, or as the link lets them pass.
    fn body(&self, bytes: Bytes) -> StreamingBlob {
        match &self.link {
            None => Body::from(bytes).into(),
            Some(link) => StreamingBlob::wrap(Arc::clone(link).carry(bytes)),
        }
    }

    fn find(&self, bucket: &str, key: &str, condition: Option<&ETagCondition>) -> S3Result<&Stored> {
        if bucket != BUCKET {
            return Err(s3_error!(NoSuchBucket));
        }
        let stored = self.by_key.get(key).ok_or_else(|| s3_error!(NoSuchKey))?;
        match condition {
            Some(ETagCondition::ETag(etag)) if etag.value() != stored.etag => Err(s3_error!(PreconditionFailed)),
            _ => Ok(stored),
        }
    }
}

#[async_trait::async_trait]
impl S3 for Objects {
    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let stored = self.find(&input.bucket, &input.key, input.if_match.as_ref())?;
        let size = stored.bytes.len() as u64;
        let (range, content_range) = match input.range {
            None => (0..size, None),
            Some(asked) => {
                let range = asked.check(size).map_err(|_| s3_error!(InvalidRange))?;
                let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
                (range, Some(text))
            }
        };
        let bytes = stored.bytes.slice(range.start as usize..range.end as usize);
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(bytes.len() as i64),
            content_range,
            e_tag: Some(ETag::Strong(stored.etag.clone())),
            last_modified: Some(stored.modified.clone()),
            body: Some(self.body(bytes)),
            ..Default::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let stored = self.find(&input.bucket, &input.key, input.if_match.as_ref())?;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(stored.bytes.len() as i64),
            e_tag: Some(ETag::Strong(stored.etag.clone())),
            last_modified: Some(stored.modified.clone()),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        if input.bucket != BUCKET {
            return Err(s3_error!(NoSuchBucket));
        }
        let prefix = input.prefix.unwrap_or_default();
        // There are far fewer objects than fit on a page, so no listing is cut off. Nobody asks for folders.
        let contents: Vec<Object> = self
            .by_key
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(key, stored)| Object {
                key: Some(key.clone()),
                size: Some(stored.bytes.len() as i64),
                e_tag: Some(ETag::Strong(stored.etag.clone())),
                last_modified: Some(stored.modified.clone()),
                ..Default::default()
            })
            .collect();
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(prefix),
            key_count: i32::try_from(contents.len()).ok(),
            max_keys: Some(1000),
            is_truncated: Some(false),
            contents: Some(contents),
            ..Default::default()
        }))
    }
}

/// The ETag of an object, from its SHA-256 in lower-case hex. It is as long as one of S3's.
#[must_use]
pub fn etag(sha256: &str) -> &str {
    &sha256[..sha256.len().min(32)]
}

/// Serves the files of a folder on a free port until the process ends, behind a link if there is one. `listening` gets
/// the address once.
///
/// # Errors
/// If the folder cannot be read or no port is free.
pub async fn serve(folder: &Path, link: Option<Link>, listening: impl FnOnce(SocketAddr)) -> Result<()> {
    let objects = Objects::load(folder, link)?;
    let mut builder = S3ServiceBuilder::new(objects);
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = Arc::new(builder.build());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no port is free")?;
    listening(listener.local_addr()?);
    loop {
        let (stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => {
                // The connection is already gone, or too many files are open. The next connection may work.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            // A client may disconnect at any time.
            let _ = auto::Builder::new(TokioExecutor::new())
                .http1_only()
                .serve_connection(TokioIo::new(stream), service.as_ref().clone())
                .await;
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn an_object_is_served_in_one_piece_unless_a_link_splits_it() {
        let folder = tempfile::tempdir().unwrap();
        let written = vec![3; 1_000_000];
        std::fs::write(folder.path().join("part"), &written).unwrap();
        for (link, pieces) in [(None, 1), (Some(Link::new(10_000)), 16)] {
            let objects = Objects::load(folder.path(), link).unwrap();
            let bytes = objects.by_key.values().next().unwrap().bytes.clone();
            let begin = bytes.as_ptr();
            let parts: Vec<Bytes> = objects.body(bytes).try_collect().await.unwrap();
            assert_eq!(parts.len(), pieces);
            assert_eq!(parts.concat(), written);
            assert_eq!(parts[0].as_ptr(), begin, "the first part must not be a copy");
        }
    }
}
