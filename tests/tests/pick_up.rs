//! Picks up jobs that were given up and that the service finished later.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use landfall::{error::ErrorKind, ledger::Ledger, service::JobService};
use landfall_customer_profiles::SegmentSnapshots;
use landfall_local::simulated::{
    customer_profiles::{self, Scenario},
    simulator::Simulator as _,
};
use landfall_tests::{
    harness::{EXPORTS, Harness, LEDGER},
    in_process::{Faults, Harm, Moment},
};
use serde_json::{Value, json};

/// How long a simulated job runs, which is longer than the events wait.
const DURATION: Duration = Duration::from_secs(300);

fn sample(text: &str) -> Value {
    serde_json::from_str(text).expect("the sample is JSON")
}

fn segment(id: &str, options: Value) -> Value {
    let mut event = sample(include_str!("../../events/segment-snapshot.json"));
    event["id"] = json!(id);
    event["detail"]["Landfall"] = options;
    event
}

fn segments(scenario: Scenario, faults: Arc<Faults>) -> Result<Harness> {
    let settings = customer_profiles::Settings {
        profiles: 10,
        duration: DURATION,
        scenario,
        ..customer_profiles::Settings::default()
    };
    <Harness>::new(settings, faults)
}

fn entry(harness: &Harness, job_key: &str) -> Result<Value> {
    harness.json(&format!(
        "s3://{LEDGER}/{}",
        Ledger::entry_key(&SegmentSnapshots::kind(), job_key)
    ))
}

fn job_key(outcome: &Value) -> Result<String> {
    Ok(outcome["job_key"].as_str().context("no job key")?.to_owned())
}

/// Makes a job that was given up before the service finished it.
async fn given_up(harness: &Harness) -> Result<String> {
    let outcome = harness
        .run("first", &segment("first", json!({"DeadlineSeconds": 20})))
        .await?;
    assert_eq!(outcome["outcome"]["error"]["Error"], "Landfall.TimedOut", "{outcome:#}");
    let job_key = job_key(&outcome)?;
    let cause = outcome["outcome"]["error"]["Cause"].as_str().context("no cause")?;
    assert!(
        cause.contains(&format!("\"Landfall\": {{\"PickUp\": \"{job_key}\"}}")),
        "{cause}"
    );
    Ok(job_key)
}

