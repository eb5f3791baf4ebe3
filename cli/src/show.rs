//! One job: what happened to it, what its checks say, and what to do.
//!
//! What must stay true: a job is found by all that people may have of it: its key or the end of its key, an execution,
//! a receipt, an event. What is shown is a pure function of the ledger's entry, the receipt and the execution.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use landfall::{
    cancel,
    error::{Error, ErrorKind, Result},
    job::{Kind, TaskError, Verdict},
    ledger::{AttemptState, Entry, Ledger},
    s3_uri::S3Uri,
    store::ObjectStore,
    trigger,
};
use landfall_output::{receipt::Receipt, verify::CheckVerdict};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::{
    document::{Failure, failures},
    executions::{Described, Executions, State, kind_of, machine_of, of_owner},
    jobs::{Row, Sources, Status, collect},
    kinds::KINDS,
    next::{Next, is_left_unsealed, next},
    present::{Layout, Paint, Tone, bytes, counted, grouped, wrapped},
    verify::printable,
};

/// The schema of [`Shown`].
pub const SCHEMA: &str = "landfall.show/1";

/// How long an execution that has ended can be redriven. Jobs that are in no ledger are looked for this far back.
const REDRIVABLE: TimeDelta = TimeDelta::days(14);

/// How a job is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Its key, or the end of it.
    Key(String),
    /// The ARN of an execution.
    Execution(String),
    /// Where its receipt lies.
    Receipt(S3Uri),
    /// The file of its event.
    Event(PathBuf),
}

impl Target {
    /// What a text names. A text that is the path of a file is an event file.
    pub fn of(text: &str) -> Result<Self> {
        if machine_of(text).is_some() {
            return Ok(Self::Execution(text.to_owned()));
        }
        if text.starts_with("s3://") {
            let uri = text.parse::<S3Uri>();
            return uri
                .map(Self::Receipt)
                .map_err(|error| Error::new(ErrorKind::InvalidEvent, error.to_string()));
        }
        let path = PathBuf::from(text);
        if path.is_file() {
            return Ok(Self::Event(path));
        }
        Ok(Self::Key(text.trim_end_matches(".json").to_owned()))
    }
}

/// Where a job is looked for.
pub struct Finder<'a> {
    /// Objects in S3.
    pub store: &'a Arc<dyn ObjectStore>,
    /// The bucket of the ledger.
    pub ledger: &'a str,
    /// Step Functions.
    pub executions: Option<&'a dyn Executions>,
    /// State machines by kind.
    pub machines: &'a BTreeMap<String, String>,
    /// The time.
    pub now: DateTime<Utc>,
}

/// A job, with what was found of it.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its row in the list of jobs.
    pub row: Row,
    /// Its entry. A delivery of which no job was made has none.
    pub entry: Option<Entry>,
    /// Its receipt, once it is sealed.
    pub receipt: Option<Receipt>,
    /// The execution that sealed the outcome, or that works on the job.
    pub execution: Option<Described>,
    /// The state in which that execution failed, was stopped or ran out of time.
    pub ended_in: Option<String>,
    /// What could not be looked at, and why.
    pub notes: Vec<String>,
}

