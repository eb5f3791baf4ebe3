//! What is recorded of a batch, and what goes through its state machine.
//!
//! What must stay true: the record of a batch is written once, and each delivery goes by it. So the requests are the
//! same, however often the event arrives. The value in the state machine stays a few KB. Requests may hold values that
//! a service marks as sensitive, so they are only in `batch-items/`, where objects expire.

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

/// Key of a batch's record in the ledger bucket.
pub fn record_key(batch_key: &str) -> String {
    format!("batches/{batch_key}/batch.json")
}

/// Key of a batch's summary.
pub fn summary_key(batch_key: &str) -> String {
    format!("batches/{batch_key}/summary.json")
}

/// Key of the list of all requests that an invocation writes.
pub fn requests_key(batch_key: &str, invocation: &str) -> String {
    format!("batches/{batch_key}/{invocation}.requests.jsonl")
}

/// Key of the list of all results that an invocation writes.
pub fn results_key(batch_key: &str, invocation: &str) -> String {
    format!("batches/{batch_key}/{invocation}.results.jsonl")
}

/// Key of the items for the map that an invocation writes.
pub fn items_key(batch_key: &str, invocation: &str) -> String {
    format!("batch-items/{batch_key}/{invocation}.json")
}

/// How far a batch is. The state machine branches on this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The items must be run.
    Running,
    /// Nothing is left to run.
    Ended,
    /// The summary is written.
    Sealed,
}

/// The value that goes through the state machine of batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Batch {
    /// `landfall.batch/1`.
    pub schema: String,
    /// `<trigger time>-<hash>`. The same trigger gives the same key.
    pub batch_key: String,
    /// The name that the user gave the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// ARN of the execution that holds this value.
    pub execution: String,
    pub status: Status,
    /// Number of all requests.
    pub requests: u64,
    /// Number of requests that are run.
    pub accepted: u64,
    /// The items for the map: a JSON array.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<ObjectRef>,
    /// How many jobs run at a time.
    pub concurrency: u64,
    /// How often this execution has run requests of the batch, with the current run.
    pub round: u32,
    /// Seconds to wait before they are run again.
    pub wait_seconds: u64,
    /// The error that the batch ended with in an earlier step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// How the batch ended. Its receipt is the summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The event that Announce sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announcement: Option<Announcement>,
}

/// The input of one child of the map.
#[derive(Debug, Serialize, Deserialize)]
pub struct Item {
    /// The number of the request, from 0.
    pub index: u64,
    /// ARN of the state machine of the request's kind.
    pub machine: String,
    /// The event for the execution.
    pub event: Box<RawValue>,
}

/// How to find the job of a request in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobKeys {
    pub job_key: String,
    /// SHA-256 of the canonical request, in hex. If the entry has another one, it belongs to another request.
    pub request_sha256: String,
    /// The key of the entry if no job was made of the event, or if only this delivery failed.
    pub rejected_key: String,
}

/// A request as it was planned: a line of the list of all requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The number of the request, from 0.
    pub index: u64,
    /// The kind that the request names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The name that the user gave the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How to find the job; absent if none is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobKeys>,
    /// Why no job is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
}

/// A list in the ledger bucket, one JSON object on each line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lines {
    /// The list's key.
    pub key: String,
    /// The list's size in bytes.
    pub bytes: u64,
    /// SHA-256 of the list, in hex.
    pub sha256: String,
}

/// The record of a batch, written once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_SCHEMA`].
    pub schema: String,
    /// What set the batch off, with the batch key.
    pub trigger: Trigger,
    /// The name that the user gave the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The execution that planned the batch, or failed to.
    pub planned_by: String,
    pub planned_at: DateTime<Utc>,
    pub plan: Plan,
}

/// The result of planning a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// The batch was planned.
    Planned {
        /// The object with the requests; absent if they were in the event.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Source>,
        /// Number of all requests.
        requests: u64,
        /// Number of requests that are run.
        accepted: u64,
        /// The list of all requests: lines of [`Planned`].
        list: Lines,
        /// The requests that are run: a JSON array of [`Item`]. It expires.
        items: ObjectRef,
        /// How many jobs run at a time.
        concurrency: u64,
    },
    /// The batch could not be planned, and nothing was started.
    Failed(TaskError),
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Became {
    /// The job succeeded.
    Succeeded,
    /// The job failed.
    Failed,
    /// The request is wrong, so no job was made.
    Rejected,
    /// The job has no outcome, although it was run as often as allowed.
    Unknown,
}

/// The result of a request: a line of the list of all results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outturn {
    /// The number of the request, from 0.
    pub index: u64,
    /// The kind that the request names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The name that the user gave the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The key of the job, or the key in its place if no job was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_key: Option<String>,
    /// What became of the request.
    pub became: Became,
    /// Why the request did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// Where the job's receipt is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<landfall::s3_uri::S3Uri>,
    /// Number of data objects, by the receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<u64>,
    /// Rows in the data objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes in the data objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// How many requests ended in which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// All requests.
    pub requests: u64,
    /// Requests whose job succeeded.
    pub succeeded: u64,
    /// Requests whose job failed.
    pub failed: u64,
    /// Requests that are wrong, so that no job was made.
    pub rejected: u64,
    /// Requests whose job has no outcome, although they were run as often as allowed.
    pub unknown: u64,
}

/// How a batch ended. This is the batch's receipt, and is written once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// `landfall.batch-summary/1`.
    pub schema: String,
    /// What set the batch off, with the batch key as the job key.
    pub trigger: Trigger,
    /// The name that the user gave the batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `succeeded` if each request succeeded.
    pub verdict: Verdict,
    /// Why the batch failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// The object with the requests; absent if they were in the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// How many requests ended in which way.
    pub counts: Counts,
    /// Number of data objects of all jobs that succeeded.
    pub objects: u64,
    /// Rows in these objects.
    pub rows: u64,
    /// Bytes in these objects.
    pub bytes: u64,
    /// The first requests that did not succeed.
    pub unsuccessful: Vec<Outturn>,
    /// The list of all results in the ledger bucket, one request on each line. Absent if the batch could not be
    /// planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Lines>,
    /// How often the execution that wrote this summary ran requests.
    pub rounds: u32,
    /// When the batch was planned.
    pub planned_at: DateTime<Utc>,
    /// When this summary was written.
    pub sealed_at: DateTime<Utc>,
    /// The execution that wrote this summary.
    pub sealed_by: String,
    /// The version of Landfall.
    pub landfall: String,
}
