//! Picking up: a new job continues the start call of a job that failed.
//!
//! What must stay true: no start call is made, and the job that is picked up keeps its outcome. Of all jobs that pick
//! up one start call, only one is open at a time, and none follows a success.
//!
//! For that, the entry of the job that made the start call lists the jobs that pick it up. Each is added by
//! compare-and-set before it gets an entry of its own.

use super::Starter;
use crate::{
    error::{Error, ErrorKind, Result},
    job::Verdict,
    ledger::{Attempt, AttemptState, Cas, Change, Changed, Entry, MAX_TURNS, Versioned},
    service::JobService,
    trigger::Trigger,
};

impl<S: JobService> Starter<'_, S> {
    /// The entry of the job that picks up `picked`. Creates it if there is none yet.
    ///
    /// Fails with `InvalidEvent` if there is nothing to pick up. The message says what to do instead.
    pub(super) async fn pick_up(&self, picked: &str) -> Result<Versioned> {
        let own = &self.requested.trigger.job_key;
        if let Some(standing) = self.ledger.load(self.kind, own).await? {
            return Ok(standing);
        }
        let named = self.known(picked).await?;
        if named.entry.trigger.request_sha256 != self.requested.trigger.request_sha256 {
            return Err(invalid(format!(
                "{picked} is a job of another request; send that request, which stands in its receipt, with PickUp"
            )));
        }
        let attempts = started(&named.entry)?;
        if S::WRITES_OUTPUT
            && let Some(attempt) = attempts.last()
        {
            let place = format!("the output of {picked}");
            self.deployment.config.allowed.check_location(&place, &attempt.prefix)?;
        }
        let first = match &named.entry.picks_up {
            Some(first) => self.known(first).await?,
            None => named.clone(),
        };
        let first_key = first.entry.trigger.job_key.clone();
        self.note(first).await?;
        let entry = self.picked_entry(&named.entry, attempts, first_key);
        match self.ledger.create(entry).await? {
            Cas::Won(current) | Cas::Lost(current) => Ok(current),
            Cas::Vanished => Err(self.ledger.deleted(self.kind, own)),
        }
    }

    async fn known(&self, job_key: &str) -> Result<Versioned> {
        self.ledger.load(self.kind, job_key).await?.ok_or_else(|| {
            invalid(format!(
                "there is no {} {job_key} to pick up; PickUp takes the job_key that stands in the receipt of the failure and \
                 in its announcement",
                S::KIND
            ))
        })
    }

    /// Adds this job to the entry of the job that made the start call. Fails if another job that picks it up is open or
    /// succeeded.
    async fn note(&self, mut first: Versioned) -> Result<()> {
        let own = &self.requested.trigger.job_key;
        // The last job in the list, once it is known to have failed.
        let mut failed: Option<String> = None;
        for _ in 0..MAX_TURNS {
            let job_key = first.entry.trigger.job_key.clone();
            let noted = self.ledger.change(first, |entry| match entry.picked_up_by.last() {
                Some(last) if last == own => Change::Leave(None),
                Some(last) if failed.as_ref() != Some(last) => Change::Leave(Some(last.clone())),
                _ => {
                    let mut entry = entry.clone();
                    entry.picked_up_by.push(own.clone());
                    Change::To(entry)
                }
            });
            match noted.await? {
                Changed::Written(_) | Changed::Left(None, _) => return Ok(()),
                Changed::Left(Some(last), current) => {
                    self.has_failed(&job_key, &last).await?;
                    failed = Some(last);
                    first = current;
                }
            }
        }
        Err(Error::new(
            ErrorKind::Busy,
            "others keep changing the entry of the job to pick up",
        ))
    }

    /// Fails unless `last`, the last job that picked `job_key` up, has failed too.
    async fn has_failed(&self, job_key: &str, last: &str) -> Result<()> {
        let outcome = self
            .ledger
            .load(self.kind, last)
            .await?
            .and_then(|last| last.entry.outcome);
        match outcome {
            Some(outcome) if outcome.verdict == Verdict::Failed => Ok(()),
            Some(outcome) => Err(invalid(format!(
                "{job_key} was picked up by {last}, which succeeded: its receipt is {}",
                outcome.receipt
            ))),
            None => Err(invalid(format!(
                "{job_key} is being picked up by {last}, which has not ended; wait for its end, or send its event again if \
                 its execution was stopped"
            ))),
        }
    }

    fn picked_entry(&self, named: &Entry, attempts: Vec<Attempt>, first: String) -> Entry {
        let requested = self.requested;
        let now = self.now();
        // The job's data belong to the trigger of the job that asked for them. Sealing them later does not make them
        // newer.
        let trigger = Trigger {
            time: named.trigger.time,
            schedule: named.trigger.schedule.clone(),
            ..requested.trigger.clone()
        };
        let owned = |attempt: Attempt| Attempt {
            owner: self.owner.clone(),
            ..attempt
        };
        // The job takes no slot, because the service is running it already or has run it.
        Entry {
            name: requested.options.name.clone().or_else(|| named.name.clone()),
            request: named.request.clone(),
            format: named.format,
            source: named.source.clone(),
            deadline_at: self.deadline_from(now),
            attempts: attempts.into_iter().map(owned).collect(),
            skips_manifest: requested.options.manifest == Some(false),
            picks_up: Some(first),
            orphans: named.orphans.clone(),
            ..Entry::new(S::kind(), trigger, now)
        }
    }
}

/// The attempts of a failed job, up to the last one that got an id.
fn started(entry: &Entry) -> Result<Vec<Attempt>> {
    let job_key = &entry.trigger.job_key;
    match &entry.outcome {
        None => {
            return Err(invalid(format!(
                "{job_key} has not ended, so there is nothing to pick up: its own event, sent again, adopts it"
            )));
        }
        Some(outcome) if outcome.verdict == Verdict::Succeeded => {
            return Err(invalid(format!(
                "{job_key} succeeded, so there is nothing to pick up: its receipt is {}",
                outcome.receipt
            )));
        }
        Some(_) => {}
    }
    let is_started = |attempt: &Attempt| attempt.state == AttemptState::Started && attempt.service_id.is_some();
    match entry.attempts.iter().rposition(is_started) {
        Some(last) => Ok(entry.attempts[..=last].to_vec()),
        None => Err(invalid(format!(
            "{job_key} was never started, so there is nothing to pick up: send its event with a higher Landfall.Rerun"
        ))),
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidEvent, message)
}
