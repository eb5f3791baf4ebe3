//! The sealed proof of a finished job.
//!
//! What must stay true: a receipt is a pure function of the ledger entry, whose outcome is decided once, and of the
//! report that the outcome points to. Whoever has to finish a seal that somebody else began writes the same receipt.

use chrono::{DateTime, Utc};
use landfall::{
    job::{Counts, Format, Kind, Level, MissedPolls, Source, TaskError, Verdict},
    ledger::{AttemptState, Entry, Orphan, Outcome},
    s3_uri::S3Uri,
    slices::{TRANSITIONS, TRANSITIONS_OF_ROUND, TRANSITIONS_OF_TURN},
    trigger::Trigger,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::verify::{Check, MAX_OBJECTS, ObjectsFile, Report, VerifiedObject};

/// The schema of [`Receipt`].
pub const SCHEMA: &str = "landfall.receipt/1";

/// The object's name in the run's prefix. Athena, Spark and Hive skip names that begin with an underscore.
pub const NAME: &str = "_receipt.json";

/// The name of the list of all objects, beside the receipt. JSON lines, each an object as in [`Output::objects`].
pub const OBJECTS_NAME: &str = "_objects.jsonl";

/// The name of the list of data objects for Redshift's COPY, beside the receipt.
pub const MANIFEST_NAME: &str = "_manifest.json";

/// One start call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// How far it came.
    pub state: AttemptState,
    /// Where it writes.
    pub prefix: S3Uri,
    /// When it was claimed.
    pub claimed_at: DateTime<Utc>,
    /// When the service gave an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// The service's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
}

/// When what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// The trigger's own time: of a schedule the planned one.
    pub triggered_at: DateTime<Utc>,
    /// The claim in the ledger.
    pub claimed_at: DateTime<Utc>,
    /// The service gave an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// The end was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// The output was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<DateTime<Utc>>,
    /// The outcome was decided.
    pub sealed_at: DateTime<Utc>,
    /// When the job would have been given up.
    pub deadline_at: DateTime<Utc>,
}

/// What the service said last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Its id of the attempt that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its word for the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Its message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Rows as it counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The first failures that it names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

/// What landed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The prefix that holds it.
    pub prefix: S3Uri,
    /// The format asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Number of data objects.
    pub object_count: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// The objects, at most 1,000.
    pub objects: Vec<VerifiedObject>,
    /// How many more there are, in `objects_file`.
    pub objects_omitted: u64,
    /// All of them, if they are more than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects_file: Option<Sidecar>,
}

/// The list of all objects, in a file of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sidecar {
    /// Where it lies: beside the receipt of a success; of a failure in the ledger bucket.
    pub uri: S3Uri,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes, hex.
    pub sha256: String,
}

/// What was checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// `passed`, `passed_with_warnings` or `failed`.
    pub verdict: String,
    /// How much of the output was looked at.
    #[serde(default)]
    pub level: Level,
    /// Every check with its verdict and reason.
    pub checks: Vec<Check>,
    /// The whole report.
    pub report: S3Uri,
    /// SHA-256 of the report's bytes, hex.
    pub report_sha256: String,
}

/// What the execution whose outcome stands used of Step Functions and Lambda: without retries, and as if each of its
/// slices had been read in one round and by one invocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// States entered.
    pub state_transitions: u64,
    /// Functions invoked.
    pub invocations: u64,
}

impl Usage {
    /// What an outcome shows: Receive, Start, then Seal, Sealed, Announce, Outcome and the end; Status after each of Start
    /// and the polls, which come with a Wait. Then Verify and Verified if there is a report, again after its `slices`, and
    /// the slices: neither the report nor the entry says how many rounds and invocations they took.
    pub fn of(outcome: &Outcome, slices: Option<u64>) -> Self {
        let (polls, verified) = (u64::from(outcome.polls), u64::from(slices.is_some()));
        let slices = slices.unwrap_or_default();
        let again = u64::from(slices > 0);
        let started = u64::from(outcome.attempt.is_some());
        // Rest or Wait, Poll, Missed and Overdue of each poll that gave no answer.
        let unanswered = outcome
            .missed_polls
            .as_ref()
            .map_or(0, |missed| u64::from(missed.unanswered));
        let of_slices = TRANSITIONS_OF_ROUND * again + (TRANSITIONS + TRANSITIONS_OF_TURN) * slices;
        let state_transitions = 7 + started + 3 * polls + 4 * unanswered + 2 * verified + of_slices;
        Self {
            state_transitions,
            invocations: 2 + polls + verified + again + slices,
        }
    }
}

/// The proof, as it stands in S3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// `landfall.receipt/1`.
    pub schema: String,
    /// The version of Landfall that sealed it.
    pub landfall: String,
    /// How the job ended.
    pub verdict: Verdict,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// The kind.
    pub kind: Kind,
    /// The job key.
    pub job_key: String,
    /// The user's own name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What set it off.
    pub trigger: Trigger,
    /// The request, without what is sensitive; null for a job that was never started.
    pub request: Value,
    /// What the service said last.
    pub service: Service,
    /// When what happened.
    pub times: Times,
    /// Polls of the execution whose outcome stands.
    pub polls: u32,
    /// Those that brought no news, with the reason of the last one; absent if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_polls: Option<MissedPolls>,
    /// Every start call.
    pub attempts: Vec<Attempt>,
    /// The failed job that made the start call, if this one only went on with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picks_up: Option<String>,
    /// Jobs that were started and do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<Orphan>,
    /// What was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// What landed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
    /// What was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// The execution whose outcome stands.
    pub execution: String,
    /// How much work it was. What it cost follows from the prices of the day. Receipts of earlier versions have a price
    /// instead.
    #[serde(default)]
    pub usage: Usage,
}

