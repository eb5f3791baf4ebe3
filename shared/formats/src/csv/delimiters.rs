//! Other delimiters than the comma, of a text that has one column by commas.
//!
//! What must stay true: values may hold any character, and so may a name, so that semicolons, tabs or bars alone are no
//! reason to refuse. It takes a header of at least three fields and as many in each of the first records, or fields in
//! quotes behind the character, or records that commas tear apart. What might just as well be one column is only
//! remarked on, and what is counted is what both ways count.
//!
//! Suspected is what stands in the header outside quotes: semicolons, tabs, bars, or a control character, such as the
//! unit separator or Hive's Ctrl-A. Each suspect reads the text on as long as all its records are as wide as the header.

use serde::{Deserialize, Serialize};

use super::automaton::{End, Place, Quotes, step};
use crate::{
    defect::{Defect, Remedy},
    remark::Remark,
};

/// Records that must agree before a text is said to be delimited by another character than the comma.
const ENOUGH: u64 = 10;
/// Records by which a suspect must have read that many.
const PATIENCE: u64 = 64;

/// A character that may delimit the fields of a text, and what it makes of the text as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Suspect {
    delimiter: u8,
    place: Place,
    /// Delimiters in the current record.
    delimiters: u64,
    /// Of the header, once it is complete.
    header: Option<u64>,
    /// Records that have as many as the header.
    records: u64,
    /// Whether a field behind a delimiter is in quotes.
    quoted: bool,
    /// Whether a record has another number of them than the header.
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

    /// Whether nobody would take this for one column. `torn`: whether commas make records of unequal width of the text.
    fn is_plain(self, torn: bool) -> bool {
        let agree = self.place == Place::Fresh && self.records >= if torn { 1 } else { ENOUGH };
        agree && (torn || (self.is_evident() && !self.is_control()))
    }

    /// Whether it is rather a delimiter than a part of values.
    fn is_evident(self) -> bool {
        self.quoted || self.header >= Some(2)
    }
}

/// What else than commas may delimit a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Suspects(Vec<Suspect>);

impl Suspects {
    /// What stands in the header of a text of one column, whose bytes these are.
    pub(super) fn of(heading: &[u8], quotes: Quotes) -> Self {
        let mut place = Place::Fresh;
        let mut control = None;
        for byte in heading {
            // No byte of a heading of one column is a comma outside quotes.
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

    /// To be asked behind each record, of which so many came.
    pub(super) fn sift(&mut self, rows: u64) {
        self.0.retain(|suspect| suspect.is_control() || !suspect.excluded);
        if rows >= PATIENCE {
            self.0
                .retain(|suspect| suspect.is_control() || suspect.records >= ENOUGH);
        }
    }

    /// Refuses what is plainly delimited otherwise. `torn`: whether commas make records of unequal width of it.
    pub(super) fn refuse(&self, torn: bool) -> Result<(), Defect> {
        match self.0.iter().find(|suspect| suspect.is_plain(torn)) {
            Some(suspect) => Err(looks_delimited(suspect.delimiter)),
            None => Ok(()),
        }
    }

    /// To be asked at the end of a text that has so many rows by commas: what is to be said of it.
    pub(super) fn conclude(&self, rows: u64) -> Result<Option<Remark>, Defect> {
        for suspect in &self.0 {
            let name = name(suspect.delimiter);
            // It ends within quotes, so it is no delimiter, or no record came.
            let reads = !suspect.excluded && suspect.place == Place::Fresh && suspect.records > 0;
            // Line breaks within the fields of one way end the records of the other.
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

/// The defect of a text in which such a byte delimits fields.
pub(super) fn looks_delimited(delimiter: u8) -> Defect {
    Defect::new(format!("looks delimited by {}, not by commas", name(delimiter))).mended_by(Remedy::Commas)
}

/// Whether such a byte behind a quote that closes a value shows that it delimits fields.
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
