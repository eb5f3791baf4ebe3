//! Plans when to poll a job again.
//!
//! What must stay true: a wait is a pure function of what is known. Whatever the history says, no wait goes beyond the
//! deadline. None is longer than the upper bound, except for the spread and for [`FLOOR_GROWTH`]. Only the first wait,
//! and the last one before the deadline, may be shorter than the lower bound. A job is polled at most [`MAX_POLLS`]
//! times, so that an execution stays within the 25,000 events of a Step Functions history. Without a history, the wait
//! grows with the job's age.
//!
//! This is a crate of its own, without an SDK, so that `cargo polling` can try it over traces of jobs in a second.

mod forecast;
mod growth;
mod plan;
mod ran;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use crate::ran::{MAX_HISTORY, Ran};
use crate::{
    forecast::Forecast,
    growth::{FLOOR_GROWTH, GROWTH},
    plan::Limits,
};

/// The longest wait that the service's progress may lead to, as a share of the job's age. If the progress stands still
/// and then jumps, the end is seen late by at most half of the duration.
const PROGRESS_GROWTH: f64 = 0.5;

/// The waits of jobs that started together are spread by up to this share, in both directions.
const SPREAD: f64 = 0.10;

/// Most polls of one job. A day takes fewer, because each wait lasts at least a second and at least [`FLOOR_GROWTH`].
pub const MAX_POLLS: u32 = 400;

/// The shortest and the longest wait between two polls. Both are at least a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bounds {
    #[serde(rename = "min_seconds", with = "seconds")]
    #[schemars(with = "u64")]
    pub min: Duration,
    /// The longest wait. Waits may be longer if there would otherwise be too many polls.
    #[serde(rename = "max_seconds", with = "seconds")]
    #[schemars(with = "u64")]
    pub max: Duration,
}

/// Durations as whole seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(duration.as_secs())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

/// What is known of a running job so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoFar<'a> {
    /// Time since the service gave the job its id.
    pub elapsed: Duration,
    /// Time until the deadline.
    pub remaining: Duration,
    /// Whether nobody has polled yet. The first wait may be below the lower bound, which is the distance between two
    /// polls.
    pub is_first: bool,
    /// Share of the work that is done, from 0 to 1, if the service says so.
    pub progress: Option<f64>,
    /// Polls in a row that brought no news, for whatever reason.
    pub quiet_polls: u32,
    /// A number from 0 to 1 that spreads jobs which started together. It is always the same for one job and poll.
    pub spread: f64,
    /// Earlier runs of the same request, newest last.
    pub history: &'a [Ran],
}

/// Seconds to wait until the next poll, at least 1.
pub fn next_wait(bounds: Bounds, so_far: SoFar<'_>) -> u32 {
    let min = bounds.min.as_secs_f64();
    let max = bounds.max.as_secs_f64().max(min);
    let elapsed = so_far.elapsed.as_secs_f64();
    let grown = (elapsed * GROWTH).clamp(min, max);
    let limits = Limits {
        first: if so_far.is_first { 1.0 } else { min },
        min,
        max,
    };
    let spread = so_far.spread.clamp(0.0, 1.0);
    let aimed = Forecast::of(so_far.history).and_then(|forecast| plan::wait(&forecast, elapsed, limits, spread));
    let mut wait = aimed.unwrap_or(grown).min(max);
    if let Some(left) = so_far.progress.and_then(|progress| time_left(elapsed, progress)) {
        // Half of what is left, so that a wrong estimate is corrected on the way.
        let least = (left / 2.0).min(elapsed * PROGRESS_GROWTH).min(max);
        // The progress of this run says more than earlier runs do, but the last percent may take long.
        let most = left.max(grown).max(least);
        wait = wait.clamp(least, most);
    }
    if so_far.quiet_polls > 0 {
        // Double the wait for each poll in a row without news, within the upper bound.
        let rest = min * f64::from(2u32.saturating_pow(so_far.quiet_polls.min(16)));
        wait = wait.max(rest.min(max));
    }
    let (whole, least) = if aimed == Some(wait) {
        // The plan has spread the wait already.
        (wait.round(), limits.first)
    } else {
        // Round up before spreading, so that on average the spread adds nothing.
        wait = wait.ceil() * (1.0 + SPREAD * (2.0 * spread - 1.0));
        (wait.round(), min)
    };
    let least = least.max(elapsed * FLOOR_GROWTH).max(1.0).ceil();
    let remaining = so_far.remaining.as_secs_f64().ceil().max(1.0);
    // At most a day, in whole seconds, so the cast is exact.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let seconds = whole.max(least).min(remaining) as u32;
    seconds
}

