//! Runs the contract of object stores and the ledger's races on S3 servers that we did not write.
//!
//! SeaweedFS handles requests concurrently and checks signatures. moto does neither: it checks a condition and writes
//! only some time later. So requests to moto come one at a time, while the operations that they belong to still
//! overlap.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use async_trait::async_trait;
use chrono::{TimeDelta, Utc};
use futures::future::join_all;
use landfall::{
    clock::SystemClock,
    error::ErrorKind,
    job::Kind,
    ledger::{Attempt, AttemptState, Cas, Change, Entry, Ledger, SCHEMA},
    queue::Queue,
    start::Received,
    store::{
        Condition, ObjectStore, Written,
        layer::{Answer, Call, Layer, Layered},
        s3::S3Store,
    },
    trigger,
};
use landfall_local::simulated::{
    customer_profiles::{Scenario, Settings},
    simulator::Simulator as _,
};
use landfall_tests::{
    harness::{Harness, LEDGER},
    in_process::Faults,
    s3_server::S3Server,
    store_contract::{self, Exempt},
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

const WRITERS: usize = 8;

fn event() -> Value {
    serde_json::from_str(include_str!("../../events/segment-snapshot.json")).expect("the sample is JSON")
}

fn kind() -> Kind {
    Kind::new("segment-snapshot")
}

/// An entry for a job of its own.
fn entry(job: &str) -> Entry {
    let mut event = event();
    event["id"] = json!(job);
    let now = Utc::now();
    Entry {
        schema: SCHEMA.to_owned(),
        kind: kind(),
        trigger: trigger::identify(&kind(), &event).expect("the sample is an event"),
        name: None,
        request: Value::Null,
        format: None,
        source: None,
        created_at: now,
        deadline_at: now + TimeDelta::hours(1),
        attempts: Vec::new(),
        takes_slot: false,
        skips_manifest: false,
        picks_up: None,
        picked_up_by: Vec::new(),
        orphans: Vec::new(),
        cancel: None,
        outcome: None,
        written_by: String::new(),
    }
}

fn attempt(number: u32, owner: &str) -> Attempt {
    Attempt {
        number,
        key: format!("key-{number}"),
        prefix: "s3://exports/run=1/".parse().expect("a URI"),
        state: AttemptState::Claimed,
        owner: owner.to_owned(),
        claimed_at: Utc::now(),
        lease_until: Utc::now(),
        service_id: None,
        started_at: None,
        error: None,
        unreachable_since: None,
    }
}

/// The functions' S3 store, with a bucket for the ledger.
async fn store(server: &S3Server) -> Result<S3Store> {
    let client = server.client();
    client
        .create_bucket()
        .bucket(LEDGER)
        .send()
        .await
        .with_context(|| format!("{} made no bucket", server.name))?;
    Ok(S3Store::new(client, None))
}

/// Of several that create one entry at the same time, one succeeds, and all others know it.
async fn one_creates(store: &Arc<dyn ObjectStore>) -> Result<()> {
    for round in 0..3 {
        let creators = (0..WRITERS).map(|writer| {
            let store = Arc::clone(store);
            async move {
                let ledger = Ledger::new(store.as_ref(), LEDGER, format!("writer-{writer}"));
                ledger.create(entry(&format!("create-{round}"))).await
            }
        });
        let created: Vec<_> = join_all(creators).await.into_iter().collect::<Result<_, _>>()?;
        let winners: Vec<_> = created.iter().cloned().filter_map(Cas::won).collect();
        assert_eq!(winners.len(), 1, "{created:?}");
        let ledger = Ledger::new(store.as_ref(), LEDGER, "reader");
        let job_key = &winners[0].entry.trigger.job_key;
        let standing = ledger.load(&kind(), job_key).await?.context("it is not there")?;
        assert_eq!(standing, winners[0]);
    }
    Ok(())
}

/// If several change one entry again and again, no change is lost and none is made twice.
async fn no_change_is_lost(store: &Arc<dyn ObjectStore>) -> Result<()> {
    const CHANGES: u32 = 3;
    let ledger = Ledger::new(store.as_ref(), LEDGER, "first");
    let created = ledger.create(entry("change")).await?.won().context("it was there")?;
    let job_key = created.entry.trigger.job_key.clone();
    let writers = (0..WRITERS).map(|writer| {
        let (store, job_key) = (Arc::clone(store), job_key.clone());
        async move {
            let owner = format!("writer-{writer}");
            let ledger = Ledger::new(store.as_ref(), LEDGER, owner.clone());
            let mut made = 0;
            let begun = Instant::now();
            while made < CHANGES {
                anyhow::ensure!(
                    begun.elapsed() < Duration::from_secs(120),
                    "{owner} must succeed in the end"
                );
                let current = ledger.load(&kind(), &job_key).await?.context("it is gone")?;
                let changed = ledger.change(current, |entry| {
                    let mut entry = entry.clone();
                    entry.attempts.push(attempt(made, &owner));
                    Change::<_, ()>::To(entry)
                });
                match changed.await {
                    Ok(_) => made += 1,
                    // There are so many at once that the ledger gives up, or S3 asks to slow down.
                    Err(error) if error.kind.is_transient() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        }
    });
    join_all(writers).await.into_iter().collect::<Result<()>>()?;
    let standing = ledger.load(&kind(), &job_key).await?.context("it is gone")?.entry;
    let changes: BTreeSet<_> = standing.attempts.iter().map(|a| (a.owner.clone(), a.number)).collect();
    assert_eq!(standing.attempts.len(), WRITERS * CHANGES as usize);
    assert_eq!(changes.len(), standing.attempts.len(), "no change may be made twice");
    Ok(())
}

/// A writer that read before someone else wrote changes nothing, however late it writes. Neither does a writer that
/// read nothing.
async fn a_late_write_changes_nothing(store: &Arc<dyn ObjectStore>) -> Result<()> {
    let ledger = Ledger::new(store.as_ref(), LEDGER, "late");
    let read = ledger.create(entry("late")).await?.won().context("it was there")?;
    let other = Ledger::new(store.as_ref(), LEDGER, "other");
    let mut changed = read.entry.clone();
    changed.attempts.push(attempt(1, "other"));
    let changed = other
        .update(changed, read.etag.clone())
        .await?
        .won()
        .context("it was changed")?;
    let late = ledger.update(read.entry.clone(), read.etag).await?;
    assert_eq!(late, Cas::Lost(changed.clone()));
    assert_eq!(ledger.create(entry("late")).await?, Cas::Lost(changed.clone()));
    let unknown = ledger.update(entry("never-created"), changed.etag.clone()).await;
    assert!(!matches!(unknown, Ok(Cas::Won(_))), "{unknown:?}");
    let job_key = &changed.entry.trigger.job_key;
    assert_eq!(other.load(&kind(), job_key).await?.as_ref(), Some(&changed));
    Ok(())
}

/// If many want one of two slots at the same time, two get one.
async fn slots_are_kept(store: &Arc<dyn ObjectStore>) -> Result<()> {
    let until = Utc::now() + TimeDelta::hours(1);
    let jobs = (0..WRITERS).map(|number| {
        let store = Arc::clone(store);
        async move {
            let job = entry(&format!("place-{number}"));
            let job_key = job.trigger.job_key.clone();
            let ledger = Ledger::new(store.as_ref(), LEDGER, format!("job-{number}"));
            // A slot belongs to a job with an entry.
            ledger.create(job).await?;
            let kind = kind();
            let line = Queue::new(&ledger, &SystemClock, &kind);
            loop {
                match line.enter(2, &job_key, until).await {
                    Err(error) if error.kind == ErrorKind::Busy => {}
                    entered => return anyhow::Ok((job_key, entered?)),
                }
            }
        }
    });
    let entered: Vec<_> = join_all(jobs).await.into_iter().collect::<Result<_>>()?;
    assert_eq!(entered.iter().filter(|(_, entered)| *entered).count(), 2, "{entered:?}");
    // A slot that is returned goes to one of the others.
    let ledger = Ledger::new(store.as_ref(), LEDGER, "leaver");
    let kind = kind();
    let line = Queue::new(&ledger, &SystemClock, &kind);
    let find = |has: bool| {
        entered
            .iter()
            .find(|(_, entered)| *entered == has)
            .map(|(key, _)| key.clone())
    };
    let (inside, outside) = (find(true).context("nobody")?, find(false).context("nobody")?);
    assert!(!line.enter(2, &outside, until).await?);
    line.leave(&inside).await?;
    assert!(line.enter(2, &outside, until).await?);
    assert!(!line.enter(2, &inside, until).await?);
    Ok(())
}

/// Of several deliveries of one trigger at the same time, one makes the start call, and all others adopt its job.
async fn deliveries_start_once(store: &Arc<dyn ObjectStore>) -> Result<()> {
    let settings = Settings {
        profiles: 5,
        scenario: Scenario::Success,
        ..Settings::default()
    };
    let mut harness = <Harness>::new(settings, Faults::none())?;
    harness.keep_ledger_in(Arc::clone(store));
    let event = event();
    let deliveries = (0..WRITERS).map(|number| {
        let received = <Harness>::received(&format!("delivery-{number}"), &event);
        let harness = &harness;
        async move {
            loop {
                match harness.start(&received).await {
                    Err(error) if error.kind.is_transient() => tokio::time::sleep(Duration::from_millis(50)).await,
                    started => return started,
                }
            }
        }
    });
    let jobs: Vec<_> = join_all(deliveries).await.into_iter().collect::<Result<_, _>>()?;
    assert_eq!(harness.simulated.start_calls(), 1);
    assert_eq!(jobs.iter().filter(|job| !job.adopted).count(), 1);
    let ids: BTreeSet<_> = jobs.iter().map(|job| &job.service_id).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    Ok(())
}

/// If several executions seal one event at the same time, there is one outcome, one receipt and one announcement.
async fn executions_seal_once(store: &Arc<dyn ObjectStore>) -> Result<()> {
    let mut harness = <Harness>::new(Settings::default(), Faults::none())?;
    harness.keep_ledger_in(Arc::clone(store));
    let mut event = event();
    event["id"] = json!("seal-once");
    let executions = (0..WRITERS).map(|number| {
        let received = Received {
            error: Some(landfall::error::Error::new(ErrorKind::NotFound, "there is no such segment").into()),
            ..<Harness>::received(&format!("execution-{number}"), &event)
        };
        let harness = &harness;
        async move {
            loop {
                match harness.seal(json!(received)).await {
                    Err(error) if error.kind.is_transient() => tokio::time::sleep(Duration::from_millis(50)).await,
                    sealed => return sealed,
                }
            }
        }
    });
    let sealed: Vec<_> = join_all(executions).await.into_iter().collect::<Result<_, _>>()?;
    let outcomes: Vec<_> = sealed.iter().filter_map(|sealed| sealed.outcome()).collect();
    assert_eq!(outcomes.len(), WRITERS);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.announce).count(), 1);
    let said: BTreeSet<_> = outcomes
        .iter()
        .map(|outcome| {
            (
                outcome.receipt.to_string(),
                outcome.sealed_by.clone(),
                outcome.sealed_at,
            )
        })
        .collect();
    assert_eq!(said.len(), 1, "{said:?}");
    Ok(())
}

/// Runs the contract in a bucket of its own.
async fn contract(server: &S3Server, store: &S3Store, exempt: Exempt) -> Result<()> {
    const BUCKET: &str = "contract";
    server.client().create_bucket().bucket(BUCKET).send().await?;
    store_contract::writes(store, BUCKET, "no-such-bucket", exempt)
        .await
        .with_context(|| format!("{} does not keep the contract", server.name))
}

/// Lets a call begin only after the previous one has ended. The race is then between decisions that rest on earlier
/// answers.
#[derive(Default)]
struct InTurn(Mutex<()>);

#[async_trait]
impl Layer for InTurn {
    async fn call(&self, call: Call<'_>, store: &dyn ObjectStore) -> landfall::error::Result<Answer> {
        let _turn = self.0.lock().await;
        call.make(store).await
    }
}

async fn all(store: &Arc<dyn ObjectStore>) -> Result<()> {
    one_creates(store).await?;
    no_change_is_lost(store).await?;
    a_late_write_changes_nothing(store).await?;
    slots_are_kept(store).await?;
    deliveries_start_once(store).await?;
    executions_seal_once(store).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledgers_races_hold_on_moto() -> Result<()> {
    let server = S3Server::moto().await?;
    let store = store(&server).await?;
    contract(&server, &store, Exempt::default()).await?;
    let store = Layered::new(Arc::new(store), InTurn::default());
    all(&(Arc::new(store) as Arc<dyn ObjectStore>)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledgers_races_hold_on_seaweedfs() -> Result<()> {
    let server = S3Server::seaweedfs().await?;
    let ours = store(&server).await?;
    contract(
        &server,
        &ours,
        Exempt {
            order: true,
            condition_first: true,
        },
    )
    .await?;
    store_contract::pages(&ours, "contract").await?;
    all(&(Arc::new(ours.clone()) as Arc<dyn ObjectStore>)).await?;
    // This server does check signatures.
    let stranger = S3Store::new(server.client_with("another-secret"), None);
    let refused = stranger
        .put(LEDGER, "jobs/x.json", "{}".into(), Condition::Absent)
        .await;
    assert!(
        matches!(&refused, Err(error) if error.kind == ErrorKind::Forbidden),
        "{refused:?}"
    );
    let written = ours.put(LEDGER, "jobs/x.json", "{}".into(), Condition::Absent).await?;
    assert!(matches!(written, Written::Done { .. }));
    Ok(())
}
