//! The promises about the ends of deliveries: sealed, and with the outcome in the ledger.

use anyhow::{Context as _, Result};
use chrono::TimeDelta;
use landfall::{
    error::ErrorKind,
    job::{Outcome as Sealed, TaskError, Verdict},
    ledger::{AttemptState, Entry},
};
use landfall_output::receipt::Receipt;

use super::{AGREE, CANCELLED, Check, SEALED};
use crate::machine::End;

/// How long it takes to write a claim and read it elsewhere, where calls are slow.
const SLOW_CLAIM: TimeDelta = TimeDelta::seconds(30);

/// The part of an execution's last state that the promises need.
pub(super) struct Last {
    delivery: usize,
    job_key: String,
    outcome: Sealed,
}

/// Whether a job was claimed so shortly before its deadline that another delivery found it past the deadline.
fn is_claimed_late(entry: &Entry) -> bool {
    let claim = entry.attempts.last().map(|attempt| attempt.claimed_at);
    claim.is_some_and(|claimed_at| claimed_at + SLOW_CLAIM >= entry.deadline_at)
}

impl Check<'_> {
    /// Each execution ended in an outcome with a receipt.
    pub(super) fn sealed(&mut self) -> Result<Vec<Last>> {
        let mut seen = Vec::new();
        let after = self.after;
        for ended in &after.ended {
            let delivery = ended.delivery;
            let (last, succeeded) = match &ended.end {
                End::Succeeded(output) => (output, true),
                End::Failed { input, .. } => (input, false),
                End::Broken { state, error, .. } => {
                    self.breaks(
                        SEALED,
                        format!("#{delivery} broke in {state}: {} {}", error.error, error.cause),
                    );
                    continue;
                }
            };
            let outcome: Sealed = serde_json::from_value(last["outcome"].clone()).context("an end without outcome")?;
            if succeeded != (outcome.verdict == Verdict::Succeeded) {
                self.breaks(SEALED, format!("#{delivery} ended otherwise than its outcome says"));
            }
            let job_key = last["job_key"].as_str().unwrap_or_default().to_owned();
            let receipt = after.store.body(&outcome.receipt.bucket, &outcome.receipt.key);
            match receipt.map(|body| serde_json::from_slice::<Receipt>(&body)) {
                Some(Ok(receipt)) if receipt.verdict == outcome.verdict && receipt.job_key == job_key => {}
                Some(_) => self.breaks(SEALED, format!("#{delivery}: {} is of something else", outcome.receipt)),
                None => self.breaks(
                    SEALED,
                    format!("#{delivery} ended, and {} is not there", outcome.receipt),
                ),
            }
            seen.push(Last {
                delivery,
                job_key,
                outcome,
            });
        }
        Ok(seen)
    }

    /// All deliveries of a trigger end with the outcome in the ledger, apart from local failures.
    pub(super) fn agree(&mut self, seen: &[Last]) {
        let after = self.after;
        for (trigger, job_key) in self.keys.clone().into_iter().enumerate() {
            let entry = self.entries.get(&job_key).cloned();
            let Some((entry, standing)) = entry.and_then(|entry| Some((entry.clone(), entry.outcome?))) else {
                // A pick-up that is refused makes no job.
                if after.plan.pick_up != Some(trigger) {
                    let what = format!("trigger {trigger}, {job_key}, has no outcome in the ledger");
                    self.breaks(AGREE, what);
                }
                continue;
            };
            for one in seen
                .iter()
                .filter(|one| after.plan.deliveries[one.delivery].trigger == trigger)
            {
                let Last { delivery, outcome, .. } = one;
                if one.job_key == job_key {
                    let agrees = (outcome.verdict, &outcome.receipt, &outcome.sealed_by, outcome.sealed_at)
                        == (
                            standing.verdict,
                            &standing.receipt,
                            &standing.sealed_by,
                            standing.sealed_at,
                        );
                    if !agrees {
                        self.breaks(
                            AGREE,
                            format!("#{delivery} ended otherwise than {job_key} in the ledger"),
                        );
                    }
                } else if !one.job_key.starts_with("rejected-") {
                    self.breaks(
                        AGREE,
                        format!("#{delivery} was sealed as {}, not {job_key}", one.job_key),
                    );
                } else if after.plan.deliveries[*delivery].is_cancel() {
                    // The cancel came before there was a job.
                    if outcome.error.as_ref().map(|error| error.error.as_str()) != Some(ErrorKind::NotFound.name()) {
                        self.breaks(
                            CANCELLED,
                            format!("#{delivery} was rejected, and not because there is no job"),
                        );
                    }
                } else if after.harms == 0
                    && after.plan.pick_up != Some(trigger)
                    && !is_claimed_late(&entry)
                    && !self.had_no_news(one)
                {
                    self.breaks(AGREE, format!("#{delivery} was rejected although nothing went wrong"));
                }
            }
        }
    }

    /// Whether a delivery reached the deadline of its job after polls without news. That is a local failure.
    fn had_no_news(&self, one: &Last) -> bool {
        let error = one.outcome.error.as_ref();
        let mut passed = self.after.passed.iter();
        error.is_some_and(|error| error.error == ErrorKind::TimedOut.name())
            && passed.any(|passed| passed.delivery == one.delivery && passed.missed > 0)
    }

    /// A running job is not closed by a delivery that died while another delivery has the job.
    pub(super) fn closed_by_its_own(&mut self) {
        for (job_key, entry) in self.entries.clone() {
            let Some(outcome) = &entry.outcome else { continue };
            let is_own = |error: &&TaskError| {
                let kind = ErrorKind::from_name(&error.error);
                kind.is_none_or(|kind| kind.is_transient() || kind == ErrorKind::Internal)
            };
            let Some(error) = outcome.error.as_ref().filter(is_own) else {
                continue;
            };
            let owner = entry
                .attempts
                .last()
                .filter(|attempt| attempt.state == AttemptState::Started)
                .and_then(|attempt| attempt.owner.rsplit_once('/'));
            if let Some((owner, _)) = owner
                && owner != outcome.sealed_by
            {
                self.breaks(
                    AGREE,
                    format!(
                        "{job_key} of {owner} was closed by {} with {}",
                        outcome.sealed_by, error.error
                    ),
                );
            }
        }
    }
}
