//! The promises about outcomes, receipts, announcements and pointers: each is written once and agrees with the ledger.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use landfall::{job::Verdict, ledger::Entry};
use landfall_output::{latest::Latest, receipt::Receipt};
use serde_json::Value;

use super::{ANNOUNCED_ONCE, Check, FINAL, FORWARD, UNSEALED, WRITTEN_ONCE, is_notice};
use crate::{
    faults::Mishap,
    kinds::{EXPORTS, LEDGER},
    plan::Meddling,
};

impl Check<'_> {
    /// An outcome never changes, and no entry goes back to an earlier state.
    pub(super) fn is_final(&mut self) -> Result<()> {
        let after = self.after;
        let prefix = format!("jobs/{}/", self.kind.name);
        for job_key in self.entries.keys().cloned().collect::<Vec<_>>() {
            let mut standing = None;
            for version in after.store.history(LEDGER, &format!("{prefix}{job_key}.json")) {
                let version: Option<Entry> = version.map(|body| serde_json::from_slice(&body)).transpose()?;
                let outcome = version.and_then(|entry| entry.outcome);
                if standing.is_some() && standing != outcome {
                    self.breaks(FINAL, format!("the outcome of {job_key} changed"));
                }
                standing = standing.or(outcome);
            }
        }
        Ok(())
    }

    /// The receipt of each outcome is one object with one version, and agrees with the ledger.
    pub(super) fn receipts(&mut self) -> Result<()> {
        let after = self.after;
        for (job_key, entry) in self.entries.clone() {
            let Some(outcome) = entry.outcome else { continue };
            let place = &outcome.receipt;
            let versions = after.store.history(&place.bucket, &place.key);
            let mut ours = Vec::new();
            for body in versions.into_iter().flatten() {
                match serde_json::from_slice::<Receipt>(&body) {
                    Ok(receipt) => ours.push(receipt),
                    Err(_) if after.plan.meddling == Meddling::Receipt => {}
                    Err(error) => return Err(error).with_context(|| format!("{place} is not readable")),
                }
            }
            if ours.is_empty() && self.may_be_left_over(&job_key) {
                continue;
            }
            let [receipt] = ours.as_slice() else {
                self.breaks(WRITTEN_ONCE, format!("{place} was written {} times", ours.len()));
                continue;
            };
            let says_the_same = receipt.job_key == job_key
                && receipt.verdict == outcome.verdict
                && receipt.times.sealed_at == outcome.sealed_at
                && receipt.execution == outcome.sealed_by
                && receipt.error == outcome.error;
            if !says_the_same {
                self.breaks(WRITTEN_ONCE, format!("{place} says otherwise than the ledger"));
            }
        }
        Ok(())
    }

    /// Whether the ledger may hold a rejection with which no execution ended: a seal that stood still, or ran twice,
    /// wrote it after its execution had gone on.
    pub(super) fn may_be_left_over(&self, job_key: &str) -> bool {
        self.runs_beside() && job_key.starts_with("rejected-")
    }

    /// Whether a function may outlast its time-out, or run beside another try of the same step.
    pub(super) fn runs_beside(&self) -> bool {
        let plan = &self.after.plan;
        plan.stale || plan.weather.mishaps.contains(&Mishap::Twice)
    }

    /// Each outcome is announced once, by the execution whose outcome it is. It is announced again only if that
    /// execution could not know.
    pub(super) fn announcements(&mut self) {
        let after = self.after;
        let mut by_job: BTreeMap<String, Vec<(usize, bool, String, String)>> = BTreeMap::new();
        for announced in after.announced.iter().filter(|announced| !is_notice(announced)) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let detail = &announced.entry["Detail"];
            let one = (
                announced.delivery,
                announced.known,
                text(&detail["verdict"]),
                text(&announced.entry["DetailType"]),
            );
            by_job.entry(text(&detail["job_key"])).or_default().push(one);
        }
        for (job_key, entry) in self.entries.clone() {
            let Some(outcome) = entry.outcome else { continue };
            let all = by_job.remove(&job_key).unwrap_or_default();
            let word = match outcome.verdict {
                Verdict::Succeeded => ("succeeded", "Export Job Succeeded"),
                Verdict::Failed => ("failed", "Export Job Failed"),
            };
            let deliveries: BTreeSet<usize> = all.iter().map(|(delivery, ..)| *delivery).collect();
            let known = all.iter().filter(|(_, known, ..)| *known).count();
            if deliveries.len() > 1 {
                self.breaks(ANNOUNCED_ONCE, format!("{job_key} was announced by {deliveries:?}"));
            }
            if known != 1 && !(all.is_empty() && self.may_be_left_over(&job_key)) {
                self.breaks(
                    ANNOUNCED_ONCE,
                    format!("{job_key} was announced {known} times for sure"),
                );
            }
            if all
                .iter()
                .any(|(.., verdict, kind)| (verdict.as_str(), kind.as_str()) != word)
            {
                self.breaks(ANNOUNCED_ONCE, format!("{job_key} was announced as something else"));
            }
            let own = deliveries
                .iter()
                .all(|delivery| outcome.sealed_by.ends_with(&format!(":delivery-{delivery}")));
            if !own {
                self.breaks(
                    ANNOUNCED_ONCE,
                    format!("{job_key} was announced by another execution than sealed it"),
                );
            }
        }
        for job_key in by_job.into_keys() {
            self.breaks(ANNOUNCED_ONCE, format!("{job_key} was announced and has no outcome"));
        }
    }

    /// A receipt beside data is that of a sealed success, and the pointer leads to one.
    pub(super) fn looks_sealed(&mut self) -> Result<()> {
        let after = self.after;
        for key in after.store.keys(EXPORTS) {
            let name = key.rsplit('/').next().unwrap_or_default();
            let Some(body) = after.store.body(EXPORTS, &key) else {
                continue;
            };
            let receipt_key = match name {
                "_receipt.json" => key.clone(),
                "_latest.json" => match serde_json::from_slice::<Latest>(&body) {
                    Ok(latest) => latest.receipt.key,
                    Err(_) if after.plan.meddling == Meddling::Pointer => continue,
                    Err(error) => return Err(error).with_context(|| format!("{key} is not readable")),
                },
                _ => continue,
            };
            let standing = after.store.body(EXPORTS, &receipt_key).unwrap_or_default();
            let Ok(receipt) = serde_json::from_slice::<Receipt>(&standing) else {
                if after.plan.meddling != Meddling::Receipt {
                    self.breaks(UNSEALED, format!("{key} leads to what is no receipt"));
                }
                continue;
            };
            let outcome = self
                .entries
                .get(&receipt.job_key)
                .and_then(|entry| entry.outcome.as_ref());
            let is_sealed = outcome
                .is_some_and(|outcome| outcome.verdict == Verdict::Succeeded && outcome.receipt.key == receipt_key);
            if !is_sealed || receipt.verdict != Verdict::Succeeded {
                self.breaks(
                    UNSEALED,
                    format!("{key} is of {}, which was not sealed there", receipt.job_key),
                );
            }
        }
        Ok(())
    }

    /// The pointer only moves forward, and in the end leads to the newest success.
    pub(super) fn pointers(&mut self) -> Result<()> {
        let after = self.after;
        let key = format!("{}_latest.json", self.kind.destination);
        let mut versions: Vec<Latest> = Vec::new();
        for body in after.store.history(EXPORTS, &key).into_iter().flatten() {
            match serde_json::from_slice(&body) {
                Ok(latest) => versions.push(latest),
                Err(_) if after.plan.meddling == Meddling::Pointer => versions.clear(),
                Err(error) => return Err(error).context("the pointer is not readable"),
            }
        }
        let age = |latest: &Latest| (latest.triggered_at, latest.sealed_at, latest.job_key.clone());
        if !versions.is_sorted_by(|one, next| age(one) < age(next)) {
            self.breaks(FORWARD, format!("{key} moved back"));
        }
        let successes = self.entries.values().filter_map(|entry| {
            let outcome = entry.outcome.as_ref()?;
            let succeeded = outcome.verdict == Verdict::Succeeded && outcome.receipt.bucket == EXPORTS;
            succeeded.then(|| (entry.trigger.time, outcome.sealed_at, entry.trigger.job_key.clone()))
        });
        let newest = successes.max();
        if after.plan.meddling != Meddling::Pointer && versions.last().map(age) != newest {
            self.breaks(FORWARD, format!("{key} does not lead to the newest success"));
        }
        Ok(())
    }
}
