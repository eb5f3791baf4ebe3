//! Runs batches through the deployed definitions on an interpreter, with the functions' own binaries.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::time::Duration;

use anyhow::{Context, Result};
use landfall_local::{
    account::{EXPORTS, LEDGER},
    deploy::Retries,
    edge::lambda::Fault,
    functions::SUMMARY,
    simulated::{
        customer_profiles::{CustomerProfiles, Settings},
        simulator::Recipe,
        simulator::Simulator as _,
    },
    world::{Finished, Options, World},
};
use landfall_tests::patient;
use serde_json::{Value, json};

async fn world() -> Result<World> {
    let mut options = Options::for_kind("segment-snapshot")?;
    options.batches = true;
    options.retries = Retries::Short;
    patient(&mut options);
    options.services = vec![Recipe::of::<CustomerProfiles>(Settings {
        profiles: 50,
        duration: Duration::from_secs(1),
        ..Settings::default()
    })];
    World::start(options).await
}

async fn summary(world: &World, finished: &Finished) -> Result<(Value, Vec<Value>)> {
    let batch = finished.job().context("no batch")?;
    let uri = batch["outcome"]["receipt"].as_str().context("no summary")?;
    let key = uri.strip_prefix(&format!("s3://{LEDGER}/")).context("elsewhere")?;
    let summary: Value = serde_json::from_slice(&world.object(LEDGER, key).await?.context("it is not there")?)?;
    let results = summary["results"]["key"].as_str().context("no results")?;
    let results = world.object(LEDGER, results).await?.context("no list of results")?;
    let lines = results.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok((summary, lines.map(serde_json::from_slice).collect::<Result<_, _>>()?))
}

/// Six requests: two equal valid ones and another valid one, one that its start function refuses, one of an unknown
/// kind, and one with a destination that is not allowed. The event is delivered twice at once, and once more later.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_runs_once_however_often_it_arrives() -> Result<()> {
    let world = world().await?;
    let mut event: Value = serde_json::from_str(include_str!("../../events/batch.json"))?;
    let requests = event["detail"]["Requests"].as_array_mut().context("no requests")?;
    let mut elsewhere = requests[0].clone();
    elsewhere["Detail"]["DestinationUri"] = json!("s3://somebody-elses/exports/");
    requests[1] = requests[0].clone();
    requests.extend([json!({"Kind": "moon-landing", "Detail": {}}), elsewhere]);

    let (one, two) = tokio::try_join!(world.deliver(&event), world.deliver(&event))?;
    let (one, two) = tokio::try_join!(world.wait(&one), world.wait(&two))?;
    for finished in [&one, &two] {
        assert_eq!(finished.error.as_deref(), Some("Landfall.BatchFailed"), "{finished:#?}");
    }
    let (summed, results) = summary(&world, &one).await?;
    assert_eq!(
        summed["counts"],
        json!({"requests": 6, "succeeded": 3, "failed": 1, "rejected": 2, "unknown": 0})
    );
    assert_eq!(summed["rows"], 150);
    let became: Vec<&str> = results.iter().filter_map(|result| result["became"].as_str()).collect();
    assert_eq!(
        became,
        ["succeeded", "succeeded", "rejected", "succeeded", "rejected", "failed"]
    );
    assert_ne!(results[0]["job_key"], results[1]["job_key"]);
    assert_eq!(results[5]["error"]["Error"], "Landfall.Forbidden");
    for result in results.iter().filter(|result| result["became"] != "rejected") {
        let receipt = result["receipt"].as_str().context("no receipt")?;
        let (bucket, key) = receipt.trim_start_matches("s3://").split_once('/').context("no key")?;
        assert!(world.object(bucket, key).await?.is_some(), "{receipt} must exist");
    }
    assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), 3);

    let announced = world.announcements().await?;
    let of = |detail_type: &str| {
        announced
            .iter()
            .filter(|event| event["detail-type"] == detail_type)
            .count()
    };
    assert_eq!(of("Export Batch Completed"), 1, "{announced:#?}");
    assert_eq!((of("Export Job Succeeded"), of("Export Job Failed")), (3, 2));
    let completed = announced
        .iter()
        .find(|event| event["detail-type"] == "Export Batch Completed")
        .context("not announced")?;
    assert_eq!(completed["detail"]["verdict"], "failed");
    assert_eq!(completed["detail"]["succeeded"], 3);

    let later = world.deliver(&event).await?;
    let later = world.wait(&later).await?;
    assert_eq!(
        later.states(),
        ["Receive", "Plan", "Planned", "Summary", "SummedUp", "Outcome", "Failed"]
    );
    assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), 3);
    assert_eq!(world.announcements().await?, Vec::<Value>::new());
    world.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_in_s3_runs_and_an_invalid_event_gets_a_summary() -> Result<()> {
    let world = world().await?;
    let list = include_str!("../../events/batch-requests.jsonl");
    world.put(EXPORTS, "requests/batch-requests.jsonl", list).await?;
    let event: Value = serde_json::from_str(include_str!("../../events/batch-by-pointer.json"))?;
    let execution = world.deliver(&event).await?;
    let finished = world.wait(&execution).await?;
    assert!(finished.is_success(), "{finished:#?}");
    assert_eq!(
        finished.states(),
        [
            "Receive",
            "Plan",
            "Planned",
            "Requests",
            "Summary",
            "SummedUp",
            "Announce",
            "Outcome",
            "Succeeded"
        ]
    );
    let (summed, results) = summary(&world, &finished).await?;
    assert_eq!(summed["verdict"], "succeeded");
    assert_eq!((results.len(), &summed["rows"]), (3, &json!(150)));
    assert_eq!(world.announcements().await?.len(), 4);

    for (event, error) in [
        (
            include_str!("../../events/malformed-batch.json"),
            "Landfall.InvalidEvent",
        ),
        (
            include_str!("../../events/forbidden-batch-list.json"),
            "Landfall.Forbidden",
        ),
    ] {
        let execution = world.deliver(&serde_json::from_str(event)?).await?;
        let finished = world.wait(&execution).await?;
        assert_eq!(finished.error.as_deref(), Some(error), "{finished:#?}");
        let announced = world.announcements().await?;
        assert_eq!(announced.len(), 1, "{announced:#?}");
        assert_eq!(announced[0]["detail-type"], "Export Batch Completed");
        assert_eq!(announced[0]["detail"]["error"]["Error"], error);
    }
    world.shutdown().await;
    Ok(())
}

