//! Constraints and faults of requests, and the requests that are made from events.

use aws_sdk_quicksight::config::{BehaviorVersion, Region};
use landfall::{event::parse, s3_uri::S3Uri};
use serde_json::json;

use super::*;

fn event(detail: &Value) -> Value {
    json!({
        "version": "0", "id": "00000000-0000-4000-8000-000000000001", "detail-type": "Dashboard Snapshot Requested",
        "source": "acme", "account": "111122223333", "time": "2026-11-01T05:00:00Z", "region": "eu-central-1",
        "resources": [], "detail": detail,
    })
}

fn selection(scope: &str, visuals: usize) -> Value {
    let ids: Vec<_> = (0..visuals).map(|number| format!("visual-{number}")).collect();
    match visuals {
        0 => json!({"SheetId": "sheet-1", "SelectionScope": scope}),
        _ => json!({"SheetId": "sheet-1", "SelectionScope": scope, "VisualIds": ids}),
    }
}

fn group(format: &str, selections: &[Value]) -> Value {
    json!({"Files": [{"SheetSelections": selections, "FormatType": format}]})
}

fn csv() -> Value {
    group("CSV", &[selection("SELECTED_VISUALS", 1)])
}

fn pdf() -> Value {
    group("PDF", &[selection("ALL_VISUALS", 0)])
}

fn excel() -> Value {
    group("EXCEL", &[selection("SELECTED_VISUALS", 5)])
}

fn detail() -> Value {
    json!({
        "DashboardId": "sales",
        "UserConfiguration": {"AnonymousUsers": [{"RowLevelPermissionTags": [{"Key": "tenant", "Value": "tenant-7"}]}]},
        "SnapshotConfiguration": {
            "FileGroups": [csv(), pdf(), excel()],
            "DestinationConfiguration": {"S3Destinations": [{"BucketConfiguration": {
                "BucketName": "exports", "BucketPrefix": "dashboards/sales", "BucketRegion": "eu-central-1",
            }}]},
            "Parameters": {
                "StringParameters": [{"Name": "region", "Values": ["EMEA", "APAC"]}],
                "IntegerParameters": [{"Name": "year", "Values": [2026, 2027.0, -9223372036854775808_i64]}],
                "DecimalParameters": [{"Name": "rate", "Values": [0.19, 7]}],
                "DateTimeParameters": [{"Name": "from", "Values": ["2026-10-01T00:00:00+02:00", 1792540800.5]}],
            },
        },
    })
}

/// The detail with one value replaced.
fn with(pointer: &str, value: Value) -> Value {
    let mut detail = detail();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = detail.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
    match parent {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        parent => parent[name] = value,
    }
    detail
}

fn without(pointer: &str) -> Value {
    let mut detail = detail();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    detail
        .pointer_mut(parent)
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove(name)
        .unwrap();
    detail
}

fn faults_of(event: &Value) -> Vec<String> {
    let Err(error) = parse::<DashboardSnapshots>(event, None) else {
        return Vec::new();
    };
    assert_eq!(error.kind, ErrorKind::InvalidEvent, "{error}");
    error
        .message
        .lines()
        .skip(1)
        .map(|line| line.trim().to_owned())
        .collect()
}

#[track_caller]
fn assert_faults(detail: &Value, expected: &[&str]) {
    let found = faults_of(&event(detail));
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\nshould begin with\n{expected}");
    }
}

fn request(detail: &Value) -> StartDashboardSnapshotJob {
    parse::<DashboardSnapshots>(&event(detail), Some(&"s3://default/".parse().unwrap()))
        .unwrap()
        .request
}

#[test]
fn a_valid_event_is_parsed() {
    let requested = parse::<DashboardSnapshots>(&event(&detail()), None).unwrap();
    assert_eq!(
        requested.destination.unwrap().to_string(),
        "s3://exports/dashboards/sales"
    );
    assert_eq!(DashboardSnapshots::format(&requested.request), None);
    assert!(requested.trigger.job_key.starts_with("20261101T050000Z-"));
}

