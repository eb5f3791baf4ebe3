//! Whether there is an output at all.
//!
//! What must stay true: a test file, a file without rows and a file that could not be read prove nothing.

use super::{Case, Judgement, fail, pass, skipped, words::objects};

impl Case<'_> {
    pub(super) fn output_present(&self) -> Judgement {
        let (tally, prefix, data) = (self.tally, &self.asked.prefix, self.data_objects());
        // A document without a page is a defect.
        let (with_rows, documents) = (tally.with_rows, tally.documents);
        if with_rows + documents > 0 {
            let what = match (with_rows, documents) {
                (_, 0) => "rows",
                (0, _) => "pages",
                _ => "rows or pages",
            };
            return pass(format!(
                "{} of {data} {} {what}",
                with_rows + documents,
                hold(tally.data)
            ));
        }
        if tally.filled > 0 {
            return pass(format!(
                "{} of {data} {} at least one byte; what they hold was not decoded, as {} asks (level {})",
                tally.filled,
                hold(tally.data),
                self.words().who,
                self.asked.level
            ));
        }
        if tally.is_untold() {
            return skipped(self.beyond_level(&format!(
                "{} beneath {prefix} {} at least one byte, and only their content could tell whether they are data, \
                 which was not looked at: {}",
                objects(tally.extras.untold, "object"),
                hold(tally.extras.untold),
                tally.extras.found
            )));
        }
        if self.asked.allow_empty && tally.without_rows {
            return pass(format!(
                "{data} without a row; {} allows an empty export",
                self.words().who_allows
            ));
        }
        if tally.data == 0 {
            let others = if tally.extras.found.is_empty() {
                "nothing lies there".to_owned()
            } else {
                format!(
                    "only other objects lie there, which prove nothing: {}",
                    tally.extras.found
                )
            };
            let what = match self.asked.format {
                Some(format) => format!("{format} object"),
                None => format!("file that {}", self.words().names),
            };
            return fail(format!(
                "no {what} lies beneath {prefix}: {others}. Look at the job's status message, and at what the \
                 export role may write; if the export may have no rows, {}",
                self.words().allow_empty
            ));
        }
        let lie = if tally.data == 1 { "lies" } else { "lie" };
        if tally.unproved {
            return fail(format!(
                "{data} {lie} beneath {prefix}, and no row is proved; see the check format"
            ));
        }
        fail(format!(
            "{data} {lie} beneath {prefix}, and {} no row. If the export may have no rows, {}",
            hold(tally.data),
            self.words().allow_empty
        ))
    }
}

/// The verb of so many objects.
const fn hold(count: u64) -> &'static str {
    if count == 1 { "holds" } else { "hold" }
}
