//! The corpus of good outputs: files of writers that are not ours. None may be refused, and the rows, columns and pages
//! of each must be those that its writer was given.
//!
//! What must stay true: no file is left out. If a file must be refused after all, it is named here with the reason.

// A panic with its message is how these tests fail.
#![allow(clippy::expect_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use landfall::clock::Clock;
use landfall_formats::{Decoded, Defect, MAX_COLUMN_NAME};
use landfall_local::python;
use landfall_output::verify::{CheckVerdict, Expectation, Format, Limits, Report, Verdict, verify_within};
use landfall_tests::{clock::ManualClock, memory_store::MemoryStore};
use serde::Deserialize;

const REQUIREMENTS: &str = include_str!("../python/requirements-writers.txt");
const BUCKET: &str = "exports";

/// Parts of the names of files that are accepted with a warning, because other readers may read them differently: rows
/// that end with CR alone, and escapes of half a surrogate pair.
const REMARKED: [&str; 2] = ["-cr.", "-lone-surrogate"];

/// A file and its content, as its writer describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    file: String,
    format: Format,
    rows: Option<u64>,
    columns: Option<Vec<String>>,
    pages: Option<u64>,
}

fn expected(folder: &Path) -> Vec<Expected> {
    let text = fs::read_to_string(folder.join("expected.json")).expect("it was written");
    serde_json::from_str(&text).expect("it is a list")
}

fn expectation(prefix: &str, format: Format, empty: bool) -> Expectation {
    Expectation {
        allow_empty: empty,
        settle: Duration::ZERO,
        ..Expectation::of(format!("s3://{BUCKET}/{prefix}").parse().expect("a URI"), Some(format))
    }
}

async fn report(store: &Arc<MemoryStore>, of: &Expected, range: u64) -> Report {
    let clock = ManualClock::at(Utc::now());
    let limits = Limits {
        range,
        ..Limits::default()
    };
    let asked = expectation(&format!("{}/", of.file), of.format, of.rows == Some(0));
    let deadline = clock.now() + TimeDelta::hours(1);
    verify_within(Arc::clone(store) as _, Arc::new(clock), &asked, deadline, &limits)
        .await
        .expect("a verdict")
}

/// The columns, which a report does not hold. `None` if the format has none.
fn columns(format: Format, bytes: &[u8]) -> Option<Result<Decoded, Defect>> {
    format.row().has_columns().then(|| {
        let mut decoder = format.row().open(&Bytes::copy_from_slice(bytes))?;
        for chunk in bytes.chunks(1_000) {
            decoder.push(chunk)?;
        }
        decoder.finish()
    })
}

/// Whether two columns have the same name, within the length that decoders keep.
fn has_a_name_twice(of: &Expected) -> bool {
    let names = of.columns.iter().flatten();
    let whole =
        names.filter(|name| !name.is_empty() && name.chars().count() < MAX_COLUMN_NAME && !name.contains('\u{fffd}'));
    let mut seen = BTreeSet::new();
    whole.into_iter().any(|name| !seen.insert(name))
}

/// Checks every file of a folder against its writer's description.
async fn hold(folder: &Path) -> BTreeMap<String, usize> {
    let mut wrong = Vec::new();
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for of in expected(folder) {
        *counted.entry(of.format.to_string()).or_default() += 1;
        let bytes = fs::read(folder.join(&of.file)).expect("the file is there");
        let clock = ManualClock::at(Utc::now());
        let store = Arc::new(MemoryStore::new(Arc::new(clock)));
        let name = of.file.rsplit('/').next().expect("a name");
        store.insert(BUCKET, &format!("{}/{name}", of.file), bytes.clone());
        for range in [4 << 20, 1_000] {
            let report = report(&store, &of, range).await;
            let reason = &report.check("format").expect("the check").reason;
            let warnings = report.checks.iter().filter(|check| check.verdict == CheckVerdict::Warn);
            let warned: Vec<&str> = warnings.map(|check| check.name.as_str()).collect();
            // Files that readers read differently are accepted with a warning.
            let is_remarked = REMARKED.iter().any(|part| of.file.contains(part));
            let expected: Vec<&str> = is_remarked
                .then_some("format")
                .into_iter()
                .chain(has_a_name_twice(&of).then_some("columns_agree"))
                .collect();
            if report.verdict == Verdict::Failed || warned != expected {
                wrong.push(format!("{}: {} by {warned:?}: {reason}", of.file, report.verdict));
            } else {
                let [object] = report.objects.as_slice() else {
                    panic!("one object")
                };
                if (object.rows, object.pages) != (of.rows, of.pages) {
                    let found = (object.rows, object.pages);
                    wrong.push(format!("{}: {found:?}, not {:?}", of.file, (of.rows, of.pages)));
                }
            }
        }
        match (columns(of.format, &bytes), &of.columns) {
            (Some(Ok(decoded)), Some(columns))
                if decoded.columns == *columns && decoded.column_count == columns.len() as u64 => {}
            (None, None) => {}
            (found, _) => wrong.push(format!("{}: {found:?}, not {:?}", of.file, of.columns)),
        }
    }
    assert!(wrong.is_empty(), "{} do not hold:\n{}", wrong.len(), wrong.join("\n"));
    counted
}

#[tokio::test]
async fn files_of_other_writers_are_accepted_and_counted() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_owned();
    let purpose = "pyarrow, DuckDB, polars, pandas and others, which write the corpus of good outputs";
    let environment =
        python::ensure_requirements(&workspace, "corpus", REQUIREMENTS, purpose).expect("it can be installed");
    let folder = tempfile::tempdir().expect("a folder");
    let mut writers = Command::new(environment.python());
    writers.arg(workspace.join("tests/python/corpus.py")).arg(folder.path());
    let status = writers.status().expect("Python starts");
    assert!(status.success(), "{status}");
    let counted = hold(folder.path()).await;
    for (format, least) in [
        ("CSV", 35),
        ("JSONL", 20),
        ("JSONL_GZIP", 90),
        ("ORC", 45),
        ("PDF", 17),
        ("EXCEL", 16),
    ] {
        assert!(counted.get(format) >= Some(&least), "{format}: {counted:?}");
    }
}

/// The part of the corpus that is committed for the fuzz targets, and needs no Python.
#[tokio::test]
async fn the_committed_seeds_are_accepted_and_counted() {
    let seeds = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("data/seeds");
    let counted = hold(&seeds).await;
    assert_eq!(counted.len(), 6, "{counted:?}");
}
