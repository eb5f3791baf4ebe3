//! Polls without news. Whatever the reason and however long it lasts, only the service ends a job before its deadline.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use http::StatusCode;
use landfall::{
    error::ErrorKind,
    job::{Job, Status, TaskError},
    poll::STALLED,
};
use landfall_local::simulated::{
    Refusal, SimulatedService,
    customer_profiles::{Scenario, Settings},
};
use landfall_tests::{harness::Harness, in_process::Faults, wire::Refusing};
use serde_json::{Value, json};

fn event(deadline: u64) -> Value {
    let mut event: Value =
        serde_json::from_str(include_str!("../../events/segment-snapshot.json")).expect("the sample is JSON");
    event["detail"]["Landfall"] = json!({"DeadlineSeconds": deadline, "Poll": {"MinSeconds": 15, "MaxSeconds": 600}});
    event
}

fn harness() -> Result<Harness> {
    let settings = Settings {
        profiles: 20,
        duration: Duration::from_secs(1800),
        scenario: Scenario::Success,
        ..Settings::default()
    };
    <Harness>::new(settings, Faults::none())
}

/// Answers that once ended a job, at once or after some tries.
fn refusals() -> Vec<(&'static str, u16, ErrorKind)> {
    vec![
        ("AccessDeniedException", 403, ErrorKind::Forbidden),
        ("ExpiredTokenException", 403, ErrorKind::Forbidden),
        ("ResourceNotFoundException", 404, ErrorKind::NotFound),
        ("BadRequestException", 400, ErrorKind::InvalidEvent),
        ("SomethingNewException", 400, ErrorKind::Internal),
        ("ThrottlingException", 429, ErrorKind::Throttled),
        ("InternalServerException", 500, ErrorKind::Unavailable),
    ]
}

async fn poll_until(harness: &Harness, mut job: Job, polls: u32) -> Result<Job> {
    for _ in 0..polls {
        harness.pass(Duration::from_secs(job.wait_seconds.into())).await;
        job = harness.poll(job).await?;
    }
    Ok(job)
}

#[tokio::test]
async fn a_job_outlives_every_refusal_of_its_polls() -> Result<()> {
    for (code, status, kind) in refusals() {
        let mut harness = harness()?;
        let job = harness.start(&<Harness>::received("one", &event(21_600))).await?;
        let signing_name = harness.simulated.signing_name();
        let answers = Arc::clone(&harness.simulated);
        let refusal = Refusal::new(StatusCode::from_u16(status)?, code, "not now");
        harness.talk_to(Arc::new(Refusing(signing_name, refusal)));
        let job = poll_until(&harness, job, 3 * STALLED).await?;
        assert_eq!((job.status, job.error.as_ref()), (Status::Running, None), "{code}");
        assert_eq!(
            (job.missed.count, job.missed.in_a_row),
            (3 * STALLED, 3 * STALLED),
            "{code}"
        );
        let last = job.missed.last.clone().context("no reason")?;
        assert_eq!(last.error, kind.name(), "{code}: {last:?}");
        // The more polls are missed, the rarer they become.
        assert!(job.wait_seconds >= 540, "{code}: {} s", job.wait_seconds);

        harness.talk_to(answers);
        let job = poll_until(&harness, job, 1).await?;
        assert!(job.missed.resumed, "{code}");
        assert_eq!(job.status, Status::Succeeded, "{code}");
        let verified = harness.verify(job).await?;
        let sealed = serde_json::to_value(harness.seal(json!(verified)).await?)?;
        let receipt = harness.json(sealed["outcome"]["receipt"].as_str().context("no receipt")?)?;
        assert_eq!(receipt["verdict"], "succeeded", "{code}");
        assert_eq!(receipt["missed_polls"]["count"], 3 * STALLED, "{code}");
        assert_eq!(receipt["missed_polls"]["last"]["Error"], kind.name(), "{code}");
    }
    Ok(())
}

#[tokio::test]
async fn only_the_deadline_ends_a_job_without_news() -> Result<()> {
    let mut harness = harness()?;
    let mut job = harness.start(&<Harness>::received("one", &event(3_600))).await?;
    let refusal = Refusal::new(StatusCode::FORBIDDEN, "AccessDeniedException", "no");
    harness.talk_to(Arc::new(Refusing(harness.simulated.signing_name(), refusal)));
    while job.status == Status::Running {
        assert!(harness.now() < job.deadline_at + chrono::TimeDelta::seconds(60));
        job = poll_until(&harness, job, 1).await?;
    }
    assert!(harness.now() >= job.deadline_at);
    assert_eq!(job.status, Status::TimedOut);
    let error = job.error.clone().context("no error")?;
    assert_eq!(error.error, "Landfall.TimedOut");
    assert!(
        error
            .cause
            .contains("brought no news, so it may have ended: Landfall.Forbidden"),
        "{error:?}"
    );
    let sealed = serde_json::to_value(harness.seal(json!(job)).await?)?;
    let receipt = harness.json(sealed["outcome"]["receipt"].as_str().context("no receipt")?)?;
    assert_eq!(receipt["missed_polls"]["count"], job.missed.count);
    Ok(())
}

/// The input of Seal if no function could run until the deadline.
fn overdue(mut job: Job) -> Job {
    job.missed.count += 5;
    job.missed.unanswered += 5;
    job.missed.in_a_row += 5;
    job.missed.last = Some(TaskError {
        error: "Lambda.TooManyRequestsException".into(),
        cause: "Rate Exceeded.".into(),
    });
    job
}

#[tokio::test]
async fn a_job_whose_polls_never_ran_is_given_up_by_the_seal() -> Result<()> {
    let harness = harness()?;
    let job = harness.start(&<Harness>::received("one", &event(3_600))).await?;
    harness.pass(Duration::from_secs(3_600)).await;
    let sealed = serde_json::to_value(harness.seal(json!(overdue(job.clone()))).await?)?;
    assert_eq!(sealed["job_key"], job.job_key);
    assert_eq!(sealed["outcome"]["error"]["Error"], "Landfall.TimedOut");
    let cause = sealed["outcome"]["error"]["Cause"].as_str().context("no cause")?;
    assert!(cause.contains("The last 5 polls brought no news"), "{cause}");
    assert!(
        cause.contains("Lambda.TooManyRequestsException: Rate Exceeded."),
        "{cause}"
    );
    let receipt = harness.json(sealed["outcome"]["receipt"].as_str().context("no receipt")?)?;
    assert_eq!(receipt["missed_polls"]["unanswered"], 5);
    Ok(())
}

/// A delivery whose polls brought no news does not close the job of another delivery.
#[tokio::test]
async fn a_delivery_without_news_does_not_close_the_job_of_another_one() -> Result<()> {
    let harness = harness()?;
    let job = harness.start(&<Harness>::received("one", &event(3_600))).await?;
    let adopted = harness.start(&<Harness>::received("two", &event(3_600))).await?;
    harness.pass(Duration::from_secs(1_800)).await;
    let done = harness.poll(job).await?;
    assert_eq!(done.status, Status::Succeeded);
    harness.pass(Duration::from_secs(1_800)).await;
    let alone = serde_json::to_value(harness.seal(json!(overdue(adopted))).await?)?;
    let key = alone["job_key"].as_str().context("no key")?;
    assert!(key.starts_with("rejected-"), "{alone:#}");
    let verified = harness.verify(done).await?;
    let sealed = serde_json::to_value(harness.seal(json!(verified)).await?)?;
    assert_eq!(sealed["outcome"]["verdict"], "succeeded");
    Ok(())
}
