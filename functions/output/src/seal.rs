//! The last step: decides a job's outcome, once, and writes its receipt.
//!
//! What must stay true: the outcome is decided by one conditional write in the ledger, and everything after it follows
//! from what stands there. So any number of executions may seal the same job, and each step of a seal may be repeated:
//! one outcome stands, one receipt is written, and only the execution whose outcome stands announces it. A success is
//! sealed in the run's own prefix, the list of its objects before the receipt and the pointer to it after; a failure
//! never leaves anything there. How long a success took is noted last, and nothing depends on it.

use chrono::{DateTime, Utc};
use landfall::{
    error::{Error, ErrorKind, Result},
    event::{self, Trigger},
    history::{Histories, Run},
    input::{Input, read_value},
    invocation::{Deployment, Invocation},
    job::{self, Announcement, Job, Kind, Status, TaskError, Verdict},
    ledger::{self, AttemptState, Entry, Ledger, Outcome, Versioned, encode},
    line::Line,
    poll::past_deadline,
    s3_uri::S3Uri,
    start::Received,
    store::{
        CLOCK_SKEW, Condition, Written,
        upload::{PART, Upload},
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    latest::{self, Latest},
    metrics,
    receipt::{self, Receipt},
    verify::{CheckVerdict, ObjectsFile, Report},
};

/// How often a lost race in the ledger is followed by another look within one invocation.
const MAX_TURNS: usize = 8;

/// What the step gives: a sealed job, or the outcome of an event that never became one.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Sealed {
    /// A job.
    Job(Box<Job>),
    /// An event that no job was made of.
    Unstarted(Box<Unstarted>),
}

impl Sealed {
    /// How it ended.
    pub fn outcome(&self) -> Option<&job::Outcome> {
        match self {
            Self::Job(job) => job.outcome.as_ref(),
            Self::Unstarted(unstarted) => Some(&unstarted.outcome),
        }
    }
}

/// The outcome of an event that no job was made of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Unstarted {
    /// The kind.
    pub kind: Kind,
    /// The job key, or what stands for it where the event is too wrong to have one.
    pub job_key: String,
    /// The execution.
    pub execution: String,
    /// Always [`Status::Sealed`].
    pub status: Status,
    /// How it ended.
    pub outcome: job::Outcome,
    /// What is told to the event bus.
    pub announcement: Announcement,
}

/// What can be read of a job that cannot be read whole, such as one that another version wrote.
#[derive(Deserialize)]
struct Label {
    kind: Kind,
    job_key: String,
    execution: String,
}

/// Runs the step.
pub async fn seal(deployment: &Deployment, input: impl Into<Input>, invocation: &Invocation) -> Result<Sealed> {
    let input = input.into();
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
        sealer
            .seal_unstarted(&received)
            .await
            .map_err(|error| error.context(format!("sealing a {}", received.kind)))
    }
}

