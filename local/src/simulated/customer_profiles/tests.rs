//! The simulated Customer Profiles behaves as its model and documentation say, in each scenario.
//!
//! What must stay true: constraints, errors and answers are those of the model, and the same settings and calls make
//! the same bytes.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use chrono::TimeZone;
use http::Method;
use orc_rust::ArrowReaderBuilder;

use super::*;
use crate::simulated::ConnectionCut;

const CREATE: &str = "/domains/Shop/segments/spring-buyers/snapshots";

/// A clock that only moves when it is told to.
struct ManualClock(Mutex<DateTime<Utc>>);

impl ManualClock {
    fn pass(&self, duration: Duration) {
        *self.0.lock().unwrap() += duration;
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        self.pass(duration);
    }
}

#[derive(Clone)]
struct Object {
    bucket: String,
    key: String,
    body: Bytes,
    kms_key: Option<String>,
}

#[derive(Default)]
struct MemorySink {
    objects: Mutex<Vec<Object>>,
    /// All calls fail from this number on, counted from 0.
    fails_from: Mutex<Option<usize>>,
}

#[async_trait]
impl Sink for MemorySink {
    async fn put(&self, bucket: &str, key: &str, body: Bytes, kms_key: Option<&str>) -> anyhow::Result<()> {
        let mut objects = self.objects.lock().unwrap();
        if self.fails_from.lock().unwrap().is_some_and(|n| objects.len() >= n) {
            anyhow::bail!("NoSuchBucket");
        }
        objects.push(Object {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            body,
            kms_key: kms_key.map(str::to_owned),
        });
        Ok(())
    }
}

struct Bench {
    clock: Arc<ManualClock>,
    sink: Arc<MemorySink>,
    service: CustomerProfiles,
}

type Answer = (u16, Option<String>, Value);

impl Bench {
    fn new(settings: Settings) -> Self {
        let start = Utc.with_ymd_and_hms(2026, 3, 1, 23, 0, 0).unwrap();
        let clock = Arc::new(ManualClock(Mutex::new(start)));
        let sink = Arc::new(MemorySink::default());
        let service = CustomerProfiles::new(
            Arc::clone(&sink) as Arc<dyn Sink>,
            Arc::clone(&clock) as Arc<dyn Clock>,
            settings,
        );
        Self { clock, sink, service }
    }

    fn of(scenario: Scenario) -> Self {
        Self::new(Settings {
            profiles: 50,
            scenario,
            ..Settings::default()
        })
    }

