//! The value that goes through the state machine.
//!
//! What must stay true: a [`Job`] stays a few KB, because lists and reports are in S3 and the job holds only pointers
//! and counts. It holds no value that a service marks as sensitive. What a state needs to know is in the job or in the
//! ledger.

use std::fmt;

use chrono::{DateTime, Utc};
pub use landfall_formats::Format;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    error::{Error, ErrorKind},
    expect::Expectations,
    polling::{Bounds, Ran},
    s3_uri::{S3Object, S3Uri},
};

/// The schema of [`Job`]; its number changes when a reader of the old one would misread the new one.
pub const SCHEMA: &str = "landfall.job/1";

/// The longest cause of an error in a job, in characters.
const MAX_CAUSE: usize = 4_000;

/// The longest cause of a missed poll, in characters.
const MAX_SHORT_CAUSE: usize = 1_000;

/// The kind of a job, such as `segment-snapshot`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Kind(String);

impl Kind {
    /// Takes a name of lower-case letters and hyphens.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The kind that a `detail-type` asks for: `Segment Snapshot Requested` is `segment-snapshot`. `None` for a
    /// `detail-type` of another form.
    pub fn of_detail_type(detail_type: &str) -> Option<Self> {
        let words = detail_type.strip_suffix(" Requested")?;
        let is_name = |c: char| c.is_ascii_alphabetic() || c == ' ';
        (!words.is_empty() && words.chars().all(is_name)).then(|| Self(words.to_ascii_lowercase().replace(' ', "-")))
    }

    /// The `detail-type` of events that ask for this kind.
    pub fn detail_type(&self) -> String {
        let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
        let words: Vec<_> = self.0.split('-').filter(|word| !word.is_empty()).map(capital).collect();
        format!("{} Requested", words.join(" "))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a job is. The state machine branches on this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The service works on the job.
    Running,
    /// The service says that the job is done.
    Succeeded,
    /// The service says that the job failed.
    Failed,
    /// The job did not end before its deadline.
    TimedOut,
    /// The outcome is decided and recorded in the ledger.
    Sealed,
}

impl Status {
    /// The name in the job and in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Sealed => "sealed",
        }
    }
}

/// How thoroughly the output is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Only the listing: keys, sizes and times.
    Listing,
    /// Also the metadata of each object, and its headers, footers or directory.
    Structure,
    /// Each byte, hashed and decoded.
    #[default]
    Full,
}

impl Level {
    /// The name in events and receipts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listing => "listing",
            Self::Structure => "structure",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How many parts of its work the service has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    pub done: u64,
    /// Parts in all.
    pub total: u64,
}

impl Progress {
    /// The share that is done, from 0 to 1; `None` while the total is unknown.
    #[allow(clippy::cast_precision_loss)]
    pub fn share(self) -> Option<f64> {
        (self.total > 0).then(|| (self.done as f64 / self.total as f64).min(1.0))
    }
}

/// The rows that the service says it handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    pub processed: u64,
    pub failed: u64,
}

/// An error as Step Functions hands it on: its name and its cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskError {
    /// `Landfall.TimedOut`, say, or a name of Lambda's own.
    #[serde(rename = "Error")]
    pub error: String,
    /// JSON with `errorType` and `errorMessage` if a function failed, otherwise a text.
    #[serde(rename = "Cause", default)]
    pub cause: String,
}

impl TaskError {
    /// The message for a person: the function's `errorMessage` if the cause is Lambda's JSON, otherwise the cause.
    pub fn message(&self) -> String {
        let payload = serde_json::from_str::<Value>(&self.cause).ok();
        let message = payload
            .as_ref()
            .and_then(|payload| payload.get("errorMessage"))
            .and_then(Value::as_str);
        message.unwrap_or(&self.cause).to_owned()
    }

    /// The first line of the message; the second if the first ends with a colon and so only introduces a list.
    pub fn gist(&self) -> String {
        let message = self.message();
        let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let next = lines.next().filter(|_| first.ends_with(':'));
        next.unwrap_or(first).to_owned()
    }

