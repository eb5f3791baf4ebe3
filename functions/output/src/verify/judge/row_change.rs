//! `row_change`: whether the number of rows changed no more since the last export than the event expects.
//!
//! What must stay true: if the rows could not be counted, the expectation is violated. The rows of another request
//! prove nothing.

use landfall::expect::Expectations;

use super::{
    asker::Words,
    case::Total,
    judgement::{Judgement, pass, skipped, violated, warn},
    words::shown,
};
use crate::verify::Previous;

pub(super) fn judge(
    expect: &Expectations,
    total: Result<Total, String>,
    previous: Option<&Previous>,
    words: &Words,
) -> Judgement {
    let Some(expected) = &expect.change else {
        return skipped(format!(
            "{} nothing of the change since the former export",
            words.expects
        ));
    };
    let Some(previous) = previous else {
        return skipped(words.no_previous);
    };
    let former = shown(&previous.job_key);
    if !previous.same_request {
        return warn(format!(
            "the newest success in this destination, {former}, is of another request, so its rows prove nothing; give \
             each request a destination of its own"
        ));
    }
    let violated = |reason: &str| violated(expected.on_violation, "Change", reason, words);
    let total = match total {
        Ok(total) => total,
        Err(why) => return violated(&why),
    };
    let (rows, before, most) = (total.rows, previous.rows, expected.max_percent);
    let found = format!("{}, and {former} had {before}", total.words());
    let difference = u128::from(rows.abs_diff(before));
    if difference == 0 {
        return pass(format!("{found}: no change"));
    }
    let direction = if rows < before { "fewer" } else { "more" };
    if before == 0 {
        return violated(&format!("{found}: any change from 0 rows is infinite"));
    }
    // In hundredths of a percent, rounded up, so that a change beyond the bound never looks equal to it.
    let hundredths = (difference * 10_000).div_ceil(u128::from(before));
    let found = format!("{found}: {}.{:02} % {direction}", hundredths / 100, hundredths % 100);
    if difference * 100 > u128::from(most) * u128::from(before) {
        violated(&format!("{found}, and at most {most} % are expected"))
    } else {
        pass(format!("{found}; at most {most} % are expected"))
    }
}
