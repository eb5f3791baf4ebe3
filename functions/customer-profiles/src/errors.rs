//! The errors of Customer Profiles, what they mean and what to do.
//!
//! What must stay true: each error that the API model has for an operation that is called here has a row. The same rows
//! name the error of a failed call, whose message ends with the row's remedy.

use aws_sdk_customerprofiles::error::{ProvideErrorMetadata, SdkError};
use landfall::{
    error::{Error, ErrorKind},
    remedy::{ServiceError, find},
    store::s3::{code_of, describe, transport_kind},
};

const AGAIN: &str = "the call is tried again";

/// The advice if there was no answer, or the answer has no known code.
const UNSAID: &str = "the service says no more";

/// Each operation has these errors.
pub const OF_CALLS: &[ServiceError] = &[
    ServiceError {
        code: "BadRequestException",
        kind: ErrorKind::InvalidEvent,
        meaning: "The input you provided is invalid.",
        remedy: "correct the request, or let the export role and key fit the destination",
    },
    ServiceError {
        code: "AccessDeniedException",
        kind: ErrorKind::Forbidden,
        meaning: "You do not have sufficient access to perform this action.",
        remedy: "the function's role needs the profile action and iam:PassRole for the export role",
    },
    ServiceError {
        code: "ResourceNotFoundException",
        kind: ErrorKind::NotFound,
        meaning: "The requested resource does not exist, or access was denied.",
        remedy: "check the names; the service says the same where access is denied",
    },
    ServiceError {
        code: "ThrottlingException",
        kind: ErrorKind::Throttled,
        meaning: "You exceeded the maximum number of requests.",
        remedy: "a domain has 200 snapshots a day; the call is tried again",
    },
    ServiceError {
        code: "InternalServerException",
        kind: ErrorKind::Unavailable,
        meaning: "An internal service error occurred.",
        remedy: AGAIN,
    },
];

/// The named error of a failed call, chosen by the service's code.
pub(crate) fn named<E>(operation: &str, resource: &str, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let row = |code| find(OF_CALLS, code).map(|row| (row.kind, row.remedy));
    let known = match error.code() {
        Some("ValidationException") => row("BadRequestException"),
        Some("UnrecognizedClientException" | "ExpiredTokenException") => row("AccessDeniedException"),
        Some("TooManyRequestsException") => row("ThrottlingException"),
        Some("RequestTimeoutException") => row("InternalServerException"),
        Some(code) => row(code),
        None => None,
    };
    let (kind, remedy) =
        known.unwrap_or_else(
            || match error.raw_response().map(|response| response.status().as_u16()) {
                Some(429) => (ErrorKind::Throttled, AGAIN),
                Some(408 | 500..=599) => (ErrorKind::Unavailable, AGAIN),
                Some(403) => (ErrorKind::Forbidden, "check the function's role"),
                _ => (transport_kind(error), UNSAID),
            },
        );
    Error::new(
        kind,
        format!("{operation} for {resource}: {}; {remedy}", describe(error)),
    )
    .with_code(code_of(error))
}
