//! The objects that a seal writes: the list of all objects, the receipt and the pointer of the destination. They are
//! the same whatever fails on the way and whoever else seals.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use landfall::{
    error::{Error, ErrorKind},
    hash::sha256_hex,
    invocation::{Deployment, Invocation},
    job::Job,
    ledger::Ledger,
    s3_uri::S3Uri,
    store::upload::PART,
};
use landfall_output::{
    latest::{self, Latest, Moved},
    receipt::Receipt,
    seal::{Sealed, seal},
    verify::Report,
};
use landfall_tests::{
    clock::ManualClock,
    harness::{EXPORTS, LEDGER, config},
    memory_store::{MemoryStore, Op},
};
use proptest::prelude::*;
use serde_json::{Value, json};

const LATEST: &str = "out/_latest.json";

/// A job that is ready to be sealed.
#[derive(Clone, Debug)]
struct Ready {
    /// The hour of its trigger, which decides its key.
    hour: u32,
    /// The number of lines in its list of all objects.
    listed: u64,
    succeeded: bool,
}

impl Ready {
    fn key(&self) -> String {
        format!("20261101T{:02}0000Z-0a1b2c3d", self.hour)
    }

    fn prefix(&self) -> String {
        format!("out/run={}/", self.key())
    }

    fn place(&self, name: &str) -> String {
        format!("{}{name}", self.prefix())
    }

    fn object(&self, number: u64) -> Value {
        json!({
            "key": self.place(&format!("{number:09}.csv")), "role": "data", "format": "CSV", "size": 9, "etag": "\"e\"",
            "last_modified": "2026-11-01T05:00:09Z", "sha256": "00".repeat(32), "rows": 2,
        })
    }

    /// Its list of all objects.
    fn list(&self) -> String {
        // JSON may have spaces. They make the long list longer than a part.
        let spaces = if self.listed == MANY {
            " ".repeat(PART / MANY as usize)
        } else {
            String::new()
        };
        (0..self.listed)
            .map(|number| format!("{}{spaces}\n", self.object(number)))
            .collect()
    }

    fn list_sha256(&self) -> String {
        static OF_MANY: OnceLock<String> = OnceLock::new();
        let hash = || sha256_hex(self.list().as_bytes());
        if self.listed == MANY {
            return OF_MANY.get_or_init(hash).clone();
        }
        hash()
    }

    fn list_key(&self) -> String {
        format!("reports/segment-snapshot/{}/objects.jsonl", self.key())
    }

    fn report(&self) -> Value {
        let list = self.list();
        let file = (self.listed > 1_000)
            .then(|| json!({"key": self.list_key(), "bytes": list.len(), "sha256": self.list_sha256()}));
        json!({
            "schema": "landfall.report/1", "checked_at": "2026-11-01T05:10:00Z", "level": "full",
            "verdict": if self.succeeded { "passed" } else { "failed" },
            "data_objects": self.listed, "all_objects": self.listed, "objects_file": file,
            "objects": (0..self.listed.min(1_000)).map(|number| self.object(number)).collect::<Vec<_>>(),
            "batches": 3, "rows": self.rows(), "bytes": 9 * self.listed,
            "checks": [{"name": "rows_counted", "verdict": "pass", "reason": "decoded"}],
        })
    }

    fn rows(&self) -> u64 {
        2 * self.listed
    }

