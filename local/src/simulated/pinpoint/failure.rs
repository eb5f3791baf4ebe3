//! The errors of the service, in its words.
//!
//! What must stay true: names and statuses are those of the API model.

use http::StatusCode;

use super::{
    order::{Way, not_found},
    scenario::Fault,
};
use crate::simulated::{Failure, Refusal};

/// The error of this service for a fault.
pub(super) fn failure(fault: Fault, way: Way) -> Failure {
    let name = match way {
        Way::Export => "Export",
        Way::Import => "Import",
    };
    let refusal = match fault {
        Fault::Denied => {
            let message = format!("User is not authorized to perform: mobiletargeting:Create{name}Job");
            Refusal::new(StatusCode::FORBIDDEN, "ForbiddenException", message)
        }
        Fault::NotFound => not_found("Resource not found"),
        Fault::Throttled => Refusal::new(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequestsException",
            "Too many requests",
        ),
        // The text for exports was seen at the service. Its code is not documented (reference P3).
        Fault::Full => {
            let message = format!("Maximum concurrent {}s limit exceeded", name.to_lowercase());
            Refusal::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException", message)
        }
        Fault::Unavailable | Fault::Cut => Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerErrorException",
            "Service encountered an unexpected error",
        ),
    };
    Failure {
        refusal,
        cut: fault == Fault::Cut,
    }
}
