//! Starts a segment snapshot, or adopts one that another delivery of the same trigger started.

use landfall_customer_profiles::SegmentSnapshots;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    landfall::runtime::serve_start(|sdk, _| SegmentSnapshots::new(sdk)).await
}
