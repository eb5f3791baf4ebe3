//! The arguments of the command line.
//!
//! What must stay true: a value that makes no sense is refused here, before anything is built or started.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, builder::PossibleValuesParser};
use landfall_local::{
    kinds::{self, KINDS, Kind},
    simulated::simulator::{Asked, Recipe},
};

/// What a run does and what its exit status means, for `--help`.
const RUN_HELP: &str = "\
A job has two minutes here, and six hours where it is deployed, unless its event says Landfall.DeadlineSeconds.
Members that EventBridge gives to every event (id, time, account, region, …) may be left out of the file.
All events of one command share one local world, so that a PickUp finds the job of an event before it.

Exit status:
  0    every delivery ended in a sealed success, and its receipt could be read
  1    a delivery ended otherwise; the named error is the last thing on stderr
  2    it could not be run: wrong usage, a file that cannot be read, a build or an installation that failed
  130  interrupted";

/// Runs export jobs on this machine: the deployed state machine and the real function binaries, against simulated
/// services.
#[derive(Debug, Parser)]
#[command(
    name = "cargo local",
    bin_name = "cargo local",
    version,
    after_help = RUN_HELP,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) run: Run,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Keeps the local world running, for the aws command, boto3 and cargo lambda.
    Serve(Serve),
}

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Event files, such as events/segment-snapshot.json; delivered one after the other
    #[arg(required = true, value_name = "EVENT")]
    pub(super) events: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) simulation: Simulation,
    /// Sets detail.DataFormat of the events
    #[arg(long, value_name = "FORMAT", ignore_case = true)]
    pub(super) format: Option<Format>,
    /// Delivers each event this many times at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(super) repeat: u16,
    /// Keeps exported files, receipts, execution histories and logs in this folder, and replaces an earlier run there
    #[arg(long, value_name = "FOLDER")]
    pub(super) out: Option<PathBuf>,
    /// Prints one JSON document instead of tables: docs/schema/run.schema.json, or error.schema.json with status 2
    #[arg(long)]
    pub(super) json: bool,
    /// Shows every wait and every poll, and the checks that do not apply
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Kinds of job to serve; the functions of each are compiled
    #[arg(long = "kind", value_name = "KIND", value_parser = PossibleValuesParser::new(KINDS.iter().map(|kind| kind.name)),
          default_values_t = [KINDS[0].name.to_owned()])]
    pub(super) kinds: Vec<String>,
    #[command(flatten)]
    pub(super) simulation: Simulation,
    /// Port to listen on; if not given, a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(super) port: u16,
}

#[derive(Debug, Args)]
pub(super) struct Simulation {
    /// Profiles in the simulated segment
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(super) profiles: Option<u64>,
    /// How long a simulated job takes
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    pub(super) duration: Option<Duration>,
    /// What goes wrong in the simulated service
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(scenarios()), hide_possible_values = true,
          long_help = scenario_help())]
    pub(super) scenario: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    #[value(name = "CSV")]
    Csv,
    #[value(name = "JSONL")]
    Jsonl,
    #[value(name = "ORC")]
    Orc,
}

/// The command line as it is parsed. The help of a run lists the scenarios, and the help of `serve` does not repeat
/// them.
pub(super) fn command() -> clap::Command {
    Cli::command().mut_subcommand("serve", |serve| {
        serve.mut_arg("scenario", |scenario| {
            scenario.long_help("What goes wrong in the simulated service; `cargo local --help` lists the scenarios")
        })
    })
}

/// The names of all scenarios. Each service knows some of them.
fn scenarios() -> Vec<&'static str> {
    let mut names = Vec::new();
    for (name, _) in kinds::services(&KINDS).iter().flat_map(|service| (service.scenarios)()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn scenario_help() -> String {
    let width = scenarios().iter().map(|name| name.len()).max().unwrap_or(0);
    let mut help = "What goes wrong in the simulated service.\n".to_owned();
    for service in kinds::services(&KINDS) {
        help += &format!("\n{}:\n", service.jobs);
        for (name, about) in (service.scenarios)() {
            help += &format!("  {name:<width$}  {about}\n");
        }
    }
    help
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "it is not a number of seconds from 0 to 3600, such as 1.5".to_owned();
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if !(0.0..=3600.0).contains(&seconds) {
        return Err(wrong());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

impl Simulation {
    /// The simulated services of these kinds, as they were asked for. The services that know the scenario play it.
    /// Fails if there is a scenario that no service here knows.
    pub(super) fn services(&self, kinds: &[Kind]) -> Result<Vec<Recipe>> {
        let asked = Asked {
            rows: self.profiles,
            duration: self.duration,
            ..Asked::default()
        };
        let (mut recipes, mut reasons) = (Vec::new(), Vec::new());
        let services = kinds::services(kinds);
        for service in &services {
            match (service.recipe)(&asked, self.scenario.as_deref()) {
                Ok(recipe) => recipes.push(recipe),
                Err(unknown) => {
                    reasons.push(unknown.to_string());
                    recipes.push((service.recipe)(&asked, None)?);
                }
            }
        }
        match &self.scenario {
            Some(name) if services.is_empty() => {
                bail!("--scenario {name}: the events ask for no service that could play it")
            }
            Some(_) if reasons.len() == services.len() => bail!("--scenario: {}", reasons.join("; ")),
            _ => Ok(recipes),
        }
    }
}

#[cfg(test)]
mod tests;
