//! The pointer to the newest sealed success of a destination.
//!
//! What must stay true: it is written after the receipt that it points to, and only moves forward, whoever writes it in
//! whichever order: a conditional write, ordered by the trigger's time, then that of the seal, then the job key. It is a
//! convenience: what is not ours there is left alone, and is read only if it is small; no success is held up by it, unless
//! another try may help.

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

/// The largest object that may be a [`Latest`], in bytes.
const MAX_SIZE: u64 = 64 * 1024;

/// How often a lost race is followed by another look within one invocation.
const MAX_TURNS: usize = 8;

/// The newest sealed success, as it stands in S3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latest {
    /// `landfall.latest/1`.
    pub schema: String,
    /// The kind.
    pub kind: Kind,
    /// The job key.
    pub job_key: String,
    /// The user's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where the receipt lies.
    pub receipt: S3Uri,
    /// The prefix that holds the output.
    pub prefix: S3Uri,
    /// The trigger's own time: of a schedule the planned one.
    pub triggered_at: DateTime<Utc>,
    /// When the outcome was decided.
    pub sealed_at: DateTime<Utc>,
    /// Data objects.
    pub objects: u64,
    /// Rows in them; absent if they were not counted, or if nothing has rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes in them.
    pub bytes: u64,
    /// SHA-256 of the canonical request, hex: runs of the same request have the same.
    pub request_sha256: String,
}

impl Latest {
    /// Which of two is newer.
    fn age(&self, other: &Self) -> Ordering {
        let order = |latest: &Self| (latest.triggered_at, latest.sealed_at, latest.job_key.clone());
        order(self).cmp(&order(other))
    }
}

/// What became of moving the pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It points to this success.
    Here,
    /// A newer success stands there.
    Newer,
    /// It could not be moved, which is logged with what to do.
    Not,
}

/// The destination of a run: the folder that its own prefix, `run=…/`, lies in. `None` of a prefix of another form.
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

/// Points a destination to a success, unless a newer one stands there.
///
/// Fails with `Busy` if others keep changing it, and with what passes by itself. Any other error of the store, and an
/// object that is not ours, is logged and left alone.
pub async fn advance(store: &dyn ObjectStore, destination: &S3Uri, latest: &Latest) -> Result<Moved> {
    let place = destination.join(NAME);
    match turn(store, &place, latest).await {
        Err(error) if !error.kind.is_transient() => {
            tracing::warn!(
                error = error.kind.name(),
                code = error.code,
                "{place} is not moved to {}; let seal-receipt read and write it, and use the key of what lies there, or \
                 move that away",
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
        // Written before it is read: whoever may not list a bucket is refused to read what is not there.
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
                    "{place} is not moved to {}: what lies there is not Landfall's; move it away, and the next success, or \
                     the same event again, writes it",
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

/// The newest sealed success of a destination, as far as its rows are known, for a run of the request with this SHA-256.
///
/// What is not ours there, or cannot be read, is logged and is none. Fails with what passes by itself.
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
                    "{place} cannot be compared with: what lies there is not Landfall's"
                );
                return Ok(None);
            }
            Err(error) if !error.kind.is_transient() => {
                tracing::warn!(
                    error = error.kind.name(),
                    code = error.code,
                    "{place} cannot be compared with"
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

/// What stands at the place of the pointer.
enum Found {
    Nothing,
    /// A pointer, and its entity tag.
    Ours(String, Box<Latest>),
    /// Something else, and by what it is seen.
    Foreign(String),
    /// Somebody replaced or removed it between two looks.
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
        // The parser's own words may quote what is not ours.
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
    fn a_destination_is_what_the_run_lies_in() {
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