    async fn call(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Answer {
        let request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        let response = self.service.handle(request).await;
        assert_eq!(response.headers()["content-type"], "application/json");
        assert!(response.headers().contains_key("x-amzn-requestid"));
        let error = response.headers().get("x-amzn-errortype");
        let error = error.map(|name| name.to_str().unwrap().to_owned());
        let body = serde_json::from_slice(response.body()).unwrap();
        (response.status().as_u16(), error, body)
    }

    async fn create(&self, body: &Value) -> Answer {
        self.call(Method::POST, CREATE, body.to_string()).await
    }

    /// Makes a snapshot in a format; returns its id.
    async fn created(&self, format: &str) -> String {
        let (status, _, body) = self.create(&order(format)).await;
        assert_eq!(status, 200, "{body}");
        body["SnapshotId"].as_str().unwrap().to_owned()
    }

    async fn get(&self, id: &str) -> Answer {
        self.call(Method::GET, &format!("{CREATE}/{id}"), "").await
    }

    async fn status(&self, id: &str) -> String {
        let (status, _, body) = self.get(id).await;
        assert_eq!(status, 200, "{body}");
        body["Status"].as_str().unwrap().to_owned()
    }

    fn pass(&self, seconds: f64) {
        self.clock.pass(Duration::from_secs_f64(seconds));
    }

    /// The objects other than test files.
    fn data(&self) -> Vec<Object> {
        let objects = self.sink.objects.lock().unwrap();
        let data = |object: &&Object| !object.key.ends_with("customer-profiles-test-file");
        objects.iter().filter(data).cloned().collect()
    }

    fn tests(&self) -> usize {
        let all = self.sink.objects.lock().unwrap().len();
        all - self.data().len()
    }
}

fn order(format: &str) -> Value {
    json!({"DataFormat": format, "DestinationUri": "s3://exports/spring/run=1/"})
}

fn with(member: &str, value: Value) -> Value {
    let mut order = order("CSV");
    order[member] = value;
    order
}

/// The number of rows of a data file, or its fault.
fn rows(format: &str, body: &Bytes) -> Result<usize, String> {
    match format {
        "CSV" => {
            let records: Result<Vec<_>, _> = csv::Reader::from_reader(body.as_ref()).records().collect();
            records.map(|records| records.len()).map_err(|error| error.to_string())
        }
        "JSONL" => {
            let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_slice(body).into_iter().collect();
            values.map(|values| values.len()).map_err(|error| error.to_string())
        }
        _ => {
            let reader = ArrowReaderBuilder::try_new(body.clone()).map_err(|error| error.to_string())?;
            let batches: Result<Vec<RecordBatch>, _> = reader.build().collect();
            let sum = |batches: Vec<RecordBatch>| batches.iter().map(RecordBatch::num_rows).sum();
            batches.map(sum).map_err(|error| error.to_string())
        }
    }
}

#[tokio::test]
async fn a_snapshot_ends_by_the_clock_and_its_files_hold_all_profiles() {
    for format in ["CSV", "JSONL", "ORC"] {
        let bench = Bench::new(Settings::default());
        let id = bench.created(format).await;
        assert_eq!((bench.tests(), bench.data().len()), (1, 0));
        let mut landed = Vec::new();
        for _ in 0..6 {
            assert_eq!(bench.status(&id).await, "IN_PROGRESS");
            landed.push(bench.data().len());
            bench.pass(1.0);
        }
        assert_eq!(landed, [0, 0, 1, 1, 2, 2], "the files must appear one after another");
        assert_eq!(bench.status(&id).await, "COMPLETED");
        let data = bench.data();
        assert_eq!(data.len(), 3);
        let sum: usize = data.iter().map(|object| rows(format, &object.body).unwrap()).sum();
        assert_eq!(sum, 1000);
        for (number, object) in data.iter().enumerate() {
            assert_eq!(object.bucket, "exports");
            assert!(object.key.starts_with(&format!("spring/run=1/part-{number:05}-")));
            assert!(object.key.ends_with(&format!(".{}", format.to_lowercase())));
            assert_eq!(object.kms_key, None);
        }
        bench.pass(1e6);
        assert_eq!(bench.status(&id).await, "COMPLETED");
        bench.service.advance().await;
        assert_eq!(bench.data().len(), 3, "nothing may be written twice");
    }
}

#[tokio::test]
async fn the_last_file_lands_just_before_completion() {
    let bench = Bench::of(Scenario::Success);
    let id = bench.created("CSV").await;
    bench.pass(5.9);
    bench.service.advance().await;
    assert_eq!(bench.data().len(), 3);
    assert_eq!(bench.status(&id).await, "IN_PROGRESS");
    bench.pass(0.1);
    assert_eq!(bench.status(&id).await, "COMPLETED");
}

#[tokio::test]
async fn a_snapshot_advances_without_polls_and_only_once() {
    let bench = Bench::of(Scenario::Success);
    let id = bench.created("CSV").await;
    bench.pass(100.0);
    let (service, get) = (&bench.service, bench.get(&id));
    tokio::join!(service.advance(), service.advance(), get, service.advance());
    assert_eq!(bench.data().len(), 3);
    assert_eq!(bench.status(&id).await, "COMPLETED");
}

#[tokio::test]
async fn the_answer_echoes_what_was_asked_and_adds_nothing() {
    let bench = Bench::of(Scenario::Success);
    let full = json!({
        "DataFormat": "ORC",
        "EncryptionKey": "arn:aws:kms:eu-central-1:111122223333:key/a",
        "RoleArn": "arn:aws:iam::111122223333:role/export",
        "DestinationUri": "s3://exports/spring",
        "NotInTheModel": 1,
    });
    let (status, error, body) = bench.create(&full).await;
    assert_eq!((status, error), (200, None));
    let id = body["SnapshotId"].as_str().unwrap();
    assert_eq!(body, json!({"SnapshotId": id}));
    assert!(SNAPSHOT_ID.matches(id));

    bench.pass(6.0);
    let (_, _, body) = bench.get(id).await;
    let mut expected = full.clone();
    let members = expected.as_object_mut().unwrap();
    members.remove("NotInTheModel");
    members.insert("SnapshotId".to_owned(), json!(id));
    members.insert("Status".to_owned(), json!("COMPLETED"));
    assert_eq!(body, expected);
    let objects = bench.sink.objects.lock().unwrap();
    assert_eq!(objects.len(), 4);
    for object in objects.iter() {
        assert!(object.key.starts_with("spring/"), "{}", object.key);
        assert_eq!(object.kms_key.as_deref(), full["EncryptionKey"].as_str());
    }
}

#[tokio::test]
async fn two_start_calls_make_two_snapshots() {
    let bench = Bench::of(Scenario::Success);
    let (one, two) = (bench.created("CSV").await, bench.created("CSV").await);
    assert_ne!(one, two);
    bench.pass(6.0);
    bench.service.advance().await;
    assert_eq!(bench.data().len(), 6);
    let keys: BTreeSet<String> = bench.data().into_iter().map(|object| object.key).collect();
    assert_eq!(keys.len(), 6);
    let snapshots = bench.service.snapshots_by_destination();
    assert_eq!(snapshots["s3://exports/spring/run=1/"], [one, two]);
    assert_eq!((bench.service.start_calls(), bench.service.polls()), (2, 0));
}

#[tokio::test]
async fn every_constraint_of_the_model_is_checked() {
    let bench = Bench::of(Scenario::Success);
    let accepted = [
        with("EncryptionKey", json!("")),
        with("EncryptionKey", json!("k".repeat(255))),
        with("EncryptionKey", json!("é".repeat(255))),
        with("EncryptionKey", Value::Null),
        with("RoleArn", json!("arn:aws:iam::1:")),
        with("RoleArn", json!(format!("arn:aws:iam::1:{}", "r".repeat(512 - 15)))),
        with("DestinationUri", json!("s3://bucket")),
        with("DestinationUri", json!("s3://bucket/")),
        with("DestinationUri", json!(format!("s3://b/{}", "d".repeat(255 - 7)))),
    ];
    for body in &accepted {
        let (status, _, answer) = bench.create(body).await;
        assert_eq!(status, 200, "{body} {answer}");
    }
    let refused = [
        (
            json!({"DestinationUri": "s3://b/"}),
            "'dataFormat' failed to satisfy constraint: Member must not be null",
        ),
        (
            with("DataFormat", Value::Null),
            "'dataFormat' failed to satisfy constraint: Member must not be null",
        ),
        (
            with("DataFormat", json!("csv")),
            "Value 'csv' at 'dataFormat' failed to satisfy constraint: Member must satisfy enum value set: [CSV, JSONL, ORC]",
        ),
        (with("DataFormat", json!("PARQUET")), "enum value set"),
        (
            with("EncryptionKey", json!("k".repeat(256))),
            "'encryptionKey' failed to satisfy constraint: Member must have length less than or equal to 255",
        ),
        (
            with("RoleArn", json!("")),
            "regular expression pattern: arn:aws:iam:.*:[0-9]+:.*",
        ),
        (with("RoleArn", json!("arn:aws-us-gov:iam::1:role/r")), "'roleArn'"),
        (with("RoleArn", json!("arn:aws:iam::x:role/r")), "'roleArn'"),
        (with("RoleArn", json!("see arn:aws:iam::1:role/r")), "'roleArn'"),
        (
            with("RoleArn", json!(format!("arn:aws:iam::1:{}", "r".repeat(512 - 14)))),
            "less than or equal to 512",
        ),
        (with("DestinationUri", json!("")), "greater than or equal to 1"),
        (
            with("DestinationUri", json!(format!("s3://b/{}", "d".repeat(255 - 6)))),
            "less than or equal to 255",
        ),
        (with("DestinationUri", json!("https://bucket/a")), "s3://bucket/prefix/"),
        (with("DestinationUri", json!("s3:///a")), "s3://bucket/prefix/"),
        (json!({"DataFormat": "CSV"}), "DestinationUri is required"),
    ];
    for (body, expected) in &refused {
        let (status, error, answer) = bench.create(body).await;
        assert_eq!((status, error.as_deref()), (400, Some("BadRequestException")), "{body}");
        let message = answer["Message"].as_str().unwrap();
        assert!(message.contains(expected), "{body}: {message}");
        assert_eq!(answer, json!({ "Message": message }));
    }
    assert_eq!(
        bench.tests(),
        accepted.len(),
        "a refused call must leave nothing behind"
    );
    assert_eq!(bench.service.start_calls(), accepted.len() + refused.len());
}

#[tokio::test]
async fn all_faults_of_a_request_are_reported_at_once() {
    let bench = Bench::of(Scenario::Success);
    let body = json!({"DataFormat": "XML", "RoleArn": "role", "DestinationUri": ""});
    let (_, _, answer) = bench.create(&body).await;
    let message = answer["Message"].as_str().unwrap();
    assert!(
        message.starts_with("3 validation errors detected: Value 'XML'"),
        "{message}"
    );
    assert_eq!(message.matches("; Value").count(), 2);
}

#[tokio::test]
async fn names_in_the_path_must_match_their_pattern() {
    let bench = Bench::of(Scenario::Success);
    let long = "d".repeat(65);
    for name in ["a.b", "a%20b", "%41", long.as_str(), "", "é"] {
        let name = if name == "é" { "%C3%A9" } else { name };
        for path in [
            format!("/domains/{name}/segments/s/snapshots"),
            format!("/domains/d/segments/{name}/snapshots"),
        ] {
            let (status, error, _) = bench.call(Method::POST, &path, order("CSV").to_string()).await;
            assert_eq!((status, error.as_deref()), (400, Some("BadRequestException")), "{path}");
        }
    }
    let longest = "d".repeat(64);
    let path = format!("/domains/{longest}/segments/{longest}/snapshots");
    let (status, _, _) = bench.call(Method::POST, &path, order("CSV").to_string()).await;
    assert_eq!(status, 200);
    for id in [
        "x",
        "A".repeat(32).as_str(),
        "a".repeat(31).as_str(),
        "a".repeat(33).as_str(),
    ] {
        let (status, error, _) = bench.get(id).await;
        assert_eq!((status, error.as_deref()), (400, Some("BadRequestException")), "{id}");
    }
}

#[tokio::test]
async fn a_body_that_is_not_a_json_object_is_a_serialization_error() {
    let bench = Bench::of(Scenario::Success);
    for body in [
        "{",
        "[]",
        "\"CSV\"",
        "{\"DataFormat\": 1}",
        "{\"DestinationUri\": {}}",
        "\u{feff}{}",
    ] {
        let (status, error, _) = bench.call(Method::POST, CREATE, body).await;
        assert_eq!(
            (status, error.as_deref()),
            (400, Some("SerializationException")),
            "{body}"
        );
    }
    let (status, error, _) = bench.call(Method::POST, CREATE, "").await;
    assert_eq!((status, error.as_deref()), (400, Some("BadRequestException")));
}

#[tokio::test]
async fn a_snapshot_that_does_not_exist_is_not_found() {
    let bench = Bench::of(Scenario::Success);
    let id = bench.created("CSV").await;
    for path in [
        format!("{CREATE}/{}", "0".repeat(32)),
        format!("/domains/Other/segments/spring-buyers/snapshots/{id}"),
        format!("/domains/Shop/segments/other/snapshots/{id}"),
    ] {
        let (status, error, body) = bench.call(Method::GET, &path, "").await;
        assert_eq!(
            (status, error.as_deref()),
            (404, Some("ResourceNotFoundException")),
            "{path}"
        );
        assert!(body["Message"].is_string());
    }
    bench.service.remove_domain("Shop");
    for (status, error, _) in [bench.create(&order("CSV")).await, bench.get(&id).await] {
        assert_eq!((status, error.as_deref()), (404, Some("ResourceNotFoundException")));
    }
}

#[tokio::test]
async fn unknown_operations_are_refused() {
    let bench = Bench::of(Scenario::Success);
    let id = bench.created("CSV").await;
    for (method, path) in [
        (Method::GET, CREATE.to_owned()),
        (Method::GET, format!("{CREATE}/")),
        (Method::DELETE, format!("{CREATE}/{id}")),
        (Method::PUT, CREATE.to_owned()),
        (Method::GET, "/domains/Shop/segment-definitions".to_owned()),
        (Method::GET, "/".to_owned()),
    ] {
        let (status, error, body) = bench.call(method, &path, "").await;
        assert_eq!(
            (status, error.as_deref()),
            (404, Some("UnknownOperationException")),
            "{path}"
        );
        assert_eq!(body, json!({}));
    }
}

#[tokio::test]
async fn the_quota_is_by_day_and_domain() {
    let bench = Bench::new(Settings {
        snapshots_per_day: 2,
        ..Settings::default()
    });
    bench.created("CSV").await;
    bench.created("CSV").await;
    let (status, error, _) = bench.create(&order("CSV")).await;
    assert_eq!((status, error.as_deref()), (429, Some("ThrottlingException")));
    let other = "/domains/Other/segments/s/snapshots";
    let (status, _, _) = bench.call(Method::POST, other, order("CSV").to_string()).await;
    assert_eq!(status, 200);
    bench.pass(3600.0);
    bench.created("CSV").await;
    assert_eq!(bench.service.jobs_made().len(), 4);
}

#[tokio::test]
async fn a_destination_that_cannot_be_written_to_is_refused_or_fails_the_job() {
    let bench = Bench::of(Scenario::Success);
    *bench.sink.fails_from.lock().unwrap() = Some(0);
    let (status, error, body) = bench.create(&order("CSV")).await;
    assert_eq!((status, error.as_deref()), (400, Some("BadRequestException")));
    assert!(body["Message"].as_str().unwrap().contains("NoSuchBucket"));
    assert!(bench.service.jobs_made().is_empty());

    *bench.sink.fails_from.lock().unwrap() = Some(2);
    let id = bench.created("CSV").await;
    bench.pass(6.0);
    let (_, _, body) = bench.get(&id).await;
    assert_eq!(body["Status"], "FAILED");
    assert!(body["StatusMessage"].as_str().unwrap().contains("NoSuchBucket"));
    assert_eq!(bench.data().len(), 1);
    *bench.sink.fails_from.lock().unwrap() = None;
    bench.pass(6.0);
    assert_eq!(bench.status(&id).await, "FAILED");
    assert_eq!(bench.data().len(), 1, "a failed job must write nothing more");
}

#[tokio::test]
async fn there_are_as_many_files_as_asked_but_no_more_than_profiles() {
    for (profiles, files, expected) in [
        (10, 1, 1),
        (10, 10, 10),
        (2, 5, 2),
        (0, 3, 1),
        (10, 0, 1),
        (1000, 120, 120),
    ] {
        let bench = Bench::new(Settings {
            profiles,
            files,
            duration: Duration::ZERO,
            ..Settings::default()
        });
        let id = bench.created("JSONL").await;
        assert_eq!(bench.status(&id).await, "COMPLETED");
        let data = bench.data();
        assert_eq!(data.len(), expected);
        let sum: usize = data.iter().map(|object| rows("JSONL", &object.body).unwrap()).sum();
        assert_eq!(sum as u64, profiles);
    }
}

#[tokio::test]
async fn the_same_settings_and_calls_make_the_same_bytes() {
    let mut runs = Vec::new();
    for seed in [4, 4, 5] {
        let bench = Bench::new(Settings {
            seed,
            profiles: 100,
            ..Settings::default()
        });
        let id = bench.created("CSV").await;
        bench.pass(6.0);
        bench.service.advance().await;
        let files: Vec<(String, Bytes)> = bench
            .data()
            .into_iter()
            .map(|object| (object.key, object.body))
            .collect();
        runs.push((id, files));
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0].0, runs[2].0);
    assert_ne!(runs[0].1, runs[2].1);
}

