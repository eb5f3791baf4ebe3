//! Measures the memory of a whole process that verifies far more data than it may hold.
//!
//! What must stay true: each format is verified in a process of its own, so that no other test affects the measurement.
//! Objects are made while they are read, and no other part of the process holds them.

// A panic with its message is how these tests fail.
#![allow(clippy::expect_used, clippy::print_stdout)]
#![cfg(target_os = "linux")]

use std::{fs, io::Write as _, ops::Range, process::Command, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use flate2::{Compression, write::GzEncoder};
use landfall::{
    clock::Clock,
    error::{Error, Result},
    job::Level,
    store::{
        Listed, ObjectStore, Page,
        layer::{Answer, Call, Layer, Layered},
    },
};
use landfall_output::verify::{
    Check, CheckVerdict, Expectation, Format, Limits, Report, Verdict, verify, verify_within,
};
use landfall_tests::{clock::ManualClock, memory_store::MemoryStore};

/// The most memory that a process may hold at any time, in MiB, its code and libraries included.
const BOUND: u64 = 64;
/// The most memory for each object that is verified without a ledger, in bytes.
const OF_EACH: u64 = 1_000;
/// The variable that names the case for the child process.
const CASE: &str = "LANDFALL_MEMORY_CASE";
const BUCKET: &str = "exports";
const PREFIX: &str = "segments/run=1/";

/// An object that repeats one pattern.
struct Case {
    format: Format,
    suffix: &'static str,
    pattern: Vec<u8>,
    rows: u64,
    /// How often the pattern is repeated in each object.
    times: u64,
    objects: u64,
    /// Rows of all headers, which do not count.
    headers: u64,
    decoded: u64,
}

fn case(name: &str) -> Case {
    let line = |n: usize| format!("{{\"id\":{n},\"name\":\"Zoë \\u00e9 {n}\",\"tags\":[1,null,\"x\"]}}\n");
    match name {
        "csv" => {
            let line = b"00000000,\"a value, with a comma\",another value of some length\n";
            // The pattern begins with the header. A header without names may be repeated.
            let pattern = [b",\"\",\n".to_vec(), line.repeat(999)].concat();
            let times = 1_700;
            Case {
                format: Format::Csv,
                suffix: "csv",
                rows: 1_000,
                times,
                objects: 2,
                headers: 1,
                decoded: pattern.len() as u64 * times * 2,
                pattern,
            }
        }
        "jsonl" => {
            let pattern = (0..1_000).map(line).collect::<String>().into_bytes();
            let times = 1_900;
            Case {
                format: Format::Jsonl,
                suffix: "jsonl",
                rows: 1_000,
                times,
                objects: 2,
                headers: 0,
                decoded: pattern.len() as u64 * times * 2,
                pattern,
            }
        }
        "gzip" => {
            // A member inflates to some hundred times its size, so little is read and much must not be held.
            let text = line(7).repeat(20_000).into_bytes();
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&text).expect("memory takes it");
            let times = 100;
            Case {
                format: Format::JsonlGzip,
                suffix: "json.gz",
                pattern: encoder.finish().expect("memory takes it"),
                rows: 20_000,
                times,
                objects: 2,
                headers: 0,
                decoded: text.len() as u64 * times * 2,
            }
        }
        other => panic!("no case {other}"),
    }
}

fn part(pattern: &[u8], range: Range<u64>) -> Vec<u8> {
    let skipped = (range.start % pattern.len() as u64) as usize;
    let length = (range.end - range.start) as usize;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&pattern[skipped..pattern.len().min(skipped + length)]);
    while bytes.len() < length {
        let missing = length - bytes.len();
        bytes.extend_from_slice(&pattern[..pattern.len().min(missing)]);
    }
    bytes
}

async fn run(case: Case) -> Report {
    let started_at: DateTime<Utc> = "2026-11-01T05:00:07Z".parse().expect("a time");
    let clock = ManualClock::at(started_at);
    let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
    let pattern = Arc::new(case.pattern);
    let size = pattern.len() as u64 * case.times;
    for n in 0..case.objects {
        let pattern = Arc::clone(&pattern);
        let key = format!("{PREFIX}part-{n}.{}", case.suffix);
        store.insert_made(BUCKET, &key, size, move |range| part(&pattern, range));
    }
    let asked = Expectation {
        started_at,
        rows: Some((case.rows * case.times - case.headers) * case.objects),
        strict_row_count: true,
        ..Expectation::of(
            format!("s3://{BUCKET}/{PREFIX}").parse().expect("a URI"),
            Some(case.format),
        )
    };
    let deadline = clock.now() + TimeDelta::hours(1);
    verify(store, Arc::new(clock), &asked, deadline)
        .await
        .expect("a verdict")
}

