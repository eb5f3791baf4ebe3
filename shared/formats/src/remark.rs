//! What a person should know of an object that decodes.
//!
//! What must stay true: a remark never quotes a value of the data, because messages end up in logs and receipts. An
//! object has at most [`MAX_REMARKS`] of them, however often something occurs in it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most remarks on one object.
const MAX_REMARKS: usize = 4;

/// Something that is no defect, but that not all readers of the object would read in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// What was found, without any values of the object. It continues a sentence that begins with the object's name.
    pub what: String,
    /// Byte offset in the object, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

impl Remark {
    /// A remark without a place.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            offset: None,
            line: None,
        }
    }

    /// Adds the offset of a byte in the object.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Adds a line of the object.
    #[must_use]
    pub fn on_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match (self.line, self.offset) {
            (Some(line), _) => write!(f, " (line {line})"),
            (None, Some(offset)) => write!(f, " (byte {offset})"),
            (None, None) => Ok(()),
        }
    }
}

/// The remarks on an object, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Remarks(Vec<Remark>);

impl Remarks {
    /// Adds a remark, unless there are [`MAX_REMARKS`] already.
    pub fn add(&mut self, remark: Remark) {
        if self.0.len() < MAX_REMARKS {
            self.0.push(remark);
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Remark> {
        self.0.iter()
    }
}

impl fmt::Display for Remarks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for remark in &self.0 {
            write!(f, "{between}{remark}")?;
            between = "; ";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_are_bounded_and_name_their_place() {
        let mut remarks = Remarks::default();
        assert!(remarks.is_empty());
        remarks.add(Remark::new("has zeros behind its end").at(7));
        remarks.add(Remark::new("ends its rows with CR alone").on_line(2));
        assert_eq!(
            remarks.to_string(),
            "has zeros behind its end (byte 7); ends its rows with CR alone (line 2)"
        );
        for _ in 0..100 {
            remarks.add(Remark::new("x"));
        }
        assert_eq!(remarks.iter().count(), MAX_REMARKS);
    }
}
