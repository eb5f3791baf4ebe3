//! The durable record of jobs.
//!
//! What must stay true: an entry is created with `If-None-Match: *` before the service is called, and is changed only
//! with `If-Match`. So if two invocations write, one of them wins and the other one knows that it lost. An outcome,
//! once recorded, never changes.
//!
//! To change an entry, an invocation reads it, decides from what it read, and writes it back if nobody else wrote
//! meanwhile. [`Ledger::change`] is that loop for entries; [`Ledger::change_value`] is the same loop for the small
//! objects that many jobs share. After [`MAX_TURNS`] lost races both fail with `Busy`, which the state machine retries.
//!
//! Each write has a token of its own. If the client repeats a write whose answer was lost, S3 refuses the repetition
//! because the first try succeeded; the token shows that.

mod change;

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

pub use self::change::{Change, Changed, MAX_TURNS};
use crate::{
    error::{Error, Result},
    job::{self, Counts, Format, Kind, MissedPolls, ReportPointer, Source, TaskError, Verdict},
    s3_uri::S3Uri,
    store::{Condition, ObjectStore, Written},
    trigger::Trigger,
};

/// The schema of [`Entry`].
pub const SCHEMA: &str = "landfall.ledger/1";

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptState {
    /// The owner is about to make the start call, is making it, or died while making it.
    Claimed,
    /// The service gave an id.
    Started,
    /// The call brought no id, but may have made a job.
    Uncertain,
    /// The service refused the call, so there is no job.
    Refused,
    /// The job waits for a slot of ours or for room at the service. There is no job at the service yet; the call is
    /// made later.
    Waiting,
}

/// One start call at the service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// Unique to the attempt. Services that let the caller choose a job's id get this one.
    pub key: String,
    /// The folder of this attempt alone.
    pub prefix: S3Uri,
    pub state: AttemptState,
    /// The execution and the invocation that make the call.
    pub owner: String,
    /// When the attempt was claimed.
    pub claimed_at: DateTime<Utc>,
    /// Until when the owner may still be making the call.
    pub lease_until: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// When the service gave the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// Why there is no id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// Since when no request of this attempt has reached the service. Absent once one has reached it, or while the job
    /// waits in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable_since: Option<DateTime<Utc>>,
}

/// How a job ended. The receipt is made of this and of the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub verdict: Verdict,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// Where the receipt is.
    pub receipt: S3Uri,
    /// The execution whose outcome stands.
    pub sealed_by: String,
    /// When the outcome was decided.
    pub sealed_at: DateTime<Utc>,
    /// Number of the attempt that counts, if one was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Polls by the execution whose outcome stands.
    pub polls: u32,
    /// When the end of the job was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// The service's last word for the state of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_status: Option<String>,
    /// The service's last message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_message: Option<String>,
    /// Rows as the service counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The first failures that the service names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// Polls by that execution that brought no news, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_polls: Option<MissedPolls>,
    /// Where the report of the verification is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportPointer>,
    /// The version of Landfall that decided the outcome.
    pub landfall: String,
}

/// Somebody cancelled the job ([`crate::cancel`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    pub at: DateTime<Utc>,
    /// The execution that wrote the cancel.
    pub by: String,
}

/// The record of one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// [`SCHEMA`].
    pub schema: String,
    pub kind: Kind,
    /// What set the job off, with the job key.
    pub trigger: Trigger,
    /// The name that the user gave the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The request without sensitive values; null if the job was never started.
    pub request: Value,
    /// The format that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// What the job reads, as it was before the start call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    pub created_at: DateTime<Utc>,
    /// When the job is given up, if it has not ended.
    pub deadline_at: DateTime<Utc>,
    /// The start calls, oldest first. The last one counts.
    pub attempts: Vec<Attempt>,
    /// Whether the job takes a slot of its kind ([`crate::queue`]). Seal gives the slot back.
    #[serde(rename = "takes_place", default, skip_serializing_if = "std::ops::Not::not")]
    pub takes_slot: bool,
    /// Whether the event asked for no manifest of the data objects beside the receipt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skips_manifest: bool,
    /// The key of the job whose start call this job continues, instead of making its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picks_up: Option<String>,
    /// The keys of the jobs that continued this job's start call after this job had failed, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub picked_up_by: Vec<String>,
    /// Jobs at the service that do not count. Their output is never sealed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<Orphan>,
    /// Once written, it stays: no attempt is claimed any more, and the job ends as cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Cancel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Token of the write that made this version of the entry.
    pub written_by: String,
}

impl Entry {
    /// An entry without an attempt.
    pub fn new(kind: Kind, trigger: Trigger, now: DateTime<Utc>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            kind,
            trigger,
            name: None,
            request: Value::Null,
            format: None,
            source: None,
            created_at: now,
            deadline_at: now,
            attempts: Vec::new(),
            takes_slot: false,
            skips_manifest: false,
            picks_up: None,
            picked_up_by: Vec::new(),
            orphans: Vec::new(),
            cancel: None,
            outcome: None,
            written_by: String::new(),
        }
    }

    /// Until when a start call of the job may be under way; `None` if none can be.
    pub fn in_flight_until(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let last = self.attempts.last()?;
        let is_claimed = last.state == AttemptState::Claimed && now <= last.lease_until;
        is_claimed.then_some(last.lease_until)
    }

    pub fn attempt(&self, number: u32) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.number == number)
    }
}

impl From<&Outcome> for job::Outcome {
    /// The outcome of a job whose execution announces nothing.
    fn from(outcome: &Outcome) -> Self {
        Self {
            verdict: outcome.verdict,
            error: outcome.error.clone(),
            receipt: outcome.receipt.clone(),
            announce: false,
            sealed_by: outcome.sealed_by.clone(),
            sealed_at: outcome.sealed_at,
        }
    }
}

