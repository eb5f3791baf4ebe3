//! What a job cost at Step Functions.
//!
//! What must stay true: the cost is computed from counts and is never sealed. A change of prices therefore makes no
//! receipt wrong.

use landfall::{cost, ledger::Outcome};
use landfall_output::receipt::Usage;
use schemars::JsonSchema;
use serde::Serialize;

/// What the execution that sealed the outcome cost. Retries of states and the slices of a verification are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Cost {
    /// States entered.
    pub state_transitions: u64,
    /// Functions invoked.
    pub invocations: u64,
    /// The transitions at the price of us-east-1, in US dollars, without the free tier.
    pub state_transitions_usd: f64,
}

impl Cost {
    /// From the counts of an outcome.
    pub fn of(outcome: &Outcome) -> Self {
        let usage = Usage::of(outcome, outcome.report.as_ref().map(|_| 0));
        Self {
            state_transitions: usage.state_transitions,
            invocations: usage.invocations,
            state_transitions_usd: usd(usage.state_transitions),
        }
    }

    /// Of several jobs together.
    #[must_use]
    pub fn sum(costs: impl Iterator<Item = Self>) -> Self {
        let (mut state_transitions, mut invocations) = (0, 0);
        for cost in costs {
            state_transitions += cost.state_transitions;
            invocations += cost.invocations;
        }
        Self {
            state_transitions,
            invocations,
            state_transitions_usd: usd(state_transitions),
        }
    }
}

/// Rounded, because a binary fraction would show digits that mean nothing.
fn usd(state_transitions: u64) -> f64 {
    let usage = cost::Usage {
        state_transitions,
        ..cost::Usage::default()
    };
    (usage.usd() * 1e9).round() / 1e9
}
