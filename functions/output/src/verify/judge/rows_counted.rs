//! `rows_counted`: how many rows there are.
//!
//! What must stay true: the check gives a number of rows only if each data object was counted.

use super::{
    case::Case,
    judgement::{Judgement, pass, skipped},
    words::objects,
};

pub(super) fn judge(case: &Case<'_>) -> Judgement {
    let counts = case.counts;
    if counts.objects == 0 {
        return case.without_data();
    }
    if case.is_only_of_lower_level() {
        return match case.total() {
            Ok(total) => pass(format!(
                "{} in {}, by the footers, not decoded",
                objects(total.rows, "row"),
                objects(counts.counted + counts.framed_counted, "data object")
            )),
            Err(why) => skipped(why),
        };
    }
    if !case.all_counted() {
        return skipped(format!(
            "{} in {} of {}; the others, or what changed, could not be counted: see the failed checks",
            objects(counts.rows, "row"),
            counts.counted,
            case.data_objects()
        ));
    }
    let documents = objects(counts.documents, "document");
    if counts.counted == 0 {
        return skipped(format!("{documents} have pages and no rows"));
    }
    let others = match counts.documents {
        0 => String::new(),
        _ => format!("; {documents} without rows"),
    };
    pass(format!(
        "{} in {}, each decoded{others}",
        objects(counts.rows, "row"),
        objects(counts.counted, "data object")
    ))
}
