//! The whole world with stand-ins for the functions: the deployed definition runs on moto's interpreter.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;

use landfall_local::{
    deploy::{EXPORTS, LEDGER, Retries},
    edge::lambda::Fault,
    world::{Options, World},
};
use serde_json::json;

const JOB: &str = "{'job_key': 'k', 'status': STATUS, 'wait_seconds': 1, 'kind': event['kind']}";

#[tokio::test]
async fn an_event_runs_through_the_deployed_definition() {
    let folder = tempfile::tempdir().unwrap();
    let handler = |status: &str| {
        format!(
            "def handler(event, headers):\n    return {}",
            JOB.replace("STATUS", status)
        )
    };
    let seal = "def handler(event, headers):
    failed = 'error' in event
    outcome = {'verdict': 'failed' if failed else 'succeeded', 'announce': True,
               'error': {'Error': 'Landfall.Internal', 'Cause': 'why'}, 'receipt': 's3://landfall-ledger/r'}
    announcement = {'detail_type': 'Export Job Ended', 'resources': [], 'detail': {'failed': failed}}
    return {**event, 'outcome': outcome, 'announcement': announcement}";
    let program = |name: &str, handler: &str| (name.to_owned(), common::program(folder.path(), name, handler));
    let binaries = BTreeMap::from([
        program("segment-snapshot-start", &handler("'running'")),
        program("segment-snapshot-poll", &handler("'succeeded'")),
        program("verify-output", &handler("'succeeded'")),
        program("seal-receipt", seal),
    ]);
    let options = Options {
        binaries: Some(binaries),
        retries: Retries::Short,
        folder: Some(folder.path().join("world")),
        ..Options::for_kind("segment-snapshot").unwrap()
    };
    let world = World::start(options).await.unwrap();
    let event = json!({"detail-type": "Segment Snapshot Requested", "detail": {}});

    // One environment dies, and is retried.
    world
        .lambda()
        .inject("segment-snapshot-poll", 1, Fault::DieBefore)
        .unwrap();
    let execution = world.deliver(&event).await.unwrap();
    let mut steps = Vec::new();
    let finished = world.follow(&execution, |step| steps.push(step.clone())).await.unwrap();
    assert!(finished.is_success(), "{finished:?}");
    let states = finished.states();
    let expected = [
        "Receive",
        "Start",
        "Status",
        "Wait",
        "Poll",
        "Status",
        "Verify",
        "Seal",
        "Sealed",
        "Announce",
        "Outcome",
        "Succeeded",
    ];
    assert_eq!(states, expected);
    assert_eq!(finished.job().unwrap()["outcome"]["verdict"], "succeeded");
    assert_eq!(world.lambda().invocations("segment-snapshot-poll"), 2);
    let text = format!("{steps:?}");
    assert!(
        text.contains("Runtime.ExitError") && text.contains("Retried { attempt: 2 }"),
        "{text}"
    );

    let announced = world.announcements().await.unwrap();
    assert_eq!(announced.len(), 1, "{announced:?}");
    assert_eq!(announced[0]["detail-type"], "Export Job Ended");
    assert_eq!(announced[0]["detail"], json!({"failed": false}));

    // A function that fails for good is sealed and ends in Fail.
    let refusal = |message: &str| Fault::Error {
        error_type: "Landfall.InvalidEvent".into(),
        message: message.into(),
    };
    let nth = world.lambda().invocations("segment-snapshot-start") + 1;
    world
        .lambda()
        .inject("segment-snapshot-start", nth, refusal("no"))
        .unwrap();
    let execution = world.deliver(&event).await.unwrap();
    let finished = world.wait(&execution).await.unwrap();
    assert_eq!(finished.status, "FAILED");
    assert_eq!(
        (finished.error.as_deref(), finished.cause.as_deref()),
        (Some("Landfall.Internal"), Some("why"))
    );

    // S3 through the edge and beside it is the same.
    world.put(EXPORTS, "a b/ü=1.csv", "x").await.unwrap();
    let through_edge = landfall_local::deploy::s3(world.edge().address());
    let head = through_edge
        .head_object()
        .bucket(EXPORTS)
        .key("a b/ü=1.csv")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_length(), Some(1));
    assert!(head.version_id().is_some(), "versions are kept: {head:?}");
    assert_eq!(
        head.server_side_encryption().map(|found| found.as_str()),
        Some("AES256")
    );
    assert_eq!(world.list(EXPORTS, "a b/").await.unwrap(), ["a b/ü=1.csv"]);
    assert_eq!(
        world.object(EXPORTS, "a b/ü=1.csv").await.unwrap().as_deref(),
        Some(&b"x"[..])
    );
    assert_eq!(world.object(LEDGER, "nothing").await.unwrap(), None);
    world.shutdown().await;
}
