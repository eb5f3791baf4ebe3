//! Earlier runs of a request.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most earlier runs that are looked at; of more, the newest.
pub const MAX_HISTORY: usize = 20;

/// How long an earlier run took, as far as looking at it told. In JSON `[after, by]`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "(f64, f64)", into = "(f64, f64)")]
#[schemars(with = "(f64, f64)")]
pub struct Ran {
    /// Seconds after its start at which it was last seen running; 0 if it never was.
    pub after: f64,
    /// Seconds after its start at which it was seen to have ended.
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
