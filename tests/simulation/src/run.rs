//! One run of a seed and its result.

use std::time::Duration;

use anyhow::Result;

use crate::{
    log::Line,
    plan::{Broken, Plan},
    promises::{self, Violation},
    seen::{self, Seen},
    world,
};

/// The result of a seed.
#[derive(Clone, Debug)]
pub struct Run {
    pub seed: u64,
    /// The plan in words.
    pub plan: String,
    pub broken: Vec<Violation>,
    /// The timeline, if it was asked for.
    pub lines: Vec<Line>,
    /// The situations that came about.
    pub seen: Seen,
    pub harms: u32,
    /// How long it took in virtual time.
    pub took: Duration,
    /// A digest of everything that the run left in S3.
    pub print: String,
}

/// The plan of a seed, in a world that may break a rule.
pub fn plan(seed: u64, broken: Option<Broken>) -> Result<Plan> {
    Ok(Plan {
        broken,
        ..Plan::of(seed)?
    })
}

/// Runs a seed and checks the promises.
pub fn run(seed: u64, keep_log: bool) -> Result<Run> {
    run_plan(plan(seed, None)?, keep_log)
}

/// Runs a plan and checks the promises.
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
