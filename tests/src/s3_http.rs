//! S3's REST API in this process, in front of a store in memory, so that the functions use their own S3 clients.
//!
//! What must stay true: it knows only the operations that the functions use and refuses all others, so that a new one
//! is noticed. Whatever a request asks for reaches the store unchanged.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use aws_config::SdkConfig;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use landfall::{
    error::{Error, ErrorKind},
    store::{Condition, ObjectStore, Written, s3::S3Store},
};
use landfall_local::simulated::{ConnectionCut, SimulatedService};
use percent_encoding::percent_decode_str;

use crate::memory_store::MemoryStore;

/// A store that is reached through S3's API.
pub struct S3Http {
    store: Arc<MemoryStore>,
    lost: Mutex<Vec<&'static str>>,
}

/// The functions' store, with a client of this configuration.
pub fn store(sdk: &SdkConfig, bucket_owner: &str) -> S3Store {
    let config = aws_sdk_s3::config::Builder::from(sdk).force_path_style(true).build();
    S3Store::new(aws_sdk_s3::Client::from_conf(config), Some(bucket_owner.to_owned()))
}

/// The parts of a request to S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub bucket: String,
    /// The key, or an empty text for the bucket itself.
    pub key: String,
    query: Vec<(String, String)>,
}

impl Target {
    /// Parses path and query of a request with the bucket in its path.
    pub fn read(target: &str) -> Self {
        let text = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (bucket, key) = path
            .trim_start_matches('/')
            .split_once('/')
            .unwrap_or((path.trim_start_matches('/'), ""));
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (text(name), text(value))
        };
        Self {
            bucket: text(bucket),
            key: text(key),
            query: query.split('&').filter(|part| !part.is_empty()).map(pair).collect(),
        }
    }

    /// A query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut found = self.query.iter().filter(|(of, _)| of == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

