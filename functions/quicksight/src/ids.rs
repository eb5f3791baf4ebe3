//! The ids that name a job.

/// The three ids that identify a job.
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
