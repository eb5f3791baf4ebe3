//! The functions of this crate, each as its `main` serves it.

use landfall::{
    invocation::Deployment,
    runtime::{Handler, SdkConfig, handler},
};

use crate::{seal, step::verify_step};

/// `verify-output`.
pub fn verify(deployment: Deployment, _: &SdkConfig) -> Handler {
    handler("Verify", deployment, |deployment, input, invocation| async move {
        verify_step(&deployment, input, &invocation).await
    })
}

/// `seal-receipt`.
pub fn seal(deployment: Deployment, _: &SdkConfig) -> Handler {
    handler("Seal", deployment, |deployment, input, invocation| async move {
        seal::seal(&deployment, input, &invocation).await
    })
}
