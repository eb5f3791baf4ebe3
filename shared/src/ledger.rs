//! The durable record of jobs.
//!
//! What must stay true: an entry is created with `If-None-Match: *` before the service is called and changed with
//! `If-Match` only, so that of two writers one wins and the other knows it. Each write carries a token of its own: a
//! write that S3 refuses because an earlier try of the very same write had succeeded is recognised by it. An outcome,
//! once there, never changes.
//!
//! Whoever changes an entry reads it, decides by what stands there, and writes it back if nobody else wrote meanwhile.
//! [`Ledger::change`] is that loop, for entries; [`Ledger::change_value`] is the same for the small objects that many
//! jobs share. Both give up after [`MAX_TURNS`] lost races, as `Busy`, which the state machine retries.

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
    /// Somebody is about to make the start call, is making it, or died doing so.
    Claimed,
    /// The service gave an id.
    Started,
    /// The call was made and brought no id: a job may exist.
    Uncertain,
    /// The service refused the call: no job exists.
    Refused,
    /// The job stands in line, ours or the service's: no job exists, and the call is made later.
    Waiting,
}

/// One start call at the service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// Unique to the attempt; used as the service's job id where the caller chooses it.
    pub key: String,
    /// The attempt's own prefix.
    pub prefix: S3Uri,
    /// How far it is.
    pub state: AttemptState,
    /// Who makes the call: an execution and an invocation.
    pub owner: String,
    /// When it was claimed.
    pub claimed_at: DateTime<Utc>,
    /// Until when the owner may still be at it.
    pub lease_until: DateTime<Utc>,
    /// The service's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// When the service gave the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// Since when no request of it has reached the service; absent once one has, or while it stands in line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreachable_since: Option<DateTime<Utc>>,
}

/// How a job ended: all that its receipt is made of, apart from the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    pub verdict: Verdict,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// Where the receipt lies.
    pub receipt: S3Uri,
    /// The execution whose outcome stands.
    pub sealed_by: String,
    /// When it was decided.
    pub sealed_at: DateTime<Utc>,
    /// Number of the attempt that counts, if one was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Polls of the execution whose outcome stands.
    pub polls: u32,
    /// When the end of the job was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// The service's last word.
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
    /// Polls of that execution that brought no news, if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_polls: Option<MissedPolls>,
    /// What verification found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportPointer>,
    /// The version of Landfall that decided it.
    pub landfall: String,
}

/// Somebody asked that the job ends ([`crate::cancel`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    pub at: DateTime<Utc>,
    /// The execution that asked for it.
    pub by: String,
}

/// The record of one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// [`SCHEMA`].
    pub schema: String,
    pub kind: Kind,
    /// What set it off, with the job key.
    pub trigger: Trigger,
    /// The user's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The request, without what is sensitive; null if the job was never started.
    pub request: Value,
    /// The format asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// What the job reads, as it was found before the start call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// When the entry was created.
    pub created_at: DateTime<Utc>,
    /// When the job is given up.
    pub deadline_at: DateTime<Utc>,
    /// Start calls, oldest first. The last one counts.
    pub attempts: Vec<Attempt>,
    /// Whether the job takes a slot of its kind ([`crate::queue`]), which the seal gives back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub takes_place: bool,
    /// Whether no manifest of the data objects is to stand beside the receipt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skips_manifest: bool,
    /// The key of the job whose start call this one goes on with, instead of making one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picks_up: Option<String>,
    /// The keys of the jobs that went on with this one's start call after it had failed, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub picked_up_by: Vec<String>,
    /// Jobs that were started and do not count: their output is never sealed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<Orphan>,
    /// Once there, it stays: the job is not started any more, and can only end as cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<Cancel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Token of the write that made this version.
    pub written_by: String,
}

impl Entry {
    /// An entry without a start call.
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
            takes_place: false,
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

    /// The attempt with this number.
    pub fn attempt(&self, number: u32) -> Option<&Attempt> {
        self.attempts.iter().find(|attempt| attempt.number == number)
    }
}