#[test]
fn the_smallest_request_gets_the_deployments_destination() {
    let smallest = json!({
        "DashboardId": "sales",
        "UserConfiguration": {"AnonymousUsers": [{}]},
        "SnapshotConfiguration": {"FileGroups": [csv()]},
    });
    let default: S3Uri = "s3://exports/".parse().unwrap();
    let requested = parse::<DashboardSnapshots>(&event(&smallest), Some(&default)).unwrap();
    assert_eq!(requested.destination, Some(default));
    assert_faults(&smallest, &["$.detail: found no destination"]);
    // A region alone is no destination.
    let regional = with(
        "/SnapshotConfiguration/DestinationConfiguration/S3Destinations/0/BucketConfiguration",
        json!({"BucketRegion": "eu-central-1"}),
    );
    assert_faults(&regional, &["$.detail: found no destination"]);
}

#[test]
fn a_broken_constraint_of_the_model_is_reported_with_its_path() {
    const FILE: &str = "/SnapshotConfiguration/FileGroups/0/Files/0";
    const PARAMETERS: &str = "/SnapshotConfiguration/Parameters";
    const TAG: &str = "/UserConfiguration/AnonymousUsers/0/RowLevelPermissionTags/0";
    const BUCKET: &str = "/SnapshotConfiguration/DestinationConfiguration/S3Destinations/0/BucketConfiguration";
    let long = |length: usize| json!("x".repeat(length));
    let tags = |count: usize| json!(vec![json!({"Key": "k", "Value": "v"}); count]);
    let users = "/UserConfiguration/AnonymousUsers";
    let rows: Vec<(String, Value, &str)> = vec![
        ("/AwsAccountId".into(), json!("1111-2222-3333"), "must be"),
        (
            "/DashboardId".into(),
            json!("a b"),
            "must be a string of 1 to 512 characters",
        ),
        (
            "/DashboardId".into(),
            json!(""),
            "must be a string of 1 to 512 characters",
        ),
        (
            "/DashboardId".into(),
            long(513),
            "must be a string of 1 to 512 characters",
        ),
        (
            "/DashboardId".into(),
            json!("übersicht"),
            "must be a string of 1 to 512 characters",
        ),
        (users.into(), json!([]), "must be an array of 1 item"),
        (users.into(), json!([{}, {}]), "must be an array of 1 item"),
        (
            format!("{users}/0/RowLevelPermissionTags"),
            json!([]),
            "must be an array of 1 to 50 items",
        ),
        (
            format!("{users}/0/RowLevelPermissionTags"),
            tags(51),
            "must be an array of 1 to 50 items",
        ),
        (
            format!("{TAG}/Key"),
            json!(""),
            "must be a string of 1 to 128 characters",
        ),
        (
            format!("{TAG}/Key"),
            long(129),
            "must be a string of 1 to 128 characters",
        ),
        (
            format!("{TAG}/Value"),
            json!(""),
            "must be a string of 1 to 256 characters",
        ),
        (
            format!("{TAG}/Value"),
            long(257),
            "must be a string of 1 to 256 characters",
        ),
        (
            "/SnapshotConfiguration/FileGroups".into(),
            json!([]),
            "must be an array of 1 to 7 items",
        ),
        (
            "/SnapshotConfiguration/FileGroups/0/Files".into(),
            json!([]),
            "must be an array of 1 item",
        ),
        (
            format!("{FILE}/FormatType"),
            json!("csv"),
            "must be one of \"CSV\", \"PDF\", \"EXCEL\"",
        ),
        (
            format!("{FILE}/SheetSelections"),
            json!([]),
            "must be an array of 1 to 5 items",
        ),
        (
            format!("{FILE}/SheetSelections"),
            json!(vec![selection("SELECTED_VISUALS", 1); 6]),
            "must be an array of 1 to 5 items",
        ),
        (
            format!("{FILE}/SheetSelections/0/SheetId"),
            json!("a/b"),
            "must be a string of 1 to 512",
        ),
        (
            format!("{FILE}/SheetSelections/0/SheetId"),
            long(513),
            "must be a string of 1 to 512",
        ),
        (
            format!("{FILE}/SheetSelections/0/SelectionScope"),
            json!("SOME"),
            "must be one of \"ALL_VISUALS\", \"SELECTED_VISUALS\"",
        ),
        (
            format!("{FILE}/SheetSelections/0/VisualIds/0"),
            json!("a b"),
            "must be a string of 1 to 512",
        ),
        (
            format!("{FILE}/SheetSelections/0/VisualIds/0"),
            json!(""),
            "must be a string of 1 to 512",
        ),
        (
            "/SnapshotConfiguration/DestinationConfiguration/S3Destinations".into(),
            json!([{"BucketConfiguration": {"BucketName": "exports"}}, {}]),
            "must be an array of 1 item",
        ),
        (format!("{BUCKET}/BucketRegion"), json!(7), "must be a string"),
        (
            format!("{PARAMETERS}/StringParameters/0/Name"),
            json!(" "),
            "must be a string matching \\S",
        ),
        (
            format!("{PARAMETERS}/StringParameters/0/Values/0"),
            json!(7),
            "must be a string",
        ),
        (
            format!("{PARAMETERS}/StringParameters/0/Values"),
            json!("EMEA"),
            "must be an array",
        ),
        (
            format!("{PARAMETERS}/IntegerParameters/0/Values/0"),
            json!(1.5),
            "must be an integer",
        ),
        (
            format!("{PARAMETERS}/IntegerParameters/0/Values/0"),
            json!(1e30),
            "must be an integer",
        ),
        (
            format!("{PARAMETERS}/IntegerParameters/0/Values/0"),
            json!(u64::MAX),
            "must be an integer",
        ),
        (
            format!("{PARAMETERS}/DecimalParameters/0/Values/0"),
            json!("0.19"),
            "must be a number",
        ),
        (
            format!("{PARAMETERS}/DateTimeParameters/0/Values/0"),
            json!("yesterday"),
            "must be a time such as",
        ),
        (
            format!("{PARAMETERS}/DateTimeParameters/0/Values/0"),
            json!(1e30),
            "must be a time such as",
        ),
        (
            format!("{PARAMETERS}/DateTimeParameters/0/Values/0"),
            json!(true),
            "must be a time such as",
        ),
    ];
    for (pointer, value, allowed) in rows {
        let path = pointer
            .split('/')
            .skip(1)
            .fold("$.detail".to_owned(), |path, name| match name.parse::<usize>() {
                Ok(index) => format!("{path}[{index}]"),
                Err(_) => format!("{path}.{name}"),
            });
        let found = faults_of(&event(&with(&pointer, value.clone())));
        let is_it = |fault: &String| fault.starts_with(&format!("{path}: found ")) && fault.contains(allowed);
        assert!(found.iter().any(is_it), "{pointer} {value}: {found:#?}");
    }
    let parameters = |count: usize| json!(vec![json!({"Name": "n", "Values": []}); count]);
    for name in [
        "StringParameters",
        "IntegerParameters",
        "DecimalParameters",
        "DateTimeParameters",
    ] {
        let list = |count: usize| with(&format!("{PARAMETERS}/{name}"), parameters(count));
        assert_faults(&list(100), &[]);
        assert_faults(
            &list(101),
            &[format!("$.detail.SnapshotConfiguration.Parameters.{name}: found ").as_str()],
        );
    }
    for (pointer, path) in [
        ("/DashboardId", "$.detail.DashboardId"),
        ("/SnapshotConfiguration", "$.detail.SnapshotConfiguration"),
        (
            "/SnapshotConfiguration/FileGroups",
            "$.detail.SnapshotConfiguration.FileGroups",
        ),
    ] {
        let found = faults_of(&event(&without(pointer)));
        let expected = format!("{path}: found nothing; it is required");
        assert!(found.iter().any(|fault| fault.starts_with(&expected)), "{found:#?}");
    }
}