    /// Writes the objects that the steps before the seal left.
    async fn lay_out(&self, store: &MemoryStore) -> Job {
        if self.listed > 1_000 {
            drop(store.insert(LEDGER, &self.list_key(), self.list()));
        }
        let report = self.report().to_string();
        let report_key = format!("reports/segment-snapshot/{}/report.json", self.key());
        drop(store.insert(LEDGER, &report_key, report.clone()));
        let prefix = format!("s3://{EXPORTS}/{}", self.prefix());
        let entry = json!({
            "schema": "landfall.ledger/1", "kind": "segment-snapshot", "name": "nightly",
            "trigger": {
                "job_key": self.key(), "event_id": "e", "source": "s", "time": self.time(),
                "schedule": null, "account": null, "region": null, "request_sha256": "0a",
            },
            "request": {}, "format": "CSV", "created_at": "2026-11-01T05:00:07Z",
            "deadline_at": "2026-11-01T11:00:07Z", "written_by": "",
            "attempts": [{
                "number": 1, "key": self.key(), "prefix": prefix, "state": "started", "owner": "o",
                "claimed_at": "2026-11-01T05:00:07Z", "lease_until": "2026-11-01T05:01:07Z", "service_id": "job-1",
                "started_at": "2026-11-01T05:00:08Z",
            }],
        });
        let ledger = Ledger::new(store, LEDGER, "o".to_owned());
        ledger.create(serde_json::from_value(entry).unwrap()).await.unwrap();
        let error = json!({"Error": "Landfall.OutputRejected", "Cause": "no"});
        serde_json::from_value(json!({
            "schema": "landfall.job/1", "kind": "segment-snapshot", "job_key": self.key(),
            "execution": format!("arn:aws:states:eu-central-1:111122223333:execution:m:{}", self.hour),
            "status": "succeeded", "request": {}, "service_id": "job-1", "attempt": 1, "adopted": false,
            "started_at": "2026-11-01T05:00:07Z", "accepted_at": "2026-11-01T05:00:08Z",
            "deadline_at": "2026-11-01T11:00:07Z",
            "output": {"prefix": prefix, "format": "CSV", "allow_empty": false, "settle_seconds": 5},
            "polling": {"min_seconds": 5, "max_seconds": 60}, "wait_seconds": 5, "polls": 1,
            "report": {
                "key": report_key, "sha256": sha256_hex(report.as_bytes()),
                "verdict": if self.succeeded { "passed" } else { "failed" },
                "objects": self.listed, "rows": self.rows(), "bytes": 9 * self.listed,
            },
            "error": (!self.succeeded).then_some(error),
        }))
        .unwrap()
    }

    fn time(&self) -> DateTime<Utc> {
        format!("2026-11-01T{:02}:00:00Z", self.hour).parse().unwrap()
    }
}

fn ready(hour: u32, listed: u64) -> Ready {
    Ready {
        hour,
        listed,
        succeeded: true,
    }
}

struct World {
    store: Arc<MemoryStore>,
    clock: ManualClock,
    deployment: Deployment,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::at("2026-11-01T05:30:00Z".parse().unwrap());
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        store.create_bucket(EXPORTS);
        store.create_bucket(LEDGER);
        let deployment = Deployment {
            config: config().unwrap(),
            store: Arc::clone(&store) as _,
            clock: Arc::new(clock.clone()),
        };
        Self {
            store,
            clock,
            deployment,
        }
    }

    async fn seal(&self, job: &Job) -> Result<Sealed, Error> {
        let invocation = Invocation {
            request_id: format!("request-{}", self.store.calls().len()),
            deadline: self.clock.now_plus(60),
        };
        seal(&self.deployment, json!(job), &invocation).await
    }

    /// All objects in the export bucket.
    fn exports(&self) -> Vec<(String, Bytes)> {
        let of = |key: String| {
            let body = self.store.body(EXPORTS, &key).unwrap();
            (key, body)
        };
        self.store.keys(EXPORTS).into_iter().map(of).collect()
    }

    fn latest(&self) -> Option<Latest> {
        let body = self.store.body(EXPORTS, LATEST)?;
        Some(serde_json::from_slice(&body).unwrap())
    }

    fn receipt(&self, bucket: &str, key: &str) -> Receipt {
        serde_json::from_slice(&self.store.body(bucket, key).unwrap()).unwrap()
    }
}

trait NowPlus {
    fn now_plus(&self, seconds: i64) -> DateTime<Utc>;
}