    /// The error with its plain message, short enough for a job and a receipt.
    #[must_use]
    pub fn short(&self) -> Self {
        Self {
            error: self.error.clone(),
            cause: self.message().chars().take(MAX_SHORT_CAUSE).collect(),
        }
    }

    /// The error of a failed step, as the state machine hands it on, under a name of Landfall's and with a message for
    /// a person.
    pub fn named(error: Option<&Self>) -> Self {
        let Some(error) = error else {
            return Error::internal("the first step failed without an error").into();
        };
        let message = error.message();
        let (name, message) = match ErrorKind::from_name(&error.error) {
            Some(kind) => (kind.name(), message),
            None => (
                ErrorKind::Internal.name(),
                format!("{}: {message}; see the function's log", error.error),
            ),
        };
        Self {
            error: name.to_owned(),
            cause: message.chars().take(MAX_CAUSE).collect(),
        }
    }
}

impl From<Error> for TaskError {
    fn from(error: Error) -> Self {
        Self {
            error: error.kind.name().to_owned(),
            cause: error.message,
        }
    }
}

/// Polls that brought no news. The service did not answer or refused the call, or the poll function could not run or
/// died. No such poll says anything about the job.
///
/// The state machine counts the polls whose function gave no answer; the poll function counts the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Missed {
    /// All polls of this execution that brought no news.
    pub count: u32,
    /// Polls whose function gave no answer.
    pub unanswered: u32,
    /// Polls without news since the last news.
    pub in_a_row: u32,
    /// Seconds to wait after a poll whose function gives no answer, and after the announcement that the job has
    /// stalled. Each such poll makes it longer; it never gets shorter.
    pub rest_seconds: u32,
    /// Why the last of them brought no news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<TaskError>,
    /// Whether the job was announced as stalled and the last poll brought news. The news is not announced yet.
    pub resumed: bool,
}

/// The polls that brought no news, as an outcome records them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissedPolls {
    /// All polls that brought no news.
    pub count: u32,
    /// Polls whose function could not run or died.
    pub unanswered: u32,
    /// Why the last of them brought no news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<TaskError>,
}

impl Missed {
    /// What the outcome records; `None` if each poll brought news.
    pub fn summary(&self) -> Option<MissedPolls> {
        (self.count > 0).then(|| MissedPolls {
            count: self.count,
            unanswered: self.unanswered,
            last: self.last.as_ref().map(TaskError::short),
        })
    }
}

/// What the job writes, and what must hold of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The folder of this attempt. Everything that the service writes is beneath it.
    pub prefix: S3Uri,
    /// The format that was asked for; absent if the service names each file with its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// ARN of the KMS key that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// Whether a complete export may have no rows.
    pub allow_empty: bool,
    /// Whether the job fails if the number of rows differs from the number that the service reports.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict_row_count: bool,
    /// Seconds between the two listings.
    pub settle_seconds: u64,
    /// How thoroughly the output is checked.
    #[serde(default)]
    pub level: Level,
    /// What the event expects of the output, in addition to the checks of every output.
    #[serde(default, skip_serializing_if = "Expectations::is_empty")]
    pub expect: Expectations,
}

/// An object in S3, in the form that a state machine can take apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectRef {
    pub bucket: String,
    pub key: String,
}

/// A verification that goes on in slices. While the job has this member, the state machine runs the slices and then
/// verifies again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verifying {
    /// The list of slices to run: a JSON array, in which each item is the input of one invocation.
    pub manifest: ObjectRef,
    /// Key in the ledger bucket of the object that says how far the verification is.
    pub work: String,
    /// Number of slices in the list.
    #[serde(alias = "batches")]
    pub slices: u64,
    /// How many slices may run at a time.
    pub concurrency: u64,
}

/// A file that the service names as its output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamedFile {
    /// What the file was asked for as, such as `FileGroups[0] CSV`.
    pub label: String,
    /// The format that was asked for.
    pub format: Format,
    /// Where the service says that the file is; never a presigned link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<S3Uri>")]
    pub uri: Option<S3Object>,
    /// If there is no file: the service's code and words for the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Whether the service itself gave this word. If an answer lacks a text or a word that the service's model requires,
/// the SDK fills in its own.
#[must_use]
pub fn is_told(word: &str) -> bool {
    !["", "no value was set"].contains(&word)
}

