//! The command line.
//!
//! What must stay true: progress goes to stderr and the result to stdout; the exit status is 0 only if every delivery
//! ended in a sealed success whose receipt could be read; otherwise the named error is the last thing on stderr. Of
//! `verify` it is 0 only if the output may be used, 1 if it may not, and 2 if that could not be found out.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::{
    fmt::Display,
    io::{ErrorKind, IsTerminal, Write},
    path::{Component, Path, PathBuf},
    process::ExitCode,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use landfall::{expect::Expectations, job::Level};
use landfall_formats::Format as DataFormat;
use landfall_local::{
    deploy::{EXPORTS, LEDGER, REGION},
    event,
    functions::{BATCH, KINDS, Kind, SEAL, VERIFY},
    places,
    present::{self, Delivery, Layout, Narrator, Paint, Tone},
    python,
    simulated::{
        customer_profiles::{self, Settings},
        pinpoint, quicksight,
        scenario::description,
    },
    verify::{
        self, Access, Ask, Place, Progress,
        kept::{DELIVERIES, DELIVERY, is_kept},
    },
    watch::message_of,
    world::{Execution, Finished, Options, World},
};
use serde_json::{Value, json};
use strum::{EnumMessage, VariantNames};

/// Runs export jobs on this machine: the deployed state machine and the real function binaries, against simulated
/// services.
#[derive(Debug, Parser)]
#[command(
    name = "cargo local",
    bin_name = "cargo local",
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keeps the local world up, for the aws command, boto3 and cargo lambda.
    Serve(Serve),
    /// Verifies any prefix or folder as the deployed function does, and holds it against a receipt.
    Verify(Box<Verify>),
}

#[derive(Debug, Args)]
struct Run {
    /// Event files, such as events/segment-snapshot.json; delivered one after the other
    #[arg(required = true, value_name = "EVENT")]
    events: Vec<PathBuf>,
    #[command(flatten)]
    simulation: Simulation,
    /// Sets detail.DataFormat of the events
    #[arg(long, value_name = "FORMAT", ignore_case = true)]
    format: Option<Format>,
    /// Delivers each event this many times at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    repeat: u16,
    /// Keeps exported files, receipts, execution histories and logs in this folder, in place of a run that it keeps
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Prints one JSON document instead of tables
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Serve {
    /// Kinds of job to serve; each one's functions are compiled
    #[arg(long = "kind", value_name = "KIND", value_parser = PossibleValuesParser::new(KINDS.iter().map(|kind| kind.name)),
          default_values_t = [KINDS[0].name.to_owned()])]
    kinds: Vec<String>,
    #[command(flatten)]
    simulation: Simulation,
    /// Port to listen on; a free one if not given
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
}

/// How the exit status is to be read, and where credentials come from.
const VERIFY_HELP: &str = "\
Exit status:
  0  the output passed, with or without warnings, and is what the receipt sealed
  1  the output is rejected, or differs from the receipt, or the receipt is that of a failed job
  2  it could not be checked: wrong usage, no such place, no access

Credentials for S3 come from the environment, the keys and roles of the profile, or the container's or instance's
role. Of a profile that signs in by SSO or by a process take them with
  eval \"$(aws configure export-credentials --profile NAME --format env)\"
