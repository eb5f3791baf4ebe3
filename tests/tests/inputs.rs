//! Gives thousands of spoiled events and jobs to the functions' own handlers, as the JSON texts that Lambda passes on.
//!
//! What must stay true: no input makes a function panic or fail with a name that is not ours, and no event is reported
//! as a defect of Landfall. The last step seals and announces everything that the first step refuses. The texts depend
//! on a fixed seed, so that a failure can be repeated; `LANDFALL_SPOILED=N` makes N of each kind. They are spoiled as
//! JSON and not as bytes, because EventBridge and Lambda accept only JSON.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context, Result};
use fastrand::Rng;
use landfall::{
    clock::Clock as _,
    error::{Error, ErrorKind},
    input::{Input, read_input},
    invocation::{Deployment, Invocation},
    job::{Job, Kind, Verdict},
    service::JobService,
    start::Received,
    store::ObjectStore,
};
use landfall_batch::{plan::plan, record::Status, summary::summarise};
use landfall_local::{
    account::LEDGER as DEPLOYED_LEDGER,
    deploy::Retries,
    simulated::{SimulatedService, pinpoint},
    world::{Options, World},
};
use landfall_output::{seal::Sealed, step::verify_step};
use landfall_tests::{
    clock::ManualClock,
    harness::{EXPORTS, Harness, LEDGER, config},
    in_process::Faults,
    memory_store::MemoryStore,
    patient,
};
use serde_json::{Value, json};

/// How many events of each kind are spoiled.
const EVENTS: usize = 2_000;

/// The largest input of a state.
const MOST_DATA: usize = 256 << 10;

/// A JSON text that can be spoiled.
#[derive(Clone)]
enum Node {
    Text(String),
    Array(Vec<Self>),
    /// Names are JSON texts, so that they can be spoiled, too.
    Object(Vec<(String, Self)>),
}

impl From<&Value> for Node {
    fn from(value: &Value) -> Self {
        match value {
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(members) => {
                let member = |(name, value): (&String, &Value)| (json!(name).to_string(), Self::from(value));
                Self::Object(members.iter().map(member).collect())
            }
            plain => Self::Text(plain.to_string()),
        }
    }
}

impl Node {
    fn write(&self, text: &mut String) {
        match self {
            Self::Text(plain) => text.push_str(plain),
            Self::Array(items) => {
                text.push('[');
                for (index, item) in items.iter().enumerate() {
                    text.push_str(if index > 0 { "," } else { "" });
                    item.write(text);
                }
                text.push(']');
            }
            Self::Object(members) => {
                text.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    text.push_str(if index > 0 { ", " } else { "" });
                    text.push_str(name);
                    text.push(':');
                    value.write(text);
                }
                text.push('}');
            }
        }
    }

    /// A random node at or below this one. Deeper nodes are likelier than their share.
    fn any(&mut self, rng: &mut Rng) -> &mut Self {
        let beneath = match self {
            Self::Text(_) => 0,
            Self::Array(items) => items.len(),
            Self::Object(members) => members.len(),
        };
        if beneath == 0 || rng.u8(..5) == 0 {
            return self;
        }
        let index = rng.usize(..beneath);
        match self {
            Self::Array(items) => items[index].any(rng),
            Self::Object(members) => members[index].1.any(rng),
            Self::Text(_) => self,
        }
    }

    fn spoil(&mut self, rng: &mut Rng) {
        let other = self.any(rng).clone();
        let node = self.any(rng);
        match (rng.u8(..10), node) {
            (0, node) => *node = other,
            (1 | 2, Self::Object(members)) if !members.is_empty() => {
                let index = rng.usize(..members.len());
                let value = if rng.bool() {
                    members[index].1.clone()
                } else {
                    nasty(rng)
                };
                members.insert(rng.usize(..=members.len()), (members[index].0.clone(), value));
            }
            (3 | 4, Self::Object(members)) if !members.is_empty() => {
                members.remove(rng.usize(..members.len()));
            }
            (5, Self::Object(members)) => {
                let Self::Text(name) = name(rng) else { return };
                members.insert(rng.usize(..=members.len()), (name, nasty(rng)));
            }
            (6, Self::Array(items)) if !items.is_empty() => {
                let item = items[rng.usize(..items.len())].clone();
                items.insert(0, item);
            }
            (_, node) => *node = nasty(rng),
        }
    }
}