/// A job at the service that does not count, because another attempt does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Orphan {
    /// The attempt that started it.
    pub attempt: u32,
    /// The service's id.
    pub service_id: String,
    /// Where the orphan writes.
    pub prefix: S3Uri,
}

/// An entry with the ETag that it was read or written with.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned {
    pub entry: Entry,
    /// What the next change of the entry passes as `If-Match`.
    pub etag: String,
}

/// The result of a conditional write of an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Cas {
    /// The entry was written.
    Won(Versioned),
    /// Somebody else wrote first. This is what the ledger holds now.
    Lost(Versioned),
    /// The entry was deleted.
    Vanished,
}

impl Cas {
    /// The entry as it was written; `None` if it was not.
    pub fn won(self) -> Option<Versioned> {
        match self {
            Self::Won(written) => Some(written),
            Self::Lost(_) | Self::Vanished => None,
        }
    }
}

/// The ledger of a deployment. Each invocation makes its own.
pub struct Ledger<'a> {
    store: &'a dyn ObjectStore,
    bucket: &'a str,
    owner: String,
    writes: AtomicU32,
}

impl<'a> Ledger<'a> {
    /// A ledger that marks its writes with `owner`. No other invocation may use the same owner.
    pub fn new(store: &'a dyn ObjectStore, bucket: &'a str, owner: impl Into<String>) -> Self {
        Self {
            store,
            bucket,
            owner: owner.into(),
            writes: AtomicU32::new(0),
        }
    }

    pub fn bucket(&self) -> &str {
        self.bucket
    }

    /// Key of a job's entry in the ledger bucket.
    pub fn entry_key(kind: &Kind, job_key: &str) -> String {
        format!("jobs/{kind}/{job_key}.json")
    }

    /// Reads the entry of a job, if there is one.
    pub async fn load(&self, kind: &Kind, job_key: &str) -> Result<Option<Versioned>> {
        let key = Self::entry_key(kind, job_key);
        let Some(stored) = self.store.get(self.bucket, &key).await? else {
            return Ok(None);
        };
        let entry: Entry = self.decode(&key, &stored.body)?;
        if entry.schema != SCHEMA {
            return Err(Error::internal(format!(
                "s3://{}/{key} is of schema {}, this version reads {SCHEMA}; deploy the version that wrote it",
                self.bucket, entry.schema
            )));
        }
        Ok(Some(Versioned {
            entry,
            etag: stored.etag,
        }))
    }

    /// Reads the entry of a job that must have one. Fails with `Internal` if it was deleted.
    pub async fn reload(&self, kind: &Kind, job_key: &str) -> Result<Versioned> {
        let current = self.load(kind, job_key).await?;
        current.ok_or_else(|| self.deleted(kind, job_key))
    }

    /// Creates an entry. Changes nothing if the job has one.
    pub async fn create(&self, entry: Entry) -> Result<Cas> {
        self.write(entry, Condition::Absent).await
    }

    /// Replaces an entry. Changes nothing if somebody else wrote since it was read.
    pub async fn update(&self, entry: Entry, etag: String) -> Result<Cas> {
        self.write(entry, Condition::Unchanged(etag)).await
    }

    /// The error for an entry that was deleted while its job ran.
    pub fn deleted(&self, kind: &Kind, job_key: &str) -> Error {
        Error::internal(format!(
            "the ledger entry s3://{}/{} was deleted while the job ran",
            self.bucket,
            Self::entry_key(kind, job_key)
        ))
    }

    /// Writes a value under a key that is written only once. `false` if there is an object already.
    pub async fn put_once<T: Serialize>(&self, key: &str, value: &T) -> Result<bool> {
        let body = encode(value)?;
        Ok(self.store.put(self.bucket, key, body, Condition::Absent).await? != Written::Refused)
    }

    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let body = self.read(key).await?;
        body.map(|body| self.decode(key, &body)).transpose()
    }

    /// Reads an object without decoding it.
    pub async fn read(&self, key: &str) -> Result<Option<Bytes>> {
        let stored = self.store.get(self.bucket, key).await?;
        Ok(stored.map(|stored| stored.body))
    }

    async fn write(&self, mut entry: Entry, condition: Condition) -> Result<Cas> {
        entry.written_by = format!("{}#{}", self.owner, self.writes.fetch_add(1, Ordering::Relaxed));
        let key = Self::entry_key(&entry.kind, &entry.trigger.job_key);
        match self.store.put(self.bucket, &key, encode(&entry)?, condition).await? {
            Written::Done { etag } => Ok(Cas::Won(Versioned { entry, etag })),
            // The client repeats a PUT whose answer was lost. If the first try succeeded, S3 refuses the second one
            // because of the first.
            Written::Refused => Ok(match self.load(&entry.kind, &entry.trigger.job_key).await? {
                Some(current) if current.entry.written_by == entry.written_by => Cas::Won(current),
                Some(current) => Cas::Lost(current),
                None => Cas::Vanished,
            }),
        }
    }

    fn decode<T: DeserializeOwned>(&self, key: &str, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body).map_err(|error| {
            Error::internal(format!(
                "s3://{}/{key} is not what Landfall writes there: {error}",
                self.bucket
            ))
        })
    }
}

/// The JSON of a stored value, indented because people read it too.
pub fn encode<T: Serialize>(value: &T) -> Result<Bytes> {
    serde_json::to_vec_pretty(value)
        .map(Bytes::from)
        .map_err(|error| Error::internal(format!("cannot write JSON: {error}")))
}