It takes s3:ListBucket and s3:GetObject (and kms:Decrypt for a key of one's own); nothing is written.";

/// Verifies any prefix or folder as the deployed function does, and holds it against a receipt.
#[derive(Debug, Args)]
#[command(after_help = VERIFY_HELP)]
struct Verify {
    /// What to verify: s3://bucket/prefix/ or a folder, also one that --out of a run wrote; the receipt's own prefix if
    /// only --receipt s3://… is given
    #[arg(value_name = "PREFIX|FOLDER", required_unless_present = "receipt")]
    place: Option<Place>,
    /// The format that was asked for; recognised by the first files if not given
    #[arg(long, value_name = "FORMAT", ignore_case = true, value_parser = data_format())]
    format: Option<DataFormat>,
    /// How much is looked at: keys, sizes and times; also headers, footers and directories; every byte. With a receipt,
    /// listing makes no checks unless more is asked for
    #[arg(long, value_name = "LEVEL", default_value = Level::Full.name(), value_parser = level())]
    level: Level,
    /// When the job was started, such as 2026-11-01T05:00:00Z; nothing may be older
    #[arg(long, value_name = "TIME")]
    started_at: Option<DateTime<Utc>>,
    /// The number of rows that there must be
    #[arg(long, value_name = "N")]
    rows: Option<u64>,
    /// Data without a row is good
    #[arg(long)]
    allow_empty: bool,
    /// The KMS key by which everything must be encrypted: ARN, id or alias
    #[arg(long, value_name = "KEY")]
    kms_key: Option<String>,
    /// Time between the two listings that must be equal; 5 for S3 and 0 for a folder if not given
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    settle: Option<Duration>,
    /// What else is expected, as Landfall.Verification.Expect of an event has it: a file, or the JSON itself
    #[arg(long, value_name = "FILE|JSON")]
    expect: Option<String>,
    /// Holds what is there against this receipt: what changed, vanished or was added
    #[arg(long, value_name = "FILE|s3://…")]
    receipt: Option<Place>,
    /// Prints one JSON document instead of tables
    #[arg(long)]
    json: bool,
    /// Profile of the AWS configuration
    #[arg(long, value_name = "NAME", help_heading = "S3")]
    profile: Option<String>,
    /// The bucket's region
    #[arg(long, value_name = "REGION", help_heading = "S3")]
    region: Option<String>,
    /// Another S3 server, such as that of cargo local serve
    #[arg(long, value_name = "URL", help_heading = "S3", value_parser = url)]
    endpoint_url: Option<String>,
    /// The account that must own the bucket
    #[arg(long, value_name = "ACCOUNT", help_heading = "S3", value_parser = account)]
    expected_bucket_owner: Option<String>,
}

fn data_format() -> impl TypedValueParser<Value = DataFormat> {
    PossibleValuesParser::new(DataFormat::ALL.map(DataFormat::name)).try_map(|name| {
        let named = |format: &DataFormat| format.name().eq_ignore_ascii_case(&name);
        DataFormat::ALL.into_iter().find(named).ok_or("it is no format")
    })
}

fn level() -> impl TypedValueParser<Value = Level> {
    const ALL: [Level; 3] = [Level::Listing, Level::Structure, Level::Full];
    PossibleValuesParser::new(ALL.map(Level::name)).try_map(|name| {
        let named = |level: &Level| level.name() == name;
        ALL.into_iter().find(named).ok_or("it is no level")
    })
}

fn url(text: &str) -> Result<String, String> {
    let is_url = text.parse::<http::Uri>().is_ok_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some_and(|host| !host.is_empty())
    });
    if is_url {
        Ok(text.to_owned())
    } else {
        Err("it is not http://HOST:PORT or https://HOST".to_owned())
    }
}

fn account(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|c| c.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("an account id has 12 digits".to_owned())
    }
}

#[derive(Debug, Args)]
struct Simulation {
    /// Profiles in the simulated segment
    #[arg(long, value_name = "N")]
    profiles: Option<u64>,
    /// How long a simulated job runs
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<Duration>,
    /// What goes wrong in the simulated service
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(scenarios()), hide_possible_values = true,
          long_help = scenario_help())]
    scenario: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    #[value(name = "CSV")]
    Csv,
    #[value(name = "JSONL")]
    Jsonl,
    #[value(name = "ORC")]
    Orc,
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
const CUSTOMER_PROFILES: &[&str] = &["segment-snapshot"];
const PINPOINT: &[&str] = &["endpoint-export", "endpoint-import"];
const QUICK_SIGHT: &[&str] = &["dashboard-snapshot"];

