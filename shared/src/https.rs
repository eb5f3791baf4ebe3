//! The HTTPS client that all AWS clients of a function share.
//!
//! What must stay true: only certificates of [`Trust`] are accepted. Proxies in the environment are used, as in each
//! AWS SDK. Nothing is read or built before the first request.
//!
//! The SDK's own client reads all root certificates of the system when it is made. That takes longer than all other
//! work before a function's first call. This client replaces it: it builds the same connector from the same parts, but
//! only at the first request, so a client that is never used costs nothing.

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

/// The root certificates of Amazon Trust Services, which signs the certificates of AWS's endpoints, as published at
/// <https://www.amazontrust.com/repository/>.
const AMAZON_TRUST_SERVICES: &[u8] = include_bytes!("https/amazon-trust-services.pem");

/// Which root certificates are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Only those of Amazon Trust Services.
    #[default]
    Amazon,
    /// Those that the system trusts. `SSL_CERT_FILE` and `SSL_CERT_DIR` can replace them.
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

/// A connector's time-outs: for connecting, and for reading.
type Settings = (Option<Duration>, Option<Duration>);

/// The client. A connector's connections stay open for all clients that share it.
#[derive(Debug)]
pub struct Https {
    tls: TlsContext,
    connectors: Mutex<Vec<(Settings, SharedHttpConnector)>>,
}

impl Https {
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

    /// Builds the connector that the SDK's own client would build, except for the certificates.
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
