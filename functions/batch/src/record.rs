//! What is kept of a batch, and what goes through the state machine.
//!
//! What must stay true: the record of a batch is written once, and whoever finds it goes by it, so that however often an
//! event arrives, its requests are the same. What goes through the state machine stays a few KB; requests may hold what
//! a service marks as sensitive, so they lie in `batch-items/` alone, which expires.

use chrono::{DateTime, Utc};
use landfall::{
    job::{Announcement, Kind, ObjectRef, Outcome, TaskError, Verdict},
    trigger::Trigger,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::source::Source;

/// The schema of [`Batch`].
pub const SCHEMA: &str = "landfall.batch/1";

/// The schema of [`Record`].
pub const RECORD_SCHEMA: &str = "landfall.batch-record/1";

/// The schema of [`Summary`].
pub const SUMMARY_SCHEMA: &str = "landfall.batch-summary/1";

/// Where the record of a batch lies in the ledger bucket.
pub fn record_key(batch_key: &str) -> String {
    format!("batches/{batch_key}/batch.json")
}

/// Where its summary lies.
pub fn summary_key(batch_key: &str) -> String {
    format!("batches/{batch_key}/summary.json")
}

/// Where an invocation writes the list of all requests.
pub fn requests_key(batch_key: &str, invocation: &str) -> String {
    format!("batches/{batch_key}/{invocation}.requests.jsonl")
}

/// Where an invocation writes the list of all results.
pub fn results_key(batch_key: &str, invocation: &str) -> String {
    format!("batches/{batch_key}/{invocation}.results.jsonl")
}

/// Where an invocation writes what a map is to run.
pub fn items_key(batch_key: &str, invocation: &str) -> String {
    format!("batch-items/{batch_key}/{invocation}.json")
}

/// How far a batch is: what the state machine branches on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The items are to be run.
    Running,
    /// There is nothing to run, or nothing any more.
    Ended,
    /// Its summary stands.
    Sealed,
}

/// The one value that goes through the state machine of batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Batch {
    /// `landfall.batch/1`.
    pub schema: String,
    /// `<trigger time>-<hash>`; the same trigger gives the same key.
    pub batch_key: String,
    /// The user's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// ARN of the execution that carries this value.
    pub execution: String,
    /// How far it is.
    pub status: Status,
    /// All requests.
    pub requests: u64,
    /// Those that are run.
    pub accepted: u64,
    /// What a map is to run: a JSON array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<ObjectRef>,
    /// Most jobs that run at a time.
    pub concurrency: u64,
    /// How often requests of this batch were run by this execution, this time included.
    pub round: u32,
    /// Seconds until they are run again.
    pub wait_seconds: u64,
    /// What went wrong on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// How it ended; the receipt of a batch is its summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What is told to the event bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announcement: Option<Announcement>,
}

/// What one child of the map is given.
#[derive(Debug, Serialize, Deserialize)]
pub struct Item {
    /// The number of the request, from 0.
    pub index: u64,
    /// ARN of the state machine of its kind.
    pub machine: String,
    /// The event that its execution gets.
    pub event: Box<RawValue>,
}

/// How the job of a request is found in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobKeys {
    /// The key of its job.
    pub job_key: String,
    /// SHA-256 of the canonical request, hex: another one under the same key is another job.
    pub request_sha256: String,
    /// The key that stands for it if no job was made of its event, or if its delivery failed for itself.
    pub rejected_key: String,
}

/// One request, as it was planned: a line of the list of all requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The number of the request, from 0.
    pub index: u64,
    /// The kind that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The user's own name for its job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How its job is found; absent if none is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobKeys>,
    /// Why none is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
}

/// A list in the ledger bucket, one JSON object a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lines {
    /// Its key.
    pub key: String,
    /// Its bytes.
    pub bytes: u64,
    /// SHA-256 of these, hex.
    pub sha256: String,
}

/// The record of a batch, written once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_SCHEMA`].
    pub schema: String,
    /// What set it off, with the batch key.
    pub trigger: Trigger,
    /// The user's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The execution that planned it, or could not.
    pub planned_by: String,
    pub planned_at: DateTime<Utc>,
    /// What came of it.
    pub plan: Plan,
}

/// What came of planning a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// Its requests are these.
    Planned {
        /// The object that they were read from; absent if they stood in the event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Source>,
        /// All requests.
        requests: u64,
        /// Those that are run.
        accepted: u64,
        /// The list of all: lines of [`Planned`].
        list: Lines,
        /// Those that are run: a JSON array of [`Item`]. It expires.
        items: ObjectRef,
        /// Most jobs that run at a time.
        concurrency: u64,
    },
    /// It could not be planned, and nothing of it was started.
    Failed(TaskError),
}

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Became {
    /// Its job succeeded.
    Succeeded,
    /// Its job failed.
    Failed,
    /// No job was made of it, because it is wrong.
    Rejected,
    /// Its job has no outcome, although it was run as often as may be.
    Unknown,
}

/// What became of one request: a line of the list of all results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outturn {
    /// The number of the request, from 0.
    pub index: u64,
    /// The kind that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The user's own name for its job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The key of its job, or what stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_key: Option<String>,
    /// What became of it.
    pub became: Became,
    /// Why it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// Where the receipt of its job lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<landfall::s3_uri::S3Uri>,
    /// Data objects, as its receipt counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<u64>,
    /// Rows in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// How many requests came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// All requests.
    pub requests: u64,
    /// Those whose job succeeded.
    pub succeeded: u64,
    /// Those whose job failed.
    pub failed: u64,
    /// Those that no job was made of, because they are wrong.
    pub rejected: u64,
    /// Those whose job has no outcome, although they were run as often as may be.
    pub unknown: u64,
}

/// What became of a batch: the receipt of a batch, written once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// `landfall.batch-summary/1`.
    pub schema: String,
    /// What set it off, with the batch key as the job key.
    pub trigger: Trigger,
    /// The user's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `succeeded` only if every request was.
    pub verdict: Verdict,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// The object that the requests were read from; absent if they stood in the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// How many requests came to what.
    pub counts: Counts,
    /// Data objects of all jobs that succeeded.
    pub objects: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// The first requests that did not succeed.
    pub unsuccessful: Vec<Outturn>,
    /// The list of all results in the ledger bucket: what became of each request, one a line. Absent if the batch could
    /// not be planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Lines>,
    /// How often requests were run by the execution that wrote this.
    pub rounds: u32,
    /// When the batch was planned.
    pub planned_at: DateTime<Utc>,
    /// When this was written.
    pub sealed_at: DateTime<Utc>,
    /// The execution that wrote this.
    pub sealed_by: String,
    /// Landfall's version.
    pub landfall: String,
}
