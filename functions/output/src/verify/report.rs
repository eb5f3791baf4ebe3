//! The result of a verification.
//!
//! What must stay true: the serialised form of [`Report`] is published. Members are added and never changed. The number
//! in [`SCHEMA`] changes when a reader of the old form would misread the new one.

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

/// How many objects a report and a receipt list, at most. If there are more, a file lists all of them.
pub const MAX_OBJECTS: usize = 1_000;

/// The schema of [`Report`].
pub const SCHEMA: &str = "landfall.report/1";

/// The verdict of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    /// The check does not apply; the reason says why. It proves nothing and harms nothing.
    Skipped,
    /// The check holds.
    Pass,
    /// The check holds as far as could be seen, or a person should look.
    Warn,
    /// The check does not hold.
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

/// A check: one thing that must hold of the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// The check's published name, such as `listing_stable`.
    pub name: String,
    /// Whether it holds.
    pub verdict: CheckVerdict,
    /// What was found, at which object, and what to do. Limited in length; holds no exported data.
    pub reason: String,
}

/// The verdict of a verification: the worst verdict of its checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Each check holds or was skipped.
    Passed,
    /// No check fails, but at least one warns.
    PassedWithWarnings,
    /// At least one check fails, so the output must not be used.
    Failed,
}

impl Verdict {
    /// The verdict of these checks.
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
    /// Anything else that is there, such as the service's test file.
    Extra,
}

/// An object as it was when it was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifiedObject {
    /// The complete key.
    pub key: String,
    /// What it is to the export.
    pub role: Role,
    /// The format that the object was checked as; only for data objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Size in bytes.
    pub size: u64,
    /// The ETag, with its quotes. Each read named it.
    pub etag: String,
    /// The version, if the bucket keeps versions; only for data objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// When this version was created.
    pub last_modified: DateTime<Utc>,
    /// SHA-256 of the bytes, in hex; only for a data object that was read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Rows; only for a data object that decoded to its end and is not a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Pages of a document that was read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<u64>,
    /// What is wrong, without exported data; only for a data object that did not decode to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The line, from 1, at which the wrong record begins, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_line: Option<u64>,
    /// The number of the wrong record, from 1, without the header, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_record: Option<u64>,
    /// Server-side encryption, such as `aws:kms`; data objects only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
    /// ARN of the KMS key; data objects only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
}

/// The result of reading one object. The checks are judged from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub object: VerifiedObject,
    pub finding: Finding,
    /// The result of comparing S3's own checksum with the bytes, if S3 keeps one and all bytes were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// The shape of the object's columns, if they were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<ColumnShape>,
}

impl Reading {
    /// Whether this is a reading of the content that is listed.
    #[must_use]
    pub fn is_of(&self, listed: &Listed) -> bool {
        let object = &self.object;
        (&object.key, &object.etag, object.size, object.last_modified)
            == (&listed.key, &listed.etag, listed.size, listed.last_modified)
    }
}

/// What reading an object showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Data that decoded to its end.
    Whole(Decoded),
    /// Data of which only the beginning and the end were looked at.
    Framed(Framed),
    /// Data that was only listed.
    Listed,
    /// Data that did not decode to its end.
    Defective(Defect),
    /// A data object of zero bytes.
    Empty,
    /// A data object of another format than the one that was asked for. The text says what shows that.
    Foreign(String),
    /// Not data: a folder marker, an empty object with an unknown name, or content that looks like this.
    Extra(Option<Content>),
    /// Only the content could tell whether the object is data, and it was not looked at.
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

/// A file that lists all objects if there are too many for the report: JSON lines, one for each object, in key order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectsFile {
    /// Key in the ledger bucket.
    pub key: String,
    pub bytes: u64,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
}

/// The report of a verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// `landfall.report/1`.
    pub schema: String,
    /// When the verification ended.
    pub checked_at: DateTime<Utc>,
    /// How thoroughly the output was checked.
    #[serde(default)]
    pub level: Level,
    /// The worst verdict of the checks.
    pub verdict: Verdict,
    /// Number of data objects.
    #[serde(default)]
    pub data_objects: u64,
    /// Number of data and extra objects.
    #[serde(default)]
    pub all_objects: u64,
    /// The first 1,000 data and extra objects, in key order. Objects whose name begins with `_` or `.` are left out.
    pub objects: Vec<VerifiedObject>,
    /// The list of all objects, if there are more than 1,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects_file: Option<ObjectsFile>,
    /// How many slices were read by invocations of their own, if the verification did not fit in one invocation.
    #[serde(default, rename = "batches", skip_serializing_if = "is_zero")]
    pub slices: u64,
    /// Rows of all data objects that decoded to their end. At the level `structure`, rows by the objects' own counts,
    /// if all objects have one. If the job writes nothing, rows of its source.
    pub rows: u64,
    /// Bytes of all data objects. If the job writes nothing, bytes of its source.
    pub bytes: u64,
    /// The source of a job that writes nothing. Then there are no objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// All checks, in a fixed order.
    pub checks: Vec<Check>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Report {
    /// The check with this name.
    #[must_use]
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_that_of_the_worst_check() {
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
    fn names_match_the_serialised_form() {
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
