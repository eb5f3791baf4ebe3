//! Verifies gzip, PDF and Excel, files that the service names, and jobs without an output.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{io::Write, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use flate2::{Compression, write::GzEncoder};
use landfall::{
    clock::Clock,
    invocation::{Deployment, Invocation},
    job::{Format, Job, NamedFile},
    ledger::Ledger,
};
use landfall_output::{
    receipt::Receipt,
    seal::seal,
    step::verify_job,
    verify::{
        CheckVerdict::{self, Fail, Pass, Skipped, Warn},
        Expectation, Report, Verdict, verify,
    },
};
use landfall_tests::{
    clock::ManualClock,
    harness::{LEDGER, config},
    memory_store::{MemoryStore, Op},
};
use serde_json::{Value, json};

const BUCKET: &str = "landfall-exports";
const PREFIX: &str = "runs/run=20261101T050000Z-0a1b2c3d/";

struct Case {
    store: Arc<MemoryStore>,
    clock: ManualClock,
    asked: Expectation,
}

impl Case {
    fn new(format: Option<Format>) -> Self {
        let started_at: DateTime<Utc> = "2026-11-01T05:00:07Z".parse().unwrap();
        let clock = ManualClock::at(started_at + TimeDelta::minutes(5));
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        store.create_bucket(BUCKET);
        store.create_bucket(LEDGER);
        let asked = Expectation {
            started_at,
            ..Expectation::of(format!("s3://{BUCKET}/{PREFIX}").parse().unwrap(), format)
        };
        Self { store, clock, asked }
    }

    fn put(&self, name: &str, body: impl Into<bytes::Bytes>) {
        drop(self.store.insert(BUCKET, &format!("{PREFIX}{name}"), body));
    }

    /// Adds a file that the service names.
    fn name(&mut self, format: Format, name: &str) {
        let label = format!("FileGroups[{}] {format}", self.asked.files.iter().flatten().count());
        self.asked.files.get_or_insert_default().push(NamedFile {
            label,
            format,
            uri: Some(format!("s3://{BUCKET}/{PREFIX}{name}").parse().unwrap()),
            error: None,
        });
    }

    async fn report(&self) -> Report {
        let deadline = self.clock.now() + TimeDelta::minutes(10);
        let (store, clock) = (Arc::clone(&self.store), Arc::new(self.clock.clone()));
        verify(store, clock, &self.asked, deadline).await.unwrap()
    }
}

#[track_caller]
fn check(report: &Report, name: &str, verdict: CheckVerdict, words: &[&str]) {
    let check = report.check(name).unwrap_or_else(|| panic!("no check {name}"));
    assert_eq!(check.verdict, verdict, "{name}: {}", check.reason);
    for word in words {
        assert!(check.reason.contains(word), "{name} lacks {word:?}: {}", check.reason);
    }
}

