//! The step that looks.
//!
//! What must stay true: one status read and never a sleep; a read that fails for a passing reason is no news about the
//! job, and comes back as a running job with a longer wait; a job that is past its deadline is given up.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    error::{Error, ErrorKind, Result, moment},
    invocation::Deployment,
    job::{Job, Status},
    polling::{self, MAX_POLLS, Sight},
    service::{JobService, Observation, ServiceState},
    start::spread,
};

/// How long after the start a job that the service does not know yet may still appear.
const APPEARS_WITHIN: TimeDelta = TimeDelta::seconds(60);

/// How many polls in a row may be refused: roles and policies are replaced while jobs run, and services say that a job
/// does not exist where they do not let it be seen.
pub const REFUSALS: u32 = 3;

/// Runs the step.
pub async fn poll<S: JobService>(deployment: &Deployment, service: &S, mut job: Job) -> Result<Job> {
    if job.status != Status::Running {
        return Ok(job);
    }
    job.polls = job.polls.saturating_add(1);
    let asked_at = deployment.clock.now();
    let answer = service.poll(&job).await;
    let now = deployment.clock.now();
    match answer {
        Ok(observation) => see(&mut job, observation, asked_at),
        Err(error) if error.kind.is_transient() => miss(&mut job, &error),
        Err(error) if error.kind == ErrorKind::NotFound && now - job.accepted_at < APPEARS_WITHIN => {
            miss(&mut job, &error)
        }
        Err(error) if is_refusal(&error) && job.quiet_polls < REFUSALS => miss(&mut job, &error),
        Err(error) => return Err(error.context(format!("polling {}", job.label()))),
    }
    match job.status {
        Status::Running if now >= job.deadline_at => {
            let message = format!(
                "{} did not end by its deadline {}; the service's last word was {}. It may still end: send the same \
                 event with \"Landfall\": {{\"PickUp\": \"{}\"}} to wait for it, verify it and seal it without another \
                 export, or with a higher Landfall.Rerun and a longer Landfall.DeadlineSeconds to export again",
                job.label(),
                moment(job.deadline_at),
                job.service_status.as_deref().unwrap_or("none"),
                job.job_key,
            );
            job.status = Status::TimedOut;
            job.error = Some(Error::new(ErrorKind::TimedOut, message).into());
        }
        Status::Running if job.polls >= MAX_POLLS => {
            return Err(Error::internal(format!(
                "{} was polled {} times without an end",
                job.label(),
                job.polls
            )));
        }
        Status::Running => {
            let sight = Sight {
                elapsed: (now - job.accepted_at).to_std().unwrap_or_default(),
                remaining: (job.deadline_at - now).to_std().unwrap_or_default(),
                is_first: false,
                progress: job.progress.and_then(crate::job::Progress::share),
                quiet_polls: job.quiet_polls,
                spread: spread(&job.job_key, job.polls),
                history: &job.history,
            };
            job.wait_seconds = polling::next_wait(job.polling, sight);
        }
        _ => {
            job.ended_at = Some(now);
            job.history.clear();
        }
    }
    Ok(job)
}

/// Takes in what the service said when it was asked.
fn see(job: &mut Job, observation: Observation, asked_at: DateTime<Utc>) {
    job.quiet_polls = 0;
    job.service_status = Some(observation.status);
    job.service_message = observation.message;
    job.progress = observation.progress.or(job.progress);
    job.counts = observation.counts.or(job.counts);
    job.failures = observation.failures;
    job.files = observation.files;
    job.service_ended_at = observation.ended_at;
    match observation.state {
        ServiceState::Running => job.running_at = Some(asked_at),
        ServiceState::Succeeded => job.status = Status::Succeeded,
        ServiceState::Failed => {
            let message = format!(
                "the service reports {} for {}: {}",
                job.service_status.as_deref().unwrap_or("failure"),
                job.label(),
                job.service_message.as_deref().unwrap_or("it gives no reason"),
            );
            job.status = Status::Failed;
            job.error = Some(Error::new(ErrorKind::JobFailed, message).into());
        }
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::Forbidden | ErrorKind::NotFound)
}

/// Takes in that the service said nothing.
fn miss(job: &mut Job, error: &Error) {
    job.quiet_polls = job.quiet_polls.saturating_add(1);
    tracing::warn!(
        job_key = job.job_key,
        error = error.kind.name(),
        "no news from the poll: {}",
        error.message
    );
}
