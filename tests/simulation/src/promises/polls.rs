//! The promises about polls without news, and about the number of calls.

use chrono::TimeDelta;
use landfall::{error::ErrorKind, job::TaskError};

use super::{BOUNDED, Check, MISSED, RESUMED, STALLED};
use crate::aftermath::{Announced, Passed};

/// The most invocations of one delivery, slices not counted: the tries that the definition allows for Start, the polls
/// of the longest day, and everything after them.
const MOST_INVOCATIONS: usize = 1000;

/// The most calls of one invocation.
const MOST_CALLS: u32 = 200;

impl Check<'_> {
    /// A running job is sealed only past its deadline. Four polls in a row without news are announced once, and so is
    /// the news that ends them.
    pub(super) fn missed_polls(&mut self) {
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
                    // A redrive enters Seal again.
                    if is_early || !matches!(from.state.as_str(), "Overdue" | "Seal") {
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
                    // A job that is given up is not announced as stalled as well.
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

    /// No invocation, execution or job makes calls without end.
    pub(super) fn bounds(&mut self) {
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
}
