//! The pointer of a destination to its newest sealed success.
//!
//! What must stay true: the pointer is written after the receipt that it points to, and moves only forward, in whatever
//! order executions write it. For that, it is written under a condition, and successes are ordered by the trigger's
//! time, then the time of the seal, then the job key.
//!
//! The pointer is a convenience. An object that Landfall did not write is left alone in its place, and is read only if
//! it is small. A success fails because of the pointer only if a retry may help.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use landfall::{
    error::{Error, ErrorKind, Result},
    job::Kind,
    ledger::encode,
    s3_uri::S3Uri,
    store::{Condition, ObjectStore, Written},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::verify::Previous;

/// The schema of [`Latest`].
pub const SCHEMA: &str = "landfall.latest/1";

/// The object's name in the destination. Athena, Spark and Hive skip names that begin with an underscore.
pub const NAME: &str = "_latest.json";

/// The largest object that is read as a [`Latest`], in bytes.
const MAX_SIZE: u64 = 64 * 1024;

/// How many versions of the pointer one invocation looks at before it gives up.
const MAX_TURNS: usize = 8;

/// The newest sealed success of a destination, as stored in S3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latest {
    /// `landfall.latest/1`.
    pub schema: String,
    pub kind: Kind,
    pub job_key: String,
    /// The name that the user gave the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where the receipt is.
    pub receipt: S3Uri,
    /// The folder of the output.
    pub prefix: S3Uri,
    /// The trigger's time; for a schedule the planned time.
    pub triggered_at: DateTime<Utc>,
    /// When the outcome was decided.
    pub sealed_at: DateTime<Utc>,
    /// Number of data objects.
    pub objects: u64,
    /// Rows in the data objects; absent if they were not counted, or if the objects have no rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes in the data objects.
    pub bytes: u64,
    /// SHA-256 of the canonical request, in hex. All runs of one request have the same.
    pub request_sha256: String,
}

impl Latest {
    /// Which of two successes is newer.
    fn age(&self, other: &Self) -> Ordering {
        let order = |latest: &Self| (latest.triggered_at, latest.sealed_at, latest.job_key.clone());
        order(self).cmp(&order(other))
    }
}

/// The result of moving the pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The pointer points to this success.
    Here,
    /// The pointer points to a newer success.
    Newer,
    /// The pointer could not be moved. The reason and the remedy are in the log.
    Not,
}

/// The destination of a run: the folder that contains its prefix `run=…/`. `None` for a prefix of another form.
#[must_use]
pub fn destination(prefix: &S3Uri) -> Option<S3Uri> {
    let key = prefix.key.strip_suffix('/')?;
    let start = key.rfind('/').map_or(0, |slash| slash + 1);
    let (folder, run) = key.split_at(start);
    run.starts_with("run=").then(|| S3Uri {
        bucket: prefix.bucket.clone(),
        key: folder.to_owned(),
    })
}

/// Points a destination to a success, unless it points to a newer one.
///
/// Fails with `Busy` if others keep changing the pointer, and with transient errors of the store. Other errors, and an
/// object that Landfall did not write, are logged, and nothing is changed.
pub async fn advance(store: &dyn ObjectStore, destination: &S3Uri, latest: &Latest) -> Result<Moved> {
    let place = destination.join(NAME);
    match turn(store, &place, latest).await {
        Err(error) if !error.kind.is_transient() => {
            tracing::warn!(
                error = error.kind.name(),
                code = error.code,
                "{place} is not moved to {}; let seal-receipt read and write it and use its KMS key, or move the object \
                 that is there away",
                latest.receipt
            );
            Ok(Moved::Not)
        }
        moved => moved,
    }
}

