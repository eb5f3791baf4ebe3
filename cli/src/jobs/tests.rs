//! Jobs of a ledger in a folder, with a list of executions in place of Step Functions.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use landfall::{error::Result, store::ObjectStore};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Filter, Found, Row, Sources, Status, Totals, WIDTH, batch_lines, batches, collect, table};
use crate::{
    executions::{Described, Executions, Listed, State},
    kinds::KINDS,
    present::{Layout, Paint},
    show::{Finder, Shown, Target, shown},
    verify::folder::FolderStore,
};

const LEDGER: &str = "landfall-ledger";
const MACHINE: &str = "arn:aws:states:eu-central-1:111122223333:stateMachine:landfall-segment-snapshot";

fn machines() -> BTreeMap<String, String> {
    BTreeMap::from([("segment-snapshot".to_owned(), MACHINE.to_owned())])
}

fn at(time: &str) -> DateTime<Utc> {
    format!("2026-11-{time}Z").parse().unwrap()
}

fn now() -> DateTime<Utc> {
    at("08T12:00:00")
}

fn execution(name: &str) -> String {
    format!("arn:aws:states:eu-central-1:111122223333:execution:landfall-segment-snapshot:{name}")
}

/// An entry of the ledger with one attempt in this state and no outcome.
fn entry(kind: &str, key: &str, created: &str, request: &Value, state: &str) -> Value {
    let created = at(created);
    json!({
        "schema": "landfall.ledger/1", "kind": kind, "name": null, "request": request, "created_at": created,
        "deadline_at": created + chrono::TimeDelta::hours(6), "written_by": "w",
        "trigger": {"job_key": key, "event_id": "e", "source": "com.example", "time": created, "schedule": null,
                    "account": "111122223333", "region": "eu-central-1", "request_sha256": "aa"},
        "attempts": [{"number": 1, "key": key, "prefix": format!("s3://landfall-exports/out/run={key}/"), "state": state,
                      "owner": format!("{}/request", execution(key)), "claimed_at": created,
                      "lease_until": created + chrono::TimeDelta::minutes(1)}],
    })
}

/// Adds an id of the service to an entry.
fn started(mut entry: Value) -> Value {
    entry["attempts"][0]["service_id"] = json!("snapshot-1");
    entry["attempts"][0]["started_at"] = entry["created_at"].clone();
    entry["attempts"][0]["state"] = json!("started");
    entry
}

/// Adds an outcome to an entry.
fn sealed(mut entry: Value, at: DateTime<Utc>, error: Option<(&str, &str)>, report: Option<(&str, u64)>) -> Value {
    let key = entry["trigger"]["job_key"].as_str().unwrap().to_owned();
    let kind = entry["kind"].as_str().unwrap().to_owned();
    let receipt = match error {
        None => format!("s3://landfall-ledger/exports/run={key}/_receipt.json"),
        Some(_) => format!("s3://landfall-ledger/receipts/{kind}/{key}.json"),
    };
    entry["outcome"] = json!({
        "verdict": if error.is_some() { "failed" } else { "succeeded" }, "receipt": receipt, "sealed_by": execution(&key),
        "sealed_at": at, "attempt": 1, "polls": 10, "landfall": "0.1.0", "service_status": "SUCCEEDED",
        "ended_at": at - chrono::TimeDelta::seconds(20),
    });
    if let Some((name, cause)) = error {
        entry["outcome"]["error"] = json!({"Error": name, "Cause": cause});
    }
    if let Some((verdict, rows)) = report {
        entry["outcome"]["report"] = json!({"key": "reports/r.json", "sha256": "bb", "verdict": verdict, "objects": 3,
                                            "rows": rows, "bytes": rows * 100});
    }
    entry
}

struct Here {
    folder: TempDir,
    executions: Fixed,
}