#[tokio::test]
async fn calls_are_logged_with_status_and_error() {
    let bench = Bench::of(Scenario::StartThrottled);
    bench.create(&order("CSV")).await;
    let id = bench.created("CSV").await;
    bench.pass(2.0);
    bench.get(&id).await;
    bench.call(Method::GET, "/", "").await;
    let calls = bench.service.calls();
    let seen: Vec<_> = calls
        .iter()
        .map(|call| (call.operation, call.status, call.error))
        .collect();
    assert_eq!(
        seen,
        [
            (Operation::Create, 429, Some("ThrottlingException")),
            (Operation::Create, 200, None),
            (Operation::Get, 200, None),
            (Operation::Unknown, 404, Some("UnknownOperationException")),
        ]
    );
    assert_eq!(calls[2].at - calls[0].at, chrono::TimeDelta::seconds(2));
    assert_eq!((bench.service.start_calls(), bench.service.polls()), (2, 1));
}

/// What a caller sees of a scenario.
#[derive(Debug, PartialEq)]
struct Seen {
    starts: [u16; 2],
    /// How many snapshots these calls made.
    made: usize,
    /// The answers to five polls of the last snapshot: one at once, three at its end, and one 2 s later.
    polls: Vec<String>,
    /// The rows of each data file of the last snapshot in the end. `None` if a file cannot be read.
    data: Vec<Option<usize>>,
}

