//! All jobs of a period: from the ledger, from the receipts of what was rejected, and from the executions.
//!
//! What must stay true: a job is one row, however many executions it had. What cannot be read becomes a note and hides
//! nothing else.
//!
//! 1. The ledger is listed. The listing says when each entry was last written. An entry is written when its job begins,
//!    so only entries that were written in the period can belong to it. These are read, many at a time.
//! 2. Executions are listed. If no entry names an execution, its input is read, which shows its job.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use landfall::{
    cancel::is_asked,
    error::Result,
    job::Kind,
    ledger::{Entry, Ledger},
    store::{Listed as Object, ObjectStore},
    trigger::{identify, rejected_key},
};
use landfall_output::receipt::Receipt;

use super::row::Row;
use crate::{
    document::NamedError,
    executions::{Executions, Listed, State, of_owner},
    steps::message_of,
};

/// How many objects are read at the same time.
const AT_ONCE: usize = 64;
/// How many executions are described at the same time. Step Functions answers 20 a second after a first burst.
const DESCRIBED_AT_ONCE: usize = 8;
/// How many executions of a kind are described at most because no entry names them.
const MAX_DESCRIBED: usize = 500;

/// Where jobs are looked for.
pub struct Sources<'a> {
    /// Objects in S3.
    pub store: &'a Arc<dyn ObjectStore>,
    /// The bucket of the ledger.
    pub ledger: &'a str,
    /// Step Functions. Without it only the ledger is read.
    pub executions: Option<&'a dyn Executions>,
    /// State machines by kind.
    pub machines: &'a BTreeMap<String, String>,
    /// The kinds that are wanted.
    pub kinds: &'a [&'a str],
    /// Jobs that began at this time or later are wanted.
    pub since: DateTime<Utc>,
    /// The time.
    pub now: DateTime<Utc>,
    /// Is told how many entries have been read, and of how many.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The jobs, newest first.
    pub rows: Vec<Row>,
    /// What could not be looked at, and why.
    pub notes: Vec<String>,
}

/// Finds all jobs. Fails if the ledger cannot be listed.
pub async fn collect(sources: &Sources<'_>) -> Result<Found> {
    let mut listed = Vec::new();
    for kind in sources.kinds {
        listed.push(Listing::of(sources, kind).await?);
    }
    let all = listed
        .iter()
        .map(|listing| listing.entries.len() + listing.rejected.len())
        .sum();
    (sources.progress)(0, all);
    let mut found = Found::default();
    let mut done = 0;
    for listing in listed {
        let kind = listing.kind;
        let entries = read::<Entry>(sources, &listing.entries, (done, all), &mut found.notes).await;
        done += listing.entries.len();
        let rejected = read::<Receipt>(sources, &listing.rejected, (done, all), &mut found.notes).await;
        done += listing.rejected.len();
        let entries: BTreeMap<String, Entry> = entries
            .into_iter()
            .map(|(_, entry)| (entry.trigger.job_key.clone(), entry))
            .collect();
        let mut of_kind = OfKind {
            sources,
            kind,
            entries,
            rejected,
            working: BTreeMap::new(),
            alone: Vec::new(),
        };
        if let (Some(executions), Some(machine)) = (sources.executions, sources.machines.get(kind))
            && let Err(error) = of_kind.look(executions, machine, &mut found.notes).await
        {
            found.notes.push(format!(
                "the executions of {kind} could not be looked at: {}",
                error.message
            ));
        }
        found.rows.extend(of_kind.rows());
    }
    found
        .rows
        .sort_by(|a, b| b.began_at.cmp(&a.began_at).then_with(|| a.job_key.cmp(&b.job_key)));
    Ok(found)
}

/// What the ledger has of a kind that was written in the period.
struct Listing<'a> {
    kind: &'a str,
    entries: Vec<Object>,
    rejected: Vec<Object>,
}

impl<'a> Listing<'a> {
    async fn of(sources: &Sources<'_>, kind: &'a str) -> Result<Self> {
        let (entries, rejected) = tokio::try_join!(
            list(sources, format!("jobs/{kind}/")),
            list(sources, format!("receipts/{kind}/rejected-"))
        )?;
        Ok(Self {
            kind,
            entries,
            rejected,
        })
    }
}

async fn list(sources: &Sources<'_>, prefix: String) -> Result<Vec<Object>> {
    let objects = sources.store.list(sources.ledger, &prefix, usize::MAX).await?;
    // S3 gives times in whole seconds.
    let since = sources.since.timestamp();
    Ok(objects
        .into_iter()
        .filter(|object| object.last_modified.timestamp() >= since)
        .collect())
}

/// Reads objects, each with its key. An object that cannot be read becomes a note.
async fn read<T: serde::de::DeserializeOwned>(
    sources: &Sources<'_>,
    objects: &[Object],
    (done, all): (usize, usize),
    notes: &mut Vec<String>,
) -> Vec<(String, T)> {
    let reader = Ledger::new(sources.store.as_ref(), sources.ledger, "landfall");
    let reader = &reader;
    let mut read = stream::iter(objects)
        .map(|object| async move { (&object.key, reader.get::<T>(&object.key).await) })
        .buffer_unordered(AT_ONCE);
    let (mut values, mut count, mut unread) = (Vec::new(), 0, Vec::new());
    while let Some((key, value)) = read.next().await {
        count += 1;
        (sources.progress)(done + count, all);
        match value {
            Ok(Some(value)) => values.push((key.clone(), value)),
            // It expired after it was listed.
            Ok(None) => {}
            Err(error) => unread.push(error.message),
        }
    }
    if let Some(first) = unread.first() {
        notes.push(match unread.len() {
            1 => format!("an object of the ledger could not be read: {first}"),
            n => format!("{n} objects of the ledger could not be read, the first: {first}"),
        });
    }
    values
}

