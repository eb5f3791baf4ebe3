//! Makes the [`Job`] from its ledger entry, for the execution that asks.
//!
//! What must stay true: the job holds all that later steps need. What the ledger does not keep, such as the options of
//! the event, comes from the current delivery.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::{
    cancel::cancelled,
    config::Config,
    event::Requested,
    hash::spread,
    job::{self, Job, Missed, Output, Status, TaskError},
    ledger::{Attempt, Entry},
    polling::{self, Bounds, Ran, SoFar},
    service::JobService,
    trigger::{Options, RowCount, VerificationOptions},
};

/// What the current delivery adds to the ledger's entry.
pub(super) struct Delivery<'a, S: JobService> {
    pub(super) execution: &'a str,
    pub(super) event: &'a Value,
    pub(super) requested: &'a Requested<S::Request>,
    pub(super) config: &'a Config,
    /// Whether another invocation made the start call.
    pub(super) adopted: bool,
    /// How long earlier runs of the request took.
    pub(super) history: Vec<Ran>,
    pub(super) now: DateTime<Utc>,
}

impl<S: JobService> Delivery<'_, S> {
    pub(super) fn job(self, entry: &Entry) -> Job {
        let attempt = entry.attempts.last();
        let job_key = &self.requested.trigger.job_key;
        let started_at = attempt.map_or(entry.created_at, |attempt| attempt.claimed_at);
        let accepted_at = attempt.and_then(|attempt| attempt.started_at).unwrap_or(started_at);
        let polling = bounds(&self.requested.options, self.config);
        let cancelled = entry.cancel.as_ref().map(|cancel| cancelled(entry, cancel));
        let wait_seconds = self.first_wait(entry, polling, accepted_at);
        Job {
            schema: job::SCHEMA.to_owned(),
            kind: S::kind(),
            job_key: job_key.clone(),
            name: entry.name.clone(),
            execution: self.execution.to_owned(),
            status: match (&entry.outcome, &cancelled) {
                (Some(_), _) => Status::Sealed,
                (None, Some(_)) => Status::Failed,
                (None, None) => Status::Running,
            },
            request: entry.request.clone(),
            request_sha256: entry.trigger.request_sha256.clone(),
            service_id: attempt
                .and_then(|attempt| attempt.service_id.clone())
                .unwrap_or_default(),
            attempt: attempt.map_or(0, |attempt| attempt.number),
            adopted: self.adopted,
            started_at,
            accepted_at,
            deadline_at: entry.deadline_at,
            verifying: None,
            output: attempt
                .filter(|_| S::WRITES_OUTPUT)
                .map(|attempt| self.output(entry, attempt)),
            source: entry.source.clone(),
            polling,
            wait_seconds,
            history: self.history,
            polls: 0,
            missed: Missed {
                rest_seconds: u32::try_from(polling.min.as_secs()).unwrap_or(u32::MAX),
                ..Missed::default()
            },
            service_status: None,
            service_message: None,
            progress: None,
            counts: None,
            failures: Vec::new(),
            files: None,
            echo: None,
            estimate: None,
            running_at: None,
            ended_at: None,
            service_ended_at: None,
            report: None,
            error: cancelled.filter(|_| entry.outcome.is_none()).map(TaskError::from),
            outcome: entry.outcome.as_ref().map(job::Outcome::from),
            announcement: None,
        }
    }

    fn first_wait(&self, entry: &Entry, polling: Bounds, accepted_at: DateTime<Utc>) -> u32 {
        let remaining = (entry.deadline_at - self.now).to_std().unwrap_or_default();
        if entry.picks_up.is_some() {
            // The job was started long ago, so it has probably ended.
            let seconds = polling.min.min(remaining).as_secs();
            return u32::try_from(seconds).unwrap_or(u32::MAX).max(1);
        }
        polling::next_wait(
            polling,
            SoFar {
                elapsed: (self.now - accepted_at).to_std().unwrap_or_default(),
                remaining,
                // An execution that adopts a job does not know when the job was last polled.
                is_first: !self.adopted,
                progress: None,
                quiet_polls: 0,
                spread: spread(&self.requested.trigger.job_key, 0),
                history: &self.history,
            },
        )
    }

    fn output(&self, entry: &Entry, attempt: &Attempt) -> Output {
        let VerificationOptions {
            allow_empty,
            settle_seconds,
            row_count,
            level,
            expect,
        } = self.requested.options.verification.clone().unwrap_or_default();
        let named = S::named_resources(self.event.get("detail").unwrap_or(&Value::Null));
        Output {
            prefix: attempt.prefix.clone(),
            format: entry.format,
            kms_key: named.kms_key.map(|key| key.value).filter(|key| !key.is_empty()),
            allow_empty: allow_empty.unwrap_or(false),
            strict_row_count: row_count == Some(RowCount::Fail),
            settle_seconds: settle_seconds.unwrap_or(self.config.settle.as_secs()),
            level: level.unwrap_or_default(),
            expect: expect.unwrap_or_default(),
        }
    }
}

/// The shortest and the longest wait: from the event, or else from the deployment.
fn bounds(options: &Options, config: &Config) -> Bounds {
    let poll = options.poll.clone().unwrap_or_default();
    let seconds = |option: Option<u64>, default| option.map_or(default, Duration::from_secs);
    let min = seconds(poll.min_seconds, config.polling.min);
    Bounds {
        min,
        max: seconds(poll.max_seconds, config.polling.max).max(min),
    }
}