/// Not a test by itself: the other tests run it in a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run by the others"]
async fn verify_one_case_in_this_process() {
    let name = std::env::var(CASE).expect("run by the others");
    let case = case(&name);
    let decoded = case.decoded;
    let report = run(case).await;
    // All objects are equal here, so only `no_duplicates` may warn.
    let is_good = |check: &Check| {
        matches!(check.verdict, CheckVerdict::Pass | CheckVerdict::Skipped)
            || (check.name == "no_duplicates" && check.verdict == CheckVerdict::Warn)
    };
    assert!(report.checks.iter().all(is_good), "{report:#?}");
    let peak = peak_kib();
    println!("{name}: {} MiB decoded, at most {} MiB held", decoded >> 20, peak >> 10);
    assert!(
        peak >> 10 <= BOUND,
        "{name}: holds {} MiB, but may hold {BOUND}",
        peak >> 10
    );
    assert!(decoded >> 20 >= 3 * BOUND, "{name}: only {} MiB", decoded >> 20);
}

/// The peak memory of this process, in KiB.
fn peak_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .expect("Linux tells")
}

/// A store layer that lists so many objects without holding them.
struct Listing(usize);

#[async_trait]
impl Layer for Listing {
    async fn call(&self, call: Call<'_>, _: &dyn ObjectStore) -> Result<Answer> {
        let Call::ListPage { prefix, after, .. } = call else {
            return Err(Error::internal("there is a listing, and nothing else"));
        };
        let from = after
            .and_then(|after| after.rsplit(['-', '.']).nth(1)?.parse::<usize>().ok())
            .map_or(0, |last| last + 1);
        let to = self.0.min(from + 1_000);
        let listed = |n: usize| Listed {
            key: format!("{prefix}part-{n:08}.csv"),
            size: 9,
            etag: format!("\"{n:032x}\""),
            last_modified: DateTime::UNIX_EPOCH,
        };
        let objects: Vec<Listed> = (from..to).map(listed).collect();
        let next = objects.last().filter(|_| to < self.0).map(|last| last.key.clone());
        Ok(Answer::Page(Page { objects, next }))
    }
}

/// Not a test by itself: the last test runs it in a process of its own.
#[tokio::test]
#[ignore = "run by another"]
async fn verify_many_objects_in_this_process() {
    const OBJECTS: usize = 100_000;
    let clock = ManualClock::at("2026-11-01T05:00:07Z".parse().expect("a time"));
    let asked = Expectation {
        level: Level::Listing,
        ..Expectation::of(
            format!("s3://{BUCKET}/{PREFIX}").parse().expect("a URI"),
            Some(Format::Csv),
        )
    };
    let deadline = clock.now() + TimeDelta::hours(1);
    let before = peak_kib();
    let store = Layered::new(Arc::new(MemoryStore::new(Arc::new(clock.clone()))), Listing(OBJECTS));
    let report = verify_within(Arc::new(store), Arc::new(clock), &asked, deadline, &Limits::default())
        .await
        .expect("a verdict");
    assert_eq!((report.verdict, report.data_objects), (Verdict::Passed, OBJECTS as u64));
    let bytes = (peak_kib() - before) * 1_024 / OBJECTS as u64;
    println!("objects: at most {bytes} bytes held of each");
    assert!(
        bytes <= OF_EACH,
        "holds {bytes} bytes for each object, but may hold {OF_EACH}"
    );
}

fn in_a_process(name: &str) {
    run_in_a_process("verify_one_case_in_this_process", name);
}

fn run_in_a_process(process: &str, name: &str) {
    let own = std::env::current_exe().expect("this test");
    let output = Command::new(own)
        .args(["--exact", process, "--ignored", "--nocapture"])
        .env(CASE, name)
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.contains("1 passed") && text.contains("at most"),
        "the child process must run one test: {text}"
    );
}

#[test]
fn csv_of_any_size_takes_little_memory() {
    in_a_process("csv");
}

#[test]
fn json_lines_of_any_size_take_little_memory() {
    in_a_process("jsonl");
}

#[test]
fn gzip_that_inflates_to_any_size_takes_little_memory() {
    in_a_process("gzip");
}

#[test]
fn verification_without_a_ledger_holds_little_per_object() {
    run_in_a_process("verify_many_objects_in_this_process", "objects");
}
