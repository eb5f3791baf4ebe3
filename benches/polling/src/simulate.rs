//! Runs traces through contestants.

use landfall_polling::{Bounds, Ran};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    contestant::{Contestant, Look},
    trace::Family,
};

/// The age at which every run is given up, in seconds.
pub const DEADLINE: f64 = 86_400.0;

/// The setup of a trial.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The bounds of the waits, for all contestants but the fixed ones.
    pub bounds: Bounds,
    /// The median durations of the requests, in seconds.
    pub medians: Vec<f64>,
    /// The number of requests for each median.
    pub requests: u64,
    /// The number of runs of each request.
    pub runs: usize,
    /// Everything random follows from it.
    pub seed: u64,
}

/// The result of a contestant for a family.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Mean polls of a run.
    pub polls: f64,
    /// Mean delay until the end was seen, as a share of the duration.
    pub delay: f64,
    /// Runs whose last poll was past the deadline.
    pub late: u64,
}

/// The mean score over all medians.
#[must_use]
pub fn score(trial: &Trial, family: Family, contestant: Contestant) -> Score {
    let scores: Vec<Score> = trial
        .medians
        .iter()
        .map(|median| score_of(trial, family, *median, contestant))
        .collect();
    mean(&scores)
}

/// The score for requests with one median, in seconds.
#[must_use]
pub fn score_of(trial: &Trial, family: Family, median: f64, contestant: Contestant) -> Score {
    let scores: Vec<Score> = (0..trial.requests)
        .flat_map(|request| {
            let seed = trial.seed ^ (request << 32) ^ ((family as u64) << 24) ^ median as u64;
            let durations = family.durations(median, trial.runs, seed);
            let mut random = StdRng::seed_from_u64(!seed);
            let mut history = Vec::with_capacity(durations.len());
            durations
                .into_iter()
                .map(|duration| {
                    let (score, ran) = follow(trial.bounds, contestant, duration, &history, &mut random);
                    if family != Family::FirstRun {
                        history.push(ran);
                    }
                    score
                })
                .collect::<Vec<_>>()
        })
        .collect();
    mean(&scores)
}

/// Follows one run to its end.
fn follow(bounds: Bounds, contestant: Contestant, duration: f64, history: &[Ran], random: &mut StdRng) -> (Score, Ran) {
    let (mut age, mut polls, mut after) = (0.0, 0.0, 0.0);
    loop {
        let look = Look {
            age,
            deadline: DEADLINE,
            spread: random.random(),
            history,
        };
        age += f64::from(contestant.wait(bounds, &look));
        polls += 1.0;
        if age >= duration {
            let score = Score {
                polls,
                delay: (age - duration) / duration,
                late: u64::from(age > DEADLINE),
            };
            return (score, Ran { after, by: age });
        }
        after = age;
    }
}

fn mean(scores: &[Score]) -> Score {
    let count = scores.len().max(1) as f64;
    let sum = |of: fn(&Score) -> f64| scores.iter().map(of).sum::<f64>() / count;
    Score {
        polls: sum(|score| score.polls),
        delay: sum(|score| score.delay),
        late: scores.iter().map(|score| score.late).sum(),
    }
}
