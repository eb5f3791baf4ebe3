//! What runs of a request learn from earlier ones, and that no job depends on it.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use landfall::{
    hash::sha256_hex,
    history::{self, History},
    job::{Job, Kind, Status},
    service::JobService,
};
use landfall_local::simulated::{
    SimulatedService,
    customer_profiles::{Scenario, Settings},
    pinpoint::{self, Pinpoint},
    simulator::Simulator as _,
};
use landfall_pinpoint::EndpointExports;
use landfall_tests::{
    harness::{Harness, LEDGER},
    in_process::{Faults, Harm, Moment},
    memory_store::Op,
};
use serde_json::{Value, json};

const DURATION: f64 = 600.0;

fn harness(scenario: Scenario, faults: Arc<Faults>) -> Result<Harness> {
    let settings = Settings {
        profiles: 20,
        duration: Duration::from_secs_f64(DURATION),
        scenario,
        ..Settings::default()
    };
    <Harness>::new(settings, faults)
}

/// The n-th event for the same request.
fn event(number: usize) -> Value {
    let mut event: Value =
        serde_json::from_str(include_str!("../../events/segment-snapshot.json")).expect("it is JSON");
    event["id"] = json!(sha256_hex(&number.to_be_bytes()));
    event
}

/// The history, of which there is only one.
fn history<S: JobService, M: SimulatedService + 'static>(harness: &Harness<S, M>) -> Result<History> {
    let key = key(harness).context("there is no history")?;
    Ok(serde_json::from_value(harness.json(&format!("s3://{LEDGER}/{key}"))?)?)
}

fn key<S: JobService, M: SimulatedService + 'static>(harness: &Harness<S, M>) -> Option<String> {
    let mut keys = harness
        .store
        .keys(LEDGER)
        .into_iter()
        .filter(|key| key.starts_with("history/"));
    let key = keys.next();
    assert_eq!(keys.next(), None, "one request must have one history");
    key
}

