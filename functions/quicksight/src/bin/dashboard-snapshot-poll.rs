//! Looks once how far a dashboard snapshot is, and once it has ended which files it wrote.

use landfall_quicksight::DashboardSnapshots;

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    landfall::runtime::serve_poll(|sdk, config| DashboardSnapshots::new(sdk, config.user_session_role.clone())).await
}
