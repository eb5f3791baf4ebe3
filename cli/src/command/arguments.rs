//! The arguments of the command line.
//!
//! What must stay true: a value that makes no sense is refused here, before anything is asked.

use std::{path::PathBuf, str::FromStr, time::Duration};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use clap::{
    Args, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use clap_complete::Shell;
use landfall::{job::Level, s3_uri::S3Uri};
use landfall_cli::{access::Access, account::Named, jobs::Status, kinds::KINDS, verify::Place};
use landfall_formats::Format as DataFormat;

/// What the exit status means, for `--help`.
const HELP: &str = "\
Exit status:
  0    done, and what was looked at is well
  1    done, and it is not well: a job that failed, an event with faults, an output that may not be used
  2    it could not be done: wrong usage, no access, no such job
  130  interrupted

Credentials come from the environment, the keys and roles of the profile, or the container's or instance's role. Of a profile
that signs in by SSO or by a process take them with
  eval \"$(aws configure export-credentials --profile NAME --format env)\"";

/// Sees, asks and acts on the jobs of a deployment of Landfall.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, after_help = HELP)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) common: Common,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Which deployment is meant, and how it is reached.
#[derive(Clone, Debug, Args)]
pub(super) struct Common {
    /// The deployment's CloudFormation stack [default: landfall]
    #[arg(
        long,
        value_name = "NAME",
        global = true,
        env = "LANDFALL_STACK",
        help_heading = "Deployment",
        conflicts_with = "ledger"
    )]
    pub(super) stack: Option<String>,
    /// The deployment's ledger, in place of its stack
    #[arg(
        long,
        value_name = "s3://BUCKET/",
        global = true,
        env = "LANDFALL_LEDGER",
        help_heading = "Deployment"
    )]
    pub(super) ledger: Option<S3Uri>,
    /// The profile of the AWS configuration
    #[arg(long, value_name = "NAME", global = true, help_heading = "Deployment")]
    pub(super) profile: Option<String>,
    /// The region of the deployment
    #[arg(long, value_name = "REGION", global = true, help_heading = "Deployment")]
    pub(super) region: Option<String>,
    /// Another server than AWS, such as the one that cargo local serve starts
    #[arg(long, value_name = "URL", global = true, help_heading = "Deployment", value_parser = url)]
    pub(super) endpoint_url: Option<String>,
    /// Prints one JSON document instead of text. Its schema is in docs/schema/; with status 2 that is error.schema.json
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl Common {
    /// How AWS is reached.
    pub(super) fn access(&self) -> Access {
        Access {
            profile: self.profile.clone(),
            region: self.region.clone(),
            endpoint_url: self.endpoint_url.clone(),
            bucket_owner: None,
        }
    }

    /// How the deployment is named.
    pub(super) fn named(&self) -> Named {
        match &self.ledger {
            Some(ledger) => Named::Ledger(ledger.bucket.clone()),
            None => Named::Stack(self.stack.clone().unwrap_or_else(|| "landfall".to_owned())),
        }
    }

    /// The options with which the AWS CLI reaches it, with a space before them.
    pub(super) fn for_aws(&self) -> String {
        let options = [
            ("profile", &self.profile),
            ("region", &self.region),
            ("endpoint-url", &self.endpoint_url),
        ];
        let given = |(name, value): (&str, &Option<String>)| value.as_ref().map(|value| format!(" --{name} {value}"));
        options.into_iter().filter_map(given).collect()
    }

    /// The arguments that name the deployment, for commands that are shown.
    pub(super) fn target(&self) -> String {
        let mut target = self.named().arguments();
        for (name, value) in [
            ("profile", &self.profile),
            ("region", &self.region),
            ("endpoint-url", &self.endpoint_url),
        ] {
            if let Some(value) = value {
                target.push_str(&format!(" --{name} {value}"));
            }
        }
        target
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Lists jobs, newest first: what was exported, rows, time, outcome, and what open jobs wait for.
    Jobs(Jobs),
    /// Shows one job: its timeline, its failed checks, and what to do next.
    Show(Show),
    /// Writes a page about the jobs of a period, to send to a colleague, or a table of them.
    Report(Report),
    /// Delivers an event and follows the job that it starts.
    Send(Send),
    /// Follows a job to its end.
    Watch(Watch),
    /// Exports again, as another job with a prefix of its own.
    Rerun(Rerun),
    /// Goes on with the export of a failed job: awaits, verifies and seals it without another export.
    PickUp(PickUp),
    /// Lets the execution of a job go on in the state in which it was stopped or failed.
    Redrive(Redrive),
    /// Ends a job that waits or runs: it is sealed as Landfall.Cancelled, and its slot is free at once.
    Cancel(Cancel),
    /// Says all that is wrong with event files, without asking a deployment unless --stack names one.
    Check(Check),
    /// Writes an event of a kind, and asks only for what is needed.
    New(New),
    /// Verifies any prefix or folder as the deployed function does, and compares it with its receipt.
    Verify(Box<Verify>),
    /// Examines a deployment: its stack, state machines, rules, alarms, schedules, jobs and exports. Each finding has
    /// its remedy.
    Doctor,
    /// Prints the completions for a shell.
    Completions(Completions),
}

#[derive(Clone, Debug, Args)]
pub(super) struct Jobs {
    /// Jobs that began since then, and all open ones: 90m, 36h, 7d, or a time such as 2026-11-01 or
    /// 2026-11-01T05:00:00Z
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub(super) since: Since,
    /// Only jobs of this kind; may be given several times
    #[arg(long = "kind", value_name = "KIND", value_parser = PossibleValuesParser::new(KINDS))]
    pub(super) kinds: Vec<String>,
    /// Only jobs whose name or job key contains this, or that export something whose name does
    #[arg(long, value_name = "TEXT")]
    pub(super) name: Option<String>,
    /// Only jobs with this status; may be given several times
    #[arg(long = "status", value_name = "STATUS", value_parser = status())]
    pub(super) statuses: Vec<Status>,
    /// Only jobs that failed, were aborted, or are not sealed
    #[arg(long)]
    pub(super) failed: bool,
    /// More columns than fit on a terminal of 80 columns: bytes, polls, cost and whole job keys
    #[arg(long)]
    pub(super) wide: bool,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// A job key or the end of one, the ARN of an execution, the URI of a receipt, or an event file
    #[arg(value_name = "JOB")]
    pub(super) job: String,
}

#[derive(Debug, Args)]
pub(super) struct Report {
    /// Jobs that began since then: 7d, 30d, or a time such as 2026-11-01
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub(super) since: Since,
    /// Only jobs of this kind; may be given several times
    #[arg(long = "kind", value_name = "KIND", value_parser = PossibleValuesParser::new(KINDS))]
    pub(super) kinds: Vec<String>,
    /// Only jobs whose name or job key contains this, or that export something whose name does
    #[arg(long, value_name = "TEXT")]
    pub(super) name: Option<String>,
    /// The page; it needs no other file
    #[arg(long, value_name = "FILE.html", required_unless_present_any = ["csv", "json"])]
    pub(super) out: Option<PathBuf>,
    /// The jobs as a table
    #[arg(long, value_name = "FILE.csv")]
    pub(super) csv: Option<PathBuf>,
}

/// Whether somebody is asked first.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Consent {
    /// Does not ask
    #[arg(long)]
    pub(super) yes: bool,
}

