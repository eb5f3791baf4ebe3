//! The conformance suite: every kind keeps these promises. Each row of the registry gets a module of tests.
//!
//! What must stay true: nothing here depends on a kind. A test for one kind is in that kind's own file.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use http::StatusCode;
use landfall::{
    error::ErrorKind,
    job::{Job, Status},
    ledger::Ledger,
    poll::STALLED,
};
use landfall_local::simulated::{Refusal, simulator::Simulator as _};
use landfall_tests::{
    each_kind,
    harness::{EXPORTS, Harness, LEDGER},
    in_process::{Faults, Harm, Moment},
    kinds::{FoundBy, Subject},
    wire::{self, Recorder, Refusing},
};
use serde_json::{Value, json};

/// Tests each promise for each kind.
macro_rules! kind_keeps_its_promises {
    ($($kind:ident: $service:ty),* $(,)?) => {$(
        mod $kind {
            use anyhow::Result;

            #[tokio::test]
            async fn any_one_call_may_be_lost() -> Result<()> {
                super::any_one_call_may_be_lost::<$service>().await
            }

            #[tokio::test]
            async fn every_step_may_run_twice() -> Result<()> {
                super::every_step_may_run_twice::<$service>().await
            }

            #[tokio::test]
            async fn deliveries_share_a_job_and_one_announces_it() -> Result<()> {
                super::deliveries_share_a_job_and_one_announces_it::<$service>().await
            }

            #[tokio::test]
            async fn a_job_outlives_refused_polls() -> Result<()> {
                super::a_job_outlives_refused_polls::<$service>().await
            }

            #[tokio::test]
            async fn a_refused_start_is_sealed_and_makes_no_job() -> Result<()> {
                super::a_refused_start_is_sealed_and_makes_no_job::<$service>().await
            }

            #[tokio::test]
            async fn a_job_waits_until_a_slot_is_free() -> Result<()> {
                super::a_job_waits_until_a_slot_is_free::<$service>().await
            }

            #[tokio::test]
            async fn a_job_that_was_given_up_is_picked_up() -> Result<()> {
                super::a_job_that_was_given_up_is_picked_up::<$service>().await
            }

            #[tokio::test]
            async fn requests_and_answers_conform() -> Result<()> {
                super::requests_and_answers_conform::<$service>().await
            }
        }
    )*};
}

each_kind!(kind_keeps_its_promises);

type Bench<S> = Harness<S, <S as Subject>::Simulated>;

const ROWS: u64 = 30;

/// How long a job runs.
const DURATION: Duration = Duration::from_secs(45);

fn bench<S: Subject>(faults: Arc<Faults>) -> Result<Bench<S>> {
    Bench::<S>::usual(ROWS, DURATION, faults)
}

fn receipt<S: Subject>(harness: &Bench<S>, sealed: &Value) -> Result<Value> {
    harness.json(sealed["outcome"]["receipt"].as_str().context("no receipt")?)
}

/// The part of a receipt that does not depend on lost calls: the rows and the number of data objects.
fn counted(receipt: &Value) -> [Value; 3] {
    let of = |pointer: &str| receipt.pointer(pointer).cloned().unwrap_or_default();
    [of("/output/rows"), of("/output/data_objects"), of("/source/rows")]
}

