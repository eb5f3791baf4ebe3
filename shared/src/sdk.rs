//! The configuration of the AWS SDK in a function.
//!
//! What must stay true: the credentials are those of the function's role, which Lambda puts into the environment; no
//! other source of credentials is asked. The configuration comes only from [`Access`], and no file is read.
//!
//! `aws-config` would give the same configuration, but would first look for profiles, containers, web identities and
//! instance metadata, which a function does not have. This module does the part that a function needs: credentials,
//! region, endpoints, and the shared HTTPS client.

use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::timeout::TimeoutConfig;
pub use aws_types::SdkConfig;
use aws_types::{
    region::Region,
    sdk_config::SharedCredentialsProvider,
    service_config::{LoadServiceConfig, ServiceConfigKey},
};

use crate::{
    config::{Access, variable},
    error::Result,
    https::Https,
};

pub fn sdk_config(access: &Access, timeouts: TimeoutConfig) -> Result<SdkConfig> {
    let mut sdk = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(access.credentials.clone()))
        .region(Region::new(access.region.clone()))
        .http_client(Https::new(access.trust)?)
        .service_config(OfEnvironment)
        .timeout_config(timeouts);
    sdk.set_endpoint_url(access.endpoint_url.clone());
    sdk.set_use_fips(access.use_fips);
    sdk.set_use_dual_stack(access.use_dual_stack);
    Ok(sdk.build())
}

/// Reads the variables of one service, such as `AWS_ENDPOINT_URL_S3`, which a client asks for when it is made.
#[derive(Debug)]
struct OfEnvironment;

impl LoadServiceConfig for OfEnvironment {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace(' ', "_");
        variable(&format!("{}_{service}", key.env())).or_else(|| variable(key.env()))
    }
}

#[cfg(test)]
mod tests;
