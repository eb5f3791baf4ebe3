//! The last step of a batch: it reads in the ledger how each request ended, and writes the summary, once.
//!
//! What must stay true: a summary counts the outcomes in the ledger, never what the executions returned. So it does not
//! matter who ran a job or how often. Requests whose job has no outcome are run again a limited number of times and
//! then count as unknown. One conditional write decides the summary: each delivery of the batch ends with it, and only
//! the execution that wrote it announces it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use landfall::{
    error::{Error, ErrorKind, Result},
    hash::sha256_hex,
    input::{Input, read_value},
    invocation::{Deployment, Invocation},
    job::{Announcement, Kind, ObjectRef, Outcome, TaskError, Verdict},
    ledger::{self, Ledger},
    s3_uri::S3Uri,
    span,
    start::Received,
    store::upload::{Upload, Uploaded},
    trigger::Trigger,
};
use serde_json::json;

use crate::{
    event::{KIND, identify},
    limits::{MAX_CAUSE, MAX_ROUNDS, MAX_SPELLED_OUT},
    plan,
    record::{
        Batch, Became, Counts, Item, JobKeys, Lines, Outturn, Plan, Planned, RECORD_SCHEMA, Record, SUMMARY_SCHEMA,
        Status, Summary, items_key, record_key, results_key, summary_key,
    },
};

/// How many ledger entries are read at a time.
const AT_A_TIME: usize = 32;

/// How many requests the summary's error lists.
const IN_ERROR: usize = 5;

pub async fn summarise(deployment: &Deployment, input: impl Into<Input>, invocation: &Invocation) -> Result<Batch> {
    let batch = sum_up_input(deployment, input.into(), invocation).await?;
    span::is_of_batch(&batch.batch_key, batch.name.as_deref());
    let error = batch.outcome.as_ref().and_then(|outcome| outcome.error.as_ref());
    tracing::info!(
        decided = if batch.status == Status::Running {
            "runs_again"
        } else {
            "summed_up"
        },
        round = batch.round,
        error = error.map(|error| error.error.as_str()),
        "the batch is summed up as far as it goes"
    );
    Ok(batch)
}

async fn sum_up_input(deployment: &Deployment, input: Input, invocation: &Invocation) -> Result<Batch> {
    let desk = |execution: &str| Desk {
        deployment,
        ledger: Ledger::new(
            deployment.store.as_ref(),
            &deployment.config.ledger_bucket,
            format!("{execution}/{}", invocation.request_id),
        ),
        invocation: invocation.request_id.clone(),
        execution: execution.to_owned(),
    };
    if input.value.get("batch_key").is_some() {
        let batch: Batch = read_value(input.value)?;
        let label = format!("summing up the batch {}", batch.batch_key);
        let summed = desk(&batch.execution).sum_up(batch).await;
        summed.map_err(|error| error.context(label))
    } else {
        let received = Received::handed_over(input)?;
        let summed = desk(&received.execution).unplanned(&received).await;
        summed.map_err(|error| error.context("summing up a batch that could not be planned"))
    }
}

/// What is known of a request.
enum Known {
    /// The request has ended.
    Became(Box<Outturn>),
    /// The job has no outcome yet.
    Open(Box<Outturn>),
}

struct Desk<'a> {
    deployment: &'a Deployment,
    ledger: Ledger<'a>,
    invocation: String,
    execution: String,
}

