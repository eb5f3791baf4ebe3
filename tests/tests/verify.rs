//! Verifies a whole prefix on a reference model of S3.

// A panic with its message is how these tests fail.
#![allow(clippy::expect_used)]

use std::{sync::Arc, time::Duration};

use arrow::array::{Int64Array, RecordBatch, StringArray};
use aws_smithy_types::base64;
use chrono::{DateTime, TimeDelta, Utc};
use landfall::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    job::NamedFile,
    s3_uri::S3Object,
    store::checksum::StoredChecksum,
};
use landfall_output::verify::{
    CheckVerdict::{self, Fail, Pass, Skipped, Warn},
    Expectation, Format, Limits, Report, Role, SCHEMA, Verdict, verify, verify_within,
};
use landfall_tests::{
    clock::ManualClock,
    memory_store::{Inserted, MemoryStore, Op},
};
use orc_rust::ArrowWriterBuilder;
use sha2::{Digest, Sha256};

/// The formats that are decoded.
const FORMATS: [Format; 3] = [Format::Csv, Format::Jsonl, Format::Orc];
const BUCKET: &str = "exports";
const PREFIX: &str = "segments/run=20261101T050000Z-0a1b2c3d/";
const CSV: &str = "id,name\n1,\"Zoë, Z\"\n2,b\n";
const OTHER: &str = "id,name\n3,Ålesund\n";
const JSONL: &str = "{\"id\":1}\n{\"id\":2}\n";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000001";

struct Case {
    store: Arc<MemoryStore>,
    clock: ManualClock,
    asked: Expectation,
    limits: Limits,
    deadline: DateTime<Utc>,
}

impl Case {
    fn new(format: Format) -> Self {
        let started_at: DateTime<Utc> = "2026-11-01T05:00:07.900Z".parse().expect("a time");
        let clock = ManualClock::at(started_at + TimeDelta::minutes(5));
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        store.create_bucket(BUCKET);
        Self {
            store,
            asked: Expectation {
                started_at,
                ..Expectation::of(format!("s3://{BUCKET}/{PREFIX}").parse().expect("a URI"), Some(format))
            },
            limits: Limits::default(),
            deadline: clock.now() + TimeDelta::minutes(10),
            clock,
        }
    }

    /// A case with two good files and the service's test file.
    fn good(format: Format) -> Self {
        let case = Self::new(format);
        match format {
            Format::Csv => {
                case.put("part-0.csv", CSV);
                case.put("part-1.csv", OTHER);
            }
            Format::Jsonl => {
                case.put("part-0.jsonl", JSONL);
                case.put("part-1.json", "{\"id\":3}\n");
            }
            Format::Orc => {
                case.put("part-0.orc", orc(2));
                case.put("part-1.orc", orc(1));
            }
            other => unreachable!("{other} is not decoded"),
        }
        case.put("test-file", "test");
        case
    }

    fn put(&self, name: &str, body: impl Into<bytes::Bytes>) -> Inserted<'_> {
        self.store.insert(BUCKET, &key(name), body)
    }

    async fn run(&self) -> Result<Report> {
        let (store, clock) = (Arc::clone(&self.store), Arc::new(self.clock.clone()));
        verify_within(store, clock, &self.asked, self.deadline, &self.limits).await
    }

    async fn report(&self) -> Report {
        self.run().await.expect("the check can be made")
    }
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn orc(rows: i64) -> Vec<u8> {
    let names = StringArray::from_iter((0..rows).map(|n| Some(format!("name {n}"))));
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from_iter_values(0..rows)) as _, true),
        ("name", Arc::new(names) as _, true),
    ])
    .expect("the columns fit");
    let mut bytes = Vec::new();
    let mut writer = ArrowWriterBuilder::new(&mut bytes, batch.schema())
        .try_build()
        .expect("supported");
    writer.write(&batch).expect("memory takes it");
    writer.close().expect("memory takes it");
    bytes
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[track_caller]
fn check(report: &Report, name: &str, verdict: CheckVerdict, words: &[&str]) {
    let check = report.check(name).unwrap_or_else(|| panic!("no check {name}"));
    assert_eq!(check.verdict, verdict, "{name}: {}", check.reason);
    for word in words {
        assert!(
            check.reason.contains(word),
            "the reason of {name} must hold {word:?}: {}",
            check.reason
        );
    }
}

