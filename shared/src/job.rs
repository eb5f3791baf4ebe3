//! The one value that goes through the state machine.
//!
//! What must stay true: a [`Job`] stays a few KB (lists and reports lie in S3, it carries pointers and counts), holds no
//! value that a service marks as sensitive, and whatever a state needs to know is in it or in the ledger.

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

/// Longest cause that goes on through the state machine, in characters.
const MAX_CAUSE: usize = 4_000;

/// Longest cause of a missed poll, in characters.
const MAX_SHORT_CAUSE: usize = 1_000;

/// The kind of a job, such as `segment-snapshot`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Kind(String);

impl Kind {
    /// A kind by its name: lower-case letters and hyphens.
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

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a job is: what the state machine branches on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The service works on it.
    Running,
    /// The service says that it is done.
    Succeeded,
    /// The service says that it failed.
    Failed,
    /// It did not end before its deadline.
    TimedOut,
    /// Its outcome is decided and stands in the ledger.
    Sealed,
}

impl Status {
    /// The name that a job and the log have.
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

/// How much of the output is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Only the listing: keys, sizes and times.
    Listing,
    /// Also the metadata of every object, and its ends: headers, footers, directories.
    Structure,
    /// Every byte, hashed and decoded.
    #[default]
    Full,
}

impl Level {
    /// The name that events and receipts use.
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

/// Parts of the work that are done, as the service counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Parts done.
    pub done: u64,
    /// All parts.
    pub total: u64,
}

impl Progress {
    /// The share that is done, 0 to 1; `None` while the total is unknown.
    #[allow(clippy::cast_precision_loss)]
    pub fn share(self) -> Option<f64> {
        (self.total > 0).then(|| (self.done as f64 / self.total as f64).min(1.0))
    }
}

/// What the service says it handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Rows handled.
    pub processed: u64,
    /// Rows that failed.
    pub failed: u64,
}

/// An error as Step Functions carries it: its name and its cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TaskError {
    /// The name, such as `Landfall.TimedOut` or one of Lambda's own.
    #[serde(rename = "Error")]
    pub error: String,
    /// For an error of a function the JSON of `errorType` and `errorMessage`, else a text.
    #[serde(rename = "Cause", default)]
    pub cause: String,
}

impl TaskError {
    /// The message for a person: the function's own `errorMessage` where the cause is Lambda's JSON.
    pub fn message(&self) -> String {
        let payload = serde_json::from_str::<Value>(&self.cause).ok();
        let message = payload
            .as_ref()
            .and_then(|payload| payload.get("errorMessage"))
            .and_then(Value::as_str);
        message.unwrap_or(&self.cause).to_owned()
    }

    /// The first line of the message; where that only leads up to a list, what the list begins with.
    pub fn gist(&self) -> String {
        let message = self.message();
        let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let next = lines.next().filter(|_| first.ends_with(':'));
        next.unwrap_or(first).to_owned()
    }

    /// The error with its message alone, cut to what a job carries along and a receipt tells.
    #[must_use]
    pub fn short(&self) -> Self {
        Self {
            error: self.error.clone(),
            cause: self.message().chars().take(MAX_SHORT_CAUSE).collect(),
        }
    }

    /// What the state machine says of a failed step, under one of our names and with a message for a person.
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

/// Polls that brought no news: the service did not answer or refused to, or the function that asks it could not run or
/// died. None of them says anything about the job.
///
/// The state machine counts those whose function gave no answer, the function counts the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Missed {
    /// All of them, by this execution.
    pub count: u32,
    /// Those whose function gave no answer.
    pub unanswered: u32,
    /// Those since the last news.
    pub in_a_row: u32,
    /// Seconds to wait after the next one whose function gives no answer. It grows with each of them, for good.
    pub rest_seconds: u32,
    /// Why the last one brought none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<TaskError>,
    /// Whether the last poll brought news of a job that was announced as stalled, and nobody was told of it yet.
    pub resumed: bool,
}

/// What an outcome keeps of the polls that brought no news.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissedPolls {
    /// All of them.
    pub count: u32,
    /// Those whose function could not run or died.
    pub unanswered: u32,
    /// Why the last one brought no news.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<TaskError>,
}

impl Missed {
    /// What an outcome keeps; nothing if no poll was missed.
    pub fn summary(&self) -> Option<MissedPolls> {
        (self.count > 0).then(|| MissedPolls {
            count: self.count,
            unanswered: self.unanswered,
            last: self.last.as_ref().map(TaskError::short),
        })
    }
}

/// What the output of a job must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The folder of this attempt; everything the service writes lies beneath it.
    pub prefix: S3Uri,
    /// The format asked for; absent where the service names each file with its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// ARN of the KMS key asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// Whether a complete export may have no rows.
    pub allow_empty: bool,
    /// Whether another number of rows than the service reports makes the job fail.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict_row_count: bool,
    /// Seconds between the two listings.
    pub settle_seconds: u64,
    /// How much of it is looked at.
    #[serde(default)]
    pub level: Level,
    /// What the event expects of it, beyond what every output must be.
    #[serde(default, skip_serializing_if = "Expectations::is_empty")]
    pub expect: Expectations,
}

/// Where an object lies, in the form that a state machine can take apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectRef {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

/// A verification that goes on in slices: while it stands in the job, the state machine runs them and verifies again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verifying {
    /// The list of slices to run: a JSON array whose items are each the input of one invocation.
    pub manifest: ObjectRef,
    /// How far the verification is: an object in the ledger bucket.
    pub work: String,
    /// Slices of the manifest.
    #[serde(alias = "batches")]
    pub slices: u64,
    /// Most slices that run at a time.
    pub concurrency: u64,
}

