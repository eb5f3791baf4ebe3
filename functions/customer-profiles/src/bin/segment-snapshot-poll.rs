//! Looks once how far a segment snapshot is.

use landfall_customer_profiles::SegmentSnapshots;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    landfall::runtime::serve_poll(|sdk, _| SegmentSnapshots::new(sdk)).await
}
