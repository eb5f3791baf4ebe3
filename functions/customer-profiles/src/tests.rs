//! Constraints and faults of requests, and the requests that are made from events.

use landfall::event::parse;
use serde_json::json;

use super::*;

fn event(detail: &Value) -> Value {
    json!({
        "version": "0", "id": "00000000-0000-4000-8000-000000000001", "detail-type": "Segment Snapshot Requested",
        "source": "acme", "account": "111122223333", "time": "2026-11-01T05:00:00Z", "region": "eu-central-1",
        "resources": [], "detail": detail,
    })
}

fn detail() -> Value {
    json!({
        "DomainName": "acme", "SegmentDefinitionName": "gold", "DataFormat": "CSV",
        "DestinationUri": "s3://exports/segments/",
    })
}

fn faults(detail: &Value) -> Vec<String> {
    let error = parse::<SegmentSnapshots>(&event(detail), None).unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidEvent);
    error
        .message
        .lines()
        .skip(1)
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn the_page_of_kinds_names_the_same_regions() {
    let page = include_str!("../../../docs/kinds.md");
    let (_, regions) = SERVICE.regions.split_once("lists it in ").unwrap();
    let (regions, _) = regions.split_once("; docs").unwrap();
    assert_eq!(regions.matches('-').count(), 2 * 10);
    assert!(
        page.contains(&format!("as botocore 1.43 has it: {regions}.")),
        "{regions}"
    );
}

#[test]
fn a_valid_event_is_parsed() {
    let requested = parse::<SegmentSnapshots>(&event(&detail()), None).unwrap();
    assert_eq!(requested.request.data_format, SnapshotFormat::Csv);
    assert_eq!(requested.destination.unwrap().to_string(), "s3://exports/segments/");
    assert!(requested.trigger.job_key.starts_with("20261101T050000Z-"));
    assert_eq!(requested.trigger.job_key.len(), 25);
}

#[test]
fn all_faults_are_reported_at_once_with_their_paths() {
    let found = faults(&json!({
        "DomainName": "a b", "SegmentDefinitionname": "gold", "DataFormat": "csv", "RoleArn": "role", "EncryptionKey": "k",
        "DestinationUri": format!("s3://exports/{}/", "x".repeat(300)),
        "Landfall": {"DeadlineSeconds": 0, "Poll": {"MinSeconds": 60, "MaxSeconds": 30, "Every": 1}, "Rerun": "1"},
    }));
    let expected = [
        "$.detail.DataFormat: found \"csv\"; must be one of \"CSV\", \"JSONL\", \"ORC\"",
        "$.detail.DestinationUri: found \"s3://exports/xxxxx",
        "$.detail.DomainName: found \"a b\"; must be a string of 1 to 64 characters matching ^[a-zA-Z0-9_-]+$",
        "$.detail.EncryptionKey: found \"k\"; must be the ARN of a KMS key",
        "$.detail.Landfall.DeadlineSeconds: found 0; must be an integer from 1 to 86400",
        "$.detail.Landfall.Poll.Every: found an unknown member; allowed here: MaxSeconds, MinSeconds",
        "$.detail.Landfall.Poll.MinSeconds: found 60; must not be larger than MaxSeconds, which is 30",
        "$.detail.Landfall.Rerun: found \"1\"; must be an integer from 1 to 1000000",
        "$.detail.RoleArn: found \"role\"; must be a string of at most 512 characters matching ^arn:aws",
        "$.detail.SegmentDefinitionName: found nothing; it is required: a string of 1 to 64 characters",
        "$.detail.SegmentDefinitionname: found an unknown member; did you mean SegmentDefinitionName? allowed here: DataFormat",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\nshould begin with\n{expected}");
    }
}

#[test]
fn the_event_or_the_deployment_must_give_a_destination() {
    let mut without = detail();
    without.as_object_mut().unwrap().remove("DestinationUri");
    assert_eq!(faults(&without).len(), 1);
    let default: landfall::s3_uri::S3Uri = "s3://exports/".parse().unwrap();
    let requested = parse::<SegmentSnapshots>(&event(&without), Some(&default)).unwrap();
    assert_eq!(requested.destination, Some(default));
}

