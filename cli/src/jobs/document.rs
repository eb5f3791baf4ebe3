//! What `landfall jobs --json` prints.
//!
//! What must stay true: members are added, never changed, and the number in [`SCHEMA`] moves when an old reader would
//! misread a new document.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    batches::BatchRow,
    row::{Row, Status},
};
use crate::cost::Cost;

/// The schema of [`Jobs`].
pub const SCHEMA: &str = "landfall.jobs/1";

/// Jobs of a time.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Jobs {
    /// `landfall.jobs/1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// Landfall's version.
    pub landfall: &'static str,
    /// The ledger that was read.
    pub ledger: String,
    /// Jobs that began at this time or later, and all that are open.
    pub since: DateTime<Utc>,
    /// When it was asked.
    pub asked_at: DateTime<Utc>,
    /// What they come to.
    pub totals: Totals,
    /// The jobs, newest first.
    pub jobs: Vec<Row>,
    /// The batches, newest first. Their requests are among the jobs.
    pub batches: Vec<BatchRow>,
    /// What could not be looked at.
    pub notes: Vec<String>,
}

/// What jobs come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Totals {
    /// All of them.
    pub jobs: usize,
    /// Sealed as a success.
    pub succeeded: usize,
    /// Failed, aborted or not sealed.
    pub failed: usize,
    /// Those that go on.
    pub open: usize,
    /// Rows of the successes.
    pub rows: u64,
    /// Bytes of the successes.
    pub bytes: u64,
    /// Polls.
    pub polls: u64,
    /// What they cost.
    pub cost: Cost,
}

impl Totals {
    /// Of rows.
    pub fn of(rows: &[Row]) -> Self {
        let succeeded = || rows.iter().filter(|row| row.status == Status::Succeeded);
        Self {
            jobs: rows.len(),
            succeeded: succeeded().count(),
            failed: rows.iter().filter(|row| row.status.is_bad()).count(),
            open: rows.iter().filter(|row| row.status.is_open()).count(),
            rows: succeeded().filter_map(|row| row.rows).sum(),
            bytes: succeeded().filter_map(|row| row.bytes).sum(),
            polls: rows.iter().map(|row| u64::from(row.polls)).sum(),
            cost: Cost::sum(rows.iter().filter_map(|row| row.cost)),
        }
    }
}
