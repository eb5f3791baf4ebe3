//! Tests the ledger, the queue and the quota, call by call, on the S3 in memory.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use landfall::{
    clock::Clock as _,
    error::ErrorKind,
    job::Kind,
    ledger::{Cas, Change, Changed, Entry, Ledger, MAX_TURNS, Versioned},
    queue::{Queue, Quota, Slots},
    trigger::{Trigger, rejected_trigger},
};
use landfall_tests::{
    clock::ManualClock,
    harness::LEDGER,
    memory_store::{MemoryStore, Op},
};
use serde_json::{Value, json};

struct World {
    store: Arc<MemoryStore>,
    clock: ManualClock,
    kind: Kind,
}

impl World {
    fn new() -> Self {
        let clock = ManualClock::at("2026-11-01T23:50:00Z".parse().expect("a time"));
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        store.create_bucket(LEDGER);
        let kind = Kind::new("segment-snapshot");
        Self { store, clock, kind }
    }

    fn ledger(&self) -> Ledger<'_> {
        Ledger::new(self.store.as_ref(), LEDGER, "owner")
    }

    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn entry(&self, job_key: &str) -> Entry {
        let trigger = Trigger {
            job_key: job_key.to_owned(),
            ..rejected_trigger(&self.kind, &json!({}), self.now()).expect("an event")
        };
        Entry::new(self.kind.clone(), trigger, self.now())
    }

    async fn created(&self, job_key: &str) -> Result<Versioned> {
        let created = self.ledger().create(self.entry(job_key)).await?;
        created.won().context("it was there")
    }

    fn json(&self, key: &str) -> Result<Value> {
        let body = self.store.body(LEDGER, key).context("it is not there")?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Lets someone else write the object again before each of the next `puts`.
    fn rewrite_before(&self, puts: u32, key: &str) {
        for put in 0..puts {
            let key = key.to_owned();
            self.store.before(Op::Put, put as usize, move |store| {
                let mut standing: Value = serde_json::from_slice(&store.body(LEDGER, &key).unwrap()).unwrap();
                standing["written_by"] = json!(format!("somebody else, {put}"));
                store.insert(LEDGER, &key, standing.to_string());
            });
        }
    }
}

#[tokio::test]
async fn an_entry_is_changed_again_after_each_lost_race_and_given_up_after_the_last() -> Result<()> {
    for (lost, is_written) in [(0, true), (MAX_TURNS - 1, true), (MAX_TURNS, false)] {
        let world = World::new();
        let current = world.created("job").await?;
        let puts = world.store.count(Op::Put);
        world.rewrite_before(lost, "jobs/segment-snapshot/job.json");
        let ledger = world.ledger();
        let named = |entry: &Entry| {
            let name = Some(format!("after {}", entry.written_by));
            Change::<_, ()>::To(Entry { name, ..entry.clone() })
        };
        let changed = ledger.change(current, named).await;
        let tried = world.store.count(Op::Put) - puts;
        if is_written {
            let Changed::Written(written) = changed? else {
                anyhow::bail!("it was left")
            };
            // The new content was decided from the version that it replaces.
            let replaced = match lost {
                0 => "after owner#0".to_owned(),
                lost => format!("after somebody else, {}", lost - 1),
            };
            assert_eq!(written.entry.name, Some(replaced));
            assert_eq!(tried, lost as usize + 1);
        } else {
            let error = changed.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Busy);
            assert!(error.message.contains("jobs/segment-snapshot/job.json"), "{error}");
            assert_eq!(tried, MAX_TURNS as usize);
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_unchanged_entry_is_not_written() -> Result<()> {
    let world = World::new();
    let current = world.created("job").await?;
    let left = world
        .ledger()
        .change(current.clone(), |_| Change::Leave("fine as it is"))
        .await?;
    assert_eq!(left, Changed::Left("fine as it is", current));
    assert_eq!(world.store.versions(LEDGER, "jobs/segment-snapshot/job.json"), 1);
    Ok(())
}

/// The ledger tells apart an entry that is gone, one of another version, and an object that is not ours.
#[tokio::test]
async fn an_entry_that_cannot_be_used_is_a_named_error() -> Result<()> {
    const KEY: &str = "jobs/segment-snapshot/job.json";
    let world = World::new();
    let ledger = world.ledger();
    assert_eq!(ledger.load(&world.kind, "job").await?, None);
    let error = ledger.reload(&world.kind, "job").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Internal);
    assert!(
        error.message.contains(&format!("s3://{LEDGER}/{KEY} was deleted")),
        "{error}"
    );

    let current = world.created("job").await?;
    assert_eq!(ledger.reload(&world.kind, "job").await?, current);
    let mut newer = world.json(KEY)?;
    newer["schema"] = json!("landfall.ledger/2");
    for (body, why) in [
        (newer.to_string(), "is of schema landfall.ledger/2"),
        ("{}".to_owned(), "is not what Landfall writes there"),
    ] {
        world.store.insert(LEDGER, KEY, body);
        let error = ledger.load(&world.kind, "job").await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Internal);
        assert!(error.message.contains(&format!("s3://{LEDGER}/{KEY} {why}")), "{error}");
    }

    world.store.remove(LEDGER, KEY);
    let Versioned { entry, etag } = current.clone();
    assert_eq!(ledger.update(entry, etag).await?, Cas::Vanished);
    let to = |entry: &Entry| Change::<_, ()>::To(entry.clone());
    let error = ledger.change(current, to).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Internal);
    Ok(())
}