/// Nothing catches the errors of Summary: it writes the summary, and dies before answering until all retries are used
/// up.
#[tokio::test(flavor = "multi_thread")]
async fn a_summary_that_fails_for_good_is_finished_by_a_redrive() -> Result<()> {
    let world = world().await?;
    let mut event: Value = serde_json::from_str(include_str!("../../events/batch.json"))?;
    let requests = event["detail"]["Requests"].as_array_mut().context("no requests")?;
    requests.truncate(1);
    world.lambda().break_down(SUMMARY, Fault::DieAfter)?;
    let execution = world.deliver(&event).await?;
    let failed = world.wait(&execution).await?;
    assert_eq!(failed.error.as_deref(), Some("Runtime.ExitError"), "{failed:#?}");
    let before = failed.states();
    assert_eq!(before.last().map(String::as_str), Some("Summary"));
    assert_eq!(world.announcements().await?.len(), 1, "the job's own");

    world.lambda().mend(SUMMARY)?;
    world.redrive(&execution).await?;
    let finished = world.wait(&execution).await?;
    assert!(finished.is_success(), "{finished:#?}");
    let since = finished.states().split_off(before.len());
    assert_eq!(since, ["Summary", "SummedUp", "Announce", "Outcome", "Succeeded"]);
    let (summed, _) = summary(&world, &finished).await?;
    assert_eq!(summed["counts"]["succeeded"], 1);
    assert_eq!(world.simulated::<CustomerProfiles>()?.start_calls(), 1);
    let announced = world.announcements().await?;
    assert_eq!(announced.len(), 1, "{announced:#?}");
    assert_eq!(announced[0]["detail-type"], "Export Batch Completed");
    world.shutdown().await;
    Ok(())
}
