//! How many rows there are, and whether they are as many as somebody reports.
//!
//! What must stay true: a number that is reported is never matched by a part of the data.

use landfall_formats::Format;

use super::{Case, Judgement, fail, pass, skipped, warn, words::objects};

impl Case<'_> {
    pub(super) fn rows_counted(&self) -> Judgement {
        let tally = self.tally;
        if tally.data == 0 {
            return self.without_data();
        }
        if self.is_only_of_lower_level() {
            return match self.total() {
                Ok(total) => pass(format!(
                    "{} rows in {}, by the footers, not decoded",
                    total.rows,
                    objects(tally.counted + tally.framed_counted, "data object")
                )),
                Err(why) => skipped(why),
            };
        }
        if !self.all_counted() {
            return skipped(format!(
                "{} rows in {} of {}; the others, or what changed, could not be counted: see the failed checks",
                tally.rows,
                tally.counted,
                self.data_objects()
            ));
        }
        let documents = objects(tally.documents, "document");
        if tally.counted == 0 {
            return skipped(format!("{documents} have pages and no rows"));
        }
        let others = match tally.documents {
            0 => String::new(),
            _ => format!("; {documents} without rows"),
        };
        pass(format!(
            "{} rows in {}, each decoded{others}",
            tally.rows,
            objects(tally.counted, "data object")
        ))
    }

    pub(super) fn row_count_matches(&self) -> Judgement {
        let strict = self.asked.strict_row_count;
        let counts = self.words().counts;
        let Some(reported) = self.asked.rows else {
            let reason = self.words().no_count;
            return if strict {
                warn(format!(
                    "{reason}, which {} wants the decoded rows held against",
                    self.words().who
                ))
            } else {
                skipped(reason)
            };
        };
        let (rows, how) = match self.total() {
            _ if self.all_counted() => (self.tally.rows, "were decoded"),
            Ok(total) if self.is_only_of_lower_level() => (total.rows, "stand in the footers, not decoded,"),
            Err(why) if self.is_only_of_lower_level() => {
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
            return pass(if self.all_counted() {
                format!("{rows} rows, as {counts}")
            } else {
                format!("{rows} rows {how} as many as {counts}")
            });
        }
        let headings = if self.tally.formats.contains(Format::Excel.name()) {
            ". Rows of workbooks include those of their headings"
        } else {
            ""
        };
        let found = format!(
            "{rows} rows {how} and {counts} {reported}: {} are {}{headings}",
            rows.abs_diff(reported),
            if rows < reported { "missing" } else { "too many" }
        );
        let found = match self.tally.empty_lines {
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
            self.words().be_strict
        ))
    }
}
