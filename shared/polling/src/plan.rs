//! Plans the polls that cost least.
//!
//! What must stay true: the number of polls and the delay until the end is seen are weighed by one price. The plan is
//! made anew at each poll, and only its first wait is used.

use crate::{
    forecast::Forecast,
    growth::{FLOOR_GROWTH, GROWTH},
};

/// What one poll costs: the delay that we would accept to save it, as a share of the run's duration. If nothing is known of the runs (half of those that
/// last some time last twice as long), waits that grow by [`GROWTH`] are the best ones at a price of 0.005. With a
/// history, polls are a little more frequent than that. `cargo polling` shows the result.
const PRICE: f64 = 0.004;

/// The cost of a run from the age at which it has outlasted all that is known: that of waits that grow by [`GROWTH`].
const OUTLASTED: f64 = PRICE / GROWTH + GROWTH / 2.0;

/// How much more than the best poll a poll may cost, so that jobs which started together need not poll together.
const SLACK: f64 = PRICE / 5.0;

/// Two neighbouring ages at which a poll may be planned are at most this share apart…
const COARSE: f64 = 0.12;

/// …and at most this share of the runs ends between them…
const DENSE: f64 = 0.02;

/// …unless they are less than this share apart.
const FINE: f64 = 0.01;

/// How far polls are apart, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The shortest wait until the next poll.
    pub(crate) first: f64,
    /// The shortest wait between later polls.
    pub(crate) min: f64,
    /// The longest wait.
    pub(crate) max: f64,
}

/// An age at which a poll may be planned.
#[derive(Clone, Copy, Debug)]
struct Age {
    /// In seconds.
    at: f64,
    /// The share of runs that still run.
    running: f64,
    /// Sum of `1 / duration` over the runs that have ended, weighted by their shares. It makes the relative delay of a
    /// poll a product.
    ended: f64,
    /// The cost from here on, as a share of all runs, if a poll is made now and the plan is followed.
    cost: f64,
}

/// Seconds until the next poll of a run of this age. Several waits cost hardly more than the best one; `spread`, from 0
/// to 1, chooses among them. `None` if the run has outlasted all that is known.
pub(crate) fn wait(forecast: &Forecast, elapsed: f64, limits: Limits, spread: f64) -> Option<f64> {
    if elapsed >= forecast.end() {
        return None;
    }
    let mut ages = candidates(forecast, elapsed);
    let last = ages.len() - 1;
    if last == 0 {
        return None;
    }
    ages[last].cost = OUTLASTED * ages[last].running;
    for here in (1..last).rev() {
        let best = steps(&ages, here, limits.min, limits.max).map(|(_, cost)| cost);
        ages[here].cost = PRICE * ages[here].running + best.fold(f64::INFINITY, f64::min);
    }
    let steps: Vec<(f64, f64)> = steps(&ages, 0, limits.first, limits.max).collect();
    let best = steps
        .iter()
        .enumerate()
        .min_by(|one, other| one.1.1.total_cmp(&other.1.1))?
        .0;
    let enough = steps[best].1 + SLACK * ages[0].running;
    let good = |step: &&(f64, f64)| step.1 <= enough;
    let earliest = steps[..=best].iter().rev().take_while(good).last()?.0;
    let latest = steps[best..].iter().take_while(good).last()?.0;
    Some(earliest + (latest - earliest) * spread)
}

/// The possible waits after a poll at `here`, in seconds, each with its cost from `here` on.
fn steps(ages: &[Age], here: usize, least: f64, most: f64) -> impl Iterator<Item = (f64, f64)> {
    let Age { at, running, ended, .. } = ages[here];
    let least = least.max(at * FLOOR_GROWTH).max(1.0);
    let last = ages.len() - 1;
    let ahead = ages[here + 1..].iter().enumerate();
    let allowed = ahead.skip_while(move |(index, there)| there.at - at < least && here + 1 + index < last);
    let steps = allowed.map(move |(_, there)| {
        // The next poll sees a run that ends before it. If that poll would come too soon, it comes later.
        let wait = (there.at - at).max(least);
        let delay = (at + wait) * (there.ended - ended) - (running - there.running);
        (wait, delay, there.cost)
    });
    // The delay only grows from here on. Once it costs more than the best wait does in all, no longer wait is better.
    let mut best = f64::INFINITY;
    let mut is_first = true;
    steps
        .take_while(move |(wait, delay, cost)| {
            let goes_on = is_first || (*delay <= best + SLACK * running && *wait <= most);
            is_first = false;
            best = best.min(delay + cost);
            goes_on
        })
        .map(|(wait, delay, cost)| (wait, delay + cost))
}

/// The ages from now to the end of what is known, in whole seconds from now. They are close together where many runs
/// end.
fn candidates(forecast: &Forecast, elapsed: f64) -> Vec<Age> {
    let age = |wait: u32| {
        let at = elapsed + f64::from(wait);
        (wait, at, forecast.running(at))
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let span = (forecast.end() - elapsed).ceil().max(1.0) as u32;
    let mut seen = vec![age(0)];
    let mut ahead = vec![age(span)];
    while let (Some(&(from, start, running)), Some(&(to, end, still))) = (seen.last(), ahead.last()) {
        let apart = (end / start.max(1.0)).ln();
        if to - from > 1 && (apart > COARSE || (apart > FINE && running - still > DENSE)) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let middle = ((start.max(1.0) * end).sqrt() - elapsed).round() as u32;
            ahead.push(age(middle.clamp(from + 1, to - 1)));
        } else {
            ahead.pop();
            seen.push((to, end, still));
        }
    }
    let mut ages: Vec<Age> = Vec::with_capacity(seen.len());
    for (_, at, running) in seen {
        let ended = ages.last().map_or(0.0, |before| {
            let middle = (before.at.max(1.0) * at.max(1.0)).sqrt();
            before.ended + (before.running - running) / middle
        });
        ages.push(Age {
            at,
            running,
            ended,
            cost: 0.0,
        });
    }
    ages
}
