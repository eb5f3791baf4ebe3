//! The independent count of segment snapshots: who asks for it, what it shows, and that it costs other jobs nothing.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use anyhow::{Context, Result};
use landfall::job::Estimate;
use landfall_local::simulated::customer_profiles::{Operation, Scenario, Settings};
use landfall_tests::{
    harness::Harness,
    in_process::{Faults, Harm, Moment},
};
use serde_json::{Value, json};

const PROFILES: u64 = 1_000;

fn harness(scenario: Scenario) -> Harness {
    with_faults(scenario, Faults::none()).expect("the harness is right")
}

fn with_faults(scenario: Scenario, faults: std::sync::Arc<Faults>) -> Result<Harness> {
    let settings = Settings {
        profiles: PROFILES,
        scenario,
        ..Settings::default()
    };
    Harness::new(settings, faults)
}

fn event(change: impl FnOnce(&mut Value)) -> Value {
    let text = include_str!("../../events/segment-snapshot-estimate.json");
    let mut event: Value = serde_json::from_str(text).expect("the sample is JSON");
    change(&mut event["detail"]);
    event
}

/// The verdict and reason of the check, and the outcome of the job.
async fn checked(harness: &Harness, event: &Value) -> Result<(String, String, String)> {
    let sealed = harness.run("first", event).await?;
    let uri = sealed["outcome"]["receipt"].as_str().context("no receipt")?;
    let receipt = harness.json(uri)?;
    let checks = receipt["verification"]["checks"].as_array().context("no checks")?;
    let check = checks
        .iter()
        .find(|check| check["name"] == "segment_estimate")
        .context("no such check")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok((
        text(&check["verdict"]),
        text(&check["reason"]),
        text(&sealed["outcome"]["verdict"]),
    ))
}

const ESTIMATES: [Operation; 3] = [Operation::Definition, Operation::Estimate, Operation::Estimated];

#[tokio::test]
async fn the_rows_are_compared_with_the_estimate() -> Result<()> {
    for (scenario, otherwise, verdict, words, outcome) in [
        (Scenario::Success, "warn", "pass", "estimates 1010", "succeeded"),
        (
            Scenario::EstimateOff,
            "warn",
            "warn",
            "they differ by 1100",
            "succeeded",
        ),
        (Scenario::EstimateOff, "fail", "fail", "they differ by 1100", "failed"),
        (
            Scenario::EstimateFailed,
            "fail",
            "skipped",
            "the service says that it failed",
            "succeeded",
        ),
        (
            Scenario::EstimateStuck,
            "fail",
            "skipped",
            "had not estimated",
            "succeeded",
        ),
        (
            Scenario::EstimateDenied,
            "fail",
            "skipped",
            "GetSegmentDefinition",
            "succeeded",
        ),
    ] {
        for segment in ["high-value-customers", "by-sql"] {
            let harness = harness(scenario);
            let event = event(|detail| {
                detail["SegmentDefinitionName"] = json!(segment);
                detail["Landfall"]["Verification"]["Expect"]["SegmentEstimate"]["Otherwise"] = json!(otherwise);
            });
            let (found, reason, ended) = checked(&harness, &event).await?;
            assert_eq!(
                (found.as_str(), ended.as_str()),
                (verdict, outcome),
                "{scenario}: {reason}"
            );
            assert!(reason.contains(words), "{scenario}: {reason}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_event_that_asks_for_no_estimate_makes_no_call() -> Result<()> {
    let harness = harness(Scenario::Success);
    let plain = event(|detail| detail["Landfall"] = json!({}));
    let (verdict, reason, _) = checked(&harness, &plain).await?;
    assert_eq!(verdict, "skipped");
    assert!(reason.contains("nothing of an estimate"), "{reason}");
    let calls = harness.simulated.calls();
    assert!(
        calls.iter().all(|call| !ESTIMATES.contains(&call.operation)),
        "{calls:?}"
    );
    Ok(())
}

/// A delivery that adopts a job asks for the estimate, too, and no lost call of the estimate harms the job.
#[tokio::test]
async fn any_one_call_may_be_lost() -> Result<()> {
    let quiet = harness(Scenario::Success);
    quiet.run("first", &event(|_| ())).await?;
    let calls = quiet.faults.calls();
    for call in 0..calls {
        for (moment, harm) in [(Moment::Before, Harm::Lose), (Moment::After, Harm::Die)] {
            let case = format!("call {call} of {calls}, {moment:?}, {harm:?}");
            let harness = with_faults(Scenario::Success, Faults::at(call, moment, harm))?;
            let (verdict, reason, outcome) = checked(&harness, &event(|_| ())).await.context(case.clone())?;
            assert_eq!(outcome, "succeeded", "{case}");
            assert!(["pass", "skipped"].contains(&verdict.as_str()), "{case}: {reason}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_start_function_asks_for_an_estimate_after_recording_the_job() -> Result<()> {
    let harness = harness(Scenario::Success);
    let received = <Harness>::received("first", &event(|_| ()));
    let job = harness.start(&received).await?;
    assert!(
        matches!(job.estimate, Some(Estimate::Asked { .. })),
        "{:?}",
        job.estimate
    );
    let operations: Vec<_> = harness.simulated.calls().iter().map(|call| call.operation).collect();
    assert_eq!(
        operations,
        [Operation::Create, Operation::Definition, Operation::Estimate]
    );
    Ok(())
}