fn name(rng: &mut Rng) -> Node {
    const NAMES: [&str; 9] = [
        "\"version\"",
        "\"Landfall\"",
        "\"\\u0069d\"",
        "\"\"",
        "\"x\\udc00\"",
        "\"a.b[0]\\\"\"",
        "\"IdempotencyKey\"",
        "\"é\\u0000\"",
        "\"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID\"",
    ];
    Node::Text(rng.choice(NAMES).unwrap_or_default().to_owned())
}

/// A value that is hard to handle.
fn nasty(rng: &mut Rng) -> Node {
    const VALUES: [&str; 32] = [
        "1e400",
        "-1e999",
        "1e-400",
        "18446744073709551616",
        "-0",
        "0",
        "-1",
        "1.5",
        "4294967295",
        "null",
        "true",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"x\\ud83d\\ude00y\\ud83d\"",
        "\"\\u0000\"",
        "\"\"",
        "\"../../x\"",
        "\"s3://landfall-exports/\"",
        "\"s3://landfall-exports/\\ud800/\"",
        "\"s3://elsewhere/x/\"",
        "\"%s%n{}\"",
        "\"+12345-01-01T00:00:00Z\"",
        "\"2026-02-30T00:00:00Z\"",
        "\"9999-12-31T23:59:60Z\"",
        "[]",
        "{}",
        "[[[]]]",
        "{\"a\":1,\"a\":2}",
        "{\"\\ud800\":{\"\\ud800\":1}}",
        "\"arn:aws:events:eu-central-1:111122223333:rule/x\"",
        "[\"arn:aws:scheduler:eu-central-1:111122223333:schedule/default/x\"]",
        "{\"IdempotencyKey\":\"a/b\"}",
    ];
    let text = match rng.u8(..40) {
        0 => "[".repeat(200) + &"]".repeat(200),
        1 => "{\"a\":".repeat(130) + "1" + &"}".repeat(130),
        2 => format!("\"{}\"", "x".repeat(3_000)),
        3 => format!("{{\"IdempotencyKey\":\"{}\"}}", "k".repeat(2_000)),
        4 => format!("\"{}\"", "\\ud800".repeat(50)),
        _ => rng.choice(VALUES).unwrap_or_default().to_owned(),
    };
    Node::Text(text)
}

/// Texts made from the sample events that have `words` in their names.
struct Spoiled {
    rng: Rng,
    samples: Vec<Node>,
}

impl Spoiled {
    fn new(words: &str) -> Result<Self> {
        let mut paths: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../events"))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        paths.retain(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            name.is_some_and(|name| name.ends_with(".json") && name.contains(words))
        });
        paths.sort();
        let read = |path| -> Result<Node> { Ok(Node::from(&serde_json::from_slice::<Value>(&fs::read(path)?)?)) };
        let samples = paths.into_iter().map(read).collect::<Result<Vec<_>>>()?;
        anyhow::ensure!(!samples.is_empty(), "found no samples with {words} in their names");
        Ok(Self {
            rng: Rng::with_seed(11),
            samples,
        })
    }

    fn next(&mut self) -> String {
        let mut node = self.samples[self.rng.usize(..self.samples.len())].clone();
        for _ in 0..self.rng.usize(1..=3) {
            node.spoil(&mut self.rng);
        }
        let mut text = String::new();
        node.write(&mut text);
        text
    }
}

fn how_many() -> usize {
    let set = std::env::var("LANDFALL_SPOILED").ok();
    set.and_then(|number| number.parse().ok()).unwrap_or(EVENTS)
}

