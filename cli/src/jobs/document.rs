//! What `landfall jobs --json` prints.
//!
//! What must stay true: members are added and never changed. The number in [`SCHEMA`] rises if an old reader would
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

/// Jobs of a period.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Jobs {
    /// `landfall.jobs/1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// Landfall's version.
    pub landfall: &'static str,
    /// The ledger that was read.
    pub ledger: String,
    /// Jobs that began at this time or later, and all open ones.
    pub since: DateTime<Utc>,
    /// When the question was asked.
    pub asked_at: DateTime<Utc>,
    /// The sums over these jobs.
    pub totals: Totals,
    /// The jobs, newest first.
    pub jobs: Vec<Row>,
    /// The batches, newest first. Their requests are among the jobs.
    pub batches: Vec<BatchRow>,
    /// What could not be looked at, and why.
    pub notes: Vec<String>,
}

/// Sums over jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Totals {
    /// How many there are.
    pub jobs: usize,
    /// How many were sealed as a success.
    pub succeeded: usize,
    /// How many failed, were aborted or are not sealed.
    pub failed: usize,
    /// How many go on.
    pub open: usize,
    /// Rows of the successes.
    pub rows: u64,
    /// Bytes of the successes.
    pub bytes: u64,
    /// How often the service was polled.
    pub polls: u64,
    /// What they cost together.
    pub cost: Cost,
}

impl Totals {
    /// Over these rows.
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