#[tokio::test]
async fn a_request_that_ran_before_is_polled_less() -> Result<()> {
    let harness = harness(Scenario::Success, Faults::none())?;
    let (mut polls, mut delays) = (Vec::new(), Vec::new());
    for number in 0..30 {
        let began = harness.now();
        let sealed = harness.run("run", &event(number)).await?;
        assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{sealed:#}");
        polls.push(sealed["polls"].as_u64().context("no polls")?);
        let ended = sealed["ended_at"]
            .as_str()
            .context("no end")?
            .parse::<chrono::DateTime<chrono::Utc>>()?;
        delays.push((ended - began).as_seconds_f64() - DURATION);
        assert_eq!(sealed["history"], Value::Null, "it is needed no more");
    }
    let late: u64 = polls[5..].iter().sum::<u64>() / 25;
    assert!(polls[0] >= 15 && late <= 7, "{polls:?}");
    let late = delays[5..].iter().sum::<f64>() / 25.0;
    assert!(late <= 0.05 * DURATION, "{delays:?}");
    let history = history(&harness)?;
    assert_eq!(history.runs.len(), 20);
    for run in &history.runs {
        assert!(run.after_seconds <= DURATION && run.by_seconds >= DURATION, "{run:?}");
    }
    Ok(())
}

/// The history is part of the job, which goes through the state machine.
#[tokio::test]
async fn the_job_carries_the_history_and_stays_small() -> Result<()> {
    let harness = harness(Scenario::Success, Faults::none())?;
    for number in 0..25 {
        harness.run("run", &event(number)).await?;
    }
    let job = harness.start(&<Harness>::received("next", &event(100))).await?;
    assert_eq!(job.history.len(), 20);
    let bytes = serde_json::to_vec(&job)?.len();
    assert!(bytes < 4_000, "{bytes} bytes");
    // An execution that an older version started goes on.
    let mut old = json!(job);
    let members = old.as_object_mut().context("not an object")?;
    members.retain(|name, _| !["history", "running_at", "service_ended_at"].contains(&name.as_str()));
    let old: Job = serde_json::from_value(old)?;
    harness.pass(Duration::from_secs(60)).await;
    assert_eq!(harness.poll(old).await?.status, Status::Running);
    Ok(())
}

#[tokio::test]
async fn a_run_is_kept_once_however_often_it_is_sealed() -> Result<()> {
    let harness = harness(Scenario::Success, Faults::none())?;
    harness.run("one", &event(0)).await?;
    let kept = history(&harness)?;
    assert_eq!(kept.runs.len(), 1);
    harness.run("one", &event(0)).await?;
    harness.run("two", &event(0)).await?;
    assert_eq!(history(&harness)?, kept);
    assert_eq!(harness.store.versions(LEDGER, &key(&harness).context("no history")?), 1);
    Ok(())
}

/// Each call of the seal is lost, alone or with its function. The run is kept once or not at all.
#[tokio::test]
async fn a_seal_that_breaks_off_keeps_a_run_once() -> Result<()> {
    let quiet = harness(Scenario::Success, Faults::none())?;
    quiet.run("one", &event(0)).await?;
    let calls = quiet.faults.calls();
    for call in calls - 10..calls {
        for moment in [Moment::Before, Moment::After] {
            for harm in [Harm::Lose, Harm::Die] {
                let case = format!("call {call} of {calls}, {moment:?}, {harm:?}");
                let harness = harness(Scenario::Success, Faults::at(call, moment, harm))?;
                let sealed = harness.run("one", &event(0)).await?;
                assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{case}");
                harness.run("one", &event(0)).await?;
                let runs = key(&harness).map_or(Ok(0), |_| history(&harness).map(|history| history.runs.len()))?;
                // A function that dies is run again. A call that is lost alone costs the record of the run.
                assert!(
                    runs == 1 || (harm == Harm::Lose && call >= calls - 2),
                    "{case}: {runs} runs"
                );
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn two_seals_at_once_keep_both_runs() -> Result<()> {
    let harness = harness(Scenario::Success, Faults::none())?;
    harness.run("one", &event(0)).await?;
    let mut other = history(&harness)?;
    other.runs[0].job_key = "other".to_owned();
    let key = key(&harness).context("no history")?;
    let place = key.clone();
    // The writes of a run: claim, id, report, outcome, receipt, pointer, history.
    let puts = |harness: &Harness| {
        harness
            .store
            .calls()
            .into_iter()
            .filter(|call| call.op == Op::Put && call.bucket == LEDGER)
    };
    assert!(
        puts(&harness).next_back().is_some_and(|call| call.key == key),
        "the history must be written last"
    );
    let last = harness.store.count(Op::Put) - 1;
    let body = serde_json::to_vec(&other)?;
    harness.store.before(Op::Put, last, move |store| {
        store.insert(LEDGER, &place, body);
    });
    harness.run("two", &event(1)).await?;
    let keys: Vec<_> = history(&harness)?.runs.into_iter().map(|run| run.job_key).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(keys.contains(&"other".to_owned()), "{keys:?}");
    Ok(())
}

#[tokio::test]
async fn an_unreadable_history_is_replaced() -> Result<()> {
    for body in ["", "{", "[1]", r#"{"schema":"landfall.history/9"}"#] {
        let harness = harness(Scenario::Success, Faults::none())?;
        harness.run("one", &event(0)).await?;
        harness
            .store
            .insert(LEDGER, &key(&harness).context("no history")?, body.to_owned());
        let sealed = harness.run("two", &event(1)).await?;
        assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{body}");
        assert_eq!(history(&harness)?.runs.len(), 1, "{body}");
    }
    Ok(())
}

/// Nobody polled for longer than planned: the execution was redriven, or adopted the job.
#[tokio::test]
async fn a_run_with_a_gap_before_its_last_poll_is_not_kept() -> Result<()> {
    let harness = harness(Scenario::Success, Faults::none())?;
    let job = harness.start(&<Harness>::received("one", &event(0))).await?;
    harness.pass(Duration::from_secs(60)).await;
    let job = harness.poll(job).await?;
    assert_eq!(job.status, Status::Running);
    harness.pass(Duration::from_secs(80_000 / 4)).await;
    let job = harness.poll(job).await?;
    assert_eq!(job.status, Status::Succeeded);
    harness.seal(json!(harness.verify(job).await?)).await?;
    assert_eq!(harness.receipts().len(), 1);
    assert_eq!(key(&harness), None);
    Ok(())
}

#[tokio::test]
async fn the_run_of_a_failed_job_is_not_kept() -> Result<()> {
    let harness = harness(Scenario::ServiceFailed, Faults::none())?;
    let sealed = harness.run("one", &event(0)).await?;
    assert_eq!(sealed["outcome"]["verdict"], "failed");
    assert_eq!(key(&harness), None);
    Ok(())
}

fn endpoint_export() -> Result<(Value, pinpoint::Settings)> {
    let event = serde_json::from_str(include_str!("../../events/endpoint-export.json"))?;
    let settings = pinpoint::Settings {
        duration: Duration::from_secs_f64(DURATION),
        ..pinpoint::Settings::default()
    };
    Ok((event, settings))
}

/// Pinpoint says when a job ended, so it does not matter how late the end is seen.
#[tokio::test]
async fn the_end_that_the_service_gives_is_kept() -> Result<()> {
    let (event, settings) = endpoint_export()?;
    let harness = Harness::exports(settings, Faults::none())?;
    let job = harness
        .start(&Harness::<EndpointExports, Pinpoint>::received("one", &event))
        .await?;
    harness.pass(Duration::from_secs_f64(DURATION)).await;
    harness.pass(Duration::from_secs(300)).await;
    let job = harness.poll(job).await?;
    assert_eq!(job.status, Status::Succeeded);
    let job = harness.verify(job).await?;
    harness.seal(json!(job)).await?;
    let run = history(&harness)?.runs.remove(0);
    assert_eq!((run.after_seconds, run.by_seconds), (DURATION, DURATION));
    Ok(())
}

/// If the start call was lost, it is unknown when the job began.
#[tokio::test]
async fn the_run_of_a_job_with_a_lost_start_call_is_not_kept() -> Result<()> {
    let (event, settings) = endpoint_export()?;
    let harness = Harness::exports(settings, Faults::at(1, Moment::After, Harm::Die))?;
    let sealed = harness.run("one", &event).await?;
    assert_eq!(sealed["outcome"]["verdict"], "succeeded");
    assert_eq!(harness.simulated.start_calls(), 1);
    assert_eq!(key(&harness), None);
    Ok(())
}

#[test]
fn the_key_of_a_history_is_under_its_kind() {
    assert_eq!(
        history::key(&Kind::new("segment-snapshot"), "ab"),
        "history/segment-snapshot/ab.json"
    );
}
