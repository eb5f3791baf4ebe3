//! Starts an endpoint export, or adopts one that another delivery of the same trigger started.

use landfall_pinpoint::EndpointExports;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    landfall::runtime::serve_start(|sdk, _| EndpointExports::new(sdk)).await
}