/// If S3 refuses the retry of a write that had succeeded, the write's token shows that it was ours.
#[tokio::test]
async fn a_retried_write_that_finds_its_own_result_has_succeeded() -> Result<()> {
    let world = World::new();
    let ledger = world.ledger();
    let first = ledger.create(world.entry("job")).await?.won().context("it was there")?;
    let again = world.ledger().create(world.entry("job")).await?;
    assert_eq!(again, Cas::Won(first.clone()));
    // The next write of the same invocation is another one.
    assert_eq!(ledger.create(world.entry("job")).await?, Cas::Lost(first));
    assert_eq!(world.store.versions(LEDGER, "jobs/segment-snapshot/job.json"), 1);
    Ok(())
}

#[tokio::test]
async fn a_value_written_once_never_changes() -> Result<()> {
    let world = World::new();
    let ledger = world.ledger();
    assert_eq!(ledger.get::<Value>("reports/1.json").await?, None);
    assert!(ledger.put_once("reports/1.json", &json!({"rows": 1})).await?);
    assert!(!ledger.put_once("reports/1.json", &json!({"rows": 2})).await?);
    assert_eq!(ledger.get("reports/1.json").await?, Some(json!({"rows": 1})));
    Ok(())
}

/// Each contender pauses for a different time, longer after each lost race, and never for long.
#[tokio::test]
async fn a_lost_race_for_a_shared_value_is_followed_by_a_pause() -> Result<()> {
    const KEY: &str = "slots/x.json";
    let mut all = Vec::new();
    for contender in ["one", "two"] {
        let world = World::new();
        world.store.insert(LEDGER, KEY, "{}");
        world.rewrite_before(MAX_TURNS, KEY);
        let ledger = world.ledger();
        let bump = |_: Option<Value>| Change::<_, ()>::To(json!({}));
        let error = ledger
            .change_value(KEY, &world.clock, contender, bump)
            .await
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Busy);
        assert!(error.message.contains(KEY), "{error}");
        let slept = world.clock.slept();
        let longest = [100, 200, 400, 800, 1_600, 2_000, 2_000].map(Duration::from_millis);
        assert_eq!(slept.len(), longest.len(), "{slept:?}");
        for (slept, longest) in slept.iter().zip(longest) {
            assert!(*slept <= longest && *slept >= longest / 100, "{slept:?} of {longest:?}");
        }
        assert!(slept.iter().max() > Some(&Duration::from_millis(800)), "{slept:?}");
        all.push(slept);
    }
    assert_ne!(all[0], all[1]);
    Ok(())
}

fn slots(world: &World) -> Result<Vec<String>> {
    let slots: Slots = serde_json::from_value(world.json(&Queue::key(&world.kind))?)?;
    Ok(slots.slots.into_iter().map(|slot| slot.job_key).collect())
}

