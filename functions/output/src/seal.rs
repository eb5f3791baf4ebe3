//! The last step: it decides a job's outcome, once, and writes the receipt.
//!
//! What must stay true: one conditional write in the ledger decides the outcome, and everything after it follows from
//! what the ledger then holds. So several executions may seal the same job, and each part of a seal may be repeated.
//! There is one outcome and one receipt, and only the execution whose outcome stands announces it. A failure never
//! leaves a receipt beside the data.
//!
//! The step drafts an outcome ([`outcome`]). A failure that may be this execution's alone ([`failure`]) goes into an
//! entry of its own ([`rejection`]). Any other outcome goes into the job's entry, unless that has one. Then the receipt
//! is written, with all that belongs to it ([`publish`]), and the job carries the announcement to the state machine. An
//! execution that only cancels a job comes here too ([`cancel`]).

mod announcement;
mod cancel;
mod failure;
mod manifest;
mod objects;
mod outcome;
mod publish;
mod rejection;

use chrono::{DateTime, Utc};
use landfall::{
    cancel::is_asked,
    error::{Error, ErrorKind, Result},
    history::{self, Run},
    input::{Input, read_value},
    invocation::{Deployment, Invocation},
    job::{self, Announcement, Job, Kind, Status, TaskError, Verdict},
    ledger::{AttemptState, Cas, Change, Changed, Entry, Ledger, Outcome, Versioned},
    poll::past_deadline,
    span,
    start::Received,
    trigger::identify,
};
use serde::{Deserialize, Serialize};

use self::{
    announcement::announcement,
    failure::{LocalFailure, is_local, rejected_job},
    outcome::Decider,
    publish::Publisher,
};

/// The answer of the step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Sealed {
    Job(Box<Job>),
    WithoutJob(Box<WithoutJob>),
}

impl Sealed {
    pub fn outcome(&self) -> Option<&job::Outcome> {
        match self {
            Self::Job(job) => job.outcome.as_ref(),
            Self::WithoutJob(without) => Some(&without.outcome),
        }
    }
}

/// The outcome for an execution whose output is no job: none was made of its event, it cannot be read, or the execution
/// cancels one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WithoutJob {
    pub kind: Kind,
    /// The job key, or a key derived from the event if it is too wrong to have one.
    pub job_key: String,
    pub execution: String,
    /// Always [`Status::Sealed`].
    pub status: Status,
    pub outcome: job::Outcome,
    /// The event that Announce sends.
    pub announcement: Announcement,
}

/// The number of the last attempt, if the service gave it an id.
fn started(entry: &Entry) -> Option<u32> {
    let last = entry.attempts.last();
    let started = last.filter(|attempt| attempt.state == AttemptState::Started);
    started.map(|attempt| attempt.number)
}

/// What can be read of a job whose other members cannot be read, because another version wrote it, for example.
#[derive(Deserialize)]
struct Label {
    kind: Kind,
    job_key: String,
    execution: String,
}

pub async fn seal(deployment: &Deployment, input: impl Into<Input>, invocation: &Invocation) -> Result<Sealed> {
    let sealed = seal_input(deployment, input.into(), invocation).await?;
    log_decision(&sealed);
    Ok(sealed)
}

/// Logs the outcome, whether this execution decided it or found it.
fn log_decision(sealed: &Sealed) {
    let Some(outcome) = sealed.outcome() else { return };
    let (decided, announces) = (outcome.verdict.name(), outcome.announce);
    // For an execution that has no job, the key of the entry with its outcome.
    let sealed_as = match sealed {
        Sealed::Job(_) => None,
        Sealed::WithoutJob(without) => Some(without.job_key.as_str()),
    };
    match &outcome.error {
        None => tracing::info!(decided, announces, sealed_as, "the outcome stands"),
        Some(error) => tracing::warn!(decided, announces, sealed_as, error = error.error, "the outcome stands"),
    }
}

async fn seal_input(deployment: &Deployment, input: Input, invocation: &Invocation) -> Result<Sealed> {
    if input.value.get("job_key").is_some() {
        let label: Label = read_value(input.value.clone())?;
        let sealer = Sealer::new(deployment, invocation, &label.execution);
        let sealed = match read_value(input.value) {
            Ok(job) => sealer.seal_job(job).await,
            Err(error) => sealer.seal_unread(&label, error).await,
        };
        sealed.map_err(|error| error.context(format!("sealing {} {}", label.kind, label.job_key)))
    } else {
        let received = Received::handed_over(input)?;
        let sealer = Sealer::new(deployment, invocation, &received.execution);
        let sealed = match is_asked(&received.event) {
            true => sealer.cancel(&received).await,
            false => sealer.seal_received(&received).await,
        };
        sealed.map_err(|error| error.context(format!("sealing a {}", received.kind)))
    }
}