impl NowPlus for ManualClock {
    fn now_plus(&self, seconds: i64) -> DateTime<Utc> {
        landfall::clock::Clock::now(self) + TimeDelta::seconds(seconds)
    }
}

/// Enough objects for a list of more than one part, so that it is written as an upload in parts.
const MANY: u64 = 2_000;

#[tokio::test]
async fn a_success_is_sealed_with_its_list_and_its_pointer() {
    for listed in [3, 1_001, MANY] {
        let world = World::new();
        let ready = ready(5, listed);
        let job = ready.lay_out(&world.store).await;
        let sealed = world.seal(&job).await.unwrap();
        let place = sealed.outcome().unwrap().receipt.clone();
        assert_eq!(
            (place.bucket.as_str(), place.key),
            (EXPORTS, ready.place("_receipt.json"))
        );
        let receipt = world.receipt(EXPORTS, &ready.place("_receipt.json"));
        let output = receipt.output.unwrap();
        assert_eq!(output.objects.len() as u64, listed.min(1_000));
        assert_eq!(output.objects_omitted, listed.saturating_sub(1_000));
        assert_eq!(output.object_count, listed);
        let list = world.store.body(EXPORTS, &ready.place("_objects.jsonl"));
        if listed > 1_000 {
            let (list, file) = (list.unwrap(), output.objects_file.unwrap());
            assert!(list == ready.list());
            assert_eq!(
                file.uri.to_string(),
                format!("s3://{EXPORTS}/{}", ready.place("_objects.jsonl"))
            );
            assert_eq!((file.bytes, file.sha256), (list.len() as u64, sha256_hex(&list)));
            assert_eq!(world.store.count(Op::Upload) > 0, listed == MANY);
        } else {
            assert_eq!((list, output.objects_file), (None, None));
        }
        let manifest = world.store.body(EXPORTS, &ready.place("_manifest.json"));
        let manifest = manifest.unwrap_or_else(|| panic!("{listed}: {:?}", world.store.keys(EXPORTS)));
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        let entries = manifest["entries"].as_array().unwrap();
        assert_eq!(entries.len() as u64, listed);
        let objects = ready.list();
        for (entry, line) in entries.iter().zip(objects.lines()) {
            let object: landfall_output::verify::VerifiedObject = serde_json::from_str(line).unwrap();
            let expected = json!({
                "url": format!("s3://{EXPORTS}/{}", object.key),
                "mandatory": true,
                "meta": { "content_length": object.size },
            });
            assert_eq!(*entry, expected);
        }
        // Three slices, each in an execution of its own, and one more turn of the verification.
        assert_eq!(
            (receipt.usage.state_transitions, receipt.usage.invocations),
            (14 + 3 + 12, 4 + 1 + 3)
        );
        assert_eq!(receipt.verification.unwrap().level.name(), "full");

        let latest = world.latest().unwrap();
        let expected = json!({
            "schema": "landfall.latest/1", "kind": "segment-snapshot", "job_key": ready.key(), "name": "nightly",
            "receipt": format!("s3://{EXPORTS}/{}", ready.place("_receipt.json")),
            "prefix": format!("s3://{EXPORTS}/{}", ready.prefix()), "triggered_at": "2026-11-01T05:00:00Z",
            "sealed_at": "2026-11-01T05:30:00Z", "objects": listed, "rows": 2 * listed, "bytes": 9 * listed,
            "request_sha256": "0a",
        });
        assert_eq!(serde_json::to_value(latest).unwrap(), expected);

        // A later delivery copies nothing again.
        let (exports, uploads) = (world.exports(), world.store.count(Op::Upload));
        world.seal(&job).await.unwrap();
        assert!(world.exports() == exports);
        assert_eq!(world.store.count(Op::Upload), uploads);
        assert_eq!(world.store.versions(EXPORTS, LATEST), 1);
    }
}