/// How much is shown while a job is followed.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Detail {
    /// Shows every wait and every poll
    #[arg(long)]
    pub(super) all: bool,
}

/// How a command acts on a job.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Act {
    /// Follows the execution that it starts to its end
    #[arg(long)]
    pub(super) follow: bool,
    #[command(flatten)]
    pub(super) detail: Detail,
    #[command(flatten)]
    pub(super) consent: Consent,
}

#[derive(Debug, Args)]
pub(super) struct Send {
    /// An event file
    #[arg(value_name = "EVENT")]
    pub(super) event: PathBuf,
    /// Starts an execution with the event instead of putting it on a bus: the file's id and time stay
    #[arg(long)]
    pub(super) direct: bool,
    /// The bus [default: that of the stack, or default]
    #[arg(long, value_name = "NAME", conflicts_with = "direct")]
    pub(super) bus: Option<String>,
    /// Does not follow the job
    #[arg(long)]
    pub(super) no_follow: bool,
    #[command(flatten)]
    pub(super) detail: Detail,
    #[command(flatten)]
    pub(super) consent: Consent,
}

#[derive(Debug, Args)]
pub(super) struct Watch {
    /// A job key or the end of one, the ARN of an execution, or an event file
    #[arg(value_name = "JOB")]
    pub(super) job: String,
    #[command(flatten)]
    pub(super) detail: Detail,
}

