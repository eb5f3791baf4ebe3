//! Finds out whether a text with one column by commas has another delimiter.
//!
//! What must stay true: a value may hold any character, and so may a name. So a semicolon, a tab or a bar alone is no
//! reason to refuse a text. A text is refused if its header has at least three fields by another character and the
//! first records have the same number; if a field after that character is in quotes; or if commas split the records
//! into different numbers of fields. If the text might just as well have one column, it gets a remark and is counted by
//! commas.
//!
//! A suspect is a character in the header outside of quotes: a semicolon, a tab, a bar, or a control character such as
//! the unit separator or Hive's Ctrl-A. Each suspect reads the text as long as all records have the same number of
//! fields as the header.

use serde::{Deserialize, Serialize};

use super::automaton::{End, Place, Quotes, step};
use crate::{
    defect::{Defect, Remedy},
    remark::Remark,
};

/// How many records must agree before a text counts as delimited by another character than the comma.
const ENOUGH: u64 = 10;
/// Within how many records a suspect must have read that many.
const PATIENCE: u64 = 64;

/// A character that may delimit the fields of a text, and how the text reads by it so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Suspect {
    delimiter: u8,
    place: Place,
    /// Delimiters in the current record.
    delimiters: u64,
    /// Delimiters in the header, once it is complete.
    header: Option<u64>,
    /// Records with as many delimiters as the header.
    records: u64,
    /// Whether a field after a delimiter is in quotes.
    quoted: bool,
    /// Whether a record has another number of delimiters than the header.
    excluded: bool,
}

impl Suspect {
    fn new(delimiter: u8) -> Self {
        Self {
            delimiter,
            place: Place::Fresh,
            delimiters: 0,
            header: None,
            records: 0,
            quoted: false,
            excluded: false,
        }
    }

    fn take(&mut self, byte: u8, quotes: Quotes) {
        if self.excluded {
            return;
        }
        let before = self.place;
        let (place, end) = step(before, byte, self.delimiter, quotes);
        self.place = place;
        match end {
            End::Nothing => self.quoted |= before == Place::Field && place == Place::Quoted,
            End::Field => self.delimiters += 1,
            End::Text => self.excluded = true,
            End::Record => match (self.header, std::mem::take(&mut self.delimiters)) {
                (_, 0) => self.excluded = true,
                (None, delimiters) => self.header = Some(delimiters),
                (Some(header), delimiters) if header == delimiters => self.records += 1,
                (Some(_), _) => self.excluded = true,
            },
        }
    }

    fn is_control(self) -> bool {
        self.delimiter.is_ascii_control() && self.delimiter != b'\t'
    }

    /// Whether the text clearly does not have one column. `torn` says that commas split the records into different
    /// numbers of fields.
    fn is_plain(self, torn: bool) -> bool {
        let agree = self.place == Place::Fresh && self.records >= if torn { 1 } else { ENOUGH };
        agree && (torn || (self.is_evident() && !self.is_control()))
    }

    /// Whether the character is more likely a delimiter than part of values.
    fn is_evident(self) -> bool {
        self.quoted || self.header >= Some(2)
    }
}

/// The characters other than the comma that may delimit a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Suspects(Vec<Suspect>);

impl Suspects {
    /// The suspects in the heading of a text with one column.
    pub(super) fn of(heading: &[u8], quotes: Quotes) -> Self {
        let mut place = Place::Fresh;
        let mut control = None;
        for byte in heading {
            // No byte in the heading of one column is a comma outside of quotes.
            (place, _) = step(place, *byte, b',', quotes);
            let is_outside = matches!(place, Place::Fresh | Place::Plain);
            if is_outside && byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r' | b'\n') {
                control.get_or_insert(*byte);
            }
        }
        let suspects = control.into_iter().chain([b';', b'\t', b'|']).map(|delimiter| {
            let mut suspect = Suspect::new(delimiter);
            for byte in heading.iter().chain(b"\n") {
                suspect.take(*byte, quotes);
            }
            suspect
        });
        Self(suspects.filter(|suspect| !suspect.excluded).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn take(&mut self, byte: u8, quotes: Quotes) {
        for suspect in &mut self.0 {
            suspect.take(byte, quotes);
        }
    }

    /// Must be called after each record. `rows` is the number of records so far.
    pub(super) fn sift(&mut self, rows: u64) {
        self.0.retain(|suspect| suspect.is_control() || !suspect.excluded);
        if rows >= PATIENCE {
            self.0
                .retain(|suspect| suspect.is_control() || suspect.records >= ENOUGH);
        }
    }

    /// Refuses a text that clearly has another delimiter. `torn` says that commas split the records into different
    /// numbers of fields.
    pub(super) fn refuse(&self, torn: bool) -> Result<(), Defect> {
        match self.0.iter().find(|suspect| suspect.is_plain(torn)) {
            Some(suspect) => Err(looks_delimited(suspect.delimiter)),
            None => Ok(()),
        }
    }

    /// Must be called at the end of a text with `rows` rows by commas. Answers the remark on the text, if there is one.
    pub(super) fn conclude(&self, rows: u64) -> Result<Option<Remark>, Defect> {
        for suspect in &self.0 {
            let name = name(suspect.delimiter);
            // If it ends within quotes, or if no record came, the character is not a delimiter.
            let reads = !suspect.excluded && suspect.place == Place::Fresh && suspect.records > 0;
            // A line break within a field of one reading ends a record of the other.
            if reads && (suspect.records != rows || (suspect.is_evident() && !suspect.is_control())) {
                return Err(looks_delimited(suspect.delimiter));
            }
            if reads || (suspect.is_control() && rows > 0) {
                return Ok(Some(Remark::new(format!(
                    "has {name} in its header, by which its fields may be delimited; by commas it has one column"
                ))));
            }
        }
        Ok(None)
    }
}

/// The defect of a text in which this byte delimits fields.
pub(super) fn looks_delimited(delimiter: u8) -> Defect {
    Defect::new(format!("looks delimited by {}, not by commas", name(delimiter))).mended_by(Remedy::Commas)
}

/// Whether this byte, after a quote that closes a value, shows that it delimits fields.
pub(super) fn may_delimit(byte: u8) -> bool {
    matches!(byte, b';' | b'|') || byte.is_ascii_control()
}

fn name(delimiter: u8) -> String {
    match delimiter {
        b';' => "semicolons".to_owned(),
        b'\t' => "tabs".to_owned(),
        b'|' => "vertical bars".to_owned(),
        control => format!("the control character 0x{control:02x}"),
    }
}