struct OfKind<'a> {
    sources: &'a Sources<'a>,
    kind: &'a str,
    entries: BTreeMap<String, Entry>,
    rejected: Vec<(String, Receipt)>,
    /// The execution that works on an open job, or that last worked on it; of a job with an outcome the one that decided
    /// it, if that did not end as a success.
    working: BTreeMap<String, Listed>,
    /// Executions that left nothing in the ledger.
    alone: Vec<Row>,
}

impl OfKind<'_> {
    /// Finds out which executions work on which jobs.
    async fn look(&mut self, executions: &dyn Executions, machine: &str, notes: &mut Vec<String>) -> Result<()> {
        let since = self.sources.since;
        let (running, failed, aborted, late) = tokio::try_join!(
            executions.list(machine, State::Running, DateTime::<Utc>::MIN_UTC),
            executions.list(machine, State::Failed, since),
            executions.list(machine, State::Aborted, since),
            executions.list(machine, State::TimedOut, since),
        )?;
        let listed = [running, failed, aborted, late].concat();
        let by_arn: BTreeMap<&str, &Listed> = listed.iter().map(|listed| (listed.arn.as_str(), listed)).collect();

        // The executions that the entries name.
        let mut known: BTreeSet<&str> = self
            .rejected
            .iter()
            .map(|(_, receipt)| receipt.execution.as_str())
            .collect();
        let mut asked = Vec::new();
        for (job_key, entry) in &self.entries {
            if let Some(outcome) = &entry.outcome {
                known.insert(&outcome.sealed_by);
                if let Some(listed) = by_arn.get(outcome.sealed_by.as_str()) {
                    self.working.insert(job_key.clone(), (*listed).clone());
                }
                continue;
            }
            let Some(attempt) = entry.attempts.last() else { continue };
            let owner = of_owner(&attempt.owner);
            known.insert(owner);
            match by_arn.get(owner) {
                Some(listed) => {
                    self.working.insert(job_key.clone(), (*listed).clone());
                }
                // It began before the period.
                None => asked.push((job_key.clone(), owner.to_owned())),
            }
        }
        for (job_key, owner) in asked {
            if let Some(described) = executions.describe(&owner).await? {
                self.working.insert(job_key, described.listed);
            }
        }

        let mut unknown: Vec<&Listed> = listed
            .iter()
            .filter(|listed| !known.contains(listed.arn.as_str()))
            .collect();
        unknown.sort_by_key(|listed| std::cmp::Reverse(listed.started_at));
        if unknown.len() > MAX_DESCRIBED {
            notes.push(format!(
                "{} older executions of {} that no entry of the ledger names were not looked at",
                unknown.len() - MAX_DESCRIBED,
                self.kind
            ));
            unknown.truncate(MAX_DESCRIBED);
        }
        let described: Vec<_> = stream::iter(unknown)
            .map(|listed| executions.describe(&listed.arn))
            .buffered(DESCRIBED_AT_ONCE)
            .try_collect()
            .await?;
        for described in described.into_iter().flatten() {
            // This execution asks for a cancel. The executions of the job itself are listed too.
            if is_asked(&described.input) {
                continue;
            }
            let kind = Kind::new(self.kind);
            // An event that names no job is sealed under another key. What is left of it here is in the executions
            // alone.
            let job_key = match identify(&kind, &described.input) {
                Ok(trigger) => trigger.job_key,
                Err(_) => rejected_key(&kind, &described.input)?,
            };
            if !self.entries.contains_key(&job_key) {
                let ledger = Ledger::new(self.sources.store.as_ref(), self.sources.ledger, "landfall");
                if let Some(found) = ledger.load(&kind, &job_key).await? {
                    let is_open = found.entry.outcome.is_none();
                    if is_open {
                        self.entries.insert(job_key.clone(), found.entry);
                    } else {
                        continue;
                    }
                }
            }
            let listed = described.listed.clone();
            match self.entries.get(&job_key) {
                Some(entry) if entry.outcome.is_some() => {}
                Some(_) => {
                    let is_newer = self.working.get(&job_key).is_none_or(|other| {
                        (listed.state == State::Running, listed.started_at)
                            > (other.state == State::Running, other.started_at)
                    });
                    if is_newer {
                        self.working.insert(job_key, listed);
                    }
                }
                None => {
                    let error = described.error.as_ref().map(|name| NamedError {
                        name: name.clone(),
                        message: message_of(described.cause.as_deref().unwrap_or_default()),
                    });
                    let now = self.sources.now;
                    let row = Row::of_execution(&listed, self.kind, &job_key, &described.input, error, now);
                    // Several executions of one event that left nothing are one row. The newest comes first.
                    if !self.alone.iter().any(|other| other.job_key == row.job_key) {
                        self.alone.push(row);
                    }
                }
            }
        }
        Ok(())
    }

    fn rows(self) -> Vec<Row> {
        let now = self.sources.now;
        let since = self.sources.since;
        let mut rows: Vec<Row> = self
            .entries
            .values()
            .map(|entry| Row::of_entry(entry, self.working.get(&entry.trigger.job_key), now))
            .filter(|row| row.began_at >= since || row.sealed_at.is_none())
            .collect();
        let place = |key: &str| format!("s3://{}/{key}", self.sources.ledger);
        rows.extend(
            self.rejected
                .iter()
                .map(|(key, receipt)| Row::of_rejected(receipt, &place(key))),
        );
        rows.extend(self.alone);
        rows
    }
}
