//! Why the reading of an object stops.

use landfall::error::{Error, ErrorKind};
use landfall_formats::Defect;

use super::task::Resume;
use crate::verify::report::Finding;

/// Why reading stopped.
pub(super) enum Stop {
    /// The object is not what was listed any more.
    Disturbed,
    /// The object is not what it should be.
    Found(Finding),
    /// There is no time left. Where it goes on, if not where it began.
    Paused(Option<Box<Resume>>),
    /// It could not be read.
    Failed(Error),
}

impl From<Defect> for Stop {
    fn from(defect: Defect) -> Self {
        Self::Found(Finding::Defective(defect))
    }
}

/// Sorts the errors of the store.
pub(super) fn stop(error: Error) -> Stop {
    match error.kind {
        // The bucket was there when it was listed, so what is not found is the object.
        ErrorKind::OutputRejected | ErrorKind::NotFound => Stop::Disturbed,
        _ => Stop::Failed(error),
    }
}
