//! Whether a request left at all.
//!
//! What must stay true: a request counts as one that never left only if no connection was made for it, so that not a byte
//! of it was sent: its host was not found, the connection was refused, reset or not made in time, or TLS failed on it. A
//! connection that breaks later, and a call that takes too long, say nothing about what the service did.

use std::error::Error as StdError;

use aws_smithy_runtime_api::client::{dns::ResolveDnsError, orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use hyper_util::client::legacy::Error as HttpError;

use crate::{
    error::{Error, ErrorKind},
    store::s3::describe,
};

/// A service, for messages about not reaching it.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// What people call it.
    pub name: &'static str,
    /// A sentence that says in which regions it is, or where that is said.
    pub regions: &'static str,
}

/// Whether a failed request never left, so that the service cannot have done anything.
pub fn never_left<E>(error: &SdkError<E, HttpResponse>) -> bool {
    let SdkError::DispatchFailure(failure) = error else {
        return false;
    };
    let mut cause: Option<&(dyn StdError + 'static)> = failure.as_connector_error().map(|error| error as _);
    while let Some(error) = cause {
        // A connection is made before the request is written to it. What waits for a free connection is not told apart.
        if error.downcast_ref::<HttpError>().is_some_and(HttpError::is_connect) || error.is::<ResolveDnsError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// What a job fails with whose requests never leave.
pub fn unreachable<E>(
    service: Service,
    region: Option<&str>,
    operation: &str,
    resource: &str,
    error: &SdkError<E, HttpResponse>,
) -> Error
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    let Service { name, regions } = service;
    let region = region.unwrap_or("the function's region");
    Error::new(
        ErrorKind::Unreachable,
        format!(
            "{operation} for {resource}: {}. The request never left, so no job was made: {name} cannot be reached in \
             {region}. {regions}. If it is not in {region}, deploy the stack in a region that has it; if it is, look at the \
             function's DNS and network, and send the event again",
            describe(error)
        ),
    )
}

#[cfg(test)]
mod tests;
