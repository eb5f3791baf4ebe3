//! What is known of an output, for all checks.
//!
//! What must stay true: the number of rows is known only if each data object was counted. A part of the data is never
//! taken for all of it.

use super::{
    asker::Words,
    counts::Counts,
    extra_objects::Extras,
    judgement::{Judgement, skipped},
    words::objects,
};
use crate::verify::{Expectation, settle::Stability};

/// An output, as far as it is known.
pub(super) struct Case<'a> {
    pub(super) asked: &'a Expectation,
    pub(super) counts: &'a Counts,
    pub(super) extras: &'a Extras,
    pub(super) settling: &'a Stability,
}

/// The rows of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) rows: u64,
    /// Empty lines that may or may not be rows, because nobody says which.
    pub(super) empty_lines: u64,
    /// Whether the rows were decoded. If not, they come from the objects' own footers.
    pub(super) decoded: bool,
}

impl Total {
    pub(super) fn words(self) -> String {
        let how = if self.decoded {
            ""
        } else {
            " by the footers, not decoded"
        };
        format!("{}{how}", objects(self.rows, "row"))
    }
}

impl Case<'_> {
    pub(super) fn words(&self) -> &'static Words {
        self.asked.asker.words()
    }

    pub(super) fn data_objects(&self) -> String {
        objects(self.counts.objects, "data object")
    }

    /// Whether each data object decoded to its end.
    pub(super) fn all_counted(&self) -> bool {
        self.settling.settled && self.counts.whole == self.counts.objects && !self.is_untold()
    }

    /// Whether nothing is wrong, but the level asks for less than everything.
    pub(super) fn is_only_of_lower_level(&self) -> bool {
        self.settling.settled && self.counts.broken == 0 && self.is_below_full()
    }

    /// Whether some object was looked at less than it could be.
    pub(super) const fn is_below_full(&self) -> bool {
        self.counts.framed + self.counts.listed > 0 || self.is_untold()
    }

    /// Whether there are only objects whose names do not tell whether they are data.
    pub(super) const fn is_untold(&self) -> bool {
        self.counts.objects == 0 && self.extras.untold > 0
    }

    /// If it is not known which objects are data: why.
    pub(super) fn untold(&self) -> Option<String> {
        self.is_untold()
            .then(|| self.beyond_level("which objects are data was not looked at"))
    }

    /// Skipped, because there is no data object to check.
    pub(super) fn without_data(&self) -> Judgement {
        skipped(self.untold().unwrap_or_else(|| "there is no data object".to_owned()))
    }

    /// If the bytes of data objects were not read: why.
    pub(super) fn not_read(&self) -> Option<String> {
        self.is_below_full()
            .then(|| self.beyond_level("the objects' bytes were not hashed"))
    }

    /// Says that something was not looked at, because the level does not ask for it.
    pub(super) fn beyond_level(&self, what: &str) -> String {
        format!(
            "{what}, as {} asks (level {}); to have it, {}",
            self.words().who,
            self.asked.level,
            self.words().raise_level
        )
    }

    /// The rows of the whole output, or why they are not known.
    pub(super) fn total(&self) -> Result<Total, String> {
        let counts = self.counts;
        let counted = counts.counted + counts.framed_counted;
        let documents = counts.documents + counts.framed_documents;
        let empty_lines = counts.empty_lines;
        let decoded = |rows| {
            Ok(Total {
                rows,
                empty_lines,
                decoded: true,
            })
        };
        if self.settling.settled && counts.broken == 0 && counted == 0 && documents > 0 {
            return Err("nothing that landed has rows".to_owned());
        }
        if self.all_counted() {
            return decoded(counts.rows);
        }
        let is_framed = counts.whole + counts.framed_counted + counts.framed_documents == counts.objects;
        if self.settling.settled && is_framed && !self.is_untold() {
            return Ok(Total {
                rows: counts.rows.saturating_add(counts.framed_rows),
                empty_lines,
                decoded: false,
            });
        }
        if self.settling.settled && self.asked.allow_empty && counts.without_rows && !self.is_untold() {
            return decoded(0);
        }
        Err(if self.is_only_of_lower_level() {
            self.beyond_level("the rows were not counted")
        } else {
            "not all data could be counted: see the other failed checks".to_owned()
        })
    }
}