struct Sealer<'a> {
    deployment: &'a Deployment,
    ledger: Ledger<'a>,
    execution: &'a str,
}

impl<'a> Sealer<'a> {
    fn new(deployment: &'a Deployment, invocation: &Invocation, execution: &'a str) -> Self {
        let owner = format!("{execution}/{}", invocation.request_id);
        let ledger = Ledger::new(deployment.store.as_ref(), &deployment.config.ledger_bucket, owner);
        Self {
            deployment,
            ledger,
            execution,
        }
    }

    async fn seal_job(&self, mut job: Job) -> Result<Sealed> {
        // The job is still running here only if its poll function could not run at the deadline, and so could not give
        // it up.
        if job.status == Status::Running && job.error.is_none() {
            job.error = Some(past_deadline(&job).into());
            job.status = Status::TimedOut;
        }
        let current = self.ledger.reload(&job.kind, &job.job_key).await?;
        let mut local = None;
        if is_local(&job) {
            let failure = LocalFailure {
                kind: &job.kind,
                request_sha256: &job.request_sha256,
                rejected: rejected_job(&current.entry)?,
            };
            if let Some(standing) = rejection::decided(&self.ledger, self.execution, &failure).await? {
                return self.publish_without_job(&standing).await;
            }
            local = Some(failure);
        }
        let entry = self
            .decide(current, self.decider().outcome(&job), local.as_ref())
            .await?;
        if entry.trigger.job_key != job.job_key {
            return self.publish_without_job(&entry).await;
        }
        let outcome = self.publish(&entry, Some(&job)).await?;
        self.remember(&entry, &outcome, &job).await;
        job.announcement = Some(announcement(&entry, &outcome));
        job.outcome = Some(self.as_seen_here(&outcome));
        job.status = Status::Sealed;
        Ok(Sealed::Job(Box::new(job)))
    }

    /// Seals a job of which only the label can be read, as failed with `error`.
    async fn seal_unread(&self, label: &Label, error: Error) -> Result<Sealed> {
        let Label { kind, job_key, .. } = label;
        let current = self.ledger.reload(kind, job_key).await?;
        let failure = LocalFailure {
            kind,
            request_sha256: &current.entry.trigger.request_sha256.clone(),
            rejected: rejected_job(&current.entry)?,
        };
        let entry = match rejection::decided(&self.ledger, self.execution, &failure).await? {
            Some(standing) => standing,
            None => {
                let draft = self.decider().failure(kind, job_key, error.into());
                self.decide(current, draft, Some(&failure)).await?
            }
        };
        self.publish_without_job(&entry).await
    }

    /// Seals an execution whose first step failed.
    async fn seal_received(&self, received: &Received) -> Result<Sealed> {
        let (kind, event) = (&received.kind, &received.event);
        let error = TaskError::named(received.error.as_ref());
        let invalid = error.error == ErrorKind::InvalidEvent.name();
        // If the event could not be read completely, it was refused before anything was looked up.
        let trigger = match &received.unreadable {
            None => identify(kind, event).ok(),
            Some(_) => None,
        };
        if let Some(trigger) = &trigger {
            span::is_of(&trigger.job_key, None);
        }
        let failure = LocalFailure {
            kind,
            request_sha256: trigger.as_ref().map_or("", |trigger| &trigger.request_sha256),
            rejected: received.rejected(self.now())?,
        };
        if let Some(standing) = rejection::decided(&self.ledger, self.execution, &failure).await? {
            return self.publish_without_job(&standing).await;
        }
        let current = match &trigger {
            None => None,
            Some(trigger) => match self.ledger.load(kind, &trigger.job_key).await? {
                None if invalid => None,
                None => {
                    let entry = Entry::new(kind.clone(), trigger.clone(), self.now());
                    match self.ledger.create(entry).await? {
                        Cas::Won(current) | Cas::Lost(current) => Some(current),
                        Cas::Vanished => return Err(self.ledger.deleted(kind, &trigger.job_key)),
                    }
                }
                known => known,
            },
        };
        let job_key = trigger
            .as_ref()
            .map_or(&failure.rejected.job_key, |trigger| &trigger.job_key);
        let draft = self.decider().failure(kind, job_key, error);
        let entry = match current {
            Some(current) => self.decide(current, draft, Some(&failure)).await?,
            None => self.reject(&failure, draft).await?,
        };
        self.publish_without_job(&entry).await
    }

