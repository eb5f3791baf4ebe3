//! `segment_estimate`: whether the number of rows is as near to the service's own estimate as the event expects.
//!
//! What must stay true: if there is no estimate, there is no difference. The check is then skipped, and the reason says
//! why there is none.

use landfall::{expect::Expectations, job::Estimate};

use super::{
    asker::Words,
    case::Total,
    judgement::{Judgement, pass, skipped, violated},
};

pub(super) fn judge(
    expect: &Expectations,
    total: Result<Total, String>,
    estimate: Option<&Estimate>,
    words: &Words,
) -> Judgement {
    let Some(expected) = &expect.segment_estimate else {
        return skipped(format!("{} nothing of an estimate", words.expects));
    };
    let estimated = match estimate {
        Some(Estimate::Known { rows }) => *rows,
        Some(Estimate::Missing { reason }) => return skipped(format!("there is no estimate: {reason}")),
        Some(Estimate::Asked { .. }) => {
            return skipped("the service had not estimated the segment when the export had ended");
        }
        None => return skipped("nobody asked the service for an estimate"),
    };
    let total = match total {
        Ok(total) => total,
        Err(why) => return skipped(format!("the rows cannot be compared with the estimate: {why}")),
    };
    let most = expected.percent().unwrap_or_default();
    let difference = u128::from(total.rows.abs_diff(estimated));
    let found = format!("{}, and the service estimates {estimated}", total.words());
    if difference * 100 > u128::from(most) * u128::from(estimated) {
        let reason = format!(
            "{found}: they differ by {difference}, but at most {most} % of the estimate is expected. The estimate and the \
             export count the segment at different times, so check whether its profiles change that fast before you export \
             it again"
        );
        violated(expected.otherwise, "SegmentEstimate", &reason, words)
    } else {
        pass(format!("{found}; a difference of at most {most} % is expected"))
    }
}
