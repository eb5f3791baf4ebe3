//! Counts of the data objects, for several checks.
//!
//! What must stay true: an object counts as whole only if it decoded to its end. At the level `full`, each other object
//! counts as broken. Below it, an object counts by how far it was looked at.

use std::collections::BTreeMap;

use landfall::job::Level;
use landfall_formats::{Format, Row};

use crate::verify::report::{Finding, Reading};

#[derive(Clone, Debug)]
pub(super) struct Counts {
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// Objects that decoded to their end.
    pub(super) whole: u64,
    /// Objects of which the beginning and the end were looked at, as the level asks.
    pub(super) framed: u64,
    /// Objects that were only listed, as the level asks.
    pub(super) listed: u64,
    /// Objects that are cut off, empty, of another format, or were not looked at as the level asks.
    pub(super) broken: u64,
    /// Whether a broken object was looked at and turned out to be something else.
    pub(super) unproved: bool,
    /// Rows that were decoded.
    pub(super) rows: u64,
    /// Objects whose rows were decoded.
    pub(super) counted: u64,
    /// Objects with at least one decoded row.
    pub(super) with_rows: u64,
    /// Documents that were read to their end.
    pub(super) documents: u64,
    /// Documents of which the beginning and the end were looked at.
    pub(super) framed_documents: u64,
    /// Rows by the objects' own footers.
    pub(super) framed_rows: u64,
    /// Objects with such a footer.
    pub(super) framed_counted: u64,
    /// Objects that were not decoded and may have rows.
    pub(super) filled: u64,
    /// Whether no object so far has a row.
    pub(super) without_rows: bool,
    /// The formats of the objects, by name.
    formats: BTreeMap<&'static str, Format>,
    /// Empty lines that may or may not be rows, because nobody says which.
    pub(super) empty_lines: u64,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            objects: 0,
            bytes: 0,
            whole: 0,
            framed: 0,
            listed: 0,
            broken: 0,
            unproved: false,
            rows: 0,
            counted: 0,
            with_rows: 0,
            documents: 0,
            framed_documents: 0,
            framed_rows: 0,
            framed_counted: 0,
            filled: 0,
            without_rows: true,
            formats: BTreeMap::new(),
            empty_lines: 0,
        }
    }
}

impl Counts {
    pub(super) fn format_names(&self) -> String {
        self.formats.keys().copied().collect::<Vec<_>>().join(", ")
    }

    /// Whether an object has a format of this sort.
    pub(super) fn any_format(&self, is_such: impl Fn(&Row) -> bool) -> bool {
        self.formats.values().any(|format| is_such(format.row()))
    }

    /// Counts a data object that was to be looked at as `level` asks.
    pub(super) fn add(&mut self, level: Level, reading: &Reading) {
        let object = &reading.object;
        self.objects += 1;
        self.bytes = self.bytes.saturating_add(object.size);
        self.formats.extend(object.format.map(|format| (format.name(), format)));
        let may_be_empty = object.format.is_some_and(|format| format.row().may_be_empty());
        let has_no_row = match &reading.finding {
            Finding::Whole(decoded) => {
                self.whole += 1;
                if let Some(rows) = object.rows {
                    self.rows = self.rows.saturating_add(rows);
                    self.counted += 1;
                    self.with_rows += u64::from(rows > 0);
                }
                self.documents += u64::from(decoded.document.is_some());
                self.empty_lines = self.empty_lines.saturating_add(decoded.empty_lines);
                decoded.rows == 0 && decoded.document.is_none()
            }
            Finding::Framed(framed) if level <= Level::Structure => {
                self.framed += 1;
                if framed.document.is_some() {
                    self.framed_documents += 1;
                } else if let Some(rows) = framed.rows {
                    self.framed_rows = self.framed_rows.saturating_add(rows);
                    self.framed_counted += 1;
                }
                let has_no_row = framed.rows == Some(0) && framed.document.is_none();
                self.filled += u64::from(!has_no_row && object.size > 0);
                has_no_row
            }
            Finding::Listed if level <= Level::Listing => {
                self.listed += 1;
                self.filled += u64::from(object.size > 0);
                object.size == 0 && may_be_empty
            }
            Finding::Defective(_) | Finding::Foreign(_) => {
                self.broken += 1;
                self.unproved = true;
                false
            }
            Finding::Empty => {
                self.broken += 1;
                may_be_empty
            }
            // The object was looked at less than the level asks. Data objects never have the last two findings.
            Finding::Framed(_) | Finding::Listed | Finding::Extra(_) | Finding::Untold => {
                self.broken += 1;
                false
            }
        };
        self.without_rows &= has_no_row;
    }
}
