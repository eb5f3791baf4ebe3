//! Runs the built program against the local world, as somebody does who runs exports.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::{fs, time::Duration};

use landfall_local::account::EXPORTS;

use self::common::{Here, event, landfall};

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_sent_seen_and_run_again() {
    let here = Here::start(Duration::from_millis(500), 0).await;
    let folder = tempfile::tempdir().unwrap();

    // Puts an event on the bus and follows it to its end.
    let sent = here.run(&["send", "events/segment-snapshot.json", "--yes"]).await;
    assert_eq!(sent.status, 0, "{sent:?}");
    assert!(sent.printed.contains("succeeded  segment-snapshot "), "{sent:?}");
    assert!(
        sent.said.contains("aws events put-events") && sent.said.contains("Verify"),
        "{sent:?}"
    );

    // A kind without a machine is not sent: nobody could say what became of it.
    let unknown = here.run(&["send", "events/endpoint-export.json", "--yes"]).await;
    assert_eq!(unknown.status, 2, "{unknown:?}");
    assert!(!unknown.said.contains("put-events"), "{unknown:?}");

    // Sends an event past the bus that the functions refuse. The program says what to do.
    let refused = event(folder.path(), |detail| {
        detail["DestinationUri"] = "s3://elsewhere/x/".into()
    });
    let sent = here.run(&["send", &refused, "--direct", "--yes"]).await;
    assert_eq!(sent.status, 1, "{sent:?}");
    for part in [
        "failed  segment-snapshot",
        "Landfall.Forbidden",
        "What to do",
        "landfall rerun 2026",
    ] {
        assert!(sent.printed.contains(part), "{part}: {sent:?}");
    }

    // `check` finds the same fault beforehand.
    let checked = here
        .run(&["check", &refused, "events/segment-snapshot.json", "--stack", "landfall"])
        .await;
    assert_eq!(checked.status, 1, "{checked:?}");
    assert!(
        checked
            .printed
            .contains("$.detail.DestinationUri: found \"s3://elsewhere/x/\""),
        "{checked:?}"
    );
    assert!(
        checked.printed.contains("segment-snapshot.json: right, and allowed"),
        "{checked:?}"
    );

    // Lists the jobs.
    let jobs = here.run(&["jobs", "--since", "1d", "--json"]).await;
    assert_eq!(jobs.status, 0, "{jobs:?}");
    let jobs = jobs.json();
    assert_eq!(
        (&jobs["totals"]["jobs"], &jobs["totals"]["failed"]),
        (&2.into(), &1.into()),
        "{jobs}"
    );
    assert_eq!(jobs["notes"], serde_json::json!([]));
    let failed = jobs["jobs"][0]["job_key"].as_str().unwrap().to_owned();
    let good = jobs["jobs"][1].clone();
    assert_eq!(
        (&good["rows"], good["status"].as_str()),
        (&500.into(), Some("succeeded")),
        "{good}"
    );
    let table = here.run(&["jobs", "--failed"]).await;
    assert!(
        table.printed.contains("Forbidden: ") && table.printed.contains("1 job, 1 failed"),
        "{table:?}"
    );
    let short = failed.rsplit('-').next().unwrap();
    let shown = here.run(&["show", short]).await;
    assert_eq!(shown.status, 1, "{shown:?}");
    assert!(shown.printed.contains(&failed), "{shown:?}");
    let shown = here.run(&["show", good["receipt"].as_str().unwrap(), "--json"]).await;
    assert_eq!(
        (shown.status, &shown.json()["job"]["job_key"]),
        (0, &good["job_key"]),
        "{shown:?}"
    );

    // Writes a report and a table to pass on.
    let (page, csv) = (folder.path().join("report.html"), folder.path().join("jobs.csv"));
    let report = here
        .run(&[
            "report",
            "--since",
            "1d",
            "--out",
            page.to_str().unwrap(),
            "--csv",
            csv.to_str().unwrap(),
        ])
        .await;
    assert_eq!(report.status, 0, "{report:?}");
    assert!(
        fs::read_to_string(&page)
            .unwrap()
            .contains("high-value-customers of example-support")
    );
    assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 3);

    // Without a yes nothing is done. The failed job is exported again with its own event, with the fault corrected.
    let asked = here.run(&["rerun", short]).await;
    assert!(asked.status == 2 && asked.said.contains("add --yes"), "{asked:?}");
    let again = here.run(&["rerun", short, "--yes", "--json"]).await;
    assert_eq!(again.status, 0, "{again:?}");
    let again = again.json();
    assert!(
        again["done"] == true && again["commands"].to_string().contains(".detail.Landfall.Rerun = 1"),
        "{again}"
    );
    let watched = here.run(&["watch", again["execution"].as_str().unwrap()]).await;
    assert_eq!(watched.status, 1, "the functions must refuse it again: {watched:?}");
    let picked = here.run(&["pick-up", short, "--yes"]).await;
    assert!(
        picked.status == 2 && picked.said.contains("the service made no job"),
        "{picked:?}"
    );
    let redriven = here.run(&["redrive", short, "--yes"]).await;
    assert!(
        redriven.status == 2 && redriven.said.contains("is sealed"),
        "{redriven:?}"
    );

    // The output is what was sealed, until someone changes it.
    let held = here.run(&["verify", "--since", "1d"]).await;
    assert!(held.status == 0 && held.printed.contains("1 receipt held"), "{held:?}");
    let prefix = good["prefix"].as_str().unwrap();
    let key = prefix.strip_prefix(&format!("s3://{EXPORTS}/")).unwrap();
    here.world
        .put(EXPORTS, &format!("{key}late.csv"), b"a,b\n1,2\n".to_vec())
        .await
        .unwrap();
    let held = here.run(&["verify", "--since", "1d", "--json"]).await;
    assert_eq!(
        (held.status, &held.json()["receipts"][0]["what"]),
        (1, &"1 object added".into()),
        "{held:?}"
    );

    // Checks the deployment itself.
    let examined = here.run(&["doctor", "--json"]).await;
    let findings = examined.json();
    let grade = |what: &str| {
        let mut all = findings["findings"].as_array().unwrap().iter();
        all.find(|finding| finding["what"] == what)
            .unwrap_or_else(|| panic!("{what}: {examined:?}"))["grade"]
            .clone()
    };
    assert_eq!(grade("state machine of segment-snapshot"), "well", "{examined:?}");
    assert_eq!(grade("rule of segment-snapshot"), "well", "{examined:?}");
    assert_eq!(grade("jobs"), "note", "{examined:?}");
    assert_eq!(
        (grade("stack"), grade("alarms"), grade("exports")),
        ("well".into(), "note".into(), "well".into()),
        "{examined:?}"
    );
    assert_eq!(examined.status, 0, "{examined:?}");

    // Naming the ledger gives the same jobs.
    let by_ledger = here.run(&["jobs", "--ledger", "s3://landfall-ledger/", "--json"]).await;
    assert_eq!(by_ledger.json()["totals"]["jobs"], 3, "{by_ledger:?}");
    let nowhere = here.run(&["jobs", "--stack", "elsewhere"]).await;
    assert!(
        nowhere.status == 2 && nowhere.said.contains("there is no stack elsewhere"),
        "{nowhere:?}"
    );
    here.world.shutdown().await;
}

