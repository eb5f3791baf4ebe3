//! What an object holds, as far as it was decoded.
//!
//! What must stay true: what is kept of an object is bounded, whatever the object holds, and holds none of its values.

use serde::{Deserialize, Serialize};

use crate::remark::Remarks;

/// The most column names that are kept of an object.
pub const MAX_COLUMNS: usize = 1_024;
/// The longest column name that is kept, in characters; longer ones are cut.
pub const MAX_COLUMN_NAME: usize = 128;

/// What an object that decoded to its end holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoded {
    /// Rows, without the header. Of a workbook the rows of all sheets, those of headings included.
    pub rows: u64,
    /// Names of the columns in their order: CSV's header, the keys of the first JSON line, ORC's top-level fields.
    /// Cut to [`MAX_COLUMNS`] names of [`MAX_COLUMN_NAME`] characters.
    pub columns: Vec<String>,
    /// How many columns there are, those left out of `columns` included.
    pub column_count: u64,
    /// Of a document, which has pages and no rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
    /// Of a text, whether its last line has no line break. Nothing is wrong with that, but a file cut off within its
    /// last value looks the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unterminated: bool,
    /// Empty lines behind the header of a CSV of one column. They are no rows here: some writers mean a null by one, and
    /// others nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub empty_lines: u64,
    /// What somebody should know of it, although it decodes.
    #[serde(default, skip_serializing_if = "Remarks::is_empty")]
    pub remarks: Remarks,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What the ends of an object show without decoding it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Framed {
    /// Names of the columns in their order, cut as those of [`Decoded`].
    pub columns: Vec<String>,
    /// How many columns there are, those left out of `columns` included.
    pub column_count: u64,
    /// Rows, where the object says how many it has.
    pub rows: Option<u64>,
    /// Of a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
    /// What somebody should know of it, as far as its ends show it.
    #[serde(default, skip_serializing_if = "Remarks::is_empty")]
    pub remarks: Remarks,
}

impl Framed {
    /// What the decoded begin of a text says of all of it: its columns, and not how many rows there are.
    pub(crate) fn of_begin(begin: Decoded) -> Self {
        Self {
            columns: begin.columns,
            column_count: begin.column_count,
            remarks: begin.remarks,
            ..Self::default()
        }
    }
}

/// What a document holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Its pages, at least one; `None` if it is too large to count them, or encrypted with a password.
    pub pages: Option<u64>,
}

/// A column name as it is kept: cut, and without control characters.
pub(crate) fn column_name(name: &str) -> String {
    name.chars()
        .take(MAX_COLUMN_NAME)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
