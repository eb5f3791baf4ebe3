//! What the first bytes of an object may show.
//!
//! What must stay true: content that no decoder reads comes with advice.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an object seems to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A header of at least two columns, and at least one record of the same width.
    Csv,
    /// A JSON object at the beginning of the first line.
    Json,
    /// A JSON array of objects: one value for the whole file.
    JsonArray,
    /// ORC's magic number, followed by bytes that are not text.
    Orc,
    /// gzip's magic number.
    Gzip,
    /// A PDF document.
    Pdf,
    /// A zip archive, such as an XLSX workbook.
    Zip,
    /// HTML or XML, such as an error page.
    Markup,
    /// Apache Parquet.
    Parquet,
    /// An Office file in the format before 2007, such as an `.xls` workbook.
    OldOffice,
}

impl Content {
    /// For content that no decoder reads: what it is and what to do about it. `None` for content that decoders read.
    #[must_use]
    pub const fn remedy(self) -> Option<&'static str> {
        match self {
            Self::JsonArray => Some(
                "which is one value over the whole file: have it written as JSON lines, one object a line (jq -c '.[]')",
            ),
            Self::Parquet => Some("which Landfall does not decode: have it written as ORC, CSV or JSON lines"),
            Self::OldOffice => Some("which Landfall does not decode: have it saved as .xlsx"),
            Self::Markup => Some("such as the page of an error: run the export again"),
            Self::Csv | Self::Json | Self::Orc | Self::Gzip | Self::Pdf | Self::Zip => None,
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Csv => "CSV",
            Self::Json => "JSON",
            Self::Orc => "ORC",
            Self::Gzip => "gzip",
            Self::Pdf => "PDF",
            Self::Zip => "zip",
            Self::Markup => "HTML or XML",
            Self::JsonArray => "a JSON array",
            Self::Parquet => "Parquet",
            Self::OldOffice => "an Office file of the kind of .xls",
        })
    }
}

/// The first bytes of an object.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    pub bytes: &'a [u8],
    /// Whether these bytes are the whole object.
    pub whole: bool,
}
