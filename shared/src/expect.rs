//! What a user expects of an output, in addition to the checks of every output.
//!
//! What must stay true: events (`Landfall.Verification.Expect`) and jobs hold the same types. Each expectation has its
//! own member that says what a violation does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a violated expectation does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnViolation {
    /// The job succeeds with a warning.
    Warn,
    /// The job fails.
    #[default]
    Fail,
}

/// All expectations. An absent one is not checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Expectations {
    /// Columns that each data object has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<ExpectedColumns>,
    /// How many rows the whole output has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<ExpectedRows>,
    /// How much the number of rows changed since the newest sealed success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ExpectedChange>,
    /// How old the data are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<ExpectedAge>,
    /// How near the number of rows is to the service's own estimate, if it gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_estimate: Option<ExpectedEstimate>,
}

impl Expectations {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Columns that each data object has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ExpectedColumns {
    /// Their names, as in the header of a CSV, the keys of the first JSON line, or the top-level fields of an ORC file.
    #[schemars(length(min = 1, max = 100), extend("uniqueItems" = true), inner(length(min = 1, max = 128)))]
    pub required: Vec<String>,
    /// `fail` when absent.
    #[serde(default)]
    pub on_violation: OnViolation,
}

/// How many rows the whole output has. At least one of the bounds is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ExpectedRows {
    /// The smallest allowed number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// The largest allowed number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// Whether empty lines of a CSV with one column are rows. When absent, the bounds must hold with them and without
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_lines: Option<EmptyLines>,
    /// `fail` when absent.
    #[serde(default)]
    pub on_violation: OnViolation,
}

/// What empty lines of a CSV with one column are. Some writers write a null as an empty line, others write nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmptyLines {
    /// Each is a row without a value.
    Count,
    /// They are no rows.
    Skip,
}

/// How much the number of rows changed since the newest sealed success in the same destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ExpectedChange {
    /// The largest change in either direction, in percent of the earlier number.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_percent: u32,
    /// `fail` when absent.
    #[serde(default)]
    pub on_violation: OnViolation,
}

/// How near the number of rows is to the service's estimate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ExpectedEstimate {
    /// The largest difference in either direction, in percent of the estimate, such as `5%`.
    #[schemars(regex(pattern = r"^(100|[0-9]{1,2})%$"))]
    pub within: String,
    /// What a larger difference does: `warn` when absent.
    #[serde(default = "warn")]
    #[schemars(extend("default" = "warn"))]
    pub otherwise: OnViolation,
}

/// The default, because an estimate proves little: the service counts the segment anew for each export.
const fn warn() -> OnViolation {
    OnViolation::Warn
}

impl ExpectedEstimate {
    /// The largest difference in percent; `None` for a text that the schema refuses.
    pub fn percent(&self) -> Option<u64> {
        self.within.strip_suffix('%')?.parse().ok()
    }
}

/// How old the data are when they are verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ExpectedAge {
    /// The greatest age of the oldest data object, in seconds.
    #[schemars(range(min = 1))]
    pub max_seconds: u64,
    /// `fail` when absent.
    #[serde(default)]
    pub on_violation: OnViolation,
}
