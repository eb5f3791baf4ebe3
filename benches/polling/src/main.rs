//! `cargo polling`: see the text of the library.

use std::{fs, io::Write, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use landfall_benches_polling::{picture, simulate::Trial, table, trace::MEDIANS};
use landfall_polling::Bounds;

/// Tries the poll policy over traces of jobs, in simulated time, beside fixed and growing waits.
#[derive(Parser)]
#[command(name = "cargo polling")]
struct Arguments {
    /// Shortest wait, in seconds.
    #[arg(long, default_value_t = 2)]
    min: u64,
    /// Longest wait, in seconds.
    #[arg(long, default_value_t = 1800)]
    max: u64,
    /// Medians of the durations, in seconds.
    #[arg(long = "median", value_delimiter = ',', default_values_t = MEDIANS)]
    medians: Vec<f64>,
    /// Requests of each median.
    #[arg(long, default_value_t = 2)]
    requests: u64,
    /// Runs of each request.
    #[arg(long, default_value_t = 60)]
    runs: usize,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Draws the scores into this file.
    #[arg(long)]
    svg: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let bounds = Bounds {
        min: Duration::from_secs(arguments.min.max(1)),
        max: Duration::from_secs(arguments.max.max(arguments.min)),
    };
    let results = table::results(&Trial {
        bounds,
        medians: arguments.medians,
        requests: arguments.requests,
        runs: arguments.runs,
        seed: arguments.seed,
    });
    writeln!(std::io::stdout(), "{}", table::table(&results))?;
    if let Some(path) = arguments.svg {
        fs::write(&path, picture::draw(&results)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
