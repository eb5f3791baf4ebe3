//! The queue of a kind: how many of its jobs run at a time, and how many are started in a day.
//!
//! What must stay true: a slot belongs to a job, not to whoever starts it, so a crash leaks none and a job has one at
//! most. It is free again when its job gave it back, has an outcome, or is past its deadline by [`GRACE`]. All slots of
//! a kind stand in one object, and all calls of a day in another, each changed by compare-and-set: so no two jobs get the
//! same slot, and whoever finds none has read one small object and written nothing.
//!
//! A job that was given up has no slot any more, although the service may still work on it: the service's own limit
//! counts besides.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    error::Result,
    hash::sha256_hex,
    job::Kind,
    ledger::{Change, Entry, Ledger},
    store::Clock,
};

/// The schema of [`Slots`].
pub const SLOTS_SCHEMA: &str = "landfall.slots/1";

/// The schema of [`Calls`].
pub const CALLS_SCHEMA: &str = "landfall.starts/1";

/// How long after its deadline a job that never was sealed keeps its slot: longer than a start call that was begun in
/// the last moment, and the seal after it.
pub const GRACE: TimeDelta = TimeDelta::minutes(20);

/// How many jobs of a full queue are looked up each time, in case they have ended and could not give their slot back.
const LOOKS: usize = 2;

/// Who has a slot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    pub job_key: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Until when at most.
    pub until: DateTime<Utc>,
}

/// The jobs of a kind that have a slot, in the order in which they got it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slots {
    /// [`SLOTS_SCHEMA`].
    pub schema: String,
    pub kind: Kind,
    /// One for each job.
    pub slots: Vec<Slot>,
}

/// The slots of one kind.
pub struct Queue<'a> {
    ledger: &'a Ledger<'a>,
    clock: &'a dyn Clock,
    kind: &'a Kind,
}

impl<'a> Queue<'a> {
    /// The queue of a kind.
    pub fn new(ledger: &'a Ledger<'a>, clock: &'a dyn Clock, kind: &'a Kind) -> Self {
        Self { ledger, clock, kind }
    }

    /// Where it lies.
    pub fn key(kind: &Kind) -> String {
        format!("slots/{kind}.json")
    }

    /// Gives a job one of `limit` slots, to keep until `until` at most; `false` if all are taken. A job that has one
    /// keeps it.
    ///
    /// Fails with `Busy` if others keep changing the queue, and with what the store fails with.
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
    /// Fails as [`Queue::enter`] does. A slot that could not be taken back is free once somebody looks its job up.
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

    /// Enters the queue, leaving out the jobs that have `ended`.
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

    /// Looks up some of the jobs of a full queue, others each time, and gives those that no longer need their slot.
    async fn ended(&self, slots: &[Slot], job_key: &str) -> Result<Vec<String>> {
        let seed = sha256_hex(format!("{job_key}/{}", self.clock.now()).as_bytes());
        let first = usize::from_str_radix(&seed[..8], 16).unwrap_or_default();
        let looked_at = slots.iter().cycle().skip(first % slots.len().max(1));
        let mut ended = Vec::new();
        for slot in looked_at.take(LOOKS.min(slots.len())) {
            let entry = self.ledger.load(self.kind, &slot.job_key).await?;
            // A job gets its slot after its entry, so one without was deleted.
            if entry.is_none_or(|current| current.entry.outcome.is_some()) {
                ended.push(slot.job_key.clone());
            }
        }
        Ok(ended)
    }
}

/// What trying to enter the queue came to.
enum Entered {
    Yes,
    /// All slots are taken, by these.
    Full(Vec<Slot>),
}

/// The start calls of a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// [`CALLS_SCHEMA`].
    pub schema: String,
    pub kind: Kind,
    /// What the quota is of, such as a domain.
    pub scope: String,
    /// The day, UTC.
    pub day: NaiveDate,
    /// The key of each attempt whose call was about to be made.
    pub calls: Vec<String>,
}

/// A service's quota of start calls a day, as far as this deployment uses it.
///
/// An attempt counts once, before its call: so a service with such a quota makes each call an attempt of its own
/// ([`crate::service::Found::Unknowable`]). When the service's own day begins is not documented; here it is UTC's.
pub struct Quota<'a> {
    pub ledger: &'a Ledger<'a>,
    pub clock: &'a dyn Clock,
    pub kind: &'a Kind,
    /// What the quota is of: letters, digits, `-` and `_`.
    pub scope: &'a str,
    /// Calls a day.
    pub limit: u64,
}

impl Quota<'_> {
    /// Where the calls of a day stand.
    pub fn key(kind: &Kind, scope: &str, day: NaiveDate) -> String {
        format!("starts/{kind}/{scope}/{day}.json")
    }

    /// Whether another call could be counted now.
    pub async fn is_left(&self) -> Result<bool> {
        let (_, key) = self.today();
        let found = self.ledger.get::<Calls>(&key).await?;
        Ok(found.is_none_or(|found| (found.calls.len() as u64) < self.limit))
    }

    /// Counts the call of an attempt; `false` if the day's are used up. An attempt that was counted today is not counted
    /// again.
    ///
    /// Fails with `Busy` if others keep counting, and with what the store fails with.
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
    /// Fails as [`Quota::count`] does. Then the attempt counts, and is not counted again.
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

    /// The day, and where its calls stand.
    fn today(&self) -> (NaiveDate, String) {
        let day = self.clock.now().date_naive();
        (day, Self::key(self.kind, self.scope, day))
    }
}

/// Logs how much of the time that it has a job has stood in line. The template makes a metric of `waited_percent`, and an
/// alarm that rings while the oldest job may still get its turn.
pub fn log_wait(entry: &Entry, now: DateTime<Utc>) {
    tracing::info!(
        kind = %entry.kind,
        waited_percent = waited_percent(entry.created_at, entry.deadline_at, now),
        waited_seconds = (now - entry.created_at).num_seconds().max(0),
        "it stands in line"
    );
}

/// Which part of the time until its deadline has passed, in percent.
fn waited_percent(created: DateTime<Utc>, deadline: DateTime<Utc>, now: DateTime<Utc>) -> u64 {
    let has = (deadline - created).num_milliseconds().max(1);
    let waited = (now - created).num_milliseconds().clamp(0, has);
    waited.unsigned_abs() * 100 / has.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_as_a_part_of_the_time_that_a_job_has() {
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