impl Finder<'_> {
    /// Finds a job. Fails with `NotFound` if there is none, and with `InvalidEvent` if several could be meant.
    pub async fn find(&self, target: &Target) -> Result<Job> {
        match target {
            Target::Key(key) => self.by_key(key, None).await,
            Target::Receipt(uri) => {
                let stored = self.store.get(&uri.bucket, &uri.key).await?;
                let stored = stored.ok_or_else(|| missing(format!("there is no receipt at {uri}")))?;
                let receipt: Receipt = serde_json::from_slice(&stored.body)
                    .map_err(|error| missing(format!("{uri} is not a receipt: {error}")))?;
                self.by_key(&receipt.job_key, Some(receipt.kind.as_str())).await
            }
            Target::Event(path) => {
                let event = crate::event::read(path).map_err(|error| missing(format!("{error:#}")))?;
                let kind = crate::event::kind(&event).map_err(|error| missing(format!("{error:#}")))?;
                let key = trigger::identify(&Kind::new(kind.as_str()), &event)?.job_key;
                self.by_key(&key, Some(&kind)).await
            }
            Target::Execution(arn) => self.by_execution(arn).await,
        }
    }

    async fn by_execution(&self, arn: &str) -> Result<Job> {
        let executions = self
            .executions
            .ok_or_else(|| missing("Step Functions cannot be asked".to_owned()))?;
        let described = executions.describe(arn).await?;
        let described = described.ok_or_else(|| missing(format!("there is no execution {arn}")))?;
        let kind = machine_of(arn).and_then(|machine| kind_of(&machine, KINDS));
        let kind = kind.ok_or_else(|| {
            missing(format!(
                "{arn} is not an execution of a job: its state machine is not named <stack>-<kind>"
            ))
        })?;
        let of = Kind::new(kind);
        if let Ok(key) = cancel::job_key_of(&described.input)
            && let Some(mut job) = self.of_kind(kind, &key).await?
        {
            // This execution cancelled the job. What is done to it next is done to the cancel.
            job.execution = Some(described);
            job.ended_in = None;
            self.see_its_end(&mut job).await;
            return Ok(job);
        }
        let rejected = trigger::rejected_key(&of, &described.input)?;
        let key = trigger::identify(&of, &described.input).map_or_else(|_| rejected.clone(), |trigger| trigger.job_key);
        // A delivery that failed because of its own fault is sealed under a key of its own.
        let found = match self.of_kind(kind, &key).await? {
            Some(job) => Some(job),
            None => self.of_kind(kind, &rejected).await?,
        };
        if let Some(job) = found {
            return Ok(job);
        }
        let error = described.error.as_ref().map(|name| crate::document::NamedError {
            name: name.clone(),
            message: crate::steps::message_of(described.cause.as_deref().unwrap_or_default()),
        });
        let row = Row::of_execution(&described.listed, kind, &key, &described.input, error, self.now);
        let mut job = Job {
            row,
            entry: None,
            receipt: None,
            execution: Some(described),
            ended_in: None,
            notes: Vec::new(),
        };
        self.see_its_end(&mut job).await;
        Ok(job)
    }

    async fn by_key(&self, key: &str, kind: Option<&str>) -> Result<Job> {
        let kinds: Vec<&str> = match kind {
            Some(kind) => vec![kind],
            None => KINDS.to_vec(),
        };
        for kind in &kinds {
            if let Some(job) = self.of_kind(kind, key).await? {
                return Ok(job);
            }
        }
        let mut found = Vec::new();
        for kind in &kinds {
            for prefix in [format!("jobs/{kind}/"), format!("receipts/{kind}/rejected-")] {
                for object in self.store.list(self.ledger, &prefix, usize::MAX).await? {
                    let name = object.key.rsplit('/').next().unwrap_or_default();
                    let name = name.strip_suffix(".json").unwrap_or(name);
                    if name.ends_with(key) || name.starts_with(key) {
                        found.push(((*kind).to_owned(), name.to_owned()));
                    }
                }
            }
        }
        match found.as_slice() {
            [] => match self.of_executions_alone(key, &kinds).await? {
                Some(execution) => self.by_execution(&execution).await,
                None => Err(missing(format!(
                    "the ledger s3://{}/ has no job {key:?}. `landfall jobs` lists them",
                    self.ledger
                ))),
            },
            [(kind, key)] => self
                .of_kind(kind, key)
                .await?
                .ok_or_else(|| missing(format!("{kind} {key} vanished while it was read"))),
            several => {
                let shown: Vec<String> = several
                    .iter()
                    .take(8)
                    .map(|(kind, key)| format!("{kind} {key}"))
                    .collect();
                let more = if several.len() > shown.len() { ", …" } else { "" };
                Err(Error::new(
                    ErrorKind::InvalidEvent,
                    format!(
                        "{key:?} may be any of {} jobs: {}{more}",
                        several.len(),
                        shown.join(", ")
                    ),
                ))
            }
        }
    }

    /// The execution of a job that left nothing in the ledger.
    async fn of_executions_alone(&self, key: &str, kinds: &[&str]) -> Result<Option<String>> {
        if self.executions.is_none() {
            return Ok(None);
        }
        let sources = Sources {
            store: self.store,
            ledger: self.ledger,
            executions: self.executions,
            machines: self.machines,
            kinds,
            since: self.now - REDRIVABLE,
            now: self.now,
            progress: &|_, _| {},
        };
        let rows = collect(&sources).await?.rows;
        let row = rows
            .into_iter()
            .find(|row| row.attempts == 0 && row.job_key.ends_with(key));
        Ok(row.and_then(|row| row.execution))
    }

    async fn of_kind(&self, kind: &str, key: &str) -> Result<Option<Job>> {
        let ledger = Ledger::new(self.store.as_ref(), self.ledger, "landfall");
        if key.starts_with("rejected-") {
            let place = format!("receipts/{kind}/{key}.json");
            let Some(receipt) = ledger.get::<Receipt>(&place).await? else {
                return Ok(None);
            };
            let row = Row::of_rejected(&receipt, &format!("s3://{}/{place}", self.ledger));
            return Ok(Some(Job {
                row,
                entry: None,
                receipt: Some(receipt),
                execution: None,
                ended_in: None,
                notes: Vec::new(),
            }));
        }
        let Some(found) = ledger.load(&Kind::new(kind), key).await? else {
            return Ok(None);
        };
        let entry = found.entry;
        let mut notes = Vec::new();
        let receipt = match &entry.outcome {
            Some(outcome) => match self.receipt(&outcome.receipt).await {
                Ok(receipt) => receipt,
                Err(error) => {
                    notes.push(format!("its receipt could not be read: {}", error.message));
                    None
                }
            },
            None => None,
        };
        let owner = entry.attempts.last().map(|attempt| of_owner(&attempt.owner));
        let cancelled_by = entry.cancel.as_ref().map(|cancel| cancel.by.as_str());
        let arn = match &entry.outcome {
            // The execution that cancelled the job does not have its event.
            Some(outcome) if cancelled_by == Some(&outcome.sealed_by) => owner,
            Some(outcome) => Some(outcome.sealed_by.as_str()),
            None => owner,
        };
        let execution = match (self.executions, arn) {
            (Some(executions), Some(arn)) => match executions.describe(arn).await {
                Ok(described) => described,
                Err(error) => {
                    notes.push(format!("its execution could not be looked at: {}", error.message));
                    None
                }
            },
            _ => None,
        };
        let listed = execution.as_ref().map(|execution| &execution.listed);
        let mut job = Job {
            row: Row::of_entry(&entry, listed, self.now),
            entry: Some(entry),
            receipt,
            execution,
            ended_in: None,
            notes,
        };
        self.see_its_end(&mut job).await;
        if let Some(outcome) = job.entry.as_ref().and_then(|entry| entry.outcome.as_ref())
            && job
                .execution
                .as_ref()
                .is_some_and(|execution| execution.listed.arn == outcome.sealed_by)
            && is_left_unsealed(job.ended_in.as_deref())
        {
            job.row.status = Status::Unsealed;
        }
        Ok(Some(job))
    }

    async fn receipt(&self, uri: &S3Uri) -> Result<Option<Receipt>> {
        let Some(stored) = self.store.get(&uri.bucket, &uri.key).await? else {
            return Ok(None);
        };
        let receipt = serde_json::from_slice(&stored.body)
            .map_err(|error| Error::internal(format!("{uri} is not what Landfall writes there: {error}")))?;
        Ok(Some(receipt))
    }

    /// Finds the state in which an execution ended that did not succeed.
    async fn see_its_end(&self, job: &mut Job) {
        let (Some(executions), Some(execution)) = (self.executions, &job.execution) else {
            return;
        };
        if !matches!(execution.listed.state, State::Failed | State::Aborted | State::TimedOut) {
            return;
        }
        match executions.history(&execution.listed.arn).await {
            Ok(history) => {
                let entered = |event: &Value| event["stateEnteredEventDetails"]["name"].as_str().map(str::to_owned);
                job.ended_in = history.iter().rev().find_map(entered);
            }
            Err(error) => job.notes.push(format!(
                "the history of its execution could not be read: {}",
                error.message
            )),
        }
    }
}