/// Checks that this check fails, and no other.
#[track_caller]
fn only(report: &Report, name: &str, words: &[&str]) {
    check(report, name, Fail, words);
    let failed: Vec<&str> = report
        .checks
        .iter()
        .filter(|check| check.verdict == Fail)
        .map(|check| check.name.as_str())
        .collect();
    assert_eq!(failed, [name]);
    assert_eq!(report.verdict, Verdict::Failed);
}

#[tokio::test]
async fn a_good_output_passes_in_every_format() {
    for format in FORMATS {
        let report = Case::good(format).report().await;
        assert_eq!(report.verdict, Verdict::Passed, "{report:#?}");
        assert_eq!((report.schema.as_str(), report.rows), (SCHEMA, 3));
        assert_eq!(report.objects.len(), 3);
        check(&report, "output_present", Pass, &["2 of 2 data objects"]);
        check(&report, "newer_than_start", Pass, &[]);
        check(&report, "listing_stable", Pass, &["2 listings"]);
        check(&report, "no_empty_files", Pass, &[]);
        check(&report, "format", Pass, &[format.name()]);
        check(&report, "rows_counted", Pass, &["3 rows in 2 data objects"]);
        check(&report, "row_count_matches", Skipped, &[]);
        check(&report, "named_files", Skipped, &[]);
        check(&report, "encryption", Skipped, &[]);
        check(&report, "checksum", Pass, &["the CRC64NVME that S3 keeps of 2 of 2"]);
        let has_columns = if format == Format::Jsonl { Skipped } else { Pass };
        check(&report, "columns_agree", has_columns, &[]);
        check(&report, "no_duplicates", Pass, &[]);
        check(&report, "extra_objects", Pass, &["test-file (4 bytes)"]);
    }
}

#[tokio::test]
async fn the_report_tells_what_was_read() {
    let case = Case::good(Format::Csv);
    let report = case.report().await;
    let [first, _, test_file] = report.objects.as_slice() else {
        panic!("{:?}", report.objects)
    };
    assert_eq!(first.key, key("part-0.csv"));
    assert_eq!(first.role, Role::Data);
    assert_eq!((first.size, first.rows), (CSV.len() as u64, Some(2)));
    assert_eq!(first.sha256, Some(sha256(CSV.as_bytes())));
    assert_eq!(first.version_id.as_deref(), Some("v1"));
    assert_eq!(first.encryption.as_deref(), Some("AES256"));
    assert_eq!(
        (test_file.role, test_file.rows, &test_file.sha256),
        (Role::Extra, None, &None)
    );
    assert_eq!(report.bytes, first.size + OTHER.len() as u64);
    let text = serde_json::to_string(&report).expect("it serialises");
    assert_eq!(serde_json::from_str::<Report>(&text).expect("it parses"), report);
    assert!(!text.contains("Zoë") && !text.contains("Ålesund"));
    // There are two listings with the settling time in between.
    assert_eq!(case.store.count(Op::List), 2);
    assert_eq!(case.clock.slept(), [Duration::from_secs(5)]);
}

#[tokio::test]
async fn an_output_that_is_not_there_fails() {
    let report = Case::new(Format::Csv).report().await;
    only(&report, "output_present", &["nothing lies there", PREFIX]);

    // The test file proves nothing, whatever its name.
    for (name, body) in [
        ("test", "test"),
        ("test.txt", ""),
        ("folder/", ""),
        ("test.csv", "test"),
    ] {
        let case = Case::new(Format::Csv);
        case.put(name, body);
        only(&case.report().await, "output_present", &[]);
    }

    // Objects under another prefix do not count.
    let case = Case::new(Format::Csv);
    case.store.insert(BUCKET, "segments/run=other/part-0.csv", CSV);
    only(&case.report().await, "output_present", &[]);
}

