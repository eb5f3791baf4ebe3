//! What a job cost at Step Functions.
//!
//! What must stay true: it is computed of counts and sealed nowhere, so that a price that changes makes no receipt wrong.

use landfall::ledger::Outcome;
use schemars::JsonSchema;
use serde::Serialize;

/// Price of a Standard state transition in us-east-1, in US dollars. Source: the Step Functions pricing page.
const TRANSITION_USD: f64 = 0.025 / 1_000.0;

/// What the execution whose outcome stands cost: without tries that were made again, and without batches of a verification.
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
    /// Of the counts of an outcome.
    pub fn of(outcome: &Outcome) -> Self {
        let (polls, verified) = (u64::from(outcome.polls), u64::from(outcome.report.is_some()));
        let started = u64::from(outcome.attempt.is_some());
        let unanswered = outcome
            .missed_polls
            .as_ref()
            .map_or(0, |missed| u64::from(missed.unanswered));
        // Receive, Start, Seal, Sealed, Announce, Outcome and the end; Status after Start; Wait, Poll and Status of each
        // poll; Verify and Verified; what a poll without an answer enters.
        let state_transitions = 7 + started + 3 * polls + 4 * unanswered + 2 * verified;
        Self {
            state_transitions,
            invocations: 2 + polls + verified,
            state_transitions_usd: usd(state_transitions),
        }
    }

    /// Of several jobs.
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

/// Rounded, or binary fractions would show.
#[allow(clippy::cast_precision_loss)]
fn usd(transitions: u64) -> f64 {
    (transitions as f64 * TRANSITION_USD * 1e9).round() / 1e9
}
