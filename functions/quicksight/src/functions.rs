//! The functions of this crate, each as its `main` serves it.

use landfall::{
    invocation::Deployment,
    runtime::{Handler, SdkConfig, poll_handler, start_handler},
};

use crate::DashboardSnapshots;

/// `dashboard-snapshot-start`.
pub fn start(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    let service = DashboardSnapshots::new(sdk, deployment.config.user_session_role.clone());
    start_handler(deployment, service)
}

/// `dashboard-snapshot-poll`.
pub fn poll(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    let service = DashboardSnapshots::new(sdk, deployment.config.user_session_role.clone());
    poll_handler(deployment, service)
}