/// A delivery that failed for itself, which may be no reason to end the job.
struct Alone<'a> {
    kind: &'a Kind,
    /// The hash of its request; empty if it has none.
    request_sha256: &'a str,
    /// What it is sealed as if the job is not its own to close.
    rejected: Trigger,
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
        // Its function could not run any more to give it up.
        if job.status == Status::Running && job.error.is_none() {
            job.error = Some(past_deadline(&job).into());
            job.status = Status::TimedOut;
        }
        let current = self.entry_of(&job.kind, &job.job_key).await?;
        let mut alone = None;
        if failed_for_itself(&job) {
            let itself = Alone {
                kind: &job.kind,
                request_sha256: &job.request_sha256,
                rejected: rejected_job(&current.entry)?,
            };
            if let Some(standing) = self.own_rejection(&itself).await? {
                return self.unstarted(&standing).await;
            }
            alone = Some(itself);
        }
        let entry = self.decide(current, self.draft(&job), alone.as_ref()).await?;
        if entry.trigger.job_key != job.job_key {
            return self.unstarted(&entry).await;
        }
        let outcome = self.finish(&entry).await?;
        self.remember(&entry, &outcome, &job).await;
        job.announcement = Some(announcement(&entry, &outcome));
        job.outcome = Some(self.as_seen_here(&outcome));
        job.status = Status::Sealed;
        Ok(Sealed::Job(Box::new(job)))
    }

    /// Seals a job of which no more than its label can be read, as failed with `error`.
    async fn seal_unread(&self, label: &Label, error: Error) -> Result<Sealed> {
        let Label { kind, job_key, .. } = label;
        let current = self.entry_of(kind, job_key).await?;
        let alone = Alone {
            kind,
            request_sha256: &current.entry.trigger.request_sha256.clone(),
            rejected: rejected_job(&current.entry)?,
        };
        let entry = match self.own_rejection(&alone).await? {
            Some(standing) => standing,
            None => {
                let draft = self.failure(kind, job_key, error.into());
                self.decide(current, draft, Some(&alone)).await?
            }
        };
        self.unstarted(&entry).await
    }

    async fn entry_of(&self, kind: &Kind, job_key: &str) -> Result<Versioned> {
        self.ledger.load(kind, job_key).await?.ok_or_else(|| {
            Error::internal(format!(
                "its entry is missing in s3://{}: it was deleted",
                self.ledger.bucket()
            ))
        })
    }

    /// Seals an execution whose first step failed.
    async fn seal_unstarted(&self, received: &Received) -> Result<Sealed> {
        let (kind, event) = (&received.kind, &received.event);
        let error = TaskError::named(received.error.as_ref());
        let invalid = error.error == ErrorKind::InvalidEvent.name();
        // An event that was not read whole was refused before anything was looked up.
        let trigger = match &received.unreadable {
            None => event::identify(kind, event).ok(),
            Some(_) => None,
        };
        let alone = Alone {
            kind,
            request_sha256: trigger.as_ref().map_or("", |trigger| &trigger.request_sha256),
            rejected: received.rejected(self.now())?,
        };
        if let Some(standing) = self.own_rejection(&alone).await? {
            return self.unstarted(&standing).await;
        }
        let current = match &trigger {
            None => None,
            Some(trigger) => match self.ledger.load(kind, &trigger.job_key).await? {
                None if invalid => None,
                None => match self.ledger.create(self.empty_entry(kind, trigger.clone())).await? {
                    Some(created) => Some(created),
                    None => Some(self.reload(kind, &trigger.job_key).await?),
                },
                known => known,
            },
        };
        let job_key = trigger
            .as_ref()
            .map_or(&alone.rejected.job_key, |trigger| &trigger.job_key);
        let draft = self.failure(kind, job_key, error);
        let entry = match current {
            Some(current) => self.decide(current, draft, Some(&alone)).await?,
            None => self.reject(&alone, draft).await?,
        };
        self.unstarted(&entry).await
    }

    /// Whether an open job is not for a failed delivery to close: another execution made the start call, or is making it,
    /// so that the job is its own to seal, or that of whoever adopts it; or the event took another job's idempotency key.
    fn is_not_ours(&self, entry: &Entry, alone: &Alone<'_>, error: Option<&TaskError>) -> bool {
        let now = self.now();
        let is_given_up = error.is_some_and(|error| is_given_up(entry, error, now));
        let is_anothers = is_of_another(entry, self.execution, now) && !is_given_up;
        is_anothers || entry.trigger.request_sha256 != alone.request_sha256
    }

    /// What this execution has decided for its delivery alone. It stands: a try of this step may have died right after
    /// it, and what it went by may have changed since then.
    async fn own_rejection(&self, alone: &Alone<'_>) -> Result<Option<Entry>> {
        for key in [&alone.rejected.job_key, &self.key_of_own(alone)] {
            if let Some(standing) = self.ledger.load(alone.kind, key).await?
                && let Some(outcome) = &standing.entry.outcome
                && outcome.sealed_by == self.execution
            {
                return Ok(Some(standing.entry));
            }
        }
        Ok(None)
    }

    /// Seals a delivery alone: beneath the key of its event, and if another one failed there otherwise, beneath a key of
    /// its own. Whoever sends an event again is told why it is rejected now.
    async fn reject(&self, alone: &Alone<'_>, draft: Outcome) -> Result<Entry> {
        let error = draft.error.clone();
        let entry_at = |job_key: &str| {
            let trigger = Trigger {
                job_key: job_key.to_owned(),
                ..alone.rejected.clone()
            };
            Entry {
                outcome: Some(Outcome {
                    receipt: self.ledger_receipt(alone.kind, job_key),
                    attempt: None,
                    ..draft.clone()
                }),
                ..self.empty_entry(alone.kind, trigger)
            }
        };
        let shared = &alone.rejected.job_key;
        if let Some(created) = self.ledger.create(entry_at(shared)).await? {
            return Ok(created.entry);
        }
        let standing = self.reload(alone.kind, shared).await?.entry;
        if standing.outcome.as_ref().is_some_and(|outcome| outcome.error == error) {
            return Ok(standing);
        }
        let own = self.key_of_own(alone);
        match self.ledger.create(entry_at(&own)).await? {
            Some(created) => Ok(created.entry),
            None => Ok(self.reload(alone.kind, &own).await?.entry),
        }
    }

    /// The key of a rejection that is of this execution alone.
    fn key_of_own(&self, alone: &Alone<'_>) -> String {
        let execution = event::sha256_hex(self.execution.as_bytes());
        format!("{}-{}", alone.rejected.job_key, &execution[..8])
    }

    /// Finishes a decided entry for an execution that goes on without a job.
    async fn unstarted(&self, entry: &Entry) -> Result<Sealed> {
        let outcome = self.finish(entry).await?;
        Ok(Sealed::Unstarted(Box::new(Unstarted {
            kind: entry.kind.clone(),
            job_key: entry.trigger.job_key.clone(),
            execution: self.execution.to_owned(),
            status: Status::Sealed,
            outcome: self.as_seen_here(&outcome),
            announcement: announcement(entry, &outcome),
        })))
    }

    /// Gives the entry whose outcome is that of this delivery. It is the job's, with `draft` written into it unless an
    /// outcome stands there; or a rejection, if the job is not this execution's to close, which is asked of every version
    /// of the job's entry that is written over.
    async fn decide(&self, mut current: Versioned, draft: Outcome, alone: Option<&Alone<'_>>) -> Result<Entry> {
        for _ in 0..MAX_TURNS {
            if let Some(alone) = alone
                && self.is_not_ours(&current.entry, alone, draft.error.as_ref())
            {
                return self.reject(alone, draft).await;
            }
            if current.entry.outcome.is_some() {
                return Ok(current.entry);
            }
            let mut entry = current.entry.clone();
            let mut outcome = draft.clone();
            if let Some(error) = &outcome.error {
                tracing::warn!(kind = %entry.kind, job_key = entry.trigger.job_key, error = error.error, "the job failed");
            }
            // What an execution that never saw the job start cannot know.
            if outcome.attempt.is_none() {
                let started = entry
                    .attempts
                    .last()
                    .filter(|attempt| attempt.state == AttemptState::Started);
                outcome.attempt = started.map(|attempt| attempt.number);
            }
            entry.outcome = Some(outcome);
            match self.ledger.update(entry, current.etag).await? {
                Some(decided) => return Ok(decided.entry),
                None => current = self.reload(&current.entry.kind, &current.entry.trigger.job_key).await?,
            }
        }
        Err(Error::new(ErrorKind::Busy, "others keep changing its ledger entry"))
    }

    /// Writes the receipt of a decided entry with what belongs to it, as far as that is not there.
    async fn finish(&self, entry: &Entry) -> Result<Outcome> {
        let outcome = entry
            .outcome
            .clone()
            .ok_or_else(|| Error::internal("a decided entry has no outcome"))?;
        let report: Option<Report> = match &outcome.report {
            Some(pointer) => Some(self.ledger.get(&pointer.key).await?.ok_or_else(|| {
                Error::internal(format!(
                    "its report s3://{}/{} was deleted",
                    self.ledger.bucket(),
                    pointer.key
                ))
            })?),
            None => None,
        };
        let beside_data = receipt::is_beside_data(&outcome);
        let objects_file = report.as_ref().and_then(|report| report.objects_file.clone());
        let latest = report
            .as_ref()
            .filter(|_| beside_data)
            .and_then(|report| latest_of(entry, &outcome, report));
        let receipt = Receipt::new(entry, &outcome, report, self.ledger.bucket());
        if let Some(file) = objects_file.filter(|_| beside_data)
            && !self.is_finished(&receipt, &outcome.receipt).await?
        {
            self.copy_objects(&file, &receipt::beside(&outcome.receipt)).await?;
        }
        self.write_receipt(&receipt, &outcome.receipt).await?;
        if let Some((destination, latest)) = latest {
            latest::advance(self.deployment.store.as_ref(), &destination, &latest).await?;
        }
        if entry.takes_place {
            self.give_place_back(entry).await?;
        }
        metrics::write(self.deployment.config.metrics.as_deref(), &receipt, self.execution);
        Ok(outcome)
    }

    /// Lets the next job of the line run. Whoever looks the job up finds the place free anyway, so whatever does not pass
    /// holds no seal up.
    async fn give_place_back(&self, entry: &Entry) -> Result<()> {
        let line = Line::new(&self.ledger, self.deployment.clock.as_ref(), &entry.kind);
        match line.leave(&entry.trigger.job_key).await {
            Err(error) if !error.kind.is_transient() => {
                tracing::warn!(
                    job_key = entry.trigger.job_key,
                    "its place in the line is not given back: {}; let seal-receipt read and write s3://{}/{}",
                    error.message,
                    self.ledger.bucket(),
                    Line::key(&entry.kind)
                );
                Ok(())
            }
            left => left,
        }
    }

    /// Keeps how long the job took, for the polls of the request's next runs. Whoever's outcome stands does so, since it
    /// saw the job end; other deliveries saw less or nothing of it.
    async fn remember(&self, entry: &Entry, outcome: &Outcome, job: &Job) {
        // When a job that is picked up ended is not known.
        if outcome.verdict != Verdict::Succeeded || outcome.sealed_by != self.execution || entry.picks_up.is_some() {
            return;
        }
        let attempt = entry
            .attempts
            .iter()
            .find(|attempt| Some(attempt.number) == outcome.attempt);
        if let Some(run) = attempt.and_then(|attempt| Run::of(job, attempt)) {
            let histories = Histories::new(self.deployment.store.as_ref(), self.ledger.bucket());
            histories.record(&entry.kind, &entry.trigger.request_sha256, run).await;
        }
    }

    async fn write_receipt(&self, receipt: &Receipt, place: &S3Uri) -> Result<()> {
        let body = encode(receipt)?;
        let store = &self.deployment.store;
        let written = store.put(&place.bucket, &place.key, body, Condition::Absent).await?;
        // Gone since then, it was deleted: the outcome stands in the ledger, and the next delivery writes it again.
        if written == Written::Refused && !self.is_written(receipt, place).await? {
            return Err(Error::new(
                ErrorKind::Busy,
                format!("{place} was there and is not any more"),
            ));
        }
        Ok(())
    }

    /// Whether all that the receipt names is there, because it is itself.
    async fn is_finished(&self, receipt: &Receipt, place: &S3Uri) -> Result<bool> {
        match self.is_written(receipt, place).await {
            // Whoever may not list a bucket is refused to read what is not there.
            Err(error) if error.kind == ErrorKind::Forbidden => Ok(false),
            written => written,
        }
    }

    /// Whether the receipt stands there. Fails with `Internal` if something else does.
    async fn is_written(&self, receipt: &Receipt, place: &S3Uri) -> Result<bool> {
        let Some(standing) = self.deployment.store.get(&place.bucket, &place.key).await? else {
            return Ok(false);
        };
        let standing = serde_json::from_slice::<Receipt>(&standing.body).ok();
        if standing.is_some_and(|standing| standing.is_of_same_outcome(receipt)) {
            return Ok(true);
        }
        Err(Error::new(
            ErrorKind::Internal,
            format!("{place} is taken by something that this job did not write; move it away and redrive"),
        ))
    }

    /// Copies the list of all objects from the ledger bucket to the data. Whoever seals the same job writes the same.
    async fn copy_objects(&self, file: &ObjectsFile, place: &S3Uri) -> Result<()> {
        let mut upload = Upload::new(self.deployment.store.as_ref(), place.clone());
        match self.copy_parts(file, &mut upload).await {
            Ok(()) => {
                upload.finish().await?;
                Ok(())
            }
            Err(error) => {
                if let Err(abort) = upload.abort().await {
                    tracing::warn!(
                        "the upload to {place} is left to the bucket's lifecycle: {}",
                        abort.message
                    );
                }
                Err(error)
            }
        }
    }

    async fn copy_parts(&self, file: &ObjectsFile, upload: &mut Upload<'_>) -> Result<()> {
        let (store, bucket, key) = (&self.deployment.store, self.ledger.bucket(), &file.key);
        let broken = |what: &str| {
            Error::internal(format!(
                "the list of its objects, s3://{bucket}/{key}, {what}; restore the version that its report names by size \
                 and SHA-256, and redrive"
            ))
        };
        let head = store.head(bucket, key).await?.ok_or_else(|| broken("was deleted"))?;
        if head.size != file.bytes {
            return Err(broken("has another size than its report says"));
        }
        let mut hash = Sha256::new();
        let mut start = 0;
        while start < file.bytes {
            let end = file.bytes.min(start + PART as u64);
            let part = match store.read(bucket, key, &head.etag, start, end).await {
                Err(error) if error.kind == ErrorKind::OutputRejected => {
                    return Err(broken("changed while it was copied"));
                }
                part => part?,
            };
            if part.len() as u64 != end - start {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    format!("bytes {start}..{end} of s3://{bucket}/{key} came as {}", part.len()),
                ));
            }
            hash.update(&part);
            upload.write(&part).await?;
            start = end;
        }
        if hex::encode(hash.finalize()) != file.sha256 {
            return Err(broken("has another SHA-256 than its report says"));
        }
        Ok(())
    }

    /// The outcome as this execution would have it.
    fn draft(&self, job: &Job) -> Outcome {
        let rejected = job.report.as_ref().is_none_or(|report| report.verdict == "failed");
        let error = match (&job.error, job.status) {
            (Some(error), _) => Some(TaskError::named(Some(error))),
            (None, Status::Succeeded) if !rejected => None,
            (None, status) => Some(
                Error::internal(format!(
                    "it came to the seal as {status:?} without a report and without an error"
                ))
                .into(),
            ),
        };
        let verdict = if error.is_none() {
            Verdict::Succeeded
        } else {
            Verdict::Failed
        };
        let receipt = match (verdict, &job.output) {
            (Verdict::Succeeded, Some(output)) => output.prefix.join(receipt::NAME),
            _ => self.ledger_receipt(&job.kind, &job.job_key),
        };
        Outcome {
            verdict,
            error,
            receipt,
            sealed_by: self.execution.to_owned(),
            sealed_at: self.now(),
            attempt: Some(job.attempt),
            polls: job.polls,
            ended_at: job.ended_at,
            service_status: job.service_status.clone(),
            service_message: job.service_message.clone(),
            counts: job.counts,
            failures: job.failures.clone(),
            missed_polls: job.missed.summary(),
            report: job.report.clone(),
            landfall: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn failure(&self, kind: &Kind, job_key: &str, error: TaskError) -> Outcome {
        Outcome {
            verdict: Verdict::Failed,
            error: Some(error),
            receipt: self.ledger_receipt(kind, job_key),
            sealed_by: self.execution.to_owned(),
            sealed_at: self.now(),
            attempt: None,
            polls: 0,
            ended_at: None,
            service_status: None,
            service_message: None,
            counts: None,
            failures: Vec::new(),
            missed_polls: None,
            report: None,
            landfall: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// Where the receipts of failures lie, and of jobs that write nothing.
    fn ledger_receipt(&self, kind: &Kind, job_key: &str) -> S3Uri {
        S3Uri {
            bucket: self.ledger.bucket().to_owned(),
            key: format!("receipts/{kind}/{job_key}.json"),
        }
    }

    /// The entry of a job that was never claimed.
    fn empty_entry(&self, kind: &Kind, trigger: Trigger) -> Entry {
        let now = self.now();
        Entry {
            schema: ledger::SCHEMA.to_owned(),
            kind: kind.clone(),
            trigger,
            name: None,
            request: Value::Null,
            format: None,
            source: None,
            created_at: now,
            deadline_at: now,
            attempts: Vec::new(),
            takes_place: false,
            picks_up: None,
            picked_up_by: Vec::new(),
            orphans: Vec::new(),
            outcome: None,
            written_by: String::new(),
        }
    }

    fn as_seen_here(&self, outcome: &Outcome) -> job::Outcome {
        job::Outcome {
            verdict: outcome.verdict,
            error: outcome.error.clone(),
            receipt: outcome.receipt.clone(),
            announce: outcome.sealed_by == self.execution,
            sealed_by: outcome.sealed_by.clone(),
            sealed_at: outcome.sealed_at,
        }
    }

    async fn reload(&self, kind: &Kind, job_key: &str) -> Result<Versioned> {
        self.ledger
            .load(kind, job_key)
            .await?
            .ok_or_else(|| Error::internal("its ledger entry was deleted meanwhile"))
    }

    fn now(&self) -> DateTime<Utc> {
        self.deployment.clock.now()
    }
}

/// What the destination of a success is to point to, and that destination.
fn latest_of(entry: &Entry, outcome: &Outcome, report: &Report) -> Option<(S3Uri, Latest)> {
    let pointer = outcome.report.as_ref()?;
    let number = outcome.attempt?;
    let attempt = entry.attempts.iter().find(|attempt| attempt.number == number)?;
    let counted = report
        .check("rows_counted")
        .is_some_and(|check| check.verdict == CheckVerdict::Pass);
    let latest = Latest {
        schema: latest::SCHEMA.to_owned(),
        kind: entry.kind.clone(),
        job_key: entry.trigger.job_key.clone(),
        name: entry.name.clone(),
        receipt: outcome.receipt.clone(),
        prefix: attempt.prefix.clone(),
        triggered_at: entry.trigger.time,
        sealed_at: outcome.sealed_at,
        objects: pointer.objects,
        rows: counted.then_some(pointer.rows),
        bytes: pointer.bytes,
        request_sha256: entry.trigger.request_sha256.clone(),
    };
    Some((latest::destination(&attempt.prefix)?, latest))
}

/// What the failure of one delivery of a job is sealed as.
fn rejected_job(entry: &Entry) -> Result<Trigger> {
    let job_key = &entry.trigger.job_key;
    Ok(Trigger {
        job_key: event::rejected_key(&entry.kind, &json!({ "job_key": job_key }))?,
        ..entry.trigger.clone()
    })
}

/// Whether the error of a job is that of a step of this execution: it died or could not go on while the service ran the job,
/// or before what the service wrote was looked at to the end, or it had no news of the job when its deadline passed.
/// Another execution may well get further, unless the error is an answer that everybody gets.
fn failed_for_itself(job: &Job) -> bool {
    let is_open = job.report.is_none() && matches!(job.status, Status::Running | Status::Succeeded);
    let is_own = |error: &TaskError| {
        ErrorKind::from_name(&error.error).is_none_or(|kind| kind.is_transient() || kind == ErrorKind::Internal)
    };
    let is_blind = job.status == Status::TimedOut && job.missed.in_a_row > 0;
    is_blind || is_open && job.error.as_ref().is_some_and(is_own)
}

/// Whether an error is the end of an open job rather than of one delivery: it was not started by its deadline, or what its
/// start calls made cannot be told, and nobody can be at a start call any more. Then it is given up for all its
/// deliveries, whoever finds that out.
fn is_given_up(entry: &Entry, error: &TaskError, now: DateTime<Utc>) -> bool {
    let is_started_or_starting = entry.attempts.last().is_some_and(|attempt| match attempt.state {
        AttemptState::Started => true,
        AttemptState::Claimed => now <= attempt.lease_until,
        AttemptState::Uncertain | AttemptState::Refused | AttemptState::Waiting => false,
    });
    let ends_the_job = match ErrorKind::from_name(&error.error) {
        // Whoever found the deadline past may have had a clock ahead of ours.
        Some(ErrorKind::TimedOut) => now + CLOCK_SKEW >= entry.deadline_at,
        Some(ErrorKind::JobFailed) => true,
        _ => false,
    };
    ends_the_job && !is_started_or_starting
}

/// Whether the job of an open entry is in the hands of another execution. One that stood in line past its deadline is in
/// nobody's: it is started no more.
fn is_of_another(entry: &Entry, execution: &str, now: DateTime<Utc>) -> bool {
    let ours = |owner: &str| owner.strip_prefix(execution).is_some_and(|rest| rest.starts_with('/'));
    let open = entry.attempts.last().filter(|attempt| match attempt.state {
        AttemptState::Refused => false,
        AttemptState::Waiting => now < entry.deadline_at,
        _ => true,
    });
    entry.outcome.is_none() && open.is_some_and(|attempt| !ours(&attempt.owner))
}

fn announcement(entry: &Entry, outcome: &Outcome) -> Announcement {
    let detail_type = match outcome.verdict {
        Verdict::Succeeded => "Export Job Succeeded",
        Verdict::Failed => "Export Job Failed",
    };
    let counted = outcome
        .attempt
        .and_then(|number| entry.attempts.iter().find(|attempt| attempt.number == number));
    Announcement {
        detail_type: detail_type.to_owned(),
        resources: Vec::new(),
        detail: json!({
            "kind": entry.kind,
            "job_key": entry.trigger.job_key,
            "name": entry.name,
            "verdict": outcome.verdict.name(),
            "receipt": outcome.receipt,
            "prefix": counted.map(|attempt| &attempt.prefix),
            "objects": outcome.report.as_ref().map(|report| report.objects),
            "rows": outcome.report.as_ref().map(|report| report.rows),
            "bytes": outcome.report.as_ref().map(|report| report.bytes),
            "error": outcome.error,
            "execution": outcome.sealed_by,
            "sealed_at": outcome.sealed_at,
        }),
    }
}