#[tokio::test]
async fn an_empty_export_passes_only_if_it_may_be_empty() {
    for (format, name, body) in [
        (Format::Csv, "part-0.csv", "id,name\n".into()),
        (Format::Orc, "part-0.orc", orc(0)),
        (Format::Jsonl, "part-0.jsonl", b"\n".to_vec()),
    ] {
        let mut case = Case::new(format);
        case.put(name, body);
        only(&case.report().await, "output_present", &["holds no row"]);
        case.asked.allow_empty = true;
        let report = case.report().await;
        assert_eq!((report.verdict, report.rows), (Verdict::Passed, 0));
    }
    let mut case = Case::new(Format::Csv);
    case.asked.allow_empty = true;
    assert_eq!(case.report().await.verdict, Verdict::Passed);
    // An export without rows may have zero bytes if it is text, but not if it is ORC.
    case.put("part-0.csv", "");
    let report = case.report().await;
    assert_eq!(report.verdict, Verdict::PassedWithWarnings);
    check(&report, "no_empty_files", Warn, &["part-0.csv"]);
    let mut case = Case::new(Format::Orc);
    case.asked.allow_empty = true;
    case.put("part-0.orc", "");
    check(&case.report().await, "no_empty_files", Fail, &["part-0.orc"]);
    // An object that cannot be decoded is not empty.
    let mut case = Case::new(Format::Csv);
    case.asked.allow_empty = true;
    case.put("part-0.csv", "a,b\n1\n");
    check(&case.report().await, "output_present", Fail, &[]);
}

#[tokio::test]
async fn data_older_than_the_job_fails() {
    let case = Case::good(Format::Csv);
    let started_at = case.asked.started_at;
    // S3 gives whole seconds, and our clock may be a few seconds ahead of its clock.
    case.put("part-0.csv", CSV)
        .last_modified(started_at - TimeDelta::seconds(5));
    assert_eq!(case.report().await.verdict, Verdict::Passed);
    case.put("part-0.csv", CSV)
        .last_modified(started_at - TimeDelta::seconds(7));
    only(
        &case.report().await,
        "newer_than_start",
        &["part-0.csv", "2026-11-01T05:00:00Z"],
    );
    // An old object that is not data is only extra.
    case.put("part-0.csv", CSV);
    case.put("test-file", "test")
        .last_modified(started_at - TimeDelta::days(1));
    assert_eq!(case.report().await.verdict, Verdict::Passed);
}

#[tokio::test]
async fn a_late_file_is_read_and_listed_again() {
    let case = Case::good(Format::Csv);
    case.store.before(Op::List, 1, |store| {
        store.insert(BUCKET, &key("part-2.csv"), "id,name\n4,d\n");
    });
    let report = case.report().await;
    assert_eq!((report.verdict, report.rows), (Verdict::Passed, 4));
    check(&report, "listing_stable", Pass, &["3 listings", "added", "part-2.csv"]);

    // An object that was replaced between two listings is old, too. A test file may vanish.
    let case = Case::good(Format::Csv);
    case.put("probe", "a test");
    case.store.before(Op::List, 1, |store| {
        store.insert(BUCKET, &key("part-0.csv"), "id,name\n4,d\n");
        store.remove(BUCKET, &key("probe"));
    });
    let report = case.report().await;
    assert_eq!(report.rows, 2);
    check(
        &report,
        "listing_stable",
        Pass,
        &["replaced", "part-0.csv", "removed", "probe"],
    );
}

/// Content that is recognised as CSV must decode as CSV, and other content must begin with the magic bytes of its
/// format.
#[tokio::test]
async fn data_that_vanishes_between_two_listings_fails() {
    for listing in [1, 2] {
        let case = Case::good(Format::Csv);
        case.store.before(Op::List, 1, |store| {
            store.insert(BUCKET, &key("part-2.csv"), "id,name\n4,d\n");
        });
        case.store
            .before(Op::List, listing, |store| store.remove(BUCKET, &key("part-1.csv")));
        only(&case.report().await, "listing_stable", &["removed", "part-1.csv"]);
    }
}

