//! The poll step: it reads the status of a job at its service.
//!
//! What must stay true: a poll reads the status once and never sleeps. Before its deadline a job is ended only by the
//! service or by a cancel. A read that fails, for whatever reason, is no news about the job: the job goes on running,
//! with a longer wait and with the reason. A job that is past its deadline is given up.
//!
//! The poll asks the service how the job is, and meanwhile the ledger whether the job was cancelled. If the ledger does not
//! answer, the job goes on.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    cancel,
    error::{Error, ErrorKind, Result, moment},
    hash::spread,
    input::{Input, read_input},
    invocation::Deployment,
    job::{Job, Missed, Progress, Status, TaskError},
    ledger::Ledger,
    polling::{self, MAX_POLLS, SoFar},
    registered::RegisteredUser,
    service::{JobService, Observation, ServiceState},
    start::check_user,
    trigger::{Options, identify, split_detail},
};

/// A job is announced as stalled after this many polls in a row without news. The definition has the same number.
pub const STALLED: u32 = 4;

/// How long a poll waits for the ledger's answer.
const LEDGER_LIMIT: TimeDelta = TimeDelta::seconds(5);

/// The input of the step.
#[derive(Clone, Deserialize)]
pub struct PollInput {
    pub job: Job,
    /// The event of the execution. It names the user for whom the job acts, which the job itself never holds.
    #[serde(default)]
    pub event: Option<Value>,
}

impl From<Job> for PollInput {
    fn from(job: Job) -> Self {
        Self { job, event: None }
    }
}

impl PollInput {
    /// Reads the input of the step: a job with its event, or a job alone, as `cargo lambda invoke` sends it.
    pub fn read(input: impl Into<Input>) -> Result<Self> {
        let input = input.into();
        match input.value.get("job") {
            Some(_) => read_input(input),
            None => read_input::<Job>(input).map(Self::from),
        }
    }
}

/// The user for whom the job acts, as the event says. Fails if the event does not belong to the job.
fn user_of<S: JobService>(deployment: &Deployment, input: &PollInput) -> Result<Option<RegisteredUser>> {
    let Some(event) = input.event.as_ref().filter(|_| S::ACTS_FOR_USERS) else {
        return Ok(None);
    };
    if identify(&S::kind(), event)?.request_sha256 != input.job.request_sha256 {
        return Err(Error::new(
            ErrorKind::Forbidden,
            "the event of this execution asks for something else, or for another user, than the job was started for",
        ));
    }
    let (_, options) = split_detail(event)?;
    let options: Options = serde_json::from_value(options)
        .map_err(|_| Error::internal("the event of a started job has options that cannot be read"))?;
    if let Some(user) = &options.registered_user {
        check_user(&deployment.config, event, user)?;
    }
    Ok(options.registered_user)
}

pub async fn poll<S: JobService>(
    deployment: &Deployment,
    service: &S,
    input: impl Into<PollInput> + Send,
) -> Result<Job> {
    let input = input.into();
    let user = user_of::<S>(deployment, &input);
    let mut job = input.job;
    if job.status != Status::Running {
        tracing::info!(decided = job.status.name(), "the job does not run, so nothing is asked");
        return Ok(job);
    }
    job.polls = job.polls.saturating_add(1);
    let asked_at = deployment.clock.now();
    let look = async {
        match user {
            Ok(user) => service.poll(&job, user.as_ref()).await,
            Err(error) => Err(error),
        }
    };
    // Boxed, so that the future of a poll stays small: few jobs are cancelled.
    let (answer, cancelled) = tokio::join!(look, Box::pin(cancelled(deployment, &job)));
    let now = deployment.clock.now();
    job.missed.resumed = false;
    let unanswered = match answer {
        Ok(observation) => {
            record_news(&mut job, observation, asked_at);
            None
        }
        Err(error) => Some(record_miss(&mut job, error)),
    };
    decide(&mut job, cancelled, now);
    log_decision(&job, unanswered.as_ref(), now);
    Ok(job)
}

/// Decides how the job ends or, if it goes on, when it is polled next.
fn decide(job: &mut Job, cancelled: Option<Error>, now: DateTime<Utc>) {
    match (cancelled, job.status) {
        (Some(error), _) => {
            job.error = Some(error.into());
            job.status = Status::Failed;
        }
        (None, Status::Running) if now >= job.deadline_at => {
            job.error = Some(past_deadline(job).into());
            job.status = Status::TimedOut;
        }
        // Wait for the deadline, and look once more then.
        (None, Status::Running) if job.polls >= MAX_POLLS => {
            let left = (job.deadline_at - now).num_seconds();
            job.wait_seconds = u32::try_from(left).unwrap_or(u32::MAX).max(1);
        }
        (None, Status::Running) => {
            let so_far = SoFar {
                elapsed: (now - job.accepted_at).to_std().unwrap_or_default(),
                remaining: (job.deadline_at - now).to_std().unwrap_or_default(),
                is_first: false,
                progress: job.progress.and_then(Progress::share),
                quiet_polls: job.missed.in_a_row,
                spread: spread(&job.job_key, job.polls),
                history: &job.history,
            };
            job.wait_seconds = polling::next_wait(job.polling, so_far);
        }
        (None, _) => job.ended_at = Some(now),
    }
    if job.status != Status::Running {
        job.history.clear();
    }
}

