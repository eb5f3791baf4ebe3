//! Polls without news are counted and never end a job before its deadline.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use serde_json::json;

use super::*;

fn job() -> Job {
    let job = json!({
        "schema": "landfall.job/1", "kind": "segment-snapshot", "job_key": "20261101T050000Z-1a2b3c4d", "name": null,
        "execution": "arn", "status": "running", "request": {}, "service_id": "id", "attempt": 1, "adopted": false,
        "started_at": "2026-11-01T05:00:00Z", "accepted_at": "2026-11-01T05:00:01Z",
        "deadline_at": "2026-11-01T11:00:00Z", "polling": {"min_seconds": 15, "max_seconds": 1800}, "wait_seconds": 15,
        "polls": 0,
    });
    serde_json::from_value(job).unwrap()
}

fn refusal(kind: ErrorKind) -> Error {
    Error::new(kind, "the function's role needs profile:GetSegmentSnapshot")
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn no_error_of_a_poll_ends_a_job() {
    for kind in ErrorKind::ALL {
        let mut job = job();
        for missed in 1..=100 {
            record_miss(&mut job, refusal(kind));
            assert_eq!(job.status, Status::Running, "{kind}");
            assert_eq!(
                (job.missed.count, job.missed.in_a_row, job.missed.unanswered),
                (missed, missed, 0)
            );
        }
        assert_eq!(job.error, None, "{kind}");
        let last = job.missed.last.unwrap();
        assert_eq!(last.error, kind.name());
        assert_eq!(
            last.cause,
            "polling segment-snapshot 20261101T050000Z-1a2b3c4d (service id id): the function's role needs \
             profile:GetSegmentSnapshot"
        );
    }
}

#[test]
fn news_end_a_row_of_missed_polls_and_resume_only_a_stalled_job() {
    for before in 0..=STALLED + 1 {
        let mut job = job();
        for _ in 0..before {
            record_miss(&mut job, refusal(ErrorKind::Forbidden));
        }
        let now = at("2026-11-01T05:10:00Z");
        record_news(&mut job, Observation::of(ServiceState::Running, "IN_PROGRESS"), now);
        assert_eq!(job.missed.in_a_row, 0);
        assert_eq!(job.missed.count, before, "all missed polls must be counted");
        assert_eq!(job.missed.resumed, before >= STALLED, "{before} before it");
        assert_eq!(job.running_at, Some(now));
        record_news(&mut job, Observation::of(ServiceState::Running, "IN_PROGRESS"), now);
        assert!(!job.missed.resumed, "the end of a stall must be announced once");
    }
}

#[test]
fn a_long_reason_is_cut() {
    let mut job = job();
    record_miss(&mut job, Error::new(ErrorKind::Internal, "x".repeat(100_000)));
    assert!(job.missed.last.as_ref().unwrap().cause.len() <= 1_000);
    // The state machine passes on a cause of any length that Lambda allows.
    let cause = json!({"errorMessage": "y".repeat(30_000), "errorType": "Runtime.ExitError"});
    job.missed.last = Some(TaskError {
        error: "Runtime.ExitError".into(),
        cause: cause.to_string(),
    });
    let told = job.missed.summary().unwrap().last.unwrap();
    assert_eq!(
        (told.error.as_str(), told.cause),
        ("Runtime.ExitError", "y".repeat(1_000))
    );
    assert!(past_deadline(&job).message.len() < 2_000);
}

#[test]
fn the_error_past_the_deadline_names_the_missed_polls() {
    let mut job = job();
    let said = past_deadline(&job);
    assert_eq!(said.kind, ErrorKind::TimedOut);
    assert!(
        said.message
            .contains("the service's last word was none. It may still end"),
        "{said}"
    );
    record_miss(&mut job, refusal(ErrorKind::Forbidden));
    let said = past_deadline(&job).message;
    assert!(
        said.contains("The last 1 poll brought no news, so it may have ended: Landfall.Forbidden: polling"),
        "{said}"
    );
    assert!(said.contains("\"PickUp\": \"20261101T050000Z-1a2b3c4d\""), "{said}");
}