/// A file that the service names as its output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamedFile {
    /// What was asked for, such as `FileGroups[0] CSV`.
    pub label: String,
    /// The format asked for.
    pub format: Format,
    /// Where the service says it lies; never a presigned link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<S3Uri>")]
    pub uri: Option<S3Object>,
    /// The service's code and words for why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Whether a service said this itself: where an answer lacks a text or a word that its model requires, the SDK puts one in.
#[must_use]
pub fn is_told(word: &str) -> bool {
    !["", "no value was set"].contains(&word)
}

/// What the service says that it was asked for, held against what it was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Echo {
    /// Members that were compared, by their names.
    pub compared: Vec<String>,
    /// Those of them that differ. Their values are not kept.
    pub differs: Vec<String>,
}

impl Echo {
    /// Compares a member, unless the request leaves it to the service or the service does not tell it.
    pub fn compare(&mut self, name: &str, asked: Option<&str>, told: Option<&str>) {
        if let (Some(asked), Some(told)) = (asked, told.filter(|told| is_told(told))) {
            self.note(name, asked == told);
        }
    }

    /// Notes whether a member is what was asked for.
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
    /// It was asked for.
    Asked {
        /// The service's id of it.
        id: String,
    },
    /// It is known.
    Known {
        /// Rows.
        rows: u64,
    },
    /// There is none.
    Missing {
        /// Why not.
        reason: String,
    },
}

/// What a job reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Where.
    pub uri: S3Uri,
    /// The format that it was found to have.
    pub format: Format,
    /// Objects.
    pub objects: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Rows in them.
    pub rows: u64,
}

/// Where the report of the verification lies, with what it found in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportPointer {
    /// Key in the ledger bucket.
    pub key: String,
    /// SHA-256 of the report's bytes, hex.
    pub sha256: String,
    /// `passed`, `passed_with_warnings` or `failed`.
    pub verdict: String,
    /// Data objects; those of the source, of a job that writes nothing.
    pub objects: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// How a job ended, for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// `succeeded` or `failed`.
    pub verdict: Verdict,
    /// Why it failed; the name is one of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// Where the receipt lies.
    pub receipt: S3Uri,
    /// Whether this execution is the one that announces it.
    pub announce: bool,
    /// The execution that decided it.
    pub sealed_by: String,
    /// When it was decided.
    pub sealed_at: DateTime<Utc>,
}

/// The two ways a job can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The output is complete and proved.
    Succeeded,
    /// Anything else.
    Failed,
}

impl Verdict {
    /// The word for it, as in receipts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// The event that says how a job ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Announcement {
    /// `Export Job Succeeded` or `Export Job Failed`.
    pub detail_type: String,
    /// Empty: Step Functions itself adds the execution and its state machine to the event's resources. Executions that an
    /// earlier deployment started read this member.
    pub resources: Vec<String>,
    /// Kind, job key, receipt and, for a failure, the error.
    pub detail: Value,
}

/// One run of one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// `landfall.job/1`.
    pub schema: String,
    /// The kind.
    pub kind: Kind,
    /// `<trigger time>-<hash>`; the same trigger gives the same key.
    pub job_key: String,
    /// The user's own name for it. Null without one, since the state machine reads it.
    #[serde(default)]
    pub name: Option<String>,
    /// ARN of the execution that carries this value.
    pub execution: String,
    /// How far it is.
    pub status: Status,
    /// The request as the service was given it, without what is sensitive.
    pub request: Value,
    /// SHA-256 of the canonical request, hex: runs of the same request have the same.
    #[serde(default)]
    pub request_sha256: String,
    /// The service's id of the attempt that counts.
    pub service_id: String,
    /// Number of that attempt, from 1.
    pub attempt: u32,
    /// How this execution came to it.
    pub adopted: bool,
    /// When the attempt was claimed, right before its start call: nothing that it writes is older.
    pub started_at: DateTime<Utc>,
    /// When the service gave the id.
    pub accepted_at: DateTime<Utc>,
    /// When the job is given up.
    pub deadline_at: DateTime<Utc>,
    /// What must come out; absent for kinds that write nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
    /// What goes in; absent for kinds that read nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Waits between polls.
    pub polling: Bounds,
    /// How long earlier runs of the request took, newest last, while the job runs: at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Ran>,
    /// Seconds until the next poll.
    pub wait_seconds: u32,
    /// Polls so far, by this execution.
    pub polls: u32,
    /// Polls that brought no news.
    #[serde(default)]
    pub missed: Missed,
    /// The service's own word for the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_status: Option<String>,
    /// The service's own message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_message: Option<String>,
    /// How far the work is, where the service says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Rows, where the service counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The first failures that the service names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// The files that the service names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<NamedFile>>,
    /// What the service says that it was asked for, held against the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<Echo>,
    /// The service's own estimate of the rows, where the event expects one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// When it was last seen running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_at: Option<DateTime<Utc>>,
    /// When the end was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// When it ended by the service's own clock, where the service says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ended_at: Option<DateTime<Utc>>,
    /// A verification that is larger than one invocation, until it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifying: Option<Verifying>,
    /// What verification found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportPointer>,
    /// What went wrong on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What is told to the event bus.
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

    /// Names the job in a message: kind, key and the service's id.
    pub fn label(&self) -> String {
        format!("{} {} (service id {})", self.kind, self.job_key, self.service_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_and_detail_type_lead_to_each_other() {
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
    fn the_message_of_a_lambda_error_is_its_own() {
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
    fn only_our_names_go_on() {
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
    fn the_gist_of_a_list_is_its_first_item() {
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
