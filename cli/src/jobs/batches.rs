//! The batches of a period, from their records and summaries in the ledger bucket.
//!
//! What must stay true: a batch is one row. Its counts are those of its summary. A batch without a summary is open. The
//! requests of a batch are jobs and have rows of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use futures::{StreamExt as _, stream};
use landfall::{error::Result, ledger::Ledger, store::ObjectStore};
use landfall_batch::record::{Counts, Plan, Record, Summary, record_key, summary_key};
use schemars::JsonSchema;
use serde::Serialize;

/// How many objects are read at the same time.
const AT_ONCE: usize = 32;

/// One batch.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct BatchRow {
    /// The batch key.
    pub batch_key: String,
    /// The user's own name for it.
    pub name: Option<String>,
    /// `succeeded` only if every request succeeded. Absent while the batch runs.
    pub verdict: Option<String>,
    /// When it was planned.
    pub planned_at: DateTime<Utc>,
    /// When its summary was written.
    pub sealed_at: Option<DateTime<Utc>>,
    /// How many requests ended in which way. For an open batch only their number is known.
    pub counts: Counts,
    /// Rows of all jobs that succeeded.
    pub rows: Option<u64>,
    /// Bytes of all jobs that succeeded.
    pub bytes: Option<u64>,
}

impl BatchRow {
    fn of_summary(summary: Summary) -> Self {
        Self {
            batch_key: summary.trigger.job_key,
            name: summary.name,
            verdict: Some(summary.verdict.name().to_owned()),
            planned_at: summary.planned_at,
            sealed_at: Some(summary.sealed_at),
            counts: summary.counts,
            rows: Some(summary.rows),
            bytes: Some(summary.bytes),
        }
    }

    fn of_record(record: Record) -> Self {
        let requests = match record.plan {
            Plan::Planned { requests, .. } => requests,
            Plan::Failed(_) => 0,
        };
        Self {
            batch_key: record.trigger.job_key,
            name: record.name,
            verdict: None,
            planned_at: record.planned_at,
            sealed_at: None,
            counts: Counts {
                requests,
                ..Counts::default()
            },
            rows: None,
            bytes: None,
        }
    }

    /// The end of its key, by which people tell batches apart.
    pub fn short(&self) -> &str {
        self.batch_key.rsplit('-').next().unwrap_or(&self.batch_key)
    }

    /// How many requests did not succeed, and how they ended.
    pub fn shortfall(&self) -> Option<String> {
        let Counts {
            failed,
            rejected,
            unknown,
            ..
        } = self.counts;
        let parts = [
            (failed, "failed"),
            (rejected, "rejected"),
            (unknown, "without an outcome"),
        ];
        let named: Vec<String> = parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        (!named.is_empty()).then(|| named.join(", "))
    }
}

/// The batches that were planned at a time or later, and all open ones, newest first. What cannot be read becomes a
/// note.
pub async fn batches(
    store: &Arc<dyn ObjectStore>,
    ledger: &str,
    since: DateTime<Utc>,
    notes: &mut Vec<String>,
) -> Result<Vec<BatchRow>> {
    let listed = store.list(ledger, "batches/", usize::MAX).await?;
    let named: BTreeMap<&str, i64> = listed
        .iter()
        .map(|object| (object.key.as_str(), object.last_modified.timestamp()))
        .collect();
    let keys: BTreeSet<&str> = named.keys().filter_map(|key| key.split('/').nth(1)).collect();
    let reader = &Ledger::new(store.as_ref(), ledger, "landfall");
    // S3 gives times in whole seconds.
    let is_recent = |at: &&i64| **at >= since.timestamp();
    let read = async |key: &str| -> Result<Option<BatchRow>> {
        let summary = summary_key(key);
        if named.contains_key(summary.as_str()) {
            let recent = named.get(summary.as_str()).filter(is_recent);
            let found = match recent {
                Some(_) => reader.get::<Summary>(&summary).await?,
                None => None,
            };
            return Ok(found.map(BatchRow::of_summary).filter(|row| row.planned_at >= since));
        }
        let found = reader.get::<Record>(&record_key(key)).await?;
        Ok(found.map(BatchRow::of_record))
    };
    let mut all = stream::iter(keys).map(read).buffer_unordered(AT_ONCE);
    let mut rows = Vec::new();
    while let Some(found) = all.next().await {
        match found {
            Ok(row) => rows.extend(row),
            Err(error) => notes.push(format!("a batch could not be read: {}", error.message)),
        }
    }
    rows.sort_by(|a, b| {
        b.planned_at
            .cmp(&a.planned_at)
            .then_with(|| a.batch_key.cmp(&b.batch_key))
    });
    Ok(rows)
}
