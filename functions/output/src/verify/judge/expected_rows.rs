//! `expected_rows`: whether there are as many rows as the event expects.
//!
//! What must stay true: if the rows could not be counted, the expectation is violated.

use landfall::expect::Expectations;

use super::{
    asker::Words,
    case::Total,
    judgement::{Judgement, pass, skipped, violated},
};

pub(super) fn judge(expect: &Expectations, total: Result<Total, String>, words: &Words) -> Judgement {
    let Some(expected) = &expect.rows else {
        return skipped(format!("{} no number of rows", words.expects));
    };
    let violated = |reason: &str| violated(expected.on_violation, "Rows", reason, words);
    let total = match total {
        Ok(total) => total,
        Err(why) => return violated(&why),
    };
    let found = total.words();
    let beyond = |rows: u64| match (expected.min, expected.max) {
        (Some(min), _) if rows < min => Some(format!("fewer than {min}")),
        (_, Some(max)) if rows > max => Some(format!("more than {max}")),
        _ => None,
    };
    let least = expected.min.map(|min| format!("at least {min}"));
    let most = expected.max.map(|max| format!("at most {max}"));
    let bounds = least.into_iter().chain(most).collect::<Vec<_>>().join(" and ");
    let with_lines = total.rows.saturating_add(total.empty_lines);
    match (beyond(total.rows), beyond(with_lines)) {
        (None, None) => pass(format!("{found}; {bounds} are expected")),
        (Some(why), _) if total.empty_lines == 0 => violated(&format!("{found}, {why}")),
        _ => violated(&format!(
            "{found}, and {with_lines} if empty lines of one column count; {bounds} are expected. Say in EmptyLines whether \
             they count"
        )),
    }
}
