//! The HTTPS client that all AWS clients of a function share.
//!
//! What must stay true: only certificates of [`Trust`] are accepted; proxies of the environment are followed, as every AWS
//! SDK does; and nothing is read or built before the first request needs it.
//!
//! The SDK's own client reads every root certificate of the system while a client is made. That takes more time than all
//! else that a function does before its first call. This one is given to the SDK instead. It builds the same connector of
//! the same parts when the first request asks for it, so a client that is never used costs nothing.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_smithy_http_client::{
    Connector,
    proxy::ProxyConfig,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    connector_metadata::ConnectorMetadata,
    http::{HttpClient, HttpConnectorSettings, SharedHttpConnector},
    runtime_components::RuntimeComponents,
};

use crate::error::{Error, Result};

/// The roots of Amazon Trust Services, which the endpoints of AWS have certificates of, as
/// <https://www.amazontrust.com/repository/> publishes them.
const AMAZON_TRUST_SERVICES: &[u8] = include_bytes!("https/amazon-trust-services.pem");

/// Which root certificates are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Amazon Trust Services and nobody else.
    #[default]
    Amazon,
    /// What the system trusts, which `SSL_CERT_FILE` and `SSL_CERT_DIR` can replace.
    System,
}

impl Trust {
    fn store(self) -> TrustStore {
        match self {
            Self::Amazon => TrustStore::empty().with_pem_certificate(AMAZON_TRUST_SERVICES),
            Self::System => TrustStore::empty().with_native_roots(true),
        }
    }
}

/// The time-outs that a connector is built for.
type Settings = (Option<Duration>, Option<Duration>);

/// The client. Each connector keeps its connections open for all who share it.
#[derive(Debug)]
pub struct Https {
    tls: TlsContext,
    connectors: Mutex<Vec<(Settings, SharedHttpConnector)>>,
}

impl Https {
    /// A client that accepts these certificates.
    pub fn new(trust: Trust) -> Result<Self> {
        let tls = TlsContext::builder()
            .with_trust_store(trust.store())
            .build()
            .map_err(|error| Error::internal(format!("TLS cannot be set up: {error}")))?;
        Ok(Self {
            tls,
            connectors: Mutex::default(),
        })
    }

    /// The connector that the SDK's own client would build, but for the certificates.
    fn connect(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let mut connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(self.tls.clone())
            .proxy_config(ProxyConfig::from_env())
            .connector_settings(settings.clone());
        connector.set_sleep_impl(components.sleep_impl());
        SharedHttpConnector::new(connector.build())
    }
}

impl HttpClient for Https {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let key = (settings.connect_timeout(), settings.read_timeout());
        let mut connectors = self.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, connector)) = connectors.iter().find(|(of, _)| *of == key) {
            return connector.clone();
        }
        let connector = self.connect(settings, components);
        connectors.push((key, connector.clone()));
        connector
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("hyper", Some("1.x".into())))
    }
}

#[cfg(test)]
mod tests;
