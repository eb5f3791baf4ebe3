//! What a command found, and its exit status.
//!
//! What must stay true: the status is 0 only if all is well. It is 2 if that could not be found out.

use std::process::ExitCode;

use landfall::error::Error;

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It did its work, and what it looked at is well.
    Good,
    /// It did its work, and what it looked at is not well.
    Bad,
}

impl Outcome {
    /// `Good` or `Bad`.
    pub(super) const fn good_if(is_good: bool) -> Self {
        if is_good { Self::Good } else { Self::Bad }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Good => Self::SUCCESS,
            Outcome::Bad => Self::FAILURE,
        }
    }
}

/// The name of an error for a program: a named error of Landfall, or that of this program.
pub(super) fn name_of(error: &anyhow::Error) -> &'static str {
    error
        .downcast_ref::<Error>()
        .map_or("Landfall.CommandLine", |error| error.kind.name())
}

/// The message for people, without the name.
pub(super) fn message_of(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Error>() {
        Some(error) => error.message.clone(),
        None => format!("{error:#}"),
    }
}