/// Time until the end, if the work goes on at the same speed.
fn time_left(elapsed: f64, progress: f64) -> Option<f64> {
    (progress > 0.0 && progress < 1.0).then(|| elapsed * (1.0 - progress) / progress)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The longest deadline.
    const DAY: u64 = 24 * 60 * 60;

    fn bounds(min: u64, max: u64) -> Bounds {
        Bounds {
            min: Duration::from_secs(min),
            max: Duration::from_secs(max),
        }
    }

    fn so_far(elapsed: u64, remaining: u64) -> SoFar<'static> {
        SoFar {
            elapsed: Duration::from_secs(elapsed),
            remaining: Duration::from_secs(remaining),
            is_first: elapsed == 0,
            progress: None,
            quiet_polls: 0,
            spread: 0.5,
            history: &[],
        }
    }

    /// Runs whose ends were seen within 5 %.
    fn runs(durations: &[f64]) -> Vec<Ran> {
        let ran = |by: &f64| Ran {
            after: by * 0.95,
            by: *by,
        };
        durations.iter().map(ran).collect()
    }

    /// The ages at which the policy polls a run until `end`.
    fn looks(bounds: Bounds, history: &[Ran], end: u64) -> Vec<u64> {
        let (mut age, mut looks) = (0, Vec::new());
        while age < end {
            age += u64::from(next_wait(
                bounds,
                SoFar {
                    history,
                    ..so_far(age, DAY - age)
                },
            ));
            looks.push(age);
        }
        looks
    }

    #[test]
    fn waits_grow_with_age_between_the_bounds() {
        let wait = |elapsed| next_wait(bounds(30, 300), so_far(elapsed, 100_000));
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
                SoFar {
                    quiet_polls,
                    ..so_far(10, 100_000)
                },
            )
        };
        assert_eq!([wait(0), wait(1), wait(2), wait(3), wait(9)], [30, 60, 120, 240, 300]);
    }

    #[test]
    fn after_refused_polls_the_wait_is_long_even_near_the_expected_end() {
        let history = runs(&[100.0; 10]);
        let wait = |quiet_polls| {
            next_wait(
                bounds(30, 300),
                SoFar {
                    quiet_polls,
                    history: &history,
                    ..so_far(80, 100_000)
                },
            )
        };
        assert_eq!([wait(3), wait(9)], [240, 300]);
        assert!(wait(0) <= 32, "{}", wait(0));
    }

    #[test]
    fn reported_progress_skips_polls_that_would_be_early() {
        let wait = |progress| {
            next_wait(
                bounds(30, 300),
                SoFar {
                    progress: Some(progress),
                    ..so_far(100, 100_000)
                },
            )
        };
        // At most half of the age, because progress may stall and jump.
        assert_eq!(wait(0.1), 50);
        assert_eq!(wait(0.6), 34);
        assert_eq!(wait(0.99), 30);
        assert_eq!(wait(1.0), 30);
    }

    #[test]
    fn reported_progress_counts_more_than_earlier_runs() {
        let history = runs(&[1000.0; 10]);
        let wait = |progress| {
            next_wait(
                bounds(5, 3600),
                SoFar {
                    progress,
                    history: &history,
                    ..so_far(500, 100_000)
                },
            )
        };
        assert!(wait(None) > 300, "{}", wait(None));
        assert!(wait(Some(0.9)) <= 56, "{}", wait(Some(0.9)));
        // Just before the usual end, with half of the work left.
        let late = SoFar {
            progress: Some(0.5),
            history: &history,
            ..so_far(960, 100_000)
        };
        assert_eq!(next_wait(bounds(5, 3600), late), 480);
    }

    #[test]
    fn the_first_wait_may_be_below_the_lower_bound_if_earlier_runs_were_short() {
        let history = runs(&[20.0, 21.0, 19.0, 20.0, 20.5, 19.5]);
        let looks = looks(bounds(30, 300), &history, 60);
        assert!((20..30).contains(&looks[0]), "{looks:?}");
        assert_eq!(looks[1] - looks[0], 30, "{looks:?}");
    }

    #[test]
    fn polls_are_dense_where_earlier_runs_ended_and_rare_before() {
        let durations: Vec<f64> = (0..20).map(|n| 1000.0 * (0.9 + 0.01 * f64::from(n))).collect();
        let looks = looks(bounds(5, 3600), &runs(&durations), 1000);
        let before = looks.iter().filter(|age| **age < 850).count();
        assert!(before <= 5, "{looks:?}");
        let around: Vec<_> = looks
            .windows(2)
            .filter(|pair| pair[0] > 900)
            .map(|pair| pair[1] - pair[0])
            .collect();
        assert!(!around.is_empty() && around.iter().all(|wait| *wait <= 60), "{looks:?}");
    }

    #[test]
    fn a_run_longer_than_all_earlier_ones_is_polled_by_its_age() {
        let history = runs(&[100.0; 20]);
        let late = |age| {
            next_wait(
                bounds(5, 3600),
                SoFar {
                    history: &history,
                    ..so_far(age, DAY - age)
                },
            )
        };
        assert_eq!([late(1000), late(5000), late(80_000)], [100, 500, 3600]);
    }

    #[test]
    fn polls_are_dense_around_both_usual_durations() {
        let durations: Vec<f64> = (0..20)
            .map(|n| if n % 3 == 0 { 1800.0 } else { 300.0 } * (1.0 + 0.005 * f64::from(n)))
            .collect();
        let looks = looks(bounds(5, 3600), &runs(&durations), 2000);
        let within = |from, to| looks.iter().filter(|age| (from..to).contains(*age)).count();
        assert!(within(280, 380) >= 3 && within(1750, 2000) >= 3, "{looks:?}");
        assert!(within(400, 1700) <= 8, "{looks:?}");
    }

    #[test]
    fn invalid_durations_are_ignored() {
        let bad = [
            Ran {
                after: 10.0,
                by: f64::INFINITY,
            },
            Ran {
                after: f64::NAN,
                by: 5.0,
            },
            Ran { after: -4.0, by: -3.0 },
            Ran { after: 100.0, by: 50.0 },
            Ran { after: 0.0, by: 1e300 },
        ];
        for age in [0, 100, 5000] {
            let wait = |history| {
                next_wait(
                    bounds(30, 300),
                    SoFar {
                        history,
                        ..so_far(age, 100_000)
                    },
                )
            };
            assert_eq!(wait(&bad), wait(&[]));
        }
    }

    #[test]
    fn jobs_that_started_together_poll_at_different_times() {
        let history = runs(&[3600.0, 3700.0, 3500.0, 3650.0]);
        for history in [&history[..], &[]] {
            let waits: std::collections::BTreeSet<u32> = (0..100)
                .map(|n| {
                    next_wait(
                        bounds(30, 3600),
                        SoFar {
                            history,
                            spread: f64::from(n) / 99.0,
                            ..so_far(2000, 80_000)
                        },
                    )
                })
                .collect();
            assert!(waits.len() >= 20, "{waits:?}");
        }
    }

    #[test]
    fn a_run_is_stored_as_two_numbers() {
        let text = serde_json::to_string(&runs(&[100.0])).unwrap();
        assert_eq!(text, "[[95.0,100.0]]");
        assert_eq!(serde_json::from_str::<Vec<Ran>>(&text).unwrap(), runs(&[100.0]));
    }

    fn history() -> impl Strategy<Value = Vec<Ran>> {
        let any = (0.0f64..1.0, 0.0f64..11.5).prop_map(|(share, by)| Ran {
            after: by.exp() * share,
            by: by.exp(),
        });
        let alike = (0.0f64..11.0, prop::collection::vec(0.0f64..0.3, 1..30)).prop_map(|(at, off)| {
            let ran = |off: f64| Ran {
                after: (at + off).exp() * 0.97,
                by: (at + off).exp(),
            };
            off.into_iter().map(ran).collect::<Vec<_>>()
        });
        prop_oneof![prop::collection::vec(any, 0..30), alike]
    }

    proptest! {
        #[test]
        fn a_wait_ends_by_the_deadline_and_is_at_least_a_second(
            min in 1u64..3600, width in 0u64..3600, elapsed in 0u64..100_000, remaining in 0u64..100_000,
            progress in proptest::option::of(-0.5f64..1.5), quiet_polls in 0u32..100, spread in 0.0f64..=1.0,
            history in history(),
        ) {
            let so_far = SoFar { progress, quiet_polls, spread, history: &history, ..so_far(elapsed, remaining) };
            let wait = u64::from(next_wait(bounds(min, min + width), so_far));
            prop_assert!(wait >= 1);
            prop_assert!(wait <= remaining.max(1));
        }

        #[test]
        fn every_wait_but_the_first_is_within_the_bounds(
            min in 1u64..3600, width in 0u64..3600, elapsed in 0u64..80_000, progress in proptest::option::of(0.0f64..1.0),
            quiet_polls in 0u32..100, spread in 0.0f64..=1.0, history in history(),
        ) {
            let so_far = SoFar { progress, quiet_polls, spread, history: &history, ..so_far(elapsed, 1_000_000) };
            let wait = f64::from(next_wait(bounds(min, min + width), so_far));
            if elapsed > 0 {
                prop_assert!(wait >= min as f64);
            }
            prop_assert!(wait <= ((min + width) as f64 * (1.0 + SPREAD)).max(elapsed as f64 * FLOOR_GROWTH) + 1.0);
        }

        /// Without a history, only the age counts.
        #[test]
        fn without_a_history_a_wait_is_a_tenth_of_the_age(
            min in 1u64..60, width in 0u64..3600, elapsed in 0u64..80_000, spread in 0.0f64..=1.0,
        ) {
            let wait = next_wait(bounds(min, min + width), SoFar { spread, ..so_far(elapsed, 1_000_000) });
            let grown = (elapsed as f64 / 10.0).clamp(min as f64, (min + width) as f64);
            let spread = (grown.ceil() * (0.9 + 0.2 * spread)).max(min as f64).max(elapsed as f64 * 0.03);
            prop_assert!((f64::from(wait) - spread).abs() <= 1.0, "{wait} s, not {spread} s");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_number_of_polls_is_bounded(
            min in 1u64..60, width in 0u64..300, spread in 0.0f64..=1.0, history in history(),
        ) {
            let (mut elapsed, mut polls) = (0, 0);
            while elapsed < DAY {
                let so_far = SoFar { spread, history: &history, ..so_far(elapsed, DAY - elapsed) };
                elapsed += u64::from(next_wait(bounds(min, min + width), so_far));
                polls += 1;
            }
            prop_assert!(polls <= MAX_POLLS, "{polls} polls");
        }
    }
}
