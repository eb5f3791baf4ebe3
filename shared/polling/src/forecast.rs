//! How long a run may take, told by earlier ones.
//!
//! What must stay true: every history gives a proper distribution, in which no age is impossible: a run may end sooner
//! than any before it, and outlast them all.

use crate::ran::{MAX_HISTORY, Ran};

/// Weight of a run against that of the next newer one: a request whose runs become longer is followed.
const FADING: f64 = 0.85;

/// Share of the runs that take longer than any like them, several times as long: half of them twice as long or more.
const SLOW: f64 = 0.05;

/// Share of the runs that end early, at any time.
const EARLY: f64 = 0.005;

/// No run is expected to end before this age, in seconds.
const EARLIEST: f64 = 10.0;

/// How many neighbours a duration is blurred over, so that runs of two sorts stay two.
const NEIGHBOURS: usize = 3;

/// By which share a duration is blurred: of one run alone; at least; at most.
const BLUR: (f64, f64, f64) = (0.20, 0.02, 0.5);

/// However little was seen of a run, it is taken to have lasted at least this share of the time at which its end was seen.
const UNSEEN: f64 = 0.5;

/// How long the parts are into which the time is taken apart in which a run ended, as a share.
const PART: f64 = 0.05;

/// Most of these parts.
const PARTS: f64 = 8.0;

/// Longest duration that counts, in seconds: longer than any deadline.
const LONGEST: f64 = 1e6;

/// When an earlier run ended, as logarithms of seconds.
#[derive(Clone, Copy, Debug)]
struct Run {
    weight: f64,
    after: f64,
    by: f64,
}

impl Run {
    /// How likely its end is at an age, as far as looking at it told, and a little beyond.
    fn density(&self, at: f64) -> f64 {
        let beyond = PART / 2.0;
        if at < self.after - beyond || at > self.by + beyond {
            return 0.0;
        }
        1.0 / (self.by - self.after + 2.0 * beyond)
    }
}

/// A distribution of durations.
#[derive(Clone, Debug)]
pub(crate) struct Forecast {
    points: Vec<Point>,
}

/// A duration as likely as its weight, on a logarithmic scale.
#[derive(Clone, Copy, Debug)]
struct Point {
    weight: f64,
    /// The duration in seconds.
    seconds: f64,
    /// Its logarithm.
    at: f64,
    /// Scale of the logistic distribution around it.
    scale: f64,
}

impl Forecast {
    /// The forecast of a history, newest last; `None` without one.
    pub(crate) fn of(history: &[Ran]) -> Option<Self> {
        let runs: Vec<Run> = history[history.len().saturating_sub(MAX_HISTORY)..]
            .iter()
            .filter(|ran| ran.by.is_finite() && ran.by >= 1.0 && ran.by <= LONGEST && ran.after <= ran.by)
            .rev()
            .enumerate()
            .map(|(age, ran)| Run {
                weight: FADING.powi(i32::try_from(age).unwrap_or(i32::MAX)),
                after: ran.after.max(ran.by * UNSEEN).ln(),
                by: ran.by.ln(),
            })
            .collect();
        (!runs.is_empty()).then(|| Self { points: points(&runs) })
    }

    /// The share of runs that still run at an age in seconds.
    pub(crate) fn running(&self, age: f64) -> f64 {
        let age = age.max(1.0);
        let now = age.ln();
        let earliest = EARLIEST.ln();
        let share = |point: &Point| {
            let along = (now - point.at) / point.scale;
            let usual = if along > 12.0 {
                0.0
            } else if along < -12.0 {
                1.0
            } else {
                1.0 / (1.0 + along.exp())
            };
            let slow = (point.seconds / age).min(1.0);
            let early = if now >= point.at {
                0.0
            } else if now <= earliest {
                1.0
            } else {
                (point.at - now) / (point.at - earliest)
            };
            point.weight * ((1.0 - SLOW - EARLY) * usual + SLOW * slow + EARLY * early)
        };
        self.points.iter().map(share).sum()
    }

    /// The age in seconds from which on earlier runs say nothing more.
    pub(crate) fn end(&self) -> f64 {
        let ends = self.points.iter().map(|point| point.at + 4.0 * point.scale);
        ends.fold(0.0, f64::max).exp()
    }
}

/// Takes the runs apart: each time in which one ended, into parts that are the likelier the more other runs may have ended
/// then. So two looks that were each far from an end tell together where it was.
fn points(runs: &[Run]) -> Vec<Point> {
    let parted: Vec<Vec<(f64, f64)>> = runs.iter().map(|run| parts(run, runs)).collect();
    let middles: Vec<f64> = parted
        .iter()
        .map(|parts| parts.iter().map(|(at, share)| at * share).sum())
        .collect();
    #[allow(clippy::cast_precision_loss)]
    let least = BLUR.0 / runs.len() as f64;
    let sum: f64 = runs.iter().map(|run| run.weight).sum();
    let mut points = Vec::with_capacity(runs.len() * 2);
    for (index, (run, parts)) in runs.iter().zip(parted).enumerate() {
        let blur = neighbour(&middles, index).max(least).clamp(BLUR.1, BLUR.2);
        points.extend(parts.into_iter().map(|(at, share)| Point {
            weight: run.weight * share / sum,
            seconds: at.exp(),
            at,
            // A logistic distribution is as wide as a normal one whose deviation is 1.8 times its scale.
            scale: blur * 0.55,
        }));
    }
    points
}

/// The parts of the time in which a run ended, each with its share of the run.
fn parts(run: &Run, runs: &[Run]) -> Vec<(f64, f64)> {
    let width = run.by - run.after;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let count = (width / PART).ceil().clamp(1.0, PARTS) as u32;
    let parts = (0..count).map(|part| {
        let at = run.after + width * (f64::from(part) + 0.5) / f64::from(count);
        let likely: f64 = runs.iter().map(|other| other.weight * other.density(at)).sum();
        (at, likely * likely)
    });
    let parts: Vec<(f64, f64)> = parts.collect();
    let sum: f64 = parts.iter().map(|(_, likely)| likely).sum();
    parts.into_iter().map(|(at, likely)| (at, likely / sum)).collect()
}

/// Distance of a number to its third nearest neighbour, or to the farthest if there are fewer; 0 without any.
fn neighbour(numbers: &[f64], index: usize) -> f64 {
    let others = numbers.iter().enumerate().filter(|(other, _)| *other != index);
    let mut distances: Vec<f64> = others.map(|(_, number)| (number - numbers[index]).abs()).collect();
    distances.sort_unstable_by(f64::total_cmp);
    let nearest = distances.get(NEIGHBOURS - 1).or(distances.last());
    nearest.copied().unwrap_or(0.0)
}