/// The input of a first step, or of the last step with the error of the first.
fn handed_over(kind: &Kind, execution: &str, event: &str, error: Option<&Error>) -> Input {
    let error = error.map_or(String::new(), |error| {
        let cause = json!({"errorType": error.kind.name(), "errorMessage": error.message}).to_string();
        format!(r#", "error": {}"#, json!({"Error": error.kind.name(), "Cause": cause}))
    });
    let text = format!(r#"{{"kind": "{kind}", "execution": "{execution}", "event": {event}{error}}}"#);
    Input::read(text.as_bytes()).unwrap_or_else(|why| panic!("{text} is no JSON: {why}"))
}

/// Checks that the error is one of those for a refused event.
fn assert_refused(error: &Error, event: &str, input: &Input) {
    let is_the_events = matches!(
        error.kind,
        ErrorKind::InvalidEvent | ErrorKind::Forbidden | ErrorKind::NotFound | ErrorKind::JobFailed
    );
    assert!(is_the_events, "{event}\n{error}");
    assert!(error.message.len() < 32_000, "{event}\n{error}");
    if let Some(unreadable) = input.clone().unreadable_member("event") {
        assert_eq!(error.kind, ErrorKind::InvalidEvent, "{event}\n{error}");
        let is_listed =
            |path: &str| error.message.contains(&format!("  {path}: found ")) || error.message.contains("more");
        let is_named = unreadable
            .faults
            .iter()
            .any(|fault| is_listed(&fault.path) || fault.path.len() > 400);
        assert!(is_named, "{event}\n{error}\n{:?}", unreadable.faults);
    }
}

fn assert_sealed(sealed: &Sealed, event: &str, error: &Error, store: &MemoryStore) {
    let text = json!(sealed).to_string();
    assert!(text.len() < MOST_DATA, "{event}\n{} bytes", text.len());
    let outcome = sealed.outcome().unwrap_or_else(|| panic!("{event} has no outcome"));
    assert_eq!(outcome.verdict, Verdict::Failed, "{event}");
    assert_eq!(outcome.error.as_ref().unwrap().error, error.kind.name(), "{event}");
    assert!(
        store.body(&outcome.receipt.bucket, &outcome.receipt.key).is_some(),
        "{event}"
    );
}

/// Starts and seals spoiled events of a kind. Returns how many were started, refused, and refused as unreadable.
async fn events_of<S: JobService, M: SimulatedService + 'static>(
    harness: &Harness<S, M>,
    words: &str,
) -> Result<(usize, usize, usize)> {
    let mut spoiled = Spoiled::new(words)?;
    let (mut started, mut refused, mut unreadable) = (0, 0, 0);
    for number in 0..how_many() {
        let event = spoiled.next();
        let execution = format!("arn:aws:states:eu-central-1:111122223333:execution:x:{number}");
        let input = handed_over(&S::kind(), &execution, &event, None);
        let is_whole = input.faults.is_empty();
        let received = Received::read::<S>(input.clone(), &harness.invoke());
        assert_eq!(received.execution, execution, "{event}");
        match harness.start(&received).await {
            Ok(_) => {
                assert!(is_whole, "{event} was started");
                started += 1;
            }
            // The service runs as many jobs as it can.
            Err(error) if error.kind == ErrorKind::Busy => {
                assert!(is_whole, "{event} must not wait for a slot");
                started += 1;
            }
            Err(error) => {
                assert_refused(&error, &event, &input);
                refused += 1;
                unreadable += usize::from(!is_whole);
                let input = handed_over(&S::kind(), &execution, &event, Some(&error));
                let sealed = harness.seal(input).await;
                let sealed = sealed.unwrap_or_else(|failed| panic!("{event}\nmust be sealed: {failed}"));
                assert_sealed(&sealed, &event, &error, &harness.store);
            }
        }
    }
    Ok((started, refused, unreadable))
}

fn assert_mixed((started, refused, unreadable): (usize, usize, usize)) {
    assert!(
        started > 20 && refused > 500 && unreadable > 200,
        "{started} started, {refused} refused, {unreadable} of them unreadable"
    );
}

#[tokio::test]
async fn spoiled_events_of_segment_snapshots_are_refused_by_name_and_sealed() -> Result<()> {
    assert_mixed(events_of(&Harness::new(Default::default(), Faults::none())?, "segment-snapshot").await?);
    Ok(())
}

#[tokio::test]
async fn spoiled_events_of_endpoint_exports_are_refused_by_name_and_sealed() -> Result<()> {
    assert_mixed(
        events_of(
            &Harness::exports(Default::default(), Faults::none())?,
            "endpoint-export",
        )
        .await?,
    );
    Ok(())
}

#[tokio::test]
async fn spoiled_events_of_endpoint_imports_are_refused_by_name_and_sealed() -> Result<()> {
    let harness = Harness::imports(Default::default(), Faults::none())?;
    for (key, body) in pinpoint::samples(0, 10)? {
        harness.store.insert(EXPORTS, key, body);
    }
    assert_mixed(events_of(&harness, "endpoint-import").await?);
    Ok(())
}

#[tokio::test]
async fn spoiled_events_of_dashboard_snapshots_are_refused_by_name_and_sealed() -> Result<()> {
    assert_mixed(events_of(&Harness::dashboards(Default::default(), Faults::none())?, "dashboard").await?);
    Ok(())
}

/// A deployment with batches.
fn batches() -> Result<(Deployment, Arc<MemoryStore>, ManualClock)> {
    let clock = ManualClock::at("2026-11-01T05:00:02Z".parse()?);
    let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
    store.create_bucket(EXPORTS);
    store.create_bucket(LEDGER);
    let mut config = config()?;
    config.machines = [
        ("segment-snapshot", "arn:segments"),
        ("endpoint-export", "arn:endpoints"),
    ]
    .map(|(kind, machine)| (Kind::new(kind), machine.to_owned()))
    .into();
    let deployment = Deployment {
        config,
        store: Arc::clone(&store) as Arc<dyn ObjectStore>,
        clock: Arc::new(clock.clone()),
    };
    Ok((deployment, store, clock))
}

#[tokio::test]
async fn spoiled_batches_are_refused_by_name_and_summed_up() -> Result<()> {
    let (deployment, _, clock) = batches()?;
    let mut spoiled = Spoiled::new("batch")?;
    let (mut planned, mut refused) = (0, 0);
    for number in 0..how_many() {
        let invoke = |step: &str| Invocation {
            request_id: format!("request-{number}-{step}"),
            deadline: clock.now() + chrono::TimeDelta::minutes(15),
        };
        let event = spoiled.next();
        let kind = landfall_batch::event::kind();
        let execution = format!("arn:aws:states:eu-central-1:111122223333:execution:x:{number}");
        let input = handed_over(&kind, &execution, &event, None);
        let batch = match plan(&deployment, input, &invoke("plan")).await {
            Ok(batch) => batch,
            Err(error) => {
                let is_the_events = matches!(
                    error.kind,
                    ErrorKind::InvalidEvent | ErrorKind::Forbidden | ErrorKind::NotFound
                );
                assert!(is_the_events, "{event}\n{error}");
                refused += 1;
                let input = handed_over(&kind, &execution, &event, Some(&error));
                let batch = summarise(&deployment, input, &invoke("summary")).await;
                let batch = batch.unwrap_or_else(|failed| panic!("{event}\nmust be summed up: {failed}"));
                let outcome = batch.outcome.with_context(|| event.clone())?;
                assert_eq!(outcome.error.unwrap().error, error.kind.name(), "{event}");
                continue;
            }
        };
        planned += 1;
        let batch = summarise(&deployment, json!(batch), &invoke("summary")).await?;
        assert!(batch.outcome.is_some() || batch.status == Status::Running, "{event}");
    }
    assert!(planned > 50 && refused > 500, "{planned} {refused}");
    Ok(())
}

/// A request that cannot be read stops no other, whether in the event or in a list.
#[tokio::test]
async fn an_unreadable_request_stops_no_other() -> Result<()> {
    let (deployment, store, clock) = batches()?;
    let requests = [
        r#"{"Kind": "segment-snapshot", "Detail": {"SegmentDefinitionName": "a"}}"#,
        r#"{"Kind": "segment-snapshot", "Detail": {"SegmentDefinitionName": "b\ud800"}}"#,
        r#"{"Kind": "segment-snapshot", "Kind": "endpoint-export", "Detail": {}}"#,
        r#"{"Kind": "segment-snapshot", "Detail": {"n": 1e999}}"#,
    ];
    store.insert(EXPORTS, "lists/requests.jsonl", requests.join("\n"));
    let event = |id: &str, detail: &str| {
        format!(
            r#"{{"id": "{id}", "detail-type": "Export Batch Requested", "source": "test", "time": "2026-11-01T05:00:00Z",
                "detail": {{{detail}}}}}"#
        )
    };
    let inline = event("1", &format!("\"Requests\": [{}]", requests.join(",")));
    let listed = event("2", "\"RequestsUri\": \"s3://landfall-exports/lists/requests.jsonl\"");
    for (number, event) in [inline, listed].into_iter().enumerate() {
        let invocation = Invocation {
            request_id: format!("request-{number}"),
            deadline: clock.now() + chrono::TimeDelta::minutes(15),
        };
        let input = handed_over(&landfall_batch::event::kind(), "arn:x", &event, None);
        let batch = plan(&deployment, input, &invocation).await?;
        assert_eq!((batch.requests, batch.accepted), (4, 1));
        let keys = store.keys(LEDGER);
        let list = keys
            .iter()
            .rfind(|key| key.ends_with("requests.jsonl") && key.contains(&batch.batch_key))
            .context("no list")?;
        let body = store.body(LEDGER, list).context("no list")?;
        let lines: Vec<Value> = body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(serde_json::from_slice)
            .collect::<Result<_, _>>()?;
        let cause = |index: usize| lines[index]["error"]["Cause"].as_str().unwrap_or_default();
        let place = |index: usize| match number {
            0 => format!("$.detail.Requests[{index}]"),
            _ => format!("line {}: $", index + 1),
        };
        for (index, why) in [
            (
                1,
                ".Detail.SegmentDefinitionName: found a text with half a surrogate pair",
            ),
            (2, ".Kind: found a member that stands there more than once"),
            (3, ".Detail.n: found a number that is too large"),
        ] {
            assert!(
                cause(index).starts_with(&format!("{}{why}", place(index))),
                "{:?}",
                lines[index]
            );
        }
    }
    // A fault outside of the requests refuses the whole batch.
    let event = event(
        "3",
        &format!("\"Requests\": [{}], \"x\": 1e999, \"Requests\": []", requests[0]),
    );
    let input = handed_over(&landfall_batch::event::kind(), "arn:x", &event, None);
    let invocation = Invocation {
        request_id: "request".to_owned(),
        deadline: clock.now() + chrono::TimeDelta::minutes(15),
    };
    let message = plan(&deployment, input, &invocation).await.unwrap_err().message;
    for why in [
        "$.detail.x: found a number",
        "$.detail.Requests: found a member that stands",
    ] {
        assert!(message.contains(why), "{message}");
    }
    Ok(())
}

