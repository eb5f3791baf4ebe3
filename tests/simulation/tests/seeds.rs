//! Runs thousands of seeds, and shows that the promises can be broken.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use anyhow::Result;
use landfall_simulation::{
    failure,
    faults::Fault,
    kinds::Kind,
    plan,
    plan::{Broken, Meddling},
    run, run_plan,
    shrink::{Cut, cut},
};

/// The seeds that the tests run; `cargo simulate` runs more.
const SEEDS: u64 = 2_000;

/// Later seeds that once broke a promise, or showed that a promise was too strict.
const ONCE_BROKE: [u64; 3] = [12_155, 103_598, 118_155];

/// Situations that must come about in these seeds, because a promise is only tested by what challenges it.
const MUST_COME_ABOUT: &[&str] = &[
    "ambiguous start",
    "announced Export Job Resumed",
    "announced Export Job Stalled",
    "cancelled Started",
    "cancelled Waiting",
    "cancelled and picked up",
    "cancelled and sealed by another",
    "failure Landfall.Unreachable",
    "orphan",
    "picked up",
    "redrive",
    "rejected delivery",
    "second attempt",
    "somebody else Delete",
    "somebody else Notes",
    "somebody else Overwrite",
    "somebody else Pointer",
    "somebody else Receipt",
    "stale start",
    "stalled by Lambda",
    "stalled by Refusal",
    "start that never left",
];

/// Runs something for each number, on all processors.
fn for_each(numbers: impl Iterator<Item = u64>, run: impl Fn(u64) -> Result<Option<String>> + Sync) -> Vec<String> {
    let numbers: Vec<u64> = numbers.collect();
    let next = AtomicU64::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let work = || {
            let mut found = Vec::new();
            while let Some(number) = numbers.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                match run(*number) {
                    Ok(text) => found.extend(text),
                    Err(error) => found.push(format!("seed {number}: {error:#}")),
                }
                if found.len() > 3 {
                    break;
                }
            }
            found
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn every_promise_is_kept() {
    let seen = Mutex::new(BTreeSet::new());
    let failed = for_each((0..SEEDS).chain(ONCE_BROKE), |seed| {
        let done = run(seed, false)?;
        if done.broken.is_empty() {
            seen.lock().unwrap().extend(done.seen.into_keys());
            return Ok(None);
        }
        failure(seed, None).map(Some)
    });
    assert!(
        failed.is_empty(),
        "{} seeds failed\n{}",
        failed.len(),
        failed.join("\n")
    );
    let seen = seen.into_inner().unwrap();
    let ends = Kind::all()
        .iter()
        .flat_map(|kind| ["failure", "success"].map(|end| format!("{} {end}", kind.name)));
    let wanted = MUST_COME_ABOUT.iter().map(ToString::to_string).chain(ends);
    let missing: Vec<_> = wanted.filter(|name| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?} must come about in these seeds");
    for fault in Fault::ALL {
        assert!(
            seen.contains(&format!("fault {fault:?}")),
            "some call must meet {fault:?}"
        );
    }
}

#[test]
fn a_seed_is_the_same_every_time() {
    let failed = for_each(0..20, |seed| {
        let (one, other) = (run(seed, true)?, run(seed, true)?);
        let differs = one.lines != other.lines || one.print != other.print || one.took != other.took;
        Ok(differs.then(|| format!("seed {seed} differs from itself")))
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// Whether one of some hundred seeds breaks this promise in a world with a broken rule.
fn is_found(broken: Broken, promise: &str) -> bool {
    let found = AtomicBool::new(false);
    for_each(0..400, |seed| {
        if found.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let run = run_plan(plan(seed, Some(broken))?, false)?;
        if run.broken.iter().any(|violation| violation.promise == promise) {
            found.store(true, Ordering::Relaxed);
        }
        Ok(None)
    });
    found.into_inner()
}

#[test]
fn an_s3_that_overwrites_is_found_out() {
    assert!(is_found(Broken::IgnoresAbsent, "starts-are-bounded"));
}

#[test]
fn an_s3_that_ignores_if_match_is_found_out() {
    assert!(is_found(Broken::IgnoresMatch, "no-job-is-forgotten"));
}

#[test]
fn a_client_that_starts_twice_is_found_out() {
    assert!(is_found(Broken::StartsTwice, "starts-are-bounded"));
}

/// One delivery in a calm world is enough for a client that starts twice to break its promise: all else is left out.
#[test]
fn a_failing_seed_shrinks() {
    const PROMISE: &str = "starts-are-bounded";
    let breaks = |run: &landfall_simulation::Run| run.broken.iter().any(|violation| violation.promise == PROMISE);
    let is_large = |seed: &u64| {
        let plan = plan(*seed, Some(Broken::StartsTwice)).unwrap();
        plan.deliveries.len() >= 4
            && plan.weather.budget >= 3
            && plan.meddling != Meddling::None
            && run_plan(plan, false).is_ok_and(|run| run.broken.first().is_some_and(|first| first.promise == PROMISE))
    };
    let seed = (0..2_000).find(is_large).expect("a large plan that breaks it");
    let told = failure(seed, Some(Broken::StartsTwice)).unwrap();
    let whole = format!("replay it with: cargo simulate --seed {seed} --broken starts-twice\n");
    assert!(told.contains(&whole), "{told}");
    let command = format!("too: cargo simulate --seed {seed} --broken starts-twice --without ");
    let (_, cuts) = told.split_once(&command).unwrap_or_else(|| panic!("{told}"));
    let cuts = cuts.lines().next().unwrap().split(',').map(|cut| cut.parse().unwrap());
    let cuts: Vec<Cut> = cuts.collect();
    let smallest = cut(plan(seed, Some(Broken::StartsTwice)).unwrap(), &cuts).unwrap();
    assert!(breaks(&run_plan(smallest.clone(), false).unwrap()), "{told}");
    let weather = &smallest.weather;
    assert_eq!((smallest.deliveries.len(), weather.budget), (1, 0), "{told}");
    assert!(weather.outage.is_none() && weather.stall.is_none(), "{told}");
    assert_eq!(smallest.meddling, Meddling::None, "{told}");
}
