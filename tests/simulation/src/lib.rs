//! Runs the functions in a simulated world that depends only on a seed.
//!
//! What must stay true: the world runs what is deployed, the functions' handlers with their SDK clients in the order of
//! the deployed definition. The same seed gives the same run, event by event. Each run is checked against every promise
//! of `docs/guarantees.md`.

pub mod aftermath;
pub mod broken;
pub mod dice;
pub mod edge;
pub mod faults;
pub mod invocation;
pub mod kinds;
pub mod load;
pub mod log;
pub mod machine;
pub mod plan;
pub mod promises;
pub mod run;
pub mod seen;
pub mod shrink;
pub mod starts;
pub mod tally;
pub mod time;
pub mod world;

use anyhow::Result;
use clap::ValueEnum;

pub use crate::run::{Run, plan, run, run_plan};
use crate::{
    plan::Broken,
    promises::Violation,
    shrink::{Cut, Shrunk, shrink},
};

/// The command that replays a seed without some parts of its plan.
pub fn replay(seed: u64, broken: Option<Broken>, without: &[Cut]) -> String {
    let mut command = format!("cargo simulate --seed {seed}");
    if let Some(broken) = broken.as_ref().and_then(ValueEnum::to_possible_value) {
        command += &format!(" --broken {}", broken.get_name());
    }
    let without: Vec<String> = without.iter().map(ToString::to_string).collect();
    if !without.is_empty() {
        command += &format!(" --without {}", without.join(","));
    }
    command
}

/// The text for a failing seed: what was broken, how to replay it, and the timeline of the smallest world found that
/// breaks the same promise.
pub fn failure(seed: u64, broken: Option<Broken>) -> Result<String> {
    let plan = plan(seed, broken)?;
    let run = run_plan(plan.clone(), true)?;
    let mut text = format!(
        "seed {seed} breaks a promise; replay it with: {}\n{}",
        replay(seed, broken, &[]),
        violations(&run)
    );
    let Some(first) = run.broken.first() else {
        return Ok(text);
    };
    let Shrunk { plan, cuts, runs } = shrink(plan, first.promise);
    if cuts.is_empty() {
        return Ok(text + &log::readable(&run.lines));
    }
    let smaller = run_plan(plan, true)?;
    text += &format!(
        "a smaller world, found in {runs} runs, breaks {} too: {}\n{}{}",
        first.promise,
        replay(seed, broken, &cuts),
        violations(&smaller),
        log::readable(&smaller.lines)
    );
    Ok(text)
}

/// The promises that a run broke, one on a line.
pub fn violations(run: &Run) -> String {
    let one = |Violation { promise, what }: &Violation| format!("  {promise}: {what}\n");
    run.broken.iter().map(one).collect()
}
