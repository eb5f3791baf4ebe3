//! Why the reading of an object stops.

use landfall::error::{Error, ErrorKind};
use landfall_formats::Defect;

use super::task::Resume;
use crate::verify::report::Finding;

/// Why the reading of an object stopped.
pub(super) enum Stop {
    /// The object is no longer the one that was listed.
    Disturbed,
    /// The object is not what it should be.
    Found(Finding),
    /// Time is up. Where to continue, unless from where this reading began.
    Paused(Option<Box<Resume>>),
    /// The object could not be read.
    Failed(Error),
}

impl From<Defect> for Stop {
    fn from(defect: Defect) -> Self {
        Self::Found(Finding::Defective(defect))
    }
}

/// What an error of the store means for the object.
pub(super) fn stop(error: Error) -> Stop {
    match error.kind {
        // The bucket existed when it was listed, so it is the object that was not found.
        ErrorKind::OutputRejected | ErrorKind::NotFound => Stop::Disturbed,
        _ => Stop::Failed(error),
    }
}
