//! The queue of a kind: how many of its jobs run at a time, and how many are started in a day.
//!
//! What must stay true: a slot belongs to a job, not to the invocation that starts the job. So a crash loses no slot,
//! and a job has one slot at most. A slot is free again when its job gave it back, when its job has an outcome, or when
//! [`GRACE`] has passed since its job's deadline. All slots of a kind are in one object, and all start calls of a day
//! in another one; both are changed by compare-and-set. So no two jobs get the same slot, and a job that finds no slot
//! has read one small object and written nothing.
//!
//! A job that was given up has no slot any more, although the service may still be working on it. The service's own
//! limit on running jobs applies in addition.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    clock::Clock,
    error::Result,
    hash::sha256_hex,
    job::Kind,
    ledger::{Change, Entry, Ledger},
};

/// The schema of [`Slots`].
pub const SLOTS_SCHEMA: &str = "landfall.slots/1";

/// The schema of [`Calls`].
pub const CALLS_SCHEMA: &str = "landfall.starts/1";

/// How long a job without an outcome keeps its slot after its deadline. This is longer than a start call begun at the
/// last moment and the seal after it take.
pub const GRACE: TimeDelta = TimeDelta::minutes(20);

/// A job that ended may have failed to give its slot back. So each time the queue is full, this many jobs in it are
/// looked up.
const LOOKS: usize = 2;

/// A slot with the job that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    pub job_key: String,
    /// When the job got the slot.
    pub since: DateTime<Utc>,
    /// When the slot is free again at the latest.
    pub until: DateTime<Utc>,
}

/// The slots of a kind that are taken, in the order in which the jobs got them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// [`SLOTS_SCHEMA`].
    pub schema: String,
    pub kind: Kind,
    pub slots: Vec<Slot>,
}

/// The slots of one kind.
pub struct Queue<'a> {
    ledger: &'a Ledger<'a>,
    clock: &'a dyn Clock,
    kind: &'a Kind,
}

impl<'a> Queue<'a> {
    pub fn new(ledger: &'a Ledger<'a>, clock: &'a dyn Clock, kind: &'a Kind) -> Self {
        Self { ledger, clock, kind }
    }

    /// Key of the slots' object in the ledger bucket.
    pub fn key(kind: &Kind) -> String {
        format!("slots/{kind}.json")
    }

    /// Gives a job one of `limit` slots, which it keeps until `until` at most. `false` if all slots are taken. A job
    /// that has a slot keeps it.
    ///
    /// Fails with `Busy` if others keep changing the queue, and with the errors of the store.
    pub async fn enter(&self, limit: u64, job_key: &str, until: DateTime<Utc>) -> Result<bool> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        match self.try_to_enter(limit, job_key, until, &[]).await? {
            Entered::Yes => Ok(true),
            Entered::Full(slots) => {
                let ended = self.ended(&slots, job_key).await?;
                if ended.is_empty() {
                    return Ok(false);
                }
                let entered = self.try_to_enter(limit, job_key, until, &ended).await?;
                Ok(matches!(entered, Entered::Yes))
            }
        }
    }

    /// Takes a job's slot back, if it has one.
    ///
    /// Fails as [`Queue::enter`] does. The slot then becomes free when another job looks this one up.
    pub async fn leave(&self, job_key: &str) -> Result<()> {
        let key = Self::key(self.kind);
        let leave = |found: Option<Slots>| {
            let mut slots = found.map_or_else(Vec::new, |found| found.slots);
            let before = slots.len();
            slots.retain(|slot| slot.job_key != job_key);
            if slots.len() == before {
                return Change::Leave(());
            }
            Change::To(self.whole(slots))
        };
        self.ledger.change_value(&key, self.clock, job_key, leave).await?;
        Ok(())
    }

    /// Enters the queue, and takes back the slots of the jobs in `ended`.
    async fn try_to_enter(
        &self,
        limit: usize,
        job_key: &str,
        until: DateTime<Utc>,
        ended: &[String],
    ) -> Result<Entered> {
        let key = Self::key(self.kind);
        let enter = |found: Option<Slots>| {
            let mut slots = found.map_or_else(Vec::new, |found| found.slots);
            if slots.iter().any(|slot| slot.job_key == job_key) {
                return Change::Leave(Entered::Yes);
            }
            let now = self.clock.now();
            slots.retain(|slot| now < slot.until && !ended.contains(&slot.job_key));
            if slots.len() >= limit {
                return Change::Leave(Entered::Full(slots));
            }
            slots.push(Slot {
                job_key: job_key.to_owned(),
                since: now,
                until,
            });
            Change::To(self.whole(slots))
        };
        let left = self.ledger.change_value(&key, self.clock, job_key, enter).await?;
        Ok(left.unwrap_or(Entered::Yes))
    }

    fn whole(&self, slots: Vec<Slot>) -> Slots {
        Slots {
            schema: SLOTS_SCHEMA.to_owned(),
            kind: self.kind.clone(),
            slots,
        }
    }

    /// Looks up [`LOOKS`] jobs of a full queue, different ones each time. Answers those that need their slot no longer.
    async fn ended(&self, slots: &[Slot], job_key: &str) -> Result<Vec<String>> {
        let seed = sha256_hex(format!("{job_key}/{}", self.clock.now()).as_bytes());
        let first = usize::from_str_radix(&seed[..8], 16).unwrap_or_default();
        let looked_at = slots.iter().cycle().skip(first % slots.len().max(1));
        let mut ended = Vec::new();
        for slot in looked_at.take(LOOKS.min(slots.len())) {
            let entry = self.ledger.load(self.kind, &slot.job_key).await?;
            // A job's entry is created before the job gets a slot, so a job without an entry was deleted.
            if entry.is_none_or(|current| current.entry.outcome.is_some()) {
                ended.push(slot.job_key.clone());
            }
        }
        Ok(ended)
    }
}

