//! The promises, held against what a run left behind.
//!
//! What must stay true: what is true of a job is asked of the simulated service and of what it wrote, never of a report
//! of Landfall; a promise is as strict as the faults of the run allow, and its name stands in `docs/guarantees.md`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use chrono::TimeDelta;
use landfall::{
    error::ErrorKind,
    job::{Outcome as Sealed, TaskError, Verdict},
    ledger::{Attempt, AttemptState, Entry},
};
use landfall_output::{latest::Latest, receipt::Receipt, verify::Role};
use serde_json::Value;

use crate::{
    faults::{Fault, Mishap},
    kinds::{EXPORTS, Kind, LEDGER, TrueJob},
    machine::End,
    starts::Start,
    time::BEGINNING,
    world::{Aftermath, Announced, Ended, Meddling, Passed},
};

/// Most invocations of one delivery, apart from those of batches: the tries that the definition allows to start, the
/// polls of the longest day, and what follows.
const MOST_INVOCATIONS: usize = 1000;

/// How long a claim takes to be written and heard of where calls are slow.
const SLOW_CLAIM: TimeDelta = TimeDelta::seconds(30);

/// By how much clocks differ at most.
const SKEW: TimeDelta = TimeDelta::seconds(5);

/// Most calls of one invocation.
const MOST_CALLS: u32 = 200;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The promise's name.
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

/// What is announced of polls that bring no news, and the states that do so.
const STALLED: (&str, &str) = ("Export Job Stalled", "Stalled");
const RESUMED: (&str, &str) = ("Export Job Resumed", "Resumed");

/// Whether it says how a job goes on, rather than how it ended.
fn is_notice(announced: &Announced) -> bool {
    [STALLED, RESUMED]
        .iter()
        .any(|(name, _)| announced.entry["DetailType"] == *name)
}

/// What of an execution's last state counts.
struct Last {
    delivery: usize,
    job_key: String,
    outcome: Sealed,
}

struct Check<'a> {
    after: &'a Aftermath,
    kind: Kind,
    jobs: Vec<TrueJob>,
    starts: Vec<Start>,
    /// The entries of the ledger by job key.
    entries: BTreeMap<String, Entry>,
    /// The job key of each trigger.
    keys: Vec<String>,
    broken: Vec<Violation>,
}

/// What a run was good for: what came about in it, each by a name and how often.
pub type Seen = BTreeMap<String, u64>;

/// What came about in a run.
pub fn seen(after: &Aftermath) -> Result<Seen> {
    let mut seen = Seen::new();
    let mut add = |name: String, count: usize| {
        if count > 0 {
            *seen.entry(name).or_default() += count as u64;
        }
    };
    let prefix = format!("jobs/{}/", after.plan.kind.name());
    for key in after
        .store
        .keys(LEDGER)
        .into_iter()
        .filter(|key| key.starts_with(&prefix))
    {
        let entry: Entry = read(after, LEDGER, &key)?;
        let verdict = match entry.outcome.as_ref().map(|outcome| outcome.verdict) {
            Some(Verdict::Succeeded) => "success",
            Some(Verdict::Failed) => "failure",
            None => "open",
        };
        add(format!("{} {verdict}", after.plan.kind.name()), 1);
        if let Some(error) = entry.outcome.as_ref().and_then(|outcome| outcome.error.as_ref()) {
            add(format!("failure {}", error.error), 1);
        }
        add("picked up".to_owned(), entry.picked_up_by.len());
        if let (Some(cancel), Some(last)) = (&entry.cancel, entry.attempts.last()) {
            add(format!("cancelled {:?}", last.state), 1);
            add("cancelled and picked up".to_owned(), entry.picked_up_by.len().min(1));
            let by = entry.outcome.as_ref().map(|outcome| &outcome.sealed_by);
            add(
                "cancelled and sealed by another".to_owned(),
                usize::from(by != Some(&cancel.by)),
            );
        }
        add("second attempt".to_owned(), entry.attempts.len().saturating_sub(1));
        add("orphan".to_owned(), entry.orphans.len());
    }
    for ended in &after.ended {
        add("redrive".to_owned(), ended.redrives as usize);
        if let End::Failed { input, .. } = &ended.end
            && input["job_key"]
                .as_str()
                .is_some_and(|key| key.starts_with("rejected-"))
        {
            add("rejected delivery".to_owned(), 1);
        }
    }
    for call in &after.calls {
        for fault in call.met() {
            add(format!("fault {fault:?}"), 1);
        }
    }
    for start in after.starts.all() {
        add("start".to_owned(), usize::from(start.reached));
        add("stale start".to_owned(), usize::from(start.stale));
        add("ambiguous start".to_owned(), usize::from(start.is_ambiguous()));
    }
    for announced in after.announced.iter().filter(|announced| is_notice(announced)) {
        add(
            format!(
                "announced {}",
                announced.entry["DetailType"].as_str().unwrap_or_default()
            ),
            1,
        );
    }
    for start in after.starts.all() {
        add(
            "start that never left".to_owned(),
            usize::from(start.call.met().contains(&Fault::NeverLeft)),
        );
    }
    if let Some(stall) = &after.plan.weather.stall {
        add(format!("stalled by {:?}", stall.by), 1);
    }
    add(format!("somebody else {:?}", after.plan.meddling), after.meddled.min(1));
    Ok(seen)
}

