//! The metrics of sealed jobs are valid by CloudWatch's own specification and hold the values of the receipt.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::time::Duration;

use anyhow::{Context, Result};
use landfall::{job::Job, service::JobService};
use landfall_local::simulated::{SimulatedService, customer_profiles, pinpoint};
use landfall_output::{metrics::document, receipt::Receipt};
use landfall_tests::{
    embedded_metrics::{check_targets, schema},
    harness::Harness,
    in_process::Faults,
};
use serde_json::{Value, json};

const NAMESPACE: &str = "Landfall/landfall";

fn sample(text: &str, name: &str) -> Value {
    let mut event: Value = serde_json::from_str(text).expect("a sample is JSON");
    event["detail"]["Landfall"]["Name"] = json!(name);
    event
}

/// The metrics document of a job that has ended.
async fn of<S, M>(harness: &Harness<S, M>, event: &Value) -> Result<(Value, Job, Receipt)>
where
    S: JobService + 'static,
    M: SimulatedService + 'static,
{
    let sealed = harness.run("first", event).await?;
    let job: Job = serde_json::from_value(sealed)?;
    let outcome = job.outcome.as_ref().context("no outcome")?;
    let receipt: Receipt = serde_json::from_value(harness.json(&outcome.receipt.to_string())?)?;
    Ok((document(NAMESPACE, &receipt, Some(&job)), job, receipt))
}

#[tokio::test]
async fn metrics_have_the_embedded_metric_format() -> Result<()> {
    let validator = jsonschema::validator_for(&schema())?;
    let segment = sample(include_str!("../../events/segment-snapshot-scheduler.json"), "nightly");
    let export = sample(include_str!("../../events/endpoint-export.json"), "endpoints");
    let segments = |scenario| customer_profiles::Settings {
        duration: Duration::from_secs(45),
        scenario,
        ..Default::default()
    };
    let endpoints = pinpoint::Settings {
        duration: Duration::from_secs(45),
        ..Default::default()
    };
    let succeeded = Harness::new(segments(customer_profiles::Scenario::Success), Faults::none())?;
    let failed = Harness::new(segments(customer_profiles::Scenario::ServiceFailed), Faults::none())?;
    let told = Harness::exports(endpoints, Faults::none())?;

    let (of_success, job, receipt) = of(&succeeded, &segment).await?;
    let (of_failure, ..) = of(&failed, &segment).await?;
    let (of_export, exported, _) = of(&told, &export).await?;
    for line in [&of_success, &of_failure, &of_export] {
        assert!(validator.is_valid(line), "{line:#}");
        check_targets(line)?;
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], NAMESPACE);
    }

    let output = receipt.output.as_ref().context("no output")?;
    assert_eq!(
        (&of_success["Succeeded"], &of_success["Failed"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        (&of_failure["Succeeded"], &of_failure["Failed"]),
        (&json!(0), &json!(1))
    );
    assert_eq!(of_success["Rows"], output.rows);
    assert_eq!(of_success["Polls"], job.polls);
    assert_eq!(of_failure.get("Rows"), None, "an unknown delay must be left out");
    // Pinpoint says when a job ended; Customer Profiles does not.
    assert_eq!(of_success.get("DetectionDelay"), None);
    let (ended, seen) = exported.service_ended_at.zip(exported.ended_at).context("no end")?;
    assert_eq!(of_export["DetectionDelay"], (seen - ended).as_seconds_f64());
    assert!(seen >= ended);
    // A metric is counted by schedule and by name.
    assert_eq!(
        of_success["_aws"]["CloudWatchMetrics"][1]["Dimensions"],
        json!([["name"], ["schedule"]])
    );

    for (place, wrong) in [
        ("/_aws/Timestamp", json!("now")),
        ("/_aws/CloudWatchMetrics/0/Dimensions", json!([])),
        ("/_aws/CloudWatchMetrics/0/Metrics/0/Unit", json!("Jobs")),
        ("/_aws/CloudWatchMetrics/0/Namespace", json!("")),
    ] {
        let mut spoiled = of_success.clone();
        *spoiled.pointer_mut(place).context(place)? = wrong;
        assert!(!validator.is_valid(&spoiled), "{place}");
    }
    for member in ["Rows", "kind"] {
        let mut spoiled = of_success.clone();
        spoiled[member] = Value::Null;
        assert!(check_targets(&spoiled).is_err(), "{member}");
    }
    Ok(())
}
