//! Writes what follows from a decided outcome.
//!
//! What must stay true: all that is written here is a function of the ledger's entry and of the report that it points
//! to, so any execution may repeat it. The lists of objects are written before the receipt, and the destination's
//! pointer after it. So if the receipt exists, everything it names exists.

use landfall::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    job::Job,
    ledger::{Entry, Ledger, Outcome, encode},
    queue::Queue,
    s3_uri::S3Uri,
    store::{Condition, ObjectStore, Written},
};

use super::{manifest::Manifest, objects};
use crate::{
    latest::{self, Latest},
    metrics,
    receipt::{self, Receipt},
    verify::{CheckVerdict, ObjectsFile, Report},
};

/// Publishes outcomes for one execution.
pub(super) struct Publisher<'a> {
    pub(super) store: &'a dyn ObjectStore,
    pub(super) clock: &'a dyn Clock,
    pub(super) ledger: &'a Ledger<'a>,
    /// The namespace of the stack's metrics, if it has any.
    pub(super) metrics: Option<&'a str>,
    /// ARN of the execution.
    pub(super) execution: &'a str,
    /// What the execution saw of the job, if it has one.
    pub(super) job: Option<&'a Job>,
}

impl Publisher<'_> {
    /// Writes the receipt of a decided entry, with all that belongs to it. Leaves what is there already.
    pub(super) async fn publish(&self, entry: &Entry) -> Result<Outcome> {
        let outcome = entry
            .outcome
            .clone()
            .ok_or_else(|| Error::internal("a decided entry has no outcome"))?;
        let report: Option<Report> = match &outcome.report {
            Some(pointer) => Some(self.ledger.get(&pointer.key).await?.ok_or_else(|| {
                Error::internal(format!(
                    "its report s3://{}/{} was deleted",
                    self.ledger.bucket(),
                    pointer.key
                ))
            })?),
            None => None,
        };
        let beside_data = receipt::is_beside_data(&outcome);
        let objects_file = report.as_ref().and_then(|report| report.objects_file.clone());
        let latest = report
            .as_ref()
            .filter(|_| beside_data)
            .and_then(|report| latest_of(entry, &outcome, report));
        let receipt = Receipt::new(entry, &outcome, report, self.ledger.bucket());
        let asks = objects_file.is_some() || !entry.skips_manifest;
        if beside_data && asks && !self.is_finished(&receipt, &outcome.receipt).await? {
            self.write_lists(entry, &receipt, objects_file.as_ref(), &outcome.receipt)
                .await?;
        }
        self.write_receipt(&receipt, &outcome.receipt).await?;
        if let Some((destination, latest)) = latest {
            latest::advance(self.store, &destination, &latest).await?;
        }
        if entry.takes_slot {
            self.give_slot_back(entry).await?;
        }
        metrics::write(self.metrics, &receipt, self.execution, self.job);
        Ok(outcome)
    }

    /// Writes the lists beside the receipt: all objects, if the receipt cannot hold them, and the manifest.
    async fn write_lists(
        &self,
        entry: &Entry,
        receipt: &Receipt,
        objects_file: Option<&ObjectsFile>,
        place: &S3Uri,
    ) -> Result<()> {
        let mut manifest = (!entry.skips_manifest).then(|| Manifest::beside(place, self.store));
        let written = async {
            if let Some(file) = objects_file {
                let to = receipt::beside(place, receipt::OBJECTS_NAME);
                return objects::copy(self.store, self.ledger.bucket(), file, &to, manifest.as_mut()).await;
            }
            if let (Some(manifest), Some(output)) = (&mut manifest, &receipt.output) {
                for object in &output.objects {
                    manifest.object(object).await?;
                }
            }
            Ok(())
        }
        .await;
        let Some(manifest) = manifest else { return written };
        match written {
            Ok(()) => manifest.finish().await,
            Err(error) => {
                if let Err(abort) = manifest.abort().await {
                    tracing::warn!(
                        error = abort.kind.name(),
                        code = abort.code,
                        "the upload of a manifest is left to the bucket's lifecycle"
                    );
                }
                Err(error)
            }
        }
    }

    /// Gives the job's slot back, so that the next job may run. Other jobs would find out by themselves that this job
    /// has ended, so only a transient error fails the seal.
    async fn give_slot_back(&self, entry: &Entry) -> Result<()> {
        let queue = Queue::new(self.ledger, self.clock, &entry.kind);
        match queue.leave(&entry.trigger.job_key).await {
            Err(error) if !error.kind.is_transient() => {
                tracing::warn!(
                    error = error.kind.name(),
                    code = error.code,
                    "its slot in the queue is not given back; let seal-receipt read and write s3://{}/{}",
                    self.ledger.bucket(),
                    Queue::key(&entry.kind)
                );
                Ok(())
            }
            left => left,
        }
    }

    async fn write_receipt(&self, receipt: &Receipt, place: &S3Uri) -> Result<()> {
        let body = encode(receipt)?;
        let written = self
            .store
            .put(&place.bucket, &place.key, body, Condition::Absent)
            .await?;
        // The receipt existed a moment ago, so somebody deleted it. The outcome is in the ledger, and the retry writes
        // the receipt again.
        if written == Written::Refused && !self.is_written(receipt, place).await? {
            return Err(Error::new(
                ErrorKind::Busy,
                format!("{place} existed, but was deleted while it was read"),
            ));
        }
        Ok(())
    }

    /// Whether the receipt exists. It is written last: if it exists, everything it names exists.
    async fn is_finished(&self, receipt: &Receipt, place: &S3Uri) -> Result<bool> {
        match self.is_written(receipt, place).await {
            // S3 refuses to read an object that does not exist if the reader may not list the bucket.
            Err(error) if error.kind == ErrorKind::Forbidden => Ok(false),
            written => written,
        }
    }

    /// Whether this receipt exists. Fails with `Internal` if there is another object in its place.
    async fn is_written(&self, receipt: &Receipt, place: &S3Uri) -> Result<bool> {
        let Some(standing) = self.store.get(&place.bucket, &place.key).await? else {
            return Ok(false);
        };
        let standing = serde_json::from_slice::<Receipt>(&standing.body).ok();
        if standing.is_some_and(|standing| standing.is_of_same_outcome(receipt)) {
            return Ok(true);
        }
        Err(Error::new(
            ErrorKind::Internal,
            format!("{place} is taken by something that this job did not write; move it away and redrive"),
        ))
    }
}

/// The pointer for a success, and the destination that it belongs to.
fn latest_of(entry: &Entry, outcome: &Outcome, report: &Report) -> Option<(S3Uri, Latest)> {
    let pointer = outcome.report.as_ref()?;
    let number = outcome.attempt?;
    let attempt = entry.attempts.iter().find(|attempt| attempt.number == number)?;
    let counted = report
        .check("rows_counted")
        .is_some_and(|check| check.verdict == CheckVerdict::Pass);
    let latest = Latest {
        schema: latest::SCHEMA.to_owned(),
        kind: entry.kind.clone(),
        job_key: entry.trigger.job_key.clone(),
        name: entry.name.clone(),
        receipt: outcome.receipt.clone(),
        prefix: attempt.prefix.clone(),
        triggered_at: entry.trigger.time,
        sealed_at: outcome.sealed_at,
        objects: pointer.objects,
        rows: counted.then_some(pointer.rows),
        bytes: pointer.bytes,
        request_sha256: entry.trigger.request_sha256.clone(),
    };
    Some((latest::destination(&attempt.prefix)?, latest))
}