#[derive(Debug, Args)]
pub(super) struct Rerun {
    /// A job key or the end of one, the ARN of an execution, the URI of a receipt, or an event file
    #[arg(value_name = "JOB")]
    pub(super) job: String,
    #[command(flatten)]
    pub(super) act: Act,
}

#[derive(Debug, Args)]
pub(super) struct PickUp {
    /// The failed job: its key or the end of it, the ARN of an execution, the URI of its receipt, or its event file
    #[arg(value_name = "JOB")]
    pub(super) job: String,
    /// Accepts an export without a single row
    #[arg(long)]
    pub(super) allow_empty: bool,
    /// How much of the output is looked at this time
    #[arg(long, value_name = "LEVEL", value_parser = level())]
    pub(super) level: Option<Level>,
    #[command(flatten)]
    pub(super) act: Act,
}

#[derive(Debug, Args)]
pub(super) struct Redrive {
    /// A job key or the end of one, or the ARN of an execution
    #[arg(value_name = "JOB")]
    pub(super) job: String,
    #[command(flatten)]
    pub(super) act: Act,
}

#[derive(Debug, Args)]
pub(super) struct Cancel {
    /// A job that waits or runs: its key or the end of it, the ARN of an execution, or its event file
    #[arg(value_name = "JOB")]
    pub(super) job: String,
    #[command(flatten)]
    pub(super) act: Act,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Event files, such as events/segment-snapshot.json
    #[arg(required = true, value_name = "EVENT")]
    pub(super) events: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct New {
    /// The kind of job
    #[arg(value_name = "KIND", value_parser = PossibleValuesParser::new(KINDS))]
    pub(super) kind: String,
    /// An answer to one of the questions; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) set: Vec<String>,
    /// The file to write; its schema is written beside it. Without this the event is printed
    #[arg(long, value_name = "FILE.json")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    pub(super) shell: Shell,
}

/// What the exit status of a verification means, for `--help`.
const VERIFY_HELP: &str = "\
Exit status:
  0  the output passed, with or without warnings, and is what the receipt sealed
  1  a check of the output failed, or it differs from the receipt, or the receipt is that of a failed job
  2  it could not be checked: wrong usage, no such place, no access

It takes s3:ListBucket and s3:GetObject (and kms:Decrypt for a key of one's own); nothing is written.";

#[derive(Debug, Args)]
#[command(after_help = VERIFY_HELP)]
pub(super) struct Verify {
    /// What to verify: s3://bucket/prefix/ or a folder, such as one that cargo local --out wrote. With --receipt s3://…
    /// alone it is the receipt's own prefix
    #[arg(value_name = "PREFIX|FOLDER", required_unless_present_any = ["receipt", "since"], conflicts_with = "since")]
    pub(super) place: Option<Place>,
    /// Compares every receipt that the deployment sealed since then with what is there now: 1d, or a time
    #[arg(long, value_name = "TIME", conflicts_with = "receipt")]
    pub(super) since: Option<Since>,
    /// The format that was asked for; recognised from the first files if not given
    #[arg(long, value_name = "FORMAT", ignore_case = true, value_parser = data_format())]
    pub(super) format: Option<DataFormat>,
    /// How much is looked at. listing: keys, sizes and times. structure: also headers, footers and directories. full:
    /// every byte. With a receipt, listing makes no checks unless more is asked for [default: full; listing with
    /// --since]
    #[arg(long, value_name = "LEVEL", value_parser = level())]
    pub(super) level: Option<Level>,
    /// When the job was started, such as 2026-11-01T05:00:00Z; no object may be older
    #[arg(long, value_name = "TIME")]
    pub(super) started_at: Option<DateTime<Utc>>,
    /// How many rows there must be
    #[arg(long, value_name = "N")]
    pub(super) rows: Option<u64>,
    /// Accepts data without a single row
    #[arg(long)]
    pub(super) allow_empty: bool,
    /// The KMS key with which every object must be encrypted: ARN, id or alias
    #[arg(long, value_name = "KEY")]
    pub(super) kms_key: Option<String>,
    /// Time between the two listings, which must be equal; if not given, 5 for S3 and 0 for a folder
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(super) settle: Option<Duration>,
    /// What else is expected, in the form of an event's Landfall.Verification.Expect: a file, or the JSON itself
    #[arg(long, value_name = "FILE|JSON")]
    pub(super) expect: Option<String>,
    /// Compares what is there with this receipt: what changed, vanished or was added
    #[arg(long, value_name = "FILE|s3://…")]
    pub(super) receipt: Option<Place>,
    /// Also shows the checks that do not apply
    #[arg(long)]
    pub(super) all: bool,
    /// The account that must own the bucket
    #[arg(long, value_name = "ACCOUNT", value_parser = account)]
    pub(super) expected_bucket_owner: Option<String>,
}

/// A time, or how long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// That long ago.
    Ago(TimeDelta),
    /// At that time.
    At(DateTime<Utc>),
}

impl Since {
    /// The time that is meant, if it is `now`.
    pub(super) fn before(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Ago(ago) => now - ago,
            Self::At(at) => at,
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is neither a time, such as 2026-11-01, nor how long ago, such as 90m, 36h or 7d");
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(at.to_utc()));
        }
        if let Ok(day) = text.parse::<NaiveDate>() {
            return Ok(Self::At(day.and_time(chrono::NaiveTime::MIN).and_utc()));
        }
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return Err(wrong()),
        };
        let number: i64 = number.parse().map_err(|_| wrong())?;
        // A hundred years is longer than any job lasts, and no date overflows by it.
        if !(0..=36_500 * 86_400 / seconds).contains(&number) {
            return Err(wrong());
        }
        Ok(Self::Ago(TimeDelta::seconds(number * seconds)))
    }
}

