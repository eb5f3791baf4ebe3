//! What a verification found.
//!
//! What must stay true: the serialised form of [`Report`] is published: members are added, never changed, and the
//! number in [`SCHEMA`] moves when an old reader would misread a new report.

use std::fmt;

use chrono::{DateTime, Utc};
use landfall::{
    job::{Level, Source},
    store::Listed,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use landfall_formats::{Content, Decoded, Defect, Format, Framed};

use super::{hash::Compared, shape::ColumnShape};

/// Most objects that a report and a receipt list themselves; beyond that all of them are in a file of their own.
pub const MAX_OBJECTS: usize = 1_000;

/// The schema of [`Report`].
pub const SCHEMA: &str = "landfall.report/1";

/// The result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    /// It does not apply; the reason says why. Proves nothing and harms nothing.
    Skipped,
    /// It holds.
    Pass,
    /// It holds as far as could be seen, or somebody should look.
    Warn,
    /// It does not hold.
    Fail,
}

impl CheckVerdict {
    /// The published name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for CheckVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that must hold of the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Its published name, such as `listing_stable`.
    pub name: String,
    /// Whether it holds.
    pub verdict: CheckVerdict,
    /// What was found, at which object, and what to do. Bounded; without values of the data.
    pub reason: String,
}

/// The result of all checks: the worst of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every check holds or was skipped.
    Passed,
    /// None fails, at least one warns.
    PassedWithWarnings,
    /// At least one fails: the output must not be used.
    Failed,
}

impl Verdict {
    /// The worst of these checks.
    #[must_use]
    pub fn of(checks: &[Check]) -> Self {
        let of_one = |check: &Check| match check.verdict {
            CheckVerdict::Fail => Self::Failed,
            CheckVerdict::Warn => Self::PassedWithWarnings,
            CheckVerdict::Pass | CheckVerdict::Skipped => Self::Passed,
        };
        checks.iter().map(of_one).max().unwrap_or(Self::Passed)
    }

    /// The published name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::PassedWithWarnings => "passed_with_warnings",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an object is to the export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A file of the export.
    Data,
    /// Something else that lies there, such as the test file of the service.
    Extra,
}

/// One object, as it was when it was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifiedObject {
    /// The whole key.
    pub key: String,
    /// What it is to the export.
    pub role: Role,
    /// The format that it was held to; data objects only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Size in bytes.
    pub size: u64,
    /// The entity tag, with its quotes, to which every read was pinned.
    pub etag: String,
    /// The version, where the bucket keeps versions; data objects only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// When this version was created.
    pub last_modified: DateTime<Utc>,
    /// SHA-256 of the bytes that were read, hex; only of a data object that was read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Rows that were decoded; only of a data object that decoded to its end, and not of a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Pages that were counted, of a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<u64>,
    /// What is wrong with it, in words that hold no value of it; only of a data object that did not decode to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Line, from 1, at which the record begins that is wrong; where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_line: Option<u64>,
    /// Record, from 1, that is wrong, without the header; where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_record: Option<u64>,
    /// Server-side encryption, such as `aws:kms`; data objects only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// ARN of the KMS key; data objects only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
}

/// All that reading one object gave: what the checks are judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub object: VerifiedObject,
    pub finding: Finding,
    /// What came of holding S3's own checksum against the bytes, where it keeps one and all of them were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// The shape of its columns, where they were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<ColumnShape>,
}

impl Reading {
    /// Whether this is a reading of that very content.
    #[must_use]
    pub fn is_of(&self, listed: &Listed) -> bool {
        let object = &self.object;
        (&object.key, &object.etag, object.size, object.last_modified)
            == (&listed.key, &listed.etag, listed.size, listed.last_modified)
    }
}

/// What an object holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Data that decoded to its end.
    Whole(Decoded),
    /// Data of which only the ends were looked at.
    Framed(Framed),
    /// Data of which only the listing was looked at.
    Listed,
    /// Data that did not.
    Defective(Defect),
    /// A data object of zero bytes.
    Empty,
    /// A data object of another format than the one asked for; the text says of which.
    Foreign(String),
    /// No data: a folder marker, an empty object of an unknown name, or what its content seems to be.
    Extra(Option<Content>),
    /// Whether it is data only its content could tell, which was not looked at.
    Untold,
}

impl Finding {
    /// The shape of the columns; `None` if no columns were seen.
    pub(super) fn shape(&self) -> Option<ColumnShape> {
        match self {
            Self::Whole(Decoded {
                columns, column_count, ..
            })
            | Self::Framed(Framed {
                columns, column_count, ..
            }) if *column_count > 0 => Some(ColumnShape::new(columns, *column_count)),
            _ => None,
        }
    }
}

/// Where all objects are listed that do not fit in the report: JSON lines, one object each, in key order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectsFile {
    /// Key in the ledger bucket.
    pub key: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes, hex.
    pub sha256: String,
}

/// The report of a verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// `landfall.report/1`.
    pub schema: String,
    /// When the verification ended.
    pub checked_at: DateTime<Utc>,
    /// How much was looked at.
    #[serde(default)]
    pub level: Level,
    /// The worst of the checks.
    pub verdict: Verdict,
    /// Data objects.
    #[serde(default)]
    pub data_objects: u64,
    /// Data and extra objects.
    #[serde(default)]
    pub all_objects: u64,
    /// Data and extra objects in the order of their keys, the first 1,000. Objects whose name begins with `_` or `.` are
    /// left out.
    pub objects: Vec<VerifiedObject>,
    /// All of them, if they are more than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects_file: Option<ObjectsFile>,
    /// Invocations that read a slice each, of a verification that did not fit in one.
    #[serde(default, rename = "batches", skip_serializing_if = "is_zero")]
    pub slices: u64,
    /// Rows of all data objects that decoded to their end; at the level `structure` as the objects themselves count
    /// them, if all do; those of the source, of a job that writes nothing.
    pub rows: u64,
    /// Bytes of all data objects; those of the source, of a job that writes nothing.
    pub bytes: u64,
    /// What a job that writes nothing has read; then there are no objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Every check, in a fixed order.
    pub checks: Vec<Check>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Report {
    /// The check of a name.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_the_worst() {
        use CheckVerdict::{Fail, Pass, Skipped, Warn};
        let of = |verdicts: &[CheckVerdict]| {
            let check = |verdict: &CheckVerdict| Check {
                name: "format".to_owned(),
                verdict: *verdict,
                reason: String::new(),
            };
            Verdict::of(&verdicts.iter().map(check).collect::<Vec<_>>())
        };
        assert_eq!(of(&[]), Verdict::Passed);
        assert_eq!(of(&[Pass, Skipped]), Verdict::Passed);
        assert_eq!(of(&[Pass, Warn, Skipped]), Verdict::PassedWithWarnings);
        assert_eq!(of(&[Warn, Fail, Pass]), Verdict::Failed);
    }

    #[test]
    fn names_are_those_of_the_serialised_form() {
        for verdict in [Verdict::Passed, Verdict::PassedWithWarnings, Verdict::Failed] {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.name());
        }
        for verdict in [
            CheckVerdict::Skipped,
            CheckVerdict::Pass,
            CheckVerdict::Warn,
            CheckVerdict::Fail,
        ] {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.name());
        }
    }
}