#[tokio::test]
async fn a_failure_writes_nothing_beside_the_data() {
    let world = World::new();
    let ready = Ready {
        succeeded: false,
        ..ready(5, 1_001)
    };
    let job = ready.lay_out(&world.store).await;
    let sealed = world.seal(&job).await.unwrap();
    let place = sealed.outcome().unwrap().receipt.clone();
    assert_eq!(place.bucket, LEDGER);
    assert_eq!(world.store.keys(EXPORTS), [] as [&str; 0]);
    let output = world.receipt(LEDGER, &place.key).output.unwrap();
    let file = output.objects_file.unwrap();
    assert_eq!(file.uri.to_string(), format!("s3://{LEDGER}/{}", ready.list_key()));
    assert_eq!(output.objects_omitted, 1);
}

/// Each call in turn fails before or after its effect. After one more try, the objects are the same as without a fault.
#[tokio::test]
async fn a_seal_that_breaks_off_anywhere_ends_the_same_way() {
    for listed in [3, 1_001, MANY] {
        let ready = ready(5, listed);
        let quiet = World::new();
        let job = ready.lay_out(&quiet.store).await;
        let before = quiet.store.calls().len();
        quiet.seal(&job).await.unwrap();
        let made = quiet.store.calls().split_off(before);
        let calls = made.len();
        let expected = quiet.exports();
        assert_eq!(expected.len(), if listed > 1_000 { 4 } else { 3 });
        for (call, op) in made.iter().map(|call| call.op).enumerate() {
            // The other calls are tested with the smaller list.
            if listed == MANY && op != Op::Upload {
                continue;
            }
            for after in [false, true] {
                let case = format!("{listed} objects, call {call} of {calls}, after: {after}");
                let world = World::new();
                let job = ready.lay_out(&world.store).await;
                if after {
                    world.store.fail_after(call, ErrorKind::Unavailable);
                } else {
                    world.store.fail_at(call, ErrorKind::Unavailable);
                }
                let broken = world.seal(&job).await;
                assert_eq!(broken.unwrap_err().kind, ErrorKind::Unavailable, "{case}");
                // If the receipt is there, the list that it names is there.
                let keys = world.store.keys(EXPORTS);
                let has = |name: &str| keys.contains(&ready.place(name));
                assert!(
                    !has("_receipt.json") || listed <= 1_000 || has("_objects.jsonl"),
                    "{case}"
                );
                assert!(!has("_receipt.json") || has("_manifest.json"), "{case}");
                assert!(has("_receipt.json") || world.latest().is_none(), "{case}");
                world.seal(&job).await.unwrap_or_else(|error| panic!("{case}: {error}"));
                assert!(world.exports() == expected, "{case}: {:?}", world.store.keys(EXPORTS));
                assert_eq!(
                    world.store.versions(EXPORTS, &ready.place("_receipt.json")),
                    1,
                    "{case}"
                );
            }
        }
    }
}

/// If the list is not the one that the report names, nothing is sealed beside the data.
#[tokio::test]
async fn a_list_of_objects_that_is_not_the_reports_is_not_sealed() {
    type Harm = fn(&MemoryStore, &Ready);
    let harms: [(Harm, &str); 4] = [
        (|store, ready| store.remove(LEDGER, &ready.list_key()), "was deleted"),
        (
            |store, ready| drop(store.insert(LEDGER, &ready.list_key(), ready.list() + "\n")),
            "another size",
        ),
        (
            |store, ready| drop(store.insert(LEDGER, &ready.list_key(), "x".repeat(ready.list().len()))),
            "another SHA-256",
        ),
        (
            |store, ready| {
                let (key, list) = (ready.list_key(), ready.list() + " ");
                store.before(Op::Read, 0, move |store| drop(store.insert(LEDGER, &key, list)));
            },
            "changed while it was copied",
        ),
    ];
    for listed in [1_001, MANY] {
        for (harm, words) in harms {
            // For the longer list, an upload has already begun.
            if listed == MANY && words != "another SHA-256" {
                continue;
            }
            let world = World::new();
            let ready = ready(5, listed);
            let job = ready.lay_out(&world.store).await;
            harm(&world.store, &ready);
            let error = world.seal(&job).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Internal, "{error}");
            assert!(error.message.contains(words), "{error}");
            assert_eq!(world.store.keys(EXPORTS), [] as [&str; 0], "{words}");
            assert_eq!(world.store.uploads_open(), 0, "{words}");
            // With the right list, the job is sealed.
            drop(world.store.insert(LEDGER, &ready.list_key(), ready.list()));
            world.seal(&job).await.unwrap();
            assert_eq!(world.exports().len(), 4);
        }
    }
}