#[tokio::test]
async fn an_output_that_goes_on_changing_is_given_up() {
    let case = Case::good(Format::Csv);
    for round in 1..20 {
        // Each act waits for the listing with its number.
        case.store.before(Op::List, round, move |store| {
            store.insert(BUCKET, &key("part-9.csv"), format!("id,name\n{round},x\n"));
        });
    }
    let report = case.report().await;
    only(&report, "listing_stable", &["5 listings", "replaced", "part-9.csv"]);
    check(&report, "rows_counted", Skipped, &[]);
    assert_eq!(case.store.count(Op::List), 5);
}

#[tokio::test]
async fn data_replaced_or_removed_while_read_fails() {
    type Act = fn(&MemoryStore);
    let acts: [Act; 2] = [
        |store| drop(store.insert(BUCKET, &key("part-0.csv"), "id,name\n4,d\n")),
        |store| store.remove(BUCKET, &key("part-0.csv")),
    ];
    for act in acts {
        // Before its HEAD, before its first range, and before its third.
        for (op, n, range) in [(Op::Head, 0, 4 << 20), (Op::Read, 0, 4 << 20), (Op::Read, 2, 3)] {
            let mut case = Case::new(Format::Csv);
            case.limits.range = range;
            case.put("part-0.csv", CSV);
            case.put("part-1.csv", CSV);
            case.limits.side_by_side = 1;
            case.store.before(op, n, act);
            let report = case.report().await;
            only(&report, "listing_stable", &["while being verified", "part-0.csv"]);
        }
    }
    // The test file may vanish at any time.
    let case = Case::good(Format::Csv);
    case.store
        .before(Op::Read, 0, |store| store.remove(BUCKET, &key("test-file")));
    assert_eq!(case.report().await.verdict, Verdict::Passed);
}

#[tokio::test]
async fn empty_files_fail() {
    for format in FORMATS {
        let case = Case::good(format);
        let name = format!("part-7.{}", format.name().to_lowercase());
        case.put(&name, "");
        only(&case.report().await, "no_empty_files", &["1 of 3", &name]);
    }
}

#[tokio::test]
async fn every_kind_of_defect_fails_format() {
    let half = |bytes: Vec<u8>| bytes[..bytes.len() / 2].to_vec();
    let cases: Vec<(Format, &str, Vec<u8>, &[&str])> = vec![
        (
            Format::Csv,
            "x.csv",
            b"a,b\n1,2\n3\n".to_vec(),
            &["x.csv: record 2, line 3: has 1 field, the header has 2"],
        ),
        (
            Format::Csv,
            "x.csv",
            b"a,b\n1,\"2\n".to_vec(),
            &["line 2", "quoted value"],
        ),
        (
            Format::Csv,
            "x.csv",
            b"a,b\n1,\xff\n".to_vec(),
            &["line 2", "not UTF-8"],
        ),
        (Format::Csv, "x.csv", b"a,b\n1,\0\n".to_vec(), &["NUL"]),
        (Format::Csv, "x.csv", b"\n".to_vec(), &["no header row"]),
        (Format::Csv, "x.csv", JSONL.into(), &["x.csv holds JSON"]),
        (Format::Csv, "x.csv", orc(1), &["x.csv holds ORC"]),
        (
            Format::Csv,
            "x.csv",
            b"\x1f\x8b\x08\0\0\0".to_vec(),
            &["x.csv holds gzip"],
        ),
        (Format::Csv, "x.csv", b"PK\x03\x04\0\0".to_vec(), &["holds zip"]),
        (Format::Csv, "x.csv", b"%PDF-1.7\n".to_vec(), &["holds PDF"]),
        (Format::Csv, "x.json", JSONL.into(), &["x.json has the suffix of JSONL"]),
        (Format::Csv, "x.orc", orc(1), &["x.orc has the suffix of ORC"]),
        (Format::Csv, "x.csv.gz", b"\x1f\x8b".to_vec(), &["gzip"]),
        (
            Format::Jsonl,
            "x.jsonl",
            b"{\"a\":1}\n{\"a\":".to_vec(),
            &["record 2, line 2", "cut off"],
        ),
        (
            Format::Jsonl,
            "x.jsonl",
            b"{\"a\":1}\n[1]\n".to_vec(),
            &["line 2: is not a JSON object"],
        ),
        (
            Format::Jsonl,
            "x.jsonl",
            b"{\"a\":1}\n\n{\"a\":1}\n".to_vec(),
            &["line 2: is blank"],
        ),
        (Format::Jsonl, "x.jsonl", CSV.into(), &["x.jsonl looks like CSV"]),
        (Format::Jsonl, "x.csv", CSV.into(), &["suffix of CSV"]),
        (Format::Orc, "x.orc", half(orc(100)), &["x.orc", "not ORC"]),
        (Format::Orc, "x.orc", CSV.into(), &["x.orc looks like CSV"]),
        (Format::Orc, "x.orc", b"ORC".to_vec(), &["x.orc"]),
        (Format::Orc, "x.orc", b"x".to_vec(), &["x.orc"]),
    ];
    for (format, name, body, words) in cases {
        let case = Case::good(format);
        case.put(name, body);
        let report = case.report().await;
        only(&report, "format", words);
        check(&report, "rows_counted", Skipped, &[]);
        let object = report
            .objects
            .iter()
            .find(|object| object.key.ends_with(name))
            .expect("listed");
        assert_eq!((object.role, object.rows, &object.sha256), (Role::Data, None, &None));
    }
}

