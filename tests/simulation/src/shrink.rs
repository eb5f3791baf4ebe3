//! Finds a smaller world for a failing seed.
//!
//! What must stay true: the printed world breaks the same promise as the seed, and its command replays it exactly. The
//! search ends after a fixed number of runs, and never changes what the seed itself does.
//!
//! The search tries the plan without one of its parts: a delivery, a fault, an outage. If the promise is still broken,
//! the part stays out, and the search continues with the rest until no part can be left out.

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Formatter},
    str::FromStr,
    time::Duration,
};

use anyhow::{Context as _, Error, Result, bail};

use crate::{
    plan::{Meddling, Plan},
    run::{Run, run_plan},
};

/// The most runs of a search. One run takes some ten milliseconds.
const MOST_RUNS: u32 = 400;

/// The latency of calls in a world without slow calls.
const SHORT_LATENCY: Duration = Duration::from_millis(5);

/// A part that a smaller world leaves out, with its name for `--without`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// `delivery:N`: one delivery, by its number in the plan of the seed.
    Delivery(u64),
    /// `fault:N`: one fault or mishap, in the order in which they are drawn.
    Fault(u32),
    /// `faults-from:N`: that fault or mishap and all after it.
    FaultsFrom(u32),
    /// `outage`: the outage of S3 or of the service.
    Outage,
    /// `stall`: the time without news.
    Stall,
    /// `meddling`: what someone else does to the output.
    Meddling,
    /// `slices`: the verification in slices.
    Slices,
    /// `queue`: the limit of jobs that run at a time.
    Queue,
    /// `quota`: the limit of start calls a day.
    Quota,
    /// `latency`: calls that take long.
    Latency,
    /// `skew`: clocks that are off.
    Skew,
}

/// The cuts without a number, with their names.
const PLAIN: [(Cut, &str); 8] = [
    (Cut::Outage, "outage"),
    (Cut::Stall, "stall"),
    (Cut::Meddling, "meddling"),
    (Cut::Slices, "slices"),
    (Cut::Queue, "queue"),
    (Cut::Quota, "quota"),
    (Cut::Latency, "latency"),
    (Cut::Skew, "skew"),
];

impl Display for Cut {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivery(number) => write!(f, "delivery:{number}"),
            Self::Fault(number) => write!(f, "fault:{number}"),
            Self::FaultsFrom(number) => write!(f, "faults-from:{number}"),
            plain => {
                let name = PLAIN.iter().find(|(cut, _)| cut == plain).map(|(_, name)| *name);
                f.write_str(name.unwrap_or_default())
            }
        }
    }
}

impl FromStr for Cut {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some((cut, _)) = PLAIN.iter().find(|(_, name)| *name == text) {
            return Ok(*cut);
        }
        let (name, number) = text.split_once(':').unwrap_or((text, ""));
        let told = || format!("{text:?} does not end in a number");
        Ok(match name {
            "delivery" => Self::Delivery(number.parse().with_context(told)?),
            "fault" => Self::Fault(number.parse().with_context(told)?),
            "faults-from" => Self::FaultsFrom(number.parse().with_context(told)?),
            _ => {
                let plain: Vec<&str> = PLAIN.iter().map(|(_, name)| *name).collect();
                bail!(
                    "{text:?} is no part of a plan: delivery:N, fault:N, faults-from:N, {}",
                    plain.join(", ")
                )
            }
        })
    }
}

impl Cut {
    /// The plan without this part. `None` if the plan has no such part, or if nothing would be left.
    pub fn of(self, plan: &Plan) -> Option<Plan> {
        let mut smaller = plan.clone();
        let weather = &mut smaller.weather;
        let is_smaller = match self {
            Self::Delivery(number) => return without_delivery(smaller, number),
            Self::Fault(number) => number < weather.budget && weather.spared.insert(number),
            Self::FaultsFrom(number) => std::mem::replace(&mut weather.budget, number) > number,
            Self::Outage => weather.outage.take().is_some(),
            Self::Stall => weather.stall.take().is_some(),
            Self::Meddling => std::mem::replace(&mut smaller.meddling, Meddling::None) != Meddling::None,
            Self::Slices => std::mem::take(&mut smaller.slices),
            Self::Queue => std::mem::take(&mut smaller.max_running) > 0,
            Self::Quota => std::mem::take(&mut smaller.max_starts_per_day) > 0,
            Self::Latency => std::mem::replace(&mut weather.latency, SHORT_LATENCY) > SHORT_LATENCY,
            Self::Skew => !std::mem::take(&mut weather.skew).is_zero(),
        };
        is_smaller.then_some(smaller)
    }