/// Runs Poll, Verify and Seal with a spoiled job.
#[tokio::test]
async fn spoiled_jobs_are_refused_by_name() -> Result<()> {
    let harness = Harness::new(Default::default(), Faults::none())?;
    let event: Value = serde_json::from_str(include_str!("../../events/segment-snapshot.json"))?;
    let job = harness.start(&<Harness>::received("one", &event)).await?;
    let mut spoiled = Spoiled {
        rng: Rng::with_seed(12),
        samples: vec![Node::from(&json!(job))],
    };
    let deployment = Deployment {
        config: config()?,
        store: Arc::clone(&harness.store) as Arc<dyn ObjectStore>,
        clock: Arc::new(harness.clock.clone()),
    };
    let (mut read, mut refused) = (0, 0);
    for _ in 0..how_many() {
        let text = spoiled.next();
        let input = Input::read(text.as_bytes())?;
        match read_input::<Job>(input.clone()) {
            Ok(job) => {
                // It may fail, but only with a name of ours.
                let _ = harness.poll(job).await;
                read += 1;
            }
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Internal);
                refused += 1;
            }
        }
        let _ = verify_step(&deployment, input, &harness.invoke()).await;
    }
    assert!(read > 100 && refused > 500, "{read} {refused}");
    Ok(())
}