#[test]
fn blank_buckets_are_refused() {
    for name in ["BucketName", "BucketPrefix", "BucketRegion"] {
        let pointer = format!("{}/{name}", rules::BUCKET);
        for blank in ["", "  "] {
            let found = faults_of(&event(&with(&pointer, json!(blank))));
            let expected = format!(
                "{}.{name}: found \"{blank}\"; must be a string matching \\S",
                rules::BUCKET_PATH
            );
            assert!(found.contains(&expected), "{found:#?}");
        }
    }
}

#[test]
fn a_broken_rule_of_the_documentation_is_reported_with_its_path() {
    const GROUPS: &str = "$.detail.SnapshotConfiguration.FileGroups";
    let groups = |groups: &[Value]| with("/SnapshotConfiguration/FileGroups", json!(groups));
    let one = |group: Value| groups(&[group]);
    let selected = |visuals| selection("SELECTED_VISUALS", visuals);
    let all = || selection("ALL_VISUALS", 0);

    assert_faults(&groups(&[csv(), csv(), csv(), csv(), csv(), pdf()]), &[]);
    assert_faults(&groups(&[csv(), csv(), csv(), csv(), csv(), pdf(), excel()]), &[]);
    assert_faults(
        &groups(&[csv(), csv(), csv(), csv(), csv(), pdf(), excel(), json!({})]),
        &[&format!(
            "{GROUPS}: found an array of 8 items; must be an array of 1 to 7 items"
        )],
    );
    // A group without files asks for nothing, but a request must ask for something.
    assert_faults(&groups(&[json!({}), csv()]), &[]);
    assert_faults(
        &groups(&[json!({}), json!({})]),
        &[&format!("{GROUPS}: found groups without Files")],
    );
    assert_faults(
        &groups(&[pdf(), pdf()]),
        &[&format!("{GROUPS}: found 2 PDF files; a call makes at most 1")],
    );
    assert_faults(
        &groups(&[excel(), excel()]),
        &[&format!("{GROUPS}: found 2 EXCEL files; a call makes at most 1")],
    );
    assert_faults(
        &groups(&vec![csv(); 6]),
        &[&format!("{GROUPS}: found 6 CSV files; a call makes at most 5")],
    );

    let at = |place: &str, rest: &str| format!("{GROUPS}[0].Files[0].SheetSelections{place}: found {rest}");
    assert_faults(
        &one(group("PDF", &[all(), all()])),
        &[&at("", "2 sheet selections; a PDF takes one")],
    );
    assert_faults(
        &one(group("PDF", &[selected(1)])),
        &[
            &at("[0].SelectionScope", "\"SELECTED_VISUALS\"; PDF takes ALL_VISUALS"),
            &at("[0].VisualIds", "1 visual id; a PDF is of the whole sheet"),
        ],
    );
    assert_faults(
        &one(group("CSV", &[all()])),
        &[
            &at("[0].SelectionScope", "\"ALL_VISUALS\"; CSV takes SELECTED_VISUALS"),
            &at("[0].VisualIds", "no visual ids; CSV takes exactly one"),
        ],
    );
    assert_faults(
        &one(group("CSV", &[selected(1), selected(2)])),
        &[&at("[1].VisualIds", "2 visual ids; CSV takes exactly one")],
    );
    assert_faults(&one(group("CSV", &[selected(1), selected(1)])), &[]);
    assert_faults(
        &one(group("EXCEL", &[all()])),
        &[
            &at("[0].SelectionScope", "\"ALL_VISUALS\"; EXCEL takes SELECTED_VISUALS"),
            &at("[0].VisualIds", "no visual ids; EXCEL takes at least one"),
        ],
    );
    assert_faults(&one(group("EXCEL", &[selected(2), selected(3)])), &[]);
    assert_faults(
        &one(group("EXCEL", &[selected(3), selected(3)])),
        &[&at("", "6 visual ids in all; a workbook takes at most 5")],
    );
}

