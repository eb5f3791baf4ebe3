//! The aims that the policy must reach, in simulated time.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::time::Duration;

use landfall_benches_polling::{
    contestant::Contestant,
    simulate::{Score, Trial, score},
    trace::{Family, MEDIANS},
};
use landfall_polling::Bounds;

fn trial(min: u64, medians: &[f64]) -> Trial {
    Trial {
        bounds: Bounds {
            min: Duration::from_secs(min),
            max: Duration::from_secs(1800),
        },
        medians: medians.to_vec(),
        requests: 1,
        runs: 40,
        seed: 7,
    }
}

fn reaches(score: Score, polls: f64, delay: f64, case: &str) {
    assert!(score.polls <= polls && score.delay <= delay, "{case}: {score:?}");
    assert_eq!(score.late, 0, "{case}");
}

/// Medians of 20 s to 3 h, the first run of each request included.
#[test]
fn each_family_of_runs_takes_few_polls_and_a_short_delay() {
    let trial = trial(2, &MEDIANS);
    for (family, polls, delay) in [
        (Family::Steady, 7.0, 0.03),
        (Family::HeavyTailed, 10.0, 0.04),
        (Family::Drifting, 10.5, 0.045),
        (Family::Bimodal, 13.0, 0.055),
        (Family::Erratic, 14.0, 0.09),
    ] {
        reaches(
            score(&trial, family, Contestant::Landfall),
            polls,
            delay,
            family.title(),
        );
    }
}

/// With the default bounds, short jobs wait for the lower bound.
#[test]
fn the_default_bounds_reach_the_aims_for_jobs_of_minutes_or_longer() {
    let trial = trial(15, &MEDIANS[2..]);
    reaches(
        score(&trial, Family::Steady, Contestant::Landfall),
        8.0,
        0.035,
        "steady",
    );
    reaches(
        score(&trial, Family::HeavyTailed, Contestant::Landfall),
        10.5,
        0.045,
        "heavy-tailed",
    );
}

/// Neither more polls nor more delay, apart from chance.
#[test]
fn without_a_history_the_policy_equals_growing_waits() {
    for min in [1, 2, 5, 15, 30] {
        let trial = Trial {
            requests: 3,
            ..trial(min, &MEDIANS)
        };
        for family in [Family::FirstRun, Family::HeavyTailed, Family::Erratic] {
            let grown = score(&trial, family, Contestant::YARDSTICK);
            let ours = score(&trial, family, Contestant::WithoutHistory);
            let case = format!("{}, at least {min} s: {grown:?}", family.title());
            reaches(ours, grown.polls * 1.02, grown.delay * 1.05, &case);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_scores() {
    let trial = trial(2, &[60.0, 600.0]);
    let again = |seed| {
        let trial = Trial { seed, ..trial.clone() };
        score(&trial, Family::HeavyTailed, Contestant::Landfall)
    };
    assert_eq!(again(1), again(1));
    assert_ne!(again(1), again(2));
}
