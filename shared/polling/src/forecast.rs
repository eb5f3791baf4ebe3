//! Forecasts how long a run will take, from earlier runs.
//!
//! What must stay true: each history gives a proper distribution, in which no duration is impossible. A run may end
//! sooner than each earlier run, and may take longer than all of them.

use crate::ran::{MAX_HISTORY, Ran};

/// Weight of a run relative to the next newer one. It makes the forecast follow a request whose runs become longer.
const FADING: f64 = 0.85;

/// Share of the runs that take much longer than similar ones. Half of these take twice as long or more.
const SLOW: f64 = 0.05;

/// Share of the runs that end early, at any time.
const EARLY: f64 = 0.005;

/// No run is expected to end before this age, in seconds.
const EARLIEST: f64 = 10.0;

/// A duration is blurred up to its third nearest neighbour, so that runs of two sorts stay apart.
const NEIGHBOURS: usize = 3;

/// By which share of itself a duration is blurred: if there is one run, at least, and at most.
const BLUR: (f64, f64, f64) = (0.20, 0.02, 0.5);

/// A run counts as lasting at least this share of the age at which its end was seen, even if it was not seen running
/// for so long.
const UNSEEN: f64 = 0.5;

/// The time in which a run ended is divided into parts of this length, as a share.
const PART: f64 = 0.05;

/// Most parts of one run.
const PARTS: f64 = 8.0;

/// The longest duration that counts, in seconds. It is longer than any deadline.
const LONGEST: f64 = 1e6;

/// Between which ages an earlier run ended, as logarithms of seconds.
#[derive(Clone, Copy, Debug)]
struct Run {
    weight: f64,
    after: f64,
    by: f64,
}

impl Run {
    /// How likely the run ended at this age. The polls before and after its end bound the ages; a small margin is
    /// added.
    fn density(&self, at: f64) -> f64 {
        let beyond = PART / 2.0;
        if at < self.after - beyond || at > self.by + beyond {
            return 0.0;
        }
        1.0 / (self.by - self.after + 2.0 * beyond)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Forecast {
    points: Vec<Point>,
}

/// A duration with its weight.
#[derive(Clone, Copy, Debug)]
struct Point {
    weight: f64,
    /// The duration in seconds.
    seconds: f64,
    /// Logarithm of the duration.
    at: f64,
    /// Scale of the logistic distribution around `at`.
    scale: f64,
}

impl Forecast {
    /// The forecast of a history, newest run last; `None` for an empty history.
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

    /// The age in seconds after which earlier runs say nothing more.
    pub(crate) fn end(&self) -> f64 {
        let ends = self.points.iter().map(|point| point.at + 4.0 * point.scale);
        ends.fold(0.0, f64::max).exp()
    }
}

/// Divides the time in which each run ended into parts. A part weighs more if other runs may have ended in it too. So
/// if two runs were each polled far from their ends, together they still show where the ends were.
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
            // A logistic distribution is as wide as a normal one with 1.8 times its scale as the deviation.
            scale: blur * 0.55,
        }));
    }
    points
}

/// The parts of the time in which a run ended, each with its share of the run's weight.
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

/// Distance of a number to its third nearest neighbour, or to the farthest if there are fewer; 0 if there are none.
fn neighbour(numbers: &[f64], index: usize) -> f64 {
    let others = numbers.iter().enumerate().filter(|(other, _)| *other != index);
    let mut distances: Vec<f64> = others.map(|(_, number)| (number - numbers[index]).abs()).collect();
    distances.sort_unstable_by(f64::total_cmp);
    let nearest = distances.get(NEIGHBOURS - 1).or(distances.last());
    nearest.copied().unwrap_or(0.0)
}