#[test]
fn check_names_every_fault_of_an_event() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = event(folder.path(), |detail| {
        detail["DataFormat"] = "XML".into();
        detail["DomainNam"] = detail["DomainName"].take();
        detail.as_object_mut().unwrap().remove("DomainName");
        detail["Landfall"] = serde_json::json!({"Poll": {"MinSeconds": 60, "MaxSeconds": 30}});
    });
    let checked = landfall(&["check", &wrong, "--json"]);
    assert_eq!(checked.status, 1, "{checked:?}");
    let document = checked.json();
    let paths: Vec<&str> = document["events"][0]["faults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fault| fault["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        [
            "$.detail.DataFormat",
            "$.detail.DomainNam",
            "$.detail.DomainName",
            "$.detail.Landfall.Poll.MinSeconds"
        ]
    );
    let right = landfall(&["check", "events/segment-snapshot.json", "events/batch.json"]);
    assert!(right.printed.contains("segment-snapshot.json: right"), "{right:?}");
    // Files that cannot be read hide no faults of others.
    let some = landfall(&["check", "none.json", &wrong, "nothing.json"]);
    assert_eq!(some.status, 2, "{some:?}");
    assert!(some.printed.contains("4 faults"), "{some:?}");
    assert!(
        some.said.contains("none.json") && some.said.contains("nothing.json"),
        "{some:?}"
    );
}

#[test]
fn a_first_event_is_written_with_its_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nightly.json");
    let path = path.to_str().unwrap();
    let set = ["--set", "DomainName=d", "--set", "SegmentDefinitionName=s"];
    let written = landfall(&[&["new", "segment-snapshot", "--out", path], &set[..]].concat());
    assert_eq!(written.status, 0, "{written:?}");
    assert!(folder.path().join("segment-snapshot-event.schema.json").is_file());
    assert_eq!(landfall(&["check", path]).status, 0);
    // An existing file is not replaced, and an unknown kind is not guessed.
    assert_eq!(
        landfall(&[&["new", "segment-snapshot", "--out", path], &set[..]].concat()).status,
        2
    );
    let asked = landfall(&["new", "segment-snapshot"]);
    assert!(
        asked.status == 2 && asked.said.contains("--set DomainName=VALUE"),
        "{asked:?}"
    );
}

#[test]
fn errors_are_json_if_json_is_asked_for() {
    let came = landfall(&[
        "jobs",
        "--json",
        "--endpoint-url",
        "http://127.0.0.1:9",
        "--ledger",
        "s3://landfall-ledger/",
    ]);
    assert_eq!(
        (came.status, &came.json()["schema"]),
        (2, &"landfall.error/1".into()),
        "{came:?}"
    );
    assert!(landfall(&["completions", "bash"]).printed.contains("_landfall"));
}