impl Here {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            executions: Fixed::default(),
        }
    }

    fn write(&self, key: &str, body: &Value) {
        write(self.folder.path(), key, body);
    }

    fn put(&self, entry: &Value) {
        let (kind, key) = (
            entry["kind"].as_str().unwrap(),
            entry["trigger"]["job_key"].as_str().unwrap(),
        );
        self.write(&format!("jobs/{kind}/{key}.json"), entry);
    }

    fn runs(&mut self, name: &str, state: State, started: &str, input: Value) {
        self.executions.0.push(Described {
            listed: Listed {
                arn: execution(name),
                state,
                started_at: at(started),
                stopped_at: (state != State::Running).then(|| at(started) + chrono::TimeDelta::hours(1)),
            },
            input,
            error: (state == State::Failed).then(|| "Landfall.Unavailable".to_owned()),
            cause: (state == State::Failed).then(|| "S3 did not answer".to_owned()),
        });
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::new(FolderStore::open(self.folder.path()).unwrap())
    }

    async fn collect(&self, since: DateTime<Utc>) -> Found {
        let machines = machines();
        let store = self.store();
        let sources = Sources {
            store: &store,
            ledger: LEDGER,
            executions: Some(&self.executions),
            machines: &machines,
            kinds: &KINDS,
            since,
            now: now(),
            progress: &|_, _| {},
        };
        collect(&sources).await.unwrap()
    }

    async fn show(&self, target: &str) -> String {
        let store = self.store();
        let machines = machines();
        let finder = Finder {
            store: &store,
            ledger: LEDGER,
            executions: Some(&self.executions),
            machines: &machines,
            now: now(),
        };
        let job = finder.find(&Target::of(target).unwrap()).await.unwrap();
        let layout = Layout {
            paint: Paint(false),
            width: Some(80),
            all: false,
        };
        shown(&Shown::of(&job, "--stack landfall"), layout)
    }
}

fn write(folder: &Path, key: &str, body: &Value) {
    let path = folder.join(key);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, body.to_string()).unwrap();
}

#[derive(Default)]
struct Fixed(Vec<Described>);

#[async_trait]
impl Executions for Fixed {
    async fn list(&self, machine: &str, state: State, since: DateTime<Utc>) -> Result<Vec<Listed>> {
        assert_eq!(machine, MACHINE);
        let listed = self.0.iter().map(|described| described.listed.clone());
        Ok(listed
            .filter(|listed| listed.state == state && listed.started_at >= since)
            .collect())
    }

    async fn describe(&self, execution: &str) -> Result<Option<Described>> {
        Ok(self
            .0
            .iter()
            .find(|described| described.listed.arn == execution)
            .cloned())
    }

