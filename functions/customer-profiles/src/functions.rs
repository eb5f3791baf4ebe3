//! The functions of this crate, each as its `main` serves it.

use landfall::{
    invocation::Deployment,
    runtime::{Handler, SdkConfig, poll_handler, start_handler},
};

use crate::SegmentSnapshots;

/// `segment-snapshot-start`.
pub fn start(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    start_handler(deployment, SegmentSnapshots::new(sdk))
}

/// `segment-snapshot-poll`.
pub fn poll(deployment: Deployment, sdk: &SdkConfig) -> Handler {
    poll_handler(deployment, SegmentSnapshots::new(sdk))
}
