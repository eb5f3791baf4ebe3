//! Runs the plan and summary of batches in one process over a ledger in memory, writes the jobs' outcomes as the seal
//! does, and checks the definition against the code.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use landfall::{
    clock::Clock as _,
    config::Config,
    error::{Error, ErrorKind},
    invocation::{Deployment, Invocation},
    job::{Kind, ReportPointer, TaskError, Verdict},
    ledger::{Entry, Ledger, Outcome, SCHEMA, encode},
    start::Received,
    store::{ObjectStore, layer::Layered},
    trigger::{identify, rejected_trigger},
};
use landfall_batch::{
    limits::{MAX_REQUESTS, MAX_ROUNDS},
    plan::plan,
    record::{Batch, Became, Item, Outturn, Status, Summary, record_key, summary_key},
    summary::summarise,
};
use landfall_tests::{
    clock::ManualClock,
    harness::{EXPORTS, LEDGER},
    in_process::{Faults, Harm, Losing, Moment},
    memory_store::{MemoryStore, Op},
};
use serde_json::{Value, json};

const LIST: &str = "s3://landfall-exports/lists/requests.jsonl";

/// How a job ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Succeeded,
    Failed,
    /// Someone cancels it.
    Cancelled,
    /// Its start function refuses the event.
    Rejected,
    /// Its execution stops without sealing it.
    Never,
}

struct Case {
    store: Arc<MemoryStore>,
    clock: ManualClock,
    faults: Arc<Faults>,
    deployment: Deployment,
    invocations: AtomicUsize,
}

fn config() -> Result<Config, Error> {
    Config::read(|name| {
        let value = match name {
            "LANDFALL_LEDGER_BUCKET" => LEDGER,
            "LANDFALL_ALLOWED_DESTINATIONS" => "s3://landfall-exports/",
            "LANDFALL_MACHINES" => "segment-snapshot=arn:segments endpoint-export=arn:endpoints",
            "LANDFALL_BATCH_CONCURRENCY" => "40",
            _ => return None,
        };
        Some(value.to_owned())
    })
}

impl Case {
    fn new(faults: Arc<Faults>) -> Result<Self> {
        let clock = ManualClock::at("2026-11-01T05:00:02Z".parse()?);
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        store.create_bucket(EXPORTS);
        store.create_bucket(LEDGER);
        let faulty = Layered::new(Arc::clone(&store) as Arc<dyn ObjectStore>, Losing(Arc::clone(&faults)));
        Ok(Self {
            deployment: Deployment {
                config: config()?,
                store: Arc::new(faulty),
                clock: Arc::new(clock.clone()),
            },
            store,
            clock,
            faults,
            invocations: AtomicUsize::new(0),
        })
    }

    fn invoke(&self) -> Invocation {
        Invocation {
            request_id: format!("request-{}", self.invocations.fetch_add(1, Ordering::SeqCst)),
            deadline: self.clock.now() + TimeDelta::minutes(15),
        }
    }

    async fn plan(&self, execution: &str, event: &Value) -> Result<Batch, Error> {
        plan(&self.deployment, json!(received(execution, event)), &self.invoke()).await
    }

    async fn summarise(&self, input: Value) -> Result<Batch, Error> {
        summarise(&self.deployment, input, &self.invoke()).await
    }

    /// Runs an execution as the definition does. `end` says how the job of each request ends.
    async fn run(&self, execution: &str, event: &Value, end: impl Fn(u64) -> End) -> Result<Batch> {
        let mut batch = match self.retried(|| self.plan(execution, event)).await {
            Ok(batch) => batch,
            Err(error) => {
                let mut received = received(execution, event);
                received.error = Some(error.into());
                self.retried(|| self.summarise(json!(received))).await?
            }
        };
        for _ in 0..=MAX_ROUNDS {
            if batch.status == Status::Running {
                self.run_items(&batch, &end).await?;
            }
            if batch.outcome.is_some() {
                return Ok(batch);
            }
            batch = self.retried(|| self.summarise(json!(batch))).await?;
            self.clock.advance(Duration::from_secs(batch.wait_seconds));
        }
        anyhow::ensure!(batch.outcome.is_some(), "the batch never ended: {batch:?}");
        Ok(batch)
    }

