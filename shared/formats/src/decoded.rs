//! What an object holds, as far as it was decoded.
//!
//! What must stay true: what is kept of an object is limited, whatever it holds, and contains none of its values.

use serde::{Deserialize, Serialize};

use crate::remark::Remarks;

/// Most column names that are kept of an object.
pub const MAX_COLUMNS: usize = 1_024;
/// The longest column name that is kept, in characters. Longer ones are cut.
pub const MAX_COLUMN_NAME: usize = 128;

/// What an object holds that decoded to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoded {
    /// Rows, without the header. For a workbook, the rows of all sheets, with those of headings.
    pub rows: u64,
    /// Names of the columns in order: the header of a CSV, the keys of the first JSON line, or the top-level fields of
    /// an ORC file. At most [`MAX_COLUMNS`] names, each cut to [`MAX_COLUMN_NAME`] characters.
    pub columns: Vec<String>,
    /// Number of columns, with those that `columns` leaves out.
    pub column_count: u64,
    /// For a document, which has pages and no rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
    /// For a text, whether its last line has no line break. That is no defect, but a file that is cut off within its
    /// last value looks the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unterminated: bool,
    /// Empty lines after the header of a CSV with one column. They are not counted as rows: some writers write a null
    /// as an empty line, others write nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub empty_lines: u64,
    /// What a person should know of the object, although it decodes.
    #[serde(default, skip_serializing_if = "Remarks::is_empty")]
    pub remarks: Remarks,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What the beginning and the end of an object show, without decoding it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Framed {
    /// Names of the columns in order, cut as in [`Decoded`].
    pub columns: Vec<String>,
    /// Number of columns, with those that `columns` leaves out.
    pub column_count: u64,
    /// Rows, if the object itself says how many it has.
    pub rows: Option<u64>,
    /// For a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
    /// What a person should know of the object, as far as its ends show it.
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
    /// Number of pages, at least one; `None` if the document is too large to count them, or is encrypted with a
    /// password.
    pub pages: Option<u64>,
}

/// A column name as it is kept: cut, and without control characters.
pub(crate) fn column_name(name: &str) -> String {
    name.chars()
        .take(MAX_COLUMN_NAME)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
