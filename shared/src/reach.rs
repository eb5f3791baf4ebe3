//! Whether a request left at all.
//!
//! What must stay true: a request counts as one that never left only if no connection was made for it, so that not one
//! byte of it was sent. Its host was not found, the connection was refused, reset or not made in time, or TLS failed.
//! If a connection breaks later, or a call takes too long, nothing is known about what the service did.

use std::error::Error as StdError;

use aws_smithy_runtime_api::client::{dns::ResolveDnsError, orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use hyper_util::client::legacy::Error as HttpError;

use crate::{
    error::{Error, ErrorKind},
    store::s3::describe,
};

/// A service that cannot be reached, for the message.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// The name that people use.
    pub name: &'static str,
    /// A sentence that says in which regions the service is, or where to look that up.
    pub regions: &'static str,
}

/// Whether a failed request never left. Then the service cannot have done anything.
pub fn never_left<E>(error: &SdkError<E, HttpResponse>) -> bool {
    let SdkError::DispatchFailure(failure) = error else {
        return false;
    };
    let mut cause: Option<&(dyn StdError + 'static)> = failure.as_connector_error().map(|error| error as _);
    while let Some(error) = cause {
        // The request is written only after its connection was made. This does not recognise a request that waited for
        // a free connection.
        if error.downcast_ref::<HttpError>().is_some_and(HttpError::is_connect) || error.is::<ResolveDnsError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The error of a job if its requests never leave.
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
