//! What a call asks for, and how it is refused.

use http::{Method, StatusCode};

use super::scenario::FaultAnswer;
use crate::simulated::{Failure, Refusal};

/// An operation of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// CreateSegmentSnapshot.
    Create,
    /// GetSegmentSnapshot.
    Get,
    /// GetSegmentDefinition.
    Definition,
    /// CreateSegmentEstimate.
    Estimate,
    /// GetSegmentEstimate.
    Estimated,
    /// An operation that the service does not have.
    Unknown,
}

/// What a method and a path ask for. Labels are taken as they stand in the path. A name that fits its pattern has no
/// character that needs an escape, so a name with an escape fits no pattern.
#[derive(Clone, Copy)]
pub(super) enum Route<'a> {
    Create {
        domain: &'a str,
        segment: &'a str,
    },
    Get {
        domain: &'a str,
        segment: &'a str,
        id: &'a str,
    },
    Definition {
        domain: &'a str,
        segment: &'a str,
    },
    Estimate {
        domain: &'a str,
    },
    Estimated {
        domain: &'a str,
        id: &'a str,
    },
    Unknown,
}

impl<'a> Route<'a> {
    pub(super) fn of(method: &Method, path: &'a str) -> Self {
        let labels: Vec<&str> = path.split('/').collect();
        match labels.as_slice() {
            ["", "domains", domain, "segments", segment, "snapshots"] if method == Method::POST => {
                Self::Create { domain, segment }
            }
            ["", "domains", domain, "segments", segment, "snapshots", id]
                if method == Method::GET && !id.is_empty() =>
            {
                Self::Get { domain, segment, id }
            }
            ["", "domains", domain, "segment-definitions", segment] if method == Method::GET => {
                Self::Definition { domain, segment }
            }
            ["", "domains", domain, "segment-estimates"] if method == Method::POST => Self::Estimate { domain },
            ["", "domains", domain, "segment-estimates", id] if method == Method::GET => Self::Estimated { domain, id },
            _ => Self::Unknown,
        }
    }

    pub(super) fn operation(self) -> Operation {
        match self {
            Self::Create { .. } => Operation::Create,
            Self::Get { .. } => Operation::Get,
            Self::Definition { .. } => Operation::Definition,
            Self::Estimate { .. } => Operation::Estimate,
            Self::Estimated { .. } => Operation::Estimated,
            Self::Unknown => Operation::Unknown,
        }
    }
}

pub(super) fn bad_request(message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "BadRequestException", message)
}

pub(super) fn not_found(message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
}

pub(super) fn throttled(message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::TOO_MANY_REQUESTS, "ThrottlingException", message)
}

/// The error of this service for a fault.
pub(super) fn failure(answer: FaultAnswer, doing: &str, what: &str, name: &str) -> Failure {
    let unavailable = || {
        let message = "The request processing has failed because of an unknown error, exception or failure.";
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException", message)
    };
    let refusal = match answer {
        FaultAnswer::Denied => {
            let message = format!("User is not authorized to perform: {doing}");
            Refusal::new(StatusCode::FORBIDDEN, "AccessDeniedException", message)
        }
        FaultAnswer::NotFound => not_found(format!("The {what} {name} was not found.")),
        FaultAnswer::Throttled => throttled("Rate exceeded"),
        FaultAnswer::Unavailable | FaultAnswer::ConnectionCut => unavailable(),
    };
    Failure {
        refusal,
        cut: answer == FaultAnswer::ConnectionCut,
    }
}
