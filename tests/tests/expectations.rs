//! Expectations about the output, from the event to the receipt.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use anyhow::{Context, Result};
use landfall::{error::ErrorKind, service::JobService, start::admit, store::checksum::StoredChecksum};
use landfall_customer_profiles::SegmentSnapshots;
use landfall_local::simulated::customer_profiles::Settings;
use landfall_output::{latest, verify::Previous};
use landfall_pinpoint::EndpointImports;
use landfall_tests::{
    harness::{EXPORTS, Harness, config},
    in_process::Faults,
    memory_store::Op,
};
use serde_json::{Value, json};

const PROFILES: u64 = 40;

fn harness() -> Harness {
    let settings = Settings {
        profiles: PROFILES,
        ..Settings::default()
    };
    <Harness>::new(settings, Faults::none()).expect("the harness is right")
}

fn event() -> Value {
    serde_json::from_str(include_str!("../../events/segment-snapshot-expectations.json")).expect("the sample is JSON")
}

/// The sample event with these verification options.
fn verifying(options: &Value) -> Value {
    let mut event = event();
    event["detail"]["Landfall"]["Verification"] = options.clone();
    event
}

fn expecting(expect: &Value) -> Value {
    verifying(&json!({"Expect": expect}))
}

/// The receipt of a run.
async fn receipt(event: &Value) -> Result<Value> {
    let harness = harness();
    let sealed = harness.run("one", event).await?;
    harness.json(sealed["outcome"]["receipt"].as_str().context("no receipt")?)
}

/// S3's checksum of one object belongs to other bytes, and everything else is good.
#[tokio::test]
async fn a_checksum_of_other_bytes_fails_the_job() -> Result<()> {
    let good = receipt(&event()).await?;
    let (verdict, reason) = check(&good, "checksum");
    assert_eq!(verdict, "pass", "{reason}");
    assert!(reason.starts_with("the CRC64NVME that S3 keeps of "), "{reason}");

    let harness = harness();
    harness.store.before(Op::Head, 0, |store| {
        let keys = store.keys(EXPORTS);
        let wrong = StoredChecksum::choose([("CRC64NVME", "rosUhgp5mIg=")], false);
        store
            .change(EXPORTS, keys.iter().find(|key| key.contains("part")).unwrap())
            .checksum(wrong);
    });
    let sealed = harness.run("one", &event()).await?;
    let receipt = harness.json(sealed["outcome"]["receipt"].as_str().context("no receipt")?)?;
    assert_eq!(
        (&receipt["verdict"], &receipt["error"]["Error"]),
        (&json!("failed"), &json!("Landfall.OutputRejected"))
    );
    let (verdict, reason) = check(&receipt, "checksum");
    assert_eq!(verdict, "fail", "{reason}");
    assert!(reason.contains("(CRC64NVME)"), "{reason}");
    Ok(())
}

