//! Cancels jobs with the built program, in the local world.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::time::Duration;

use landfall_local::{
    account::LEDGER,
    simulated::{customer_profiles::CustomerProfiles, simulator::Simulator as _},
};
use serde_json::{Value, json};

use self::common::{Here, event};

/// Sends an event, waits until its job has this status, and returns the job key.
async fn sent(here: &Here, folder: &std::path::Path, name: &str, status: &str) -> String {
    let file = event(folder, |detail| {
        detail["Landfall"] = json!({"IdempotencyKey": name, "Name": name, "Poll": {"MinSeconds": 1, "MaxSeconds": 2}});
    });
    let sent = here.run(&["send", &file, "--direct", "--no-follow", "--yes"]).await;
    assert_eq!(sent.status, 0, "{sent:?}");
    for _ in 0..120 {
        let jobs = here
            .run(&["jobs", "--name", name, "--status", status, "--json"])
            .await
            .json();
        if let Some(job) = jobs["jobs"].as_array().unwrap().first() {
            return job["job_key"].as_str().unwrap().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("{name} is not {status}");
}

async fn slots(here: &Here) -> Value {
    let line = here
        .world
        .json(&format!("s3://{LEDGER}/slots/segment-snapshot.json"))
        .await;
    line.unwrap()["slots"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_cancelled_while_they_wait_and_while_they_run() {
    let here = Here::start(Duration::from_secs(20), 1).await;
    let folder = tempfile::tempdir().unwrap();
    let runs = sent(&here, folder.path(), "runs", "running").await;
    let waits = sent(&here, folder.path(), "waits", "queued").await;

    // While the job waits. Without a yes nothing is done, and the program says what it would do.
    let asked = here.run(&["cancel", &waits]).await;
    assert!(asked.status == 2 && asked.said.contains("add --yes"), "{asked:?}");
    assert!(asked.said.contains("Nothing is started at the service"), "{asked:?}");
    let cancelled = here.run(&["cancel", &waits, "--yes", "--follow", "--json"]).await;
    assert_eq!(cancelled.status, 0, "{cancelled:?}");
    let job = &cancelled.json()["job"];
    assert_eq!(
        (&job["job_key"], &job["status"], &job["error"]["name"]),
        (&json!(waits), &json!("failed"), &json!("Landfall.Cancelled"))
    );

    // While the job runs.
    let command = "aws stepfunctions start-execution --state-machine-arn";
    let cancelled = here.run(&["cancel", &runs, "--yes", "--json"]).await;
    assert_eq!(cancelled.status, 0, "{cancelled:?}");
    for part in ["has no call that stops", "landfall pick-up", command] {
        assert!(cancelled.said.contains(part), "{part}: {cancelled:?}");
    }
    let acted = cancelled.json();
    assert!(
        acted["done"] == true && acted["commands"][0].as_str().unwrap().starts_with(command),
        "{acted}"
    );
    let watched = here.run(&["watch", acted["execution"].as_str().unwrap()]).await;
    assert!(watched.printed.contains("Landfall.Cancelled"), "{watched:?}");
    assert_eq!(slots(&here).await, json!([]));
    let late = here.run(&["cancel", &runs, "--yes"]).await;
    assert!(late.status == 2 && late.said.contains("cancelled already"), "{late:?}");

    // Their own executions end by themselves, and each job is announced once.
    for job in [&runs, &waits] {
        let watched = here.run(&["watch", job, "--json"]).await;
        assert_eq!(watched.status, 1, "{watched:?}");
        let shown = watched.json();
        assert_eq!(shown["job"]["error"]["name"], "Landfall.Cancelled", "{shown}");
    }
    let announced = here.world.announcements().await.unwrap();
    let mut keys: Vec<&str> = announced
        .iter()
        .map(|event| {
            assert_eq!(event["detail"]["error"]["Error"], "Landfall.Cancelled", "{event}");
            event["detail"]["job_key"].as_str().unwrap()
        })
        .collect();
    keys.sort_unstable();
    let mut both = [runs.as_str(), waits.as_str()];
    both.sort_unstable();
    assert_eq!(keys, both);

    // The service went on with the job, so its output can be picked up.
    let picked = here.run(&["pick-up", &runs, "--yes", "--follow"]).await;
    assert_eq!(picked.status, 0, "{picked:?}");
    assert_eq!(here.world.simulated::<CustomerProfiles>().unwrap().start_calls(), 1);
    let jobs = here.run(&["jobs", "--json"]).await.json();
    assert_eq!(
        (&jobs["totals"]["jobs"], &jobs["totals"]["failed"], &jobs["notes"]),
        (&json!(3), &json!(2), &json!([])),
        "{jobs}"
    );
    here.world.shutdown().await;
}
