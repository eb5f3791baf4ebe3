//! Verifies an output that does not fit in one invocation, with the deployed definition on an interpreter and the
//! functions' own binaries.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::time::Duration;

use anyhow::{Context, Result};
use landfall::slices::MAX_OBJECTS;
use landfall_local::{
    account::{EXPORTS, LEDGER},
    deploy::Retries,
    functions::VERIFY,
    simulated::{
        customer_profiles::{CustomerProfiles, MANY_FILES, Scenario, Settings},
        simulator::Recipe,
    },
    world::{Options, World},
};
use landfall_tests::patient;
use serde_json::{Value, json};

/// One row a file.
const ROWS: u64 = MANY_FILES;

fn options() -> Options {
    let mut options = Options::for_kind("segment-snapshot").expect("the kind is known");
    options.retries = Retries::Short;
    patient(&mut options);
    options.services = vec![Recipe::of::<CustomerProfiles>(Settings {
        duration: Duration::from_secs(1),
        scenario: Scenario::ManyFiles,
        ..Settings::default()
    })];
    options
}

fn sample() -> Value {
    serde_json::from_str(include_str!("../../events/segment-snapshot-many-files.json")).expect("the sample is JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_of_many_files_is_verified_in_slices() -> Result<()> {
    let world = World::start(options()).await?;
    let execution = world.deliver(&sample()).await?;
    let finished = world.wait(&execution).await?;
    assert!(finished.is_success(), "{finished:#?}");

    let states = finished.states();
    let of_slices = ["Verify", "Verified", "VerifySlices", "Verify", "Verified", "Seal"];
    let from = states
        .iter()
        .position(|state| state == "Verify")
        .context("nothing was verified")?;
    assert_eq!(states[from..from + of_slices.len()], of_slices);
    let slices = MANY_FILES.div_ceil(MAX_OBJECTS);
    assert!(slices > 1, "the output must need several slices");
    // One invocation plans and one merges, and no slice is left for a second round.
    let invocations = world.lambda().invocations(VERIFY);
    assert!(
        invocations >= slices + 2,
        "{invocations} invocations for {slices} slices"
    );

    let job = finished.job().context("no job")?;
    assert!(job["verifying"].is_null(), "{job:#}");
    assert_eq!(job["report"]["objects"], MANY_FILES);
    assert_eq!(job["report"]["rows"], ROWS);
    let uri = job["outcome"]["receipt"].as_str().context("no receipt")?;
    let receipt = world.json(uri).await?;
    assert_eq!(receipt["verdict"], "succeeded");
    assert_eq!(receipt["output"]["object_count"], MANY_FILES);
    assert_eq!(receipt["output"]["rows"], ROWS);
    let checks = receipt["verification"]["checks"].as_array().context("no checks")?;
    let failed: Vec<_> = checks.iter().filter(|check| check["verdict"] == "fail").collect();
    assert_eq!(failed, Vec::<&Value>::new());

    // The plan was the list of slices, each with at most so many objects, under the prefix that expires.
    let work = world.list(LEDGER, "verifications/").await?;
    assert!(u64::try_from(work.len())? > slices, "{work:?}");
    Ok(())
}

/// One bad file of many is found in any slice, and the other slices' results are kept.
#[tokio::test(flavor = "multi_thread")]
async fn one_bad_file_of_many_is_found() -> Result<()> {
    let world = World::start(options()).await?;
    let execution = world.deliver(&sample()).await?;
    let spoilt = spoil_one(&world).await?;
    let finished = world.wait(&execution).await?;
    assert_eq!(
        finished.error.as_deref(),
        Some("Landfall.OutputRejected"),
        "{finished:#?}"
    );
    assert!(finished.states().contains(&"VerifySlices".to_owned()));
    let cause = finished.cause.context("no cause")?;
    assert!(cause.contains("format"), "{cause}");
    assert!(cause.contains(&spoilt), "{spoilt} must be named in {cause}");
    Ok(())
}

/// Replaces the first data file as soon as it was written, while the other files are still being written.
async fn spoil_one(world: &World) -> Result<String> {
    for _ in 0..600 {
        let keys = world.list(EXPORTS, "").await?;
        if let Some(key) = keys.iter().find(|key| key.ends_with(".csv")) {
            world.put(EXPORTS, key, &b"\x89PNG\r\n\x1a\n\0\0\0\0"[..]).await?;
            return Ok(key.clone());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    anyhow::bail!("no data file landed: {}", json!(world.list(EXPORTS, "").await?))
}
