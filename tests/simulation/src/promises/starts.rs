//! The promises about start calls: no more than needed, no more jobs at a time than allowed, and no job forgotten.

use std::collections::{BTreeMap, BTreeSet};

use landfall_tests::kinds::FoundBy;
use serde_json::Value;

use super::{Check, LINE, NOT_FORGOTTEN, STARTS};
use crate::{faults::Fault, kinds::LEDGER, starts::Start};

impl Check<'_> {
    /// A further start call is made only if an earlier one was lost, and no two jobs write to one place.
    pub(super) fn start_calls(&mut self) {
        let after = self.after;
        if matches!(self.kind.found_by, FoundBy::Nothing | FoundBy::Place) {
            let mut places = BTreeMap::<String, usize>::new();
            for job in &self.jobs {
                *places.entry(job.place.clone()).or_default() += 1;
            }
            for (place, count) in places.into_iter().filter(|(_, count)| *count > 1) {
                self.breaks(STARTS, format!("{count} jobs write to {place}"));
            }
        }
        // A write that meets its own success is not lost.
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

    /// How many start calls the ledger counts, on all days together.
    pub(super) fn counted_starts(&self) -> usize {
        let keys = self.after.store.keys(LEDGER).into_iter();
        let days = keys.filter(|key| key.starts_with("starts/"));
        days.filter_map(|key| {
            let calls: Value = serde_json::from_slice(&self.after.store.body(LEDGER, &key)?).ok()?;
            calls["calls"].as_array().map(Vec::len)
        })
        .sum()
    }

    /// How many start calls of one trigger may have made a job besides the one that counts.
    pub(super) fn unavoidable(&self, starts: &[Start]) -> usize {
        let may_have = |start: &&Start| match self.kind.found_by {
            FoundBy::Key => false,
            // These jobs can be found, unless the service does not describe its jobs or a call arrives late.
            FoundBy::Place | FoundBy::Source
                if !matches!(self.after.plan.character.scenario, "sparse-lists" | "empty-definition") =>
            {
                start.stale
            }
            _ => start.is_ambiguous() || start.call.is_harmed(),
        };
        starts.iter().filter(may_have).count()
    }

    /// No job is started while as many others run as the deployment allows. A call that its client gave up does not
    /// count: before it arrives, the job may be given up and another job may have its slot.
    pub(super) fn line(&mut self) {
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

    /// How many jobs the service made for a trigger. `None` for imports, which do not say whose they are.
    pub(super) fn made(&self, trigger: usize) -> Option<usize> {
        let job_key = &self.keys[trigger];
        match self.kind.found_by {
            FoundBy::Source => None,
            FoundBy::Key => {
                let ids: BTreeSet<&String> = self.jobs.iter().map(|job| &job.id).collect();
                Some(ids.into_iter().filter(|id| id.contains(job_key.as_str())).count())
            }
            FoundBy::Nothing | FoundBy::Place => {
                let place = format!("run={job_key}");
                Some(self.jobs.iter().filter(|job| job.place.contains(&place)).count())
            }
        }
    }

    /// Every job whose id reached a function that lived to record it is in the ledger.
    pub(super) fn forgotten(&mut self) {
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
}
