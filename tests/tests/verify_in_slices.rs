//! Verifications that do not fit in one invocation give the same report as those that do, whatever is lost on the way.

// A panic with its message is how these tests fail.
#![allow(clippy::expect_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use landfall::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    expect::{ExpectedColumns, OnViolation},
    slices::MAX_REPEATS,
    store::ObjectStore,
};
use landfall_output::verify::{
    Begin, CheckVerdict, Desk, Expectation, Format, Item, Limits, MAX_OBJECTS, Report, Turn, Verdict, VerifiedObject,
    run_slice, turn, verify_within,
};
use landfall_tests::{
    clock::ManualClock,
    memory_store::{MemoryStore, Op},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const BUCKET: &str = "exports";
const LEDGER: &str = "ledger";
const PREFIX: &str = "segments/run=20261101T050000Z-0a1b2c3d/";

/// More invocations than any of these verifications needs.
const MANY: usize = 400;

struct Case {
    store: Arc<MemoryStore>,
    clock: ManualClock,
    asked: Expectation,
    limits: Limits,
    /// How long an invocation may run.
    time: TimeDelta,
    invocations: AtomicUsize,
}

impl Case {
    fn new() -> Self {
        let started_at: DateTime<Utc> = "2026-11-01T05:00:07.900Z".parse().expect("a time");
        let clock = ManualClock::at(started_at + TimeDelta::minutes(5));
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        store.create_bucket(BUCKET);
        store.create_bucket(LEDGER);
        Self {
            store,
            asked: Expectation {
                started_at,
                ..Expectation::of(
                    format!("s3://{BUCKET}/{PREFIX}").parse().expect("a URI"),
                    Some(Format::Csv),
                )
            },
            limits: Limits {
                slice_objects: 3,
                ..Limits::default()
            },
            time: TimeDelta::minutes(10),
            clock,
            invocations: AtomicUsize::new(0),
        }
    }

    /// A case with this many good objects, each with as many rows as its number.
    fn with(objects: usize) -> Self {
        let case = Self::new();
        for number in 0..objects {
            case.put(&format!("part-{number:05}.csv"), &csv(number));
        }
        case
    }

    fn put(&self, name: &str, body: &str) {
        self.store.insert(BUCKET, &key(name), body.to_owned());
    }

    fn parts(&self) -> (Arc<dyn ObjectStore>, Arc<dyn Clock>) {
        (
            Arc::clone(&self.store) as Arc<dyn ObjectStore>,
            Arc::new(self.clock.clone()),
        )
    }

    /// Verifies everything in one invocation.
    async fn at_once(&self) -> Report {
        let (store, clock) = self.parts();
        let deadline = self.clock.now() + TimeDelta::hours(10);
        verify_within(store, clock, &self.asked, deadline, &self.limits)
            .await
            .expect("the check can be made")
    }

    async fn turn(&self, begin: Begin<'_>) -> Result<Turn> {
        let number = self.invocations.fetch_add(1, Ordering::SeqCst);
        let desk = Desk {
            bucket: LEDGER.to_owned(),
            prefix: format!("verifications/k/j/{number}/"),
            objects: format!("reports/k/j/{number}.objects.jsonl"),
        };
        let (store, clock) = self.parts();
        turn(store, clock, begin, &desk, self.clock.now() + self.time, &self.limits).await
    }

    async fn slice(&self, item: &Item) -> Result<bool> {
        self.invocations.fetch_add(1, Ordering::SeqCst);
        let (store, clock) = self.parts();
        run_slice(store, clock, LEDGER, item, self.clock.now() + self.time, &self.limits).await
    }

    /// Verifies in as many invocations as it takes. Each is retried after a transient error, as in the definition.
    async fn in_slices(&self) -> Result<Report> {
        self.in_slices_without(|_, _| false).await
    }

    /// The same, but items for which `is_stopped` holds are not worked on. It gets the number of the map's run and the
    /// item.
    async fn in_slices_without(&self, is_stopped: impl Fn(usize, &Item) -> bool) -> Result<Report> {
        let mut work: Option<String> = None;
        for run in 0.. {
            let begin = || work.as_deref().map_or(Begin::New(&self.asked), Begin::At);
            let manifest = match retried(|| self.turn(begin())).await? {
                Turn::Report(report) => return Ok(*report),
                Turn::Slices {
                    work: key, manifest, ..
                } => {
                    work = Some(key);
                    manifest
                }
            };
            let items = self.store.body(&manifest.bucket, &manifest.key).expect("a manifest");
            let items: Vec<Item> = serde_json::from_slice(&items).expect("items");
            for item in items.iter().filter(|item| !is_stopped(run, item)) {
                // The next turn reports a slice that fails for good.
                while matches!(retried(|| self.slice(item)).await, Ok(false)) {
                    assert!(self.invocations.load(Ordering::SeqCst) < MANY, "it never ends");
                }
            }
            assert!(self.invocations.load(Ordering::SeqCst) < MANY, "it never ends");
        }
        unreachable!("the loop has no end of its own")
    }
}

async fn retried<T, F: Future<Output = Result<T>>>(step: impl Fn() -> F) -> Result<T> {
    for _ in 0..3 {
        match step().await {
            Err(error) if error.kind.is_transient() => {}
            result => return result,
        }
    }
    step().await
}

fn key(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// A file of `number % 50` rows. No two numbers have the same rows.
fn csv(number: usize) -> String {
    let rows: String = (0..number % 50)
        .map(|row| format!("{row},\"name\n{number}\"\n"))
        .collect();
    format!("id,name\n{rows}")
}

/// The part of a report that does not depend on how the work was divided.
fn essence(report: Report) -> Report {
    Report {
        checked_at: DateTime::UNIX_EPOCH,
        slices: 0,
        objects_file: None,
        ..report
    }
}

/// Found by the simulator: an invocation whose clock was ahead of that of the first listing made the second listing at
/// once, so that a late file was missed.
#[tokio::test]
async fn the_settling_time_passes_even_if_a_clock_is_ahead() {
    let case = Case::with(4);
    let ahead = Duration::from_secs(4);
    let Turn::Slices { work, manifest, .. } = case.turn(Begin::New(&case.asked)).await.expect("it lists") else {
        panic!("four objects do not fit in a slice of three");
    };
    let items = case.store.body(&manifest.bucket, &manifest.key).expect("a manifest");
    for item in serde_json::from_slice::<Vec<Item>>(&items).expect("items") {
        case.slice(&item).await.expect("it reads");
    }
    let waited = || case.clock.slept().into_iter().sum::<Duration>();
    let before = waited();
    case.clock.advance(ahead);
    let turn = case.turn(Begin::At(&work)).await.expect("it lists again");
    assert!(matches!(turn, Turn::Report(_)), "{turn:?}");
    let passed = waited() - before;
    assert!(passed >= case.asked.settle, "{passed:?} of {:?}", case.asked.settle);
}

#[tokio::test]
async fn slices_find_what_one_invocation_finds() {
    for objects in [0, 1, 3, 4, 50] {
        let case = Case::with(objects);
        if objects > 3 {
            case.put("part-00002.csv", "id,name\n1\n");
            case.put("other.txt", "no data");
            case.put("_hidden.csv", "a,b\n");
        }
        let report = case.in_slices().await.expect("the check can be made");
        // Three objects fit in one slice, and are read at once.
        let extra = if objects > 3 { 1 } else { 0 };
        let slices = (objects + extra).div_ceil(3);
        assert_eq!(report.slices, if slices > 1 { slices as u64 } else { 0 }, "{objects}");
        assert_eq!(essence(report), essence(case.at_once().await), "{objects} objects");
    }
}

#[tokio::test]
async fn many_objects_are_listed_in_a_file() {
    let mut case = Case::with(3_210);
    case.limits.slice_objects = 1_000;
    let report = case.in_slices().await.expect("the check can be made");
    assert_eq!(report.verdict, Verdict::Passed);
    assert_eq!((report.data_objects, report.all_objects), (3_210, 3_210));
    assert_eq!((report.objects.len(), report.slices), (MAX_OBJECTS, 4));
    let file = report.objects_file.clone().expect("a file");
    let body = case.store.body(LEDGER, &file.key).expect("the file is there");
    assert_eq!(
        (body.len() as u64, hex::encode(Sha256::digest(&body))),
        (file.bytes, file.sha256)
    );
    let listed: Vec<VerifiedObject> = body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("an object"))
        .collect();
    assert_eq!(listed.len(), 3_210);
    assert!(listed.is_sorted_by(|one, other| one.key < other.key));
    assert_eq!(listed[..MAX_OBJECTS], report.objects);
    assert_eq!(listed.iter().filter_map(|object| object.rows).sum::<u64>(), report.rows);
    assert_eq!(essence(report), essence(case.at_once().await));
    // The slices looked at and read each object once, and so did the comparison.
    assert_eq!(case.store.count(Op::Head), 2 * 3_210);
}

#[tokio::test]
async fn twenty_thousand_objects_need_twenty_slices() {
    let mut case = Case::with(20_000);
    case.limits = Limits::default();
    let report = case.in_slices().await.expect("the check can be made");
    assert_eq!(report.verdict, Verdict::Passed);
    assert_eq!((report.all_objects, report.slices), (20_000, 20));
    assert_eq!(report.rows, (0..20_000).map(|number| number % 50).sum::<u64>());
    // Two listings of twenty pages, and the metadata and bytes of each object once.
    assert_eq!(case.store.count(Op::List), 2 * 20);
    assert_eq!(
        (case.store.count(Op::Head), case.store.count(Op::Read)),
        (20_000, 20_000)
    );
}

/// Objects appear, change and vanish between the listings.
#[tokio::test]
async fn only_changed_objects_are_read_again() {
    let case = Case::with(20);
    case.put("probe", "a test");
    let changed = key("part-00004.csv");
    case.store.before(Op::List, 1, move |store| {
        store.insert(BUCKET, &changed, csv(57));
        store.insert(BUCKET, &key("part-00004a.csv"), csv(58));
        store.remove(BUCKET, &key("probe"));
    });
    let report = case.in_slices().await.expect("the check can be made");
    assert_eq!(report.verdict, Verdict::Passed, "{:?}", report.checks);
    assert_eq!(report.data_objects, 21);
    let stable = report.check("listing_stable").expect("it was made");
    for part in [
        "the last two of 3 listings",
        "added segments/run=20261101T050000Z-0a1b2c3d/part-00004a.csv",
        "replaced segments/run=20261101T050000Z-0a1b2c3d/part-00004.csv",
        "removed segments/run=20261101T050000Z-0a1b2c3d/probe",
    ] {
        assert!(stable.reason.contains(part), "{part} in {}", stable.reason);
    }
    let read = |name: &str| {
        let calls = case.store.calls();
        calls
            .iter()
            .filter(|call| call.op == Op::Read && call.key == key(name))
            .count()
    };
    assert_eq!((read("part-00003.csv"), read("part-00004.csv")), (1, 2));
    assert_eq!(essence(report).objects, essence(case.at_once().await).objects);
}

#[tokio::test]
async fn an_object_removed_while_it_is_read_fails_listing_stable() {
    let case = Case::with(10);
    // The first call for that object is its HEAD, in a slice.
    case.store
        .before(Op::Head, 5, |store| store.remove(BUCKET, &key("part-00005.csv")));
    let report = case.in_slices().await.expect("the check can be made");
    let stable = report.check("listing_stable").expect("it was made");
    assert_eq!(stable.verdict, CheckVerdict::Fail);
    assert!(
        stable
            .reason
            .contains("a data object was replaced or removed while being verified"),
        "{}",
        stable.reason
    );
    assert_eq!(report.data_objects, 9);
}

#[tokio::test]
async fn an_output_that_never_stops_changing_is_given_up() {
    let case = Case::with(7);
    for listing in 1..10 {
        case.store.before(Op::List, listing, move |store| {
            store.insert(BUCKET, &key(&format!("late-{listing}.csv")), csv(listing));
        });
    }
    let report = case.in_slices().await.expect("the check can be made");
    let stable = report.check("listing_stable").expect("it was made");
    assert_eq!(stable.verdict, CheckVerdict::Fail);
    assert!(stable.reason.contains("5 listings"), "{}", stable.reason);
    assert!(stable.reason.contains("late-4.csv"), "{}", stable.reason);
}

/// The invocations of these slices were throttled until the definition gave them up, or someone stopped their
/// executions.
#[tokio::test]
async fn unfinished_slices_are_run_again() {
    let is_hit = |item: &Item| item.slice.ends_with("-00001") || item.slice.ends_with("-00003");
    let case = Case::with(20);
    let report = case.in_slices_without(|run, item| run < 3 && is_hit(item)).await;
    let report = report.expect("the check can be made");
    assert_eq!((report.verdict, report.slices), (Verdict::Passed, 7));
    // Finished work is not repeated.
    assert_eq!(case.store.count(Op::Head), 20);
    assert_eq!(essence(report), essence(case.at_once().await));

    let case = Case::with(20);
    let error = case.in_slices_without(|_, item| is_hit(item)).await;
    let error = error.expect_err("it is given up some time");
    assert!(error.message.contains("batch-00001 was not read to its end"), "{error}");
    let manifests = case
        .store
        .keys(LEDGER)
        .into_iter()
        .filter(|key| key.ends_with("manifest.json"));
    assert_eq!(manifests.count(), 1 + MAX_REPEATS as usize);
}

/// Every call of a verification in slices fails once, before or after its effect.
#[tokio::test]
async fn no_lost_call_changes_the_report() {
    let prepared = || {
        let case = Case::with(8);
        case.store.before(Op::List, 1, |store| {
            store.insert(BUCKET, &key("part-00004.csv"), csv(7));
        });
        case
    };
    let calm = prepared();
    let expected = calm.in_slices().await.expect("the check can be made");
    let calls = calm.store.calls().len();
    assert!(calls > 40, "{calls}");
    for call in 0..calls {
        for after in [false, true] {
            let case = prepared();
            if after {
                case.store.fail_after(call, ErrorKind::Unavailable);
            } else {
                case.store.fail_at(call, ErrorKind::Throttled);
            }
            let report = case.in_slices().await;
            let report = report.unwrap_or_else(|error| panic!("call {call}, after: {after}: {error}"));
            // A lost listing is made again, and the change comes at another time, but the findings are the same.
            assert_eq!(found(report), found(expected.clone()), "call {call}, after: {after}");
        }
    }
}

/// The findings without the times.
fn found(report: Report) -> (Verdict, u64, Vec<impl PartialEq + std::fmt::Debug>) {
    let objects = report.objects.into_iter();
    let objects = objects.map(|object| (object.key, object.etag, object.rows)).collect();
    (report.verdict, report.rows, objects)
}

#[tokio::test]
async fn a_lasting_error_is_raised_by_the_verification() {
    let case = Case::with(10);
    // The HEAD of the sixth object.
    let calm = Case::with(10);
    calm.in_slices().await.expect("the check can be made");
    let call = calm
        .store
        .calls()
        .iter()
        .position(|call| call.op == Op::Head && call.key == key("part-00005.csv"));
    case.store
        .fail_at(call.expect("it was looked at"), ErrorKind::Forbidden);
    let error: Error = case.in_slices().await.expect_err("it cannot be read");
    assert_eq!(error.kind, ErrorKind::Forbidden);
    assert!(error.message.contains("part-00005.csv"), "{error}");
}

/// Each call takes time, so that invocations end in the middle of slices and of objects.
#[tokio::test]
async fn an_unfinished_slice_continues_in_the_next_invocation() {
    // The first 64 KiB, which are needed to recognise a format, must fit in an invocation.
    for (objects, size, seconds, range) in [(9, 1, 40, 64), (2, 1_500, 45, 4 << 10), (1, 5_000, 50, 4 << 10)] {
        let mut case = Case::new();
        case.limits.range = range;
        case.limits.side_by_side = 2;
        case.time = TimeDelta::seconds(seconds);
        for number in 0..objects {
            let row = "1,\"a\nb\"\n".repeat(size * 10);
            case.put(&format!("part-{number}.csv"), &format!("id,name\n{number},c\n{row}"));
        }
        let expected = essence(case.at_once().await);
        for call in 0..3_000 {
            let clock = case.clock.clone();
            case.store
                .before(Op::Read, call, move |_| clock.advance(Duration::from_secs(1)));
        }
        let report = case.in_slices().await.expect("the check can be made");
        assert_eq!(report.verdict, Verdict::Passed);
        assert!(report.slices > 0, "the verification must need slices");
        // S3's checksum covers all bytes, and it matches however often reading was interrupted.
        let checksum = report.check("checksum").expect("it was made");
        let of_all = format!("the CRC64NVME that S3 keeps of {objects} of {objects} data object");
        assert!(checksum.reason.starts_with(&of_all), "{checksum:?}");
        assert_eq!(essence(report).objects, expected.objects);
        assert!(
            case.invocations.load(Ordering::SeqCst) > 3,
            "slices must need several invocations"
        );
    }
}

/// The slices of a verification.
async fn slices(case: &Case) -> Vec<Item> {
    let Turn::Slices { manifest, .. } = case.turn(Begin::New(&case.asked)).await.expect("it begins") else {
        panic!("the verification must need slices");
    };
    let items = case.store.body(&manifest.bucket, &manifest.key).expect("a manifest");
    serde_json::from_slice(&items).expect("items")
}

/// If a body stalls until after the function's deadline, only the bytes that did not arrive are read again.
#[tokio::test]
async fn finished_reads_are_kept_when_a_body_stalls() {
    let mut case = Case::new();
    case.limits.slice_objects = 2;
    case.limits.side_by_side = 2;
    case.limits.range = 1 << 20;
    case.put("part-0.csv", &csv(3));
    case.put("part-1.csv", &format!("id,name\n{}", "1,\"a\nb\"\n".repeat(400_000)));
    case.put("part-2.csv", &csv(5));
    let expected = essence(case.at_once().await);
    let items = slices(&case).await;

    // The time is so short that the state of the checksum is kept from the start.
    case.time = TimeDelta::milliseconds(5_500);
    let clock = case.clock.clone();
    // The first object is one read. The third range of the second object stalls after its first chunk.
    case.store
        .stall(3, 1, move || clock.advance(Duration::from_secs(3_600)));
    let deadline = Duration::from_secs(60);
    let first = tokio::time::timeout(deadline, case.slice(&items[0])).await;
    assert!(!first.expect("the function waits beyond its deadline").expect("it ends"));
    case.time = TimeDelta::minutes(10);
    assert!(case.slice(&items[0]).await.expect("it goes on"));
    assert!(case.slice(&items[1]).await.expect("it is read"));

    let calls = case.store.calls();
    let read: Vec<_> = calls
        .iter()
        .filter(|call| call.op == Op::Read && call.key == key("part-1.csv"))
        .filter_map(|call| call.range.clone())
        .collect();
    let begins = read.iter().filter(|range| range.start == 0).count();
    // Once by the comparison, and once by the slice.
    assert_eq!(begins, 2, "{read:?}");
    let heads = calls
        .iter()
        .filter(|call| call.op == Op::Head && call.key == key("part-0.csv"));
    assert_eq!(heads.count(), 2, "a finished object must not be read again");
    let report = case.in_slices().await.expect("the check can be made");
    assert_eq!(essence(report).objects, expected.objects);
}

/// The same holds if a call fails in the first invocation, which reads by itself.
#[tokio::test]
async fn finished_reads_are_kept_when_a_call_fails() {
    let mut case = Case::with(9);
    case.limits.slice_objects = 100;
    case.limits.side_by_side = 1;
    case.limits.worth = 1;
    let expected = essence(case.at_once().await);
    let calls = case.store.calls().len();
    case.store
        .before(Op::Head, 5, |store| store.fail_at(0, ErrorKind::Throttled));
    let report = case.in_slices().await.expect("the check can be made");
    assert_eq!(report.slices, 1, "the rest must be one slice");
    assert_eq!(essence(report).objects, expected.objects);
    let calls = &case.store.calls()[calls..];
    for number in 0..9 {
        let key = key(&format!("part-{number:05}.csv"));
        let reads = calls.iter().filter(|call| call.op == Op::Read && call.key == key);
        assert_eq!(reads.count(), 1, "{key}");
    }

    // If little was read, it is read again.
    case.limits.worth = 1 << 20;
    case.store
        .before(Op::Head, 5, |store| store.fail_at(0, ErrorKind::Throttled));
    let error = case.turn(Begin::New(&case.asked)).await.expect_err("throttled");
    assert_eq!(error.kind, ErrorKind::Throttled);
}

/// In a file without headings, the names of columns are somebody's data.
#[tokio::test]
async fn column_names_are_kept_only_if_the_event_expects_columns() {
    for expects in [false, true] {
        let mut case = Case::with(9);
        case.asked.expect.columns = expects.then(|| ExpectedColumns {
            required: vec!["id".to_owned()],
            on_violation: OnViolation::Fail,
        });
        let report = case.in_slices().await.expect("the check can be made");
        assert_eq!(report.verdict, Verdict::Passed);
        let states = case
            .store
            .keys(LEDGER)
            .into_iter()
            .filter(|key| key.ends_with("state.json"));
        let states: Vec<_> = states.filter_map(|key| case.store.body(LEDGER, &key)).collect();
        assert!(!states.is_empty());
        for state in states {
            let state: Value = serde_json::from_slice(&state).expect("a state");
            let names = &state["readings"][0]["finding"]["whole"]["columns"];
            assert_eq!(names == &json!(["id", "name"]), expects, "{state:#}");
        }
    }
}

/// A document is decoded when all of it is there, which takes time.
#[tokio::test]
async fn a_document_is_not_decoded_too_close_to_the_deadline() {
    let mut case = Case::new();
    case.asked.format = Some(Format::Pdf);
    case.limits.slice_objects = 1;
    let size = 20 << 20;
    let end = b"\nstartxref\n9\n%%EOF\n";
    for part in ["part-0.pdf", "part-1.pdf"] {
        case.store.insert_made(BUCKET, &key(part), size, move |range| {
            let byte = |at: u64| match (at, (at + end.len() as u64).checked_sub(size)) {
                (_, Some(from_end)) => end[from_end as usize],
                (at, None) => *b"%PDF-1.7\n".get(at as usize).unwrap_or(&b' '),
            };
            range.map(byte).collect()
        });
    }
    let items = slices(&case).await;
    case.time = TimeDelta::seconds(6);
    assert!(!case.slice(&items[0]).await.expect("it pauses"));
    case.time = TimeDelta::seconds(60);
    assert!(case.slice(&items[0]).await.expect("it is read"));
}

/// Decoding cannot resume in the middle of a gzip member.
#[tokio::test]
async fn an_object_that_makes_no_progress_is_named() {
    use std::io::Write as _;
    let mut case = Case::new();
    case.asked.format = Some(Format::JsonlGzip);
    case.limits.range = 64;
    case.time = TimeDelta::seconds(40);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder
        .write_all("{\"a\":1}\n".repeat(1_000).as_bytes())
        .expect("memory");
    let body = encoder.finish().expect("memory");
    case.store.insert(BUCKET, &key("part-0.json.gz"), body);
    for call in 0..3_000 {
        let clock = case.clock.clone();
        case.store
            .before(Op::Read, call, move |_| clock.advance(Duration::from_secs(1)));
    }
    let error = case.in_slices().await.expect_err("it cannot be read");
    assert_eq!(error.kind, ErrorKind::TimedOut);
    assert!(error.message.contains("part-0.json.gz"), "{error}");
}
