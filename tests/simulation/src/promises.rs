//! Checks the promises against what a run left behind.
//!
//! What must stay true: what really happened to a job is read from the simulated service and from what it wrote, never
//! from a report of Landfall. A promise is as strict as the faults of the run allow, and `docs/guarantees.md` names it.

mod cancels;
mod ends;
mod polls;
mod receipts;
mod starts;
mod success;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use landfall::ledger::Entry;

use crate::{
    aftermath::{Aftermath, Announced},
    kinds::{Kind, LEDGER, TrueJob},
    starts::Start,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub promise: &'static str,
    /// How it was broken.
    pub what: String,
}

/// The names of all promises.
pub const ALL: [&str; 17] = [
    NO_PANIC,
    SEALED,
    AGREE,
    FINAL,
    WRITTEN_ONCE,
    ANNOUNCED_ONCE,
    STARTS,
    LINE,
    TRUE,
    UNSEALED,
    FORWARD,
    NOT_FORGOTTEN,
    MISSED,
    CANCELLED,
    NOT_STARTED,
    BOUNDED,
    NO_FALSE_ALARM,
];

const NO_PANIC: &str = "no-panic";
const SEALED: &str = "every-delivery-ends-sealed";
const AGREE: &str = "deliveries-agree";
const FINAL: &str = "outcome-is-final";
const WRITTEN_ONCE: &str = "receipt-is-written-once";
const ANNOUNCED_ONCE: &str = "announced-once";
const STARTS: &str = "starts-are-bounded";
const LINE: &str = "line-is-kept";
const TRUE: &str = "success-is-true";
const UNSEALED: &str = "unsealed-does-not-look-sealed";
const FORWARD: &str = "pointer-moves-forward";
const NOT_FORGOTTEN: &str = "no-job-is-forgotten";
const MISSED: &str = "missed-polls-fail-no-job";
const CANCELLED: &str = "cancel-ends-the-job";
const NOT_STARTED: &str = "cancelled-job-is-not-started";
const BOUNDED: &str = "calls-are-bounded";
const NO_FALSE_ALARM: &str = "no-false-alarm";

/// The announcement of polls without news, and the state that makes it.
const STALLED: (&str, &str) = ("Export Job Stalled", "Stalled");
const RESUMED: (&str, &str) = ("Export Job Resumed", "Resumed");

/// Whether it says how a job goes on, and not how it ended.
pub(crate) fn is_notice(announced: &Announced) -> bool {
    [STALLED, RESUMED]
        .iter()
        .any(|(name, _)| announced.entry["DetailType"] == *name)
}

struct Check<'a> {
    after: &'a Aftermath,
    kind: &'a Kind,
    jobs: Vec<TrueJob>,
    starts: Vec<Start>,
    /// The entries of the ledger by job key.
    entries: BTreeMap<String, Entry>,
    keys: Vec<String>,
    broken: Vec<Violation>,
}

/// Checks all promises against what a run left behind.
pub fn check(after: &Aftermath) -> Result<Vec<Violation>> {
    let kind = &after.plan.kind;
    let prefix = format!("jobs/{}/", kind.name);
    let mut entries = BTreeMap::new();
    for key in after.store.keys(LEDGER) {
        if let Some(job_key) = key.strip_prefix(&prefix).and_then(|name| name.strip_suffix(".json")) {
            entries.insert(job_key.to_owned(), read(after, LEDGER, &key)?);
        }
    }
    let keys = after.plan.job_keys()?;
    let mut check = Check {
        after,
        kind,
        jobs: after.simulated.jobs(),
        starts: after.starts.all(),
        entries,
        keys,
        broken: Vec::new(),
    };
    check.all()?;
    Ok(check.broken)
}

pub(crate) fn read<T: serde::de::DeserializeOwned>(after: &Aftermath, bucket: &str, key: &str) -> Result<T> {
    let body = after
        .store
        .body(bucket, key)
        .with_context(|| format!("s3://{bucket}/{key} is gone"))?;
    serde_json::from_slice(&body).with_context(|| format!("s3://{bucket}/{key} is not readable"))
}

impl Check<'_> {
    fn breaks(&mut self, promise: &'static str, what: impl Into<String>) {
        self.broken.push(Violation {
            promise,
            what: what.into(),
        });
    }

    fn all(&mut self) -> Result<()> {
        for panic in &self.after.panics {
            self.broken.push(Violation {
                promise: NO_PANIC,
                what: panic.clone(),
            });
        }
        let seen = self.sealed()?;
        self.agree(&seen);
        self.closed_by_its_own();
        self.is_final()?;
        self.receipts()?;
        self.announcements();
        self.start_calls();
        self.line();
        self.successes()?;
        self.looks_sealed()?;
        self.pointers()?;
        self.forgotten();
        self.missed_polls();
        self.cancelled()?;
        self.bounds();
        self.alarms();
        Ok(())
    }
}
