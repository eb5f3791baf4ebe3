//! The functions of this crate.

use landfall::{
    invocation::Deployment,
    runtime::{Handler, SdkConfig, poll_handler, start_handler},
};

use crate::SegmentSnapshots;

pub fn start(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    start_handler(deployment, SegmentSnapshots::new(sdk))
}

pub fn poll(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    poll_handler(deployment, SegmentSnapshots::new(sdk))
}