    async fn history(&self, execution: &str) -> Result<Vec<Value>> {
        let state = if execution.ends_with("unsealed") {
            "Seal"
        } else {
            "Wait"
        };
        Ok(vec![
            json!({"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "Start", "input": "{}"}}),
            json!({"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": state, "input": "{}"}}),
        ])
    }
}

fn segment(name: &str) -> Value {
    json!({"DomainName": "example-support", "SegmentDefinitionName": name, "DataFormat": "CSV"})
}

fn event(id: &str, time: &str) -> Value {
    json!({"id": id, "source": "com.example", "detail-type": "Segment Snapshot Requested", "time": at(time),
           "detail": segment("stopped-early")})
}

/// A week with one job of each sort.
fn week() -> Here {
    let mut here = Here::new();
    let mut nightly = sealed(
        started(entry(
            "segment-snapshot",
            "20261108T050000Z-0000000a",
            "08T05:00:01",
            &segment("vip"),
            "started",
        )),
        at("08T05:12:00"),
        None,
        Some(("passed", 1_234_567)),
    );
    nightly["name"] = json!("Nightly VIP customers of the shop");
    here.put(&nightly);
    here.put(&sealed(
        started(entry(
            "dashboard-snapshot",
            "20261107T050000Z-0000000b",
            "07T05:00:01",
            &json!({"DashboardId": "sales-overview"}),
            "started",
        )),
        at("07T05:00:40"),
        None,
        Some(("passed_with_warnings", 0)),
    ));
    here.put(&sealed(
        started(entry("segment-snapshot", "20261106T050000Z-0000000c", "06T05:00:01", &segment("all-customers"), "started")),
        at("06T11:00:01"),
        Some(("Landfall.TimedOut", "segment-snapshot 20261106T050000Z-0000000c (service id snapshot-1) did not end before its deadline.\nPick it up.")),
        None,
    ));
    let rejected = sealed(
        started(entry(
            "segment-snapshot",
            "20261105T050000Z-0000000d",
            "05T05:00:01",
            &segment("vip"),
            "started",
        )),
        at("05T05:20:00"),
        Some(("Landfall.OutputRejected", "2 checks failed: format")),
        Some(("failed", 20_000_000_000)),
    );
    here.put(&rejected);
    let mut queued = entry(
        "segment-snapshot",
        "20261108T060000Z-0000000e",
        "08T06:00:00",
        &segment("next"),
        "waiting",
    );
    queued["attempts"][0]["error"] = json!({"Error": "Landfall.Busy", "Cause": "10 of 10 segment-snapshot jobs run"});
    here.put(&queued);
    here.put(&started(entry(
        "segment-snapshot",
        "running",
        "08T11:00:00",
        &segment("big"),
        "started",
    )));
    here.put(&started(entry(
        "segment-snapshot",
        "stopped",
        "08T10:00:00",
        &segment("unwanted"),
        "started",
    )));
    here.put(&started(entry(
        "segment-snapshot",
        "unsealed",
        "08T09:00:00",
        &segment("lost-seal"),
        "started",
    )));
    here.runs("running", State::Running, "08T11:00:00", json!({}));
    here.runs("stopped", State::Aborted, "08T10:00:00", json!({}));
    here.runs("unsealed", State::Failed, "08T09:00:00", json!({}));
    // This execution was stopped before its job was claimed.
    here.runs("early", State::Aborted, "08T08:00:00", event("e1", "08T08:00:00"));
    // Another delivery of a job that has ended is not a job of its own.
    here
}

#[tokio::test]
async fn a_week_of_jobs_fits_80_columns() {
    let here = week();
    let found = here.collect(at("01T00:00:00")).await;
    assert_eq!(found.notes, Vec::<String>::new());
    let text = table(&found.rows, &Totals::of(&found.rows), Paint(false), false);
    for line in text.lines() {
        assert!(line.chars().count() <= WIDTH, "{line}");
    }
    insta::assert_snapshot!("week", text);
    let wide = table(&found.rows, &Totals::of(&found.rows), Paint(false), true);
    assert!(wide.contains("20261108T050000Z-0000000a"), "{wide}");
}

#[tokio::test]
async fn the_filter_shows_only_the_jobs_asked_for() {
    let here = week();
    let rows = here.collect(at("01T00:00:00")).await.rows;
    let keys = |filter: &Filter| -> Vec<String> {
        rows.iter()
            .filter(|row| filter.wants(row))
            .map(|row| row.short().to_owned())
            .collect()
    };
    let failed = Filter {
        failed: true,
        ..Filter::default()
    };
    assert_eq!(keys(&failed).len(), 5, "{:?}", keys(&failed));
    let named = |text: &str| Filter {
        name: Some(text.to_owned()),
        ..Filter::default()
    };
    assert_eq!(keys(&named("VIP")), ["0000000a", "0000000d"]);
    let queued = Filter {
        statuses: vec![Status::Queued],
        ..Filter::default()
    };
    assert_eq!(keys(&queued), ["0000000e"]);
    let kind = Filter {
        kinds: vec!["dashboard-snapshot".to_owned()],
        ..Filter::default()
    };
    assert_eq!(keys(&kind), ["0000000b"]);

    // Open jobs are shown however old they are, sealed jobs only since the given time.
    let rows = here.collect(at("08T11:30:00")).await.rows;
    assert!(rows.iter().all(|row: &Row| row.status != Status::Succeeded), "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row.status.is_open()).count(), 2);
}

#[tokio::test]
async fn entries_older_than_the_asked_time_are_not_read() {
    let here = Here::new();
    here.write("jobs/segment-snapshot/old.json", &json!("this would not be readable"));
    let file = fs::File::options()
        .write(true)
        .open(here.folder.path().join("jobs/segment-snapshot/old.json"));
    file.unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(here.collect(at("01T00:00:00")).await, Found::default());
    // If that time is asked for, the unreadable entry is reported.
    let found = here.collect(DateTime::UNIX_EPOCH).await;
    assert!(found.notes[0].contains("could not be read"), "{found:?}");
}

#[tokio::test]
async fn a_job_without_an_entry_is_found_by_its_execution() {
    let mut here = Here::new();
    here.runs("early", State::Running, "08T08:00:00", event("e1", "08T08:00:00"));
    let found = here.collect(at("01T00:00:00")).await;
    assert_eq!(found.rows.len(), 1);
    assert_eq!(
        (found.rows[0].status, found.rows[0].what.as_str()),
        (Status::Starting, "stopped-early of example-support")
    );
    // Once the job is claimed, it shares one row with its execution. Here another delivery adopted a job whose first
    // execution was stopped.
    let key = found.rows[0].job_key.clone();
    let mut claimed = started(entry(
        "segment-snapshot",
        &key,
        "08T08:00:02",
        &segment("stopped-early"),
        "started",
    ));
    claimed["attempts"][0]["owner"] = json!(format!("{}/r", execution("first")));
    here.put(&claimed);
    here.runs("first", State::Aborted, "08T07:00:00", json!({}));
    let found = here.collect(at("01T00:00:00")).await;
    assert_eq!(found.rows.len(), 1);
    assert_eq!(
        (found.rows[0].status, found.rows[0].execution.as_deref()),
        (Status::Running, Some(execution("early").as_str()))
    );
}

#[tokio::test]
async fn the_page_of_a_job_says_what_to_do() {
    let here = week();
    let checks = json!([
        {"name": "output_present", "verdict": "pass", "reason": "3 data objects"},
        {"name": "row_count_matches", "verdict": "warn", "reason": "the service counts 19,999,999,999"},
        {"name": "format", "verdict": "fail", "reason": "part-1.csv: record 500, line 501: has 3 fields, the header has 4, so that nothing after it can be trusted"},
        {"name": "checksum", "verdict": "skipped", "reason": "S3 keeps none"},
    ]);
    let object = json!({"key": "out/run=1/part-1.csv", "role": "data", "size": 10, "etag": "e", "last_modified": at("05T05:10:00"),
                        "error": "has 3 fields, the header has 4", "error_line": 501, "error_record": 500});
    let key = "20261105T050000Z-0000000d";
    here.write(
        &format!("receipts/segment-snapshot/{key}.json"),
        &json!({
            "schema": "landfall.receipt/1", "landfall": "0.1.0", "verdict": "failed", "kind": "segment-snapshot", "job_key": key,
            "error": {"Error": "Landfall.OutputRejected", "Cause": "2 checks failed: format"},
            "trigger": entry("segment-snapshot", key, "05T05:00:01", &json!({}), "started")["trigger"], "request": {},
            "service": {"id": "snapshot-1", "status": "SUCCEEDED"}, "polls": 10, "attempts": [], "execution": execution(key),
            "times": {"triggered_at": at("05T05:00:00"), "claimed_at": at("05T05:00:01"), "ended_at": at("05T05:19:00"),
                      "verified_at": at("05T05:19:30"), "sealed_at": at("05T05:20:00"), "deadline_at": at("05T11:00:00")},
            "output": {"prefix": "s3://landfall-exports/out/run=1/", "format": "CSV", "object_count": 3, "rows": 1, "bytes": 1,
                       "objects": [object], "objects_omitted": 0},
            "verification": {"verdict": "failed", "level": "full", "checks": checks, "report": "s3://landfall-ledger/r",
                             "report_sha256": "bb"},
            "usage": {"state_transitions": 40, "invocations": 13},
        }),
    );
    insta::assert_snapshot!("rejected", here.show("0000000d").await);
    insta::assert_snapshot!("timed_out", here.show("20261106T050000Z-0000000c").await);
    insta::assert_snapshot!("unsealed", here.show(&execution("unsealed")).await);
    // Without an entry, only the execution can be named.
    let text = here.show("9a111233").await;
    assert!(
        text.contains(&format!("landfall redrive {} --stack", execution("early"))),
        "{text}"
    );
    let text = here.show("0000000e").await;
    assert!(text.contains("10 of 10 segment-snapshot jobs run"), "{text}");
}

/// Seal writes the outcome before the receipt. If it fails in between, a success must not look as if it were sealed.
#[tokio::test]
async fn an_outcome_whose_execution_failed_in_seal_is_not_sealed() {
    let mut here = Here::new();
    let timed_out = Some(("Landfall.TimedOut", "it did not end before its deadline"));
    for (key, error) in [("success-unsealed", None), ("failure-unsealed", timed_out)] {
        let entry = started(entry(
            "segment-snapshot",
            key,
            "08T09:00:00",
            &segment("buyers"),
            "started",
        ));
        here.put(&sealed(entry, at("08T09:30:00"), error, None));
        here.runs(key, State::Failed, "08T09:00:00", json!({}));
    }
    let rows = here.collect(at("08T00:00:00")).await.rows;
    let status = |key: &str| rows.iter().find(|row| row.job_key == key).map(|row| row.status);
    assert_eq!(status("success-unsealed"), Some(Status::Unsealed));
    // In which state an execution failed, only its history knows.
    assert_eq!(status("failure-unsealed"), Some(Status::Failed));
    for (key, decided) in [("success-unsealed", "a success"), ("failure-unsealed", "a failure")] {
        let text = here.show(key).await;
        assert!(
            text.contains("unsealed") && text.contains(&format!("decided as {decided}")),
            "{text}"
        );
        assert!(text.contains(&format!("landfall redrive {key}")), "{text}");
    }
}

#[tokio::test]
async fn an_unknown_or_ambiguous_job_is_refused() {
    let here = week();
    let store = here.store();
    let machines = machines();
    let finder = Finder {
        store: &store,
        ledger: LEDGER,
        executions: None,
        machines: &machines,
        now: now(),
    };
    let find = async |target: &str| finder.find(&Target::of(target).unwrap()).await.unwrap_err().message;
    assert!(find("ffffffff").await.contains("has no job \"ffffffff\""));
    let several = find("2026110").await;
    assert!(several.contains("may be any of 5 jobs"), "{several}");
    assert!(find("s3://landfall-exports/none").await.contains("there is no receipt"));
}

#[tokio::test]
async fn each_batch_is_a_line_with_its_counts() {
    let here = Here::new();
    let trigger =
        |key: &str| entry("segment-snapshot", key, "08T05:00:00", &segment("a"), "started")["trigger"].clone();
    let record = |key: &str, at: &str| {
        json!({
            "schema": "landfall.batch/1", "trigger": trigger(key), "planned_by": "arn:one", "planned_at": at,
            "plan": {"planned": {
                "requests": 120, "accepted": 119, "concurrency": 10,
                "list": {"key": "batches/l", "bytes": 1, "sha256": "aa"}, "items": {"bucket": "b", "key": "k"},
            }},
        })
    };
    let summary = |key: &str, at: &str, failed: u64| {
        json!({
            "schema": "landfall.batch-summary/1", "trigger": trigger(key), "name": "every night", "objects": 3, "rows": 12_345,
            "bytes": 1_000, "unsuccessful": [], "rounds": 1, "planned_at": at, "sealed_at": "2026-11-08T06:00:00Z",
            "sealed_by": "arn:one", "landfall": "0.1.0", "verdict": if failed == 0 { "succeeded" } else { "failed" },
            "counts": {"requests": 120, "succeeded": 120 - failed, "failed": failed, "rejected": 0, "unknown": 0},
        })
    };
    let times = [
        "2026-11-08T05:00:00Z",
        "2026-11-08T05:10:00Z",
        "2026-11-08T05:20:00Z",
        "2026-10-01T05:00:00Z",
    ];
    for (key, at) in ["x-aaaaaaaa", "x-bbbbbbbb", "x-cccccccc", "x-dddddddd"]
        .into_iter()
        .zip(times)
    {
        here.write(&format!("batches/{key}/batch.json"), &record(key, at));
    }
    here.write("batches/x-aaaaaaaa/summary.json", &summary("x-aaaaaaaa", times[0], 0));
    here.write("batches/x-bbbbbbbb/summary.json", &summary("x-bbbbbbbb", times[1], 2));
    here.write("batches/x-dddddddd/summary.json", &summary("x-dddddddd", times[3], 0));
    let mut notes = Vec::new();
    let found = batches(&here.store(), "landfall-ledger", at("01T00:00:00"), &mut notes)
        .await
        .unwrap();
    assert_eq!(notes, Vec::<String>::new());
    let lines = batch_lines(&found, Paint(false));
    assert_eq!(
        lines,
        "\n\
         \ncccccccc 11-08 05:20 batch                                           of 120\
         \nbbbbbbbb 11-08 05:10 batch     every night              12,345   50m 118/120\
         \n         2 failed\
         \naaaaaaaa 11-08 05:00 batch     every night              12,345   60m 120/120"
    );
    assert!(lines.lines().all(|line| line.chars().count() <= WIDTH));
    assert_eq!(batch_lines(&[], Paint(false)), "");
    here.write("batches/x-eeeeeeee/batch.json", &json!({"not": "a record"}));
    let again = batches(&here.store(), "landfall-ledger", at("01T00:00:00"), &mut notes).await;
    assert_eq!((again.unwrap().len(), notes.len()), (3, 1));
}
