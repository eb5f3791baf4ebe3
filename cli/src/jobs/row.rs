//! One job in a list.
//!
//! What must stay true: a row is a pure function of the ledger's entry, of what is known of its execution, and of the
//! time. It says nothing about the job that these do not show.

use chrono::{DateTime, TimeDelta, Utc};
use landfall::{
    job::{TaskError, Verdict},
    ledger::{AttemptState, Entry},
};
use landfall_output::receipt::Receipt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cost::Cost,
    document::NamedError,
    executions::{Listed, State, of_owner},
};

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It waits for a slot, or for its service.
    Queued,
    /// Its start call is being made, or was lost.
    Starting,
    /// The service works on it, or its output is verified.
    Running,
    /// It is sealed as a success.
    Succeeded,
    /// It is sealed as a failure.
    Failed,
    /// Its execution was stopped or ran out of time. Nothing goes on with it.
    Aborted,
    /// Its execution ended before the outcome was sealed and announced, although it may be decided. A redrive finishes
    /// it.
    Unsealed,
}

impl Status {
    /// All of them, in the order of a job's life.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Starting,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Aborted,
        Self::Unsealed,
    ];

    /// The published name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
            Self::Unsealed => "unsealed",
        }
    }

    /// Whether somebody has to look at the job.
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Aborted | Self::Unsealed)
    }

    /// Whether the job goes on by itself.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Starting | Self::Running)
    }
}

/// One job.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Row {
    /// The kind.
    pub kind: String,
    /// The job key. It is `rejected-…` for an event of which no job was made.
    pub job_key: String,
    /// The user's own name for it.
    pub name: Option<String>,
    /// What was exported or imported: a segment, a dashboard, an application.
    pub what: String,
    /// Its state.
    pub status: Status,
    /// The trigger's own time. For a schedule this is the planned time.
    pub triggered_at: DateTime<Utc>,
    /// When the job was claimed. If it never was, when the execution was started.
    pub began_at: DateTime<Utc>,
    /// When its outcome was decided.
    pub sealed_at: Option<DateTime<Utc>>,
    /// When Landfall gives it up.
    pub deadline_at: Option<DateTime<Utc>>,
    /// Seconds from its begin to its seal, or until now.
    pub seconds: f64,
    /// How many attempts were claimed. One that waits for a slot has made no start call yet.
    pub attempts: usize,
    /// How often the service was polled.
    pub polls: u32,
    /// Data objects that were verified.
    pub objects: Option<u64>,
    /// Rows in them.
    pub rows: Option<u64>,
    /// Bytes in them.
    pub bytes: Option<u64>,
    /// The verdict of the checks: `passed`, `passed_with_warnings` or `failed`.
    pub verification: Option<String>,
    /// What it cost. Only a sealed job has this.
    pub cost: Option<Cost>,
    /// Why it failed, or why its execution ended.
    pub error: Option<NamedError>,
    /// What an open job waits for.
    pub waits_for: Option<String>,
    /// The service's id.
    pub service_id: Option<String>,
    /// The execution that sealed the outcome, or that works on the job.
    pub execution: Option<String>,
    /// Where the receipt lies.
    pub receipt: Option<String>,
    /// Where the service writes.
    pub prefix: Option<String>,
    /// SHA-256 of the request. Jobs with the same request have the same.
    pub request_sha256: String,
    /// The failed job whose start call this job goes on with.
    pub picks_up: Option<String>,
    /// The jobs that went on with this job's start call.
    pub picked_up_by: Vec<String>,
}

