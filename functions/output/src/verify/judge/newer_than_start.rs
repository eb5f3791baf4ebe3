//! `newer_than_start`: whether all data was written after the job was started.
//!
//! What must stay true: an object of another run fails. The two clocks may differ by [`CLOCK_SKEW`].

use chrono::SubsecRound;
use landfall::clock::CLOCK_SKEW;

use super::{
    case::Case,
    judgement::{Judgement, fail, pass},
    words::{Examples, key, time, verb},
};
use crate::verify::{Expectation, report::Reading};

/// The data objects that are older than the job.
#[derive(Clone, Debug, Default)]
pub(super) struct Stale(Examples);

impl Stale {
    pub(super) fn add(&mut self, asked: &Expectation, reading: &Reading) {
        let written = reading.object.last_modified;
        // S3 gives whole seconds.
        if written < asked.started_at.trunc_subsecs(0) - CLOCK_SKEW {
            self.0.add(|| format!("{} of {}", key(reading), time(written)));
        }
    }

    pub(super) fn judge(&self, case: &Case<'_>) -> Judgement {
        if case.counts.objects == 0 {
            return case.without_data();
        }
        let started_at = time(case.asked.started_at);
        if self.0.is_empty() {
            return pass(format!("all were written after the start at {started_at}"));
        }
        fail(format!(
            "{} of {} {} older than the job, which was started at {started_at}, and so of another run: {}. Let every run \
             write beneath a prefix of its own",
            self.0.count,
            case.data_objects(),
            verb(self.0.count, "is", "are"),
            self.0
        ))
    }
}