/// The pointer only moves forward, in whichever order jobs are sealed.
#[tokio::test]
async fn the_pointer_moves_forward_only() {
    for order in [[5, 6, 7], [5, 7, 6], [6, 5, 7], [6, 7, 5], [7, 5, 6], [7, 6, 5]] {
        let world = World::new();
        let mut newest = 0;
        for hour in order {
            let job = ready(hour, 3).lay_out(&world.store).await;
            world.seal(&job).await.unwrap();
            newest = newest.max(hour);
            world.clock.advance(Duration::from_secs(60));
            assert_eq!(world.latest().unwrap().job_key, ready(newest, 3).key(), "{order:?}");
        }
        // Each job has its receipt, whichever job the pointer names.
        assert_eq!(world.exports().len(), 7, "{order:?}");
    }
}

#[tokio::test]
async fn a_foreign_pointer_stays_and_stops_no_seal() {
    for foreign in ["hello", "{}", "{\"schema\":\"landfall.latest/2\"}"] {
        let world = World::new();
        let job = ready(5, 3).lay_out(&world.store).await;
        drop(world.store.insert(EXPORTS, LATEST, foreign));
        world.seal(&job).await.unwrap();
        assert_eq!(world.store.body(EXPORTS, LATEST).unwrap(), foreign);
        assert_eq!(world.exports().len(), 3);
        // Once the foreign object is gone, the same delivery writes the pointer.
        world.store.remove(EXPORTS, LATEST);
        world.seal(&job).await.unwrap();
        assert_eq!(world.latest().unwrap().job_key, ready(5, 3).key());
    }
    // A large foreign object is not read.
    let world = World::new();
    let unread = |_| -> Vec<u8> { panic!("it is read") };
    drop(world.store.insert_made(EXPORTS, LATEST, 5 << 30, unread));
    world.seal(&ready(5, 3).lay_out(&world.store).await).await.unwrap();
    let calls = world.store.calls();
    assert!(
        !calls
            .iter()
            .any(|call| call.key == LATEST && matches!(call.op, Op::Read | Op::Get))
    );
    let previous = latest::previous(world.store.as_ref(), &destination(), "0a").await;
    assert_eq!(previous.unwrap(), None);

    // A pointer that seal-receipt may not write stops no seal, either.
    let world = World::new();
    let job = ready(5, 3).lay_out(&world.store).await;
    world.seal(&job).await.unwrap();
    world.store.remove(EXPORTS, LATEST);
    let last = world.store.calls().len();
    world.seal(&job).await.unwrap();
    let calls = world.store.calls().len() - last;
    world.store.remove(EXPORTS, LATEST);
    // The last call is the put of the pointer.
    world.store.fail_at(calls - 1, ErrorKind::Forbidden);
    world.seal(&job).await.unwrap();
    assert_eq!(world.latest(), None);
}

fn pointer(hour: u32, sealed: i64, key: &str) -> Latest {
    let of = ready(hour, 3);
    let at = |name: &str| -> S3Uri { format!("s3://{EXPORTS}/{}", of.place(name)).parse().unwrap() };
    Latest {
        schema: latest::SCHEMA.to_owned(),
        kind: landfall::job::Kind::new("segment-snapshot"),
        job_key: key.to_owned(),
        name: None,
        receipt: at("_receipt.json"),
        prefix: at(""),
        triggered_at: of.time(),
        // A job with an earlier trigger may be sealed later.
        sealed_at: ready(5, 3).time() + TimeDelta::seconds(sealed),
        objects: 1,
        rows: Some(1),
        bytes: 1,
        request_sha256: "0a".to_owned(),
    }
}

