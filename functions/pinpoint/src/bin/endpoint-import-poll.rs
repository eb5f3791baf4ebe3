//! Looks once how far an endpoint import is.

use landfall_pinpoint::EndpointImports;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    landfall::runtime::serve_poll(|sdk, _| EndpointImports::new(sdk)).await
}