fn missing(why: String) -> Error {
    Error::new(ErrorKind::NotFound, why)
}

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Moment {
    /// When.
    pub at: DateTime<Utc>,
    /// What happened.
    pub what: String,
}

/// One job, as `landfall show --json` prints it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Shown {
    /// `landfall.show/1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// Landfall's version.
    pub landfall: &'static str,
    /// The job's row in the list of jobs.
    pub job: Row,
    /// The state in which its execution failed, was stopped or ran out of time.
    pub ended_in: Option<String>,
    /// What happened, oldest first.
    pub timeline: Vec<Moment>,
    /// What is wrong with the output: failures first, then warnings.
    pub failures: Vec<Failure>,
    /// How many checks passed.
    pub passed: usize,
    /// How many checks do not apply.
    pub skipped: usize,
    /// What to do.
    pub next: Next,
    /// What could not be looked at, and why.
    pub notes: Vec<String>,
}

impl Shown {
    /// A job as it is shown. `target` holds the arguments that name its deployment.
    pub fn of(job: &Job, target: &str) -> Self {
        let verification = job.receipt.as_ref().and_then(|receipt| receipt.verification.as_ref());
        let checks = verification.map_or(&[][..], |verification| &verification.checks);
        let objects = job.receipt.as_ref().and_then(|receipt| receipt.output.as_ref());
        let mut wrong = failures(checks, objects.map_or(&[], |output| &output.objects));
        wrong.sort_by_key(|failure| failure.verdict != CheckVerdict::Fail);
        let count = |verdict: CheckVerdict| checks.iter().filter(|check| check.verdict == verdict).count();
        Self {
            schema: SCHEMA,
            landfall: env!("CARGO_PKG_VERSION"),
            job: job.row.clone(),
            ended_in: job.ended_in.clone(),
            timeline: timeline(job),
            failures: wrong,
            passed: count(CheckVerdict::Pass),
            skipped: count(CheckVerdict::Skipped),
            next: next(&job.row, job.ended_in.as_deref(), target),
            notes: job.notes.clone(),
        }
    }
}