async fn seen(scenario: Scenario, format: &str) -> Seen {
    let bench = Bench::of(scenario);
    let starts = [
        bench.create(&order(format)).await.0,
        bench.create(&order(format)).await.0,
    ];
    let made = bench.service.jobs_made();
    assert_eq!(bench.tests(), made.len());
    let mut polls = Vec::new();
    let mut data = Vec::new();
    if let Some(last) = made.last() {
        for seconds in [0.0, 6.0, 0.0, 0.0, 2.0] {
            bench.pass(seconds);
            let (status, _, body) = bench.get(&last.id).await;
            polls.push(body["Status"].as_str().map_or(status.to_string(), str::to_owned));
        }
        bench.service.advance().await;
        let uuid = derived_uuid(0, &["part", &last.id]);
        let own = bench.data().into_iter().filter(|object| object.key.contains(&uuid));
        data = own.map(|object| rows(format, &object.body).ok()).collect();
    }
    let made = made.len();
    Seen {
        starts,
        made,
        polls,
        data,
    }
}

#[tokio::test]
async fn each_scenario_behaves_as_named() {
    const FINE: [&str; 5] = ["IN_PROGRESS", "COMPLETED", "COMPLETED", "COMPLETED", "COMPLETED"];
    let ends_as = |status: &'static str| ["IN_PROGRESS", status, status, status, status];
    let whole = || vec![Some(16), Some(17), Some(17)];
    for format in ["CSV", "JSONL", "ORC"] {
        for &scenario in Scenario::ALL {
            let (starts, made, polls, data) = match scenario {
                Scenario::Success => ([200, 200], 2, FINE, whole()),
                // The estimate does not affect the snapshot.
                Scenario::EstimateOff
                | Scenario::EstimateFailed
                | Scenario::EstimateStuck
                | Scenario::EstimateDenied => ([200, 200], 2, FINE, whole()),
                Scenario::ServiceFailed => ([200, 200], 2, ends_as("FAILED"), vec![Some(16), Some(17)]),
                Scenario::PollThrottled => ([200, 200], 2, ["429", "429", "429", "COMPLETED", "COMPLETED"], whole()),
                Scenario::PollUnavailable => ([200, 200], 2, ["500", "500", "500", "COMPLETED", "COMPLETED"], whole()),
                Scenario::PollNotFound => ([200, 200], 2, ["404"; 5], whole()),
                Scenario::UnknownStatus => ([200, 200], 2, ends_as("SUSPENDED"), whole()),
                Scenario::Denied => ([403, 403], 0, FINE, vec![]),
                Scenario::NotFound => ([404, 404], 0, FINE, vec![]),
                Scenario::StartThrottled => ([429, 200], 1, FINE, whole()),
                Scenario::StartThrottledButAccepted => ([429, 200], 2, FINE, whole()),
                Scenario::LostAnswer => ([500, 200], 2, FINE, whole()),
                Scenario::StartUnavailable => ([500, 200], 1, FINE, whole()),
                Scenario::OutputMissing => ([200, 200], 2, FINE, vec![]),
                Scenario::OutputEmptyFile => {
                    // A file of zero bytes is no ORC file. In the other formats it has no rows.
                    let last = if format == "ORC" { None } else { Some(0) };
                    ([200, 200], 2, FINE, vec![Some(16), Some(17), last])
                }
                Scenario::OutputCorrupt => ([200, 200], 2, FINE, vec![Some(16), Some(17), None]),
                Scenario::OutputWrongFormat => ([200, 200], 2, FINE, vec![Some(16), Some(17), None]),
                Scenario::LateFile => ([200, 200], 2, FINE, vec![Some(12), Some(13), Some(12), Some(13)]),
                Scenario::Stuck => ([200, 200], 2, ["IN_PROGRESS"; 5], vec![Some(16), Some(17)]),
                Scenario::EmptySegment => ([200, 200], 2, FINE, vec![Some(0)]),
                Scenario::QuotaExceeded => ([429, 429], 0, FINE, vec![]),
                // This takes longer than a poll waits. The next test covers it.
                Scenario::ManyFiles => continue,
            };
            let polls = if made == 0 { &[][..] } else { &polls };
            let expected = Seen {
                starts,
                made,
                polls: polls.iter().map(|&poll| poll.to_owned()).collect(),
                data,
            };
            assert_eq!(seen(scenario, format).await, expected, "{scenario} {format}");
        }
    }
}

