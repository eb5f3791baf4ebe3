//! Executions that cancel a job.
//!
//! What must stay true: a job that has an outcome keeps it. If a start call may be under way, a cancel does not seal
//! the job until the call is over, so that the id of the service's job is recorded. A cancel that names no job changes
//! no job.
//!
//! The cancel and the outcome are written in one change of the job's entry. While a start call may be under way, only
//! the cancel is written, and the step fails with `Busy`. The definition retries that for longer than a start call
//! takes.

use landfall::{
    cancel::job_key_of,
    error::{Error, ErrorKind, Result},
    ledger::{Cancel, Change, Changed, Entry, Versioned},
    start::Received,
};

use super::{Sealed, Sealer, failure::LocalFailure, rejection, started};

impl Sealer<'_> {
    /// Cancels the job that the execution's input names. The execution ends with the job's outcome, whatever it is.
    pub(super) async fn cancel(&self, received: &Received) -> Result<Sealed> {
        let kind = &received.kind;
        let failure = LocalFailure {
            kind,
            request_sha256: "",
            // What another execution of the same cancel was told may not be true any more.
            rejected: rejection::of_execution(self.execution, received.rejected(self.now())?),
        };
        if let Some(standing) = rejection::decided(&self.ledger, self.execution, &failure).await? {
            return self.publish_without_job(&standing).await;
        }
        let job_key = match job_key_of(&received.event) {
            Ok(job_key) if received.unreadable.is_none() => job_key,
            Ok(_) => {
                let error = Error::new(ErrorKind::InvalidEvent, "the cancel has parts that cannot be read");
                return self.refuse(&failure, error).await;
            }
            Err(error) => return self.refuse(&failure, error).await,
        };
        let Some(current) = self.ledger.load(kind, &job_key).await? else {
            let message = format!("there is no {kind} {job_key} to cancel; `landfall jobs` lists the jobs");
            return self.refuse(&failure, Error::new(ErrorKind::NotFound, message)).await;
        };
        let changed = self.ledger.change(current, |entry| self.changed(entry)).await?;
        let entry = match changed {
            Changed::Written(Versioned { entry, .. }) => {
                tracing::warn!(%kind, job_key, is_sealed = entry.outcome.is_some(), "the job was cancelled");
                entry
            }
            Changed::Left((), current) => current.entry,
        };
        if entry.outcome.is_some() {
            return self.publish_without_job(&entry).await;
        }
        Err(Error::new(
            ErrorKind::Busy,
            format!(
                "the cancel of {job_key} is recorded, but a start call of it may be under way; this is tried again"
            ),
        ))
    }

    /// The entry with the cancel, and with the outcome if no start call can be under way.
    fn changed(&self, entry: &Entry) -> Change<Entry, ()> {
        let now = self.now();
        let is_in_flight = entry.in_flight_until(now).is_some();
        if entry.outcome.is_some() || is_in_flight && entry.cancel.is_some() {
            return Change::Leave(());
        }
        let cancel = entry.cancel.clone().unwrap_or_else(|| Cancel {
            at: now,
            by: self.execution.to_owned(),
        });
        let outcome = (!is_in_flight).then(|| {
            let error = landfall::cancel::cancelled(entry, &cancel);
            let mut outcome = self
                .decider()
                .failure(&entry.kind, &entry.trigger.job_key, error.into());
            outcome.attempt = started(entry);
            outcome
        });
        Change::To(Entry {
            cancel: Some(cancel),
            outcome,
            ..entry.clone()
        })
    }

    async fn refuse(&self, failure: &LocalFailure<'_>, error: Error) -> Result<Sealed> {
        let draft = self
            .decider()
            .failure(failure.kind, &failure.rejected.job_key, error.into());
        let entry = self.reject(failure, draft).await?;
        self.publish_without_job(&entry).await
    }
}