fn timeline(job: &Job) -> Vec<Moment> {
    let mut moments = Vec::new();
    let mut add = |at: DateTime<Utc>, what: String| moments.push(Moment { at, what });
    let row = &job.row;
    let by = job.entry.as_ref().map(|entry| match &entry.trigger.schedule {
        Some(schedule) => format!("by the schedule {}", schedule.rsplit('/').next().unwrap_or(schedule)),
        None => format!("by an event of {}", entry.trigger.source),
    });
    add(
        row.triggered_at,
        format!("triggered {}", by.unwrap_or_default()).trim_end().to_owned(),
    );
    if let Some(entry) = &job.entry {
        add(entry.created_at, "claimed in the ledger".to_owned());
        for attempt in &entry.attempts {
            let n = attempt.number;
            let why = attempt.error.as_ref().map(TaskError::gist).unwrap_or_default();
            match (attempt.state, attempt.started_at) {
                (AttemptState::Started, Some(at)) => {
                    let id = attempt.service_id.as_deref().unwrap_or("an id");
                    add(at, format!("start call {n}: the service gave {id}"));
                }
                (AttemptState::Started, None) => add(attempt.claimed_at, format!("start call {n} was adopted")),
                (AttemptState::Claimed, _) => add(attempt.claimed_at, format!("start call {n} is being made")),
                (AttemptState::Uncertain, _) => add(
                    attempt.claimed_at,
                    format!("start call {n}: its answer was lost: {why}"),
                ),
                (AttemptState::Refused, _) => add(attempt.claimed_at, format!("start call {n} was refused: {why}")),
                (AttemptState::Waiting, _) => add(attempt.claimed_at, format!("waits: {why}")),
            }
        }
    } else if row.sealed_at != Some(row.began_at) {
        add(row.began_at, "its execution began".to_owned());
    }
    let outcome = job.entry.as_ref().and_then(|entry| entry.outcome.as_ref());
    if let Some((outcome, at)) = outcome.and_then(|outcome| Some((outcome, outcome.ended_at?))) {
        let status = outcome.service_status.as_deref().unwrap_or("its end");
        add(
            at,
            format!(
                "the service said {status}, after {}",
                counted(outcome.polls.into(), "poll")
            ),
        );
    }
    let verification = job
        .receipt
        .as_ref()
        .and_then(|receipt| receipt.verification.as_ref().zip(receipt.times.verified_at));
    if let Some((verification, at)) = verification {
        add(at, format!("verified: {}", verification.verdict.replace('_', " ")));
    }
    if let Some(at) = row.sealed_at {
        let verdict = match outcome.map(|outcome| outcome.verdict) {
            Some(Verdict::Succeeded) => "a success",
            Some(Verdict::Failed) | None => "a failure",
        };
        let what = match row.status {
            Status::Unsealed => "decided",
            _ => "sealed",
        };
        add(at, format!("{what} as {verdict}"));
    }
    if let Some(execution) = &job.execution
        && let Some(at) = execution.listed.stopped_at
        && (outcome.is_none() || row.status == Status::Unsealed)
    {
        let place = job
            .ended_in
            .as_deref()
            .map_or_else(String::new, |state| format!(" in {state}"));
        add(
            at,
            format!("its execution ended{place}: {}", execution.listed.state.name()),
        );
    }
    if let (true, Some(at)) = (row.status.is_open(), row.deadline_at) {
        add(at, "will be given up".to_owned());
    }
    moments.sort_by_key(|moment| moment.at);
    moments
}