impl From<&Outcome> for job::Outcome {
    /// The outcome as a job carries it, for an execution that announces nothing.
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

/// A job at the service that lost to another attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Orphan {
    /// The attempt that started it.
    pub attempt: u32,
    /// The service's id.
    pub service_id: String,
    /// Where it writes.
    pub prefix: S3Uri,
}

/// An entry and the ETag it was read or written with.
#[derive(Clone, Debug, PartialEq)]
pub struct Versioned {
    pub entry: Entry,
    /// For the next change.
    pub etag: String,
}

/// What a conditional write of an entry came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Cas {
    /// It was written.
    Won(Versioned),
    /// Another version stands there.
    Lost(Versioned),
    /// Nothing stands there: the entry was deleted.
    Vanished,
}

impl Cas {
    /// The entry as it was written, if it was.
    pub fn won(self) -> Option<Versioned> {
        match self {
            Self::Won(written) => Some(written),
            Self::Lost(_) | Self::Vanished => None,
        }
    }
}

/// The ledger of one deployment, as one invocation sees it.
pub struct Ledger<'a> {
    store: &'a dyn ObjectStore,
    bucket: &'a str,
    owner: String,
    writes: AtomicU32,
}

impl<'a> Ledger<'a> {
    /// A ledger whose writes are marked with `owner`, which no other invocation has.
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

    /// Where the entry of a job lies.
    pub fn entry_key(kind: &Kind, job_key: &str) -> String {
        format!("jobs/{kind}/{job_key}.json")
    }

    /// The entry of a job, if there is one.
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

    /// The entry of a job that must have one. Fails with `Internal` if it was deleted.
    pub async fn reload(&self, kind: &Kind, job_key: &str) -> Result<Versioned> {
        let current = self.load(kind, job_key).await?;
        current.ok_or_else(|| self.deleted(kind, job_key))
    }

    /// Creates an entry, unless the job has one.
    pub async fn create(&self, entry: Entry) -> Result<Cas> {
        self.write(entry, Condition::Absent).await
    }

    /// Replaces an entry, unless somebody else changed it since it was read.
    pub async fn update(&self, entry: Entry, etag: String) -> Result<Cas> {
        self.write(entry, Condition::Unchanged(etag)).await
    }

    /// The error of an entry that was there and is not any more.
    pub fn deleted(&self, kind: &Kind, job_key: &str) -> Error {
        Error::internal(format!(
            "the ledger entry s3://{}/{} was deleted while the job ran",
            self.bucket,
            Self::entry_key(kind, job_key)
        ))
    }

    /// Writes a value that is named by its content or written once; `false` if the key is taken.
    pub async fn put_once<T: Serialize>(&self, key: &str, value: &T) -> Result<bool> {
        let body = encode(value)?;
        Ok(self.store.put(self.bucket, key, body, Condition::Absent).await? != Written::Refused)
    }

    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let body = self.read(key).await?;
        body.map(|body| self.decode(key, &body)).transpose()
    }

    /// Reads an object as it is.
    pub async fn read(&self, key: &str) -> Result<Option<Bytes>> {
        let stored = self.store.get(self.bucket, key).await?;
        Ok(stored.map(|stored| stored.body))
    }

    async fn write(&self, mut entry: Entry, condition: Condition) -> Result<Cas> {
        entry.written_by = format!("{}#{}", self.owner, self.writes.fetch_add(1, Ordering::Relaxed));
        let key = Self::entry_key(&entry.kind, &entry.trigger.job_key);
        match self.store.put(self.bucket, &key, encode(&entry)?, condition).await? {
            Written::Done { etag } => Ok(Cas::Won(Versioned { entry, etag })),
            // The client tries a PUT again whose answer it lost. If the first try had succeeded, the second is refused
            // by its own success.
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

/// JSON as it is stored: indented, since people read it too.
pub fn encode<T: Serialize>(value: &T) -> Result<Bytes> {
    serde_json::to_vec_pretty(value)
        .map(Bytes::from)
        .map_err(|error| Error::internal(format!("cannot write JSON: {error}")))
}
