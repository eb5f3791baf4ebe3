//! The store that calls S3.
//!
//! What must stay true: each call names the expected bucket owner, if one is configured. The answers that the SDK does
//! not model (412, 409, and 404 to a conditional write) are told apart by status and code, never by text.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::{
    Client, Config,
    config::ResponseChecksumValidation,
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
    types::{ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart},
};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError as RuntimeSdkError};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, stream};

use super::{
    Condition, Frames, Head, Listed, ObjectStore, Page, Stored, Written,
    checksum::{Algorithm, StoredChecksum},
};
use crate::error::{Error, ErrorKind, Result};

/// How often a write is repeated that conflicts with another one (409). After that it fails with `Busy`.
const CONFLICT_TRIES: u32 = 6;

#[derive(Clone, Debug)]
pub struct S3Store {
    client: Client,
    bucket_owner: Option<String>,
}

impl S3Store {
    /// `bucket_owner` is an account id of 12 digits. If there is one, each call names it.
    pub fn new(client: Client, bucket_owner: Option<String>) -> Self {
        Self { client, bucket_owner }
    }
}

impl S3Store {
    /// Requests a range of the object with this ETag.
    async fn open(&self, bucket: &str, key: &str, etag: &str, start: u64, end: u64) -> Result<ByteStream> {
        // The client must not check the checksum, because the verification does. If the checksum is wrong, that is a
        // verdict on the object; the client would treat it as a broken answer and ask again.
        let unchecked = Config::builder().response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        let answer = self
            .client
            .get_object()
            .bucket(bucket)
            .key(key)
            .if_match(etag)
            .range(format!("bytes={start}-{}", end - 1))
            .set_expected_bucket_owner(self.bucket_owner.clone())
            .customize()
            .config_override(unchecked)
            .send()
            .await;
        match answer {
            // If a range ends behind the object, S3 sends the part that exists.
            Ok(object)
                if object
                    .content_length
                    .is_some_and(|length| length.unsigned_abs() != end - start) =>
            {
                Err(not_within(bucket, key, start, end))
            }
            Ok(object) => Ok(object.body),
            Err(error) if status(&error) == Some(416) => Err(not_within(bucket, key, start, end)),
            Err(error) if status(&error) == Some(412) || error.code() == Some("NoSuchKey") => Err(Error::new(
                ErrorKind::OutputRejected,
                format!("s3://{bucket}/{key} changed or vanished while it was read"),
            )),
            Err(error) => Err(failure("reading", bucket, key, &error)),
        }
    }
}

fn not_within(bucket: &str, key: &str, start: u64, end: u64) -> Error {
    Error::internal(format!("bytes {start}..{end} are not within s3://{bucket}/{key}"))
}