#[tokio::test]
async fn a_job_that_ends_late_is_sealed_without_another_export() -> Result<()> {
    let harness = segments(Scenario::Success, Faults::none())?;
    let first = given_up(&harness).await?;
    let given_up = entry(&harness, &first)?;
    harness.pass(DURATION).await;

    let mut event = segment("pick-up", json!({"PickUp": first, "Name": "late"}));
    event["time"] = json!("2026-11-02T09:00:00Z");
    let sealed = harness.run("second", &event).await?;
    assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{sealed:#}");
    assert_eq!(sealed["outcome"]["announce"], true);
    let picked = job_key(&sealed)?;
    assert!(picked != first && picked.starts_with("20261101T050000Z-"), "{picked}");
    assert_eq!(harness.simulated.start_calls(), 1);

    let uri = format!("s3://{EXPORTS}/segments/high-value-customers/run={first}/_receipt.json");
    assert_eq!(sealed["outcome"]["receipt"], uri);
    let receipt = harness.json(&uri)?;
    assert_eq!(receipt["picks_up"], first);
    assert_eq!(receipt["name"], "late");
    assert_eq!(receipt["output"]["rows"], 10);
    assert_eq!(
        receipt["attempts"][0]["service_id"],
        given_up["attempts"][0]["service_id"]
    );
    assert_eq!(receipt["times"]["triggered_at"], "2026-11-01T05:00:00Z");
    // The pointer of the destination follows the time of the export and not that of the pick-up.
    let latest = harness.json(&format!("s3://{EXPORTS}/segments/high-value-customers/_latest.json"))?;
    assert_eq!(
        (&latest["receipt"], &latest["triggered_at"]),
        (&json!(uri), &json!("2026-11-01T05:00:00Z"))
    );

    // Each job names the other, and the first outcome stands.
    let after = entry(&harness, &first)?;
    assert_eq!(after["picked_up_by"], json!([picked]));
    assert_eq!(after["outcome"], given_up["outcome"]);
    assert_eq!(entry(&harness, &picked)?["picks_up"], first);

    // The same pick-up with another event id and time is the same job. The first event still has its own outcome.
    let again = harness
        .run("third", &segment("again", json!({"PickUp": first})))
        .await?;
    assert_eq!(
        (&again["outcome"]["receipt"], &again["outcome"]["announce"]),
        (&json!(uri), &json!(false))
    );
    let own = harness
        .run("fourth", &segment("first", json!({"DeadlineSeconds": 20})))
        .await?;
    assert_eq!(own["outcome"]["error"]["Error"], "Landfall.TimedOut");
    assert_eq!(harness.receipts().len(), 1);
    Ok(())
}

/// The event of the pick-up decides what is written beside the receipt. The name comes from the first event if the
/// pick-up has none.
#[tokio::test]
async fn a_pick_up_uses_the_options_of_its_own_event() -> Result<()> {
    for manifest in [true, false] {
        let harness = segments(Scenario::Success, Faults::none())?;
        let options = json!({"DeadlineSeconds": 20, "Name": "nightly", "Manifest": !manifest});
        let first = job_key(&harness.run("first", &segment("first", options)).await?)?;
        harness.pass(DURATION).await;
        let event = segment("pick-up", json!({"PickUp": first, "Manifest": manifest}));
        let sealed = harness.run("second", &event).await?;
        assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{sealed:#}");
        assert_eq!(sealed["name"], "nightly");
        let is_manifest = |key: &String| key.ends_with("/_manifest.json");
        assert_eq!(harness.store.keys(EXPORTS).iter().any(is_manifest), manifest);
    }
    Ok(())
}

/// The data belong to the job that asked for them, so the pick-up takes over what is known of that job and its calls.
#[tokio::test]
async fn a_pick_up_takes_over_what_the_entry_of_the_job_holds() -> Result<()> {
    let harness = segments(Scenario::Success, Faults::none())?;
    let first = given_up(&harness).await?;
    let key = Ledger::entry_key(&SegmentSnapshots::kind(), &first);
    let mut known = entry(&harness, &first)?;
    known["trigger"]["schedule"] = json!("arn:aws:scheduler:eu-central-1:111122223333:schedule/default/nightly");
    known["source"] = json!({"uri": "s3://imports/a/", "format": "CSV", "objects": 1, "bytes": 9, "rows": 2});
    known["orphans"] = json!([{"attempt": 1, "service_id": "late", "prefix": "s3://landfall-exports/late/"}]);
    harness.store.insert(LEDGER, &key, known.to_string());

    let event = segment("pick-up", json!({"PickUp": first}));
    let job = harness.start(&<Harness>::received("second", &event)).await?;
    // The job started long ago, so the first wait is the shortest one.
    assert_eq!(job.wait_seconds, 15);
    let picked = entry(&harness, &job.job_key)?;
    for member in ["request", "format", "source", "orphans"] {
        assert_eq!(picked[member], known[member], "{member}");
    }
    for member in ["time", "schedule", "request_sha256"] {
        assert_eq!(picked["trigger"][member], known["trigger"][member], "{member}");
    }
    // The attempt now belongs to this execution and is otherwise unchanged.
    let mut attempt = known["attempts"][0].clone();
    attempt["owner"] = picked["attempts"][0]["owner"].clone();
    assert_eq!(picked["attempts"], json!([attempt]));
    assert!(
        attempt["owner"]
            .as_str()
            .is_some_and(|owner| owner.contains(":second/"))
    );
    Ok(())
}

/// If there is nothing to pick up, the error says why and what to do.
#[tokio::test]
async fn a_job_that_cannot_be_picked_up_is_refused_with_advice() -> Result<()> {
    let harness = segments(Scenario::Success, Faults::none())?;
    let refused = async |event: Value| {
        let error = harness.start(&<Harness>::received("x", &event)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidEvent, "{error}");
        error.message
    };
    let unknown = refused(segment("a", json!({"PickUp": "20261101T050000Z-00000000"}))).await;
    assert!(
        unknown.contains("there is no segment-snapshot 20261101T050000Z-00000000"),
        "{unknown}"
    );
    let malformed = refused(segment("a", json!({"PickUp": "rejected-0123456789abcdef"}))).await;
    assert!(malformed.contains("$.detail.Landfall.PickUp"), "{malformed}");

    let running = harness
        .start(&<Harness>::received("x", &segment("b", json!({}))))
        .await?
        .job_key;
    let open = refused(segment("a", json!({"PickUp": running}))).await;
    assert!(open.contains("has not ended"), "{open}");

    harness.pass(DURATION).await;
    let sealed = harness.run("x", &segment("b", json!({}))).await?;
    assert_eq!(sealed["outcome"]["verdict"], "succeeded");
    let succeeded = refused(segment("a", json!({"PickUp": running}))).await;
    assert!(succeeded.contains("_receipt.json"), "{succeeded}");

    let first = given_up(&harness).await?;
    let mut other = segment("a", json!({"PickUp": first}));
    other["detail"]["SegmentDefinitionName"] = json!("others");
    let other = refused(other).await;
    assert!(other.contains("another request"), "{other}");

    let denied = segments(Scenario::Denied, Faults::none())?;
    let sealed = denied.run("x", &segment("c", json!({}))).await?;
    let event = segment("a", json!({"PickUp": job_key(&sealed)?}));
    let never = denied.start(&<Harness>::received("x", &event)).await.unwrap_err();
    assert!(
        never.kind == ErrorKind::InvalidEvent && never.message.contains("Landfall.Rerun"),
        "{never}"
    );
    Ok(())
}

/// A pick-up that is refused now may be right later, so it closes nothing.
#[tokio::test]
async fn a_pick_up_that_came_too_early_can_be_sent_again() -> Result<()> {
    let harness = segments(Scenario::Success, Faults::none())?;
    let event = segment("first", json!({"DeadlineSeconds": 20}));
    let job = harness.start(&<Harness>::received("first", &event)).await?;
    let pick_up = segment("pick-up", json!({"PickUp": job.job_key}));
    let early = harness.run("early", &pick_up).await?;
    assert_eq!(early["outcome"]["error"]["Error"], "Landfall.InvalidEvent");
    let first = given_up(&harness).await?;
    assert_eq!(first, job.job_key);
    harness.pass(DURATION).await;
    let sealed = harness.run("late", &pick_up).await?;
    assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{sealed:#}");
    Ok(())
}

/// A pick-up that was given up can be picked up by number or by its own key, but never after a success.
#[tokio::test]
async fn a_failed_pick_up_is_followed_by_another_one() -> Result<()> {
    let harness = segments(Scenario::Success, Faults::none())?;
    let first = given_up(&harness).await?;
    let second = harness
        .run("x", &segment("a", json!({"PickUp": first, "DeadlineSeconds": 20})))
        .await?;
    assert_eq!(second["outcome"]["error"]["Error"], "Landfall.TimedOut", "{second:#}");
    let second = job_key(&second)?;
    // The same event has the same outcome; another number makes another job.
    let same = harness.run("x", &segment("b", json!({"PickUp": first}))).await?;
    assert_eq!(
        (job_key(&same)?, &same["outcome"]["verdict"]),
        (second.clone(), &json!("failed"))
    );
    let numbered = segment("c", json!({"PickUp": first, "Rerun": 1, "DeadlineSeconds": 20}));
    let third = job_key(&harness.run("x", &numbered).await?)?;
    assert_ne!(third, second);

    harness.pass(DURATION).await;
    let by_key = segment("d", json!({"PickUp": second}));
    let sealed = harness.run("x", &by_key).await?;
    assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{sealed:#}");
    let fourth = job_key(&sealed)?;
    assert_eq!(entry(&harness, &first)?["picked_up_by"], json!([second, third, fourth]));
    assert_eq!(entry(&harness, &fourth)?["picks_up"], first);
    for again in [json!({"PickUp": third}), json!({"PickUp": first, "Rerun": 2})] {
        let error = harness
            .start(&<Harness>::received("x", &segment("e", again)))
            .await
            .unwrap_err();
        assert!(error.message.contains("which succeeded: its receipt is"), "{error}");
    }
    assert_eq!((harness.simulated.start_calls(), harness.receipts().len()), (1, 1));
    Ok(())
}

/// If two pick-ups want the same job at once, one gets it.
#[tokio::test]
async fn two_pick_ups_do_not_share_a_job() -> Result<()> {
    let harness = segments(Scenario::Success, Faults::none())?;
    let first = given_up(&harness).await?;
    harness.pass(DURATION).await;
    let one = <Harness>::received("one", &segment("a", json!({"PickUp": first})));
    let two = <Harness>::received("two", &segment("b", json!({"PickUp": first, "Rerun": 1})));
    let (one, two) = tokio::join!(harness.start(&one), harness.start(&two));
    assert!(one.is_ok() != two.is_ok(), "{one:?}\n{two:?}");
    let error = one.err().or(two.err()).context("both have it")?;
    assert!(error.message.contains("is being picked up by"), "{error}");
    Ok(())
}

/// Each call of a pick-up is lost before or after its effect, alone or with its function.
#[tokio::test]
async fn any_call_of_a_pick_up_may_be_lost() -> Result<()> {
    let quiet = segments(Scenario::Success, Faults::none())?;
    let first = given_up(&quiet).await?;
    let begin = quiet.faults.calls();
    quiet.pass(DURATION).await;
    let event = segment("pick-up", json!({"PickUp": first}));
    quiet.run("second", &event).await?;
    for call in begin..quiet.faults.calls() {
        for moment in [Moment::Before, Moment::After] {
            for harm in [Harm::Lose, Harm::Die] {
                let case = format!("call {call}, {moment:?}, {harm:?}");
                let harness = segments(Scenario::Success, Faults::at(call, moment, harm))?;
                assert_eq!(given_up(&harness).await?, first, "{case}");
                harness.pass(DURATION).await;
                let sealed = harness.run("second", &event).await.with_context(|| case.clone())?;
                assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{case}: {sealed:#}");
                assert_eq!(
                    (harness.simulated.start_calls(), harness.receipts().len()),
                    (1, 1),
                    "{case}"
                );
                let again = harness.run("third", &event).await?;
                assert_eq!(again["outcome"]["receipt"], sealed["outcome"]["receipt"], "{case}");
                assert_eq!(again["outcome"]["announce"], false, "{case}");
                let picked = job_key(&sealed)?;
                assert_eq!(entry(&harness, &first)?["picked_up_by"], json!([picked]), "{case}");
            }
        }
    }
    Ok(())
}

/// A rejected output can be verified again with other expectations, which are options and not part of the request.
#[tokio::test]
async fn a_rejected_output_is_verified_again() -> Result<()> {
    let harness = segments(Scenario::EmptySegment, Faults::none())?;
    let rejected = harness.run("first", &segment("first", json!({}))).await?;
    assert_eq!(rejected["outcome"]["error"]["Error"], "Landfall.OutputRejected");
    let options = json!({"PickUp": job_key(&rejected)?, "Verification": {"AllowEmpty": true}});
    let sealed = harness.run("second", &segment("second", options)).await?;
    assert_eq!(sealed["outcome"]["verdict"], "succeeded", "{sealed:#}");
    assert_eq!(harness.simulated.start_calls(), 1);
    Ok(())
}
