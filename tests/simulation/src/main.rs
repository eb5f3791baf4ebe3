//! `cargo simulate`: runs seeds, or one of them with its timeline.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use landfall_simulation::{
    Run, failure,
    load::{self, Load},
    log, plan,
    plan::Broken,
    run, run_plan,
    seen::Seen,
    shrink::{Cut, cut},
    tally::Counted,
    violations,
};

/// How often a log is told how far it is.
const TOLD: u64 = 100;

/// Runs the functions in simulated worlds, each of which follows from its seed, and holds them against every promise.
#[derive(Debug, Parser)]
#[command(name = "simulate", bin_name = "cargo simulate")]
struct Arguments {
    /// Run this seed alone and show its timeline.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Leave parts of that seed's plan out, as a failing seed prints them: `delivery:1,fault:0,outage`.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', requires = "seed")]
    without: Vec<Cut>,
    /// Run that seed in a world that does not keep its word, to see what a failing seed shows.
    #[arg(long, requires = "seed")]
    broken: Option<Broken>,
    /// How many seeds to run.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many at a time; as many as there are processors if it is not said.
    #[arg(long)]
    jobs: Option<usize>,
    /// After how many failing seeds to stop.
    #[arg(long, default_value_t = 5)]
    failures: usize,
    /// Run this many jobs at a time instead, and count what they ask; `2500,5000` runs two loads, one after the other.
    #[arg(long, value_name = "JOBS", value_delimiter = ',', conflicts_with_all = ["seed", "seeds", "from"])]
    load: Vec<u32>,
    /// How many of them may run at a time; 0 for any number. The others stand in line.
    #[arg(long, default_value_t = 0, requires = "load")]
    max_running: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.seed {
        _ if !arguments.load.is_empty() => many_jobs(&arguments.load, arguments.max_running).map(|()| true),
        Some(seed) => one(seed, arguments.broken, &arguments.without),
        None => many(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("{error:#}\n"), true);
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::print_stdout, clippy::print_stderr)]
fn say(text: &str, to_stderr: bool) {
    if to_stderr {
        eprint!("{text}");
    } else {
        print!("{text}");
    }
}

fn one(seed: u64, broken: Option<Broken>, without: &[Cut]) -> Result<bool> {
    let run = run_plan(cut(plan(seed, broken)?, without)?, true)?;
    let keeps_all = run.broken.is_empty();
    let text = match (keeps_all, without) {
        (true, _) => format!("{}seed {seed} keeps every promise\n", log::readable(&run.lines)),
        (false, []) => failure(seed, broken)?,
        // What was made smaller before is shown as it is.
        (false, _) => format!("{}{}", log::readable(&run.lines), violations(&run)),
    };
    say(&text, false);
    Ok(keeps_all)
}

/// Jobs of half an hour, whose triggers come within ten minutes.
fn many_jobs(loads: &[u32], max_running: u64) -> Result<()> {
    for &jobs in loads {
        let begun = Instant::now();
        let measured = load::run(&Load {
            jobs,
            within: Duration::from_secs(600),
            duration: Duration::from_secs(1800),
            max_running,
        })?;
        let mut text = format!(
            "{jobs} jobs, {} of them in flight at once, in {:.1} hours of virtual time; {:.0} s here{}\n",
            measured.most_in_flight,
            measured.took.as_secs_f64() / 3600.0,
            begun.elapsed().as_secs_f64(),
            peak_memory().map_or_else(String::new, |bytes| format!(", at most {} MB", bytes / 1_000_000)),
        );
        for (what, name) in Counted::ALL {
            let (all, most) = measured.tally.all_and_most(what);
            let of_job = all as f64 / f64::from(jobs.max(1));
            text += &format!("  {name:<18} {all:>9} = {of_job:>6.1} a job, {most:>6} in the busiest second\n");
        }
        say(&text, false);
    }
    Ok(())
}

/// The most memory that this process had resident, where Linux tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// What all seeds come to.
#[derive(Default)]
struct Sum {
    harms: u64,
    seen: Seen,
    virtual_time: Duration,
    failed: Vec<u64>,
    promises: BTreeMap<&'static str, u64>,
    error: Option<anyhow::Error>,
}

fn many(arguments: &Arguments) -> Result<bool> {
    let jobs = arguments
        .jobs
        .or_else(|| thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    let style = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} seeds, {per_sec}, {eta} left {msg}")?;
    let bar = ProgressBar::new(arguments.seeds).with_style(style);
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from.saturating_add(arguments.seeds);
    let sum = Mutex::new(Sum::default());
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let is_over = {
                        let sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                        sum.failed.len() >= arguments.failures || sum.error.is_some()
                    };
                    if seed >= end || is_over {
                        return;
                    }
                    let run = run(seed, false);
                    add(&sum, seed, run, &bar);
                    bar.inc(1);
                    tell(&bar, arguments.seeds);
                }
            });
        }
    });
    bar.finish_and_clear();
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = sum.error {
        return Err(error);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let ran = bar.position();
    say(
        &format!(
            "{ran} seeds in {seconds:.1} s, {:.0} a second; {} faults; {:.0} days of virtual time\n",
            ran as f64 / seconds,
            sum.harms,
            sum.virtual_time.as_secs_f64() / 86_400.0,
        ),
        false,
    );
    for (name, count) in &sum.seen {
        say(&format!("  {count:>9}  {name}\n"), false);
    }
    for (promise, count) in &sum.promises {
        say(&format!("  {promise}: broken by {count} seeds\n"), false);
    }
    let mut failed = sum.failed;
    failed.sort_unstable();
    if let Some(first) = failed.first() {
        say(&format!("  seeds {failed:?}\n"), false);
        say(&failure(*first, None)?, false);
    }
    Ok(failed.is_empty())
}

/// Says how far it is where nobody sees the bar, such as in a log.
fn tell(bar: &ProgressBar, seeds: u64) {
    let done = bar.position();
    if bar.is_hidden() && done.is_multiple_of(seeds.div_ceil(TOLD).max(1)) {
        let text = format!("simulate: {done} of {seeds} seeds {}\n", bar.message());
        say(&text, true);
    }
}

fn add(sum: &Mutex<Sum>, seed: u64, run: Result<Run>, bar: &ProgressBar) {
    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
    match run {
        Ok(run) => {
            sum.harms += u64::from(run.harms);
            for (name, count) in run.seen {
                *sum.seen.entry(name).or_default() += count;
            }
            sum.virtual_time += run.took;
            if !run.broken.is_empty() {
                sum.failed.push(seed);
                // Also where the run is ended before its sum.
                bar.suspend(|| say(&format!("simulate: seed {seed} breaks a promise\n"), true));
                bar.set_message(format!("· {} failed", sum.failed.len()));
            }
            let mut promises: Vec<_> = run.broken.iter().map(|violation| violation.promise).collect();
            promises.sort_unstable();
            promises.dedup();
            for promise in promises {
                *sum.promises.entry(promise).or_default() += 1;
            }
        }
        Err(error) => sum.error = Some(error.context(format!("seed {seed}"))),
    }
}