#[tokio::test]
async fn a_format_without_a_decoder_never_counts_as_checked() {
    for (format, name, body) in [
        (Format::JsonlGzip, "part-0.json.gz", "\x1f\u{8b}"),
        (Format::Pdf, "sheet.pdf", "%PDF-1.7\n"),
        (Format::Excel, "sheet.xlsx", "PK\x03\x04"),
    ] {
        let case = Case::new(format);
        case.put(name, body);
        assert_eq!(case.report().await.verdict, Verdict::Failed, "{format}");
    }
}

#[tokio::test]
async fn content_decides_where_the_name_says_nothing() {
    for format in FORMATS {
        let case = Case::new(format);
        let body = match format {
            Format::Csv => CSV.into(),
            Format::Jsonl => JSONL.into(),
            Format::Orc => orc(2),
            other => unreachable!("{other} is not decoded"),
        };
        case.put("0a1b2c3d", body);
        let report = case.report().await;
        assert_eq!((report.verdict, report.rows), (Verdict::Passed, 2), "{report:#?}");
    }
    // A part that was cut off is neither data nor a test file.
    let case = Case::good(Format::Csv);
    case.put("0a1b2c3d", "id,name\n4,d\n5");
    let report = case.report().await;
    assert_eq!(report.verdict, Verdict::PassedWithWarnings);
    check(&report, "extra_objects", Warn, &["0a1b2c3d"]);
    // An object with a ragged head is not data. One with a valid head is checked as data.
    let case = Case::good(Format::Csv);
    case.put("0a1b2c3d", "a,b\n1,2\n3\n".repeat(20_000));
    let report = case.report().await;
    assert_eq!(
        report.check("format").map(|check| check.verdict),
        Some(Pass),
        "a ragged head must not count as data"
    );
    let case = Case::good(Format::Csv);
    case.put("0a1b2c3d", "a,b\n1,2\n".to_owned() + &"1,2\n".repeat(20_000) + "3\n");
    only(&case.report().await, "format", &["0a1b2c3d: record 20002, line 20003"]);
}

#[tokio::test]
async fn hidden_names_and_folders_are_left_out() {
    let case = Case::good(Format::Csv);
    case.put("_receipt.json", "{}");
    case.put("_temporary/0/part-0.csv", "half,\"a");
    case.put(".part-0.csv.crc", "x");
    case.put("folder/", "");
    let report = case.report().await;
    assert_eq!((report.verdict, report.rows), (Verdict::Passed, 3));
    check(&report, "extra_objects", Pass, &["folder/", "3 more begin with _ or ."]);
    // Hidden objects may come and go.
    case.store.before(Op::List, 1, |store| {
        drop(store.insert(BUCKET, &key("_receipt.json"), "{\"a\":1}"))
    });
    assert_eq!(case.report().await.verdict, Verdict::Passed);
}

