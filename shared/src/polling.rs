//! When to look again.
//!
//! What must stay true: a wait is a pure function of what is known; it grows with the job's age, never passes the
//! deadline, and a job is polled at most [`MAX_POLLS`] times whatever the bounds say, so that an execution stays within
//! the 25,000 events of a Step Functions history.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The share of the job's age that is waited before the next look. A job's end is then seen late by about half of it.
const GROWTH: f64 = 0.10;

/// The share below which no wait falls, whatever the upper bound says: it is what bounds the number of polls.
const FLOOR_GROWTH: f64 = 0.03;

/// How far the waits of jobs that started together are spread, to either side.
const SPREAD: f64 = 0.10;

/// Most polls of one job. With a wait of at least a second and [`FLOOR_GROWTH`], a day takes fewer.
pub const MAX_POLLS: u32 = 400;

/// Shortest and longest wait between two polls, both at least a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bounds {
    /// Shortest wait.
    #[serde(rename = "min_seconds", with = "seconds")]
    #[schemars(with = "u64")]
    pub min: Duration,
    /// Longest wait, as long as the number of polls allows it.
    #[serde(rename = "max_seconds", with = "seconds")]
    #[schemars(with = "u64")]
    pub max: Duration,
}

/// Durations as whole seconds.
pub(crate) mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(duration.as_secs())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

/// What is known of a running job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sight {
    /// Since the service was asked to start.
    pub elapsed: Duration,
    /// Until the deadline.
    pub remaining: Duration,
    /// Share of the work that is done, 0 to 1, where the service says it.
    pub progress: Option<f64>,
    /// Polls in a row that brought no news because the service throttled or did not answer.
    pub quiet_polls: u32,
    /// Spreads jobs that started together: any number from 0 to 1, the same for the same job and poll.
    pub spread: f64,
}

/// Whole seconds to wait before the next poll, at least 1.
pub fn next_wait(bounds: Bounds, sight: Sight) -> u32 {
    let (min, max) = (bounds.min.as_secs_f64(), bounds.max.as_secs_f64());
    let elapsed = sight.elapsed.as_secs_f64();
    let mut wait = (elapsed * GROWTH).clamp(min, max.max(min));
    if let Some(left) = sight.progress.and_then(|progress| time_left(elapsed, progress)) {
        // Half of what is left, so that an estimate that is too long is corrected on the way.
        wait = wait.max((left / 2.0).min(max));
    }
    if sight.quiet_polls > 0 {
        // The service asks for rest: double the wait for each refusal in a row, within the bound.
        let rest = min * f64::from(2u32.saturating_pow(sight.quiet_polls.min(16)));
        wait = wait.max(rest.min(max));
    }
    wait *= 1.0 + SPREAD * (2.0 * sight.spread.clamp(0.0, 1.0) - 1.0);
    wait = wait.max(min).max(elapsed * FLOOR_GROWTH).max(1.0).ceil();
    let remaining = sight.remaining.as_secs_f64().ceil().max(1.0);
    // Both are whole and at most a day, so the cast is exact.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let seconds = wait.min(remaining) as u32;
    seconds
}

/// Time until the end if the work goes on as fast as it did.
fn time_left(elapsed: f64, progress: f64) -> Option<f64> {
    (progress > 0.0 && progress < 1.0).then(|| elapsed * (1.0 - progress) / progress)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::MAX_DEADLINE_SECONDS;

    fn bounds(min: u64, max: u64) -> Bounds {
        Bounds {
            min: Duration::from_secs(min),
            max: Duration::from_secs(max),
        }
    }

    fn sight(elapsed: u64, remaining: u64) -> Sight {
        Sight {
            elapsed: Duration::from_secs(elapsed),
            remaining: Duration::from_secs(remaining),
            progress: None,
            quiet_polls: 0,
            spread: 0.5,
        }
    }

    #[test]
    fn waits_grow_with_age_between_the_bounds() {
        let wait = |elapsed| next_wait(bounds(30, 300), sight(elapsed, 100_000));
        assert_eq!(
            [wait(0), wait(300), wait(1000), wait(2000), wait(5000)],
            [30, 30, 100, 200, 300]
        );
    }

    #[test]
    fn a_refusal_doubles_the_wait() {
        let wait = |quiet_polls| {
            next_wait(
                bounds(30, 300),
                Sight {
                    quiet_polls,
                    ..sight(10, 100_000)
                },
            )
        };
        assert_eq!([wait(0), wait(1), wait(2), wait(3), wait(9)], [30, 60, 120, 240, 300]);
    }

    #[test]
    fn progress_shortens_no_wait_and_skips_polls_that_would_be_early() {
        let wait = |progress| {
            next_wait(
                bounds(30, 300),
                Sight {
                    progress: Some(progress),
                    ..sight(100, 100_000)
                },
            )
        };
        assert_eq!(wait(0.1), 300);
        assert_eq!(wait(0.5), 50);
        assert_eq!(wait(0.99), 30);
        assert_eq!(wait(1.0), 30);
    }

    proptest! {
        #[test]
        fn never_past_the_deadline_and_never_nothing(
            min in 1u64..3600, width in 0u64..3600, elapsed in 0u64..100_000, remaining in 0u64..100_000,
            progress in proptest::option::of(-0.5f64..1.5), quiet_polls in 0u32..100, spread in 0.0f64..=1.0,
        ) {
            let sight = Sight { progress, quiet_polls, spread, ..sight(elapsed, remaining) };
            let wait = u64::from(next_wait(bounds(min, min + width), sight));
            prop_assert!(wait >= 1);
            prop_assert!(wait <= remaining.max(1));
        }

        #[test]
        fn the_number_of_polls_is_bounded(min in 1u64..60, width in 0u64..300, spread in 0.0f64..=1.0) {
            let (mut elapsed, mut polls) = (0, 0);
            while elapsed < MAX_DEADLINE_SECONDS {
                let sight = Sight { spread, ..sight(elapsed, MAX_DEADLINE_SECONDS - elapsed) };
                elapsed += u64::from(next_wait(bounds(min, min + width), sight));
                polls += 1;
            }
            prop_assert!(polls <= MAX_POLLS, "{polls} polls");
        }
    }
}
