//! Cancels a job at every moment of its life.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use landfall::{
    error::ErrorKind,
    job::{Job, Kind, Status},
    ledger::Ledger,
    queue::Queue,
    service::JobService,
    trigger::identify,
};
use landfall_customer_profiles::SegmentSnapshots;
use landfall_local::simulated::{
    SimulatedService,
    customer_profiles::{Scenario, Settings},
    pinpoint,
    simulator::Simulator as _,
};
use landfall_pinpoint::EndpointImports;
use landfall_tests::{
    harness::{EXPORTS, Harness, LEDGER},
    in_process::{Faults, Harm, Moment},
    memory_store::{MemoryStore, Op},
};
use serde_json::{Value, json};

/// How long a simulated job runs.
const DURATION: Duration = Duration::from_secs(300);

/// A deployment with one slot.
fn harness(faults: Arc<Faults>) -> Harness {
    let mut harness = without_queue(faults);
    harness.configure(|config| config.max_running = 1);
    harness
}

fn without_queue(faults: Arc<Faults>) -> Harness {
    let settings = Settings {
        profiles: 10,
        duration: DURATION,
        scenario: Scenario::Success,
        ..Settings::default()
    };
    <Harness>::new(settings, faults).expect("the harness is right")
}

fn event(id: &str) -> Value {
    let mut event: Value = serde_json::from_str(include_str!("../../events/segment-snapshot.json")).unwrap();
    event["id"] = json!(id);
    event
}

fn key_of(event: &Value) -> String {
    identify(&SegmentSnapshots::kind(), event).unwrap().job_key
}

fn entry<S: JobService, M: SimulatedService + 'static>(harness: &Harness<S, M>, job_key: &str) -> Result<Value> {
    harness.json(&format!("s3://{LEDGER}/{}", Ledger::entry_key(&S::kind(), job_key)))
}

/// The jobs that have a slot.
fn slots(harness: &Harness) -> Vec<String> {
    let slots = harness
        .json(&format!("s3://{LEDGER}/{}", Queue::key(&SegmentSnapshots::kind())))
        .unwrap_or_default();
    let keys = slots["slots"].as_array().into_iter().flatten();
    keys.map(|slot| slot["job_key"].as_str().unwrap().to_owned()).collect()
}

/// Writes a cancel into an entry, as the seal does while a start call may be under way.
fn note(store: &MemoryStore, kind: &Kind, job_key: &str) {
    let key = Ledger::entry_key(kind, job_key);
    let mut entry: Value = serde_json::from_slice(&store.body(LEDGER, &key).unwrap()).unwrap();
    entry["cancel"] = json!({"at": "2026-11-01T05:00:03Z", "by": "somebody"});
    store.insert(LEDGER, &key, entry.to_string());
}

fn assert_cancelled(ended: &Value, job_key: &str, announces: bool, says: &str) {
    assert_eq!(ended["job_key"], job_key, "{ended:#}");
    let outcome = &ended["outcome"];
    assert_eq!(outcome["verdict"], "failed", "{ended:#}");
    assert_eq!(outcome["error"]["Error"], "Landfall.Cancelled", "{ended:#}");
    assert_eq!(outcome["announce"], announces, "{ended:#}");
    let cause = outcome["error"]["Cause"].as_str().unwrap();
    assert!(cause.contains(says), "{says}: {cause}");
}