#[track_caller]
fn check<'a>(receipt: &'a Value, name: &str) -> (&'a str, &'a str) {
    let checks = receipt["verification"]["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == name).expect("the check");
    (
        check["verdict"].as_str().expect("a verdict"),
        check["reason"].as_str().expect("a reason"),
    )
}

#[tokio::test]
async fn met_expectations_are_in_the_receipt() -> Result<()> {
    let receipt = receipt(&event()).await?;
    assert_eq!(receipt["verdict"], "succeeded", "{receipt:#}");
    assert_eq!(receipt["verification"]["verdict"], "passed", "{receipt:#}");
    assert_eq!(receipt["verification"]["level"], "full");
    for name in ["required_columns", "expected_rows", "data_age"] {
        assert_eq!(check(&receipt, name).0, "pass", "{receipt:#}");
    }
    let (verdict, reason) = check(&receipt, "row_change");
    assert_eq!(verdict, "skipped");
    assert!(reason.contains("no earlier success"), "{reason}");
    Ok(())
}

#[tokio::test]
async fn a_violated_expectation_warns_or_fails_as_the_event_says() -> Result<()> {
    for (name, expect, words) in [
        (
            "required_columns",
            json!({"Columns": {"Required": ["ProfileId", "ShoeSize"]}}),
            "\"ShoeSize\"",
        ),
        ("expected_rows", json!({"Rows": {"Min": PROFILES + 1}}), "fewer than 41"),
        ("expected_rows", json!({"Rows": {"Max": PROFILES - 1}}), "more than 39"),
        ("data_age", json!({"Age": {"MaxSeconds": 1}}), "at most 1 s"),
    ] {
        for (on, found, outcome) in [
            (Some("warn"), "warn", "succeeded"),
            (Some("fail"), "fail", "failed"),
            (None, "fail", "failed"),
        ] {
            let mut expect = expect.clone();
            if let (Some(on), Some(member)) = (on, expect.as_object_mut().and_then(|expect| expect.values_mut().next()))
            {
                member["OnViolation"] = json!(on);
            }
            let receipt = receipt(&expecting(&expect)).await?;
            let (verdict, reason) = check(&receipt, name);
            assert_eq!(verdict, found, "{expect} {reason}");
            assert!(reason.contains(words), "{reason}");
            assert!(reason.contains("Landfall.Verification.Expect"), "{reason}");
            assert_eq!(receipt["verdict"], outcome, "{expect}");
            if outcome == "failed" {
                assert_eq!(receipt["error"]["Error"], "Landfall.OutputRejected");
            }
        }
    }
    Ok(())
}

/// The job carries the options of the sample event.
#[tokio::test]
async fn the_job_carries_the_expectations() -> Result<()> {
    let job = harness().start(&<Harness>::received("one", &event())).await?;
    let output = serde_json::to_value(job.output.context("no output")?)?;
    assert_eq!(output["expect"]["Rows"]["Max"], 10_000_000);
    assert_eq!(output["expect"]["Change"]["OnViolation"], "warn");
    assert_eq!(output["expect"]["Columns"]["OnViolation"], "fail");
    assert_eq!(output["level"], "full");
    Ok(())
}

fn faults<S: JobService>(event: &Value) -> String {
    match admit::<S>(&config().expect("the configuration"), event) {
        Ok(_) => String::new(),
        Err(error) => {
            assert_eq!(error.kind, ErrorKind::InvalidEvent, "{error}");
            error.message
        }
    }
}

#[test]
fn an_expectation_that_can_never_hold_is_refused() {
    let place = "$.detail.Landfall.Verification";
    for (options, expected) in [
        (json!({"Expect": {}}), None),
        (json!({"Expect": {"Rows": {"Min": 1}}}), None),
        (json!({"Expect": {"Rows": {"Max": 1, "Min": null}}}), None),
        (json!({"Expect": {"Rows": {"Min": 1, "Max": 1}}}), None),
        (json!({"Level": "listing", "Expect": {"Age": {"MaxSeconds": 9}}}), None),
        (json!({"Level": "structure", "Expect": {"Rows": {"Min": 1}}}), None),
        (json!({"Level": "listing", "RowCount": "warn"}), None),
        (
            json!({"Expect": {"Rows": {}}}),
            Some("Expect.Rows: found neither Min nor Max"),
        ),
        (
            json!({"Expect": {"Rows": {"OnViolation": "warn", "Min": null}}}),
            Some("Expect.Rows: found neither Min nor Max"),
        ),
        (
            json!({"Expect": {"Rows": {"Min": 2, "Max": 1}}}),
            Some("Expect.Rows.Min: found 2; must not be larger than Max"),
        ),
        (
            json!({"Expect": {"Columns": {"Required": []}}}),
            Some("Expect.Columns.Required: found an array of no items"),
        ),
        (
            json!({"Expect": {"Columns": {"Required": ["a", "a"]}}}),
            Some("no two alike"),
        ),
        (
            json!({"Expect": {"Columns": {}}}),
            Some("Expect.Columns.Required: found nothing"),
        ),
        (
            json!({"Expect": {"Change": {}}}),
            Some("Expect.Change.MaxPercent: found nothing"),
        ),
        (
            json!({"Expect": {"Age": {"MaxSeconds": 0}}}),
            Some("Expect.Age.MaxSeconds: found 0; must be an integer of at least 1"),
        ),
        (json!({"Expect": {"Row": {"Min": 1}}}), Some("did you mean Rows?")),
        (json!({"Level": "ends"}), Some(".Level: found \"ends\"")),
        (
            json!({"Level": "listing", "Expect": {"Rows": {"Min": 1}}}),
            Some("Expect.Rows: found an object of 1 member; the level listing looks into no object"),
        ),
        (
            json!({"Level": "listing", "RowCount": "fail"}),
            Some(".RowCount: found \"fail\""),
        ),
    ] {
        let message = faults::<SegmentSnapshots>(&verifying(&options));
        match expected {
            None => assert_eq!(message, "", "{options}"),
            Some(words) => {
                assert!(message.contains(words), "{options}: {message}");
                assert!(message.contains(place), "{options}: {message}");
                assert!(message.contains("has 1 fault;"), "{options}: {message}");
            }
        }
    }
}

/// An import has no output. Options that nobody reads would look like checks that passed.
#[test]
fn an_import_accepts_no_verification_options() {
    let mut event: Value =
        serde_json::from_str(include_str!("../../events/endpoint-import-fullest.json")).expect("the sample is JSON");
    assert_eq!(faults::<EndpointImports>(&event), "");
    for (name, value) in [
        ("Level", json!("full")),
        ("Expect", json!({"Rows": {"Min": 1}})),
        ("RowCount", json!("fail")),
        ("AllowEmpty", json!(false)),
        ("SettleSeconds", json!(1)),
    ] {
        event["detail"]["Landfall"]["Verification"] = json!({name: value});
        let message = faults::<EndpointImports>(&event);
        let fault = "$.detail.Landfall.Verification: found an unknown member";
        assert!(message.contains(fault), "{name}: {message}");
    }
}

/// A run leaves its rows in the pointer, where the next run reads them.
#[tokio::test]
async fn the_next_run_finds_the_rows_of_the_last_success() -> Result<()> {
    let harness = harness();
    let destination = format!("s3://{EXPORTS}/segments/expectations/").parse().expect("a URI");
    let store = harness.store.as_ref();
    assert_eq!(latest::previous(store, &destination, "0").await?, None);
    harness.run("one", &event()).await?;
    let latest = harness.json(&format!("s3://{EXPORTS}/segments/expectations/_latest.json"))?;
    let request = latest["request_sha256"].as_str().context("no request")?;
    for (asked, same_request) in [(request, true), ("0", false)] {
        assert_eq!(
            latest::previous(store, &destination, asked).await?,
            Some(Previous {
                job_key: latest["job_key"].as_str().context("no job key")?.to_owned(),
                same_request,
                rows: PROFILES,
            })
        );
    }
    let place = "segments/expectations/_latest.json";
    let mut unknown = latest.clone();
    unknown.as_object_mut().context("no object")?.remove("rows");
    let mut newer = latest.clone();
    newer["schema"] = json!("landfall.latest/2");
    for foreign in [json!("hello"), newer, unknown, json!({})] {
        drop(harness.store.insert(EXPORTS, place, foreign.to_string()));
        assert_eq!(latest::previous(store, &destination, request).await?, None, "{foreign}");
    }
    drop(harness.store.insert(EXPORTS, place, vec![0xff, 0xfe]));
    assert_eq!(latest::previous(store, &destination, request).await?, None);
    // A pointer that cannot be read is not taken for a missing one.
    for kind in [ErrorKind::Unavailable, ErrorKind::Throttled] {
        harness.store.fail_at(0, kind);
        let error = latest::previous(store, &destination, request).await.unwrap_err();
        assert_eq!(error.kind, kind);
    }
    Ok(())
}