impl Row {
    /// The row of an entry of the ledger. `execution` is the execution that decided its outcome or, without an outcome,
    /// the newest one that is known to work, or to have worked, on it.
    pub fn of_entry(entry: &Entry, execution: Option<&Listed>, now: DateTime<Utc>) -> Self {
        let last = entry.attempts.last();
        let outcome = entry.outcome.as_ref();
        let counted = outcome
            .and_then(|outcome| outcome.attempt)
            .and_then(|number| entry.attempts.iter().find(|attempt| attempt.number == number))
            .or(last);
        let report = outcome.and_then(|outcome| outcome.report.as_ref());
        let status = status(entry, execution);
        let owner = match outcome {
            Some(outcome) => Some(outcome.sealed_by.clone()),
            None => execution
                .map(|execution| execution.arn.clone())
                .or_else(|| last.map(|attempt| of_owner(&attempt.owner).to_owned())),
        };
        let ended = match outcome {
            Some(outcome) => outcome.sealed_at,
            None => execution.and_then(|execution| execution.stopped_at).unwrap_or(now),
        };
        let error = match (outcome, status) {
            (Some(outcome), _) => outcome.error.as_ref().map(named),
            (None, Status::Aborted) => Some(aborted(execution.map(|execution| execution.state))),
            _ => None,
        };
        Self {
            kind: entry.kind.as_str().to_owned(),
            job_key: entry.trigger.job_key.clone(),
            name: entry.name.clone(),
            what: what(&entry.request),
            status,
            triggered_at: entry.trigger.time,
            began_at: entry.created_at,
            sealed_at: outcome.map(|outcome| outcome.sealed_at),
            deadline_at: Some(entry.deadline_at),
            seconds: seconds(ended - entry.created_at),
            attempts: entry.attempts.len(),
            polls: outcome.map_or(0, |outcome| outcome.polls),
            objects: report.map(|report| report.objects),
            rows: report.map(|report| report.rows),
            bytes: report.map(|report| report.bytes),
            verification: report.map(|report| report.verdict.clone()),
            cost: outcome.map(Cost::of),
            error,
            waits_for: waits_for(entry, status),
            service_id: counted.and_then(|attempt| attempt.service_id.clone()),
            execution: owner,
            receipt: outcome.map(|outcome| outcome.receipt.to_string()),
            prefix: counted.map(|attempt| attempt.prefix.to_string()),
            request_sha256: entry.trigger.request_sha256.clone(),
            picks_up: entry.picks_up.clone(),
            picked_up_by: entry.picked_up_by.clone(),
        }
    }

    /// The row of a delivery that failed because of its own fault: no job was made of its event, or another delivery
    /// has the job.
    pub fn of_rejected(receipt: &Receipt, place: &str) -> Self {
        Self {
            kind: receipt.kind.as_str().to_owned(),
            job_key: receipt.job_key.clone(),
            name: receipt.name.clone(),
            what: what(&receipt.request),
            status: match receipt.verdict {
                Verdict::Succeeded => Status::Succeeded,
                Verdict::Failed => Status::Failed,
            },
            triggered_at: receipt.times.triggered_at,
            began_at: receipt.times.claimed_at,
            sealed_at: Some(receipt.times.sealed_at),
            deadline_at: None,
            seconds: seconds(receipt.times.sealed_at - receipt.times.claimed_at),
            attempts: receipt.attempts.len(),
            polls: receipt.polls,
            objects: None,
            rows: None,
            bytes: None,
            verification: None,
            cost: None,
            error: receipt.error.as_ref().map(named),
            waits_for: None,
            service_id: None,
            execution: Some(receipt.execution.clone()),
            receipt: Some(place.to_owned()),
            prefix: None,
            request_sha256: receipt.trigger.request_sha256.clone(),
            picks_up: None,
            picked_up_by: Vec::new(),
        }
    }

    /// The row of an execution that left nothing in the ledger. It was stopped or failed before its job was claimed or
    /// sealed, or it has only begun.
    pub fn of_execution(
        execution: &Listed,
        kind: &str,
        job_key: &str,
        input: &Value,
        error: Option<NamedError>,
        now: DateTime<Utc>,
    ) -> Self {
        let status = match execution.state {
            State::Running | State::Succeeded => Status::Starting,
            State::Aborted | State::TimedOut => Status::Aborted,
            State::Failed => Status::Unsealed,
        };
        let error = match status {
            Status::Aborted => Some(aborted(Some(execution.state))),
            Status::Unsealed => error,
            _ => None,
        };
        Self {
            kind: kind.to_owned(),
            job_key: job_key.to_owned(),
            name: input["detail"]["Landfall"]["Name"].as_str().map(str::to_owned),
            what: what(&input["detail"]),
            status,
            triggered_at: input["time"]
                .as_str()
                .and_then(|time| time.parse().ok())
                .unwrap_or(execution.started_at),
            began_at: execution.started_at,
            sealed_at: None,
            deadline_at: None,
            seconds: seconds(execution.stopped_at.unwrap_or(now) - execution.started_at),
            attempts: 0,
            polls: 0,
            objects: None,
            rows: None,
            bytes: None,
            verification: None,
            cost: None,
            error,
            waits_for: None,
            service_id: None,
            execution: Some(execution.arn.clone()),
            receipt: None,
            prefix: None,
            request_sha256: String::new(),
            picks_up: None,
            picked_up_by: Vec::new(),
        }
    }