#[tokio::test]
async fn the_rows_must_match_the_count_of_the_service() {
    let mut case = Case::good(Format::Jsonl);
    case.asked.rows = Some(3);
    case.asked.strict_row_count = true;
    check(&case.report().await, "row_count_matches", Pass, &["3 rows"]);
    case.asked.rows = Some(5);
    only(
        &case.report().await,
        "row_count_matches",
        &["3 rows", "reports 5", "2 are missing"],
    );
    case.asked.rows = Some(2);
    only(&case.report().await, "row_count_matches", &["1 are too many"]);
}

#[tokio::test]
async fn files_that_the_service_names_must_be_there() {
    let mut case = Case::good(Format::Csv);
    let named = |bucket: &str, name: &str| NamedFile {
        label: "a file".to_owned(),
        format: Format::Csv,
        uri: Some(S3Object {
            bucket: bucket.to_owned(),
            key: key(name),
        }),
        error: None,
    };
    let uri = |name: &str| named(BUCKET, name);
    case.asked.files = Some(vec![uri("part-0.csv"), uri("part-1.csv")]);
    check(&case.report().await, "named_files", Pass, &["2 files"]);
    case.asked.files = Some(vec![uri("part-0.csv")]);
    check(&case.report().await, "named_files", Warn, &["part-1.csv"]);
    case.asked.files = Some(vec![uri("part-0.csv"), uri("part-1.csv"), uri("part-2.csv")]);
    only(&case.report().await, "named_files", &["1 of the 3 files", "part-2.csv"]);
    case.asked.files = Some(vec![named("elsewhere", "part-0.csv")]);
    only(&case.report().await, "named_files", &["s3://elsewhere/"]);
    // An object that the service names is data, whatever its name.
    let mut case = Case::good(Format::Csv);
    case.put("_data", "id,name\n9,i\n");
    case.asked.files = Some(vec![uri("part-0.csv"), uri("part-1.csv"), uri("_data")]);
    let report = case.report().await;
    assert_eq!((report.verdict, report.rows), (Verdict::Passed, 4));
}

#[tokio::test]
async fn encryption_is_compared_with_the_key_asked_for() {
    let other = KEY.replace("0001", "0002");
    let id = "0a1b2c3d-0000-4000-8000-000000000001";
    for (asked, encryption, found, verdict) in [
        (KEY, "aws:kms", Some(KEY), Pass),
        (KEY, "aws:kms:dsse", Some(KEY), Pass),
        (id, "aws:kms", Some(KEY), Pass),
        (KEY, "aws:kms", Some(id), Pass),
        (KEY, "aws:kms", Some(&other), Fail),
        (KEY, "aws:kms", Some(&KEY.replace("1111", "2222")), Fail),
        (id, "aws:kms", Some(&other), Fail),
        (KEY, "aws:kms", None, Fail),
        (KEY, "AES256", None, Fail),
        ("alias/exports", "aws:kms", Some(KEY), Warn),
        (
            "arn:aws:kms:eu-central-1:111122223333:alias/exports",
            "aws:kms",
            Some(KEY),
            Warn,
        ),
        ("alias/exports", "AES256", None, Fail),
    ] {
        let mut case = Case::new(Format::Csv);
        case.put("part-0.csv", CSV).encryption(encryption, found);
        case.asked.kms_key = Some(asked.to_owned());
        let report = case.report().await;
        check(&report, "encryption", verdict, &[]);
        assert_eq!(report.objects[0].kms_key.as_deref(), found);
        if verdict == Fail {
            only(&report, "encryption", &["part-0.csv"]);
        }
    }
}