/// The error of a job that was cancelled. If the ledger does not answer in time, the next poll asks it again.
async fn cancelled(deployment: &Deployment, job: &Job) -> Option<Error> {
    let ledger = Ledger::new(
        deployment.store.as_ref(),
        &deployment.config.ledger_bucket,
        job.execution.clone(),
    );
    let limit = deployment.clock.now() + LEDGER_LIMIT;
    let found = tokio::select! {
        biased;
        found = ledger.load(&job.kind, &job.job_key) => found,
        () = deployment.clock.until(limit) => Err(Error::new(ErrorKind::Unavailable, "S3 did not answer in time")),
    };
    match found {
        Ok(found) => found.and_then(|current| {
            let entry = &current.entry;
            entry.cancel.as_ref().map(|cancel| cancel::cancelled(entry, cancel))
        }),
        Err(error) => {
            tracing::warn!(
                error = error.kind.name(),
                code = error.code,
                "whether the job was cancelled is not known"
            );
            None
        }
    }
}

/// Logs what the step decided. While the job runs, the line has the job's age, of which the template makes metrics.
fn log_decision(job: &Job, unanswered: Option<&Error>, now: DateTime<Utc>) {
    let is_running = job.status == Status::Running;
    let age = is_running.then(|| job.age(now));
    let wait = is_running.then_some(job.wait_seconds);
    match unanswered {
        None => tracing::info!(
            decided = job.status.name(),
            polls = job.polls,
            age_seconds = age,
            wait_seconds = wait,
            "the service was asked"
        ),
        Some(error) => tracing::warn!(
            decided = if is_running { "no_news" } else { job.status.name() },
            error = error.kind.name(),
            code = error.code,
            polls = job.polls,
            missed_in_a_row = job.missed.in_a_row,
            age_seconds = age,
            wait_seconds = wait,
            "no news from the poll"
        ),
    }
}

/// Copies what the service said into the job.
fn record_news(job: &mut Job, observation: Observation, asked_at: DateTime<Utc>) {
    job.missed.resumed = job.missed.in_a_row >= STALLED;
    job.missed.in_a_row = 0;
    job.service_status = Some(observation.status);
    job.service_message = observation.message;
    job.progress = observation.progress.or(job.progress);
    job.counts = observation.counts.or(job.counts);
    job.failures = observation.failures;
    job.files = observation.files;
    job.echo = observation.echo.or_else(|| job.echo.take());
    job.estimate = observation.estimate.or_else(|| job.estimate.take());
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

/// Counts a poll without news, and returns its error with the job's name.
fn record_miss(job: &mut Job, error: Error) -> Error {
    let error = error.context(format!("polling {}", job.label()));
    let missed = &mut job.missed;
    missed.count = missed.count.saturating_add(1);
    missed.in_a_row = missed.in_a_row.saturating_add(1);
    missed.last = Some(TaskError::from(error.clone()).short());
    error
}

/// The error of a running job whose deadline has passed.
pub fn past_deadline(job: &Job) -> Error {
    let missed = match &job.missed {
        Missed { in_a_row: 0, .. } => String::new(),
        Missed { in_a_row, last, .. } => format!(
            ". The last {in_a_row} poll{} brought no news, so it may have ended{}",
            if *in_a_row == 1 { "" } else { "s" },
            last.as_ref().map_or_else(String::new, |last| {
                let TaskError { error, cause } = last.short();
                format!(": {error}: {cause}")
            }),
        ),
    };
    let message = format!(
        "{} did not end by its deadline {}; the service's last word was {}{missed}. It may still end: send the same event \
         with \"Landfall\": {{\"PickUp\": \"{}\"}} to wait for it, verify it and seal it without another export, or with a \
         higher Landfall.Rerun and a longer Landfall.DeadlineSeconds to export again",
        job.label(),
        moment(job.deadline_at),
        job.service_status.as_deref().unwrap_or("none"),
        job.job_key,
    );
    Error::new(ErrorKind::TimedOut, message)
}

#[cfg(test)]
mod tests;
