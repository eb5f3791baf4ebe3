//! The errors of Pinpoint, what they mean and what to do.
//!
//! What must stay true: each error of the API model has a row. The same rows name the error of a failed call,
//! whose message has the row's remedy. [`crate::retirement`] decides whether an error says that Pinpoint is gone.

use landfall::{
    error::ErrorKind,
    remedy::{ServiceError, find},
};

const AGAIN: &str = "the call is tried again";
const FIT: &str = "correct the request, or let its role fit the S3 location and trust pinpoint.amazonaws.com";
// The SDK sends the methods of the model. A service that refuses them is not the service of the model.
const OUR_DEFECT: &str = "this version does not speak to this service";

const fn row(code: &'static str, kind: ErrorKind, meaning: &'static str, remedy: &'static str) -> ServiceError {
    ServiceError {
        code,
        kind,
        meaning,
        remedy,
    }
}

/// Each operation has these errors.
pub const OF_CALLS: &[ServiceError] = &[
    row(
        "BadRequestException",
        ErrorKind::InvalidEvent,
        "The request contains a syntax error.",
        FIT,
    ),
    row(
        "ForbiddenException",
        ErrorKind::Forbidden,
        "The request was denied because access to the specified resource is forbidden.",
        "the function's role needs the mobiletargeting action, and iam:PassRole for the role in the request",
    ),
    row(
        "NotFoundException",
        ErrorKind::NotFound,
        "The specified resource was not found.",
        "check the ids, the region and the account",
    ),
    row(
        "MethodNotAllowedException",
        ErrorKind::Internal,
        "The method is not allowed for the specified resource.",
        OUR_DEFECT,
    ),
    row(
        "PayloadTooLargeException",
        ErrorKind::InvalidEvent,
        "The size of the body is too large.",
        FIT,
    ),
    row(
        "TooManyRequestsException",
        ErrorKind::Throttled,
        "Too many requests have been sent within a certain amount of time.",
        AGAIN,
    ),
    row(
        "InternalServerErrorException",
        ErrorKind::Unavailable,
        "The request failed due to an unknown internal server error, exception, or failure.",
        AGAIN,
    ),
];

/// The kind of an answer and the advice, chosen by its code or else by its status; `None` if there was no answer.
pub(crate) fn named(code: Option<&str>, status: Option<u16>) -> Option<(ErrorKind, &'static str)> {
    // These codes are not in the model, but mean the same as codes that are.
    let of_model = match code {
        Some("ValidationException") => Some("BadRequestException"),
        Some(
            "AccessDeniedException"
            | "UnrecognizedClientException"
            | "ExpiredTokenException"
            | "InvalidSignatureException",
        ) => Some("ForbiddenException"),
        Some("ThrottlingException") => Some("TooManyRequestsException"),
        Some("RequestTimeoutException") => Some("InternalServerErrorException"),
        Some("UnknownOperationException" | "SerializationException") => Some("MethodNotAllowedException"),
        other => other,
    };
    let row = |code| find(OF_CALLS, code);
    let by_status = || match status? {
        429 => row("TooManyRequestsException"),
        408 | 500..=599 => row("InternalServerErrorException"),
        403 => row("ForbiddenException"),
        404 => row("NotFoundException"),
        400 | 413 => row("BadRequestException"),
        401..=499 => row("MethodNotAllowedException"),
        _ => None,
    };
    let row = of_model.and_then(row).or_else(by_status)?;
    Some((row.kind, row.remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_modelled_error_has_its_name() {
        for (code, status, kind) in [
            ("BadRequestException", 400, ErrorKind::InvalidEvent),
            ("ForbiddenException", 403, ErrorKind::Forbidden),
            ("NotFoundException", 404, ErrorKind::NotFound),
            ("MethodNotAllowedException", 405, ErrorKind::Internal),
            ("PayloadTooLargeException", 413, ErrorKind::InvalidEvent),
            ("TooManyRequestsException", 429, ErrorKind::Throttled),
            ("InternalServerErrorException", 500, ErrorKind::Unavailable),
        ] {
            assert_eq!(named(Some(code), Some(status)).unwrap().0, kind, "{code}");
            // If a proxy drops the code, the status says almost as much.
            assert_eq!(named(None, Some(status)).unwrap().0, kind, "{status}");
        }
        assert_eq!(named(None, None), None);
        for status in [408, 503] {
            assert_eq!(named(None, Some(status)).unwrap().0, ErrorKind::Unavailable, "{status}");
        }
        let lost = named(Some("RequestTimeoutException"), Some(400));
        assert_eq!(lost.unwrap().0, ErrorKind::Unavailable);
    }
}
