//! The promises about successes and about refused output.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;
use landfall::{error::ErrorKind, job::Verdict};
use landfall_output::{receipt::Receipt, verify::Role};
use landfall_tests::kinds::{FoundBy, Told};

use super::{Check, NO_FALSE_ALARM, TRUE};
use crate::plan::Meddling;

impl Check<'_> {
    /// Each job that is sealed as a success was completed by the service, with the files that it wrote.
    pub(super) fn successes(&mut self) -> Result<()> {
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
            // Several triggers may take the same import for theirs.
            if self.kind.found_by != FoundBy::Source && !sealed_jobs.insert(attempt.service_id.clone()) {
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
            // A receipt that someone moved away as a foreign object is judged elsewhere.
            let Some(body) = after.store.body(&outcome.receipt.bucket, &outcome.receipt.key) else {
                continue;
            };
            let Ok(receipt) = serde_json::from_slice::<Receipt>(&body) else {
                continue;
            };
            if !self.kind.writes_output {
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
            // Nobody can know of a file that is written after two equal listings. The settling time is chosen for that.
            let is_late = character.scenario == "late-file" && after.plan.settle < 3;
            // Nor can anybody know of a file that was deleted before the first listing, unless the service names its
            // files, or counts its rows and the job is strict about them.
            let is_deleted = after.plan.meddling == Meddling::Delete
                && match self.kind.told {
                    Told::Nothing => true,
                    Told::Rows => !after.plan.strict,
                    Told::Files => false,
                };
            let is_late = is_late || is_deleted && sealed.is_subset(&written);
            if sealed != written && !is_late {
                self.breaks(
                    TRUE,
                    format!("{job_key} was sealed with {sealed:?}, and the service wrote {written:?}"),
                );
            }
            if self.kind.told != Told::Files && output.rows != character.rows && !is_late {
                let rows = output.rows;
                self.breaks(
                    TRUE,
                    format!("{job_key} was sealed with {rows} rows of {}", character.rows),
                );
            }
        }
        Ok(())
    }

    /// Everything that could succeed did if nothing went wrong, and good output is never refused.
    pub(super) fn alarms(&mut self) {
        let after = self.after;
        let character = &after.plan.character;
        let is_quiet = after.harms == 0 && after.meddled == 0;
        // A waiting job asks for a slot up to five minutes after it is free.
        let line = if after.plan.max_running > 0 && self.keys.len() > 1 {
            900
        } else {
            0
        };
        let slack = Duration::from_secs(180 + line);
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
