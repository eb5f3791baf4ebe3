//! The promises about cancels.

use anyhow::Result;
use chrono::TimeDelta;
use landfall::{
    error::ErrorKind,
    ledger::{Attempt, AttemptState, Cancel, Entry},
};
use serde_json::Value;

use super::{CANCELLED, Check, NOT_STARTED};
use crate::{kinds::LEDGER, starts::Start, time::BEGINNING};

/// The largest difference between two clocks.
const SKEW: TimeDelta = TimeDelta::seconds(5);

impl Check<'_> {
    /// Once a cancel is in an entry, it stays, nothing is claimed any more, and the job can only end as cancelled. Once
    /// it has ended, no start call of it begins, it is hardly polled any more, and it has no slot.
    pub(super) fn cancelled(&mut self) -> Result<()> {
        let (after, keys) = (self.after, self.keys.clone());
        let slots = after.store.body(LEDGER, &format!("slots/{}.json", self.kind.name));
        let slots: Value = slots.map_or(Ok(Value::Null), |body| serde_json::from_slice(&body))?;
        for (job_key, entry) in self.entries.clone() {
            let error = entry.outcome.as_ref().and_then(|outcome| outcome.error.as_ref());
            let ended_so = error.is_some_and(|error| error.error == ErrorKind::Cancelled.name());
            if ended_so != entry.cancel.is_some() {
                let what = format!("{job_key} has {:?} and ended with {error:?}", entry.cancel);
                self.breaks(CANCELLED, what);
            }
            let (Some(cancel), Some(outcome)) = (&entry.cancel, &entry.outcome) else {
                continue;
            };
            if !self.asked(cancel) {
                let what = format!("{job_key} was cancelled by {}, which did not ask", cancel.by);
                self.breaks(CANCELLED, what);
            }
            let mut taken = slots["slots"].as_array().into_iter().flatten();
            // A function that stood still or ran twice may take a slot afterwards. The next job that meets a full queue
            // removes it.
            if !self.runs_beside() && taken.any(|slot| slot["job_key"] == job_key.as_str()) {
                self.breaks(CANCELLED, format!("{job_key} was cancelled and has a slot"));
            }
            self.stays(&job_key)?;
            let sealed_at = outcome.sealed_at + SKEW;
            let of_job = |delivery: usize| keys[after.plan.deliveries[delivery].trigger] == job_key;
            let is_after = |start: &Start| {
                of_job(start.call.delivery) && !start.begun_late && BEGINNING + start.begun_at > sealed_at
            };
            if self.starts.iter().any(is_after) {
                self.breaks(
                    NOT_STARTED,
                    format!("a start call of {job_key} was begun after it was sealed"),
                );
            }
            // A poll sees the cancel, unless the ledger does not answer.
            let polled_on = (0..after.plan.deliveries.len())
                .filter(|delivery| of_job(*delivery))
                .any(|delivery| {
                    let passed = after.passed.iter().filter(|passed| passed.delivery == delivery);
                    passed
                        .filter(|passed| passed.state == "Poll" && passed.at > sealed_at)
                        .count()
                        > 1
                });
            if after.harms == 0 && polled_on {
                self.breaks(CANCELLED, format!("{job_key} was cancelled and is polled on"));
            }
        }
        Ok(())
    }

    /// Whether the execution that the cancel names asked for it.
    fn asked(&self, cancel: &Cancel) -> bool {
        let is_it = |number: usize| cancel.by.ends_with(&format!(":delivery-{number}"));
        let deliveries = self.after.plan.deliveries.iter().enumerate();
        deliveries
            .filter(|(_, delivery)| delivery.is_cancel())
            .any(|(number, _)| is_it(number))
    }

    /// Compares the versions of an entry.
    fn stays(&mut self, job_key: &str) -> Result<()> {
        let key = format!("jobs/{}/{job_key}.json", self.kind.name);
        let mut before: Option<Entry> = None;
        for version in self.after.store.history(LEDGER, &key).into_iter().flatten() {
            let version: Entry = serde_json::from_slice(&version)?;
            if let Some(before) = before.filter(|before| before.cancel.is_some()) {
                if version.cancel != before.cancel {
                    self.breaks(CANCELLED, format!("the cancel of {job_key} changed"));
                }
                let is_new =
                    |attempt: &Attempt| attempt.state == AttemptState::Claimed && !before.attempts.contains(attempt);
                if version.attempts.iter().any(is_new) {
                    self.breaks(NOT_STARTED, format!("{job_key} was claimed after its cancel"));
                }
            }
            before = Some(version);
        }
        Ok(())
    }
}
