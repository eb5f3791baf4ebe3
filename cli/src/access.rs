//! How AWS, or another server, is reached.
//!
//! What must stay true: credentials come from where the AWS tools look for them. They are never shown. If something is
//! missing, this is said before the first call, together with what to do.

use std::{sync::Arc, time::Duration};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, default_provider::region::DefaultRegionChain,
    profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig, timeout::TimeoutConfig,
};
use aws_sdk_s3::config::ProvideCredentials;
use landfall::{
    error::{Error, ErrorKind, Result},
    store::{ObjectStore, s3::S3Store},
};

/// Which AWS is asked, and as whom. A member that is absent is looked up as every AWS tool looks it up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// A profile of the AWS configuration.
    pub profile: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// Another address than AWS's own. Requests to such an address name the bucket in the path.
    pub endpoint_url: Option<String>,
    /// The account that must own the bucket.
    pub bucket_owner: Option<String>,
}

impl Access {
    /// The configuration of all clients, and whether it points to another server than AWS. Fails with `InvalidEvent` if
    /// no region is known, and with `Forbidden` if there are no credentials.
    pub async fn sdk(&self) -> Result<(SdkConfig, bool)> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(60))
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts);
        if let Some(profile) = &self.profile {
            // The SDK itself prefers keys of the environment to a profile. Here a profile that was asked for comes
            // first.
            let region = match &self.region {
                Some(region) => Some(Region::new(region.clone())),
                None => {
                    DefaultRegionChain::builder()
                        .profile_name(profile)
                        .build()
                        .region()
                        .await
                }
            };
            let credentials = ProfileFileCredentialsProvider::builder()
                .configure(&ProviderConfig::default().with_region(region))
                .profile_name(profile)
                .build();
            loader = loader.profile_name(profile).credentials_provider(credentials);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(url) = &self.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        let mut sdk = loader.load().await;
        // The S3 client reads this variable by itself, and the configuration does not show it.
        let of_environment = std::env::var_os("AWS_ENDPOINT_URL_S3").is_some_and(|url| !url.is_empty());
        let is_local = self.endpoint_url.is_some() || sdk.endpoint_url().is_some() || of_environment;
        match (sdk.region(), is_local) {
            (Some(_), _) => {}
            // Another server than AWS needs no region, but a signature does.
            (None, true) => sdk = sdk.into_builder().region(Region::from_static("us-east-1")).build(),
            (None, false) => {
                return Err(Error::new(
                    ErrorKind::InvalidEvent,
                    "no region is known: name it with --region, in AWS_REGION or in the profile",
                ));
            }
        }
        let found = match sdk.credentials_provider() {
            Some(provider) => provider
                .provide_credentials()
                .await
                .map(drop)
                .map_err(|error| chain(&error)),
            None => Err("nothing provides any".to_owned()),
        };
        if let Err(why) = found {
            return Err(Error::new(
                ErrorKind::Forbidden,
                format!(
                    "there are no credentials ({why}). They are looked for in the environment, in the profile's \
                     keys and roles, and at the container or instance. If the profile signs in by SSO or by a \
                     process, take them with: eval \"$(aws configure export-credentials --profile NAME --format env)\""
                ),
            ));
        }
        Ok((sdk, is_local))
    }

    /// The objects of S3. Fails as [`Access::sdk`] does.
    pub async fn store(&self) -> Result<Arc<dyn ObjectStore>> {
        let (sdk, is_local) = self.sdk().await?;
        Ok(self.store_of(&sdk, is_local))
    }

    /// The objects of S3, with a configuration that [`Access::sdk`] gave.
    pub fn store_of(&self, sdk: &SdkConfig, is_local: bool) -> Arc<dyn ObjectStore> {
        let config = aws_sdk_s3::config::Builder::from(sdk)
            .force_path_style(is_local)
            .build();
        Arc::new(S3Store::new(
            aws_sdk_s3::Client::from_conf(config),
            self.bucket_owner.clone(),
        ))
    }
}

/// An error with what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
