//! The ids that name a job.

/// A job by the three ids that name it.
#[derive(Clone, Copy)]
pub(crate) struct Ids<'a> {
    pub(crate) account: &'a str,
    pub(crate) dashboard: &'a str,
    pub(crate) job: &'a str,
}

impl Ids<'_> {
    pub(crate) fn label(self) -> String {
        format!("snapshot job {} of dashboard {}", self.job, self.dashboard)
    }
}
