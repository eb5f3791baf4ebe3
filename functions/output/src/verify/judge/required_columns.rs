//! `required_columns`: whether each table has the columns that the event expects.
//!
//! What must stay true: if the columns of a data object were not looked at, the expectation is violated. If an object
//! could not be decoded, the check is skipped, because other checks say so.

use std::collections::BTreeMap;

use landfall::{expect::ExpectedColumns, job::Level};
use landfall_formats::MAX_COLUMN_NAME;

use super::{
    asker::Words,
    judgement::{Judgement, pass, skipped, violated, warn},
    words::{Examples, cut, key, objects},
};
use crate::verify::report::{Finding, Reading};

/// The columns of the data objects, as far as they are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    /// The required names, cut as decoders cut names, each with its index in `found`.
    required: BTreeMap<String, usize>,
    /// Data objects that have columns.
    tables: u64,
    /// Data objects that lack a required column.
    lacking: Examples,
    /// Data objects without rows and without a heading.
    bare: u64,
    /// Documents and workbooks, which have no columns.
    without: u64,
    /// Data objects whose columns were not looked at.
    unseen: u64,
    /// Data objects that could not be decoded.
    broken: u64,
}

impl Columns {
    pub(super) fn new(expected: Option<&ExpectedColumns>) -> Self {
        let names = expected.map(|columns| columns.required.as_slice()).unwrap_or_default();
        let mut required = BTreeMap::new();
        for name in names {
            let place = required.len();
            required.entry(kept_name(name)).or_insert(place);
        }
        Self {
            required,
            ..Self::default()
        }
    }

    /// Adds a data object.
    pub(super) fn add(&mut self, reading: &Reading) {
        if self.required.is_empty() {
            return;
        }
        let has_none = reading.object.format.is_some_and(|format| !format.row().has_columns());
        match &reading.finding {
            Finding::Whole(decoded) if has_none || decoded.document.is_some() => self.without += 1,
            Finding::Whole(decoded) if decoded.column_count == 0 && decoded.rows == 0 => self.bare += 1,
            Finding::Whole(decoded) => self.compare(reading, &decoded.columns, decoded.column_count),
            Finding::Framed(framed) if has_none || framed.document.is_some() => self.without += 1,
            Finding::Framed(framed) if framed.column_count == 0 => self.unseen += 1,
            Finding::Framed(framed) => self.compare(reading, &framed.columns, framed.column_count),
            Finding::Listed if has_none => self.without += 1,
            Finding::Listed => self.unseen += 1,
            Finding::Defective(_) | Finding::Foreign(_) | Finding::Empty => self.broken += 1,
            Finding::Extra(_) | Finding::Untold => {}
        }
    }

    /// Compares the columns of a data object with the required ones. `columns` may hold only the first of `count` names.
    fn compare(&mut self, reading: &Reading, columns: &[String], count: u64) {
        self.tables += 1;
        let mut found = vec![false; self.required.len()];
        for column in columns {
            if let Some(place) = self.required.get(column)
                && let Some(found) = found.get_mut(*place)
            {
                *found = true;
            }
        }
        if found.iter().all(|found| *found) {
            return;
        }
        let is_missing = |place: usize| found.get(place) == Some(&false);
        let mut missing: Vec<_> = self.required.iter().filter(|(_, place)| is_missing(**place)).collect();
        missing.sort_unstable_by_key(|(_, place)| **place);
        self.lacking.add(|| {
            let names: Examples = missing
                .iter()
                .map(|(name, _)| cut(&format!("{name:?}"), MAX_COLUMN_NAME))
                .collect();
            match columns.len() as u64 {
                kept if kept < count => format!(
                    "{} lacks {names} among its first {kept} of {count} columns",
                    key(reading)
                ),
                _ => format!("{} lacks {names}", key(reading)),
            }
        });
    }

    /// Adds objects that may be data, but were not looked at.
    pub(super) fn add_untold(&mut self, objects: u64) {
        self.unseen += objects;
    }

    pub(super) fn judge(&self, expected: Option<&ExpectedColumns>, level: Level, words: &Words) -> Judgement {
        let Some(expected) = expected else {
            return skipped(format!("{} no columns", words.expects));
        };
        let violated = |reason: &str| violated(expected.on_violation, "Columns", reason, words);
        if !self.lacking.is_empty() {
            return violated(&format!(
                "{} of {} without a column that must be there: {}",
                self.lacking.count,
                objects(self.tables, "data object"),
                self.lacking
            ));
        }
        if self.unseen > 0 {
            return violated(&format!(
                "the columns of {} were not looked at, as {} asks (level {level})",
                objects(self.unseen, "data object"),
                words.who
            ));
        }
        if self.broken > 0 {
            return skipped(format!(
                "{} could not be looked at: see the other checks",
                objects(self.broken, "data object")
            ));
        }
        let without = match self.without {
            0 => String::new(),
            without => format!("documents and workbooks, which have none: {without}"),
        };
        if self.tables == 0 {
            return match self.without {
                0 => skipped("there is no data object with a row or a heading"),
                _ => warn(format!(
                    "no file has columns to compare with those that {}: {without}",
                    words.expects
                )),
            };
        }
        let between = if without.is_empty() { "" } else { "; " };
        pass(format!(
            "{} with all of the {} that {}{between}{without}",
            objects(self.tables, "data object"),
            objects(self.required.len() as u64, "column"),
            words.expects
        ))
    }
}

/// A column's name, cut as decoders cut it.
fn kept_name(name: &str) -> String {
    name.chars()
        .take(MAX_COLUMN_NAME)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
