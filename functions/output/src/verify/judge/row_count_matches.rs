//! `row_count_matches`: whether there are as many rows as somebody reports.
//!
//! What must stay true: a part of the data never matches a reported number.

use landfall_formats::Columns;

use super::{
    case::Case,
    judgement::{Judgement, fail, pass, skipped, warn},
};

pub(super) fn judge(case: &Case<'_>) -> Judgement {
    let strict = case.asked.strict_row_count;
    let counts = case.words().counts;
    let Some(reported) = case.asked.rows else {
        let reason = case.words().no_count;
        return if strict {
            warn(format!(
                "{reason}, but {} asks to compare it with the decoded rows",
                case.words().who
            ))
        } else {
            skipped(reason)
        };
    };
    let (rows, how) = match case.total() {
        _ if case.all_counted() => (case.counts.rows, "were decoded"),
        Ok(total) if case.is_only_of_lower_level() => (total.rows, "stand in the footers, not decoded,"),
        Err(why) if case.is_only_of_lower_level() => {
            let reason = format!("{counts} {reported} rows, and {why}");
            return if strict { fail(reason) } else { skipped(reason) };
        }
        _ => {
            return fail(format!(
                "{counts} {reported} rows, and not all data could be counted: see the other failed \
                 checks"
            ));
        }
    };
    if rows == reported {
        return pass(if case.all_counted() {
            format!("{rows} rows, as {counts}")
        } else {
            format!("{rows} rows {how} as many as {counts}")
        });
    }
    let headings = if case.counts.any_format(|row| row.columns == Columns::Tables) {
        ". Rows of workbooks include those of their headings"
    } else {
        ""
    };
    let found = format!(
        "{rows} rows {how} and {counts} {reported}: {} are {}{headings}",
        rows.abs_diff(reported),
        if rows < reported { "missing" } else { "too many" }
    );
    let found = match case.counts.empty_lines {
        lines if lines > 0 && rows.checked_add(lines) == Some(reported) => {
            format!("{found}, as many as there are empty lines in files of one column")
        }
        _ => found,
    };
    if strict {
        return fail(format!("{found}. Do not use these files; run the export again"));
    }
    warn(format!(
        "{found}. AWS does not say that the two must be equal; to have this fail, {}",
        case.words().be_strict
    ))
}
