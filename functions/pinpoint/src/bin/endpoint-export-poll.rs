//! Looks once how far an endpoint export is.

use landfall_pinpoint::EndpointExports;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    landfall::runtime::serve_poll(|sdk, _| EndpointExports::new(sdk)).await
}