#[tokio::test]
async fn a_queue_has_as_many_slots_as_its_limit_and_a_job_one_of_them() -> Result<()> {
    let world = World::new();
    let ledger = world.ledger();
    let queue = Queue::new(&ledger, &world.clock, &world.kind);
    let until = world.now() + TimeDelta::hours(1);
    for job in ["a", "b", "c"] {
        world.created(job).await?;
    }
    assert!(queue.enter(2, "a", until).await?);
    assert!(queue.enter(2, "b", until).await?);
    assert!(queue.enter(2, "a", until).await?);
    assert!(!queue.enter(2, "c", until).await?);
    assert_eq!(slots(&world)?, ["a", "b"]);
    assert!(queue.enter(3, "c", until).await?);
    queue.leave("b").await?;
    assert_eq!(slots(&world)?, ["a", "c"]);
    // A job without a slot returns none, and so writes nothing.
    let versions = world.store.versions(LEDGER, &Queue::key(&world.kind));
    queue.leave("b").await?;
    assert_eq!(world.store.versions(LEDGER, &Queue::key(&world.kind)), versions);
    Ok(())
}

/// At the exact moment of its expiry, a slot is free.
#[tokio::test]
async fn a_slot_that_was_not_returned_expires() -> Result<()> {
    let world = World::new();
    let ledger = world.ledger();
    let queue = Queue::new(&ledger, &world.clock, &world.kind);
    let until = world.now() + TimeDelta::minutes(1);
    world.created("a").await?;
    assert!(queue.enter(1, "a", until).await?);
    world.clock.advance(Duration::from_secs(59));
    assert!(!queue.enter(1, "b", until + TimeDelta::hours(1)).await?);
    world.clock.advance(Duration::from_secs(1));
    assert!(queue.enter(1, "b", until + TimeDelta::hours(1)).await?);
    assert_eq!(slots(&world)?, ["b"]);
    Ok(())
}

/// Two jobs of a full queue are looked up each time, and different ones as time goes by. If a job has no entry, someone
/// deleted it.
#[tokio::test]
async fn a_full_queue_is_searched_for_jobs_that_are_gone() -> Result<()> {
    const JOBS: u64 = 6;
    let world = World::new();
    let ledger = world.ledger();
    let queue = Queue::new(&ledger, &world.clock, &world.kind);
    let until = world.now() + TimeDelta::hours(1);
    for job in 0..JOBS {
        world.created(&job.to_string()).await?;
        assert!(queue.enter(JOBS, &job.to_string(), until).await?);
    }
    let gets = world.store.count(Op::Get);
    assert!(!queue.enter(JOBS, "new", until).await?);
    // One read of the queue and two of entries.
    assert_eq!(world.store.count(Op::Get) - gets, 3);
    world.store.remove(LEDGER, "jobs/segment-snapshot/3.json");
    let mut tries = 0;
    while !queue.enter(JOBS, "new", until).await? {
        tries += 1;
        anyhow::ensure!(tries < 100, "the job without an entry must be looked up");
        world.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(slots(&world)?, ["0", "1", "2", "4", "5", "new"]);
    Ok(())
}

#[tokio::test]
async fn a_call_counts_once_for_its_day_until_it_is_taken_back() -> Result<()> {
    let world = World::new();
    let ledger = world.ledger();
    let quota = Quota {
        ledger: &ledger,
        clock: &world.clock,
        kind: &world.kind,
        scope: "shop",
        limit: 2,
    };
    assert!(quota.is_left().await?);
    assert!(quota.count("a").await?);
    assert!(quota.count("a").await?);
    assert!(quota.is_left().await?);
    assert!(quota.count("b").await?);
    assert!(!quota.is_left().await?);
    assert!(!quota.count("c").await?);
    assert!(quota.count("b").await?);
    // A call that was not counted is not taken back, and nothing is written.
    let key = "starts/segment-snapshot/shop/2026-11-01.json";
    let versions = world.store.versions(LEDGER, key);
    quota.take_back("c").await?;
    assert_eq!(world.store.versions(LEDGER, key), versions);
    assert!(!quota.is_left().await?);
    quota.take_back("a").await?;
    assert!(quota.is_left().await?);
    assert_eq!(world.json(key)?["calls"], json!(["b"]));
    assert_eq!(world.json(key)?["scope"], "shop");
    assert!(quota.count("c").await?);
    world.clock.advance(Duration::from_secs(600));
    assert!(quota.count("d").await?);
    let next = "starts/segment-snapshot/shop/2026-11-02.json";
    assert_eq!(world.json(next)?["calls"], json!(["d"]));
    quota.take_back("d").await?;
    assert_eq!(world.json(next)?["calls"], json!([]));
    Ok(())
}