#[test]
fn a_destination_within_another_run_is_refused() {
    let mut inside = detail();
    inside["DestinationUri"] = json!("s3://exports/segments/run=20261101T050000Z-1a2b3c4d/");
    let faults = faults(&inside);
    assert!(
        faults.len() == 1 && faults[0].contains("the prefix of another run"),
        "{faults:?}"
    );
}

#[test]
fn the_run_prefix_counts_towards_the_limit() {
    let with = |length: usize| {
        let mut detail = detail();
        detail["DestinationUri"] = json!(format!("s3://exports/{}/", "x".repeat(length - "s3://exports//".len())));
        detail
    };
    // 255 less `run=`, the key of 25 characters, `-9` and `/`.
    let longest = 255 - 4 - 25 - 2 - 1;
    assert!(parse::<SegmentSnapshots>(&event(&with(longest)), None).is_ok());
    assert_eq!(faults(&with(longest + 1)).len(), 1);
}

#[test]
fn the_same_trigger_has_the_same_key() {
    let key = |event: &Value| parse::<SegmentSnapshots>(event, None).unwrap().trigger.job_key;
    let change = |path: &str, value: Value| {
        let mut event = event(&detail());
        *event.pointer_mut(path).unwrap() = value;
        event
    };
    let once = key(&event(&detail()));
    assert_eq!(once, key(&event(&detail())));
    assert_ne!(once, key(&change("/id", json!("00000000-0000-4000-8000-000000000002"))));
    assert_ne!(once, key(&change("/detail/DataFormat", json!("ORC"))));

    // A tick of a schedule is one trigger whatever its event id, and one trigger for each request.
    let rule = json!(["arn:aws:events:eu-central-1:111122223333:rule/nightly"]);
    let scheduled = |id: &str, format: &str| {
        let mut event = change("/resources", rule.clone());
        event["id"] = json!(id);
        event["detail"]["DataFormat"] = json!(format);
        event
    };
    assert_eq!(key(&scheduled("a", "CSV")), key(&scheduled("b", "CSV")));
    assert_ne!(key(&scheduled("a", "CSV")), key(&scheduled("a", "ORC")));

    // An idempotency key overrides ids and times. A rerun is another job.
    let keyed = |time: &str, options: Value| {
        let mut event = change("/time", json!(time));
        event["detail"]["Landfall"] = options;
        event
    };
    let first = key(&keyed("2026-11-01T05:00:00Z", json!({"IdempotencyKey": "nightly"})));
    assert!(first.starts_with("nightly-"));
    assert_eq!(
        first,
        key(&keyed("2026-11-02T05:00:00Z", json!({"IdempotencyKey": "nightly"})))
    );
    assert_ne!(
        first,
        key(&keyed(
            "2026-11-01T05:00:00Z",
            json!({"IdempotencyKey": "nightly", "Rerun": 1})
        ))
    );
    // Options that do not change the export do not change the key.
    assert_eq!(
        once,
        key(&keyed("2026-11-01T05:00:00Z", json!({"DeadlineSeconds": 60})))
    );
}

#[test]
fn the_envelope_of_the_event_is_checked() {
    let mut event = event(&detail());
    event["time"] = json!("yesterday");
    event["detail-type"] = json!("Segment Snapshot");
    event.as_object_mut().unwrap().remove("source");
    let message = parse::<SegmentSnapshots>(&event, None).unwrap_err().message;
    for place in [
        "$.time: found \"yesterday\"; must be a time such as 2026-11-01T05:00:00Z",
        "$.detail-type: found \"Segment Snapshot\"; must be \"Segment Snapshot Requested\"",
        "$.source: found nothing; it is required",
    ] {
        assert!(message.contains(place), "{place} in {message}");
    }
    let message = parse::<SegmentSnapshots>(&json!([]), None).unwrap_err().message;
    assert!(
        message.contains("$: found an array of no items; must be an object"),
        "{message}"
    );
}
