//! `extra_objects`: which objects are there beside the data.
//!
//! What must stay true: one small object of no known format may be a service's test file. Any other object beside the
//! data is a warning.

use super::{
    judgement::{Judgement, pass, skipped, warn},
    words::{Examples, extra, objects},
};
use crate::verify::{
    Expectation,
    report::{Finding, Reading},
};

/// The largest object of unknown content that may be the test file, in bytes.
pub(super) const TEST_FILE: u64 = 64 * 1024;

/// The objects that are not data.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras {
    pub(super) found: Examples,
    /// How many of them may be data.
    pub(super) untold: u64,
    /// How many of them have at least one byte.
    filled: u64,
    /// Whether one of them cannot be a test file.
    odd: bool,
}

impl Extras {
    pub(super) fn add(&mut self, asked: &Expectation, reading: &Reading) {
        self.found.add(|| extra(reading));
        // An object of zero bytes holds nothing that could be missed.
        if reading.object.size == 0 {
            return;
        }
        self.filled += 1;
        self.untold += u64::from(reading.finding == Finding::Untold);
        // A service that names all its files writes no test file.
        let may_be_test_file = asked.format.is_some()
            && reading.object.size <= TEST_FILE
            && matches!(reading.finding, Finding::Extra(None) | Finding::Untold);
        self.odd |= !may_be_test_file;
    }

    /// `hidden` objects were left out because of their names. `untold` says why it is not known which objects are data,
    /// if it is not.
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