fn destination() -> S3Uri {
    format!("s3://{EXPORTS}/out/").parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Many seals run at once, and each of their calls may fail and be retried. In the end the newest pointer is there.
    #[test]
    fn the_newest_of_many_concurrent_pointers_stands(
        pointers in prop::collection::vec((0_u32..4, 0_i64..3, "[ab]{1,2}"), 1..7),
        failing in prop::collection::vec((0_usize..20, any::<bool>()), 0..6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let world = World::new();
            for (call, after) in &failing {
                if *after {
                    world.store.fail_after(*call, ErrorKind::Unavailable);
                } else {
                    world.store.fail_at(*call, ErrorKind::Unavailable);
                }
            }
            let pointers: Vec<_> = pointers.iter().map(|(hour, sealed, key)| pointer(*hour, *sealed, key)).collect();
            let (store, place) = (world.store.as_ref(), destination());
            let place = &place;
            join_all(pointers.iter().map(|latest| async move {
                for _ in 0..32 {
                    match latest::advance(store, place, latest).await {
                        Ok(moved) => return assert_ne!(moved, Moved::Not),
                        Err(error) => assert!(error.kind.is_transient(), "{error}"),
                    }
                }
                panic!("it never ended");
            }))
            .await;
            let newest = pointers.iter().max_by_key(|latest| (latest.triggered_at, latest.sealed_at, latest.job_key.clone()));
            assert_eq!(world.latest().as_ref(), newest);
        });
    }
}

/// An example is an object whose key was disabled: S3 would give the same answer again.
#[tokio::test]
async fn a_lasting_error_of_the_pointer_stops_no_seal() {
    for kind in [ErrorKind::Internal, ErrorKind::Forbidden, ErrorKind::NotFound] {
        // The calls are the put, the get and the read, of which the first finds an older pointer.
        for call in 0..3 {
            let world = World::new();
            let older = serde_json::to_vec(&pointer(1, 0, "a")).unwrap();
            drop(world.store.insert(EXPORTS, LATEST, older));
            world.store.fail_at(call, kind);
            let moved = latest::advance(world.store.as_ref(), &destination(), &pointer(2, 0, "a")).await;
            assert_eq!(moved.unwrap(), Moved::Not, "{kind}, call {call}");
            assert_eq!(world.latest(), Some(pointer(1, 0, "a")));
        }
        for call in 0..2 {
            let world = World::new();
            let older = serde_json::to_vec(&pointer(1, 0, "a")).unwrap();
            drop(world.store.insert(EXPORTS, LATEST, older));
            world.store.fail_at(call, kind);
            let previous = latest::previous(world.store.as_ref(), &destination(), "0a").await;
            assert_eq!(previous.unwrap(), None, "{kind}, call {call}");
        }
    }
    // A transient error is retried.
    let world = World::new();
    world.store.fail_at(0, ErrorKind::Unavailable);
    let moved = latest::advance(world.store.as_ref(), &destination(), &pointer(2, 0, "a")).await;
    assert_eq!(moved.unwrap_err().kind, ErrorKind::Unavailable);
}

/// Someone writes between every read and write. After a bounded number of turns, the state machine retries.
#[tokio::test]
async fn an_endless_race_for_the_pointer_ends_as_busy() {
    let world = World::new();
    for turn in 0..9 {
        world.store.before(Op::Put, turn, move |store| {
            let older = pointer(1, turn as i64, "a");
            drop(store.insert(EXPORTS, LATEST, serde_json::to_vec(&older).unwrap()));
        });
    }
    let newest = pointer(2, 0, "a");
    let error = latest::advance(world.store.as_ref(), &destination(), &newest)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Busy, "{error}");
    for _ in 0..2 {
        let _ = latest::advance(world.store.as_ref(), &destination(), &newest).await;
    }
    assert_eq!(world.latest(), Some(newest));
}

