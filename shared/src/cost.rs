//! What work costs at AWS.
//!
//! What must stay true: nothing that is sealed holds a price. Receipts hold counts, because prices change and counts do
//! not. Programs that show a cost multiply the counts themselves.

// Prices of us-east-1 in US dollars, without free tiers. The sources are stored copies of the pricing pages of Lambda
// and Step Functions, and S3's price list.

/// A state transition of a Standard workflow.
pub const TRANSITION_USD: f64 = 25.0 / 1e6;
/// An invocation of a function.
pub const INVOCATION_USD: f64 = 0.20 / 1e6;
/// A second of a function with 1 GB on arm64.
pub const ARM64_GB_SECOND_USD: f64 = 0.000_013_333_4;
/// A second of a function with 1 GB on x86_64.
pub const X86_64_GB_SECOND_USD: f64 = 0.000_016_666_7;
/// A HEAD or GET request to S3.
pub const READ_USD: f64 = 0.000_4 / 1e3;
/// A LIST or PUT request to S3.
pub const WRITE_USD: f64 = 0.005 / 1e3;

/// Counted work. A count that is not known is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// States entered.
    pub state_transitions: u64,
    /// Functions invoked.
    pub invocations: u64,
    /// HEAD and GET requests to S3.
    pub reads: u64,
    /// LIST and PUT requests to S3.
    pub writes: u64,
}

impl Usage {
    /// The price in US dollars, without the time that functions run.
    #[allow(clippy::cast_precision_loss)]
    pub fn usd(self) -> f64 {
        self.state_transitions as f64 * TRANSITION_USD
            + self.invocations as f64 * INVOCATION_USD
            + self.reads as f64 * READ_USD
            + self.writes as f64 * WRITE_USD
    }
}

/// An amount of US dollars for a person, with at least two decimal places.
pub fn dollars(usd: f64) -> String {
    match usd {
        usd if usd >= 0.1 => format!("${usd:.2}"),
        usd if usd >= 0.001 => format!("${usd:.4}"),
        usd => format!("${usd:.6}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_polls_costs_less_than_half_a_cent() {
        let usage = Usage {
            state_transitions: 150,
            invocations: 50,
            reads: 10,
            writes: 5,
        };
        assert_eq!(dollars(usage.usd()), "$0.0038");
        let started = Usage {
            state_transitions: 26,
            ..Usage::default()
        };
        assert_eq!(dollars(started.usd()), "$0.000650");
        assert_eq!(dollars(12.345), "$12.35");
    }

    #[test]
    fn performance_md_says_what_an_hour_costs_in_each_way() {
        let counted = |state_transitions, invocations| Usage {
            state_transitions,
            invocations,
            ..Usage::default()
        };
        // Each turn of the loop takes three transitions: Wait, Poll, Status.
        let every = |seconds: u64| counted(3 * (3_600 / seconds) + 3, 0);
        let sleeping = 3_600.0 * 0.125 * ARM64_GB_SECOND_USD;
        let table: String = [
            ("Landfall, a request made for the first time", counted(150, 50).usd()),
            ("Landfall, the same request later", counted(40, 15).usd()),
            (
                "a state machine of SDK integrations that waits 15 seconds",
                every(15).usd(),
            ),
            (
                "a state machine of SDK integrations that waits a minute",
                every(60).usd(),
            ),
            (
                "a function of 128 MB that sleeps, four in a row",
                counted(0, 4).usd() + sleeping,
            ),
        ]
        .iter()
        .map(|(way, usd)| format!("| {way} | {} |\n", dollars(*usd)))
        .collect();
        let page = include_str!("../../docs/performance.md");
        assert!(page.contains(&table), "docs/performance.md should have\n{table}");
    }
}