/// Holds all promises against what a run left behind.
pub fn check(after: &Aftermath) -> Result<Vec<Violation>> {
    let kind = after.plan.kind;
    let prefix = format!("jobs/{}/", kind.name());
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

fn read<T: serde::de::DeserializeOwned>(after: &Aftermath, bucket: &str, key: &str) -> Result<T> {
    let body = after
        .store
        .body(bucket, key)
        .with_context(|| format!("s3://{bucket}/{key} is gone"))?;
    serde_json::from_slice(&body).with_context(|| format!("s3://{bucket}/{key} is not readable"))
}

/// Whether a job was claimed so shortly before its deadline that another delivery, meanwhile, found it past that.
fn is_claimed_late(entry: &Entry) -> bool {
    let claim = entry.attempts.last().map(|attempt| attempt.claimed_at);
    claim.is_some_and(|claimed_at| claimed_at + SLOW_CLAIM >= entry.deadline_at)
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

    /// Each execution ended in an outcome, whose receipt is there.
    fn sealed(&mut self) -> Result<Vec<Last>> {
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

    /// All deliveries of a trigger end with the outcome that the ledger has, apart from those that failed for
    /// themselves.
    fn agree(&mut self, seen: &[Last]) {
        let after = self.after;
        for (trigger, job_key) in self.keys.clone().into_iter().enumerate() {
            let entry = self.entries.get(&job_key).cloned();
            let Some((entry, standing)) = entry.and_then(|entry| Some((entry.clone(), entry.outcome?))) else {
                // What cannot be picked up gets no job.
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
                    // It came before there was a job.
                    if outcome.error.as_ref().map(|error| error.error.as_str()) != Some(ErrorKind::NotFound.name()) {
                        self.breaks(
                            CANCELLED,
                            format!("#{delivery} was rejected, and not because there is no job"),
                        );
                    }
                } else if after.harms == 0 && after.plan.pick_up != Some(trigger) && !is_claimed_late(&entry) {
                    self.breaks(AGREE, format!("#{delivery} was rejected although nothing went wrong"));
                }
            }
        }
    }

    /// A job that runs is not closed by a delivery that died while another one has it.
    fn closed_by_its_own(&mut self) {
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

    /// Once there, an outcome never changes, and no entry goes back.
    fn is_final(&mut self) -> Result<()> {
        let after = self.after;
        let prefix = format!("jobs/{}/", self.kind.name());
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

    /// The receipt of each outcome is one object of one version, and says what the ledger says.
    fn receipts(&mut self) -> Result<()> {
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

    /// Whether a rejection may stand in the ledger that no execution ended with: a seal that stood still or ran beside
    /// another one wrote it when its execution had gone on.
    fn may_be_left_over(&self, job_key: &str) -> bool {
        let plan = &self.after.plan;
        let runs_beside = plan.stale || plan.weather.mishaps.contains(&Mishap::Twice);
        runs_beside && job_key.starts_with("rejected-")
    }

    /// Each outcome is announced by the execution whose it is, once; again only if that execution could not know.
    fn announcements(&mut self) {
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

    /// No start call is made but for one that was lost before it, and no two jobs write to one place.
    fn start_calls(&mut self) {
        let after = self.after;
        if matches!(self.kind, Kind::SegmentSnapshot | Kind::EndpointExport) {
            let mut places = BTreeMap::<String, usize>::new();
            for job in &self.jobs {
                *places.entry(job.place.clone()).or_default() += 1;
            }
            for (place, count) in places.into_iter().filter(|(_, count)| *count > 1) {
                self.breaks(STARTS, format!("{count} jobs write to {place}"));
            }
        }
        // A write that meets its own success is no loss.
        let met: Vec<Fault> = after.calls.iter().flat_map(|call| call.met()).collect();
        let is_harmless = |fault: &Fault| matches!(fault, Fault::OwnSuccess | Fault::NeverLeft);
        let nothing_else = after.harms as usize == met.len() && met.iter().all(is_harmless);
        if nothing_else && after.plan.character.scenario == "success" {
            for (job_key, entry) in self.entries.clone() {
                if entry.attempts.len() > 1 {
                    self.breaks(STARTS, format!("{job_key} took more than one attempt without need"));
                }
            }
        }
        if nothing_else {
            let counted = self.counted_starts();
            let reached = self.starts.iter().filter(|start| start.reached).count();
            if counted > reached {
                self.breaks(
                    STARTS,
                    format!("{counted} start calls count, and {reached} reached the service"),
                );
            }
        }
        if self.starts.iter().any(|start| start.begun_late) {
            self.breaks(STARTS, "a start call was begun after the lease of its claim");
        }
        let mut bound_of_all = 0;
        for trigger in 0..after.plan.triggers() {
            let of_trigger = |start: &&Start| after.plan.deliveries[start.call.delivery].trigger == trigger;
            let starts: Vec<Start> = self
                .starts
                .iter()
                .filter(of_trigger)
                .filter(|start| start.reached)
                .cloned()
                .collect();
            let taken = |start: &&Start| start.status.is_some_and(|status| (200..300).contains(&status));
            if after.plan.pick_up == Some(trigger) && !starts.is_empty() {
                self.breaks(
                    STARTS,
                    format!("trigger {trigger} picks a job up, and made a start call"),
                );
            }
            let clean = starts
                .iter()
                .filter(taken)
                .filter(|start| !start.is_ambiguous() && !start.call.is_harmed())
                .count();
            if clean > 1 {
                self.breaks(
                    STARTS,
                    format!("trigger {trigger} was started {clean} times without need"),
                );
            }
            let ids: BTreeSet<&String> = starts.iter().filter_map(|start| start.id.as_ref()).collect();
            let made = self.made(trigger).unwrap_or_default().max(ids.len());
            let wanted = usize::from(after.plan.pick_up != Some(trigger));
            let bound = wanted + self.unavoidable(&starts);
            if made > bound {
                self.breaks(
                    STARTS,
                    format!("trigger {trigger} made {made} jobs, and {bound} is the bound"),
                );
            }
            bound_of_all += bound;
        }
        let made = self.jobs.iter().map(|job| &job.id).collect::<BTreeSet<_>>().len();
        if made > bound_of_all {
            self.breaks(
                STARTS,
                format!("{made} jobs were made, and {bound_of_all} is the bound"),
            );
        }
    }

    /// How many start calls the ledger counts, on all days.
    fn counted_starts(&self) -> usize {
        let keys = self.after.store.keys(LEDGER).into_iter();
        let days = keys.filter(|key| key.starts_with("starts/"));
        days.filter_map(|key| {
            let calls: Value = serde_json::from_slice(&self.after.store.body(LEDGER, &key)?).ok()?;
            calls["calls"].as_array().map(Vec::len)
        })
        .sum()
    }

    /// How many of the start calls of one trigger may have made a job beside the one that is wanted.
    fn unavoidable(&self, starts: &[Start]) -> usize {
        let may_have = |start: &&Start| match self.kind {
            // Its id is our key.
            Kind::DashboardSnapshot => false,
            // They can be found, unless the service does not say what they are, or a call arrives out of its time.
            Kind::EndpointExport | Kind::EndpointImport
                if !matches!(self.after.plan.character.scenario, "sparse-lists" | "empty-definition") =>
            {
                start.stale
            }
            _ => start.is_ambiguous() || start.call.is_harmed(),
        };
        starts.iter().filter(may_have).count()
    }

    /// No job is started while as many others run as the deployment allows. Of a call that its client gave up, the job may
    /// have been given up too, and its place be another's, before it arrives.
    fn line(&mut self) {
        let limit = self.after.plan.max_running;
        if limit == 0 {
            return;
        }
        let is_taken = |start: &&Start| start.status.is_some_and(|status| (200..300).contains(&status));
        let is_timely = |start: &&Start| !start.stale && !start.is_late;
        let most = self
            .starts
            .iter()
            .filter(is_taken)
            .filter(is_timely)
            .map(|start| start.beside)
            .max();
        if let Some(most) = most.filter(|most| *most as u64 >= limit) {
            self.breaks(
                LINE,
                format!("a job was started beside {most} others, and {limit} may run"),
            );
        }
    }

    /// How many jobs the service made for a trigger. `None` of imports, which do not say whose they are.
    fn made(&self, trigger: usize) -> Option<usize> {
        let job_key = &self.keys[trigger];
        match self.kind {
            Kind::EndpointImport => None,
            Kind::DashboardSnapshot => {
                let ids: BTreeSet<&String> = self.jobs.iter().map(|job| &job.id).collect();
                Some(ids.into_iter().filter(|id| id.contains(job_key.as_str())).count())
            }
            Kind::SegmentSnapshot | Kind::EndpointExport => {
                let place = format!("run={job_key}");
                Some(self.jobs.iter().filter(|job| job.place.contains(&place)).count())
            }
        }
    }

    /// What is sealed as a success is a job that the service finished, with the files that it wrote.
    fn successes(&mut self) -> Result<()> {
        let after = self.after;
        let character = &after.plan.character;
        let mut sealed_jobs = BTreeSet::new();
        for (job_key, entry) in self.entries.clone() {
            let Some(outcome) = entry
                .outcome
                .clone()
                .filter(|outcome| outcome.verdict == Verdict::Succeeded)
            else {
                continue;
            };
            if !character.may_succeed {
                self.breaks(
                    TRUE,
                    format!("{job_key} succeeded although the service is {}", character.scenario),
                );
            }
            let counted = entry
                .attempts
                .iter()
                .find(|attempt| Some(attempt.number) == outcome.attempt);
            let Some(attempt) = counted else {
                self.breaks(TRUE, format!("{job_key} succeeded without an attempt"));
                continue;
            };
            // Of imports several triggers may take the same one for theirs.
            if self.kind != Kind::EndpointImport && !sealed_jobs.insert(attempt.service_id.clone()) {
                let what = format!("{job_key} succeeded with the job that another one had succeeded with");
                self.breaks(TRUE, what);
            }
            let job = self
                .jobs
                .iter()
                .find(|job| Some(&job.id) == attempt.service_id.as_ref());
            if !job.is_some_and(|job| job.completed) {
                self.breaks(
                    TRUE,
                    format!("{job_key} succeeded, and the service did not finish its job"),
                );
                continue;
            }
            // One that was moved away by whoever thought it somebody else's is judged elsewhere.
            let Some(body) = after.store.body(&outcome.receipt.bucket, &outcome.receipt.key) else {
                continue;
            };
            let Ok(receipt) = serde_json::from_slice::<Receipt>(&body) else {
                continue;
            };
            if self.kind == Kind::EndpointImport {
                let rows = receipt.source.as_ref().map(|source| source.rows);
                let processed = receipt.service.counts.map(|counts| counts.processed);
                if rows != Some(character.rows) || processed != Some(character.rows) {
                    self.breaks(
                        TRUE,
                        format!("{job_key} has {rows:?} rows, {processed:?} of them processed"),
                    );
                }
                continue;
            }
            let Some(output) = receipt.output else {
                self.breaks(TRUE, format!("{job_key} succeeded without output"));
                continue;
            };
            let sealed: BTreeSet<(String, String)> = output
                .objects
                .iter()
                .filter(|object| object.role == Role::Data)
                .map(|object| (object.key.clone(), object.sha256.clone().unwrap_or_default()))
                .collect();
            let prefix = &attempt.prefix.key;
            let written: BTreeSet<(String, String)> = after
                .landing
                .data_beneath(prefix)
                .into_iter()
                .map(|object| (object.key, object.sha256))
                .collect();
            // What lands after two equal listings cannot be known; that is what the settling time is chosen for.
            let is_late = character.scenario == "late-file" && after.plan.settle < 3;
            // Nor can it be known what somebody else deleted before it was listed, unless the service names its files, or
            // counts its rows and they are held to it.
            let is_deleted = after.plan.meddling == Meddling::Delete
                && match self.kind {
                    Kind::SegmentSnapshot => true,
                    Kind::EndpointExport => !after.plan.strict,
                    Kind::EndpointImport | Kind::DashboardSnapshot => false,
                };
            let is_late = is_late || is_deleted && sealed.is_subset(&written);
            if sealed != written && !is_late {
                self.breaks(
                    TRUE,
                    format!("{job_key} was sealed with {sealed:?}, and the service wrote {written:?}"),
                );
            }
            if self.kind != Kind::DashboardSnapshot && output.rows != character.rows && !is_late {
                let rows = output.rows;
                self.breaks(
                    TRUE,
                    format!("{job_key} was sealed with {rows} rows of {}", character.rows),
                );
            }
        }
        Ok(())
    }

    /// A receipt beside data is that of a sealed success; the pointer leads to one.
    fn looks_sealed(&mut self) -> Result<()> {
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
    fn pointers(&mut self) -> Result<()> {
        let after = self.after;
        let key = format!("{}_latest.json", self.kind.destination());
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

    /// Every job whose id reached a function that lived to write it down stands in the ledger.
    fn forgotten(&mut self) {
        let recorded: BTreeSet<&String> = self
            .entries
            .values()
            .flat_map(|entry| {
                let attempts = entry.attempts.iter().filter_map(|attempt| attempt.service_id.as_ref());
                attempts.chain(entry.orphans.iter().map(|orphan| &orphan.service_id))
            })
            .collect();
        let lost: Vec<String> = self
            .jobs
            .iter()
            .filter(|job| !recorded.contains(&job.id))
            .filter(|job| {
                let starts = self.starts.iter().filter(|start| start.id.as_ref() == Some(&job.id));
                let mut known = starts.filter(|start| !start.is_ambiguous() && !start.call.is_harmed());
                known.next().is_some()
            })
            .map(|job| job.id.clone())
            .collect();
        for id in lost {
            self.breaks(
                NOT_FORGOTTEN,
                format!("the service made {id}, and the ledger does not know it"),
            );
        }
    }

    /// A job that runs is sealed past its deadline only; four polls in a row without news are announced once, and so is
    /// the news that ends them.
    fn missed_polls(&mut self) {
        let after = self.after;
        for delivery in 0..after.plan.deliveries.len() {
            let passed: Vec<&Passed> = after
                .passed
                .iter()
                .filter(|passed| passed.delivery == delivery)
                .collect();
            let mut stalls = [(STALLED, 0), (RESUMED, 0)];
            let (mut row, mut before) = (0u64, 0);
            for pair in passed.windows(2) {
                let [from, to] = [pair[0], pair[1]];
                if to.state == "Seal" && to.status.as_deref() == Some("running") {
                    let is_early = to.deadline_at.is_none_or(|deadline| to.at < deadline);
                    if is_early || from.state != "Overdue" {
                        self.breaks(
                            MISSED,
                            format!("#{delivery} was sealed from {} while it ran", from.state),
                        );
                    }
                }
                if from.state != "Poll" || to.state == "Poll" {
                    continue;
                }
                let is_missed = to.state == "Missed" || to.missed > before;
                before = to.missed + u64::from(to.state == "Missed");
                if is_missed {
                    row += 1;
                    // What is given up is not announced as stalled besides.
                    let is_given_up = to.status.as_deref() != Some("running")
                        || to.state == "Missed" && to.deadline_at.is_some_and(|deadline| to.at >= deadline);
                    stalls[0].1 += usize::from(row == 4 && !is_given_up);
                } else {
                    stalls[1].1 += usize::from(row >= 4);
                    row = 0;
                }
            }
            for ((detail_type, state), wanted) in stalls {
                let is_it = |announced: &&Announced| {
                    announced.delivery == delivery && announced.entry["DetailType"] == detail_type && announced.known
                };
                let told = after.announced.iter().filter(is_it).count();
                let passed_over = after
                    .caught
                    .iter()
                    .filter(|(one, at)| (*one, at.as_str()) == (delivery, state));
                if told + passed_over.count() != wanted {
                    self.breaks(
                        MISSED,
                        format!("#{delivery}: {detail_type} was told {told} times, not {wanted}"),
                    );
                }
            }
        }
        for (job_key, entry) in self.entries.clone() {
            let error = entry.outcome.as_ref().and_then(|outcome| outcome.error.as_ref());
            let is_early = |error: &TaskError| {
                let sealed_at = entry.outcome.as_ref().map(|outcome| outcome.sealed_at);
                error.error == ErrorKind::TimedOut.name()
                    && sealed_at.is_some_and(|sealed_at| sealed_at + TimeDelta::seconds(5) < entry.deadline_at)
            };
            if error.is_some_and(is_early) {
                self.breaks(MISSED, format!("{job_key} was given up before its deadline"));
            }
        }
    }

    /// Once a cancel stands in an entry it stays, nothing is claimed any more, and the job can only end as cancelled; then no
    /// start call of it is begun, nobody looks for long, and it has no slot.
    fn cancelled(&mut self) -> Result<()> {
        let after = self.after;
        let slots = after.store.body(LEDGER, &format!("slots/{}.json", self.kind.name()));
        let slots: Value = slots.map_or(Ok(Value::Null), |body| serde_json::from_slice(&body))?;
        for (job_key, entry) in self.entries.clone() {
            let error = entry.outcome.as_ref().and_then(|outcome| outcome.error.as_ref());
            let ended_so = error.is_some_and(|error| error.error == ErrorKind::Cancelled.name());
            if ended_so != entry.cancel.is_some() {
                self.breaks(
                    CANCELLED,
                    format!("{job_key} has {:?} and ended with {error:?}", entry.cancel),
                );
            }
            let (Some(cancel), Some(outcome)) = (&entry.cancel, &entry.outcome) else {
                continue;
            };
            let asked = |ended: &&Ended| after.plan.deliveries[ended.delivery].is_cancel();
            if !after
                .ended
                .iter()
                .filter(asked)
                .any(|ended| cancel.by.ends_with(&format!(":delivery-{}", ended.delivery)))
            {
                self.breaks(
                    CANCELLED,
                    format!("{job_key} was cancelled by {}, which did not ask", cancel.by),
                );
            }
            if slots["slots"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|slot| slot["job_key"] == job_key.as_str())
            {
                self.breaks(CANCELLED, format!("{job_key} was cancelled and has a slot"));
            }
            let mut before: Option<Entry> = None;
            let key = format!("jobs/{}/{job_key}.json", self.kind.name());
            for version in after.store.history(LEDGER, &key).into_iter().flatten() {
                let version: Entry = serde_json::from_slice(&version)?;
                if let Some(before) = before.filter(|before| before.cancel.is_some()) {
                    if version.cancel != before.cancel {
                        self.breaks(CANCELLED, format!("the cancel of {job_key} changed"));
                    }
                    let is_new = |attempt: &&Attempt| {
                        attempt.state == AttemptState::Claimed && !before.attempts.contains(attempt)
                    };
                    if version.attempts.iter().any(|attempt| is_new(&attempt)) {
                        self.breaks(NOT_STARTED, format!("{job_key} was claimed after its cancel"));
                    }
                }
                before = Some(version);
            }
            let sealed_at = outcome.sealed_at + SKEW;
            let of_job = |start: &&Start| {
                let delivery = &after.plan.deliveries[start.call.delivery];
                self.keys[delivery.trigger] == job_key
            };
            let is_after = |start: &&Start| !start.begun_late && BEGINNING + start.begun_at > sealed_at;
            if self.starts.iter().filter(of_job).any(|start| is_after(&start)) {
                self.breaks(
                    NOT_STARTED,
                    format!("a start call of {job_key} was begun after it was sealed"),
                );
            }
            // Whoever polls sees it at the next poll, unless the ledger does not answer.
            let polls = |delivery: usize| {
                let polled = |passed: &&Passed| passed.delivery == delivery && passed.state == "Poll";
                after
                    .passed
                    .iter()
                    .filter(polled)
                    .filter(|passed| passed.at > sealed_at)
                    .count()
            };
            if after.harms == 0
                && (0..after.plan.deliveries.len())
                    .filter(|delivery| self.keys[after.plan.deliveries[*delivery].trigger] == job_key)
                    .any(|delivery| polls(delivery) > 1)
            {
                self.breaks(CANCELLED, format!("{job_key} was cancelled and is polled on"));
            }
        }
        Ok(())
    }

    /// Nothing is called without end.
    fn bounds(&mut self) {
        let after = self.after;
        for call in &after.calls {
            if call.crossed() > MOST_CALLS {
                let what = format!("{} of #{} made {} calls", call.function, call.delivery, call.crossed());
                self.breaks(BOUNDED, what);
            }
        }
        for delivery in 0..after.plan.deliveries.len() {
            let invoked = after.calls.iter().filter(|call| call.delivery == delivery).count();
            if invoked > MOST_INVOCATIONS {
                self.breaks(BOUNDED, format!("#{delivery} invoked functions {invoked} times"));
            }
        }
    }

    /// What could end well did, if nothing went wrong; and good output is never refused.
    fn alarms(&mut self) {
        let after = self.after;
        let character = &after.plan.character;
        let is_quiet = after.harms == 0 && after.meddled == 0;
        // Who stands in line hears of a free place up to five minutes late.
        let line = if after.plan.max_running > 0 && self.keys.len() > 1 {
            900
        } else {
            0
        };
        let slack = std::time::Duration::from_secs(180 + line);
        let has_time = after.plan.deadline > character.duration * (2 + 2 * self.keys.len() as u32) + slack;
        for (job_key, entry) in self.entries.clone() {
            let Some(error) = entry.outcome.and_then(|outcome| outcome.error) else {
                continue;
            };
            let is_free = after.plan.max_starts_per_day == 0
                && after.plan.pick_up.is_none_or(|trigger| self.keys[trigger] != job_key);
            let is_cancelled = error.error == ErrorKind::Cancelled.name();
            if is_quiet
                && has_time
                && character.is_healthy
                && is_free
                && !is_cancelled
                && !job_key.starts_with("rejected-")
            {
                self.breaks(
                    NO_FALSE_ALARM,
                    format!("{job_key} failed although nothing went wrong: {}", error.cause),
                );
            }
            let is_good = character.may_succeed && character.scenario != "late-file" && after.meddled == 0;
            if is_good && error.error == "Landfall.OutputRejected" {
                self.breaks(
                    NO_FALSE_ALARM,
                    format!("good output of {job_key} was refused: {}", error.cause),
                );
            }
            if error.error == "Landfall.Internal" && is_quiet {
                self.breaks(NO_FALSE_ALARM, format!("{job_key} met a defect: {}", error.cause));
            }
        }
    }
}
