//! Starts a dashboard snapshot, or adopts one that another delivery of the same trigger started.

use landfall_quicksight::DashboardSnapshots;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    landfall::runtime::serve_start(|sdk, config| DashboardSnapshots::new(sdk, config.user_session_role.clone())).await
}
