//! Runs every sample event of a job through the deployed definition and the real binaries.

#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use chrono::Utc;
use futures::{StreamExt, TryStreamExt, stream};
use landfall_local::{
    deploy::Retries,
    event,
    kinds::{KINDS, services},
    simulated::simulator::Asked,
    world::{Finished, Options, World},
};
use landfall_tests::{documents::blocks, patient};
use serde_json::Value;

/// How many executions run at once. On two cores, more would only wait for one another.
const AT_ONCE: usize = 4;

fn samples() -> Result<BTreeMap<String, Value>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
    let mut samples = BTreeMap::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let event: Value = serde_json::from_slice(&fs::read(&path)?)?;
            // Batches have their own tests.
            if event["detail-type"] != "Export Batch Requested" {
                samples.insert(name, event);
            }
        }
    }
    // The event of the quickstart, unchanged.
    let readme = blocks(include_str!("../../README.md"));
    let block = readme
        .iter()
        .find(|block| block.language == "json")
        .context("no event")?;
    let mut event: Value = serde_json::from_str(&block.text)?;
    event::fill_in(&mut event, Utc::now());
    samples.insert("quickstart".to_owned(), event);
    Ok(samples)
}

fn check(name: &str, finished: &Finished) {
    let error = match name.split('-').next() {
        Some("malformed" | "refused") => Some("Landfall.InvalidEvent"),
        Some("forbidden") => Some("Landfall.Forbidden"),
        _ => None,
    };
    assert_eq!(finished.error.as_deref(), error, "{name}: {:?}", finished.cause);
    let job = finished.job().expect("every execution ends with an outcome");
    assert_eq!(
        job["outcome"]["verdict"],
        if error.is_some() { "failed" } else { "succeeded" },
        "{name}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_ends_with_a_receipt_or_is_refused() -> Result<()> {
    let mut options = Options::for_kinds(KINDS.to_vec());
    options.retries = Retries::Short;
    patient(&mut options);
    let asked = Asked {
        duration: Some(Duration::from_secs(1)),
        ..Asked::default()
    };
    for service in services(&KINDS) {
        options.services.push((service.recipe)(&asked, None)?);
    }
    let world = World::start(options).await?;
    let samples = samples()?;
    for kind in KINDS.iter() {
        assert!(
            samples.contains_key(kind.name),
            "{} must have a sample event",
            kind.name
        );
    }
    let runs = samples.iter().map(|(name, event)| {
        let world = &world;
        async move {
            let execution = world.deliver(event).await.with_context(|| name.clone())?;
            let finished = world.wait(&execution).await.with_context(|| name.clone())?;
            check(name, &finished);
            let receipt = finished.job().context("no job")?["outcome"]["receipt"]
                .as_str()
                .context("no receipt")?
                .to_owned();
            let (bucket, key) = receipt.trim_start_matches("s3://").split_once('/').context("no key")?;
            anyhow::ensure!(
                world.object(bucket, key).await?.is_some(),
                "{name}: {receipt} must exist"
            );
            Ok::<_, anyhow::Error>(())
        }
    });
    stream::iter(runs)
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    assert_eq!(world.announcements().await?.len(), samples.len());
    Ok(())
}
