//! `no_empty_files`: whether each data object has at least one byte.
//!
//! What must stay true: empty files count as an export without rows only if that is allowed and no object has rows.

use super::{
    case::Case,
    judgement::{Judgement, fail, pass, warn},
    words::{Examples, key},
};
use crate::verify::report::Reading;

/// The data objects of zero bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct EmptyFiles(Examples);

impl EmptyFiles {
    pub(super) fn add(&mut self, reading: &Reading) {
        if reading.object.size == 0 {
            self.0.add(|| key(reading));
        }
    }

    pub(super) fn judge(&self, case: &Case<'_>) -> Judgement {
        if case.counts.objects == 0 {
            return case.without_data();
        }
        if self.0.is_empty() {
            return pass(format!("{} of at least one byte", case.data_objects()));
        }
        let found = format!("{} of {} of zero bytes: {}", self.0.count, case.data_objects(), self.0);
        if case.asked.allow_empty && case.counts.without_rows {
            return warn(format!(
                "{found}; taken for an export without rows, which {} allows",
                case.words().who_allows
            ));
        }
        fail(format!("{found}. The export did not write what it began; run it again"))
    }
}