/// Seals a job that another version wrote, or that is spoiled.
#[tokio::test]
async fn a_job_that_cannot_be_read_is_sealed() -> Result<()> {
    let harness = Harness::new(Default::default(), Faults::none())?;
    let event: Value = serde_json::from_str(include_str!("../../events/segment-snapshot.json"))?;
    let job = harness.start(&<Harness>::received("one", &event)).await?;
    let text = json!(job).to_string().replace("\"attempt\":1", "\"attempt\":1e999");
    assert_ne!(text, json!(job).to_string());
    for _ in 0..2 {
        let sealed = harness.seal(Input::read(text.as_bytes())?).await?;
        let outcome = sealed.outcome().context("no outcome")?;
        assert!(outcome.announce);
        assert_eq!(outcome.error.as_ref().unwrap().error, "Landfall.Internal");
        assert!(
            outcome.receipt.key.ends_with(&format!("{}.json", job.job_key)),
            "{}",
            outcome.receipt
        );
    }
    // It does not close the job of another execution.
    let other = harness
        .start(&<Harness>::received(
            "two",
            &json!({
                "id": "other", "detail-type": event["detail-type"], "source": event["source"], "time": event["time"],
                "detail": event["detail"],
            }),
        ))
        .await?;
    let foreign = json!(other)
        .to_string()
        .replace("\"attempt\":1", "\"attempt\":\"x\"")
        .replace(":two\"", ":three\"");
    let sealed = harness.seal(Input::read(foreign.as_bytes())?).await?;
    assert!(
        sealed
            .outcome()
            .context("no outcome")?
            .receipt
            .key
            .contains("rejected-")
    );
    Ok(())
}

