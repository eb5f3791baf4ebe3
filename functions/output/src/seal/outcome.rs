//! Drafts the outcome that an execution would give a job.
//!
//! What must stay true: a success has no error, and its report did not fail. Everything else is a failure that names
//! its error. A cancelled job always ends as cancelled.

use chrono::{DateTime, Utc};
use landfall::{
    cancel::cancelled,
    error::Error,
    job::{Job, Kind, Status, TaskError, Verdict},
    ledger::{Cancel, Entry, Outcome},
    s3_uri::S3Uri,
};

use crate::receipt;

/// The execution that decides, and the time.
#[derive(Clone, Copy)]
pub(super) struct Decider<'a> {
    pub(super) execution: &'a str,
    pub(super) ledger_bucket: &'a str,
    pub(super) now: DateTime<Utc>,
}

impl Decider<'_> {
    /// The outcome of a job.
    pub(super) fn outcome(self, job: &Job) -> Outcome {
        let rejected = job.report.as_ref().is_none_or(|report| report.verdict == "failed");
        let error = match (&job.error, job.status) {
            (Some(error), _) => Some(TaskError::named(Some(error))),
            (None, Status::Succeeded) if !rejected => None,
            (None, status) => Some(
                Error::internal(format!(
                    "Seal got it as {status:?} without a report and without an error"
                ))
                .into(),
            ),
        };
        let (verdict, receipt) = match (&error, &job.output) {
            (None, Some(output)) => (Verdict::Succeeded, output.prefix.join(receipt::NAME)),
            (None, None) => (Verdict::Succeeded, self.ledger_receipt(&job.kind, &job.job_key)),
            (Some(_), _) => (Verdict::Failed, self.ledger_receipt(&job.kind, &job.job_key)),
        };
        Outcome {
            verdict,
            error,
            receipt,
            sealed_by: self.execution.to_owned(),
            sealed_at: self.now,
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

    /// The outcome if there is no job, because it was never started or cannot be read.
    pub(super) fn failure(self, kind: &Kind, job_key: &str, error: TaskError) -> Outcome {
        Outcome {
            verdict: Verdict::Failed,
            error: Some(error),
            receipt: self.ledger_receipt(kind, job_key),
            sealed_by: self.execution.to_owned(),
            sealed_at: self.now,
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

    /// The outcome of a cancelled job. What `draft` knows of the job is kept.
    pub(super) fn cancelled(self, entry: &Entry, cancel: &Cancel, draft: Outcome) -> Outcome {
        Outcome {
            verdict: Verdict::Failed,
            error: Some(cancelled(entry, cancel).into()),
            receipt: self.ledger_receipt(&entry.kind, &entry.trigger.job_key),
            ..draft
        }
    }

    /// Where the receipt of a failure is, and of a job that writes nothing.
    pub(super) fn ledger_receipt(self, kind: &Kind, job_key: &str) -> S3Uri {
        S3Uri {
            bucket: self.ledger_bucket.to_owned(),
            key: format!("receipts/{kind}/{job_key}.json"),
        }
    }
}
