//! Decides whether a failure may close the job.
//!
//! What must stay true: an execution that fails does not close a job that belongs to another execution. A job belongs
//! to the execution that made the start call or is making it. So this is decided again for each version of the entry
//! before an outcome is written over it.
//!
//! Several executions may share a job. One of them may fail for reasons of its own: its options are wrong, its function
//! died, or it had no news when the deadline passed. Such a [`LocalFailure`] is sealed under a key of its own, and the
//! job goes on in the execution that it belongs to.

use chrono::{DateTime, Utc};
use landfall::{
    clock::CLOCK_SKEW,
    error::{ErrorKind, Result},
    job::{Job, Kind, Status, TaskError},
    ledger::{AttemptState, Entry},
    trigger::{Trigger, rejected_key},
};
use serde_json::json;

/// A failure of this execution. The job may belong to another one.
pub(super) struct LocalFailure<'a> {
    pub(super) kind: &'a Kind,
    /// SHA-256 of the execution's request; empty if it has none.
    pub(super) request_sha256: &'a str,
    /// The trigger that the failure is sealed under, if it must not close the job.
    pub(super) rejected: Trigger,
}

impl LocalFailure<'_> {
    /// Whether this failure must not close an open job, because another execution started it or is starting it, or
    /// because the event reuses the idempotency key of a job with another request.
    pub(super) fn must_not_close(
        &self,
        entry: &Entry,
        execution: &str,
        error: Option<&TaskError>,
        now: DateTime<Utc>,
    ) -> bool {
        // An execution gets this error only if no start call can be under way, and a cancelled job gets no new one.
        let is_cancelled = entry.cancel.is_some()
            && error.is_some_and(|error| ErrorKind::from_name(&error.error) == Some(ErrorKind::Cancelled));
        let is_given_up = is_cancelled || error.is_some_and(|error| is_given_up(entry, error, now));
        let is_anothers = is_of_another(entry, execution, now) && !is_given_up;
        is_anothers || entry.trigger.request_sha256 != self.request_sha256
    }
}

/// The trigger that one delivery's failure of a job is sealed under.
pub(super) fn rejected_job(entry: &Entry) -> Result<Trigger> {
    let job_key = &entry.trigger.job_key;
    Ok(Trigger {
        job_key: rejected_key(&entry.kind, &json!({ "job_key": job_key }))?,
        ..entry.trigger.clone()
    })
}

/// Whether the error may be of this execution alone, so that another one may get further: true if a step died or could
/// not go on before the output was verified, or if there was no news of the job at its deadline; false if every execution
/// would get the same error.
pub(super) fn is_local(job: &Job) -> bool {
    let is_open = job.report.is_none() && matches!(job.status, Status::Running | Status::Succeeded);
    let is_own = |error: &TaskError| {
        ErrorKind::from_name(&error.error).is_none_or(|kind| kind.is_transient() || kind == ErrorKind::Internal)
    };
    let is_blind = job.status == Status::TimedOut && job.missed.in_a_row > 0;
    is_blind || is_open && job.error.as_ref().is_some_and(is_own)
}

/// Whether an error ends the open job for all its deliveries, whichever finds it. It does if no start call can be under
/// way and either the job was not started by its deadline, or nobody can say what its start calls made.
fn is_given_up(entry: &Entry, error: &TaskError, now: DateTime<Utc>) -> bool {
    let is_started_or_starting = entry.attempts.last().is_some_and(|attempt| match attempt.state {
        AttemptState::Started => true,
        AttemptState::Claimed => now <= attempt.lease_until,
        AttemptState::Uncertain | AttemptState::Refused | AttemptState::Waiting => false,
    });
    let ends_the_job = match ErrorKind::from_name(&error.error) {
        // The clock of the function that found the deadline past may be ahead of ours.
        Some(ErrorKind::TimedOut) => now + CLOCK_SKEW >= entry.deadline_at,
        Some(ErrorKind::JobFailed) => true,
        _ => false,
    };
    ends_the_job && !is_started_or_starting
}

/// Whether an open job belongs to another execution. A job that waited past its deadline belongs to nobody, because it
/// will not be started any more.
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
