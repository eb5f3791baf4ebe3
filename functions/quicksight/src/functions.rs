//! The functions of this crate.

use landfall::{
    invocation::Deployment,
    runtime::{Handler, SdkConfig, poll_handler, start_handler},
};

use crate::DashboardSnapshots;

pub fn start(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    let service = DashboardSnapshots::new(sdk, deployment.config.user_session_role.clone());
    start_handler(deployment, service)
}

pub fn poll(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    let service = DashboardSnapshots::new(sdk, deployment.config.user_session_role.clone());
    poll_handler(deployment, service)
}