/// Two executions seal the same job at once, and two jobs are sealed at once. Each job has one receipt and one list,
/// and the pointer is the newest.
#[tokio::test]
async fn concurrent_seals_end_the_same_way() {
    for (first, second) in [(5, 6), (6, 5), (5, 5)] {
        let world = World::new();
        let jobs = if first == second {
            let job = ready(first, 1_001).lay_out(&world.store).await;
            let mut other = job.clone();
            other.execution.push_str("-other");
            [job, other]
        } else {
            [
                ready(first, 1_001).lay_out(&world.store).await,
                ready(second, 1_001).lay_out(&world.store).await,
            ]
        };
        for results in [join_all(jobs.iter().map(|job| world.seal(job))).await] {
            for (job, result) in jobs.iter().zip(results) {
                // A seal that lost a race for the same place is retried.
                if let Err(error) = result {
                    assert!(error.kind.is_transient(), "{error}");
                    world.seal(job).await.unwrap();
                }
            }
        }
        let expected = if first == second { 4 } else { 7 };
        assert_eq!(world.exports().len(), expected);
        for hour in [first, second] {
            let ready = ready(hour, 1_001);
            assert_eq!(world.store.versions(EXPORTS, &ready.place("_receipt.json")), 1);
            assert_eq!(
                world.store.body(EXPORTS, &ready.place("_objects.jsonl")).unwrap(),
                ready.list()
            );
        }
        assert_eq!(world.latest().unwrap().job_key, ready(first.max(second), 3).key());
    }
}

/// A report of an earlier version lists all objects itself, and does not count them.
#[tokio::test]
async fn a_report_of_an_earlier_version_is_sealed() {
    let world = World::new();
    let ready = ready(5, 3);
    let mut job = ready.lay_out(&world.store).await;
    let mut report = ready.report();
    let members = report.as_object_mut().unwrap();
    for name in ["level", "data_objects", "all_objects", "objects_file", "batches"] {
        members.remove(name);
    }
    let many: Vec<_> = (0..1_200).map(|number| ready.object(number)).collect();
    members.insert("objects".to_owned(), json!(many));
    let _: Report = serde_json::from_value(report.clone()).unwrap();
    drop(world.store.insert(LEDGER, "reports/old.json", report.to_string()));
    job.report.as_mut().unwrap().key = "reports/old.json".to_owned();
    world.seal(&job).await.unwrap();
    let receipt = world.receipt(EXPORTS, &ready.place("_receipt.json"));
    let output = receipt.output.unwrap();
    assert_eq!((output.objects.len(), output.objects_omitted), (1_000, 200));
    assert_eq!((receipt.usage.state_transitions, receipt.usage.invocations), (14, 4));
}

/// Later deliveries accept a receipt that an earlier version sealed, with a price.
#[tokio::test]
async fn a_receipt_of_an_earlier_version_stands() {
    let world = World::new();
    let ready = ready(5, 3);
    let job = ready.lay_out(&world.store).await;
    world.seal(&job).await.unwrap();
    let place = ready.place("_receipt.json");
    let mut receipt: Value = serde_json::from_slice(&world.store.body(EXPORTS, &place).unwrap()).unwrap();
    let members = receipt.as_object_mut().unwrap();
    members.remove("usage").unwrap();
    members.insert(
        "cost".to_owned(),
        json!({"state_transitions": 14, "state_transitions_usd": 0.000_35}),
    );
    drop(world.store.insert(EXPORTS, &place, receipt.to_string()));
    world.seal(&job).await.unwrap();
    assert_eq!(world.store.body(EXPORTS, &place).unwrap(), receipt.to_string());
}
