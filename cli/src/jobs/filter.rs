//! Which jobs are wanted.

use super::{
    batches::BatchRow,
    row::{Row, Status},
};

/// Which jobs are wanted. A member that is empty excludes none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only jobs of these kinds.
    pub kinds: Vec<String>,
    /// Only jobs whose name or job key contains this, or that export something whose name does. Upper and lower case
    /// are the same.
    pub name: Option<String>,
    /// Only jobs with one of these statuses.
    pub statuses: Vec<Status>,
    /// Only jobs that somebody has to look at.
    pub failed: bool,
}

impl Filter {
    /// Whether a job is wanted.
    pub fn wants(&self, row: &Row) -> bool {
        let is_named = |part: &String| {
            holds(row.name.as_deref().unwrap_or_default(), part) || holds(&row.what, part) || holds(&row.job_key, part)
        };
        (self.kinds.is_empty() || self.kinds.contains(&row.kind))
            && self.name.as_ref().is_none_or(is_named)
            && (self.statuses.is_empty() || self.statuses.contains(&row.status))
            && (!self.failed || row.status.is_bad())
    }

    /// Whether a batch is wanted. It belongs to no kind and has no status of a job.
    pub fn wants_batch(&self, batch: &BatchRow) -> bool {
        let is_named =
            |part: &String| holds(batch.name.as_deref().unwrap_or_default(), part) || holds(&batch.batch_key, part);
        self.kinds.is_empty()
            && self.statuses.is_empty()
            && self.name.as_ref().is_none_or(is_named)
            && (!self.failed || batch.verdict.as_deref() == Some("failed"))
    }
}

fn holds(text: &str, part: &str) -> bool {
    text.to_lowercase().contains(&part.to_lowercase())
}