    fn items(&self, batch: &Batch) -> Result<Vec<Item>> {
        let place = batch.items.as_ref().context("no items")?;
        let body = self.store.body(&place.bucket, &place.key).context("no list of items")?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Does the work of the map, without faults.
    async fn run_items(&self, batch: &Batch, end: impl Fn(u64) -> End) -> Result<()> {
        for item in self.items(batch)? {
            let event: Value = serde_json::from_str(item.event.get())?;
            let kind = Kind::of_detail_type(event["detail-type"].as_str().context("no detail-type")?);
            self.seal(&kind.context("no kind")?, &event, end(item.index)).await?;
        }
        Ok(())
    }

    /// Writes the outcome of a job, once, as the seal does.
    async fn seal(&self, kind: &Kind, event: &Value, end: End) -> Result<()> {
        let (trigger, error) = match end {
            End::Never => return Ok(()),
            End::Succeeded => (identify(kind, event)?, None),
            End::Failed => (identify(kind, event)?, Some(ErrorKind::JobFailed)),
            End::Cancelled => (identify(kind, event)?, Some(ErrorKind::Cancelled)),
            End::Rejected => (
                rejected_trigger(kind, event, self.clock.now())?,
                Some(ErrorKind::InvalidEvent),
            ),
        };
        let report = ReportPointer {
            key: "reports/x".to_owned(),
            sha256: String::new(),
            verdict: "passed".to_owned(),
            objects: 2,
            rows: 10,
            bytes: 100,
        };
        let entry = Entry {
            schema: SCHEMA.to_owned(),
            kind: kind.clone(),
            name: None,
            request: Value::Null,
            format: None,
            source: None,
            created_at: self.clock.now(),
            deadline_at: self.clock.now(),
            attempts: Vec::new(),
            takes_slot: false,
            skips_manifest: false,
            picks_up: None,
            picked_up_by: Vec::new(),
            orphans: Vec::new(),
            cancel: None,
            outcome: Some(Outcome {
                verdict: error.map_or(Verdict::Succeeded, |_| Verdict::Failed),
                error: error.map(|kind| Error::new(kind, "the test says so").into()),
                receipt: format!("s3://{LEDGER}/receipts/{}.json", trigger.job_key).parse()?,
                sealed_by: "arn:job".to_owned(),
                sealed_at: self.clock.now(),
                attempt: (end != End::Rejected).then_some(1),
                polls: 1,
                ended_at: None,
                service_status: None,
                service_message: None,
                counts: None,
                failures: Vec::new(),
                missed_polls: None,
                report: error.is_none().then_some(report),
                landfall: "0".to_owned(),
            }),
            written_by: String::new(),
            trigger,
        };
        let key = Ledger::entry_key(kind, &entry.trigger.job_key);
        if self.store.body(LEDGER, &key).is_none() {
            self.store.insert(LEDGER, &key, encode(&entry)?);
        }
        Ok(())
    }

    /// Retries a step after a transient error or a crash, as the definition does.
    async fn retried<T, F: Future<Output = Result<T, Error>>>(&self, step: impl Fn() -> F) -> Result<T, Error> {
        for _ in 0..4 {
            self.faults.revive();
            let result = step().await;
            let died = self.faults.revive();
            match result {
                Ok(value) if !died => return Ok(value),
                Err(error) if !died && !error.kind.is_transient() => return Err(error),
                _ => self.clock.advance(Duration::from_secs(30)),
            }
        }
        step().await
    }

    fn summary(&self, batch: &Batch) -> Result<Summary> {
        let body = self.store.body(LEDGER, &summary_key(&batch.batch_key));
        Ok(serde_json::from_slice(&body.context("no summary")?)?)
    }

    fn results(&self, summary: &Summary) -> Result<Vec<Outturn>> {
        let list = summary.results.as_ref().context("no results")?;
        let body = self.store.body(LEDGER, &list.key).context("no list of results")?;
        assert_eq!(body.len() as u64, list.bytes);
        let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines.map(serde_json::from_slice).collect::<Result<_, _>>()?)
    }
}

fn received(execution: &str, event: &Value) -> Received {
    Received {
        kind: landfall_batch::event::kind(),
        execution: format!("arn:aws:states:eu-central-1:111122223333:execution:batch:{execution}"),
        event: event.clone(),
        error: None,
        unreadable: None,
    }
}