#[tokio::test]
async fn many_files_have_a_row_each() {
    let bench = Bench::of(Scenario::ManyFiles);
    bench.created("CSV").await;
    bench.pass(6.0);
    bench.service.advance().await;
    let found: Vec<_> = bench
        .data()
        .iter()
        .map(|object| rows("CSV", &object.body).unwrap())
        .collect();
    assert_eq!(found, vec![1; MANY_FILES as usize]);
}

#[tokio::test]
async fn scenarios_answer_with_errors_of_the_model() {
    for (scenario, code) in [
        (Scenario::Denied, "AccessDeniedException"),
        (Scenario::NotFound, "ResourceNotFoundException"),
        (Scenario::StartThrottled, "ThrottlingException"),
        (Scenario::StartUnavailable, "InternalServerException"),
        (Scenario::LostAnswer, "InternalServerException"),
        (Scenario::QuotaExceeded, "ThrottlingException"),
    ] {
        let (_, error, body) = Bench::of(scenario).create(&order("CSV")).await;
        assert_eq!(error.as_deref(), Some(code), "{scenario}");
        assert!(body["Message"].as_str().is_some_and(|message| !message.is_empty()));
    }
    let bench = Bench::of(Scenario::ServiceFailed);
    let id = bench.created("CSV").await;
    bench.pass(6.0);
    let (_, _, body) = bench.get(&id).await;
    let message = body["StatusMessage"].as_str().unwrap();
    assert!((1..=1000).contains(&message.chars().count()));
}