/// The result of trying to enter the queue.
enum Entered {
    Yes,
    /// All slots are taken, by these jobs.
    Full(Vec<Slot>),
}

/// The start calls of one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// [`CALLS_SCHEMA`].
    pub schema: String,
    pub kind: Kind,
    /// What the service counts start calls by, such as a domain.
    pub scope: String,
    /// The day, UTC.
    pub day: NaiveDate,
    /// The keys of the attempts, each noted before its start call.
    pub calls: Vec<String>,
}

/// The daily quota of start calls that a deployment sets for a service.
///
/// An attempt is counted once, before its call. So for a service with such a quota each call must be an attempt of its
/// own ([`crate::service::Found::Unknowable`]). AWS does not document when the service's day begins; this quota uses
/// the day of UTC.
pub struct Quota<'a> {
    pub ledger: &'a Ledger<'a>,
    pub clock: &'a dyn Clock,
    pub kind: &'a Kind,
    /// What the calls are counted by: letters, digits, `-` and `_`.
    pub scope: &'a str,
    /// The most calls of a day.
    pub limit: u64,
}

impl Quota<'_> {
    /// Key of a day's calls in the ledger bucket.
    pub fn key(kind: &Kind, scope: &str, day: NaiveDate) -> String {
        format!("starts/{kind}/{scope}/{day}.json")
    }

    /// Whether another call may be made today.
    pub async fn is_left(&self) -> Result<bool> {
        let (_, key) = self.today();
        let found = self.ledger.get::<Calls>(&key).await?;
        Ok(found.is_none_or(|found| (found.calls.len() as u64) < self.limit))
    }

    /// Counts the call of an attempt. `false` if the day's calls are used up. An attempt is counted once a day.
    ///
    /// Fails with `Busy` if others keep counting, and with the errors of the store.
    pub async fn count(&self, attempt_key: &str) -> Result<bool> {
        let (day, key) = self.today();
        let count = |found: Option<Calls>| {
            let mut calls = found.map_or_else(Vec::new, |found| found.calls);
            if calls.iter().any(|call| call == attempt_key) {
                return Change::Leave(true);
            }
            if calls.len() as u64 >= self.limit {
                return Change::Leave(false);
            }
            calls.push(attempt_key.to_owned());
            Change::To(Calls {
                schema: CALLS_SCHEMA.to_owned(),
                kind: self.kind.clone(),
                scope: self.scope.to_owned(),
                day,
                calls,
            })
        };
        let left = self.ledger.change_value(&key, self.clock, attempt_key, count).await?;
        Ok(left.unwrap_or(true))
    }

    /// Takes back the count of an attempt whose call never left, if it was counted today.
    ///
    /// Fails as [`Quota::count`] does. The attempt then stays counted, and a further call of it is not counted again.
    pub async fn take_back(&self, attempt_key: &str) -> Result<()> {
        let (_, key) = self.today();
        let take_back = |found: Option<Calls>| match found {
            Some(mut whole) if whole.calls.iter().any(|call| call == attempt_key) => {
                whole.calls.retain(|call| call != attempt_key);
                Change::To(whole)
            }
            _ => Change::Leave(()),
        };
        self.ledger
            .change_value(&key, self.clock, attempt_key, take_back)
            .await?;
        Ok(())
    }

    fn today(&self) -> (NaiveDate, String) {
        let day = self.clock.now().date_naive();
        (day, Self::key(self.kind, self.scope, day))
    }
}

/// Logs which part of the time until its deadline a job has waited. The template makes a metric of `waited_percent`,
/// with an alarm that rings while the oldest job may still get a slot.
pub fn log_wait(entry: &Entry, now: DateTime<Utc>) {
    tracing::info!(
        kind = %entry.kind,
        waited_percent = waited_percent(entry.created_at, entry.deadline_at, now),
        waited_seconds = (now - entry.created_at).num_seconds().max(0),
        "it stands in line"
    );
}

/// The part of the time from `created` to `deadline` that has passed, in percent.
fn waited_percent(created: DateTime<Utc>, deadline: DateTime<Utc>, now: DateTime<Utc>) -> u64 {
    let has = (deadline - created).num_milliseconds().max(1);
    let waited = (now - created).num_milliseconds().clamp(0, has);
    waited.unsigned_abs() * 100 / has.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_percentage_of_the_time_until_the_deadline() {
        let created = DateTime::UNIX_EPOCH;
        let after = |seconds| created + TimeDelta::seconds(seconds);
        for (deadline, now, percent) in [
            (600, 0, 0),
            (600, 299, 49),
            (600, 300, 50),
            (600, 900, 100),
            (600, -5, 0),
            (0, 1, 100),
        ] {
            assert_eq!(
                waited_percent(created, after(deadline), after(now)),
                percent,
                "{now} of {deadline}"
            );
        }
    }
}