fn event(detail: &Value) -> Value {
    json!({
        "version": "0", "id": "e-1", "detail-type": "Export Batch Requested", "source": "test",
        "account": "111122223333", "time": "2026-11-01T05:00:00Z", "region": "eu-central-1", "resources": [],
        "detail": detail,
    })
}

fn request(segment: &str) -> Value {
    json!({"Kind": "segment-snapshot", "Detail": {"SegmentDefinitionName": segment}})
}

/// Six requests: the plan rejects two, a start function rejects one, and one fails.
fn six() -> Value {
    event(&json!({"Requests": [
        request("a"), request("a"), request("rejected"), {"Kind": "moon-landing", "Detail": {}}, request("failed"),
        {"Kind": "segment-snapshot", "Details": {}},
    ]}))
}

fn end_of_six(index: u64) -> End {
    match index {
        2 => End::Rejected,
        4 => End::Failed,
        _ => End::Succeeded,
    }
}

#[tokio::test]
async fn ten_thousand_requests_are_planned_and_summed_up() -> Result<()> {
    let case = Case::new(Faults::none())?;
    let lines: String = (0..MAX_REQUESTS)
        .map(|index| match index % 1_000 {
            7 => "{\"Kind\": \"segment-snapshot\", \"Detail\": \n".to_owned(),
            8 => format!("{}\n", json!({"Kind": "moon-landing", "Detail": {}})),
            _ => format!("{}\n", request(&format!("segment-{}", index % 50))),
        })
        .collect();
    case.store.insert(EXPORTS, "lists/requests.jsonl", lines);
    let event = event(&json!({"RequestsUri": LIST, "Landfall": {"Name": "all", "MaxConcurrency": 100}}));

    let batch = case.plan("one", &event).await?;
    assert_eq!((batch.requests, batch.accepted, batch.round), (10_000, 9_980, 1));
    assert_eq!(batch.status, Status::Running);
    assert_eq!(batch.concurrency, 40, "no more children than the deployment allows");
    assert!(
        serde_json::to_vec(&batch)?.len() < 4_000,
        "the batch must stay small in the machine"
    );
    let items = case.items(&batch)?;
    assert_eq!(items.len(), 9_980);
    let mut keys = BTreeMap::new();
    for item in &items {
        let event: Value = serde_json::from_str(item.event.get())?;
        let trigger = identify(&Kind::new("segment-snapshot"), &event)?;
        assert_eq!(item.machine, "arn:segments");
        assert_eq!(event["id"], format!("{}/{}", batch.batch_key, item.index));
        assert_eq!(event["time"], "2026-11-01T05:00:00Z");
        keys.insert(trigger.job_key, item.index);
    }
    assert_eq!(keys.len(), 9_980, "every request must have a job of its own");

    let calls = case.store.calls().len();
    let end = |index| {
        if index % 1_000 == 9 {
            End::Failed
        } else {
            End::Succeeded
        }
    };
    case.run_items(&batch, end).await?;
    let sealed = case.summarise(json!(batch)).await?;
    assert!(
        case.store.calls().len() - calls < 9_980 + 20,
        "the summary must read each job once, and little else"
    );
    let outcome = sealed.outcome.clone().context("no outcome")?;
    assert!(outcome.announce);
    assert_eq!(outcome.error.context("no error")?.error, "Landfall.BatchFailed");
    let summary = case.summary(&sealed)?;
    let counts = summary.counts;
    assert_eq!(
        (
            counts.requests,
            counts.succeeded,
            counts.failed,
            counts.rejected,
            counts.unknown
        ),
        (10_000, 9_970, 10, 20, 0)
    );
    assert_eq!((summary.rows, summary.objects), (99_700, 19_940));
    assert_eq!(summary.unsuccessful.len(), 20);
    assert_eq!(summary.source.as_ref().context("no source")?.uri.to_string(), LIST);
    let results = case.results(&summary)?;
    assert_eq!(results.len(), 10_000);
    assert!(results.iter().zip(0..).all(|(result, index)| result.index == index));
    let of = |index: usize| {
        results[index]
            .error
            .clone()
            .map(|error| error.cause)
            .unwrap_or_default()
    };
    assert!(of(7).starts_with("line 8: $: it is no JSON"), "{}", of(7));
    assert_eq!(
        of(8),
        "line 9: $.Kind: found \"moon-landing\"; must be a kind that this deployment runs: endpoint-export, \
         segment-snapshot"
    );
    Ok(())
}