#[tokio::test]
async fn only_a_lost_answer_cuts_the_connection() {
    for &scenario in Scenario::ALL {
        let bench = Bench::of(scenario);
        let body = Bytes::from(order("CSV").to_string());
        let request = Request::post(CREATE).body(body).unwrap();
        let response = bench.service.handle(request).await;
        let cut = response.extensions().get::<ConnectionCut>().is_some();
        assert_eq!(cut, scenario == Scenario::LostAnswer, "{scenario}");
    }
}

#[tokio::test]
async fn a_late_file_lands_while_the_caller_verifies_however_late_it_polled() {
    let bench = Bench::of(Scenario::LateFile);
    let id = bench.created("CSV").await;
    bench.pass(60.0);
    bench.service.advance().await;
    assert_eq!(bench.data().len(), 3);
    assert_eq!(bench.status(&id).await, "COMPLETED");
    bench.pass(0.9);
    bench.service.advance().await;
    assert_eq!(bench.data().len(), 3);
    bench.pass(0.1);
    bench.service.advance().await;
    assert_eq!(bench.data().len(), 4);
    let sum: usize = bench
        .data()
        .iter()
        .map(|object| rows("CSV", &object.body).unwrap())
        .sum();
    assert_eq!(sum, 50);
}

#[tokio::test]
async fn a_poll_does_not_wait_for_a_slow_write() {
    /// Writes a data file only when it gets a permit.
    struct SlowSink(tokio::sync::Semaphore);
    #[async_trait]
    impl Sink for SlowSink {
        async fn put(&self, _: &str, key: &str, _: Bytes, _: Option<&str>) -> anyhow::Result<()> {
            if !key.ends_with("test-file") {
                self.0.acquire().await?.forget();
            }
            Ok(())
        }
    }
    let sink = Arc::new(SlowSink(tokio::sync::Semaphore::new(0)));
    let bench = Bench::of(Scenario::Success);
    let clock = Arc::clone(&bench.clock) as Arc<dyn Clock>;
    let mut service = CustomerProfiles::new(Arc::clone(&sink) as Arc<dyn Sink>, clock, Settings::default());
    Arc::get_mut(&mut service.service).unwrap().patience = Duration::from_millis(20);
    let bench = Bench { service, ..bench };
    let id = bench.created("CSV").await;
    bench.pass(6.0);
    assert_eq!(bench.status(&id).await, "IN_PROGRESS");
    sink.0.add_permits(3);
    bench.service.advance().await;
    assert_eq!(bench.status(&id).await, "COMPLETED", "the write must have continued");
    assert_eq!(sink.0.available_permits(), 0);
}
