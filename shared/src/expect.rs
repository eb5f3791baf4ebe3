//! What a user expects of an output, beyond what every output must be.
//!
//! What must stay true: the same types stand in events, under `Landfall.Verification.Expect`, and in the job; each
//! expectation says for itself what its violation does.

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

/// All that may be expected. What is absent is not expected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Expectations {
    /// Columns that every data object has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<ExpectedColumns>,
    /// Rows of the whole output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<ExpectedRows>,
    /// Change of the rows since the newest sealed success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<ExpectedChange>,
    /// Age of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<ExpectedAge>,
    /// The service's own estimate of the rows, where it gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_estimate: Option<ExpectedEstimate>,
}

impl Expectations {
    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Columns that every data object has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ExpectedColumns {
    /// Their names, as in CSV's header, the keys of the first JSON line, or ORC's top-level fields.
    #[schemars(length(min = 1, max = 100), extend("uniqueItems" = true), inner(length(min = 1, max = 128)))]
    pub required: Vec<String>,
    /// `fail` when absent.
    #[serde(default)]
    pub on_violation: OnViolation,
}

/// Rows of the whole output: at least one of the bounds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ExpectedRows {
    /// The fewest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// The most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
    /// Whether the empty lines of a CSV of one column are rows. When absent, the bounds hold with them and without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_lines: Option<EmptyLines>,
    /// `fail` when absent.
    #[serde(default)]
    pub on_violation: OnViolation,
}

/// What empty lines of a CSV of one column are. Some writers mean a null by one, and others nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmptyLines {
    /// Rows without a value.
    Count,
    /// Nothing.
    Skip,
}

/// Change of the rows since the newest sealed success in the same destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ExpectedChange {
    /// The largest change in either direction, in percent of the rows before.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_percent: u32,
    /// `fail` when absent.
    #[serde(default)]
    pub on_violation: OnViolation,
}

/// How near the rows of the output are to what the service estimates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ExpectedEstimate {
    /// The largest difference in either direction, in percent of the estimate: `5%`.
    #[schemars(regex(pattern = r"^(100|[0-9]{1,2})%$"))]
    pub within: String,
    /// What a larger difference does: `warn` when absent.
    #[serde(default = "warn")]
    #[schemars(extend("default" = "warn"))]
    pub otherwise: OnViolation,
}

/// An estimate proves little: the segment is counted anew for each export.
const fn warn() -> OnViolation {
    OnViolation::Warn
}

impl ExpectedEstimate {
    /// The largest difference, in percent; `None` for a text that the schema does not take.
    pub fn percent(&self) -> Option<u64> {
        self.within.strip_suffix('%')?.parse().ok()
    }
}

/// Age of the data when it is verified.
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