/// Members of the service's answer that repeat the request, compared with the request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Echo {
    /// Names of the members that were compared.
    pub compared: Vec<String>,
    /// Names of the members that differ. Their values are not kept.
    pub differs: Vec<String>,
}

impl Echo {
    /// Compares a member. Leaves it out if the request does not set it, or if the service does not tell it.
    pub fn compare(&mut self, name: &str, asked: Option<&str>, told: Option<&str>) {
        if let (Some(asked), Some(told)) = (asked, told.filter(|told| is_told(told))) {
            self.note(name, asked == told);
        }
    }

    /// Notes whether the service has the value that was asked for.
    pub fn note(&mut self, name: &str, is_same: bool) {
        self.compared.push(name.to_owned());
        if !is_same {
            self.differs.push(name.to_owned());
        }
    }
}

/// The service's own estimate of the rows of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Estimate {
    /// The service was asked for an estimate.
    Asked {
        /// The service's id of the estimate.
        id: String,
    },
    /// The service gave an estimate.
    Known { rows: u64 },
    /// There is no estimate.
    Missing {
        /// Why there is none.
        reason: String,
    },
}

/// The objects that a job reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Where the objects are.
    pub uri: S3Uri,
    /// The format that reading them showed.
    pub format: Format,
    /// Number of objects.
    pub objects: u64,
    /// Bytes in all objects.
    pub bytes: u64,
    /// Rows in all objects.
    pub rows: u64,
}

/// Where the report of the verification is, and its main figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportPointer {
    /// The key in the ledger bucket.
    pub key: String,
    /// SHA-256 of the report's bytes, hex.
    pub sha256: String,
    /// `passed`, `passed_with_warnings` or `failed`.
    pub verdict: String,
    /// Number of data objects; if the job writes nothing, the number of objects in its source.
    pub objects: u64,
    /// Rows in these objects.
    pub rows: u64,
    /// Bytes in these objects.
    pub bytes: u64,
}

/// How a job ended. This never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    pub verdict: Verdict,
    /// Why the job failed; the name is one of Landfall's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// Where the receipt is.
    pub receipt: S3Uri,
    /// Whether this execution announces the outcome.
    pub announce: bool,
    /// The execution that decided the outcome.
    pub sealed_by: String,
    /// When the outcome was decided.
    pub sealed_at: DateTime<Utc>,
}

/// The two ways a job can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The output is complete, and that is proved.
    Succeeded,
    /// The job ended in any other way.
    Failed,
}

impl Verdict {
    /// The word in receipts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// The event that tells how a job ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Announcement {
    /// `Export Job Succeeded` or `Export Job Failed`.
    pub detail_type: String,
    /// Always empty, because Step Functions adds the execution and its state machine to the resources of the event.
    /// Executions that an earlier deployment started read this member.
    pub resources: Vec<String>,
    /// Kind, job key and receipt; for a failure also the error.
    pub detail: Value,
}