/// A cause that Step Functions cut within a surrogate pair does not keep a job from being sealed.
#[tokio::test]
async fn a_job_is_sealed_even_if_its_cause_was_cut_within_a_character() -> Result<()> {
    let harness = Harness::new(Default::default(), Faults::none())?;
    let event = include_str!("../../events/segment-snapshot.json");
    let text = format!(
        r#"{{"kind": "segment-snapshot", "execution": "arn:x", "event": {event},
            "error": {{"Error": "Landfall.NotFound", "Cause": "no such \ud83d"}}}}"#
    );
    let sealed = harness.seal(Input::read(text.as_bytes())?).await?;
    let outcome = sealed.outcome().context("no outcome")?;
    assert_eq!(outcome.error.as_ref().unwrap().error, "Landfall.NotFound");
    assert!(
        !outcome.receipt.key.contains("rejected-"),
        "it must be the job's own outcome"
    );
    // A poll may get such a cause, too.
    let job = harness.start(&<Harness>::received("two", &json!({
        "id": "other", "detail-type": "Segment Snapshot Requested", "source": "test", "time": "2026-11-01T05:00:00Z",
        "detail": serde_json::from_str::<Value>(event)?["detail"],
    }))).await?;
    let text = json!(job).to_string();
    let text = format!(
        r#"{}, "error": {{"Error": "x", "Cause": "\ud83d"}}}}"#,
        text.strip_suffix('}').context("a job")?
    );
    assert_eq!(read_input::<Job>(Input::read(text.as_bytes())?)?.job_key, job.job_key);
    Ok(())
}