    /// The part of the job key that people type: its hash. It is nearly always enough to tell jobs apart.
    pub fn short(&self) -> &str {
        self.job_key.rsplit('-').next().unwrap_or(&self.job_key)
    }

    /// How a command names the job: by its key, or by its execution if that left nothing in the ledger.
    pub fn reference(&self) -> &str {
        match (&self.execution, &self.receipt, self.deadline_at) {
            (Some(execution), None, None) => execution,
            _ => &self.job_key,
        }
    }

    /// What people call the job: its name, or what was exported.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.what)
    }
}

fn status(entry: &Entry, execution: Option<&Listed>) -> Status {
    let state = execution.map(|execution| execution.state);
    match (&entry.outcome, state) {
        // Seal decides the outcome before it writes the receipt. Once all is announced, a success ends its execution as
        // succeeded, and a failure as failed.
        (Some(outcome), state) => {
            let by_it = execution.is_some_and(|execution| execution.arn == outcome.sealed_by);
            match (outcome.verdict, state.filter(|_| by_it)) {
                (_, Some(State::Aborted | State::TimedOut)) | (Verdict::Succeeded, Some(State::Failed)) => {
                    Status::Unsealed
                }
                (Verdict::Succeeded, _) => Status::Succeeded,
                (Verdict::Failed, _) => Status::Failed,
            }
        }
        (None, Some(State::Aborted | State::TimedOut)) => Status::Aborted,
        // A success whose outcome is missing was read a moment too early.
        (None, Some(State::Failed)) => Status::Unsealed,
        (None, Some(State::Running | State::Succeeded) | None) => {
            match entry.attempts.last().map(|attempt| attempt.state) {
                Some(AttemptState::Waiting) => Status::Queued,
                Some(AttemptState::Started) => Status::Running,
                _ => Status::Starting,
            }
        }
    }
}

fn waits_for(entry: &Entry, status: Status) -> Option<String> {
    let last = entry.attempts.last()?;
    match status {
        Status::Queued => Some(last.error.as_ref().map_or_else(|| "a slot".to_owned(), TaskError::gist)),
        Status::Starting => Some(match last.state {
            AttemptState::Uncertain => "what became of a start call whose answer was lost".to_owned(),
            _ if last.unreachable_since.is_some() => "the service, which no request reaches".to_owned(),
            _ => "the answer of the start call".to_owned(),
        }),
        Status::Running => Some("the service".to_owned()),
        _ => None,
    }
}

fn aborted(state: Option<State>) -> NamedError {
    let (name, message) = match state {
        Some(State::TimedOut) => ("TIMED_OUT", "its execution ran out of time"),
        _ => ("ABORTED", "its execution was stopped"),
    };
    NamedError {
        name: name.to_owned(),
        message: format!("{message}; the service may still work on the job"),
    }
}

fn named(error: &TaskError) -> NamedError {
    NamedError {
        name: error.error.clone(),
        message: error.message(),
    }
}

#[allow(clippy::cast_precision_loss)]
fn seconds(delta: TimeDelta) -> f64 {
    (delta.num_milliseconds().max(0) as f64) / 1_000.0
}

/// What a request asks for, in words that people know. A request of an unknown kind shows its first text.
pub fn what(request: &Value) -> String {
    let text = |name: &str| request[name].as_str();
    let import = request["ImportJobRequest"]["S3Url"].as_str();
    if let Some(segment) = text("SegmentDefinitionName") {
        return match text("DomainName") {
            Some(domain) => format!("{segment} of {domain}"),
            None => segment.to_owned(),
        };
    }
    if let Some(dashboard) = text("DashboardId") {
        return dashboard.to_owned();
    }
    match (
        text("ApplicationId"),
        import,
        request["ExportJobRequest"]["SegmentId"].as_str(),
    ) {
        (Some(application), Some(source), _) => {
            let file = source.trim_end_matches('/').rsplit('/').next().unwrap_or(source);
            format!("{file} into {application}")
        }
        (Some(application), _, Some(segment)) => format!("{segment} of {application}"),
        (Some(application), ..) => application.to_owned(),
        (None, ..) => request
            .as_object()
            .and_then(|members| members.values().find_map(Value::as_str))
            .unwrap_or_default()
            .to_owned(),
    }
}
