//! The receipt: the sealed proof of how a job ended.
//!
//! What must stay true: a receipt is a pure function of the ledger entry, whose outcome is decided once, and of the
//! report that the outcome points to. So an execution that finishes a seal which another one began writes the same
//! receipt.

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

/// The name of the list of all objects, beside the receipt. It has JSON lines; each line is an object as in
/// [`Output::objects`].
pub const OBJECTS_NAME: &str = "_objects.jsonl";

/// The name of the manifest for Redshift's COPY, beside the receipt. It lists the data objects.
pub const MANIFEST_NAME: &str = "_manifest.json";

/// A start call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// How far the attempt is.
    pub state: AttemptState,
    /// Where the attempt writes.
    pub prefix: S3Uri,
    /// When the attempt was claimed.
    pub claimed_at: DateTime<Utc>,
    /// When the service gave an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// Why there is no id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
}

/// The times of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// The trigger's time; for a schedule the planned time.
    pub triggered_at: DateTime<Utc>,
    /// When the job was first claimed in the ledger.
    pub claimed_at: DateTime<Utc>,
    /// When the service gave an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<DateTime<Utc>>,
    /// When a poll saw that the job had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<DateTime<Utc>>,
    /// When the output was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<DateTime<Utc>>,
    /// When the outcome was decided.
    pub sealed_at: DateTime<Utc>,
    /// When the job would have been given up.
    pub deadline_at: DateTime<Utc>,
}

/// What the service last said about the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// The service's id for the attempt that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The service's word for the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The service's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Rows as the service counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The first failures that the service names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
}

/// The output that landed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// The folder of the output.
    pub prefix: S3Uri,
    /// The format that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Number of data objects.
    pub object_count: u64,
    /// Rows in the data objects.
    pub rows: u64,
    /// Bytes in the data objects.
    pub bytes: u64,
    /// The first 1,000 objects.
    pub objects: Vec<VerifiedObject>,
    /// How many further objects there are. `objects_file` lists them too.
    pub objects_omitted: u64,
    /// The list of all objects, if there are more than 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects_file: Option<Sidecar>,
}

/// A file that lists all objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sidecar {
    /// Where the file is: beside the receipt of a success; in the ledger bucket for a failure.
    pub uri: S3Uri,
    pub bytes: u64,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
}

/// How the output was verified.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// `passed`, `passed_with_warnings` or `failed`.
    pub verdict: String,
    /// How thoroughly the output was checked.
    #[serde(default)]
    pub level: Level,
    /// All checks, with their verdicts and reasons.
    pub checks: Vec<Check>,
    /// Where the whole report is.
    pub report: S3Uri,
    /// SHA-256 of the report, in hex.
    pub report_sha256: String,
}

/// How much of Step Functions and Lambda was used by the execution whose outcome stands. Retries are not counted, and
/// each slice counts as read in one round and by one invocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// States entered.
    pub state_transitions: u64,
    /// Functions invoked.
    pub invocations: u64,
}

impl Usage {
    /// Computes the usage from an outcome. Each job enters Receive, Asked, Start, Seal, Sealed, Announce, Outcome and
    /// the last state. Status follows Start and each poll, and each poll has a Wait. If there is a report, Verify and
    /// Verified are added, once more after the slices, and the slices themselves. Neither the report nor the entry says
    /// how many rounds and invocations the slices took.
    pub fn of(outcome: &Outcome, slices: Option<u64>) -> Self {
        let (polls, verified) = (u64::from(outcome.polls), u64::from(slices.is_some()));
        let slices = slices.unwrap_or_default();
        let again = u64::from(slices > 0);
        let started = u64::from(outcome.attempt.is_some());
        // A poll that gave no answer adds Rest or Wait, Poll, Missed and Overdue.
        let unanswered = outcome
            .missed_polls
            .as_ref()
            .map_or(0, |missed| u64::from(missed.unanswered));
        let of_slices = TRANSITIONS_OF_ROUND * again + (TRANSITIONS + TRANSITIONS_OF_TURN) * slices;
        let state_transitions = 8 + started + 3 * polls + 4 * unanswered + 2 * verified + of_slices;
        Self {
            state_transitions,
            invocations: 2 + polls + verified + again + slices,
        }
    }
}

/// The receipt, as stored in S3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// `landfall.receipt/1`.
    pub schema: String,
    /// The version of Landfall that sealed the job.
    pub landfall: String,
    /// How the job ended.
    pub verdict: Verdict,
    /// Why the job failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    pub kind: Kind,
    pub job_key: String,
    /// The name that the user gave the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What set the job off.
    pub trigger: Trigger,
    /// The request without sensitive values; null if the job was never started.
    pub request: Value,
    /// What the service last said about the job.
    pub service: Service,
    /// The times of the job.
    pub times: Times,
    /// Polls by the execution whose outcome stands.
    pub polls: u32,
    /// The polls among them that brought no news, with the last reason; absent if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_polls: Option<MissedPolls>,
    /// All start calls.
    pub attempts: Vec<Attempt>,
    /// The failed job that made the start call, if this job picked it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picks_up: Option<String>,
    /// Jobs at the service that do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orphans: Vec<Orphan>,
    /// The objects that the job read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// The output that landed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
    /// How the output was verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// The execution whose outcome stands.
    pub execution: String,
    /// How much of AWS the job used. Its cost follows from current prices. Receipts of earlier versions have a price
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
                // A report of an earlier version does not have this number. It lists all objects.
                let all = report.all_objects.max(report.objects.len() as u64);
                let omitted = all - report.objects.len().min(MAX_OBJECTS) as u64;
                let objects_file = report.objects_file.as_ref();
                // If the job writes nothing, the report is about its source.
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

    /// Whether two receipts are of the same outcome. They may differ otherwise, because another version of Landfall may
    /// have written one.
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

/// Whether the receipt is beside the data. It is if the job succeeded and writes output.
pub(crate) fn is_beside_data(outcome: &Outcome) -> bool {
    outcome.verdict == Verdict::Succeeded && outcome.receipt.key.rsplit('/').next() == Some(NAME)
}

/// Where readers of the receipt find the list of all objects.
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

/// The object `name` in the folder of a receipt.
pub(crate) fn beside(receipt: &S3Uri, name: &str) -> S3Uri {
    let folder = receipt.key.rfind('/').map_or("", |slash| &receipt.key[..=slash]);
    S3Uri {
        bucket: receipt.bucket.clone(),
        key: format!("{folder}{name}"),
    }
}
