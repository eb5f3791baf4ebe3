//! Whose failure it is.
//!
//! What must stay true: an execution that fails closes no job that belongs to another one. Whoever made the start call, or
//! is making it, has the job; so the question is asked of every version of the entry that an outcome is written over.
//!
//! Several executions may share a job. One of them may fail for reasons of its own: its options are wrong, its function
//! died, it had no news when the deadline passed. Such a [`LocalFailure`] is sealed beneath a key of its own, while the job
//! goes on in the execution that has it.

use chrono::{DateTime, Utc};
use landfall::{
    error::{ErrorKind, Result},
    job::{Job, Kind, Status, TaskError},
    ledger::{AttemptState, Entry},
    store::CLOCK_SKEW,
    trigger::{Trigger, rejected_key},
};
use serde_json::json;

/// This execution failed, but the job may belong to another one.
pub(super) struct LocalFailure<'a> {
    pub(super) kind: &'a Kind,
    /// The hash of its request; empty if it has none.
    pub(super) request_sha256: &'a str,
    /// What it is sealed as if the job is not its own to close.
    pub(super) rejected: Trigger,
}

impl LocalFailure<'_> {
    /// Whether this failure must not close an open job: another execution started it, or is starting it, or the event
    /// reused another job's idempotency key.
    pub(super) fn must_not_close(
        &self,
        entry: &Entry,
        execution: &str,
        error: Option<&TaskError>,
        now: DateTime<Utc>,
    ) -> bool {
        // Whoever gets this error saw that no start call can be under way, and none is made any more.
        let is_cancelled = entry.cancel.is_some()
            && error.is_some_and(|error| ErrorKind::from_name(&error.error) == Some(ErrorKind::Cancelled));
        let is_given_up = is_cancelled || error.is_some_and(|error| is_given_up(entry, error, now));
        let is_anothers = is_of_another(entry, execution, now) && !is_given_up;
        is_anothers || entry.trigger.request_sha256 != self.request_sha256
    }
}

/// What the failure of one delivery of a job is sealed as.
pub(super) fn rejected_job(entry: &Entry) -> Result<Trigger> {
    let job_key = &entry.trigger.job_key;
    Ok(Trigger {
        job_key: rejected_key(&entry.kind, &json!({ "job_key": job_key }))?,
        ..entry.trigger.clone()
    })
}

/// Whether the error of a job is one of this execution alone: a step died or could not go on while the service ran the job
/// or before its output was verified, or there was no news of the job when its deadline passed. Another execution may well
/// get further, unless everybody would get the same error.
pub(super) fn is_local(job: &Job) -> bool {
    let is_open = job.report.is_none() && matches!(job.status, Status::Running | Status::Succeeded);
    let is_own = |error: &TaskError| {
        ErrorKind::from_name(&error.error).is_none_or(|kind| kind.is_transient() || kind == ErrorKind::Internal)
    };
    let is_blind = job.status == Status::TimedOut && job.missed.in_a_row > 0;
    is_blind || is_open && job.error.as_ref().is_some_and(is_own)
}

/// Whether an error ends an open job, and not only one delivery of it: the job was not started by its deadline, or nobody
/// can say what its start calls made, and no start call can be under way. Then it is given up for all its deliveries,
/// whichever finds that out.
fn is_given_up(entry: &Entry, error: &TaskError, now: DateTime<Utc>) -> bool {
    let is_started_or_starting = entry.attempts.last().is_some_and(|attempt| match attempt.state {
        AttemptState::Started => true,
        AttemptState::Claimed => now <= attempt.lease_until,
        AttemptState::Uncertain | AttemptState::Refused | AttemptState::Waiting => false,
    });
    let ends_the_job = match ErrorKind::from_name(&error.error) {
        // Whoever found the deadline past may have had a clock ahead of ours.
        Some(ErrorKind::TimedOut) => now + CLOCK_SKEW >= entry.deadline_at,
        Some(ErrorKind::JobFailed) => true,
        _ => false,
    };
    ends_the_job && !is_started_or_starting
}

/// Whether another execution has the job of an open entry. Nobody has one that waited past its deadline: it will not be
/// started any more.
fn is_of_another(entry: &Entry, execution: &str, now: DateTime<Utc>) -> bool {
    let ours = |owner: &str| owner.strip_prefix(execution).is_some_and(|rest| rest.starts_with('/'));
    let open = entry.attempts.last().filter(|attempt| match attempt.state {
        AttemptState::Refused => false,
        AttemptState::Waiting => now < entry.deadline_at,
        _ => true,
    });
    entry.outcome.is_none() && open.is_some_and(|attempt| !ours(&attempt.owner))
}

#[cfg(test)]
mod tests;