    /// Publishes a decided entry, for an execution that has no job.
    async fn publish_without_job(&self, entry: &Entry) -> Result<Sealed> {
        let outcome = self.publish(entry, None).await?;
        Ok(Sealed::WithoutJob(Box::new(WithoutJob {
            kind: entry.kind.clone(),
            job_key: entry.trigger.job_key.clone(),
            execution: self.execution.to_owned(),
            status: Status::Sealed,
            outcome: self.as_seen_here(&outcome),
            announcement: announcement(entry, &outcome),
        })))
    }

    /// Decides the outcome of this delivery, and answers the entry that holds it. As a rule that is the job's entry,
    /// with `draft` or with the outcome that it has already. If this failure must not close the job, it is a rejection.
    async fn decide(&self, current: Versioned, draft: Outcome, local: Option<&LocalFailure<'_>>) -> Result<Entry> {
        let decided = self.ledger.change(current, |entry| {
            let error = draft.error.as_ref();
            if let Some(failure) = local
                && failure.must_not_close(entry, self.execution, error, self.now())
            {
                return Change::Leave(Some(failure));
            }
            if entry.outcome.is_some() {
                return Change::Leave(None);
            }
            let mut outcome = match &entry.cancel {
                Some(cancel) => self.decider().cancelled(entry, cancel, draft.clone()),
                None => draft.clone(),
            };
            // The execution that drafted the outcome may never have seen the job start.
            if outcome.attempt.is_none() {
                outcome.attempt = started(entry);
            }
            Change::To(Entry {
                outcome: Some(outcome),
                ..entry.clone()
            })
        });
        match decided.await? {
            Changed::Written(Versioned { entry, .. }) => {
                if let Some(error) = entry.outcome.as_ref().and_then(|outcome| outcome.error.as_ref()) {
                    tracing::warn!(kind = %entry.kind, job_key = entry.trigger.job_key, error = error.error, "the job failed");
                }
                Ok(entry)
            }
            Changed::Left(None, decided) => Ok(decided.entry),
            Changed::Left(Some(failure), _) => self.reject(failure, draft).await,
        }
    }

    async fn reject(&self, failure: &LocalFailure<'_>, draft: Outcome) -> Result<Entry> {
        rejection::reject(&self.ledger, self.decider(), failure, draft).await
    }

    async fn publish(&self, entry: &Entry, job: Option<&Job>) -> Result<Outcome> {
        let publisher = Publisher {
            store: self.deployment.store.as_ref(),
            clock: self.deployment.clock.as_ref(),
            ledger: &self.ledger,
            metrics: self.deployment.config.metrics.as_deref(),
            execution: self.execution,
            job,
        };
        publisher.publish(entry).await
    }

    /// Records how long the job took, to plan the polls of later runs. Only the execution whose outcome stands does
    /// this, because it saw the job end.
    async fn remember(&self, entry: &Entry, outcome: &Outcome, job: &Job) {
        // If a job was picked up, nobody knows when it ended.
        if outcome.verdict != Verdict::Succeeded || outcome.sealed_by != self.execution || entry.picks_up.is_some() {
            return;
        }
        let attempt = outcome.attempt.and_then(|number| entry.attempt(number));
        if let Some(run) = attempt.and_then(|attempt| Run::of(job, attempt)) {
            let clock = self.deployment.clock.as_ref();
            history::record(&self.ledger, clock, &entry.kind, &entry.trigger.request_sha256, run).await;
        }
    }

    /// The outcome for the job. Only the execution that decided it announces it.
    fn as_seen_here(&self, outcome: &Outcome) -> job::Outcome {
        job::Outcome {
            announce: outcome.sealed_by == self.execution,
            ..job::Outcome::from(outcome)
        }
    }

    fn decider(&self) -> Decider<'_> {
        Decider {
            execution: self.execution,
            ledger_bucket: self.ledger.bucket(),
            now: self.now(),
        }
    }

    fn now(&self) -> DateTime<Utc> {
        self.deployment.clock.now()
    }
}
