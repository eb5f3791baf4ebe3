//! The named errors.
//!
//! What must stay true: the state machine branches on [`ErrorKind::name`], never on the name of a Rust type. So each
//! handler returns [`Error`] and never a boxed error. A message says what happened, to which job, and what the user can
//! do. It holds no personal data, no presigned link and no credential.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use lambda_runtime::Diagnostic;
use serde::{Deserialize, Serialize};

/// A time as messages show it: to the second, in the form that an event's `time` has.
pub fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Why something failed. The state machine, alarms and callers branch on this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The event is not a request that Landfall or the service accepts. Trying again does not help.
    InvalidEvent,
    /// The deployment's allow list, IAM or a bucket policy refuses the call.
    Forbidden,
    /// A domain, segment, job, bucket or key does not exist.
    NotFound,
    /// A service or S3 asked to slow down.
    Throttled,
    /// Another delivery holds the claim, or a limit lets no more jobs run. Trying later helps.
    Busy,
    /// A service or S3 did not answer, or answered with a server error.
    Unavailable,
    /// No request reached the service for some minutes. Most often the service is not in this region.
    Unreachable,
    /// The service no longer offers this job.
    Retired,
    /// The service itself says that the job failed.
    JobFailed,
    /// The job did not end before its deadline.
    TimedOut,
    /// The files that were written do not prove a complete export.
    OutputRejected,
    /// Somebody cancelled the job.
    Cancelled,
    /// Not every request of a batch succeeded.
    BatchFailed,
    /// A defect of Landfall or of its deployment.
    Internal,
}

impl ErrorKind {
    /// All kinds, in the order of the documentation.
    pub const ALL: [Self; 14] = [
        Self::InvalidEvent,
        Self::Forbidden,
        Self::NotFound,
        Self::Throttled,
        Self::Busy,
        Self::Unavailable,
        Self::Unreachable,
        Self::Retired,
        Self::JobFailed,
        Self::TimedOut,
        Self::OutputRejected,
        Self::Cancelled,
        Self::BatchFailed,
        Self::Internal,
    ];

    /// The published name: Lambda's `errorType`, and `ErrorEquals` in the state machine.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidEvent => "Landfall.InvalidEvent",
            Self::Forbidden => "Landfall.Forbidden",
            Self::NotFound => "Landfall.NotFound",
            Self::Throttled => "Landfall.Throttled",
            Self::Busy => "Landfall.Busy",
            Self::Unavailable => "Landfall.Unavailable",
            Self::Unreachable => "Landfall.Unreachable",
            Self::Retired => "Landfall.Retired",
            Self::JobFailed => "Landfall.JobFailed",
            Self::TimedOut => "Landfall.TimedOut",
            Self::OutputRejected => "Landfall.OutputRejected",
            Self::Cancelled => "Landfall.Cancelled",
            Self::BatchFailed => "Landfall.BatchFailed",
            Self::Internal => "Landfall.Internal",
        }
    }

    /// The kind with a published name; `None` for names that are not Landfall's, such as Lambda's own.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the same call may succeed later without a change by anybody.
    pub const fn is_transient(self) -> bool {
        matches!(self, Self::Throttled | Self::Busy | Self::Unavailable)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A named error with a message for the person who has to act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub kind: ErrorKind,
    /// What happened, to which job, and what can be done. A message may quote a service or an event, so it is not
    /// logged. The execution gets it, and from there the receipt.
    pub message: String,
    /// Code and status of the service's answer, for the log.
    pub code: Option<String>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: None,
        }
    }

    /// Adds the code of a service's answer.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// A defect of Landfall or of its deployment: [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Puts what was being done before the message.
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for Error {}

impl From<Error> for Diagnostic {
    fn from(error: Error) -> Self {
        Self {
            error_type: error.kind.name().to_owned(),
            error_message: error.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_name_is_unique_and_gives_its_kind() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_name(kind.name()), Some(kind));
            assert_eq!(format!("Landfall.{kind:?}"), kind.name());
        }
        assert_eq!(ErrorKind::from_name("Lambda.Unknown"), None);
    }

    #[test]
    fn lambda_reports_the_name_and_not_a_type() {
        let diagnostic = Diagnostic::from(Error::new(ErrorKind::Busy, "wait"));
        assert_eq!(
            serde_json::to_value(&diagnostic).unwrap(),
            serde_json::json!({"errorType": "Landfall.Busy", "errorMessage": "wait"})
        );
    }
}