#[tokio::test]
async fn checksums_of_s3_are_compared_with_ours() {
    let sha256 = |value: &str| StoredChecksum::choose([("SHA-256", value)], false);
    let of = |bytes: &str| sha256(&base64::encode(Sha256::digest(bytes)));
    let case = Case::good(Format::Csv);
    check(
        &case.report().await,
        "checksum",
        Pass,
        &["the CRC64NVME that S3 keeps of 2 of 2"],
    );
    case.put("part-0.csv", CSV).checksum(of(CSV));
    check(
        &case.report().await,
        "checksum",
        Pass,
        &["(CRC64NVME: 1, SHA-256: 1) that S3 keeps of 2 of 2"],
    );
    let wrong = [
        of("other"),
        sha256("not base64"),
        StoredChecksum::choose([("CRC64NVME", "rosUhgp5mIg=")], false),
    ];
    for wrong in wrong {
        case.put("part-1.csv", OTHER).checksum(wrong);
        only(&case.report().await, "checksum", &["part-1.csv"]);
    }
    // Checksums of parts, and objects without a checksum, are not compared.
    case.put("part-0.csv", CSV).checksum(None);
    case.put("part-1.csv", OTHER)
        .checksum(StoredChecksum::choose([("CRC32C", "4waSgw==-2")], false));
    check(
        &case.report().await,
        "checksum",
        Skipped,
        &["(CRC32C: 1)", "the SHA-256 of the objects is ours"],
    );
}

#[tokio::test]
async fn unknown_objects_are_listed() {
    let case = Case::good(Format::Csv);
    case.store.remove(BUCKET, &key("test-file"));
    check(&case.report().await, "extra_objects", Pass, &["nothing but data"]);
    case.put("a", "x");
    check(&case.report().await, "extra_objects", Pass, &["a (1 byte)"]);
    for n in 0..10 {
        case.put(&format!("b{n}"), "x");
    }
    let report = case.report().await;
    check(&report, "extra_objects", Warn, &["11 objects", "and 6 more"]);
    assert_eq!(report.verdict, Verdict::PassedWithWarnings);
    // An unknown object that looks like another format warns, and so does a large one.
    for body in [orc(1), vec![b'x'; 100_000]] {
        let case = Case::good(Format::Csv);
        case.put("test-file", body);
        check(&case.report().await, "extra_objects", Warn, &["test-file"]);
    }
}

#[tokio::test]
async fn reasons_are_bounded() {
    let case = Case::new(Format::Csv);
    for n in 0..50 {
        case.put(&format!("{}{n}\u{7}.csv", "long/".repeat(150)), "a,b\n1\n");
    }
    let report = case.report().await;
    check(&report, "format", Fail, &["50 of 50", "and 45 more"]);
    for check in &report.checks {
        assert!(
            check.reason.chars().count() <= 2_000 && !check.reason.contains('\u{7}'),
            "{}",
            check.reason
        );
    }
}

