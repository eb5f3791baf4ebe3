//! Counts what many jobs at a time ask of Step Functions, Lambda, the service and the ledger, in total and in the
//! busiest second.
//!
//! What must stay true: the handlers and the definition are the deployed ones, every request is counted where it
//! arrives, and time is simulated, so that the counts depend only on the load.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::{
    aftermath::Aftermath,
    faults::Weather,
    kinds::{Character, EXPORTS, Kind, with_options},
    machine::End,
    plan::{Delivery, Meddling, Plan},
    tally::{Counted, Tally},
    time::BEGINNING,
    world,
};

/// A load of segment snapshots, each with a request of its own, at the template's defaults, in as many domains as the
/// quota of a day requires.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub jobs: u32,
    /// The triggers come evenly in this time.
    pub within: Duration,
    /// How long a job runs at the service.
    pub duration: Duration,
    /// How many jobs may run at a time; 0 means any number.
    pub max_running: u64,
}

/// The quota of Customer Profiles for snapshots a day in a domain.
const SNAPSHOTS_A_DAY: u32 = 200;

/// What was measured under a load.
#[derive(Debug)]
pub struct Measured {
    pub tally: Arc<Tally>,
    /// The most jobs that were started but not yet sealed at one time.
    pub most_in_flight: usize,
    /// From the first trigger to the last receipt.
    pub took: Duration,
}

/// Runs a load to its end.
///
/// # Errors
/// If a job does not succeed.
pub fn run(load: &Load) -> Result<Measured> {
    let tally = Arc::new(Tally::default());
    let after = world::run_counted(plan(load)?, &tally)?;
    for ended in &after.ended {
        ensure!(
            matches!(ended.end, End::Succeeded(_)),
            "delivery {} did not succeed: {:?}",
            ended.delivery,
            ended.end
        );
    }
    for passed in &after.passed {
        let at = (passed.at - BEGINNING).to_std().unwrap_or_default();
        tally.count(Counted::Transition, at);
        if matches!(passed.state.as_str(), "Start" | "Poll" | "Verify" | "Seal") {
            tally.count(Counted::Invocation, at);
        }
    }
    Ok(Measured {
        most_in_flight: most_in_flight(&after),
        took: after.took,
        tally,
    })
}

/// The most jobs that were started but not yet sealed at one time.
fn most_in_flight(after: &Aftermath) -> usize {
    let started = after.starts.all().into_iter().map(|start| (start.begun_at, 1));
    let sealed = after.passed.iter().filter(|passed| passed.state == "Seal");
    let sealed = sealed.map(|passed| ((passed.at - BEGINNING).to_std().unwrap_or_default(), -1));
    let mut changes: Vec<(Duration, isize)> = started.chain(sealed).collect();
    changes.sort_unstable();
    let running = changes.iter().scan(0_isize, |running, (_, change)| {
        *running += change;
        Some(*running)
    });
    running
        .max()
        .and_then(|most| usize::try_from(most).ok())
        .unwrap_or_default()
}

fn plan(load: &Load) -> Result<Plan> {
    let kind = Kind::all().first().context("there is no kind")?.clone();
    let deadline = Duration::from_secs(86_400);
    let sample = kind.event()?;
    let deliveries = (0..load.jobs).map(|number| {
        let mut event = sample.clone();
        event["id"] = json!(format!("00000000-0000-4000-8000-{number:012}"));
        event["detail"]["DomainName"] = json!(format!("domain-{}", number / SNAPSHOTS_A_DAY));
        event["detail"]["SegmentDefinitionName"] = json!(format!("segment-{number}"));
        event["detail"]["DestinationUri"] = json!(format!("s3://{EXPORTS}/{}segment-{number}/", kind.destination));
        Delivery {
            number: u64::from(number),
            trigger: number as usize,
            at: load.within * number / load.jobs.max(1),
            event: with_options(event, json!({ "DeadlineSeconds": deadline.as_secs() })),
        }
    });
    Ok(Plan {
        seed: 0,
        pick_up: None,
        max_running: load.max_running,
        max_starts_per_day: 0,
        weather: Weather::calm(),
        character: Character {
            scenario: "success",
            may_succeed: true,
            is_healthy: true,
            rows: 9,
            files: 3,
            duration: load.duration,
            at_once: usize::MAX,
        },
        meddling: Meddling::None,
        stale: false,
        deliveries: deliveries.collect(),
        deadline,
        settle: 5,
        strict: true,
        slices: false,
        broken: None,
        kind,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_the_jobs_make_twice_the_requests() {
        let load = |jobs| Load {
            jobs,
            within: Duration::from_secs(60),
            duration: Duration::from_secs(600),
            max_running: 0,
        };
        let [one, two] = [8, 16].map(|jobs| run(&load(jobs)).unwrap());
        assert_eq!((one.most_in_flight, two.most_in_flight), (8, 16));
        for (what, name) in Counted::ALL {
            let ((one, _), (two, most)) = (one.tally.all_and_most(what), two.tally.all_and_most(what));
            assert!(one > 0 && most > 0, "{name}");
            assert!(two.abs_diff(one * 2) * 20 <= two, "{name}: {one}, then {two}");
        }
        assert_eq!(one.tally.all_and_most(Counted::ServiceStart).0, 8);
    }

    #[test]
    fn no_more_jobs_run_than_the_queue_allows() {
        let measured = run(&Load {
            jobs: 9,
            within: Duration::from_secs(60),
            duration: Duration::from_secs(300),
            max_running: 2,
        });
        let measured = measured.unwrap();
        assert_eq!(measured.most_in_flight, 2);
        assert_eq!(measured.tally.all_and_most(Counted::ServiceStart).0, 9);
    }
}
