//! Which execution may close a job when it fails, for each state of the last attempt, error and time.

use chrono::TimeDelta;
use landfall::{
    job::ReportPointer,
    ledger::{Attempt, Cancel},
    s3_uri::S3Uri,
    trigger::rejected_trigger,
};
use serde_json::Value;

use super::*;
use crate::seal::outcome::Decider;

/// The execution that fails.
const OURS: &str = "arn:execution:ours";
const REQUEST: &str = "5e";

/// A time in seconds after the job was created. Its attempt's lease lasts a minute, and its deadline is after an hour.
fn after(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn entry(attempt: Option<(AttemptState, &str)>) -> Entry {
    let kind = Kind::new("segment-snapshot");
    let trigger = Trigger {
        request_sha256: REQUEST.to_owned(),
        ..rejected_trigger(&kind, &json!({}), after(0)).unwrap()
    };
    let attempt = attempt.map(|(state, execution)| Attempt {
        number: 1,
        key: "key".to_owned(),
        prefix: prefix(),
        state,
        owner: format!("{execution}/request-1"),
        claimed_at: after(0),
        lease_until: after(60),
        service_id: None,
        started_at: None,
        error: None,
        unreachable_since: None,
    });
    Entry {
        attempts: attempt.into_iter().collect(),
        deadline_at: after(3600),
        ..Entry::new(kind, trigger, after(0))
    }
}

fn prefix() -> S3Uri {
    "s3://exports/run=key/".parse().unwrap()
}

/// Whether our failure must not close the job.
fn must_not_close(entry: &Entry, error: &str, now: i64) -> bool {
    let failure = LocalFailure {
        kind: &entry.kind,
        request_sha256: REQUEST,
        rejected: rejected_job(entry).unwrap(),
    };
    let (error, cause) = (error.to_owned(), String::new());
    failure.must_not_close(entry, OURS, Some(&TaskError { error, cause }), after(now))
}

/// The execution that made the start call, or is making it, has the job.
#[test]
fn only_the_execution_that_started_a_job_may_close_it() {
    use AttemptState::{Claimed, Refused, Started, Uncertain, Waiting};
    const THEIRS: &str = "arn:execution:theirs";
    for (attempt, now, is_theirs) in [
        (None, 0, false),
        (Some((Claimed, OURS)), 0, false),
        (Some((Started, OURS)), 0, false),
        (Some((Claimed, THEIRS)), 0, true),
        (Some((Claimed, THEIRS)), 3601, true),
        (Some((Started, THEIRS)), 0, true),
        (Some((Started, THEIRS)), 3601, true),
        (Some((Uncertain, THEIRS)), 0, true),
        (Some((Refused, THEIRS)), 0, false),
        // After its deadline, the job will not be started any more.
        (Some((Waiting, THEIRS)), 3599, true),
        (Some((Waiting, THEIRS)), 3600, false),
        // The name of one execution may begin like that of another.
        (Some((Started, "arn:execution:ours-again")), 0, true),
        (Some((Started, "arn:execution")), 0, true),
    ] {
        let entry = entry(attempt);
        let found = must_not_close(&entry, "Landfall.InvalidEvent", now);
        assert_eq!(found, is_theirs, "{attempt:?} at {now}");
    }
}

#[test]
fn another_request_closes_no_job_even_if_it_has_its_key() {
    let mut entry = entry(None);
    assert!(!must_not_close(&entry, "Landfall.TimedOut", 3600));
    entry.trigger.request_sha256 = "another".to_owned();
    assert!(must_not_close(&entry, "Landfall.TimedOut", 3600));
}

/// A job is given up for all its deliveries if it was not started by its deadline, or if the results of its start calls
/// are unknown.
#[test]
fn any_execution_may_close_a_job_that_cannot_start_any_more() {
    use AttemptState::{Claimed, Refused, Started, Uncertain, Waiting};
    const THEIRS: &str = "arn:execution:theirs";
    for (state, error, now, is_kept) in [
        (Uncertain, "Landfall.JobFailed", 0, false),
        (Refused, "Landfall.JobFailed", 0, false),
        (Waiting, "Landfall.JobFailed", 0, false),
        // The lease includes its last moment.
        (Claimed, "Landfall.JobFailed", 60, true),
        (Claimed, "Landfall.JobFailed", 61, false),
        (Started, "Landfall.JobFailed", 61, true),
        // The other clock may be ahead by as much as clocks differ.
        (Uncertain, "Landfall.TimedOut", 3594, true),
        (Uncertain, "Landfall.TimedOut", 3595, false),
        (Waiting, "Landfall.TimedOut", 3595, false),
        (Claimed, "Landfall.TimedOut", 3595, false),
        (Started, "Landfall.TimedOut", 3595, true),
        // All other errors are those of one delivery.
        (Uncertain, "Landfall.Internal", 3600, true),
        (Uncertain, "Landfall.Cancelled", 3600, true),
        (Uncertain, "States.Timeout", 3600, true),
    ] {
        let entry = entry(Some((state, THEIRS)));
        let found = must_not_close(&entry, error, now);
        assert_eq!(found, is_kept, "{state:?}, {error} at {now}");
    }
}

#[test]
fn any_execution_may_close_a_cancelled_job() {
    let mut entry = entry(Some((AttemptState::Uncertain, "arn:execution:theirs")));
    assert!(must_not_close(&entry, "Landfall.Cancelled", 0));
    let (at, by) = (after(10), "arn:execution:cancel".to_owned());
    entry.cancel = Some(Cancel { at, by });
    assert!(!must_not_close(&entry, "Landfall.Cancelled", 0));
    assert!(must_not_close(&entry, "Landfall.Busy", 0));
}

/// There is nothing to close, and the delivery gets the outcome.
#[test]
fn no_execution_owns_a_job_that_has_an_outcome() {
    let mut entry = entry(Some((AttemptState::Started, "arn:execution:theirs")));
    assert!(must_not_close(&entry, "Landfall.Internal", 0));
    let decider = Decider {
        execution: "arn:execution:theirs",
        ledger_bucket: "ledger",
        now: after(0),
    };
    let error = TaskError::named(None);
    entry.outcome = Some(decider.failure(&entry.kind, "key", error));
    assert!(!must_not_close(&entry, "Landfall.Internal", 0));
}

fn job(status: &str, error: Value) -> Job {
    let job = json!({
        "schema": "landfall.job/1", "kind": "segment-snapshot", "job_key": "20261101T050000Z-1a2b3c4d", "name": null,
        "execution": OURS, "status": status, "request": {}, "service_id": "id", "attempt": 1, "adopted": false,
        "started_at": "2026-11-01T05:00:00Z", "accepted_at": "2026-11-01T05:00:01Z",
        "deadline_at": "2026-11-01T11:00:00Z", "polling": {"min_seconds": 15, "max_seconds": 1800}, "wait_seconds": 15,
        "polls": 0, "error": error,
    });
    serde_json::from_value(job).unwrap()
}

#[test]
fn an_error_is_local_if_another_execution_may_get_further() {
    let of = |name: &str| json!({"Error": name, "Cause": ""});
    for (status, error, local) in [
        ("running", Value::Null, false),
        ("running", of("Landfall.Internal"), true),
        ("running", of("Landfall.Unavailable"), true),
        ("running", of("Lambda.Unknown"), true),
        ("succeeded", of("States.Timeout"), true),
        // Every delivery would get these errors.
        ("running", of("Landfall.Forbidden"), false),
        ("succeeded", of("Landfall.OutputRejected"), false),
        ("failed", of("Landfall.Internal"), false),
        ("failed", of("Landfall.JobFailed"), false),
        ("timed_out", of("Landfall.TimedOut"), false),
    ] {
        let mut job = job(status, error.clone());
        assert_eq!(is_local(&job), local, "{status} {error}");
        // Without news, nobody knows what happened to the job.
        job.missed.in_a_row = 1;
        assert_eq!(
            is_local(&job),
            local || status == "timed_out",
            "{status} {error}, no news"
        );
        job.missed.in_a_row = 0;
        // A verified output is the same for every delivery.
        job.report = Some(ReportPointer {
            key: "reports/1.json".to_owned(),
            sha256: "00".to_owned(),
            verdict: "failed".to_owned(),
            objects: 1,
            rows: 1,
            bytes: 1,
        });
        assert!(!is_local(&job), "{status} {error}, verified");
    }
}