fn broken_off(bucket: &str, key: &str, error: &dyn std::error::Error) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("s3://{bucket}/{key} broke off while it was read: {error}"),
    )
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn list_page(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Page> {
        let page = self
            .client
            .list_objects_v2()
            .bucket(bucket)
            .prefix(prefix)
            .set_start_after(after.map(str::to_owned))
            .set_expected_bucket_owner(self.bucket_owner.clone())
            .send()
            .await
            .map_err(|error| failure("listing", bucket, prefix, &error))?;
        let mut objects = Vec::new();
        for object in page.contents.unwrap_or_default() {
            let (Some(key), Some(size), Some(etag), Some(modified)) =
                (object.key, object.size, object.e_tag, object.last_modified)
            else {
                return Err(Error::internal(format!(
                    "S3 listed an incomplete row under s3://{bucket}/{prefix}"
                )));
            };
            objects.push(Listed {
                key,
                size: size.unsigned_abs(),
                etag,
                last_modified: instant(modified),
            });
        }
        let next = match (page.is_truncated.unwrap_or(false), objects.last()) {
            (false, _) => None,
            (true, Some(last)) => Some(last.key.clone()),
            (true, None) => {
                return Err(Error::internal(format!(
                    "S3 cut the listing of s3://{bucket}/{prefix} short"
                )));
            }
        };
        Ok(Page { objects, next })
    }

    async fn head(&self, bucket: &str, key: &str) -> Result<Option<Head>> {
        let answer = self
            .client
            .head_object()
            .bucket(bucket)
            .key(key)
            .checksum_mode(ChecksumMode::Enabled)
            .set_expected_bucket_owner(self.bucket_owner.clone())
            .send()
            .await;
        let head = match answer {
            Ok(head) => head,
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(error) => return Err(failure("looking at", bucket, key, &error)),
        };
        let checksum = StoredChecksum::choose(
            [
                (Algorithm::Sha256.name(), head.checksum_sha256()),
                (Algorithm::Crc64Nvme.name(), head.checksum_crc64_nvme()),
                (Algorithm::Crc32c.name(), head.checksum_crc32_c()),
                (Algorithm::Crc32.name(), head.checksum_crc32()),
                ("SHA-1", head.checksum_sha1()),
                ("SHA-512", head.checksum_sha512()),
                ("MD5", head.checksum_md5()),
                ("XXHASH64", head.checksum_xxhash64()),
                ("XXHASH3", head.checksum_xxhash3()),
                ("XXHASH128", head.checksum_xxhash128()),
            ]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
            head.checksum_type() == Some(&ChecksumType::Composite),
        );
        Ok(Some(Head {
            size: head.content_length.unwrap_or_default().unsigned_abs(),
            etag: head.e_tag.unwrap_or_default(),
            last_modified: head.last_modified.map(instant).unwrap_or_default(),
            version_id: head.version_id.filter(|version| version != "null"),
            encryption: head
                .server_side_encryption
                .map(|encryption| encryption.as_str().to_owned()),
            kms_key: head.ssekms_key_id,
            checksum,
        }))
    }

    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Stored>> {
        let answer = self
            .client
            .get_object()
            .bucket(bucket)
            .key(key)
            .set_expected_bucket_owner(self.bucket_owner.clone())
            .send()
            .await;
        let object = match answer {
            Ok(object) => object,
            Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
            Err(error) => return Err(failure("reading", bucket, key, &error)),
        };
        let etag = object.e_tag.unwrap_or_default();
        let body = object
            .body
            .collect()
            .await
            .map_err(|error| broken_off(bucket, key, &error))?;
        Ok(Some(Stored {
            etag,
            body: body.into_bytes(),
        }))
    }

    async fn read(&self, bucket: &str, key: &str, etag: &str, start: u64, end: u64) -> Result<Bytes> {
        if start >= end {
            return Ok(Bytes::new());
        }
        let body = self.open(bucket, key, etag, start, end).await?;
        let body = body.collect().await.map_err(|error| broken_off(bucket, key, &error))?;
        let body = body.into_bytes();
        if body.len() as u64 != end - start {
            let got = body.len();
            return Err(Error::internal(format!(
                "S3 gave {got} bytes of s3://{bucket}/{key} for {start}..{end}"
            )));
        }
        Ok(body)
    }

    async fn stream(&self, bucket: &str, key: &str, etag: &str, start: u64, end: u64) -> Result<Frames> {
        if start >= end {
            return Ok(stream::empty().boxed());
        }
        let body = self.open(bucket, key, etag, start, end).await?;
        let place = (bucket.to_owned(), key.to_owned());
        let frames = stream::unfold(Some(body), move |body| {
            let (bucket, key) = place.clone();
            async move {
                let mut body = body?;
                match body.next().await? {
                    Ok(frame) => Some((Ok(frame), Some(body))),
                    Err(error) => Some((Err(broken_off(&bucket, &key, &error)), None)),
                }
            }
        });
        Ok(frames.boxed())
    }

    async fn put(&self, bucket: &str, key: &str, body: Bytes, condition: Condition) -> Result<Written> {
        let mut tries = 0;
        loop {
            let request = self
                .client
                .put_object()
                .bucket(bucket)
                .key(key)
                .content_type("application/json")
                .body(body.clone().into())
                .set_expected_bucket_owner(self.bucket_owner.clone());
            let request = match &condition {
                Condition::Absent => request.if_none_match("*"),
                Condition::Unchanged(etag) => request.if_match(etag),
            };
            let error = match request.send().await {
                Ok(written) => {
                    return Ok(Written::Done {
                        etag: written.e_tag.unwrap_or_default(),
                    });
                }
                Err(error) => error,
            };
            match status(&error) {
                Some(412) => return Ok(Written::Refused),
                // The object to match is gone. A bucket that does not exist gives 404 with another code.
                Some(404) if matches!(condition, Condition::Unchanged(_)) && error.code() == Some("NoSuchKey") => {
                    return Ok(Written::Refused);
                }
                Some(409) if tries < CONFLICT_TRIES => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis(20 << tries)).await;
                }
                Some(409) => {
                    return Err(Error::new(
                        ErrorKind::Busy,
                        format!(
                            "s3://{bucket}/{key} is being written by others; it was tried {} times",
                            tries + 1
                        ),
                    ));
                }
                _ => return Err(failure("writing", bucket, key, &error)),
            }
        }
    }

    async fn begin_upload(&self, bucket: &str, key: &str) -> Result<String> {
        let begun = self
            .client
            .create_multipart_upload()
            .bucket(bucket)
            .key(key)
            .set_expected_bucket_owner(self.bucket_owner.clone())
            .send()
            .await
            .map_err(|error| failure("writing", bucket, key, &error))?;
        begun
            .upload_id
            .ok_or_else(|| Error::internal(format!("S3 gave no id for an upload to s3://{bucket}/{key}")))
    }

    async fn upload_part(&self, bucket: &str, key: &str, upload: &str, number: i32, body: Bytes) -> Result<String> {
        let part = self
            .client
            .upload_part()
            .bucket(bucket)
            .key(key)
            .upload_id(upload)
            .part_number(number)
            .body(body.into())
            .set_expected_bucket_owner(self.bucket_owner.clone())
            .send()
            .await
            .map_err(|error| failure("writing", bucket, key, &error))?;
        part.e_tag
            .ok_or_else(|| Error::internal(format!("S3 gave no ETag for a part of s3://{bucket}/{key}")))
    }

    async fn complete_upload(&self, bucket: &str, key: &str, upload: &str, parts: &[String]) -> Result<Written> {
        let parts = (1..)
            .zip(parts)
            .map(|(number, etag)| CompletedPart::builder().part_number(number).e_tag(etag).build())
            .collect();
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let answer = self
            .client
            .complete_multipart_upload()
            .bucket(bucket)
            .key(key)
            .upload_id(upload)
            .multipart_upload(parts)
            .if_none_match("*")
            .set_expected_bucket_owner(self.bucket_owner.clone())
            .send()
            .await;
        match answer {
            Ok(written) => Ok(Written::Done {
                etag: written.e_tag.unwrap_or_default(),
            }),
            // If the answer to a completion was lost and the call was repeated, the upload no longer exists.
            Err(error) if status(&error) == Some(412) || error.code() == Some("NoSuchUpload") => Ok(Written::Refused),
            // A conflict uses up the upload: its parts must be sent again.
            Err(error) if status(&error) == Some(409) => Err(Error::new(
                ErrorKind::Busy,
                format!("s3://{bucket}/{key} is being written by others"),
            )),
            Err(error) => Err(failure("writing", bucket, key, &error)),
        }
    }

    async fn abort_upload(&self, bucket: &str, key: &str, upload: &str) -> Result<()> {
        let answer = self
            .client
            .abort_multipart_upload()
            .bucket(bucket)
            .key(key)
            .upload_id(upload)
            .set_expected_bucket_owner(self.bucket_owner.clone())
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            // An earlier call, whose answer was lost, has deleted the parts.
            Err(error) if error.code() == Some("NoSuchUpload") => Ok(()),
            Err(error) => Err(failure("giving up the upload of", bucket, key, &error)),
        }
    }
}