#[tokio::test]
async fn a_job_that_runs_is_sealed_and_its_slot_is_free_at_once() -> Result<()> {
    let harness = harness(Faults::none());
    let event_of_it = event("one");
    let job = harness.start(&<Harness>::received("one", &event_of_it)).await?;
    let key = job.job_key.clone();
    assert_eq!(slots(&harness), [key.as_str()]);

    let cancelled = harness.cancel("cancel", &key).await?;
    assert_cancelled(
        &cancelled,
        &key,
        true,
        &format!("no call that stops {}", job.service_id),
    );
    assert_eq!(cancelled["announcement"]["detail_type"], "Export Job Failed");
    assert_eq!(slots(&harness), Vec::<String>::new());
    let receipt = harness.json(cancelled["outcome"]["receipt"].as_str().unwrap())?;
    assert_eq!(receipt["error"], cancelled["outcome"]["error"]);
    assert_eq!(receipt["attempts"][0]["service_id"], job.service_id.as_str());
    let by = &cancelled["execution"];
    assert_eq!(
        (&receipt["execution"], &entry(&harness, &key)?["cancel"]["by"]),
        (by, by)
    );

    // The next job can start before the cancelled job's own execution has noticed.
    let next = harness.start(&<Harness>::received("two", &event("two"))).await?;
    assert_eq!(next.status, Status::Running);
    let seen = harness.poll(job).await?;
    assert_eq!(
        (seen.status, seen.error.clone().unwrap().error.as_str()),
        (Status::Failed, "Landfall.Cancelled")
    );
    let ended = json!(harness.seal(json!(seen)).await?);
    assert_cancelled(&ended, &key, false, "no call that stops");

    // The same trigger does not start the job again, and a second cancel changes nothing.
    let starts = harness.simulated.start_calls();
    let again = harness.run("again", &event_of_it).await?;
    assert_cancelled(&again, &key, false, "");
    let twice = harness.cancel("another", &key).await?;
    assert_cancelled(&twice, &key, false, "");
    assert_eq!(twice["outcome"]["sealed_by"], *by);
    assert_eq!(harness.simulated.start_calls(), starts);
    harness.pass(DURATION).await;
    assert_eq!(harness.receipts(), Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_job_that_waits_is_never_started() -> Result<()> {
    let harness = harness(Faults::none());
    let running = harness.start(&<Harness>::received("one", &event("one"))).await?;
    let waiting = <Harness>::received("two", &event("two"));
    assert_eq!(harness.start(&waiting).await.unwrap_err().kind, ErrorKind::Busy);
    let key = key_of(&waiting.event);

    let cancelled = harness.cancel("cancel", &key).await?;
    assert_cancelled(&cancelled, &key, true, "Nothing was started");
    let job = harness.start(&waiting).await?;
    assert_eq!(job.status, Status::Sealed);
    assert_cancelled(&json!(harness.seal(json!(job)).await?), &key, false, "");
    harness.pass(DURATION).await;
    let good = harness.run("one", &event("one")).await?;
    assert_eq!(
        (&good["job_key"], &good["outcome"]["verdict"]),
        (&json!(running.job_key), &json!("succeeded"))
    );
    assert_cancelled(&harness.run("two", &waiting.event).await?, &key, false, "");
    assert_eq!(harness.simulated.start_calls(), 1);

    // There is nothing to pick up, and the error says what to do.
    let mut pick_up = event("three");
    pick_up["detail"]["Landfall"] = json!({"PickUp": key});
    let refused = harness
        .start(&<Harness>::received("three", &pick_up))
        .await
        .unwrap_err();
    assert!(refused.message.contains("higher Landfall.Rerun"), "{refused}");
    Ok(())
}

/// The cancel waits until the call has ended, so that the id of its job is recorded and can be picked up.
#[tokio::test]
async fn a_cancel_during_a_start_call_keeps_its_id() -> Result<()> {
    let harness = harness(Faults::none());
    let event_of_it = event("one");
    let key = key_of(&event_of_it);
    let noted = key.clone();
    // The writes so far are the entry and the slot. The next write records the id.
    harness
        .store
        .before(Op::Put, 2, move |store| note(store, &SegmentSnapshots::kind(), &noted));
    let job = harness.start(&<Harness>::received("one", &event_of_it)).await?;
    assert_eq!((job.status, harness.simulated.start_calls()), (Status::Failed, 1));
    assert_eq!(entry(&harness, &key)?["attempts"][0]["state"], "started");
    let ended = json!(harness.seal(json!(job)).await?);
    assert_cancelled(&ended, &key, true, &format!("no call that stops {}", job.service_id));
    assert_cancelled(&harness.cancel("cancel", &key).await?, &key, false, "");
    assert_eq!(slots(&harness), Vec::<String>::new());

    harness.pass(DURATION).await;
    let mut pick_up = event("pick-up");
    pick_up["detail"]["Landfall"] = json!({"PickUp": key});
    let picked = harness.run("pick-up", &pick_up).await?;
    assert_eq!(picked["outcome"]["verdict"], "succeeded", "{picked:#}");
    assert_eq!((harness.simulated.start_calls(), harness.receipts().len()), (1, 1));
    // The cancelled job keeps its own outcome.
    assert_eq!(
        entry(&harness, &key)?["outcome"]["error"]["Error"],
        "Landfall.Cancelled"
    );
    Ok(())
}

/// The function died during its start call. Nobody can know the result until the lease is over, and nobody makes
/// another call.
#[tokio::test]
async fn a_cancel_outlasts_a_start_call_that_was_lost() -> Result<()> {
    for (moment, starts) in [(Moment::Before, 0), (Moment::After, 1)] {
        // The first call is the claim, the second the start call.
        let harness = without_queue(Faults::at(1, moment, Harm::Die));
        let received = <Harness>::received("one", &event("one"));
        harness.start(&received).await.unwrap_err();
        harness.faults.revive();
        let key = key_of(&received.event);

        let asked = <Harness>::asked("cancel", &key);
        let busy = harness.seal(asked.clone()).await.unwrap_err();
        assert_eq!(busy.kind, ErrorKind::Busy, "{busy}");
        assert!(entry(&harness, &key)?["cancel"]["at"].is_string());
        assert!(entry(&harness, &key)?["outcome"].is_null());
        let other = <Harness>::received("two", &received.event);
        assert_eq!(harness.start(&other).await.unwrap_err().kind, ErrorKind::Busy);

        harness.pass(Duration::from_secs(70)).await;
        assert_eq!(harness.start(&other).await.unwrap_err().kind, ErrorKind::Cancelled);
        // The first execution that comes after the lease seals the job.
        let ended = harness.run("two", &received.event).await?;
        assert_cancelled(&ended, &key, true, "got no answer");
        assert_cancelled(&harness.cancel("cancel", &key).await?, &key, false, "");
        assert_cancelled(&harness.run("one", &received.event).await?, &key, false, "");
        assert_eq!(harness.simulated.start_calls(), starts, "{moment:?}");
    }
    Ok(())
}

/// Reading the source of an import takes minutes. The cancel is seen after that, and the start call is not made.
#[tokio::test]
async fn a_cancel_while_a_source_is_read_is_seen_before_the_start_call() -> Result<()> {
    type Imports = Harness<EndpointImports, pinpoint::Pinpoint>;
    let settings = pinpoint::Settings {
        endpoints: 10,
        ..Default::default()
    };
    let harness = Harness::imports(settings, Faults::none())?;
    for (key, body) in pinpoint::samples(0, 10)? {
        harness.store.insert(EXPORTS, key, body);
    }
    let event = serde_json::from_str(include_str!("../../events/endpoint-import.json"))?;
    let received = Imports::received("one", &event);
    let key = identify(&EndpointImports::kind(), &event)?.job_key;
    let noted = key.clone();
    harness
        .store
        .before(Op::Read, 0, move |store| note(store, &EndpointImports::kind(), &noted));
    let error = harness.start(&received).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Cancelled, "{error}");
    let failed = landfall::start::Received {
        error: Some(error.into()),
        ..received
    };
    // The lease is not over, but its owner has given the claim up.
    assert_cancelled(&json!(harness.seal(json!(failed)).await?), &key, true, "");
    assert_eq!(harness.simulated.start_calls(), 0);
    Ok(())
}

/// If the cancel comes before the outcome, the verified output is not sealed. If it comes later, the outcome stands.
#[tokio::test]
async fn a_cancel_races_the_seal_and_one_of_them_wins() -> Result<()> {
    let verified = async |harness: &Harness| -> Result<Job> {
        let job = harness.start(&<Harness>::received("one", &event("one"))).await?;
        harness.pass(DURATION).await;
        let job = harness.poll(job).await?;
        assert_eq!(job.status, Status::Succeeded);
        Ok(harness.verify(job).await?)
    };
    let first = harness(Faults::none());
    let job = verified(&first).await?;
    let cancelled = first.cancel("cancel", &job.job_key).await?;
    assert_cancelled(&cancelled, &job.job_key, true, "");
    assert_cancelled(&json!(first.seal(json!(job)).await?), &job.job_key, false, "");
    assert_eq!(first.receipts(), Vec::<String>::new());

    let second = harness(Faults::none());
    let job = verified(&second).await?;
    let sealed = json!(second.seal(json!(job)).await?);
    assert_eq!(sealed["outcome"]["verdict"], "succeeded");
    let late = second.cancel("cancel", &job.job_key).await?;
    assert_eq!(late["outcome"]["receipt"], sealed["outcome"]["receipt"]);
    assert_eq!(
        (&late["outcome"]["verdict"], &late["outcome"]["announce"]),
        (&json!("succeeded"), &json!(false))
    );
    assert!(entry(&second, &job.job_key)?["cancel"].is_null());

    // The cancel is written right before the outcome of the success.
    let third = harness(Faults::none());
    let job = verified(&third).await?;
    let noted = job.job_key.clone();
    third
        .store
        .before(Op::Put, 0, move |store| note(store, &SegmentSnapshots::kind(), &noted));
    assert_cancelled(&json!(third.seal(json!(job)).await?), &job.job_key, true, "by somebody");
    assert_eq!(third.receipts(), Vec::<String>::new());
    Ok(())
}

/// A cancel for something that is not a job closes nothing, and its error says so.
#[tokio::test]
async fn only_a_job_can_be_cancelled() -> Result<()> {
    let harness = harness(Faults::none());
    let job = harness.start(&<Harness>::received("one", &event("one"))).await?;
    let missing = harness.cancel("cancel", "20261101T050000Z-00000000").await?;
    assert_eq!(missing["outcome"]["error"]["Error"], "Landfall.NotFound", "{missing:#}");
    for wrong in [
        json!({"cancel": null}),
        json!({"cancel": {"job_key": 5}}),
        json!({"cancel": {"job_key": job.job_key}, "detail": {}}),
    ] {
        let refused = json!(harness.seal(json!(<Harness>::received("cancel", &wrong))).await?);
        assert_eq!(
            refused["outcome"]["error"]["Error"], "Landfall.InvalidEvent",
            "{refused:#}"
        );
        assert!(
            refused["job_key"].as_str().unwrap().starts_with("rejected-"),
            "{refused:#}"
        );
    }
    assert_eq!(harness.poll(job).await?.status, Status::Running);
    // The failure belongs to this one execution, because such a job may exist later.
    let key = key_of(&event("two"));
    harness.cancel("early", &key).await?;
    harness.pass(DURATION).await;
    harness.run("one", &event("one")).await?;
    harness.start(&<Harness>::received("two", &event("two"))).await?;
    assert_cancelled(&harness.cancel("late", &key).await?, &key, true, "");
    Ok(())
}

/// Two executions cancel a job before it exists. Lambda runs the step of the second one twice, the second time when the
/// job exists. The execution was told that there is no job, so this run cancels nothing: nobody would announce it.
#[tokio::test]
async fn a_cancel_that_found_no_job_cancels_none_when_it_runs_again() -> Result<()> {
    let harness = harness(Faults::none());
    let key = key_of(&event("one"));
    harness.cancel("first", &key).await?;
    let told = harness.cancel("second", &key).await?;
    let job = harness.start(&<Harness>::received("one", &event("one"))).await?;
    assert_eq!(harness.cancel("second", &key).await?, told);
    assert_eq!(harness.poll(job).await?.status, Status::Running);
    Ok(())
}

/// Each call of a cancel in turn is lost before or after its effect, alone or with its function.
#[tokio::test]
async fn any_one_call_of_a_cancel_may_be_lost() -> Result<()> {
    let quiet = harness(Faults::none());
    let key = quiet.start(&<Harness>::received("one", &event("one"))).await?.job_key;
    let first = quiet.faults.calls();
    quiet.cancel("cancel", &key).await?;
    let calls = first..quiet.faults.calls();
    assert!(calls.len() >= 4, "{calls:?}");
    for call in calls {
        for moment in [Moment::Before, Moment::After] {
            for harm in [Harm::Lose, Harm::Die] {
                let case = format!("call {call}, {moment:?}, {harm:?}");
                let harness = harness(Faults::at(call, moment, harm));
                let job = harness.start(&<Harness>::received("one", &event("one"))).await?;
                let cancelled = harness.cancel("cancel", &key).await.context(case.clone())?;
                assert_cancelled(&cancelled, &key, true, "");
                let receipt = cancelled["outcome"]["receipt"].as_str().unwrap();
                let place = receipt.strip_prefix(&format!("s3://{LEDGER}/")).unwrap();
                assert_eq!(harness.store.versions(LEDGER, place), 1, "{case}");
                assert_eq!(slots(&harness), Vec::<String>::new(), "{case}");
                assert_eq!(harness.poll(job).await?.status, Status::Failed, "{case}");
            }
        }
    }
    Ok(())
}

/// If the ledger does not answer, the poll cannot know of a cancel, and the job goes on.
#[tokio::test]
async fn a_poll_succeeds_if_the_ledger_does_not_answer() -> Result<()> {
    let quiet = harness(Faults::none());
    let job = quiet.start(&<Harness>::received("one", &event("one"))).await?;
    quiet.poll(job).await?;
    // A poll asks the service before the ledger.
    let last = quiet.faults.calls() - 1;
    let harness = harness(Faults::at(last, Moment::Before, Harm::Lose));
    let job = harness.start(&<Harness>::received("one", &event("one"))).await?;
    note(&harness.store, &job.kind, &job.job_key);
    let job = harness.poll(job).await?;
    assert_eq!((job.status, job.missed.count), (Status::Running, 0));
    assert_eq!(harness.poll(job).await?.status, Status::Failed);
    Ok(())
}

/// A job that picks up another one can be cancelled like any other, and can be picked up again.
#[tokio::test]
async fn a_pick_up_is_cancelled_and_picked_up_again() -> Result<()> {
    let harness = harness(Faults::none());
    let first = harness.start(&<Harness>::received("one", &event("one"))).await?.job_key;
    harness.cancel("cancel", &first).await?;
    let pick_up = |id: &str, of: &str| {
        let mut pick_up = event(id);
        pick_up["detail"]["Landfall"] = json!({"PickUp": of});
        pick_up
    };
    let second = harness
        .start(&<Harness>::received("two", &pick_up("a", &first)))
        .await?
        .job_key;
    assert_cancelled(&harness.cancel("cancel-2", &second).await?, &second, true, "");
    harness.pass(DURATION).await;
    let third = harness.run("three", &pick_up("b", &second)).await?;
    assert_eq!(third["outcome"]["verdict"], "succeeded", "{third:#}");
    assert_eq!(harness.simulated.start_calls(), 1);
    Ok(())
}