#[test]
fn an_event_names_users_and_no_job_id() {
    let mut named = detail();
    named["SnapshotJobId"] = json!("mine");
    assert_faults(
        &named,
        &["$.detail.SnapshotJobId: found \"mine\"; leave it out: Landfall takes the job key"],
    );
    assert!(faults_of(&event(&named))[0].contains("Landfall.IdempotencyKey"));

    let required = "$.detail.UserConfiguration.AnonymousUsers: found nothing; say for whom the snapshot is made";
    assert_faults(&without("/UserConfiguration"), &[required]);
    assert_faults(&with("/UserConfiguration", json!({})), &[required]);
    assert_faults(
        &with("/UserConfiguration", json!({"AnonymousUsers": null})),
        &[required],
    );
    assert_faults(&with("/UserConfiguration", json!({"AnonymousUsers": [{}]})), &[]);
    // The answer's member is not part of the request.
    assert_faults(
        &with(
            "/UserConfiguration",
            json!({"AnonymousUsers": [{"RowLevelPermissionTagKeys": ["a"]}]}),
        ),
        &[
            "$.detail.UserConfiguration.AnonymousUsers[0].RowLevelPermissionTagKeys: found an unknown member; did you mean RowLevelPermissionTags?",
        ],
    );
}

#[test]
fn a_prefix_needs_a_bucket_and_must_be_unambiguous() {
    let bucket = |value: Value| with(rules::BUCKET, value);
    let found = faults_of(&event(&bucket(json!({"BucketPrefix": "a"}))));
    assert!(
        found
            .iter()
            .any(|fault| fault.starts_with(&format!("{}.BucketName: found nothing", rules::BUCKET_PATH))),
        "{found:#?}"
    );
    for prefix in ["/a", "a//b", "../a", "a%2Fb", "a?b"] {
        assert_faults(
            &bucket(json!({"BucketName": "exports", "BucketPrefix": prefix})),
            &[&format!("{}: found \"s3://exports/{prefix}\"", rules::BUCKET_PATH)],
        );
    }
    assert_faults(&bucket(json!({"BucketName": "exports"})), &[]);
    assert_faults(
        &bucket(json!({"BucketName": "exports", "BucketPrefix": "x".repeat(1000)})),
        &[&format!("{}: found 1000 characters", rules::BUCKET_PATH).replace("1000 characters", "")],
    );
}