impl Receipt {
    /// The receipt of an entry whose outcome is decided.
    pub fn new(entry: &Entry, outcome: &Outcome, report: Option<Report>, ledger_bucket: &str) -> Self {
        let counted = outcome.attempt.and_then(|number| entry.attempt(number));
        let verified_at = report.as_ref().map(|report| report.checked_at);
        let slices = report.as_ref().map(|report| report.slices);
        let parts = outcome.report.as_ref().zip(report);
        let (output, verification) = match parts {
            Some((pointer, report)) => {
                // A report of an earlier version has no such number, and lists all.
                let all = report.all_objects.max(report.objects.len() as u64);
                let omitted = all - report.objects.len().min(MAX_OBJECTS) as u64;
                let objects_file = report.objects_file.as_ref();
                // A job that writes nothing has a report of what it read.
                let output = counted.filter(|_| report.source.is_none()).map(|attempt| Output {
                    prefix: attempt.prefix.clone(),
                    format: entry.format,
                    object_count: pointer.objects,
                    rows: pointer.rows,
                    bytes: pointer.bytes,
                    objects: report.objects.into_iter().take(MAX_OBJECTS).collect(),
                    objects_omitted: omitted,
                    objects_file: objects_file.map(|file| sidecar(outcome, file, ledger_bucket)),
                });
                let verification = Verification {
                    verdict: pointer.verdict.clone(),
                    level: report.level,
                    checks: report.checks,
                    report: S3Uri {
                        bucket: ledger_bucket.to_owned(),
                        key: pointer.key.clone(),
                    },
                    report_sha256: pointer.sha256.clone(),
                };
                (output, Some(verification))
            }
            None => (None, None),
        };
        Self {
            schema: SCHEMA.to_owned(),
            landfall: outcome.landfall.clone(),
            verdict: outcome.verdict,
            error: outcome.error.clone(),
            kind: entry.kind.clone(),
            job_key: entry.trigger.job_key.clone(),
            name: entry.name.clone(),
            trigger: entry.trigger.clone(),
            request: entry.request.clone(),
            service: Service {
                id: counted.and_then(|attempt| attempt.service_id.clone()),
                status: outcome.service_status.clone(),
                message: outcome.service_message.clone(),
                counts: outcome.counts,
                failures: outcome.failures.clone(),
            },
            times: Times {
                triggered_at: entry.trigger.time,
                claimed_at: entry.created_at,
                started_at: counted.and_then(|attempt| attempt.started_at),
                ended_at: outcome.ended_at,
                verified_at,
                sealed_at: outcome.sealed_at,
                deadline_at: entry.deadline_at,
            },
            polls: outcome.polls,
            missed_polls: outcome.missed_polls.clone(),
            attempts: entry.attempts.iter().map(attempt).collect(),
            picks_up: entry.picks_up.clone(),
            orphans: entry.orphans.clone(),
            source: entry.source.clone(),
            usage: Usage::of(outcome, slices),
            output,
            verification,
            execution: outcome.sealed_by.clone(),
        }
    }

    /// Whether `other` is of the same outcome, which is decided once: another version of Landfall may have written it.
    pub fn is_of_same_outcome(&self, other: &Self) -> bool {
        (&self.kind, &self.job_key, &self.execution, self.times.sealed_at)
            == (&other.kind, &other.job_key, &other.execution, other.times.sealed_at)
    }
}

fn attempt(attempt: &landfall::ledger::Attempt) -> Attempt {
    Attempt {
        number: attempt.number,
        state: attempt.state,
        prefix: attempt.prefix.clone(),
        claimed_at: attempt.claimed_at,
        started_at: attempt.started_at,
        service_id: attempt.service_id.clone(),
        error: attempt.error.clone(),
    }
}

/// Whether the outcome is sealed beside the data: only that of a job that succeeded and writes output.
pub(crate) fn is_beside_data(outcome: &Outcome) -> bool {
    outcome.verdict == Verdict::Succeeded && outcome.receipt.key.rsplit('/').next() == Some(NAME)
}

/// Where the list of all objects lies, for whoever reads the receipt.
fn sidecar(outcome: &Outcome, file: &ObjectsFile, ledger_bucket: &str) -> Sidecar {
    let uri = if is_beside_data(outcome) {
        beside(&outcome.receipt, OBJECTS_NAME)
    } else {
        S3Uri {
            bucket: ledger_bucket.to_owned(),
            key: file.key.clone(),
        }
    };
    Sidecar {
        uri,
        bytes: file.bytes,
        sha256: file.sha256.clone(),
    }
}

/// The place of this name beside a receipt.
pub(crate) fn beside(receipt: &S3Uri, name: &str) -> S3Uri {
    let folder = receipt.key.rfind('/').map_or("", |slash| &receipt.key[..=slash]);
    S3Uri {
        bucket: receipt.bucket.clone(),
        key: format!("{folder}{name}"),
    }
}
