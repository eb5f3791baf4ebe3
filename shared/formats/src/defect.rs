//! What is wrong with an object.
//!
//! What must stay true: a defect never quotes a value of the data, because messages end up in logs and receipts. It
//! says what is wrong and where. If another run of the export would give the same file, it says what the file's writer
//! has to change.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is wrong with an object, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defect {
    /// What is wrong, without any values of the object.
    pub what: String,
    /// Byte offset in the object, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The line, from 1, at which the wrong record begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The number of the record, from 1. The header of a CSV does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// The number of the ORC stripe, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stripe: Option<u64>,
    /// What the writer has to change, if writing the file again would give the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
}

/// What the writer of an object has to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Put commas between the fields.
    Commas,
    /// Write UTF-8.
    Utf8,
}

impl Remedy {
    /// The advice in words.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Commas => "have its writer put commas between the fields",
            Self::Utf8 => {
                "if its writer uses another encoding, such as Latin-1 or Windows-1252, have it write UTF-8 (iconv -f \
                 WINDOWS-1252 -t UTF-8 converts such a file), else run the export again"
            }
        }
    }
}

impl Defect {
    /// A defect without a place.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            offset: None,
            line: None,
            record: None,
            stripe: None,
            remedy: None,
        }
    }

    #[must_use]
    pub(crate) const fn mended_by(mut self, remedy: Remedy) -> Self {
        self.remedy = Some(remedy);
        self
    }

    #[must_use]
    pub(crate) fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    #[must_use]
    pub(crate) fn on_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    #[must_use]
    pub(crate) fn in_record(mut self, record: u64) -> Self {
        self.record = Some(record);
        self
    }

    #[must_use]
    pub(crate) fn in_stripe(mut self, stripe: u64) -> Self {
        self.stripe = Some(stripe);
        self
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = [
            ("stripe", self.stripe),
            ("record", self.record),
            ("line", self.line),
            ("byte", self.offset),
        ];
        let mut between = "";
        for (name, place) in places {
            if let Some(place) = place {
                write!(f, "{between}{name} {place}")?;
                between = ", ";
            }
        }
        if !between.is_empty() {
            f.write_str(": ")?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for Defect {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_names_record_line_and_byte() {
        let defect = Defect::new("has 3 fields, the header 4")
            .at(120)
            .on_line(7)
            .in_record(5);
        assert_eq!(
            defect.to_string(),
            "record 5, line 7, byte 120: has 3 fields, the header 4"
        );
        assert_eq!(Defect::new("is cut off").to_string(), "is cut off");
    }
}