#[test]
fn account_and_region_must_match_the_envelope() {
    let with_envelope = |account: Option<&str>, region: Option<&str>, detail: &Value| {
        let mut event = event(detail);
        for (name, value) in [("account", account), ("region", region)] {
            match value {
                Some(value) => event[name] = json!(value),
                None => drop(event.as_object_mut().unwrap().remove(name)),
            }
        }
        faults_of(&event)
    };
    let own = with("/AwsAccountId", json!("111122223333"));
    let none: [String; 0] = [];
    assert_eq!(with_envelope(Some("111122223333"), Some("eu-central-1"), &own), none);
    assert_eq!(with_envelope(None, None, &own), none);
    let found = with_envelope(Some("444455556666"), Some("eu-central-1"), &own);
    assert_eq!(
        found,
        [
            "$.detail.AwsAccountId: found \"111122223333\"; must be the event's own account, which is 444455556666; leave it out"
        ]
    );
    let found = with_envelope(None, Some("eu-central-1"), &detail());
    assert_eq!(
        found,
        ["$.detail.AwsAccountId: found nothing; it is required where the event itself names no account"]
    );
    let found = with_envelope(Some("111122223333"), Some("us-east-1"), &detail());
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with(&format!(
        "{}.BucketRegion: found \"eu-central-1\"; must be the region",
        rules::BUCKET_PATH
    )));
}

