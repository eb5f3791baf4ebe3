//! Writes the result of a start call into the ledger.
//!
//! What must stay true: the id of a job that the service made is not lost. It is logged, and the invocation tries to
//! record it until it ends. An attempt is changed only if it is still as its owner knows it. What others add to the
//! entry beside the attempt, such as an orphan, does not take the claim away.

use std::{future::Future, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    clock::Clock,
    error::{Error, Result},
    ledger::{Attempt, AttemptState, Change, Changed, Ledger, Orphan, Versioned},
    queue,
};

/// Kept free at the end of an invocation to record what happened.
pub(super) const RESERVE: TimeDelta = TimeDelta::seconds(5);

/// The result of recording what became of an attempt.
pub(super) enum Recorded {
    /// The attempt says it.
    Written(Versioned),
    /// Somebody else has changed the attempt, or the job has an outcome.
    Overtaken(Versioned),
}

/// Records what one invocation did.
pub(super) struct Recorder<'a> {
    pub(super) ledger: &'a Ledger<'a>,
    pub(super) clock: &'a dyn Clock,
    /// When the invocation ends.
    pub(super) deadline: DateTime<Utc>,
}

impl Recorder<'_> {
    /// Records the id that the service gave for the last attempt.
    pub(super) async fn started(&self, current: Versioned, service_id: String) -> Result<Recorded> {
        let now = self.clock.now();
        self.change_attempt(current, |attempt| {
            attempt.state = AttemptState::Started;
            attempt.service_id = Some(service_id.clone());
            attempt.started_at = Some(now);
            attempt.error = None;
            attempt.unreachable_since = None;
        })
        .await
    }

    /// Notes why the last attempt's start call brought no id, and fails with that error. If somebody else has changed
    /// the attempt, nothing is written.
    pub(super) async fn failed<T>(&self, current: Versioned, state: AttemptState, error: Error) -> Result<T> {
        self.failed_since(current, state, error, None).await
    }

    /// Like [`Self::failed`]; also notes since when no request of the attempt has reached the service.
    pub(super) async fn failed_since<T>(
        &self,
        current: Versioned,
        state: AttemptState,
        error: Error,
        unreachable_since: Option<DateTime<Utc>>,
    ) -> Result<T> {
        let now = self.clock.now();
        if state == AttemptState::Waiting {
            queue::log_wait(&current.entry, now);
        }
        self.change_attempt(current, |attempt| {
            attempt.state = state;
            attempt.unreachable_since = unreachable_since;
            attempt.error = Some(error.clone().into());
            // The call is over, so the lease ends now.
            attempt.lease_until = now;
        })
        .await?;
        Err(error)
    }

    /// Ends a claim before the start call. After a transient error the attempt may be claimed again.
    pub(super) async fn put_off<T>(&self, current: Versioned, error: Error) -> Result<T> {
        let state = if error.kind.is_transient() {
            AttemptState::Waiting
        } else {
            AttemptState::Refused
        };
        self.failed(current, state, error).await
    }

    /// Fails with the reason why the job waits, and notes it unless it is noted already.
    pub(super) async fn waits<T>(&self, current: Versioned, error: Error) -> Result<T> {
        let noted = current.entry.attempts.last().and_then(|attempt| attempt.error.as_ref());
        if !error.kind.is_transient() {
            return Err(error);
        }
        if noted.is_some_and(|noted| noted.cause == error.message) {
            queue::log_wait(&current.entry, self.clock.now());
            return Err(error);
        }
        self.failed(current, AttemptState::Waiting, error).await
    }

    /// Notes a job that was started after somebody else had taken the claim over, so that the receipt can name it.
    pub(super) async fn orphan(&self, current: &Versioned, attempt: &Attempt, service_id: &str) -> Result<Versioned> {
        let (kind, job_key) = (&current.entry.kind, &current.entry.trigger.job_key);
        let current = self.ledger.reload(kind, job_key).await?;
        let noted = self.ledger.change(current, |entry| {
            // If the service takes our key as the job's id, both callers get the same job, which is no orphan.
            let is_known = |other: &Attempt| other.service_id.as_deref() == Some(service_id);
            if entry.attempts.iter().any(is_known) {
                return Change::Leave(());
            }
            let mut entry = entry.clone();
            entry.orphans.push(Orphan {
                attempt: attempt.number,
                service_id: service_id.to_owned(),
                prefix: attempt.prefix.clone(),
            });
            Change::To(entry)
        });
        match noted.await? {
            Changed::Written(current) | Changed::Left((), current) => Ok(current),
        }
    }

    /// Repeats `record` until it succeeds or the invocation has no time left. Without the record the job is lost, and
    /// even a refusal may be temporary, for example while a policy is being replaced.
    pub(super) async fn insist<T, F: Future<Output = Result<T>>>(
        &self,
        service_id: &str,
        record: impl Fn() -> F,
    ) -> Result<T> {
        let mut pause = Duration::from_secs(1);
        loop {
            let error = match record().await {
                Err(error) => error,
                recorded => return recorded,
            };
            let next = self.clock.now() + pause + RESERVE;
            if next >= self.deadline {
                return Err(error.context(format!(
                    "the service started {service_id}, and this could not be recorded: look at what became of it before a \
                     rerun, which starts another one"
                )));
            }
            tracing::warn!(
                service_id,
                error = error.kind.name(),
                code = error.code,
                "the started job is not recorded yet"
            );
            self.clock.sleep(pause).await;
            pause *= 2;
        }
    }

    /// Changes the last attempt if it is still as we know it.
    async fn change_attempt(&self, current: Versioned, change: impl Fn(&mut Attempt)) -> Result<Recorded> {
        let known = current.entry.attempts.last().cloned();
        let changed = self.ledger.change(current, |entry| {
            if entry.outcome.is_some() || entry.attempts.last() != known.as_ref() {
                return Change::Leave(());
            }
            let mut entry = entry.clone();
            entry.attempts.last_mut().into_iter().for_each(&change);
            Change::To(entry)
        });
        Ok(match changed.await? {
            Changed::Written(current) => Recorded::Written(current),
            Changed::Left((), current) => Recorded::Overtaken(current),
        })
    }
}