/// A job as text.
pub fn shown(shown: &Shown, layout: Layout) -> String {
    let (paint, job) = (layout.paint, &shown.job);
    let tone = match job.status {
        Status::Succeeded => Tone::Good,
        status if status.is_bad() => Tone::Bad,
        _ => Tone::Warning,
    };
    let mut lines = vec![
        format!("{}  {} {}", paint.paint(tone, job.status.name()), job.kind, job.job_key),
        String::new(),
    ];
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            lines.extend(hanging(&format!(" {name:<10} "), &printable(&value), layout, paint));
        }
    };
    fact(
        "what",
        match &job.name {
            Some(name) => format!("{name}: {}", job.what),
            None => job.what.clone(),
        },
    );
    if let Some(error) = &job.error {
        fact("error", format!("{}: {}", error.name, error.message));
    }
    fact("waits for", job.waits_for.clone().unwrap_or_default());
    if let (Some(objects), Some(rows), Some(size)) = (job.objects, job.rows, job.bytes) {
        fact(
            "output",
            format!(
                "{}, {} rows, {}",
                counted(objects, "object"),
                grouped(rows),
                bytes(size)
            ),
        );
    }
    fact("at", job.prefix.clone().unwrap_or_default());
    fact("receipt", job.receipt.clone().unwrap_or_default());
    fact("execution", job.execution.clone().unwrap_or_default());
    fact("picks up", job.picks_up.clone().unwrap_or_default());
    if let Some(cost) = &job.cost {
        let transitions = counted(cost.state_transitions, "state transition");
        fact(
            "cost",
            format!("{transitions}, about ${:.5}", cost.state_transitions_usd),
        );
    }
    lines.push(String::new());
    for (index, moment) in shown.timeline.iter().enumerate() {
        let at = moment
            .at
            .to_rfc3339_opts(SecondsFormat::Secs, true)
            .replace('T', " ")
            .replace('Z', "");
        let after = match index {
            0 => String::new(),
            _ => since(moment.at, shown.timeline[index - 1].at),
        };
        lines.extend(hanging(
            &format!(" {at} {after:>7}  "),
            &printable(&moment.what),
            layout,
            paint,
        ));
    }
    if !shown.failures.is_empty() || shown.passed > 0 {
        lines.push(String::new());
    }
    for failure in &shown.failures {
        let word = match failure.verdict {
            CheckVerdict::Fail => paint.paint(Tone::Bad, "fail"),
            _ => paint.paint(Tone::Warning, "warn"),
        };
        let place = match (&failure.object, failure.line) {
            (Some(object), Some(line)) => format!("{}, line {line}: ", object.rsplit('/').next().unwrap_or(object)),
            (Some(object), None) => format!("{}: ", object.rsplit('/').next().unwrap_or(object)),
            (None, _) => String::new(),
        };
        let mut of = hanging(
            "      ",
            &printable(&format!("{}: {place}{}", failure.check, failure.what)),
            layout,
            paint,
        );
        if let Some(first) = of.first_mut() {
            *first = format!(" {word} {}", first.trim_start());
        }
        lines.extend(of);
    }
    if shown.passed + shown.skipped > 0 {
        let passed = counted(shown.passed as u64, "check");
        lines.push(format!(" {passed} passed, {} skipped", grouped(shown.skipped as u64)));
    }
    lines.push(String::new());
    lines.push(paint.paint(Tone::Strong, "What to do"));
    lines.extend(hanging(" ", &shown.next.what, layout, Paint(false)));
    for command in &shown.next.commands {
        lines.push(format!("   {}", paint.paint(Tone::Strong, command)));
    }
    for note in &shown.notes {
        lines.extend(hanging(" note: ", &printable(note), layout, paint));
    }
    lines.join("\n")
}

/// A text after a heading, broken into lines as wide as the layout. Later lines are indented.
fn hanging(heading: &str, text: &str, layout: Layout, paint: Paint) -> Vec<String> {
    let indent = heading.chars().count();
    let width = usize::from(layout.width.unwrap_or(u16::MAX));
    let mut lines = wrapped(text, width.saturating_sub(indent).max(20));
    for (index, line) in lines.iter_mut().enumerate() {
        *line = match index {
            0 => format!("{}{line}", paint.paint(Tone::Faint, heading)),
            _ => format!("{}{line}", " ".repeat(indent)),
        };
    }
    lines
}

/// How much later something happened, in seven columns.
fn since(at: DateTime<Utc>, before: DateTime<Utc>) -> String {
    let seconds = (at - before).num_seconds();
    match seconds {
        ..=0 => String::new(),
        1..=99 => format!("+{seconds}s"),
        100..=5_999 => format!("+{}m", seconds / 60),
        6_000..=172_799 => format!("+{}h{:02}", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("+{}d", seconds / 86_400),
    }
}