fn answer(status: StatusCode, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (
            header::HeaderName::try_from(*name),
            header::HeaderValue::from_str(value),
        ) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn refusal(status: StatusCode, code: &str, message: &str) -> Response<Bytes> {
    let message = escape(message);
    answer(
        status,
        &[("content-type", "application/xml")],
        format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>"),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn failed(error: &Error) -> Response<Bytes> {
    match error.kind {
        ErrorKind::NotFound => refusal(StatusCode::NOT_FOUND, "NoSuchBucket", &error.message),
        ErrorKind::OutputRejected => refusal(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", &error.message),
        _ => refusal(StatusCode::BAD_REQUEST, "InvalidRequest", &error.message),
    }
}

fn written(written: Written) -> Response<Bytes> {
    match written {
        Written::Done { etag } => answer(
            StatusCode::OK,
            &[("etag", &etag), ("content-type", "application/xml")],
            format!(
                "<CompleteMultipartUploadResult><ETag>{}</ETag></CompleteMultipartUploadResult>",
                escape(&etag)
            ),
        ),
        Written::Refused => refusal(
            StatusCode::PRECONDITION_FAILED,
            "PreconditionFailed",
            "it is there already",
        ),
    }
}

/// The texts between each opening and closing tag.
fn between<'a>(text: &'a str, tag: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    text.split(open.as_str())
        .skip(1)
        .filter_map(|rest| rest.split(close.as_str()).next())
        .collect()
}

impl S3Http {
    pub fn new(store: Arc<MemoryStore>) -> Self {
        Self {
            store,
            lost: Mutex::default(),
        }
    }

    /// Loses the answer to the next write of a key with this ending.
    pub fn lose_once(&self, ending: &'static str) {
        self.lost().push(ending);
    }

    fn lost(&self) -> MutexGuard<'_, Vec<&'static str>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_lost(&self, key: &str) -> bool {
        let mut lost = self.lost();
        let found = lost.iter().position(|ending| key.ends_with(ending));
        found.map(|index| lost.remove(index)).is_some()
    }

    async fn list(&self, target: &Target) -> Result<Response<Bytes>, Error> {
        let prefix = target.parameter("prefix").unwrap_or_default();
        let page = self
            .store
            .list_page(&target.bucket, prefix, target.parameter("start-after"))
            .await?;
        let rows: String = page
            .objects
            .iter()
            .map(|object| {
                format!(
                    "<Contents><Key>{}</Key><Size>{}</Size><ETag>{}</ETag><LastModified>{}</LastModified></Contents>",
                    escape(&object.key),
                    object.size,
                    escape(&object.etag),
                    object.last_modified.format("%Y-%m-%dT%H:%M:%SZ")
                )
            })
            .collect();
        let body = format!(
            "<ListBucketResult><IsTruncated>{}</IsTruncated>{rows}</ListBucketResult>",
            page.next.is_some()
        );
        Ok(answer(StatusCode::OK, &[("content-type", "application/xml")], body))
    }

    async fn head(&self, target: &Target) -> Result<Response<Bytes>, Error> {
        let Some(head) = self.store.head(&target.bucket, &target.key).await? else {
            return Ok(answer(StatusCode::NOT_FOUND, &[], ""));
        };
        let modified = head.last_modified.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let size = head.size.to_string();
        let headers = [
            ("content-length", size.as_str()),
            ("etag", &head.etag),
            ("last-modified", &modified),
            (
                "x-amz-server-side-encryption",
                head.encryption.as_deref().unwrap_or("AES256"),
            ),
        ];
        Ok(answer(StatusCode::OK, &headers, ""))
    }

    async fn get(&self, target: &Target, request: &Request<Bytes>) -> Result<Response<Bytes>, Error> {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        if let (Some(etag), Some(range)) = (header("if-match"), header("range")) {
            let bounds = range.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
            let Some((Ok(first), Ok(last))) = bounds.map(|(first, last)| (first.parse::<u64>(), last.parse::<u64>()))
            else {
                return Ok(refusal(StatusCode::BAD_REQUEST, "InvalidRange", range));
            };
            let body = self
                .store
                .read(&target.bucket, &target.key, etag, first, last + 1)
                .await?;
            return Ok(answer(StatusCode::PARTIAL_CONTENT, &[("etag", etag)], body));
        }
        match self.store.get(&target.bucket, &target.key).await? {
            Some(stored) => Ok(answer(StatusCode::OK, &[("etag", &stored.etag)], stored.body)),
            None => Ok(refusal(StatusCode::NOT_FOUND, "NoSuchKey", &target.key)),
        }
    }

    async fn handle(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
        let target = Target::read(request.uri().path_and_query().map_or("", |path| path.as_str()));
        let Target { bucket, key, .. } = &target;
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let upload = target.parameter("uploadId");
        let part = target.parameter("partNumber").and_then(|number| number.parse().ok());
        let body = request.body().clone();
        match (request.method(), upload, part) {
            (&Method::GET, None, None) if key.is_empty() && target.parameter("list-type") == Some("2") => {
                self.list(&target).await
            }
            (&Method::HEAD, None, None) if !key.is_empty() => self.head(&target).await,
            (&Method::GET, None, None) if !key.is_empty() => self.get(&target, &request).await,
            (&Method::PUT, None, None) => {
                let condition = match (header("if-none-match"), header("if-match")) {
                    (Some("*"), None) => Condition::Absent,
                    (None, Some(etag)) => Condition::Unchanged(etag.to_owned()),
                    _ => {
                        return Ok(refusal(
                            StatusCode::BAD_REQUEST,
                            "InvalidRequest",
                            "a write needs a condition",
                        ));
                    }
                };
                let mut response = written(self.store.put(bucket, key, body, condition).await?);
                if self.is_lost(key) {
                    response.extensions_mut().insert(ConnectionCut);
                }
                Ok(response)
            }
            (&Method::POST, None, None) if target.parameter("uploads").is_some() => {
                let id = self.store.begin_upload(bucket, key).await?;
                let body =
                    format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>");
                Ok(answer(StatusCode::OK, &[("content-type", "application/xml")], body))
            }
            (&Method::PUT, Some(upload), Some(part)) => {
                let etag = self.store.upload_part(bucket, key, upload, part, body).await?;
                Ok(answer(StatusCode::OK, &[("etag", &etag)], ""))
            }
            (&Method::POST, Some(upload), None) if header("if-none-match") == Some("*") => {
                let text = String::from_utf8_lossy(&body).replace("&quot;", "\"");
                let parts: Vec<String> = between(&text, "ETag").into_iter().map(str::to_owned).collect();
                Ok(written(self.store.complete_upload(bucket, key, upload, &parts).await?))
            }
            (&Method::DELETE, Some(upload), None) => {
                self.store.abort_upload(bucket, key, upload).await?;
                Ok(answer(StatusCode::NO_CONTENT, &[], ""))
            }
            _ => Ok(refusal(
                StatusCode::NOT_IMPLEMENTED,
                "NotImplemented",
                "no function makes such a request",
            )),
        }
    }
}

#[async_trait]
impl SimulatedService for S3Http {
    fn signing_name(&self) -> &'static str {
        "s3"
    }

    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.handle(request).await.unwrap_or_else(|error| failed(&error))
    }

    async fn advance(&self) {}
}