/// The content of a summary without its times and its writer.
fn essence(summary: Summary) -> Summary {
    Summary {
        sealed_at: DateTime::<Utc>::UNIX_EPOCH,
        planned_at: DateTime::<Utc>::UNIX_EPOCH,
        results: None,
        error: summary.error.map(|error| TaskError {
            cause: error.cause.split(" The results").next().unwrap_or_default().to_owned(),
            ..error
        }),
        ..summary
    }
}

#[tokio::test]
async fn a_lost_call_changes_nothing() -> Result<()> {
    let quiet = Case::new(Faults::none())?;
    let batch = quiet.run("one", &six(), end_of_six).await?;
    let calls = quiet.faults.calls();
    let expected = essence(quiet.summary(&batch)?);
    assert_eq!(expected.counts.succeeded, 2);
    assert_eq!((expected.counts.failed, expected.counts.rejected), (1, 3));
    assert!(calls > 10, "{calls} calls");
    for call in 0..calls {
        for moment in [Moment::Before, Moment::After] {
            for harm in [Harm::Lose, Harm::Die] {
                let place = format!("call {call} of {calls}, {moment:?}, {harm:?}");
                let case = Case::new(Faults::at(call, moment, harm))?;
                let batch = case.run("one", &six(), end_of_six).await.context(place.clone())?;
                assert!(
                    batch.outcome.as_ref().is_some_and(|outcome| outcome.announce),
                    "{place}"
                );
                assert_eq!(essence(case.summary(&batch)?), expected, "{place}");
                let written = case.store.versions(LEDGER, &summary_key(&batch.batch_key));
                assert_eq!(written, 1, "{place}");
                assert_eq!(case.store.versions(LEDGER, &record_key(&batch.batch_key)), 1, "{place}");
                assert_eq!(case.store.uploads_open(), 0, "{place}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn deliveries_share_one_plan_and_one_summary() -> Result<()> {
    let case = Case::new(Faults::none())?;
    let mut again = six();
    // A rule may fire twice for one planned time, with two event ids.
    again["resources"] = json!(["arn:aws:events:eu-central-1:111122223333:rule/nightly"]);
    let mut other = again.clone();
    other["id"] = json!("e-2");
    let (one, two) = tokio::join!(case.run("one", &again, end_of_six), case.run("two", &other, end_of_six));
    let (one, two) = (one?, two?);
    assert_eq!(one.batch_key, two.batch_key);
    let (first, second) = (one.outcome.context("none")?, two.outcome.context("none")?);
    assert_ne!(
        first.announce, second.announce,
        "exactly one execution must announce it"
    );
    assert_eq!(first.sealed_by, second.sealed_by);
    let later = case.run("three", &again, |_| End::Never).await?;
    let outcome = later.outcome.context("none")?;
    assert_eq!((outcome.announce, outcome.sealed_by), (false, first.sealed_by));
    assert_eq!(case.store.versions(LEDGER, &summary_key(&later.batch_key)), 1);

    // A rerun is a new batch of new jobs.
    again["detail"]["Landfall"] = json!({"Rerun": 1});
    let rerun = case.run("four", &again, end_of_six).await?;
    assert_ne!(rerun.batch_key, later.batch_key);
    assert!(rerun.outcome.context("none")?.announce);
    Ok(())
}

/// A cancelled job has an outcome, so it does not run again.
#[tokio::test]
async fn a_request_that_is_cancelled_counts_as_failed() -> Result<()> {
    let case = Case::new(Faults::none())?;
    let event = event(&json!({"Requests": [request("a"), request("b")]}));
    let end = |index| if index == 1 { End::Cancelled } else { End::Succeeded };
    let batch = case.run("one", &event, end).await?;
    let summary = case.summary(&batch)?;
    assert_eq!(
        (summary.counts.succeeded, summary.counts.failed, summary.rounds),
        (1, 1, 1)
    );
    let error = summary.unsuccessful[0].error.as_ref().context("no error")?;
    assert_eq!(error.error, ErrorKind::Cancelled.name());
    Ok(())
}

#[tokio::test]
async fn a_request_without_an_outcome_runs_again_and_then_counts_as_unknown() -> Result<()> {
    let case = Case::new(Faults::none())?;
    let event = event(&json!({"Requests": [request("a"), request("b"), request("c")]}));
    let planned = case.plan("one", &event).await?;
    let end = |index| if index == 1 { End::Never } else { End::Succeeded };
    case.run_items(&planned, end).await?;
    let mut batch = case.summarise(json!(planned)).await?;
    assert_eq!((batch.status, batch.round), (Status::Running, 2));
    assert!(batch.wait_seconds > 0 && batch.outcome.is_none());
    let again: Vec<u64> = case.items(&batch)?.iter().map(|item| item.index).collect();
    assert_eq!(again, [1]);
    let first: Value = serde_json::from_str(case.items(&planned)?[1].event.get())?;
    let second: Value = serde_json::from_str(case.items(&batch)?[0].event.get())?;
    assert_eq!(first, second, "it must be the same job");

    // The outcome comes late.
    let other = Case::new(Faults::none())?;
    let ended = other.run("one", &event, |_| End::Succeeded).await?;
    assert_eq!(ended.outcome.context("none")?.verdict, Verdict::Succeeded);

    while batch.outcome.is_none() {
        assert!(batch.round <= MAX_ROUNDS);
        batch.error = Some(TaskError {
            error: "States.ItemReaderFailed".to_owned(),
            cause: "denied".to_owned(),
        });
        batch = case.summarise(json!(batch)).await?;
    }
    let summary = case.summary(&batch)?;
    assert_eq!((summary.counts.succeeded, summary.counts.unknown), (2, 1));
    assert_eq!(summary.rounds, MAX_ROUNDS);
    let cause = &summary.unsuccessful[0].error.as_ref().context("no error")?.cause;
    assert!(cause.contains("States.ItemReaderFailed: denied"), "{cause}");
    Ok(())
}

#[tokio::test]
async fn requests_of_a_batch_may_have_idempotency_keys() -> Result<()> {
    let keyed = |segment: &str, key: &str| {
        let mut request = request(segment);
        request["Detail"]["Landfall"] = json!({"IdempotencyKey": key, "Name": format!("of {key}")});
        request
    };
    let case = Case::new(Faults::none())?;
    let event = event(&json!({"Requests": [keyed("a", "k"), keyed("a", "k"), keyed("b", "k"), keyed("b", "l")]}));
    let batch = case.run("one", &event, |_| End::Succeeded).await?;
    let results = case.results(&case.summary(&batch)?)?;
    let became: Vec<Became> = results.iter().map(|result| result.became).collect();
    assert_eq!(
        became,
        [
            Became::Succeeded,
            Became::Succeeded,
            Became::Rejected,
            Became::Succeeded
        ]
    );
    assert_eq!(results[0].job_key, results[1].job_key, "they must be one job");
    assert_ne!(results[0].job_key, results[3].job_key);
    assert_eq!(results[3].name.as_deref(), Some("of l"));
    let cause = &results[2].error.as_ref().context("no error")?.cause;
    assert!(
        cause.starts_with("$.detail.Requests[2].Detail.Landfall.IdempotencyKey"),
        "{cause}"
    );

    // Another batch uses the same idempotency key for another request. It does not take over the first job's outcome.
    let mut other = event.clone();
    other["id"] = json!("e-2");
    other["detail"]["Requests"] = json!([keyed("c", "k")]);
    let batch = case.run("two", &other, |_| End::Rejected).await?;
    assert_eq!(case.results(&case.summary(&batch)?)?[0].became, Became::Rejected);
    Ok(())
}

#[tokio::test]
async fn a_batch_that_cannot_be_planned_gets_a_summary_too() -> Result<()> {
    let sealed = async |case: &Case, execution: &str, event: &Value| -> Result<(Batch, Summary)> {
        let batch = case.run(execution, event, |_| End::Succeeded).await?;
        let summary = case.summary(&batch)?;
        assert_eq!(summary.verdict, Verdict::Failed);
        assert_eq!(summary.counts.requests, 0);
        let outcome = batch.outcome.as_ref().context("no outcome")?;
        assert!(outcome.announce);
        assert_eq!(
            batch.announcement.as_ref().context("nothing to announce")?.detail_type,
            "Export Batch Completed"
        );
        Ok((batch, summary))
    };
    let case = Case::new(Faults::none())?;
    for (name, detail, error) in [
        ("nothing", json!({}), "Landfall.InvalidEvent"),
        ("absent", json!({"RequestsUri": LIST}), "Landfall.NotFound"),
        (
            "elsewhere",
            json!({"RequestsUri": "s3://other/list"}),
            "Landfall.Forbidden",
        ),
    ] {
        let (batch, summary) = sealed(&case, name, &event(&detail)).await?;
        assert_eq!(summary.error.context("no error")?.error, error, "{name}");
        // An event that fails validation leaves its idempotency key to the corrected event.
        assert_eq!(
            batch.batch_key.starts_with("rejected-"),
            error == "Landfall.InvalidEvent"
        );
    }

    // Another batch with the same idempotency key, and an allow list that was narrowed meanwhile, do not close the
    // running batch.
    let mut running = event(&json!({"RequestsUri": LIST, "Landfall": {"IdempotencyKey": "nightly"}}));
    case.store
        .insert(EXPORTS, "lists/requests.jsonl", format!("{}\n", request("a")));
    let planned = case.plan("four", &running).await?;
    let mut received = received("five", &running);
    received.error = Some(Error::new(ErrorKind::Forbidden, "no longer").into());
    let failed = case.summarise(json!(received)).await?;
    assert!(failed.batch_key.starts_with("rejected-"));
    running["detail"]["RequestsUri"] = json!(format!("{LIST}2"));
    let (taken, summary) = sealed(&case, "six", &running).await?;
    assert!(taken.batch_key.starts_with("rejected-"));
    assert!(summary.error.context("no error")?.cause.contains("use another key"));
    case.run_items(&planned, |_| End::Succeeded).await?;
    let batch = case.summarise(json!(planned)).await?;
    assert_eq!(batch.outcome.context("no outcome")?.verdict, Verdict::Succeeded);
    Ok(())
}

/// A plan whose answer was lost is used. If none of its requests is valid, the batch is summed up at once, because the
/// definition does not plan a second time.
#[tokio::test]
async fn a_plan_whose_answer_was_lost_is_used() -> Result<()> {
    for (requests, status) in [
        (json!([request("a")]), Status::Running),
        (json!([{"Kind": "moon-landing", "Detail": {}}]), Status::Sealed),
    ] {
        let case = Case::new(Faults::none())?;
        let event = event(&json!({"Requests": requests}));
        case.plan("one", &event).await?;
        let mut received = received("one", &event);
        received.error = Some(Error::new(ErrorKind::Unavailable, "the answer was lost").into());
        let batch = case.summarise(json!(received)).await?;
        assert_eq!(batch.status, status);
        assert_eq!(batch.outcome.is_some(), status == Status::Sealed);
    }
    Ok(())
}

#[tokio::test]
async fn a_list_that_changes_after_the_plan_changes_nothing() -> Result<()> {
    let case = Case::new(Faults::none())?;
    case.store
        .insert(EXPORTS, "lists/requests.jsonl", format!("[{}]", request("a")));
    // The list changes after it was looked at and before it is read. The next try reads the new list.
    case.store.before(Op::Read, 0, |store| {
        store.insert(EXPORTS, "lists/requests.jsonl", format!("[{}]", request("b")));
    });
    let event = event(&json!({"RequestsUri": LIST}));
    let error = case.plan("one", &event).await.expect_err("it changed");
    assert_eq!(error.kind, ErrorKind::Unavailable);
    let batch = case.plan("one", &event).await?;
    // The list changes after it was planned. The plan stands.
    case.store.insert(EXPORTS, "lists/requests.jsonl", "[1, 2, 3]");
    let other = case.plan("two", &event).await?;
    assert_eq!((other.requests, &other.items), (1, &batch.items));
    assert!(case.items(&other)?[0].event.get().contains("\"b\""));
    Ok(())
}

// --- The definition ---------------------------------------------------------------------------------------------------

fn definition() -> Value {
    serde_json::from_str(include_str!("../../statemachine/export-batch.asl.json")).expect("the definition is JSON")
}

fn of_jobs() -> Value {
    serde_json::from_str(include_str!("../../statemachine/export-job.asl.json")).expect("the definition is JSON")
}

/// The two definitions have their common parts in common, and every caught error leads to the summary.
#[test]
fn the_batch_definition_shares_its_states_with_that_of_jobs() {
    let (batch, jobs) = (definition()["States"].clone(), of_jobs()["States"].clone());
    for name in ["Announce", "Outcome", "Succeeded", "Failed"] {
        assert_eq!(batch[name], jobs[name], "{name}");
    }
    assert_eq!(batch["Plan"]["Retry"], jobs["Verify"]["Retry"]);
    assert_eq!(batch["Summary"]["Retry"], jobs["Seal"]["Retry"]);
    let caught = json!([{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Summary"}]);
    for name in ["Plan", "Requests"] {
        assert_eq!(batch[name]["Catch"], caught, "{name}");
    }
    for name in ["Summary", "Announce"] {
        assert!(batch[name]["Catch"].is_null(), "{name}");
    }
    let text = definition().to_string();
    assert!(!text.contains("JSONata") && !text.contains("\"Assign\""));
}

#[test]
fn the_batch_definition_knows_every_status() {
    let states = definition()["States"].clone();
    let next = |state: &str, batch: &Value| {
        let choices = states[state]["Choices"].as_array().cloned().unwrap_or_default();
        let chosen = choices.iter().find(|choice| {
            let path = choice["Variable"].as_str().unwrap_or_default().replace(['$', '.'], "/");
            let found = batch.pointer(&path.replace("//", "/"));
            match choice.get("BooleanEquals") {
                Some(expected) => found == Some(expected),
                None => found == choice.get("StringEquals"),
            }
        });
        chosen
            .map_or(&states[state]["Default"], |choice| &choice["Next"])
            .clone()
    };
    for (status, planned, summed_up) in [
        (Status::Running, "Requests", "Rest"),
        (Status::Ended, "Summary", "Outcome"),
        (Status::Sealed, "Summary", "Outcome"),
    ] {
        assert_eq!(next("Planned", &json!({"status": status})), planned);
        assert_eq!(next("SummedUp", &json!({"status": status})), summed_up);
    }
    let announced = json!({"status": Status::Sealed, "outcome": {"announce": true}});
    assert_eq!(next("SummedUp", &announced), "Announce");
    assert_eq!(states["Rest"]["Next"], "Requests");
}

/// No request stops another one, and the results of all of them fit in the output of a state.
#[test]
fn a_request_that_fails_stops_no_other() -> Result<()> {
    let map = definition()["States"]["Requests"].clone();
    assert_eq!(map["ItemProcessor"]["ProcessorConfig"]["Mode"], "DISTRIBUTED");
    assert_eq!(map["MaxConcurrencyPath"], "$.concurrency");
    let inner = map["ItemProcessor"]["States"].clone();
    assert_eq!(
        inner["Run"]["Resource"],
        "arn:${Partition}:states:::states:startExecution.sync:2"
    );
    let caught = json!([{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "RunFailed"}]);
    assert_eq!(inner["Run"]["Catch"], caught);
    let mut longest = 0;
    for name in ["RunSucceeded", "RunFailed"] {
        assert_eq!(inner[name]["End"], true);
        longest = longest.max(inner[name]["Result"].to_string().len() + ", ".len());
    }
    let tolerated = map["ToleratedFailureCount"].as_u64().context("no number of failures")?;
    // A child that was stopped adds its ARN, name, times, input and error.
    let size = MAX_REQUESTS * longest + usize::try_from(tolerated)? * (3 << 10);
    assert!(size < 256 << 10, "{size} bytes");
    // The machine of a job ends before the request that waits for it.
    let longest_job = of_jobs()["TimeoutSeconds"].as_u64().context("no time-out")?;
    assert!(inner["Run"]["TimeoutSeconds"].as_u64() > Some(longest_job));
    Ok(())
}