    /// All parts that can be left out of a plan, the largest first.
    fn all(plan: &Plan) -> Vec<Self> {
        let budget = plan.weather.budget;
        let deliveries = plan
            .deliveries
            .iter()
            .rev()
            .map(|delivery| Self::Delivery(delivery.number));
        let tails = [0, budget / 4, budget / 2, budget.saturating_sub(1)].map(Self::FaultsFrom);
        let faults = (0..budget).rev().map(Self::Fault);
        let plain = PLAIN.iter().map(|(cut, _)| *cut);
        plain.chain(deliveries).chain(tails).chain(faults).collect()
    }
}

/// The remaining triggers get new numbers without a gap. A pick-up needs the trigger whose job it picks up.
fn without_delivery(mut plan: Plan, number: u64) -> Option<Plan> {
    let before = plan.deliveries.len();
    plan.deliveries.retain(|delivery| delivery.number != number);
    let asks = plan.deliveries.iter().filter(|delivery| !delivery.is_cancel());
    let left: BTreeSet<usize> = asks.map(|delivery| delivery.trigger).collect();
    // A cancel is left out if nothing asks for its job.
    plan.deliveries.retain(|delivery| left.contains(&delivery.trigger));
    let place = |trigger: usize| left.iter().position(|other| *other == trigger);
    plan.pick_up = plan.pick_up.and_then(place);
    let is_orphaned = plan.pick_up.is_some() && !left.contains(&0);
    if plan.deliveries.len() == before || plan.deliveries.is_empty() || is_orphaned {
        return None;
    }
    for delivery in &mut plan.deliveries {
        delivery.trigger = place(delivery.trigger)?;
    }
    Some(plan)
}

/// The smallest world found that breaks the promise.
#[derive(Clone, Debug)]
pub struct Shrunk {
    pub plan: Plan,
    /// The parts left out, in order.
    pub cuts: Vec<Cut>,
    /// How many runs the search took.
    pub runs: u32,
}

/// Looks for a smaller world in which a plan still breaks a promise.
pub fn shrink(plan: Plan, promise: &str) -> Shrunk {
    let most = plan.weather.budget;
    search(plan, promise).tidy(most)
}

fn search(plan: Plan, promise: &str) -> Shrunk {
    let mut shrunk = Shrunk {
        plan,
        cuts: Vec::new(),
        runs: 0,
    };
    loop {
        let before = shrunk.cuts.len();
        for cut in Cut::all(&shrunk.plan) {
            let Some(smaller) = cut.of(&shrunk.plan) else {
                continue;
            };
            if shrunk.runs == MOST_RUNS {
                return shrunk;
            }
            shrunk.runs += 1;
            // A run that ends in an error of the simulator does not break the promise.
            let breaks_it = |run: &Run| run.broken.iter().any(|violation| violation.promise == promise);
            if run_plan(smaller.clone(), false).as_ref().is_ok_and(breaks_it) {
                shrunk.plan = smaller;
                shrunk.cuts.push(cut);
            }
        }
        if shrunk.cuts.len() == before {
            return shrunk;
        }
    }
}

impl Shrunk {
    /// Gives the same plan with fewer cuts: faults left out one by one at the end become one cut.
    fn tidy(mut self, most: u32) -> Self {
        let weather = &mut self.plan.weather;
        while weather.budget > 0 && weather.spared.remove(&(weather.budget - 1)) {
            weather.budget -= 1;
        }
        let budget = weather.budget;
        weather.spared.retain(|number| *number < budget);
        self.cuts
            .retain(|cut| !matches!(cut, Cut::Fault(_) | Cut::FaultsFrom(_)));
        self.cuts
            .extend(weather.spared.iter().map(|number| Cut::Fault(*number)));
        self.cuts.extend((budget < most).then_some(Cut::FaultsFrom(budget)));
        self
    }
}

/// A plan without some of its parts, which must exist.
pub fn cut(mut plan: Plan, cuts: &[Cut]) -> Result<Plan> {
    for cut in cuts {
        plan = cut
            .of(&plan)
            .with_context(|| format!("the plan of seed {} has no {cut} to go without", plan.seed))?;
    }
    Ok(plan)
}