async fn turn(store: &dyn ObjectStore, place: &S3Uri, latest: &Latest) -> Result<Moved> {
    let body = encode(latest)?;
    let mut condition = Condition::Absent;
    for _ in 0..MAX_TURNS {
        // Write before reading: S3 refuses to read an object that does not exist unless the reader may list the bucket.
        if store
            .put(&place.bucket, &place.key, body.clone(), condition.clone())
            .await?
            != Written::Refused
        {
            return Ok(Moved::Here);
        }
        let (etag, standing) = match look(store, place).await? {
            Found::Nothing => {
                condition = Condition::Absent;
                continue;
            }
            Found::Changed => continue,
            Found::Ours(etag, standing) => (etag, standing),
            Found::Foreign(why) => {
                tracing::warn!(
                    why,
                    "{place} is not moved to {}: the object there was not written by Landfall; move it away, and the next \
                     success, or the same event again, writes it",
                    latest.receipt
                );
                return Ok(Moved::Not);
            }
        };
        match latest.age(&standing) {
            Ordering::Greater => condition = Condition::Unchanged(etag),
            Ordering::Equal => return Ok(Moved::Here),
            Ordering::Less => return Ok(Moved::Newer),
        }
    }
    Err(busy(place))
}

fn busy(place: &S3Uri) -> Error {
    Error::new(ErrorKind::Busy, format!("others keep changing {place}"))
}

/// The newest sealed success of a destination, for a run of the request with this SHA-256. `None` if there is none or
/// its rows are not known.
///
/// An object that Landfall did not write, or that cannot be read, is logged and counts as none. Fails with transient
/// errors of the store.
pub async fn previous(store: &dyn ObjectStore, destination: &S3Uri, request_sha256: &str) -> Result<Option<Previous>> {
    let place = destination.join(NAME);
    for _ in 0..MAX_TURNS {
        let latest = match look(store, &place).await {
            Ok(Found::Ours(_, latest)) => latest,
            Ok(Found::Nothing) => return Ok(None),
            Ok(Found::Changed) => continue,
            Ok(Found::Foreign(why)) => {
                tracing::warn!(
                    why,
                    "the rows cannot be compared with {place}: the object there was not written by Landfall"
                );
                return Ok(None);
            }
            Err(error) if !error.kind.is_transient() => {
                tracing::warn!(
                    error = error.kind.name(),
                    code = error.code,
                    "the rows cannot be compared with {place}"
                );
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let same_request = latest.request_sha256 == request_sha256;
        return Ok(latest.rows.map(|rows| Previous {
            job_key: latest.job_key,
            same_request,
            rows,
        }));
    }
    Err(busy(&place))
}

/// The object at the place of the pointer.
enum Found {
    Nothing,
    /// A pointer, and its ETag.
    Ours(String, Box<Latest>),
    /// Something that Landfall did not write, and what shows that.
    Foreign(String),
    /// Somebody replaced or removed the object while it was read.
    Changed,
}

async fn look(store: &dyn ObjectStore, place: &S3Uri) -> Result<Found> {
    let Some(head) = store.head(&place.bucket, &place.key).await? else {
        return Ok(Found::Nothing);
    };
    if !(1..=MAX_SIZE).contains(&head.size) {
        return Ok(Found::Foreign(format!("it has {} bytes", head.size)));
    }
    let body = match store.read(&place.bucket, &place.key, &head.etag, 0, head.size).await {
        Err(error) if error.kind == ErrorKind::OutputRejected => return Ok(Found::Changed),
        body => body?,
    };
    Ok(match read(&body) {
        Ok(latest) => Found::Ours(head.etag, Box::new(latest)),
        Err(why) => Found::Foreign(why),
    })
}

fn read(body: &[u8]) -> Result<Latest, String> {
    let latest: Latest = serde_json::from_slice(body).map_err(|error| {
        // serde's message may quote the object, which may hold anything.
        format!("it cannot be read at line {}, column {}", error.line(), error.column())
    })?;
    if latest.schema == SCHEMA {
        Ok(latest)
    } else {
        Err(format!("it is not of schema {SCHEMA}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_destination_is_the_parent_of_the_run_prefix() {
        for (prefix, expected) in [
            ("s3://bucket/run=1/", Some("s3://bucket/")),
            ("s3://bucket/a/run=1-2/", Some("s3://bucket/a/")),
            ("s3://bucket/a/b/run=1/", Some("s3://bucket/a/b/")),
            ("s3://bucket/a/", None),
            ("s3://bucket/xrun=1/", None),
            ("s3://bucket/run=1/a/", None),
            ("s3://bucket/", None),
        ] {
            let found = destination(&prefix.parse().unwrap()).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{prefix}");
        }
    }
}
