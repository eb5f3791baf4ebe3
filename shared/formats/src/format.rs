//! The formats that exports are written in.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format that a job's files must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Format {
    /// Comma-separated values with a header row.
    #[serde(rename = "CSV")]
    Csv,
    /// One JSON object on each line.
    #[serde(rename = "JSONL")]
    Jsonl,
    /// Apache ORC.
    #[serde(rename = "ORC")]
    Orc,
    /// JSON lines compressed with gzip.
    #[serde(rename = "JSONL_GZIP")]
    JsonlGzip,
    /// Portable Document Format.
    #[serde(rename = "PDF")]
    Pdf,
    /// An Excel workbook, XLSX.
    #[serde(rename = "EXCEL")]
    Excel,
}

impl Format {
    pub const ALL: [Self; 6] = [
        Self::Csv,
        Self::Jsonl,
        Self::Orc,
        Self::JsonlGzip,
        Self::Pdf,
        Self::Excel,
    ];

    /// The name in requests and receipts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Jsonl => "JSONL",
            Self::Orc => "ORC",
            Self::JsonlGzip => "JSONL_GZIP",
            Self::Pdf => "PDF",
            Self::Excel => "EXCEL",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
