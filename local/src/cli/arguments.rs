//! What the command line takes.
//!
//! What must stay true: a value that cannot be meant is refused here, before anything is built or started.

use std::{fmt::Display, path::PathBuf, str::FromStr, time::Duration};

use anyhow::{Result, bail};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum, builder::PossibleValuesParser};
use landfall_local::{
    functions::{KINDS, Kind},
    simulated::{
        customer_profiles::{self, Settings},
        pinpoint, quicksight,
        scenario::description,
    },
};
use strum::{EnumMessage, VariantNames};

/// What a run and its exit status mean.
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
    /// Keeps the local world up, for the aws command, boto3 and cargo lambda.
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
    /// Keeps exported files, receipts, execution histories and logs in this folder, in place of a run that it keeps
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
    /// Kinds of job to serve; each one's functions are compiled
    #[arg(long = "kind", value_name = "KIND", value_parser = PossibleValuesParser::new(KINDS.iter().map(|kind| kind.name)),
          default_values_t = [KINDS[0].name.to_owned()])]
    pub(super) kinds: Vec<String>,
    #[command(flatten)]
    pub(super) simulation: Simulation,
    /// Port to listen on; a free one if not given
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(super) port: u16,
}

#[derive(Debug, Args)]
pub(super) struct Simulation {
    /// Profiles in the simulated segment
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(super) profiles: Option<u64>,
    /// How long a simulated job runs
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

/// The command line as it is parsed: `--scenario` lists its scenarios once, in the help of a run.
pub(super) fn command() -> clap::Command {
    Cli::command().mut_subcommand("serve", |serve| {
        serve.mut_arg("scenario", |scenario| {
            scenario.long_help("What goes wrong in the simulated service; `cargo local --help` lists the scenarios")
        })
    })
}

/// The names of all scenarios, of whatever service: each service knows some of them.
fn scenarios() -> Vec<&'static str> {
    let mut names = <customer_profiles::Scenario as VariantNames>::VARIANTS.to_vec();
    let pinpoint = <pinpoint::Scenario as VariantNames>::VARIANTS.iter();
    let quicksight = <quicksight::Scenario as VariantNames>::VARIANTS.iter();
    for name in pinpoint.chain(quicksight) {
        if !names.contains(name) {
            names.push(name);
        }
    }
    names
}

fn scenario_help() -> String {
    fn add(help: &mut String, kinds: &str, all: &[impl Display + EnumMessage]) {
        let width = scenarios().iter().map(|name| name.len()).max().unwrap_or(0);
        help.push_str(&format!("\n{kinds}:\n"));
        for scenario in all {
            let name = scenario.to_string();
            help.push_str(&format!("  {name:<width$}  {}\n", description(scenario)));
        }
    }
    let mut help = "What goes wrong in the simulated service.\n".to_owned();
    add(&mut help, "Segment snapshots", customer_profiles::Scenario::ALL);
    add(&mut help, "Endpoint exports and imports", pinpoint::Scenario::ALL);
    add(&mut help, "Dashboard snapshots", quicksight::Scenario::ALL);
    help
}

/// The kinds that each service serves.
pub(super) const CUSTOMER_PROFILES: &[&str] = &["segment-snapshot"];

const PINPOINT: &[&str] = &["endpoint-export", "endpoint-import"];

const QUICK_SIGHT: &[&str] = &["dashboard-snapshot"];

/// Whether the service of `served` is used.
fn uses(kinds: &[Kind], served: &[&str]) -> bool {
    kinds.iter().any(|kind| served.contains(&kind.name))
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
    pub(super) fn settings(&self, kinds: &[Kind]) -> Settings {
        let mut settings = Settings::default();
        if let Some(profiles) = self.profiles {
            settings.profiles = profiles;
        }
        if let Some(duration) = self.duration {
            settings.duration = duration;
        }
        settings.scenario = self.scenario_of(CUSTOMER_PROFILES, kinds);
        settings
    }

    pub(super) fn pinpoint(&self, kinds: &[Kind]) -> pinpoint::Settings {
        let mut settings = pinpoint::Settings::default();
        if let Some(profiles) = self.profiles {
            settings.endpoints = profiles;
        }
        if let Some(duration) = self.duration {
            settings.duration = duration;
        }
        settings.scenario = self.scenario_of(PINPOINT, kinds);
        settings
    }

    pub(super) fn quicksight(&self, kinds: &[Kind]) -> quicksight::Settings {
        let mut settings = quicksight::Settings::default();
        if let Some(rows) = self.profiles {
            settings.rows = rows;
        }
        if let Some(duration) = self.duration {
            settings.duration = duration;
        }
        settings.scenario = self.scenario_of(QUICK_SIGHT, kinds);
        settings
    }

    /// The scenario of the service that serves `served`: where several services run, those that know it play it.
    pub(super) fn scenario_of<S: FromStr + Default>(&self, served: &[&str], kinds: &[Kind]) -> S {
        let name = self.scenario.as_ref().filter(|_| uses(kinds, served));
        name.and_then(|name| name.parse().ok()).unwrap_or_default()
    }

    /// Fails if there is a scenario and no service that runs knows it.
    pub(super) fn check(&self, kinds: &[Kind]) -> Result<()> {
        let Some(name) = &self.scenario else { return Ok(()) };
        let asked = [
            uses(kinds, CUSTOMER_PROFILES).then(|| name.parse::<customer_profiles::Scenario>().err()),
            uses(kinds, PINPOINT).then(|| name.parse::<pinpoint::Scenario>().err()),
            uses(kinds, QUICK_SIGHT).then(|| name.parse::<quicksight::Scenario>().err()),
        ];
        let mut reasons = Vec::new();
        for unknown in asked.into_iter().flatten() {
            match unknown {
                None => return Ok(()),
                Some(unknown) => reasons.push(unknown.to_string()),
            }
        }
        if reasons.is_empty() {
            bail!("--scenario {name}: the events ask for no service that could play it");
        }
        bail!("--scenario: {}", reasons.join("; "))
    }
}

#[cfg(test)]
mod tests;