fn status() -> impl TypedValueParser<Value = Status> {
    PossibleValuesParser::new(Status::ALL.map(Status::name)).try_map(|name| {
        let named = |status: &Status| status.name() == name;
        Status::ALL.into_iter().find(named).ok_or("it is no status")
    })
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

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "it is not a number of seconds from 0 to 3600, such as 1.5".to_owned();
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    if !(0.0..=3600.0).contains(&seconds) {
        return Err(wrong());
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_time_is_given_as_an_age_or_as_a_date() {
        let ago = |text: &str| match text.parse::<Since>() {
            Ok(Since::Ago(ago)) => ago.num_minutes(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(
            (ago("90m"), ago("36h"), ago("7d"), ago("2w")),
            (90, 2_160, 10_080, 20_160)
        );
        let at = Since::At("2026-11-01T00:00:00Z".parse().unwrap());
        assert_eq!("2026-11-01".parse(), Ok(at));
        assert_eq!("2026-11-01T01:00:00+01:00".parse(), Ok(at));
        for wrong in ["", "7", "d", "-1d", "yesterday", "99999999d", "ä"] {
            assert!(wrong.parse::<Since>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn advised_commands_name_the_deployment_with_the_same_arguments() {
        let target = |arguments: &[&str]| {
            Cli::try_parse_from([&["landfall", "jobs"], arguments].concat())
                .unwrap()
                .common
                .target()
        };
        assert_eq!(
            target(&["--region", "eu-central-1"]),
            "--stack landfall --region eu-central-1"
        );
        assert_eq!(
            target(&[
                "--ledger",
                "s3://landfall-ledger/",
                "--endpoint-url",
                "http://127.0.0.1:4599"
            ]),
            "--ledger s3://landfall-ledger/ --endpoint-url http://127.0.0.1:4599"
        );
        assert!(Cli::try_parse_from(["landfall", "jobs", "--stack", "a", "--ledger", "s3://abc/"]).is_err());
    }

    /// Every `landfall` command in the documents is accepted.
    #[test]
    fn the_commands_in_the_documents_are_accepted() {
        let documents = [
            include_str!("../../../docs/cli.md"),
            include_str!("../../../docs/local.md"),
            include_str!("../../../docs/operations.md"),
        ];
        let mut seen = 0;
        for line in documents.iter().flat_map(|document| document.lines()) {
            for part in line.split('`').chain([line]) {
                let part = part.trim();
                let Some(words) = part
                    .strip_prefix("landfall ")
                    .or_else(|| part.strip_prefix("cargo landfall "))
                else {
                    continue;
                };
                let words = words.replace("EVENT…", "EVENT").replace("KIND", "segment-snapshot");
                let arguments = ["landfall"].into_iter().chain(words.split_whitespace());
                match Cli::try_parse_from(arguments) {
                    Ok(_) => seen += 1,
                    Err(error) => assert!(!error.use_stderr(), "{words}: {error}"),
                }
            }
        }
        assert!(seen >= 15, "{seen}");
    }
}