/// Checks that this check fails, and no other.
#[track_caller]
fn only(report: &Report, name: &str, words: &[&str]) {
    check(report, name, Fail, words);
    let failed: Vec<_> = report.checks.iter().filter(|check| check.verdict == Fail).collect();
    assert_eq!(failed.len(), 1, "{failed:#?}");
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn excel(rows: u32) -> Vec<u8> {
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    for row in 0..=rows {
        sheet.write_string(row, 0, format!("value {row}")).unwrap();
    }
    book.save_to_buffer().unwrap()
}

fn pdf(pages: usize) -> Vec<u8> {
    use lopdf::{Object, dictionary};
    let mut document = lopdf::Document::with_version("1.7");
    let tree = document.new_object_id();
    let kids: Vec<Object> = (0..pages)
        .map(|_| {
            document
                .add_object(dictionary! { "Type" => "Page", "Parent" => tree })
                .into()
        })
        .collect();
    let count = pages as i64;
    document.set_object(
        tree,
        dictionary! { "Type" => "Pages", "Kids" => kids, "Count" => count },
    );
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

/// An export of endpoints: gzip objects, one of them with several members, and other objects that do not count.
fn endpoints() -> Case {
    let mut case = Case::new(Some(Format::JsonlGzip));
    case.put(
        "part-0.json.gz",
        [gzip("{\"Id\":\"1\"}\n"), gzip("{\"Id\":\"2\"}\n")].concat(),
    );
    case.put("part-1.gz", gzip("{\"Id\":\"3\"}\n"));
    case.asked.rows = Some(3);
    case.asked.failed_rows = Some(0);
    case
}

#[tokio::test]
async fn gzip_objects_are_the_data_of_their_kind() {
    let case = endpoints();
    let report = case.report().await;
    assert_eq!((report.verdict, report.rows), (Verdict::Passed, 3), "{report:#?}");
    check(&report, "format", Pass, &["2 data objects", "JSONL_GZIP"]);
    check(&report, "row_count_matches", Pass, &["3 rows"]);
    check(&report, "service_failures", Pass, &[]);

    case.put("part-2", gzip("{\"Id\":\"4\"}\n"));
    case.put("manifest.json", "{\"a\":1}\n");
    let report = case.report().await;
    assert_eq!((report.verdict, report.rows), (Verdict::PassedWithWarnings, 4));
    check(&report, "extra_objects", Warn, &["manifest.json", "JSON"]);
}

#[tokio::test]
async fn broken_gzip_is_found() {
    let whole = gzip(&"{\"Id\":\"1\"}\n".repeat(100));
    for (body, words) in [
        (whole[..whole.len() - 1].to_vec(), "cut off"),
        (b"{\"Id\":\"1\"}\n".to_vec(), "holds JSON"),
        (gzip("id,name\n1,2\n"), "holds CSV within gzip"),
        (gzip("{\"Id\":\"secret\n"), "ends within a value"),
    ] {
        let case = endpoints();
        case.put("part-2.gz", body);
        let report = case.report().await;
        check(&report, "format", Fail, &["part-2.gz", words]);
        check(&report, "rows_counted", Skipped, &[]);
        check(&report, "row_count_matches", Fail, &[]);
        assert!(!format!("{report:?}").contains("secret"));
    }
    let case = endpoints();
    case.put("part-2.gz", "");
    check(&case.report().await, "no_empty_files", Fail, &["part-2.gz"]);
    for format in [Format::Csv, Format::Jsonl, Format::Orc] {
        let case = Case::new(Some(format));
        case.put("part-0.json.gz", gzip("{\"Id\":\"1\"}\n"));
        check(&case.report().await, "format", Fail, &["part-0.json.gz"]);
    }
}

#[tokio::test]
async fn the_counts_of_the_service_are_compared_with_the_rows() {
    let mut case = endpoints();
    case.asked.rows = Some(5);
    let report = case.report().await;
    assert_eq!(report.verdict, Verdict::PassedWithWarnings);
    check(
        &report,
        "row_count_matches",
        Warn,
        &["reports 5", "2 are missing", "RowCount"],
    );
    case.asked.strict_row_count = true;
    only(&case.report().await, "row_count_matches", &["2 are missing"]);
    case.asked.rows = None;
    check(&case.report().await, "row_count_matches", Warn, &["no number of rows"]);
    case.asked.strict_row_count = false;
    check(&case.report().await, "row_count_matches", Skipped, &[]);

    case.asked.failed_rows = Some(2);
    only(
        &case.report().await,
        "service_failures",
        &["completed with failures", "2 failed rows"],
    );
    case.asked.failed_rows = None;
    check(&case.report().await, "service_failures", Skipped, &[]);
}

/// A snapshot of a dashboard: one file of each format, all named by the service.
fn snapshot() -> Case {
    let mut case = Case::new(None);
    for (format, name, body) in [
        (Format::Csv, "a/1", b"id\n1\n2\n".to_vec()),
        (Format::Excel, "b/2.xlsx", excel(3)),
        (Format::Pdf, "c/3.pdf", pdf(2)),
    ] {
        case.put(name, body);
        case.name(format, name);
    }
    case
}

#[tokio::test]
async fn each_named_file_must_have_its_own_format() {
    let report = snapshot().report().await;
    assert_eq!(report.verdict, Verdict::Passed, "{report:#?}");
    check(&report, "output_present", Pass, &["3 of 3"]);
    check(&report, "format", Pass, &["CSV, EXCEL, PDF"]);
    // Two rows of CSV below its header, and four of the sheet, whose heading counts.
    check(
        &report,
        "rows_counted",
        Pass,
        &["6 rows in 2 data objects", "1 document"],
    );
    check(&report, "named_files", Pass, &["all 3 files"]);
    let of: Vec<_> = report
        .objects
        .iter()
        .map(|object| (object.format, object.rows, object.pages))
        .collect();
    assert_eq!(
        of,
        [
            (Some(Format::Csv), Some(2), None),
            (Some(Format::Excel), Some(4), None),
            (Some(Format::Pdf), None, Some(2)),
        ]
    );

    // A document alone is output, too.
    let mut case = Case::new(None);
    case.put("3.pdf", pdf(1));
    case.name(Format::Pdf, "3.pdf");
    let report = case.report().await;
    assert_eq!((report.verdict, report.rows), (Verdict::Passed, 0), "{report:#?}");
    check(&report, "output_present", Pass, &["pages"]);
    check(&report, "rows_counted", Skipped, &["1 document"]);
}

#[tokio::test]
async fn broken_documents_are_found() {
    let (pdf, excel) = (pdf(2), excel(3));
    for (name, body, words) in [
        ("c/3.pdf", pdf[..pdf.len() / 2].to_vec(), "cut off"),
        ("c/3.pdf", excel.clone(), "holds zip"),
        ("c/3.pdf", b"<html>no</html>".to_vec(), "holds HTML or XML"),
        ("c/3.pdf", b"no document".to_vec(), "not PDF"),
        ("b/2.xlsx", excel[..excel.len() / 2].to_vec(), "cut off"),
        ("b/2.xlsx", pdf.clone(), "holds PDF"),
        ("a/1", pdf, "holds PDF"),
        ("a/1", b"id\n1,2\n".to_vec(), "has 2 fields"),
    ] {
        let case = snapshot();
        case.put(name, body);
        only(&case.report().await, "format", &[name, words]);
    }
    let case = snapshot();
    case.put("c/3.pdf", "");
    only(&case.report().await, "no_empty_files", &["c/3.pdf"]);
}

#[tokio::test]
async fn a_named_file_that_cannot_be_read_is_reported() {
    let mut case = snapshot();
    case.name(Format::Pdf, "d/4.pdf");
    only(
        &case.report().await,
        "named_files",
        &["FileGroups[3] PDF", "d/4.pdf", "1 of the 4 files"],
    );
    // It may appear while the others are read.
    case.store.before(Op::List, 1, |store| {
        drop(store.insert(BUCKET, &format!("{PREFIX}d/4.pdf"), pdf(1)));
    });
    check(&case.report().await, "named_files", Pass, &[]);

    let set = |change: fn(&mut NamedFile)| {
        let mut case = snapshot();
        change(&mut case.asked.files.as_mut().unwrap()[2]);
        case
    };
    let case = set(|file| {
        file.uri = None;
        file.error = Some("DATASET_DELETED: gone".to_owned());
    });
    only(
        &case.report().await,
        "named_files",
        &["FileGroups[2] PDF", "DATASET_DELETED"],
    );
    let case = set(|file| file.uri = None);
    only(&case.report().await, "named_files", &["FileGroups[2] PDF", "neither"]);
    for elsewhere in ["s3://other-bucket/3.pdf", "s3://landfall-exports/runs/run=2/3.pdf"] {
        let mut case = snapshot();
        drop(case.store.insert(BUCKET, "runs/run=2/3.pdf", pdf(1)));
        case.asked.files.as_mut().unwrap()[2].uri = Some(elsewhere.parse().unwrap());
        only(
            &case.report().await,
            "named_files",
            &["FileGroups[2] PDF", elsewhere, "outside"],
        );
    }
}

#[tokio::test]
async fn an_object_that_the_service_does_not_name_is_not_data() {
    let case = snapshot();
    case.put("other.csv", "id\n1\n");
    let report = case.report().await;
    assert_eq!((report.verdict, report.rows), (Verdict::PassedWithWarnings, 6));
    check(&report, "extra_objects", Warn, &["other.csv"]);

    for files in [None, Some(Vec::new())] {
        let mut case = snapshot();
        case.asked.files = files;
        let report = case.report().await;
        check(&report, "named_files", Fail, &["names no file"]);
        check(&report, "output_present", Fail, &["no file that the service names"]);
    }
    let mut case = snapshot();
    case.name(Format::Csv, "a/1");
    check(&case.report().await, "named_files", Warn, &["one and the same object"]);
}

/// A job that read a source of ten rows and wrote no output.
fn import(counts: Value) -> Value {
    json!({
        "schema": "landfall.job/1", "kind": "endpoint-import", "job_key": "20261101T050000Z-0a1b2c3d",
        "execution": "arn:aws:states:eu-central-1:111122223333:execution:m:e", "status": "succeeded",
        "request": {}, "service_id": "job-1", "attempt": 1, "adopted": false,
        "started_at": "2026-11-01T05:00:07Z", "accepted_at": "2026-11-01T05:00:08Z",
        "deadline_at": "2026-11-01T11:00:07Z",
        "source": source(), "polling": {"min_seconds": 5, "max_seconds": 60}, "wait_seconds": 5, "polls": 1,
        "counts": counts,
    })
}

fn source() -> Value {
    json!({"uri": "s3://landfall-sources/in.csv", "format": "CSV", "objects": 1, "bytes": 99, "rows": 10})
}

async fn verified(case: &Case, counts: Value) -> (Deployment, Job, Report) {
    let deployment = Deployment {
        config: config().unwrap(),
        store: Arc::clone(&case.store) as _,
        clock: Arc::new(case.clock.clone()),
    };
    let job: Job = serde_json::from_value(import(counts)).unwrap();
    let job = verify_job(&deployment, job, &invocation()).await.unwrap();
    let key = &job.report.as_ref().unwrap().key;
    let report = serde_json::from_slice(&case.store.body(LEDGER, key).unwrap()).unwrap();
    (deployment, job, report)
}

fn invocation() -> Invocation {
    Invocation {
        request_id: "request-1".to_owned(),
        deadline: "2026-11-01T05:20:00Z".parse().unwrap(),
    }
}

#[tokio::test]
async fn an_import_is_compared_with_its_source() {
    let counts = |processed: u64, failed: u64| json!({"processed": processed, "failed": failed});
    for (counts, processed, failures) in [
        (counts(10, 0), Pass, Pass),
        (counts(8, 2), Pass, Fail),
        (counts(10, 2), Pass, Fail),
        (counts(9, 0), Fail, Pass),
        (counts(0, 0), Fail, Pass),
        (counts(7, 2), Fail, Fail),
        (counts(11, 0), Warn, Pass),
        (Value::Null, Warn, Skipped),
    ] {
        let (_, job, report) = verified(&Case::new(None), counts.clone()).await;
        check(&report, "source_rows_processed", processed, &["10"]);
        check(&report, "service_failures", failures, &[]);
        check(&report, "service_echo", Skipped, &[]);
        assert_eq!(report.checks.len(), 3);
        assert!(report.objects.is_empty());
        let failed = [processed, failures].contains(&Fail);
        assert_eq!(job.error.is_some(), failed, "{counts}");
        assert_eq!(job.report.unwrap().rows, 10);
        if let Some(error) = job.error {
            assert_eq!(error.error, "Landfall.OutputRejected");
            assert!(
                error.cause.contains("did not take in all of its source"),
                "{}",
                error.cause
            );
        }
    }
}

#[tokio::test]
async fn an_import_is_sealed_in_the_ledger() {
    for (processed, verdict) in [(10, "succeeded"), (3, "failed")] {
        let case = Case::new(None);
        let (deployment, job, _) = verified(&case, json!({"processed": processed, "failed": 0})).await;
        let entry = json!({
            "schema": "landfall.ledger/1", "kind": "endpoint-import",
            "trigger": {
                "job_key": job.job_key, "event_id": "e", "source": "s", "time": "2026-11-01T05:00:00Z",
                "schedule": null, "account": null, "region": null, "request_sha256": "0",
            },
            "request": {}, "source": source(), "created_at": "2026-11-01T05:00:07Z",
            "deadline_at": "2026-11-01T11:00:07Z", "written_by": "",
            "attempts": [{
                "number": 1, "key": job.job_key, "prefix": "s3://landfall-ledger/runs/endpoint-import/k/",
                "state": "started", "owner": "o", "claimed_at": "2026-11-01T05:00:07Z",
                "lease_until": "2026-11-01T05:01:07Z", "service_id": "job-1", "started_at": "2026-11-01T05:00:08Z",
            }],
        });
        let ledger = Ledger::new(case.store.as_ref(), LEDGER, "o".to_owned());
        ledger.create(serde_json::from_value(entry).unwrap()).await.unwrap();
        let input = serde_json::to_value(&job).unwrap();
        let sealed = seal(&deployment, input, &invocation()).await.unwrap();
        let outcome = sealed.outcome().unwrap();
        assert_eq!(serde_json::to_value(outcome.verdict).unwrap(), verdict);
        assert_eq!(outcome.receipt.bucket, LEDGER);
        let body = case.store.body(LEDGER, &outcome.receipt.key).unwrap();
        let receipt: Receipt = serde_json::from_slice(&body).unwrap();
        assert_eq!(receipt.output, None);
        assert_eq!(receipt.source.unwrap().rows, 10);
        assert_eq!(receipt.verification.unwrap().checks.len(), 3);
        assert!(case.store.keys(BUCKET).is_empty());
    }
}