#[tokio::test]
async fn the_error_of_any_failed_call_is_returned_unchanged() {
    for format in FORMATS {
        for kind in [
            ErrorKind::Throttled,
            ErrorKind::Unavailable,
            ErrorKind::Forbidden,
            ErrorKind::Internal,
        ] {
            let calls = {
                let mut case = Case::good(format);
                case.limits.range = 10;
                case.report().await;
                case.store.calls().len()
            };
            for n in 0..calls {
                let mut case = Case::good(format);
                case.limits.range = 10;
                case.store.fail_at(n, kind);
                let error = case.run().await.expect_err("a call failed");
                assert_eq!(error.kind, kind, "call {n} of {calls}");
                assert!(error.message.contains("s3://exports/"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn ranges_of_any_size_give_the_same_report() {
    for format in FORMATS {
        let expected = Case::good(format).report().await;
        for (range, side_by_side, memory) in [(1, 1, 1), (7, 3, 1), (64, 8, 1 << 30)] {
            let mut case = Case::good(format);
            case.limits = Limits {
                range,
                side_by_side,
                memory,
                ..Limits::default()
            };
            assert_eq!(case.report().await, expected);
        }
    }
}

#[tokio::test]
async fn verification_stops_before_the_deadline_and_says_how_far_it_came() {
    let mut case = Case::new(Format::Csv);
    case.limits.range = 10;
    case.limits.side_by_side = 1;
    case.put("part-0.csv", CSV);
    case.put("part-1.csv", CSV);
    let clock = case.clock.clone();
    case.deadline = clock.now() + TimeDelta::seconds(60);
    // The first object has three ranges.
    case.store
        .before(Op::Read, 4, move |_| clock.advance(Duration::from_secs(56)));
    let Error { kind, message, .. } = case.run().await.expect_err("it is too late");
    assert_eq!(kind, ErrorKind::TimedOut);
    assert!(
        message.contains("1 of 2 objects") && message.contains(PREFIX),
        "{message}"
    );

    // There must be time for the second listing.
    let mut case = Case::good(Format::Csv);
    case.deadline = case.clock.now() + TimeDelta::seconds(9);
    let error = case.run().await.expect_err("it is too late");
    assert_eq!(error.kind, ErrorKind::TimedOut);
    assert!(error.message.contains("not listed again"), "{error}");
    assert_eq!(case.clock.slept(), [Duration::ZERO; 0]);
}

#[tokio::test]
async fn time_spent_reading_counts_as_settling() {
    let case = Case::good(Format::Csv);
    let clock = case.clock.clone();
    case.store
        .before(Op::Head, 0, move |_| clock.advance(Duration::from_secs(3)));
    assert_eq!(case.report().await.verdict, Verdict::Passed);
    assert_eq!(case.clock.slept(), [Duration::from_secs(2)]);
}

#[tokio::test]
async fn a_listing_beyond_the_limit_is_an_error() {
    let mut case = Case::good(Format::Csv);
    case.limits.objects = 2;
    assert_eq!(case.run().await.expect_err("too many").kind, ErrorKind::Internal);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_the_objects() {
    const LINE: &[u8] = b"00000000,\"a value, with a comma\",another value of some length\n";
    const LINES: u64 = 800_000;
    let case = Case::new(Format::Csv);
    // The first line is the header. Apart from the first byte all lines are equal, so any range can be made from its
    // offset.
    let size = LINE.len() as u64 * (LINES + 1);
    for n in 0..4_u8 {
        case.store
            .insert_made(BUCKET, &key(&format!("part-{n}.csv")), size, move |range| {
                let skipped = (range.start % LINE.len() as u64) as usize;
                let length = (range.end - range.start) as usize;
                let mut bytes = LINE[skipped..].to_vec();
                bytes.extend(LINE.repeat(length / LINE.len() + 1));
                bytes.truncate(length);
                if range.start == 0 {
                    bytes[0] = b'h';
                }
                // No two objects are the same.
                if range.contains(&(size - 2)) {
                    bytes[(size - 2 - range.start) as usize] = b'0' + n;
                }
                bytes
            });
    }
    let (store, clock) = (Arc::clone(&case.store), Arc::new(case.clock.clone()));
    let report = verify(store, clock, &case.asked, case.deadline)
        .await
        .expect("the check can be made");
    assert_eq!((report.verdict, report.rows), (Verdict::Passed, 4 * LINES));
    assert!(report.bytes > 190_000_000);
    let limits = Limits::default();
    let bound = limits.side_by_side * limits.ranges * limits.held as usize + limits.side_by_side * (1 << 20);
    assert!(
        case.store.peak_bytes_held() <= bound,
        "{} bytes held",
        case.store.peak_bytes_held()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_needs_all_the_memory_is_read_alone() {
    let mut case = Case::good(Format::Jsonl);
    for n in 0..8 {
        case.put(
            &format!("part-1{n}.jsonl"),
            JSONL.repeat(20_000).replacen('1', &n.to_string(), 1),
        );
    }
    case.limits.memory = 1;
    case.limits.range = 64 << 10;
    case.limits.side_by_side = 8;
    let report = case.report().await;
    assert_eq!((report.verdict, report.rows), (Verdict::Passed, 3 + 8 * 40_000));
    // One object at a time: at most the whole object, and the first range of an unknown one.
    assert!(case.store.peak_bytes_held() <= JSONL.len() * 20_000 + (64 << 10));
}