/// Programs read a repeated member differently, so nothing is closed for such an event.
#[tokio::test]
async fn a_cancel_that_names_two_jobs_closes_none() -> Result<()> {
    let harness = Harness::new(Default::default(), Faults::none())?;
    let event = serde_json::from_str(include_str!("../../events/segment-snapshot.json"))?;
    let job = harness.start(&<Harness>::received("one", &event)).await?;
    let cancel = format!(r#"{{"cancel": {{"job_key": "other", "job_key": "{}"}}}}"#, job.job_key);
    let sealed = harness
        .seal(handed_over(&job.kind, "arn:cancel", &cancel, None))
        .await?;
    let outcome = sealed.outcome().context("no outcome")?;
    let error = outcome.error.as_ref().context("no error")?;
    assert_eq!(error.error, "Landfall.InvalidEvent", "{error:?}");
    assert!(outcome.receipt.key.contains("/rejected-"), "{}", outcome.receipt);
    Ok(())
}

/// Two deliveries of one unreadable event are announced once, and another unreadable event by itself.
#[tokio::test]
async fn an_unreadable_event_is_announced_once() -> Result<()> {
    let harness = Harness::new(Default::default(), Faults::none())?;
    let deliver = async |execution: &str, event: &str| -> Result<(bool, String)> {
        let received = Received::read::<landfall_customer_profiles::SegmentSnapshots>(
            handed_over(&Kind::new("segment-snapshot"), execution, event, None),
            &harness.invoke(),
        );
        let error = harness.start(&received).await.unwrap_err();
        let input = handed_over(&Kind::new("segment-snapshot"), execution, event, Some(&error));
        let sealed = harness.seal(input).await?;
        let outcome = sealed.outcome().context("no outcome")?;
        Ok((outcome.announce, outcome.receipt.to_string()))
    };
    let event = include_str!("../../events/segment-snapshot.json");
    let spoiled = |value: &str| event.replacen('{', &format!("{{\"version\": {value}, "), 1);
    let (announced, first) = deliver("arn:1", &spoiled("1e400")).await?;
    assert!(announced);
    assert_eq!(deliver("arn:2", &spoiled("1e400")).await?, (false, first.clone()));
    let (announced, other) = deliver("arn:3", &spoiled("1e401")).await?;
    assert!(announced);
    assert_ne!(first, other);
    // The function is invoked directly with the bare event.
    let invocation = harness.invoke();
    let received = Received::read::<landfall_customer_profiles::SegmentSnapshots>(
        Input::read(spoiled("1e400").as_bytes())?,
        &invocation,
    );
    let message = harness.start(&received).await.unwrap_err().message;
    assert!(message.contains("$.version: found a number"), "{message}");
    Ok(())
}

/// Runs such events through the deployed definition, its interpreter and the functions' own binaries. The interpreter
/// is written in Python and cannot pass on numbers beyond a float or repeated members, as Step Functions may.
#[tokio::test(flavor = "multi_thread")]
async fn unreadable_events_end_sealed_and_announced_on_the_interpreter() -> Result<()> {
    let mut options = Options::for_kind("segment-snapshot")?;
    options.retries = Retries::Short;
    patient(&mut options);
    let world = World::start(options).await?;
    let event = include_str!("../../events/segment-snapshot.json");
    let deep = "[".repeat(200) + &"]".repeat(200);
    for (number, (value, why)) in [
        ("\"\\ud800\"", "$.unknown: found a text with half a surrogate pair"),
        (deep.as_str(), ": found a value below 64 levels"),
    ]
    .into_iter()
    .enumerate()
    {
        let event = event.replacen('{', &format!("{{\"unknown\": {value}, "), 1);
        let execution = world.deliver_text("segment-snapshot", &event).await?;
        let finished = world.wait(&execution).await?;
        assert_eq!(
            finished.error.as_deref(),
            Some("Landfall.InvalidEvent"),
            "{finished:#?}"
        );
        assert!(
            finished.cause.as_ref().is_some_and(|cause| cause.contains(why)),
            "{finished:#?}"
        );
        assert_eq!(world.list(DEPLOYED_LEDGER, "receipts/").await?.len(), number + 1);
        assert_eq!(world.announcements().await?.len(), 1);
    }
    Ok(())
}