/// One run of one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// `landfall.job/1`.
    pub schema: String,
    pub kind: Kind,
    /// `<trigger time>-<hash>`. The same trigger gives the same key.
    pub job_key: String,
    /// The name that the user gave the job. Null without one, because the state machine reads this member.
    #[serde(default)]
    pub name: Option<String>,
    /// ARN of the execution that holds this value.
    pub execution: String,
    pub status: Status,
    /// The request that was sent to the service, without sensitive values.
    pub request: Value,
    /// SHA-256 of the canonical request, in hex. All runs of one request have the same.
    #[serde(default)]
    pub request_sha256: String,
    /// The service's id for the attempt that counts.
    pub service_id: String,
    /// Number of the attempt that counts, from 1.
    pub attempt: u32,
    /// Whether another invocation made the start call of this job.
    pub adopted: bool,
    /// When the attempt was claimed, right before its start call. Nothing that the attempt writes is older.
    pub started_at: DateTime<Utc>,
    /// When the service gave the id.
    pub accepted_at: DateTime<Utc>,
    /// When the job is given up, if it has not ended.
    pub deadline_at: DateTime<Utc>,
    /// What the job writes; absent for kinds that write nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
    /// What the job reads; absent for kinds that read nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The shortest and the longest wait between polls.
    pub polling: Bounds,
    /// How long earlier runs of the request took, newest last, at most 20. Emptied when the job ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Ran>,
    /// Seconds until the next poll.
    pub wait_seconds: u32,
    /// Polls by this execution so far.
    pub polls: u32,
    #[serde(default)]
    pub missed: Missed,
    /// The service's own word for the state of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_status: Option<String>,
    /// The service's own message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_message: Option<String>,
    /// How far the service's work is, if the service says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// The rows that the service counts, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The first failures that the service names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// The files that the service names as its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<NamedFile>>,
    /// What the service says it was asked for, compared with the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<Echo>,
    /// The service's own estimate of the rows, if the event expects the rows to be near it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// When the service last said that the job runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_at: Option<DateTime<Utc>>,
    /// When a poll saw that the job had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// When the job ended by the service's clock, if the service says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ended_at: Option<DateTime<Utc>>,
    /// A verification that needs more than one invocation, until it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifying: Option<Verifying>,
    /// Where the report of the verification is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportPointer>,
    /// The error that the job will be sealed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// How the job ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The event that Announce sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announcement: Option<Announcement>,
}

impl Job {
    /// Whether the event expects the rows to be near the service's own estimate.
    pub fn expects_estimate(&self) -> bool {
        let output = self.output.as_ref();
        output.is_some_and(|output| output.expect.segment_estimate.is_some())
    }

    /// Whole seconds since the service gave the id.
    pub fn age(&self, now: DateTime<Utc>) -> i64 {
        (now - self.accepted_at).num_seconds().max(0)
    }

    /// How messages name the job: kind, key and the service's id.
    pub fn label(&self) -> String {
        format!("{} {} (service id {})", self.kind, self.job_key, self.service_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_and_detail_type_convert_into_each_other() {
        for (kind, detail_type) in [
            ("segment-snapshot", "Segment Snapshot Requested"),
            ("endpoint-import", "Endpoint Import Requested"),
            ("dashboard-snapshot", "Dashboard Snapshot Requested"),
        ] {
            assert_eq!(Kind::new(kind).detail_type(), detail_type);
            assert_eq!(Kind::of_detail_type(detail_type), Some(Kind::new(kind)));
        }
        for other in ["Scheduled Event", "Requested", " Requested", "Ä Requested", ""] {
            assert_eq!(Kind::of_detail_type(other), None, "{other}");
        }
    }

    #[test]
    fn the_message_of_a_lambda_error_is_taken_out_of_its_json() {
        let lambda = TaskError {
            error: "X".into(),
            cause: r#"{"errorType":"X","errorMessage":"why"}"#.into(),
        };
        assert_eq!(lambda.message(), "why");
        let plain = TaskError {
            error: "States.Timeout".into(),
            cause: "late".into(),
        };
        assert_eq!(plain.message(), "late");
    }

    #[test]
    fn error_names_of_others_become_internal() {
        let error = |name: &str, cause: &str| TaskError {
            error: name.into(),
            cause: cause.into(),
        };
        let lambda = TaskError::named(Some(&error("Sandbox.Timedout", r#"{"errorMessage":"late"}"#)));
        assert_eq!(lambda.error, "Landfall.Internal");
        assert!(lambda.cause.starts_with("Sandbox.Timedout: late"));
        let ours = TaskError::named(Some(&error("Landfall.Forbidden", r#"{"errorMessage":"no"}"#)));
        assert_eq!(ours, error("Landfall.Forbidden", "no"));
        assert_eq!(TaskError::named(None).error, "Landfall.Internal");
    }

    #[test]
    fn the_gist_of_a_list_of_faults_is_the_first_one() {
        let gist = |cause: &str| {
            let error = TaskError {
                error: String::new(),
                cause: cause.into(),
            };
            error.gist()
        };
        assert_eq!(gist("2 faults:\n  $.a: one\n  $.b: two"), "$.a: one");
        assert_eq!(gist("it failed\n  because"), "it failed");
        assert_eq!(gist("faults:"), "faults:");
        assert_eq!(gist(""), "");
    }
}