#[test]
fn no_message_shows_a_sensitive_value() {
    const SECRET: &str = "s3cr3t";
    let tags = "/UserConfiguration/AnonymousUsers/0/RowLevelPermissionTags";
    let parameters = "/SnapshotConfiguration/Parameters";
    for (pointer, value) in [
        (tags.to_owned(), json!(SECRET)),
        (format!("{tags}/0"), json!(SECRET)),
        (format!("{tags}/0/Value"), json!(SECRET.repeat(50))),
        (format!("{tags}/0/Value"), json!([SECRET])),
        (format!("{parameters}/StringParameters"), json!(SECRET)),
        (format!("{parameters}/StringParameters/0"), json!(SECRET)),
        (format!("{parameters}/StringParameters/0/Values"), json!(SECRET)),
        (format!("{parameters}/IntegerParameters/0/Values/0"), json!(SECRET)),
        (format!("{parameters}/DecimalParameters/0/Values/0"), json!(SECRET)),
        (format!("{parameters}/DateTimeParameters/0/Values/0"), json!(SECRET)),
    ] {
        let found = faults_of(&event(&with(&pointer, value)));
        assert_eq!(found.len(), 1, "{pointer}: {found:#?}");
        assert!(found[0].contains("found a value that is not shown"), "{found:#?}");
        assert!(!found[0].contains(SECRET), "{found:#?}");
    }
}

const PREFIX: &str = "s3://exports/dashboards/sales/run=20261101T050000Z-1a2b3c4d/";
const KEY: &str = "20261101T050000Z-1a2b3c4d";

fn call(detail: &Value) -> StartCall<StartDashboardSnapshotJob> {
    let prefix: S3Uri = PREFIX.parse().unwrap();
    let aim = Aim {
        attempt_key: KEY,
        prefix: &prefix,
        role: None,
        account: Some("111122223333"),
        region: Some("eu-central-1"),
        user: None,
    };
    StartCall {
        request: DashboardSnapshots::aim(request(detail), &aim),
        attempt_key: KEY.to_owned(),
        claimed_at: "2026-11-01T05:00:00Z".parse().unwrap(),
        over_at: "2026-11-01T05:00:00Z".parse().unwrap(),
        prefix,
    }
}

#[test]
fn an_attempt_has_its_own_id_and_prefix() {
    let aimed = call(&without("/SnapshotConfiguration/DestinationConfiguration")).request;
    let aimed = serde_json::to_value(&aimed).unwrap();
    assert_eq!(aimed["SnapshotJobId"], KEY);
    assert_eq!(aimed["AwsAccountId"], "111122223333");
    assert_eq!(
        aimed["SnapshotConfiguration"]["DestinationConfiguration"],
        json!({"S3Destinations": [{"BucketConfiguration": {
            "BucketName": "exports", "BucketPrefix": format!("dashboards/sales/run={KEY}/"), "BucketRegion": "eu-central-1",
        }}]})
    );
    assert_eq!(
        format!("{:?}", call(&detail()).request),
        "StartDashboardSnapshotJob(sales)"
    );
}

#[test]
fn the_record_has_keys_and_names_and_no_values() {
    let recorded = DashboardSnapshots::record(&call(&detail()).request).unwrap();
    assert_eq!(
        recorded["UserConfiguration"],
        json!({"AnonymousUsers": [{"RowLevelPermissionTagKeys": ["tenant"]}]})
    );
    assert_eq!(
        recorded["SnapshotConfiguration"]["Parameters"],
        json!({
            "StringParameters": [{"Name": "region"}], "IntegerParameters": [{"Name": "year"}],
            "DecimalParameters": [{"Name": "rate"}], "DateTimeParameters": [{"Name": "from"}],
        })
    );
    for secret in call(&detail()).request.secrets() {
        assert!(!recorded.to_string().contains(&format!("{secret}\"")), "{secret}");
    }
    // Everything that a poll needs is there.
    let read: Recorded = serde_json::from_value(recorded).unwrap();
    assert_eq!(read.aws_account_id, "111122223333");
    assert_eq!(read.snapshot_configuration.file_groups.len(), 3);
}

