//! The functions of this crate.

use landfall::{
    invocation::Deployment,
    runtime::{Handler, SdkConfig, handler},
};

use crate::{plan, summary};

pub fn plan(deployment: Deployment, _: &SdkConfig) -> Handler {
    handler("Plan", deployment, |deployment, input, invocation| async move {
        plan::plan(&deployment, input, &invocation).await
    })
}

pub fn summary(deployment: Deployment, _: &SdkConfig) -> Handler {
    handler("Summary", deployment, |deployment, input, invocation| async move {
        summary::summarise(&deployment, input, &invocation).await
    })
}
