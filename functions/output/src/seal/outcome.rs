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
        let is_proved = job.report.as_ref().is_some_and(|report| report.verdict != "failed");
        let error = match (&job.error, job.status) {
            (Some(error), _) => Some(TaskError::named(Some(error))),
            (None, Status::Succeeded) if is_proved => None,
            (None, status) => {
                let verdict = job.report.as_ref().map_or("none", |report| &report.verdict);
                Some(
                    Error::internal(format!(
                        "Seal got it as {status:?} and without an error; the verdict of its verification is {verdict}. This \
                         is a defect of Landfall"
                    ))
                    .into(),
                )
            }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn outcome(status: &str, report: Option<&str>, error: Option<&str>, writes_output: bool) -> Outcome {
        let report = report.map(|verdict| {
            json!({"key": "reports/1.json", "sha256": "00", "verdict": verdict, "objects": 1, "rows": 1, "bytes": 1})
        });
        let output = json!({
            "prefix": "s3://exports/run=1/", "format": "CSV", "kms_key": null, "allow_empty": false,
            "strict_row_count": false, "settle_seconds": 5,
        });
        let job = json!({
            "schema": "landfall.job/1", "kind": "segment-snapshot", "job_key": "20261101T050000Z-1a2b3c4d",
            "name": null, "execution": "arn", "status": status, "request": {}, "service_id": "id", "attempt": 1,
            "adopted": false, "started_at": "2026-11-01T05:00:00Z", "accepted_at": "2026-11-01T05:00:01Z",
            "deadline_at": "2026-11-01T11:00:00Z", "polling": {"min_seconds": 15, "max_seconds": 1800},
            "wait_seconds": 15, "polls": 3, "report": report, "output": writes_output.then_some(output),
            "error": error.map_or(Value::Null, |error| json!({"Error": error, "Cause": "why"})),
        });
        let job: Job = serde_json::from_value(job).unwrap();
        let decider = Decider {
            execution: "arn",
            ledger_bucket: "ledger",
            now: DateTime::UNIX_EPOCH,
        };
        decider.outcome(&job)
    }

    const IN_LEDGER: &str = "s3://ledger/receipts/segment-snapshot/20261101T050000Z-1a2b3c4d.json";

    #[test]
    fn a_job_that_ended_with_a_passed_report_is_a_success() {
        for (verdict, writes_output, receipt) in [
            ("passed", true, "s3://exports/run=1/_receipt.json"),
            ("passed_with_warnings", true, "s3://exports/run=1/_receipt.json"),
            ("passed", false, IN_LEDGER),
        ] {
            let outcome = outcome("succeeded", Some(verdict), None, writes_output);
            assert_eq!((outcome.verdict, &outcome.error), (Verdict::Succeeded, &None));
            assert_eq!(outcome.receipt.to_string(), receipt);
        }
    }

    /// Even if a job reaches the seal without the error that it should have.
    #[test]
    fn every_other_job_is_a_failure_with_an_error() {
        for (status, report) in [
            ("succeeded", None),
            ("succeeded", Some("failed")),
            ("failed", Some("passed")),
            ("timed_out", None),
        ] {
            let outcome = outcome(status, report, None, true);
            assert_eq!(outcome.verdict, Verdict::Failed, "{status} {report:?}");
            assert_eq!(outcome.receipt.to_string(), IN_LEDGER);
            let error = outcome.error.map(|error| error.error);
            assert_eq!(error.as_deref(), Some("Landfall.Internal"), "{status} {report:?}");
        }
        let outcome = outcome("succeeded", Some("passed"), Some("Landfall.OutputRejected"), true);
        assert_eq!(outcome.verdict, Verdict::Failed);
        let error = outcome.error.map(|error| error.error);
        assert_eq!(error.as_deref(), Some("Landfall.OutputRejected"));
    }
}
