//! Decides what to do with an entry that is in the ledger already.
//!
//! What must stay true: each decision is a pure function of the entry and the time. A start call that may be under way
//! is waited for. A start call that was lost is looked for at the service before another one is made. After calls that
//! brought no id only a few more are made, with long rests between them.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    cancel::cancelled,
    error::{Error, ErrorKind, Result, moment},
    ledger::{Attempt, AttemptState, Entry},
};

/// Most attempts of one job: a safety bound. The rests between them are so long that the deadline comes first.
pub const MAX_ATTEMPTS: u32 = 9;

/// How long the service is left alone after the second attempt without an id. Each further attempt makes it four times
/// as long.
const FIRST_REST: TimeDelta = TimeDelta::minutes(1);

/// The longest rest, 12 hours, in multiples of [`FIRST_REST`].
const LONGEST_REST_FACTOR: i32 = 720;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The job has an outcome.
    Sealed,
    /// The last attempt has an id.
    Adopt,
    /// The service refused the last attempt.
    Refused,
    /// Another invocation may be making the start call until this time.
    WaitUntil(DateTime<Utc>),
    /// The answer or the owner of the start call was lost, so the service must be asked.
    ResolveLost,
    /// The job was cancelled, and no start call can be under way.
    Cancelled(Error),
    /// Nothing was started, because there is no attempt or the last one waits. Claim the attempt with this number.
    Claim(u32),
}

/// What the invocation `owner` does next. It asks only while it makes no call, so a claim of its own is not under way.
pub(super) fn decide(entry: &Entry, owner: &str, now: DateTime<Utc>) -> Step {
    if entry.outcome.is_some() {
        return Step::Sealed;
    }
    let last = entry.attempts.last();
    if let Some(cancel) = &entry.cancel {
        let is_anothers = last.is_some_and(|attempt| attempt.owner != owner);
        return match (last.map(|attempt| attempt.state), entry.in_flight_until(now)) {
            (Some(AttemptState::Started), _) => Step::Adopt,
            (_, Some(until)) if is_anothers => Step::WaitUntil(until),
            _ => Step::Cancelled(cancelled(entry, cancel)),
        };
    }
    let Some(attempt) = last else {
        return Step::Claim(1);
    };
    match attempt.state {
        AttemptState::Started => Step::Adopt,
        AttemptState::Refused => Step::Refused,
        AttemptState::Uncertain => Step::ResolveLost,
        AttemptState::Waiting => Step::Claim(attempt.number),
        AttemptState::Claimed => match entry.in_flight_until(now) {
            Some(until) => Step::WaitUntil(until),
            None => Step::ResolveLost,
        },
    }
}

/// Fails with `TimedOut` if the job's deadline has passed, so that it may not be started any more.
pub(super) fn in_time(entry: &Entry, now: DateTime<Utc>) -> Result<()> {
    if now < entry.deadline_at {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::TimedOut,
        format!(
            "it was not started by its deadline {}; {}",
            moment(entry.deadline_at),
            last_refusal(entry)
        ),
    ))
}

/// Fails with `Busy` while the service is left alone after start calls that brought no id.
///
/// Each further call may make a job whose id is never known. Calls that keep failing mean an outage, or a quota that
/// others used up. So few calls are made, far apart.
pub(super) fn rested(attempt: &Attempt, now: DateTime<Utc>) -> Result<()> {
    if attempt.number < 2 {
        return Ok(());
    }
    let rest = FIRST_REST * 4i32.saturating_pow(attempt.number - 2).min(LONGEST_REST_FACTOR);
    let until = attempt.lease_until + rest;
    if now >= until {
        return Ok(());
    }
    let why = attempt.error.as_ref().map_or_else(
        || "its function died in the last one".to_owned(),
        |error| format!("the last one met {}", error.error),
    );
    Err(Error::new(
        ErrorKind::Busy,
        format!(
            "{} start calls brought no id, {why}; the next one is made after {}",
            attempt.number,
            moment(until)
        ),
    ))
}

/// Why the last attempt brought no job, as part of a message.
fn last_refusal(entry: &Entry) -> String {
    let recorded = entry.attempts.last().and_then(|attempt| attempt.error.as_ref());
    recorded.map_or_else(
        || "the start call was lost".to_owned(),
        |error| format!("the last try met {}: {}", error.error, error.cause),
    )
}

pub(super) fn recorded_refusal(entry: &Entry) -> Error {
    let recorded = entry.attempts.last().and_then(|attempt| attempt.error.as_ref());
    recorded.map_or_else(
        || Error::internal("the service refused it, and the reason is not recorded"),
        |error| {
            Error::new(
                ErrorKind::from_name(&error.error).unwrap_or(ErrorKind::Internal),
                error.cause.clone(),
            )
        },
    )
}

#[cfg(test)]
mod tests;
