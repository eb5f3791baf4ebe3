//! The next step of a start, for each state of the last attempt, cancel and time.

use serde_json::json;

use super::*;
use crate::{
    job::{Kind, TaskError, Verdict},
    ledger::{Cancel, Outcome},
    trigger::rejected_trigger,
};

const OWNER: &str = "arn/request-1";

/// A time in seconds after the job was created.
fn after(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

/// An attempt with a lease of a minute.
fn attempt(number: u32, state: AttemptState) -> Attempt {
    Attempt {
        number,
        key: format!("key-{number}"),
        prefix: "s3://exports/run=key/".parse().unwrap(),
        state,
        owner: OWNER.to_owned(),
        claimed_at: after(0),
        lease_until: after(60),
        service_id: None,
        started_at: None,
        error: None,
        unreachable_since: None,
    }
}

fn met(kind: ErrorKind) -> Option<TaskError> {
    Some(Error::new(kind, "not now").into())
}

/// A job with a deadline after an hour.
fn entry(attempts: Vec<Attempt>) -> Entry {
    let kind = Kind::new("segment-snapshot");
    let trigger = rejected_trigger(&kind, &json!({}), after(0)).unwrap();
    Entry {
        attempts,
        deadline_at: after(3600),
        ..Entry::new(kind, trigger, after(0))
    }
}

fn sealed(mut entry: Entry) -> Entry {
    entry.outcome = Some(Outcome {
        verdict: Verdict::Succeeded,
        error: None,
        receipt: "s3://exports/run=key/_receipt.json".parse().unwrap(),
        sealed_by: "arn".to_owned(),
        sealed_at: after(300),
        attempt: Some(1),
        polls: 1,
        ended_at: None,
        service_status: None,
        service_message: None,
        counts: None,
        failures: Vec::new(),
        missed_polls: None,
        report: None,
        landfall: "0.1.0".to_owned(),
    });
    entry
}

fn asked_to_cancel(mut entry: Entry) -> Entry {
    let (at, by) = (after(10), "arn".to_owned());
    entry.cancel = Some(Cancel { at, by });
    entry
}

#[test]
fn the_last_attempt_decides_the_next_step() {
    use AttemptState::{Claimed, Refused, Started, Uncertain, Waiting};
    assert_eq!(decide(&entry(Vec::new()), OWNER, after(0)), Step::Claim(1));
    for (state, now, step) in [
        (Started, 0, Step::Adopt),
        (Refused, 0, Step::Refused),
        (Uncertain, 0, Step::ResolveLost),
        (Waiting, 0, Step::Claim(2)),
        // A lease includes its last moment, for every caller.
        (Claimed, 60, Step::WaitUntil(after(60))),
        (Claimed, 61, Step::ResolveLost),
    ] {
        let entry = entry(vec![attempt(1, Uncertain), attempt(2, state)]);
        for owner in [OWNER, "another"] {
            assert_eq!(decide(&entry, owner, after(now)), step, "{state:?} at {now}");
        }
        assert_eq!(decide(&sealed(entry.clone()), OWNER, after(now)), Step::Sealed);
        assert_eq!(decide(&asked_to_cancel(sealed(entry)), OWNER, after(now)), Step::Sealed);
    }
}

/// An invocation decides while it has no call under way. So it waits only for the claims of others, and until their
/// lease is over.
#[test]
fn a_cancelled_job_is_not_claimed_and_its_start_call_is_waited_for() {
    use AttemptState::{Claimed, Refused, Started, Uncertain, Waiting};
    let step = |entry: &Entry, owner: &str, now| decide(entry, owner, after(now));
    let is_cancelled = |step: Step| matches!(step, Step::Cancelled(error) if error.kind == ErrorKind::Cancelled);
    assert!(is_cancelled(step(&asked_to_cancel(entry(Vec::new())), OWNER, 0)));
    for state in [Refused, Uncertain, Waiting] {
        let entry = asked_to_cancel(entry(vec![attempt(1, state)]));
        assert!(is_cancelled(step(&entry, OWNER, 0)), "{state:?}");
        assert!(is_cancelled(step(&entry, "another", 0)), "{state:?}");
    }
    let started = asked_to_cancel(entry(vec![attempt(1, Started)]));
    assert_eq!(step(&started, OWNER, 0), Step::Adopt);
    assert_eq!(step(&started, "another", 0), Step::Adopt);
    let claimed = asked_to_cancel(entry(vec![attempt(1, Claimed)]));
    assert!(is_cancelled(step(&claimed, OWNER, 0)));
    assert_eq!(step(&claimed, "another", 60), Step::WaitUntil(after(60)));
    assert!(is_cancelled(step(&claimed, "another", 61)));
}

#[test]
fn a_job_is_not_started_past_its_deadline_and_the_error_names_the_last_obstacle() {
    let mut waits = entry(vec![attempt(1, AttemptState::Waiting)]);
    assert_eq!(in_time(&waits, after(3599)), Ok(()));
    let error = in_time(&waits, after(3600)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TimedOut);
    assert!(error.message.contains("the start call was lost"), "{error}");
    waits.attempts[0].error = met(ErrorKind::Throttled);
    let error = in_time(&waits, after(3600)).unwrap_err();
    let hindered = "1970-01-01T01:00:00Z; the last try met Landfall.Throttled: not now";
    assert!(error.message.ends_with(hindered), "{error}");
}

/// The pause counts from the end of the last lease. There is none after the first attempt, a minute after the second,
/// then four times as long after each, and at most half a day.
#[test]
fn the_pause_after_start_calls_without_an_id_grows() {
    let minutes = [0, 1, 4, 16, 64, 256, 720, 720, 720];
    for (number, minutes) in (1..=MAX_ATTEMPTS).zip(minutes) {
        let mut attempt = attempt(number, AttemptState::Uncertain);
        let end = 60 + minutes * 60;
        assert_eq!(rested(&attempt, after(end)), Ok(()), "{number}");
        let Err(error) = rested(&attempt, after(end - 1)) else {
            assert_eq!(number, 1);
            continue;
        };
        assert_eq!(error.kind, ErrorKind::Busy);
        let until = moment(after(end));
        assert_eq!(
            error.message,
            format!(
                "{number} start calls brought no id, its function died in the last one; the next one is made after {until}"
            )
        );
        attempt.error = met(ErrorKind::Unavailable);
        let error = rested(&attempt, after(end - 1)).unwrap_err();
        assert!(
            error.message.contains("the last one met Landfall.Unavailable"),
            "{error}"
        );
    }
}

#[test]
fn a_refusal_is_raised_again_as_it_was_recorded() {
    let mut refused = entry(vec![attempt(1, AttemptState::Refused)]);
    assert_eq!(recorded_refusal(&refused).kind, ErrorKind::Internal);
    refused.attempts[0].error = met(ErrorKind::Forbidden);
    assert_eq!(recorded_refusal(&refused), Error::new(ErrorKind::Forbidden, "not now"));
}
