//! Earlier runs of a request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most earlier runs that are used, the newest ones.
pub const MAX_HISTORY: usize = 20;

/// Between which ages an earlier run ended. In JSON `[after, by]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "(f64, f64)", into = "(f64, f64)")]
#[schemars(with = "(f64, f64)")]
pub struct Ran {
    /// Seconds from its start until it was last seen running; 0 if it never was.
    pub after: f64,
    /// Seconds from its start until it was seen to have ended.
    pub by: f64,
}

impl From<(f64, f64)> for Ran {
    fn from((after, by): (f64, f64)) -> Self {
        Self { after, by }
    }
}

impl From<Ran> for (f64, f64) {
    fn from(ran: Ran) -> Self {
        (ran.after, ran.by)
    }
}
