//! The functions in a simulated world that follows from a seed.
//!
//! What must stay true: what runs is what is deployed, the handlers with their SDK clients in the order of the deployed
//! definition; the same seed gives the same run, event by event; and each run is held against every promise of
//! `docs/guarantees.md`.

pub mod aftermath;
pub mod broken;
pub mod dice;
pub mod edge;
pub mod faults;
pub mod invocation;
pub mod kinds;
pub mod log;
pub mod machine;
pub mod plan;
pub mod promises;
pub mod seen;
pub mod starts;
pub mod time;
pub mod world;

use std::{fmt::Write as _, time::Duration};

use anyhow::Result;

use crate::{
    log::Line,
    plan::{Broken, Plan},
    promises::Violation,
    seen::Seen,
};

/// What became of a seed.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed.
    pub seed: u64,
    /// Its plan, for people.
    pub plan: String,
    /// The promises that were broken.
    pub broken: Vec<Violation>,
    /// The timeline, if it was asked for.
    pub lines: Vec<Line>,
    /// What came about.
    pub seen: Seen,
    /// How many faults there were.
    pub harms: u32,
    /// How long it took in virtual time.
    pub took: Duration,
    /// A number that follows from all that the run left in S3.
    pub print: String,
}

/// Runs a seed and holds it against the promises.
pub fn run(seed: u64, keep_log: bool) -> Result<Run> {
    run_plan(Plan::of(seed)?, keep_log)
}

/// Runs a seed in a world that does not keep its word.
pub fn run_broken(seed: u64, broken: Broken, keep_log: bool) -> Result<Run> {
    run_plan(
        Plan {
            broken: Some(broken),
            ..Plan::of(seed)?
        },
        keep_log,
    )
}

/// Runs a plan.
pub fn run_plan(plan: Plan, keep_log: bool) -> Result<Run> {
    let (seed, text) = (plan.seed, plan.describe());
    let after = world::run(plan, keep_log)?;
    let broken = promises::check(&after)?;
    Ok(Run {
        seed,
        plan: text,
        broken,
        seen: seen::seen(&after)?,
        harms: after.harms,
        took: after.took,
        print: after.store.print(),
        lines: after.lines,
    })
}

/// What a failing seed shows: the seed, how to replay it, what was broken, and all that happened.
pub fn failure(run: &Run) -> String {
    let mut text = format!(
        "seed {} breaks a promise; replay it with: cargo simulate --seed {}\n",
        run.seed, run.seed
    );
    for Violation { promise, what } in &run.broken {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {promise}: {what}");
    }
    text.push_str(&log::readable(&run.lines));
    text
}
