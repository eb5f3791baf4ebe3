//! The functions of this crate.

use landfall::{
    invocation::Deployment,
    runtime::{Handler, SdkConfig, poll_handler, start_handler},
};

use crate::{EndpointExports, EndpointImports};

pub fn start_export(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    start_handler(deployment, EndpointExports::new(sdk))
}

pub fn poll_export(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    poll_handler(deployment, EndpointExports::new(sdk))
}

pub fn start_import(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    start_handler(deployment, EndpointImports::new(sdk))
}

pub fn poll_import(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    poll_handler(deployment, EndpointImports::new(sdk))
}