/// Whether the service of `served` is used.
fn uses(kinds: &[Kind], served: &[&str]) -> bool {
    kinds.iter().any(|kind| served.contains(&kind.name))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is not a number of seconds from 0 to 3600");
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if !(0.0..=3600.0).contains(&seconds) {
        return Err(wrong());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

impl Simulation {
    fn settings(&self, kinds: &[Kind]) -> Settings {
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

    fn pinpoint(&self, kinds: &[Kind]) -> pinpoint::Settings {
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

    fn quicksight(&self, kinds: &[Kind]) -> quicksight::Settings {
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
    fn scenario_of<S: FromStr + Default>(&self, served: &[&str], kinds: &[Kind]) -> S {
        let name = self.scenario.as_ref().filter(|_| uses(kinds, served));
        name.and_then(|name| name.parse().ok()).unwrap_or_default()
    }

    /// Fails if there is a scenario and no service that runs knows it.
    fn check(&self, kinds: &[Kind]) -> Result<()> {
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

/// Runs the command line and says how it ended.
pub(crate) async fn main() -> ExitCode {
    // Usage errors end the process here, with status 2.
    let cli = Cli::parse();
    let work = async {
        match &cli.command {
            Some(Command::Serve(options)) => serve(options).await.map(|()| ExitCode::SUCCESS),
            Some(Command::Verify(options)) => Ok(verify(options).await),
            None => run(&cli.run).await,
        }
    };
    // Whichever ends first: dropping the work ends all child processes.
    let ended = tokio::select! {
        ended = work => Some(ended),
        () = interrupted() => None,
    };
    match ended {
        Some(Ok(code)) => code,
        Some(Err(error)) => {
            eprintln!("landfall: {error:#}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!(
                "landfall: interrupted; its processes were ended, but for an installation or a build, which may go on to \
                 its end"
            );
            // Not by returning: a build that still runs in a blocking thread would be waited for.
            std::process::exit(130);
        }
    }
}

async fn interrupted() {
    let ctrl_c = async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            return ctrl_c.await;
        };
        tokio::select! {
            () = ctrl_c => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    ctrl_c.await;
}

/// What is known of one delivery at its end.
struct Done {
    event: PathBuf,
    execution: Execution,
    finished: Finished,
    job: Option<Value>,
    receipt_uri: Option<String>,
    receipt: Option<Value>,
    /// What became of each request, of a batch.
    results: Vec<Value>,
    took: Duration,
}

impl Done {
    fn is_sealed_success(&self) -> bool {
        self.finished.is_success()
            && self
                .receipt
                .as_ref()
                .is_some_and(|receipt| receipt["verdict"] == "succeeded")
    }

    /// The named error and its message; `None` for a sealed success.
    fn error(&self) -> Option<(String, String)> {
        if self.is_sealed_success() {
            return None;
        }
        if self.finished.is_success() {
            let uri = self.receipt_uri.as_deref().unwrap_or("no place");
            let message = format!("the execution succeeded, but there is no receipt of a success at {uri}");
            return Some(("Landfall.Internal".to_owned(), message));
        }
        let name = self
            .finished
            .error
            .clone()
            .unwrap_or_else(|| self.finished.status.clone());
        Some((name, message_of(self.finished.cause.as_deref().unwrap_or_default())))
    }

    fn delivery(&self, number: usize) -> Delivery {
        Delivery {
            number,
            event: file_name(&self.event),
            status: self.finished.status.clone(),
            became: present::became(self.job.as_ref(), self.error().as_ref().map(|(name, _)| name.as_str())),
            job_key: self.key().unwrap_or_default().to_owned(),
            took: self.took,
        }
    }

    /// Of the job or the batch.
    fn key(&self) -> Option<&str> {
        let job = self.job.as_ref()?;
        job["job_key"].as_str().or(job["batch_key"].as_str())
    }

    fn document(&self) -> Value {
        let error = self
            .error()
            .map(|(name, message)| json!({"name": name, "message": message}));
        json!({
            "event": self.event.display().to_string(),
            "kind": self.execution.kind,
            "execution": self.execution.arn,
            "status": self.finished.status,
            "sealed_success": self.is_sealed_success(),
            "seconds": self.took.as_secs_f64(),
            "job_key": self.key(),
            "adopted": self.job.as_ref().map(|job| job["adopted"].clone()),
            "error": error,
            "states": self.finished.states(),
            "receipt_uri": self.receipt_uri,
            "receipt": self.receipt,
            "results": (self.execution.kind == BATCH).then_some(&self.results),
        })
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).display().to_string()
}

async fn run(options: &Run) -> Result<ExitCode> {
    let mut events = Vec::new();
    let mut kinds: Vec<Kind> = Vec::new();
    let (mut batches, mut lists) = (false, Vec::new());
    for path in &options.events {
        let mut event = event::read(path)?;
        let named = |error: anyhow::Error| error.context(path.display().to_string());
        if let Some(format) = options.format {
            let name = format.to_possible_value().context("a format has no name")?;
            event::set_format(&mut event, name.get_name()).map_err(named)?;
        }
        let name = event::kind(&event).map_err(named)?;
        let asked: Vec<Kind> = if name == BATCH {
            batches = true;
            let list = event::list_beside(&event, path).map_err(named)?;
            // Of a kind that does not exist a batch says so itself.
            let kinds = event::kinds_of_batch(&event, list.as_ref());
            lists.extend(list);
            kinds.iter().filter_map(|name| Kind::named(name).ok()).collect()
        } else {
            vec![Kind::named(&name).map_err(named)?]
        };
        for kind in asked {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        events.push((path, event));
    }

    options.simulation.check(&kinds)?;
    if let Some(folder) = &options.out {
        clear(folder)?;
    }
    let world = World::start(Options {
        customer_profiles: options.simulation.settings(&kinds),
        pinpoint: options.simulation.pinpoint(&kinds),
        quicksight: options.simulation.quicksight(&kinds),
        folder: options.out.clone(),
        batches,
        ..Options::for_kinds(kinds)
    })
    .await?;
    for list in lists {
        world.put(&list.bucket, &list.key, list.body).await?;
    }

    let screen = Screen::new(options.json);
    let mut all = Vec::new();
    // What breaks off loses nothing of what was done before it.
    let mut broken = None;
    for (path, event) in &events {
        let delivered = deliver(&world, path, event, options.repeat, &screen, &mut all).await;
        screen.rest();
        if let Err(error) = delivered {
            broken = Some(error.context(path.display().to_string()));
            break;
        }
    }
    if let Some(folder) = &options.out {
        screen.doing("keeping what there is");
        if let Err(error) = keep(&world, &all, folder).await {
            broken.get_or_insert(error.context("not all could be kept"));
        }
    }
    let logs = world.folder().join("logs");
    world.shutdown().await;
    drop(screen);
    let reported = report(options, &all, broken.is_none(), &logs)?;
    broken.map_or(Ok(reported), Err)
}

/// Delivers an event as often as was asked for, at once, and adds what became of it to `all`. Fails with the first
/// delivery that could not be made or followed.
async fn deliver(
    world: &World,
    path: &Path,
    event: &Value,
    repeat: u16,
    screen: &Screen,
    all: &mut Vec<Done>,
) -> Result<()> {
    screen.heading(&format!("{}  {}", event::kind(event)?, path.display()));
    let first = all.len() + 1;
    let mut refused = None;
    let mut executions = Vec::new();
    for _ in 0..repeat {
        match world.deliver(event).await {
            Ok(execution) => executions.push(execution),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    let followed = executions.into_iter().enumerate().map(|(i, execution)| {
        let label = if repeat == 1 {
            String::new()
        } else {
            format!("{:>3} ", format!("#{}", first + i))
        };
        follow(world, path, execution, label, screen)
    });
    for done in futures::future::join_all(followed).await {
        match done {
            Ok(done) => all.push(done),
            Err(error) => {
                refused.get_or_insert(error);
            }
        }
    }
    refused.map_or(Ok(()), Err)
}

async fn follow(world: &World, path: &Path, execution: Execution, label: String, screen: &Screen) -> Result<Done> {
    let mut narrator = Narrator::default();
    let finished = world
        .follow(&execution, |step| {
            for line in narrator.tell(step) {
                screen.line(&line.render(&label, screen.paint));
            }
            screen.doing(narrator.now().unwrap_or_default());
        })
        .await?;
    let took = execution.begun.elapsed();
    let job = finished.job();
    let receipt_uri = job
        .as_ref()
        .and_then(|job| job["outcome"]["receipt"].as_str())
        .map(str::to_owned);
    let receipt = match receipt_uri
        .as_deref()
        .and_then(|uri| uri.strip_prefix("s3://")?.split_once('/'))
    {
        Some((bucket, key)) => world
            .object(bucket, key)
            .await?
            .and_then(|body| serde_json::from_slice(&body).ok()),
        None => None,
    };
    let results = match receipt
        .as_ref()
        .and_then(|receipt: &Value| receipt["results"]["key"].as_str())
    {
        Some(key) => world.object(LEDGER, key).await?.unwrap_or_default(),
        None => Bytes::new(),
    };
    let results = results
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect();
    Ok(Done {
        event: path.to_owned(),
        execution,
        finished,
        job,
        receipt_uri,
        receipt,
        results,
        took,
    })
}

/// Prints the result and decides the exit status, which tells of success only if everything was delivered and kept.
fn report(options: &Run, all: &[Done], is_whole: bool, logs: &Path) -> Result<ExitCode> {
    let succeeded = is_whole && all.iter().all(Done::is_sealed_success);
    if options.json {
        let document = json!({
            "sealed_success": succeeded,
            "deliveries": all.iter().map(Done::document).collect::<Vec<_>>(),
            "logs": logs.display().to_string(),
            "out": options.out.as_ref().map(|folder| folder.display().to_string()),
        });
        print(&serde_json::to_string_pretty(&document)?)?;
    } else {
        let layout = layout();
        let heading = |text: &str| layout.paint.paint(Tone::Strong, text);
        let mut parts = Vec::new();
        // The same receipt once, however many deliveries led to it.
        let mut shown: Vec<&str> = Vec::new();
        for done in all {
            let (Some(receipt), Some(uri)) = (&done.receipt, &done.receipt_uri) else {
                continue;
            };
            if shown.contains(&uri.as_str()) {
                continue;
            }
            shown.push(uri);
            let (name, tables) = if done.execution.kind == BATCH {
                ("Summary", present::summary(receipt, &done.results, layout))
            } else {
                ("Receipt", present::receipt(receipt, layout))
            };
            parts.push(format!("\n{}  {uri}\n\n{tables}", heading(name)));
        }
        if all.len() > 1 {
            let rows: Vec<Delivery> = all.iter().enumerate().map(|(i, done)| done.delivery(i + 1)).collect();
            let tables = present::deliveries(&rows, layout);
            parts.push(format!("\n{}\n\n{tables}", heading("Deliveries")));
        }
        parts.push(match &options.out {
            Some(folder) => format!("\nKept in {}", folder.display()),
            None => format!("\nLogs are in {}; --out FOLDER keeps the files too.", relative(logs)),
        });
        print(&parts.join("\n"))?;
    }
    let mut said = Vec::new();
    for done in all {
        let Some((name, message)) = done.error() else { continue };
        // Deliveries of one event mostly fail alike.
        let error = (file_name(&done.event), name, message);
        if said.contains(&error) {
            continue;
        }
        let (event, name, message) = &error;
        let paint = Paint(colours(std::io::stderr().is_terminal()));
        let place = if options.events.len() > 1 {
            format!("{event}: ")
        } else {
            String::new()
        };
        eprintln!("\n{place}{}: {message}", paint.paint(Tone::Bad, name));
        said.push(error);
    }
    Ok(if succeeded {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What `keep` and the world write into a folder of `--out`.
const KEPT: [&str; 4] = [EXPORTS, LEDGER, DELIVERIES, "logs"];

/// Takes an earlier run out of a folder that is to keep another: of two runs that lie mixed, nothing could be verified.
/// Fails if the folder holds something else.
fn clear(folder: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("--out {}: it cannot be read", folder.display()))?,
    };
    let names: Vec<_> = entries.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    if names.is_empty() {
        return Ok(());
    }
    // What a run leaves that broke off before it kept anything.
    let only_logs = names.iter().all(|name| name == "logs") && folder.join("logs").join("moto.log").is_file();
    if !is_kept(folder) && !only_logs {
        bail!(
            "--out {}: it holds something else than a run that was kept there; name another folder",
            folder.display()
        );
    }
    eprintln!("landfall: what was kept in {} before is replaced", folder.display());
    for name in KEPT {
        let path = folder.join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Keeps what the world would forget: objects, receipts, histories. The logs are in the folder already.
async fn keep(world: &World, all: &[Done], folder: &Path) -> Result<()> {
    for bucket in [EXPORTS, LEDGER] {
        for key in world.list(bucket, "").await? {
            let Some(path) = below(&folder.join(bucket), &key) else {
                bail!("s3://{bucket}/{key} cannot be kept: its key is not a path");
            };
            write(&path, &world.object(bucket, &key).await?.unwrap_or_default())?;
        }
    }
    for (i, done) in all.iter().enumerate() {
        let folder = folder.join(DELIVERIES).join((i + 1).to_string());
        write(
            &folder.join("history.json"),
            &serde_json::to_vec_pretty(&done.finished.history)?,
        )?;
        write(&folder.join(DELIVERY), &serde_json::to_vec_pretty(&done.document())?)?;
        if let Some(receipt) = &done.receipt {
            write(&folder.join("receipt.json"), &serde_json::to_vec_pretty(receipt)?)?;
        }
    }
    Ok(())
}

/// A path as a person would write it here.
fn relative(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// A path of a key beneath a folder; `None` if it would lead out of it.
fn below(folder: &Path, key: &str) -> Option<PathBuf> {
    let relative = Path::new(key);
    let is_plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain && !key.ends_with('/')).then(|| folder.join(relative))
}

fn write(path: &Path, body: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    std::fs::write(path, body).with_context(|| format!("cannot write {}", path.display()))
}

/// Prints a result, the last thing on stdout. Whoever closes the pipe has read enough.
fn print(result: &str) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{result}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write the result"),
        _ => Ok(()),
    }
}

/// How a result is laid out on stdout.
fn layout() -> Layout {
    let is_terminal = std::io::stdout().is_terminal();
    Layout::new(Paint(colours(is_terminal)), is_terminal)
}

fn colours(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Progress on stderr: lines, and on a terminal a last one that is drawn anew.
struct Screen {
    paint: Paint,
    quiet: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl Screen {
    fn new(json: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = is_terminal.then(|| {
            let style =
                ProgressStyle::with_template("  {spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = ProgressBar::new_spinner().with_style(style);
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            paint: Paint(colours(is_terminal)),
            // A program that reads JSON reads no progress.
            quiet: json && !is_terminal,
            bar: Mutex::new(bar),
        }
    }

    fn heading(&self, text: &str) {
        self.line("");
        self.line(&self.paint.paint(Tone::Strong, text));
    }

    fn line(&self, line: &str) {
        if self.quiet {
            return;
        }
        match &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    fn doing(&self, text: &str) {
        if let Some(bar) = &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.set_message(text.to_owned());
        }
    }

    fn rest(&self) {
        self.doing("");
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}

/// Could not be checked.
const UNCHECKED: u8 = 2;

async fn verify(options: &Verify) -> ExitCode {
    match verified(options).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("landfall: {}", verify::escaped(&format!("{error:#}")));
            ExitCode::from(UNCHECKED)
        }
    }
}

/// Verifies, prints the result, and says whether the output may be used.
async fn verified(options: &Verify) -> Result<bool> {
    let ask = Ask {
        place: options.place.clone(),
        format: options.format,
        level: options.level,
        started_at: options.started_at,
        rows: options.rows,
        allow_empty: options.allow_empty,
        kms_key: options.kms_key.clone(),
        settle: options.settle,
        expect: options
            .expect
            .as_deref()
            .map(|text| expectations(text, options.level))
            .transpose()?
            .unwrap_or_default(),
        receipt: options.receipt.clone(),
        access: Access {
            profile: options.profile.clone(),
            region: options.region.clone(),
            endpoint_url: options.endpoint_url.clone(),
            bucket_owner: options.expected_bucket_owner.clone(),
        },
    };
    let progress = Arc::new(Progress::default());
    let mut meter = Meter::new(options.json, options.level);
    // Not at once: what ends sooner needs no progress.
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + meter.every(), meter.every());
    let verified = {
        let work = verify::verify(&ask, &progress);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => break done,
                _ = tick.tick() => meter.show(progress.now()),
            }
        }
    };
    meter.end();
    // The message is for a person at a terminal; its kind is for a state machine.
    let verified = verified.map_err(|error| anyhow::anyhow!(error.message))?;
    if options.json {
        print(&serde_json::to_string_pretty(&verified)?)?;
    } else {
        let layout = layout();
        let heading = layout.paint.paint(Tone::Strong, "Verification");
        let tables = present::verified(&verified, layout);
        print(&format!("{heading}  {}\n\n{tables}", verified.place))?;
    }
    Ok(verified.is_good())
}

/// What is expected at a level, as JSON or in a file of it; held to what an event is.
fn expectations(text: &str, level: Level) -> Result<Expectations> {
    let (json, place) = if text.trim_start().starts_with('{') {
        (text.to_owned(), "--expect".to_owned())
    } else {
        let read = std::fs::read_to_string(text);
        let read = read.with_context(|| format!("--expect {text}: it is neither a file that can be read nor JSON"))?;
        (read, format!("--expect {text}"))
    };
    let expect: Value = serde_json::from_str(&json).with_context(|| format!("{place}: it is not JSON"))?;
    let remedy = (level == Level::Listing).then_some(verify::TO_LOOK_INTO);
    let faults = landfall::event::expectation_faults(&expect, remedy)?;
    if !faults.is_empty() {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        bail!(
            "{place}: it is not what Landfall.Verification.Expect of an event may be, see docs/kinds.md; {}",
            faults.join("; ")
        );
    }
    serde_json::from_value(expect).with_context(|| format!("{place}: it cannot be read"))
}

/// How far a verification is, on stderr: a bar on a terminal, else a line now and then.
struct Meter {
    level: Level,
    bar: Option<ProgressBar>,
    quiet: bool,
    /// When the first byte was seen to be read.
    reading: Option<Instant>,
}

impl Meter {
    fn new(json: bool, level: Level) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = is_terminal.then(|| {
            let template = if colours(true) {
                "  {bar:12.cyan/dim} {wide_msg}"
            } else {
                "  {bar:12} {wide_msg}"
            };
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
        });
        Self {
            level,
            bar,
            // A program that reads JSON reads no progress.
            quiet: json,
            reading: None,
        }
    }

    fn every(&self) -> Duration {
        if self.bar.is_some() {
            Duration::from_millis(120)
        } else {
            Duration::from_secs(5)
        }
    }

    fn show(&mut self, numbers: [u64; 4]) {
        let [objects, of_objects, read, of_bytes] = numbers;
        let since = if read > 0 {
            self.reading.get_or_insert_with(Instant::now).elapsed()
        } else {
            Duration::ZERO
        };
        let line = present::verifying(numbers, self.level, since);
        match &self.bar {
            Some(bar) => {
                let (done, all) = match self.level {
                    Level::Full => (read, of_bytes),
                    Level::Listing | Level::Structure => (objects, of_objects),
                };
                bar.set_length(all);
                bar.set_position(done);
                bar.set_message(line);
            }
            None if !self.quiet && of_objects > 0 => eprintln!("  {line}"),
            None => {}
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.end();
    }
}

async fn serve(options: &Serve) -> Result<()> {
    let kinds = options
        .kinds
        .iter()
        .map(|name| Kind::named(name))
        .collect::<Result<Vec<_>>>()?;
    options.simulation.check(&kinds)?;
    let world = World::start(Options {
        customer_profiles: options.simulation.settings(&kinds),
        pinpoint: options.simulation.pinpoint(&kinds),
        quicksight: options.simulation.quicksight(&kinds),
        port: options.port,
        ..Options::for_kinds(kinds.clone())
    })
    .await?;
    let paint = Paint(colours(std::io::stdout().is_terminal()));
    let (url, port) = (world.edge().url(), world.edge().address().port());
    let heading = |text: &str| println!("\n{}", paint.paint(Tone::Strong, text));
    heading("Environment for aws, boto3 and every AWS SDK");
    for (name, value) in [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local"),
    ] {
        println!("export {name}={value}");
    }
    heading("What is there");
    for kind in &kinds {
        let machine = world.state_machine(kind.name).unwrap_or_default();
        println!("state machine  {machine}");
        for name in [kind.start(), kind.poll()] {
            println!("function       {name}");
        }
    }
    println!("function       {VERIFY}\nfunction       {SEAL}");
    println!("buckets        s3://{EXPORTS}/  s3://{LEDGER}/");
    println!("logs           {}", relative(&world.folder().join("logs")));
    let kind = kinds.first().context("there is no kind of job")?;
    let machine = world.state_machine(kind.name).unwrap_or_default();
    let sample = format!("events/{}.json", kind.name);
    heading("To try");
    println!("aws stepfunctions start-execution --state-machine-arn {machine} --input file://{sample}");
    println!("aws stepfunctions list-executions --state-machine-arn {machine}");
    println!("aws s3 ls --recursive s3://{EXPORTS}/");
    println!(
        "aws lambda invoke --function-name {} --payload fileb://{sample} /dev/stdout",
        kind.start()
    );
    println!(
        "cargo lambda invoke {} --invoke-address 127.0.0.1 --invoke-port {port} --data-file {sample}",
        kind.start()
    );
    // The environment that moto was installed into has boto3.
    let python = python::ensure(&places::workspace()?)?.python();
    println!(
        "{} -c 'import boto3; print(boto3.client(\"s3\").list_buckets()[\"Buckets\"])'",
        relative(&python)
    );
    println!("\nCtrl-C ends it.");
    std::future::pending().await
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from([
            "x",
            "a.json",
            "--format",
            "orc",
            "--duration",
            "1.5",
            "--scenario",
            "stuck",
        ]);
        let settings = cli.run.simulation.settings(KINDS);
        assert_eq!(settings.scenario, customer_profiles::Scenario::Stuck);
        assert_eq!(settings.duration, Duration::from_millis(1500));
        let unused = [Kind::named("endpoint-export").unwrap()];
        assert_eq!(
            cli.run.simulation.settings(&unused).scenario,
            customer_profiles::Scenario::Success
        );
        assert_eq!(cli.run.simulation.pinpoint(&unused).scenario, pinpoint::Scenario::Stuck);
        let served = |arguments: &[&str]| match Cli::parse_from(arguments).command {
            Some(Command::Serve(serve)) => serve.kinds,
            _ => Vec::new(),
        };
        assert_eq!(served(&["x", "serve"]), ["segment-snapshot"]);
        assert_eq!(
            served(&["x", "serve", "--kind", "endpoint-export", "--kind", "endpoint-import"]),
            ["endpoint-export", "endpoint-import"]
        );
        for wrong in [
            &["x"][..],
            &["x", "a", "--repeat", "0"],
            &["x", "a", "--duration", "-1"],
            &["x", "a", "--scenario", "y"],
        ] {
            assert!(Cli::try_parse_from(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_scenario_that_no_service_plays_is_refused() {
        let kinds = |names: &[&str]| -> Vec<Kind> { names.iter().map(|name| Kind::named(name).unwrap()).collect() };
        let check = |scenario: &str, names: &[&str]| {
            let cli = Cli::parse_from(["x", "a.json", "--scenario", scenario]);
            cli.run
                .simulation
                .check(&kinds(names))
                .map_err(|error| error.to_string())
        };
        assert_eq!(check("file-error", &["dashboard-snapshot"]), Ok(()));
        assert_eq!(check("file-error", &["segment-snapshot", "dashboard-snapshot"]), Ok(()));
        let error = check("file-error", &["segment-snapshot", "endpoint-export"]).unwrap_err();
        assert_eq!(
            error.matches("no scenario is called \"file-error\" there").count(),
            2,
            "{error}"
        );
        assert!(check("stuck", &[]).unwrap_err().contains("no service"));
    }

    #[test]
    fn a_folder_keeps_one_run_and_nothing_of_somebody_else() {
        let own = tempfile::tempdir().unwrap();
        let folder = own.path().join("out");
        let put = |name: &str| write(&folder.join(name), b"{}").unwrap();
        clear(&folder).unwrap();
        put("notes.txt");
        let error = clear(&folder).unwrap_err().to_string();
        assert!(
            error.contains("something else") && folder.join("notes.txt").is_file(),
            "{error}"
        );
        put("deliveries/1/delivery.json");
        put("deliveries/2/delivery.json");
        put("landfall-exports/run=1/_receipt.json");
        put("logs/moto.log");
        clear(&folder).unwrap();
        let left: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left, ["notes.txt"]);
        std::fs::remove_file(folder.join("notes.txt")).unwrap();
        put("logs/a.txt");
        clear(&folder).unwrap_err();
        put("logs/moto.log");
        clear(&folder).unwrap();
    }

    #[test]
    fn nothing_is_kept_outside_of_the_folder() {
        let folder = Path::new("out");
        assert_eq!(below(folder, "a/b=1/c.csv"), Some(PathBuf::from("out/a/b=1/c.csv")));
        for key in ["../x", "/etc/x", "a/../../x", "a/"] {
            assert_eq!(below(folder, key), None, "{key}");
        }
    }
}
