//! `extra_objects`: what lies beside the data.
//!
//! What must stay true: one small object that looks like nothing may be a service's test file. Anything else beside the
//! data warns.

use super::{
    judgement::{Judgement, pass, skipped, warn},
    words::{Examples, extra, objects},
};
use crate::verify::{
    Expectation,
    report::{Finding, Reading},
};

/// Largest unknown object that may be the test file.
pub(super) const TEST_FILE: u64 = 64 * 1024;

/// What is known of objects that are no data.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras {
    pub(super) found: Examples,
    /// Those of them that may be data.
    pub(super) untold: u64,
    /// Those of them that hold something, and whether one of them can be no test file.
    filled: u64,
    odd: bool,
}

impl Extras {
    pub(super) fn add(&mut self, asked: &Expectation, reading: &Reading) {
        self.found.add(|| extra(reading));
        // Zero bytes hold nothing that could be missed.
        if reading.object.size == 0 {
            return;
        }
        self.filled += 1;
        self.untold += u64::from(reading.finding == Finding::Untold);
        // Whoever names every file writes no others.
        let may_be_test_file = asked.format.is_some()
            && reading.object.size <= TEST_FILE
            && matches!(reading.finding, Finding::Extra(None) | Finding::Untold);
        self.odd |= !may_be_test_file;
    }

    /// Beside `hidden` objects that were left out for their names; `untold` says why it is not known which objects are
    /// data, if so.
    pub(super) fn judge(&self, hidden: u64, untold: Option<&str>) -> Judgement {
        let hidden = match hidden {
            0 => String::new(),
            hidden => format!("; {hidden} more begin with _ or . and are left out"),
        };
        if self.found.is_empty() {
            return pass(format!("nothing but data lies there{hidden}"));
        }
        let found = format!(
            "{} not taken for data: {}{hidden}",
            objects(self.found.count, "object"),
            self.found
        );
        if let Some(untold) = untold {
            return skipped(untold);
        }
        if self.filled <= 1 && !self.odd {
            return pass(format!(
                "{found}; a service may write a test or information file beside the data"
            ));
        }
        warn(format!("{found}. Make sure that none of them belongs to the export"))
    }
}
