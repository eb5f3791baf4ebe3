//! `data_age`: whether the oldest data object is as young as the event expects.
//!
//! What must stay true: if the age is not known, the expectation is violated.

use chrono::{DateTime, Utc};
use landfall::expect::Expectations;

use super::{
    asker::Words,
    judgement::{Judgement, pass, skipped, violated},
    words::{shown, time},
};
use crate::verify::report::Reading;

/// When the oldest data object was written, and its key.
#[derive(Clone, Debug, Default)]
pub(super) struct Oldest(Option<(DateTime<Utc>, String)>);

impl Oldest {
    pub(super) fn add(&mut self, reading: &Reading) {
        let written = reading.object.last_modified;
        if self.0.as_ref().is_none_or(|(oldest, _)| written < *oldest) {
            self.0 = Some((written, reading.object.key.clone()));
        }
    }

    /// `untold` says why it is not known which objects are data, if it is not.
    pub(super) fn judge(
        &self,
        expect: &Expectations,
        untold: Option<&str>,
        now: DateTime<Utc>,
        words: &Words,
    ) -> Judgement {
        let Some(expected) = &expect.age else {
            return skipped(format!("{} nothing of the data's age", words.expects));
        };
        let Some((written, key)) = &self.0 else {
            return match untold {
                Some(why) => violated(expected.on_violation, "Age", why, words),
                None => skipped("there is no data object"),
            };
        };
        let seconds = u64::try_from((now - *written).num_seconds()).unwrap_or_default();
        let found = format!(
            "the oldest data object, {}, was written at {}, {seconds} s before it was judged",
            shown(key),
            time(*written)
        );
        if seconds > expected.max_seconds {
            violated(
                expected.on_violation,
                "Age",
                &format!("{found}, and at most {} s are expected", expected.max_seconds),
                words,
            )
        } else {
            pass(format!("{found}; at most {} s are expected", expected.max_seconds))
        }
    }
}
