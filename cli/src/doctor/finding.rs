//! One thing that was looked at.
//!
//! What must stay true: what could not be asked is unknown. A finding that is not well names its remedy.

use schemars::JsonSchema;
use serde::Serialize;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// All is well.
    Well,
    /// It works, and somebody should know.
    Note,
    /// It does not work, or will not.
    Bad,
    /// It could not be looked at.
    Unknown,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// How bad it is.
    pub grade: Grade,
    /// What was looked at.
    pub what: String,
    /// What was found.
    pub found: String,
    /// What to do. Empty if all is well.
    pub remedy: String,
}

/// The answer, or why the question could not be asked.
pub type Asked<T> = Result<T, String>;

pub(super) fn finding(
    grade: Grade,
    what: impl Into<String>,
    found: impl Into<String>,
    remedy: impl Into<String>,
) -> Finding {
    Finding {
        grade,
        what: what.into(),
        found: found.into(),
        remedy: remedy.into(),
    }
}

pub(super) fn unknown(what: impl Into<String>, why: &str) -> Finding {
    finding(
        Grade::Unknown,
        what,
        why,
        "Give these credentials the permission that the error names.",
    )
}