#[test]
fn every_member_reaches_the_sdk() {
    let request = call(&detail()).request;
    let user = request.sdk_user().unwrap().unwrap();
    let tags = user.anonymous_users()[0].row_level_permission_tags();
    assert_eq!((tags[0].key(), tags[0].value()), ("tenant", "tenant-7"));
    let sent = request.sdk_snapshot(None).unwrap();
    let parameters = sent.parameters().unwrap();
    assert_eq!(parameters.string_parameters()[0].values(), ["EMEA", "APAC"]);
    assert_eq!(parameters.integer_parameters()[0].values(), [2026, 2027, i64::MIN]);
    assert_eq!(parameters.decimal_parameters()[0].values(), [0.19, 7.0]);
    let times: Vec<_> = parameters.date_time_parameters()[0]
        .values()
        .iter()
        .map(|time| time.as_secs_f64())
        .collect();
    assert_eq!(times, [1_790_805_600.0, 1_792_540_800.5]);
    let scopes: Vec<_> = sent
        .file_groups()
        .iter()
        .map(|group| group.files()[0].sheet_selections()[0].selection_scope().as_str())
        .collect();
    assert_eq!(scopes, ["SELECTED_VISUALS", "ALL_VISUALS", "SELECTED_VISUALS"]);
    assert_eq!(
        sent.file_groups()[2].files()[0].sheet_selections()[0]
            .visual_ids()
            .len(),
        5
    );
    assert_eq!(
        request.secrets(),
        [
            "tenant-7",
            "2026-10-01T00:00:00+02:00",
            "1792540800.5",
            "0.19",
            "7.0",
            "2026",
            "2027",
            "-9223372036854775808",
            "EMEA",
            "APAC"
        ]
    );
}

#[test]
fn the_region_of_the_client_is_used_if_the_event_has_none() {
    let prefix: S3Uri = PREFIX.parse().unwrap();
    let aim = Aim {
        attempt_key: KEY,
        prefix: &prefix,
        role: None,
        account: None,
        region: None,
        user: None,
    };
    let request = request(&without("/SnapshotConfiguration/DestinationConfiguration")).aimed(&aim);
    let sdk = SdkConfig::builder()
        .region(Region::new("eu-west-2"))
        .behavior_version(BehaviorVersion::latest())
        .build();
    let sent = DashboardSnapshots::new(&sdk, None).configuration(&request).unwrap();
    let destination = &sent.destination_configuration().unwrap().s3_destinations()[0];
    assert_eq!(destination.bucket_configuration().unwrap().bucket_region(), "eu-west-2");
}

#[test]
fn a_job_is_the_same_if_files_and_destination_are() {
    let configuration = |detail: &Value| call(detail).request.sdk_snapshot(None).unwrap();
    let own = configuration(&detail());
    let is_same = |one: &_, other: &_| echo::differences(one, other).is_empty();
    assert!(is_same(&own, &own));
    assert!(is_same(
        &own,
        &configuration(&without("/SnapshotConfiguration/Parameters"))
    ));
    for other in [
        with("/SnapshotConfiguration/FileGroups", json!([csv(), pdf()])),
        with("/SnapshotConfiguration/FileGroups", json!([pdf(), csv(), excel()])),
        with(
            "/SnapshotConfiguration/FileGroups/0/Files/0/SheetSelections/0/SheetId",
            json!("sheet-2"),
        ),
        with(
            "/SnapshotConfiguration/FileGroups/2/Files/0/SheetSelections/0/VisualIds/4",
            json!("visual-9"),
        ),
    ] {
        assert!(!is_same(&own, &configuration(&other)));
    }
    let elsewhere = |prefix: &str| {
        let mut request = call(&detail()).request;
        let destination = request
            .snapshot_configuration
            .destination_configuration
            .as_mut()
            .unwrap();
        let bucket = &mut destination.s3_destinations.as_mut().unwrap()[0].bucket_configuration;
        bucket.bucket_prefix = Some(prefix.to_owned());
        request.sdk_snapshot(None).unwrap()
    };
    assert!(is_same(&own, &elsewhere(&format!("dashboards/sales/run={KEY}"))));
    assert!(!is_same(&own, &elsewhere("dashboards/sales/run=other/")));
}
