//! Starts an endpoint import, or adopts one that another delivery of the same trigger started.

use landfall_pinpoint::EndpointImports;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    landfall::runtime::serve_start(|sdk, _| EndpointImports::new(sdk)).await
}
