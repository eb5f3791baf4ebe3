//! The functions of this crate, each as its `main` serves it.

use landfall::{
    invocation::Deployment,
    runtime::{Handler, SdkConfig, poll_handler, start_handler},
};

use crate::{EndpointExports, EndpointImports};

/// `endpoint-export-start`.
pub fn start_export(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    start_handler(deployment, EndpointExports::new(sdk))
}

/// `endpoint-export-poll`.
pub fn poll_export(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    poll_handler(deployment, EndpointExports::new(sdk))
}

/// `endpoint-import-start`.
pub fn start_import(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    start_handler(deployment, EndpointImports::new(sdk))
}

/// `endpoint-import-poll`.
pub fn poll_import(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    poll_handler(deployment, EndpointImports::new(sdk))
}