fn instant(time: aws_sdk_s3::primitives::DateTime) -> DateTime<Utc> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos()).unwrap_or_default()
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

fn failure<E>(doing: &str, bucket: &str, key: &str, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let place = format!("{doing} s3://{bucket}/{key}");
    let kind = match (error.code(), status(error)) {
        (Some("NoSuchBucket"), _) => ErrorKind::NotFound,
        // The request arrived too slowly. Its status is 400.
        (Some("RequestTimeout"), _) => ErrorKind::Unavailable,
        // The answer to a HEAD has no body, so it has no code.
        (_, Some(403)) | (Some("ExpiredToken" | "InvalidToken"), _) => ErrorKind::Forbidden,
        // The bucket is in another region. The SDK does not follow the redirect.
        (Some("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException"), _)
        | (_, Some(301 | 404)) => ErrorKind::NotFound,
        (Some("SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded"), _) | (_, Some(429)) => {
            ErrorKind::Throttled
        }
        (_, Some(408 | 500..=599)) => ErrorKind::Unavailable,
        _ => transport_kind(error),
    };
    let remedy = match kind {
        ErrorKind::Forbidden => "; the function's role, the bucket policy or the expected bucket owner refuses it",
        ErrorKind::NotFound => "; the bucket does not exist in this account and region",
        _ => "",
    };
    Error::new(kind, format!("{place}: {}{remedy}", describe(error))).with_code(code_of(error))
}

