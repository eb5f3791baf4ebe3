//! `output_present`: whether there is an output at all.
//!
//! What must stay true: a test file, a file without rows, and a file that could not be read prove nothing.

use super::{
    case::Case,
    judgement::{Judgement, fail, pass, skipped},
    words::objects,
};

pub(super) fn judge(case: &Case<'_>) -> Judgement {
    let (counts, prefix, data) = (case.counts, &case.asked.prefix, case.data_objects());
    // A document without pages is a defect, so each document here has pages.
    let (with_rows, documents) = (counts.with_rows, counts.documents);
    if with_rows + documents > 0 {
        let what = match (with_rows, documents) {
            (_, 0) => "rows",
            (0, _) => "pages",
            _ => "rows or pages",
        };
        return pass(format!(
            "{} of {data} {} {what}",
            with_rows + documents,
            hold(counts.objects)
        ));
    }
    if counts.filled > 0 {
        return pass(format!(
            "{} of {data} {} at least one byte; what they hold was not decoded, as {} asks (level {})",
            counts.filled,
            hold(counts.objects),
            case.words().who,
            case.asked.level
        ));
    }
    if case.is_untold() {
        return skipped(case.beyond_level(&format!(
            "{} beneath {prefix} {} at least one byte, and only their content could tell whether they are data, \
             which was not looked at: {}",
            objects(case.extras.untold, "object"),
            hold(case.extras.untold),
            case.extras.found
        )));
    }
    if case.asked.allow_empty && counts.without_rows {
        return pass(format!(
            "{data} without a row; {} allows an empty export",
            case.words().who_allows
        ));
    }
    if counts.objects == 0 {
        let others = if case.extras.found.is_empty() {
            "nothing lies there".to_owned()
        } else {
            format!(
                "only other objects lie there, which prove nothing: {}",
                case.extras.found
            )
        };
        let what = match case.asked.format {
            Some(format) => format!("{format} object"),
            None => format!("file that {}", case.words().names),
        };
        return fail(format!(
            "no {what} lies beneath {prefix}: {others}. Look at the job's status message, and at what the \
             export role may write; if the export may have no rows, {}",
            case.words().allow_empty
        ));
    }
    let lie = if counts.objects == 1 { "lies" } else { "lie" };
    if counts.unproved {
        return fail(format!(
            "{data} {lie} beneath {prefix}, and no row is proved; see the check format"
        ));
    }
    fail(format!(
        "{data} {lie} beneath {prefix}, and {} no row. If the export may have no rows, {}",
        hold(counts.objects),
        case.words().allow_empty
    ))
}

const fn hold(count: u64) -> &'static str {
    if count == 1 { "holds" } else { "hold" }
}