/// Checks that there is one outcome with one receipt, that only the files of its own attempt are in it, and that later
/// deliveries get the same.
async fn assert_sealed_once<S: Subject>(harness: &Bench<S>, sealed: &Value, case: &str) -> Result<[Value; 3]> {
    assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{case}: {sealed:#}");
    let uri = sealed["outcome"]["receipt"].as_str().context("no receipt")?;
    let receipt = harness.json(uri)?;
    assert_eq!(receipt["verdict"], "succeeded", "{case}");
    let (bucket, key) = uri.trim_start_matches("s3://").split_once('/').context("no key")?;
    assert_eq!(harness.store.versions(bucket, key), 1, "{case}");
    let beside_data = usize::from(S::WRITES_OUTPUT);
    assert_eq!(
        harness.receipts().len(),
        beside_data,
        "{case}: {:?}",
        harness.receipts()
    );
    let objects = receipt["output"]["objects"].as_array();
    assert_eq!(
        objects.is_some_and(|objects| !objects.is_empty()),
        S::WRITES_OUTPUT,
        "{case}"
    );
    let prefix = receipt["output"]["prefix"].as_str().unwrap_or_default();
    for object in objects.into_iter().flatten() {
        let key = object["key"].as_str().context("no key")?;
        assert!(format!("s3://{EXPORTS}/{key}").starts_with(prefix), "{case}: {key}");
    }
    let jobs = harness.simulated.jobs_made().len();
    // One lost call leads to a second job only if the first one cannot be found.
    let most = if S::FOUND_BY == FoundBy::Nothing { 2 } else { 1 };
    assert!((1..=most).contains(&jobs), "{case}: {jobs} jobs");

    let starts = harness.simulated.start_calls();
    let again = harness.run("later", &S::sample()?).await?;
    assert_eq!(again["status"], "sealed", "{case}");
    assert_eq!(again["outcome"]["receipt"], uri, "{case}");
    assert_eq!(again["outcome"]["announce"], false, "{case}");
    assert_eq!(harness.simulated.start_calls(), starts, "{case}");
    Ok(counted(&receipt))
}

/// Each call of a run in turn is lost before or after its effect, alone or with the function that made it.
async fn any_one_call_may_be_lost<S: Subject>() -> Result<()> {
    let event = S::sample()?;
    let quiet = bench::<S>(Faults::none())?;
    let sealed = quiet.run("first", &event).await?;
    let calls = quiet.faults.calls();
    assert_eq!(sealed["outcome"]["announce"], true);
    let wanted = assert_sealed_once(&quiet, &sealed, "no fault").await?;
    assert!(wanted.iter().any(|count| count.as_u64() >= Some(ROWS)), "{wanted:?}");
    assert!(calls > 8, "{calls} calls");
    for call in 0..calls {
        for moment in [Moment::Before, Moment::After] {
            for harm in [Harm::Lose, Harm::Die] {
                let case = format!("call {call} of {calls}, {moment:?}, {harm:?}");
                let harness = bench::<S>(Faults::at(call, moment, harm))?;
                let sealed = harness.run("first", &event).await.with_context(|| case.clone())?;
                let found = assert_sealed_once(&harness, &sealed, &case).await?;
                assert_eq!(found, wanted, "{case}");
                assert!(harness.simulated.start_calls() <= 2, "{case}");
            }
        }
    }
    Ok(())
}

/// Repeats each step with the same input. It gives the same output and changes nothing.
async fn every_step_may_run_twice<S: Subject>() -> Result<()> {
    let harness = bench::<S>(Faults::none())?;
    let event = S::sample()?;
    let received = Bench::<S>::received("first", &event);
    let job = harness.start(&received).await?;
    let again = harness.start(&received).await?;
    assert_eq!((&again.service_id, again.adopted), (&job.service_id, true));
    assert_eq!(harness.simulated.start_calls(), 1);

    harness.pass(DURATION * 2).await;
    let done = harness.look(job.clone(), &event).await?;
    assert_eq!(done.status, Status::Succeeded);
    assert_eq!(harness.look(job, &event).await?.status, Status::Succeeded);

    let verified = harness.verify(done.clone()).await?;
    let twice = harness.verify(done).await?;
    let told = |job: &Job| job.report.as_ref().map(|report| (report.rows, report.verdict.clone()));
    assert_eq!(told(&twice), told(&verified));

    // As a redrive does.
    let sealed = harness.seal(json!(verified)).await?;
    harness.pass(Duration::from_secs(60)).await;
    let resealed = harness.seal(json!(verified)).await?;
    assert_eq!(sealed.outcome(), resealed.outcome());
    assert_eq!(harness.receipts().len(), usize::from(S::WRITES_OUTPUT));
    Ok(())
}

/// Runs two executions of one trigger side by side.
async fn deliveries_share_a_job_and_one_announces_it<S: Subject>() -> Result<()> {
    let harness = bench::<S>(Faults::none())?;
    let event = S::sample()?;
    let first = harness.start(&Bench::<S>::received("one", &event)).await?;
    let second = harness.start(&Bench::<S>::received("two", &event)).await?;
    assert_eq!(first.service_id, second.service_id);
    assert!(!first.adopted && second.adopted);
    let first = harness.run("one", &event).await?;
    let second = harness.run("two", &event).await?;
    assert_eq!(first["outcome"]["announce"], true);
    assert_eq!(second["outcome"]["announce"], false);
    assert_eq!(first["outcome"]["receipt"], second["outcome"]["receipt"]);
    assert_eq!(harness.simulated.start_calls(), 1);
    Ok(())
}

/// How a service may refuse a call. No refused poll means that the job failed.
const REFUSALS: [(u16, &str); 5] = [
    (400, "SomethingNewException"),
    (403, "AccessDeniedException"),
    (404, "ResourceNotFoundException"),
    (429, "ThrottlingException"),
    (500, "InternalServerException"),
];

async fn a_job_outlives_refused_polls<S: Subject>() -> Result<()> {
    let mut event = S::sample()?;
    event["detail"]["Landfall"] = json!({"DeadlineSeconds": 21_600});
    for (status, code) in REFUSALS {
        let mut harness = bench::<S>(Faults::none())?;
        let mut job = harness.start(&Bench::<S>::received("one", &event)).await?;
        let refusal = Refusal::new(StatusCode::from_u16(status)?, code, "not now");
        harness.talk_to(Arc::new(Refusing(S::Simulated::SIGNING_NAME, refusal)));
        for polls in 1..=STALLED {
            harness.pass(Duration::from_secs(job.wait_seconds.into())).await;
            job = harness.look(job, &event).await?;
            assert_eq!((job.status, job.error.as_ref()), (Status::Running, None), "{code}");
            assert_eq!(job.missed.in_a_row, polls, "{code}");
        }
        harness.talk_to(Arc::clone(&harness.simulated) as Arc<_>);
        harness.pass(Duration::from_secs(job.wait_seconds.into())).await;
        let job = harness.look(job, &event).await?;
        assert_eq!((job.status, job.missed.resumed), (Status::Succeeded, true), "{code}");
        let verified = harness.verify(job).await?;
        let sealed = serde_json::to_value(harness.seal(json!(verified)).await?)?;
        let receipt = receipt(&harness, &sealed)?;
        assert_eq!(receipt["verdict"], "succeeded", "{code}");
        assert_eq!(receipt["missed_polls"]["count"], STALLED, "{code}");
    }
    Ok(())
}

/// A service that refuses the start call made no job. The refusal is sealed and announced once.
async fn a_refused_start_is_sealed_and_makes_no_job<S: Subject>() -> Result<()> {
    let mut harness = bench::<S>(Faults::none())?;
    let refusal = Refusal::new(StatusCode::FORBIDDEN, "AccessDeniedException", "no");
    harness.talk_to(Arc::new(Refusing(S::Simulated::SIGNING_NAME, refusal)));
    let sealed = harness.run("first", &S::sample()?).await?;
    let outcome = &sealed["outcome"];
    assert_eq!(
        (&outcome["verdict"], &outcome["announce"]),
        (&json!("failed"), &json!(true))
    );
    assert_eq!(outcome["error"]["Error"], "Landfall.Forbidden", "{sealed:#}");
    assert_eq!((harness.simulated.jobs_made().len(), harness.receipts().len()), (0, 0));
    let receipt = receipt(&harness, &sealed)?;
    assert_eq!(receipt["verdict"], "failed");
    assert_eq!(receipt["error"]["Error"], "Landfall.Forbidden");
    Ok(())
}

async fn a_job_waits_until_a_slot_is_free<S: Subject>() -> Result<()> {
    let mut harness = bench::<S>(Faults::none())?;
    harness.configure(|config| config.max_running = 1);
    let event = |key: &str| -> Result<Value> {
        let mut event = S::sample()?;
        event["detail"]["Landfall"] = json!({"IdempotencyKey": key});
        Ok(event)
    };
    let (one, two) = (event("one")?, event("two")?);
    harness.start(&Bench::<S>::received("one", &one)).await?;
    let second = Bench::<S>::received("two", &two);
    let busy = harness.start(&second).await.unwrap_err();
    assert_eq!(busy.kind, ErrorKind::Busy, "{busy}");
    harness.pass(DURATION * 2).await;
    let busy = harness.start(&second).await.unwrap_err();
    assert_eq!(busy.kind, ErrorKind::Busy, "a slot must be kept until the seal: {busy}");
    assert_eq!(harness.simulated.start_calls(), 1);

    assert_eq!(harness.run("one", &one).await?["outcome"]["verdict"], "succeeded");
    let sealed = harness.run("two", &two).await?;
    assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{sealed:#}");
    assert_eq!(harness.simulated.start_calls(), 2);
    Ok(())
}

/// The service finishes a job that was given up. Picking it up seals it without another job.
async fn a_job_that_was_given_up_is_picked_up<S: Subject>() -> Result<()> {
    let duration = Duration::from_secs(300);
    let harness = Bench::<S>::usual(ROWS, duration, Faults::none())?;
    let mut event = S::sample()?;
    event["detail"]["Landfall"] = json!({"DeadlineSeconds": 20});
    let outcome = harness.run("first", &event).await?;
    assert_eq!(outcome["outcome"]["error"]["Error"], "Landfall.TimedOut", "{outcome:#}");
    harness.pass(duration).await;
    event["detail"]["Landfall"] = json!({"PickUp": outcome["job_key"]});
    let sealed = harness.run("second", &event).await?;
    assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{sealed:#}");
    assert_eq!(harness.simulated.start_calls(), 1);
    assert_eq!(receipt(&harness, &sealed)?["picks_up"], outcome["job_key"]);
    let first = outcome["job_key"].as_str().context("no job key")?;
    let entry = harness.json(&format!("s3://{LEDGER}/{}", Ledger::entry_key(&S::kind(), first)))?;
    assert_eq!(entry["picked_up_by"], json!([sealed["job_key"]]));
    Ok(())
}

/// Everything on the wire is a call of botocore's models and an answer to it.
async fn requests_and_answers_conform<S: Subject>() -> Result<()> {
    let mut harness = bench::<S>(Faults::none())?;
    let recorder = Recorder::new(Arc::clone(&harness.simulated) as Arc<_>);
    harness.talk_to(Arc::clone(&recorder) as Arc<_>);
    harness.run("first", &S::sample()?).await?;
    let (service, start) = S::START_CALL;
    let operations = wire::conform(service, &recorder.exchanges())?;
    assert!(operations.len() >= 2, "{operations:?}");
    assert_eq!(
        operations.iter().filter(|name| *name == start).count(),
        1,
        "{operations:?}"
    );
    Ok(())
}