/// The kind of an error that is not an answer of the service. If the answer may have been lost, it is `Unavailable`;
/// otherwise it is a defect of ours.
pub fn transport_kind<E>(error: &RuntimeSdkError<E, HttpResponse>) -> ErrorKind {
    match error {
        // The service did what was asked, but its answer cannot be read, so it counts as lost.
        RuntimeSdkError::ServiceError(answered) if answered.raw().status().is_success() => ErrorKind::Unavailable,
        RuntimeSdkError::TimeoutError(_) | RuntimeSdkError::DispatchFailure(_) | RuntimeSdkError::ResponseError(_) => {
            ErrorKind::Unavailable
        }
        _ => ErrorKind::Internal,
    }
}

/// The longest code of a service that is logged, in characters.
const MAX_CODE: usize = 80;

/// The code and the status of a service's answer, which may be logged. Holds nothing of its message.
pub fn code_of<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> String {
    let is_of_a_name = |c: &char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(c);
    let code = error
        .code()
        .map(|code| code.chars().filter(is_of_a_name).take(MAX_CODE).collect::<String>());
    match (code, status(error)) {
        (Some(code), Some(status)) => format!("{code} ({status})"),
        (None, Some(status)) => format!("status {status}"),
        (_, None) => "no answer".to_owned(),
    }
}

/// A service's error in one line: code, message and status. Holds no headers, no body and no request.
pub fn describe<E>(error: &SdkError<E, HttpResponse>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match (error.code(), error.message(), status(error)) {
        (Some(code), Some(message), Some(status)) => format!("{code} ({status}): {message}"),
        (Some(code), None, Some(status)) => format!("{code} ({status})"),
        (None, Some(message), Some(status)) => format!("status {status}: {message}"),
        (None, None, Some(status)) => format!("status {status}"),
        // Without an answer, list the chain of causes. The SDK's own long form would print whole structures.
        (_, _, None) => {
            let mut words = error.to_string();
            let mut source = std::error::Error::source(error);
            while let Some(cause) = source {
                words += &format!(": {cause}");
                source = cause.source();
            }
            words
        }
    }
}
