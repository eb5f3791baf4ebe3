//! The functions of this crate, each as its `main` serves it.

use landfall::{
    invocation::Deployment,
    runtime::{Handler, SdkConfig, handler},
};

use crate::{plan, summary};

/// `batch-plan`.
pub fn plan(deployment: Deployment, _: &SdkConfig) -> Handler {
    handler("Plan", deployment, |deployment, input, invocation| async move {
        plan::plan(&deployment, input, &invocation).await
    })
}

/// `batch-summary`.
pub fn summary(deployment: Deployment, _: &SdkConfig) -> Handler {
    handler("Summary", deployment, |deployment, input, invocation| async move {
        summary::summarise(&deployment, input, &invocation).await
    })
}
