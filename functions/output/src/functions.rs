//! The functions of this crate.

use landfall::{
    invocation::Deployment,
    runtime::{Handler, SdkConfig, handler},
};

use crate::{seal, step::verify_step};

pub fn verify(deployment: Deployment, _: &SdkConfig) -> Handler {
    handler("Verify", deployment, |deployment, input, invocation| async move {
        verify_step(&deployment, input, &invocation).await
    })
}

pub fn seal(deployment: Deployment, _: &SdkConfig) -> Handler {
    handler("Seal", deployment, |deployment, input, invocation| async move {
        seal::seal(&deployment, input, &invocation).await
    })
}
