//! The deployment's own limits: whether a job may be started now.
//!
//! What must stay true: if the deployment limits the running jobs, each start call has a slot in the queue. If it
//! limits the start calls of a day, each call is counted before it is made. A job that waits for the next day holds no
//! slot.

use crate::{
    clock::Clock,
    config::Config,
    error::{Error, ErrorKind, Result, moment},
    job::Kind,
    ledger::{Attempt, Entry, Ledger},
    queue::{self, Queue, Quota},
};

/// The limits of a kind for one job.
pub(super) struct Capacity<'a> {
    pub(super) ledger: &'a Ledger<'a>,
    pub(super) clock: &'a dyn Clock,
    pub(super) config: &'a Config,
    pub(super) kind: &'a Kind,
    /// What the service counts a day's start calls by, if it has such a quota.
    pub(super) scope: Option<&'a str>,
}

impl Capacity<'_> {
    pub(super) fn has_queue(&self) -> bool {
        self.config.max_running > 0
    }

    /// Gets the job a slot, if jobs of the kind need one. Fails with `Busy` while all slots are taken.
    pub(super) async fn enter_queue(&self, entry: &Entry) -> Result<()> {
        if !self.has_queue() {
            return Ok(());
        }
        let limit = self.config.max_running;
        let until = entry.deadline_at + queue::GRACE;
        if self.queue().enter(limit, &entry.trigger.job_key, until).await? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Busy,
            format!(
                "{} already, as many as the deployment lets run at a time; it waits in line until one of them has ended, and \
                 is given up at {}",
                if limit == 1 {
                    "1 job of its kind runs".to_owned()
                } else {
                    format!("{limit} jobs of its kind run")
                },
                moment(entry.deadline_at)
            ),
        ))
    }

    /// Checks the limits for a job that waits. The day's quota comes first, so that the job does not hold a slot for
    /// hours.
    pub(super) async fn look(&self, entry: &Entry) -> Result<()> {
        if let Some(quota) = self.quota()?
            && !quota.is_left().await?
        {
            return Err(used_up(&quota, entry));
        }
        self.enter_queue(entry).await
    }

    /// Counts a start call that is about to be made, if the service has a daily quota. Fails with `Busy` if the quota
    /// is used up, and gives the job's slot back.
    pub(super) async fn count(&self, entry: &Entry, attempt: &Attempt) -> Result<()> {
        let Some(quota) = self.quota()? else {
            return Ok(());
        };
        if quota.count(&attempt.key).await? {
            return Ok(());
        }
        if self.has_queue() {
            self.queue().leave(&entry.trigger.job_key).await?;
        }
        Err(used_up(&quota, entry))
    }

    /// Takes back the count of a start call that never left. If that fails, the count is one too high, which does less
    /// harm than failing the job.
    pub(super) async fn take_back(&self, attempt: &Attempt) {
        let taken = match self.quota() {
            Ok(None) => return,
            Ok(Some(quota)) => quota.take_back(&attempt.key).await,
            Err(error) => Err(error),
        };
        if let Err(error) = taken {
            tracing::warn!(
                attempt = attempt.key,
                error = error.kind.name(),
                code = error.code,
                "its start call never left and still counts for this day"
            );
        }
    }

    fn queue(&self) -> Queue<'_> {
        Queue::new(self.ledger, self.clock, self.kind)
    }

    fn quota(&self) -> Result<Option<Quota<'_>>> {
        let limit = self.config.max_starts_per_day;
        let Some(scope) = self.scope.filter(|_| limit > 0) else {
            return Ok(None);
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if scope.is_empty() || !scope.chars().all(is_plain) {
            return Err(Error::internal(format!("{scope:?} is no name to count start calls by")));
        }
        Ok(Some(Quota {
            ledger: self.ledger,
            clock: self.clock,
            kind: self.kind,
            scope,
            limit,
        }))
    }
}

fn used_up(quota: &Quota<'_>, entry: &Entry) -> Error {
    Error::new(
        ErrorKind::Busy,
        format!(
            "{} start call{} made for {} on this day (UTC), as many as the deployment allows; it waits in line for the next \
             day, and is given up at {}",
            quota.limit,
            if quota.limit == 1 { " was" } else { "s were" },
            quota.scope,
            moment(entry.deadline_at)
        ),
    )
}