impl Desk<'_> {
    /// Sums up an execution whose first step failed.
    async fn unplanned(&self, received: &Received) -> Result<Batch> {
        let error = TaskError::named(received.error.as_ref());
        let known = match identify(&received.event) {
            // The event may be corrected and sent again, with the same batch key.
            Ok(known) if received.unreadable.is_none() && error.error != ErrorKind::InvalidEvent.name() => Some(known),
            _ => None,
        };
        if let Some((trigger, options)) = known {
            let standing = self.record_failure(trigger.clone(), options.name, &error).await?;
            let is_ours = standing.planned_by == self.execution;
            match standing.plan {
                // The batch was planned, but the answer of Plan was lost.
                Plan::Planned { .. } if is_ours => {
                    let batch = plan::batch(&standing, &self.execution, false);
                    return match batch.status {
                        Status::Running => Ok(batch),
                        // All requests are wrong, so there is nothing to run.
                        _ => self.sum_up(batch).await,
                    };
                }
                Plan::Failed(_) if standing.trigger.request_sha256 == trigger.request_sha256 => {
                    return self.sum_up(plan::batch(&standing, &self.execution, false)).await;
                }
                // Another delivery runs the batch, so only this delivery has failed.
                _ => {}
            }
        }
        let trigger = received.rejected(self.now())?;
        let standing = self.record_failure(trigger, None, &error).await?;
        self.sum_up(plan::batch(&standing, &self.execution, false)).await
    }

    /// Records that a batch could not be planned, unless it has a record. Answers the record in the ledger.
    async fn record_failure(&self, trigger: Trigger, name: Option<String>, error: &TaskError) -> Result<Record> {
        let key = record_key(&trigger.job_key);
        let record = Record {
            schema: RECORD_SCHEMA.to_owned(),
            trigger,
            name,
            planned_by: self.execution.clone(),
            planned_at: self.now(),
            plan: Plan::Failed(error.clone()),
        };
        self.ledger.put_once(&key, &record).await?;
        self.standing(&key).await
    }

    async fn sum_up(&self, batch: Batch) -> Result<Batch> {
        let key = summary_key(&batch.batch_key);
        if let Some(standing) = self.ledger.get::<Summary>(&key).await? {
            return Ok(self.sealed(batch, &standing));
        }
        let record: Record = self.standing(&record_key(&batch.batch_key)).await?;
        let summary = match &record.plan {
            Plan::Failed(error) => self.summary_of_none(&record, error),
            Plan::Planned { list, items, .. } => {
                let known = self.look(self.planned(list).await?).await?;
                let open: BTreeSet<u64> = known
                    .iter()
                    .filter_map(|known| match known {
                        Known::Open(outturn) => Some(outturn.index),
                        Known::Became(_) => None,
                    })
                    .collect();
                if !open.is_empty()
                    && batch.round < MAX_ROUNDS
                    && let Some(items) = self.items_again(&batch, items, &open).await?
                {
                    return Ok(self.again(batch, items));
                }
                let outturns: Vec<Outturn> = known.into_iter().map(|known| settle(known, &batch)).collect();
                self.summary(&record, &batch, &outturns).await?
            }
        };
        self.ledger.put_once(&key, &summary).await?;
        // Read it back, because another delivery may have written it first.
        let standing: Summary = self.standing(&key).await?;
        Ok(self.sealed(batch, &standing))
    }

    /// The list of all requests. Fails with `Internal` if it differs from what the record says.
    async fn planned(&self, list: &Lines) -> Result<Vec<Planned>> {
        let bucket = self.ledger.bucket();
        let broken = |what: &str| {
            Error::internal(format!(
                "its list of requests, s3://{bucket}/{}, {what}; restore the version that its record names by SHA-256, and \
                 redrive",
                list.key
            ))
        };
        let stored = self.deployment.store.get(bucket, &list.key).await?;
        let body = stored.ok_or_else(|| broken("was deleted"))?.body;
        if sha256_hex(&body) != list.sha256 {
            return Err(broken("has another SHA-256 than its record says"));
        }
        body.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).map_err(|error| broken(&format!("cannot be read: {error}"))))
            .collect()
    }

    /// Looks up each request, in order.
    async fn look(&self, planned: Vec<Planned>) -> Result<Vec<Known>> {
        stream::iter(planned)
            .map(|planned| self.look_at(planned))
            .buffered(AT_A_TIME)
            .try_collect()
            .await
    }

    async fn look_at(&self, planned: Planned) -> Result<Known> {
        let mut outturn = Outturn {
            index: planned.index,
            kind: planned.kind,
            name: planned.name,
            job_key: None,
            became: Became::Rejected,
            error: planned.error,
            receipt: None,
            objects: None,
            rows: None,
            bytes: None,
        };
        let (Some(keys), Some(kind)) = (planned.job, outturn.kind.clone()) else {
            return Ok(Known::Became(Box::new(outturn)));
        };
        let (job, delivery) = self.outcomes(&kind, &keys).await?;
        outturn.job_key = Some(keys.job_key);
        match (job, delivery) {
            (Job::Sealed(outcome), _) => Ok(Known::Became(Box::new(told(outturn, &outcome)))),
            (Job::Absent, Some(outcome)) => {
                outturn.job_key = Some(keys.rejected_key);
                Ok(Known::Became(Box::new(told(outturn, &outcome))))
            }
            // Another execution may still make the job: the delivery that failed may have been too early to adopt it.
            (Job::Absent | Job::Open, _) => Ok(Known::Open(Box::new(outturn))),
        }
    }

    /// The outcome of a request's job, and the outcome of a delivery that made no job.
    async fn outcomes(&self, kind: &Kind, keys: &JobKeys) -> Result<(Job, Option<ledger::Outcome>)> {
        let entry = self.ledger.load(kind, &keys.job_key).await?;
        let job = match entry.map(|found| found.entry) {
            // An earlier request used the same idempotency key.
            Some(entry) if entry.trigger.request_sha256 != keys.request_sha256 => Job::Absent,
            Some(entry) => match entry.outcome {
                Some(outcome) => return Ok((Job::Sealed(Box::new(outcome)), None)),
                None => Job::Open,
            },
            None => Job::Absent,
        };
        let delivery = self.ledger.load(kind, &keys.rejected_key).await?;
        Ok((job, delivery.and_then(|found| found.entry.outcome)))
    }

    /// Writes the items of the open requests again. `None` if the items have expired.
    async fn items_again(&self, batch: &Batch, items: &ObjectRef, open: &BTreeSet<u64>) -> Result<Option<ObjectRef>> {
        let Some(stored) = self.deployment.store.get(&items.bucket, &items.key).await? else {
            return Ok(None);
        };
        let all: Vec<Item> = serde_json::from_slice(&stored.body).map_err(|error| {
            Error::internal(format!(
                "s3://{}/{} is not what Landfall writes there: {error}",
                items.bucket, items.key
            ))
        })?;
        let again: Vec<Item> = all.into_iter().filter(|item| open.contains(&item.index)).collect();
        let key = items_key(&batch.batch_key, &self.invocation);
        self.write(&key, &plan::json_of(&again)?).await?;
        Ok(Some(ObjectRef {
            bucket: self.ledger.bucket().to_owned(),
            key,
        }))
    }

    fn again(&self, mut batch: Batch, items: ObjectRef) -> Batch {
        batch.status = Status::Running;
        batch.items = Some(items);
        batch.round += 1;
        batch.wait_seconds = self.deployment.config.polling.min.as_secs();
        batch.error = None;
        batch
    }

    async fn summary(&self, record: &Record, batch: &Batch, outturns: &[Outturn]) -> Result<Summary> {
        let mut lines = Vec::new();
        for outturn in outturns {
            lines.extend(plan::json_of(outturn)?);
            lines.push(b'\n');
        }
        let key = results_key(&batch.batch_key, &self.invocation);
        let written = self.write(&key, &lines).await?;
        let count = |became: Became| outturns.iter().filter(|outturn| outturn.became == became).count() as u64;
        let counts = Counts {
            requests: outturns.len() as u64,
            succeeded: count(Became::Succeeded),
            failed: count(Became::Failed),
            rejected: count(Became::Rejected),
            unknown: count(Became::Unknown),
        };
        let sum = |of: fn(&Outturn) -> Option<u64>| {
            let succeeded = outturns.iter().filter(|outturn| outturn.became == Became::Succeeded);
            succeeded.filter_map(of).sum()
        };
        let unsuccessful: Vec<&Outturn> = outturns
            .iter()
            .filter(|outturn| outturn.became != Became::Succeeded)
            .collect();
        let results = Lines {
            key,
            bytes: written.bytes,
            sha256: written.sha256,
        };
        Ok(Summary {
            error: complaint(counts, &unsuccessful, self.ledger.bucket(), &results),
            counts,
            objects: sum(|outturn| outturn.objects),
            rows: sum(|outturn| outturn.rows),
            bytes: sum(|outturn| outturn.bytes),
            unsuccessful: unsuccessful.into_iter().take(MAX_SPELLED_OUT).cloned().collect(),
            results: Some(results),
            rounds: batch.round,
            ..self.empty_summary(record)
        }
        .judged())
    }

    /// The summary of a batch that could not be planned.
    fn summary_of_none(&self, record: &Record, error: &TaskError) -> Summary {
        Summary {
            error: Some(error.clone()),
            ..self.empty_summary(record)
        }
        .judged()
    }

    fn empty_summary(&self, record: &Record) -> Summary {
        Summary {
            schema: SUMMARY_SCHEMA.to_owned(),
            trigger: record.trigger.clone(),
            name: record.name.clone(),
            verdict: Verdict::Failed,
            error: None,
            source: match &record.plan {
                Plan::Planned { source, .. } => source.clone(),
                Plan::Failed(_) => None,
            },
            counts: Counts::default(),
            objects: 0,
            rows: 0,
            bytes: 0,
            unsuccessful: Vec::new(),
            results: None,
            rounds: 0,
            planned_at: record.planned_at,
            sealed_at: self.now(),
            sealed_by: self.execution.clone(),
            landfall: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The value that leaves the step, with the summary from the ledger.
    fn sealed(&self, mut batch: Batch, standing: &Summary) -> Batch {
        let place = S3Uri {
            bucket: self.ledger.bucket().to_owned(),
            key: summary_key(&batch.batch_key),
        };
        batch.status = Status::Sealed;
        batch.items = None;
        batch.announcement = Some(announcement(&batch.batch_key, standing, &place));
        batch.outcome = Some(Outcome {
            verdict: standing.verdict,
            error: standing.error.clone(),
            receipt: place,
            announce: standing.sealed_by == self.execution,
            sealed_by: standing.sealed_by.clone(),
            sealed_at: standing.sealed_at,
        });
        batch
    }

    async fn write(&self, key: &str, body: &[u8]) -> Result<Uploaded> {
        let place = S3Uri {
            bucket: self.ledger.bucket().to_owned(),
            key: key.to_owned(),
        };
        let mut upload = Upload::new(self.deployment.store.as_ref(), place);
        if let Err(error) = upload.write(body).await {
            plan::give_up(upload).await;
            return Err(error);
        }
        upload.finish().await
    }

    /// Reads a value that was written once, by any delivery.
    async fn standing<T: serde::de::DeserializeOwned>(&self, key: &str) -> Result<T> {
        self.ledger.get(key).await?.ok_or_else(|| {
            Error::internal(format!(
                "s3://{}/{key} was deleted; restore it and redrive",
                self.ledger.bucket()
            ))
        })
    }

    fn now(&self) -> DateTime<Utc> {
        self.deployment.clock.now()
    }
}

/// A request's job in the ledger.
enum Job {
    /// The job has an outcome.
    Sealed(Box<ledger::Outcome>),
    /// The job has no outcome yet.
    Open,
    /// There is no job.
    Absent,
}

impl Summary {
    /// The verdict follows from the error.
    fn judged(mut self) -> Self {
        self.verdict = match self.error {
            None => Verdict::Succeeded,
            Some(_) => Verdict::Failed,
        };
        self
    }
}

/// Adds an outcome to a request's result.
fn told(outturn: Outturn, outcome: &ledger::Outcome) -> Outturn {
    let invalid = outcome
        .error
        .as_ref()
        .is_some_and(|error| error.error == ErrorKind::InvalidEvent.name());
    let report = outcome.report.as_ref();
    Outturn {
        became: match outcome.verdict {
            Verdict::Succeeded => Became::Succeeded,
            Verdict::Failed if invalid && outcome.attempt.is_none() => Became::Rejected,
            Verdict::Failed => Became::Failed,
        },
        error: outcome.error.as_ref().map(|error| TaskError {
            error: error.error.clone(),
            cause: error.cause.chars().take(MAX_CAUSE).collect(),
        }),
        receipt: Some(outcome.receipt.clone()),
        objects: report.map(|report| report.objects),
        rows: report.map(|report| report.rows),
        bytes: report.map(|report| report.bytes),
        ..outturn
    }
}

/// The final result of a request. An open one is unknown.
fn settle(known: Known, batch: &Batch) -> Outturn {
    match known {
        Known::Became(outturn) => *outturn,
        Known::Open(outturn) => {
            let because = match &batch.error {
                Some(error) => format!(" The map ended with {}: {}", error.error, error.message()),
                None => String::new(),
            };
            let why = format!(
                "its job has no outcome, although it was run {} times; look at its executions.{because}",
                batch.round
            );
            Outturn {
                became: Became::Unknown,
                error: Some(TaskError {
                    error: ErrorKind::Internal.name().to_owned(),
                    cause: why.chars().take(MAX_CAUSE).collect(),
                }),
                ..*outturn
            }
        }
    }
}

/// Why a batch did not succeed; `None` if it did.
fn complaint(counts: Counts, unsuccessful: &[&Outturn], bucket: &str, results: &Lines) -> Option<TaskError> {
    if unsuccessful.is_empty() {
        return None;
    }
    let parts: Vec<String> = [
        (counts.failed, "failed"),
        (counts.rejected, "rejected"),
        (counts.unknown, "unknown"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, what)| format!("{number} {what}"))
    .collect();
    let lines: String = unsuccessful
        .iter()
        .take(IN_ERROR)
        .map(|outturn| line(outturn))
        .collect();
    let more = unsuccessful.len().saturating_sub(IN_ERROR);
    let more = if more > 0 {
        format!("\n  and {more} more")
    } else {
        String::new()
    };
    Some(
        Error::new(
            ErrorKind::BatchFailed,
            format!(
                "{} of {} requests did not succeed: {}. The results of all are in s3://{bucket}/{}{lines}{more}",
                unsuccessful.len(),
                counts.requests,
                parts.join(", "),
                results.key
            ),
        )
        .into(),
    )
}

fn line(outturn: &Outturn) -> String {
    let kind = outturn.kind.as_ref().map_or("of no kind", Kind::as_str);
    let why = outturn
        .error
        .as_ref()
        .map_or_else(String::new, |error| format!(": {}: {}", error.error, error.gist()));
    format!("\n  request {} ({kind}){why}", outturn.index)
}

fn announcement(batch_key: &str, summary: &Summary, place: &S3Uri) -> Announcement {
    Announcement {
        detail_type: "Export Batch Completed".to_owned(),
        resources: Vec::new(),
        detail: json!({
            "kind": KIND,
            "batch_key": batch_key,
            "name": summary.name,
            "verdict": summary.verdict,
            "summary": place,
            "requests": summary.counts.requests,
            "succeeded": summary.counts.succeeded,
            "failed": summary.counts.failed,
            "rejected": summary.counts.rejected,
            "unknown": summary.counts.unknown,
            "objects": summary.objects,
            "rows": summary.rows,
            "bytes": summary.bytes,
            "error": summary.error,
            "execution": summary.sealed_by,
            "sealed_at": summary.sealed_at,
        }),
    }
}
