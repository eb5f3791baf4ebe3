//! The HTTP client trusts Amazon's roots and no unknown one, and makes its connectors only when it needs them.

use std::sync::Arc;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::*;

/// The SHA-256 of each root certificate, as published at <https://www.amazontrust.com/repository/> and in the trust
/// stores of Mozilla, Microsoft and Apple.
const FINGERPRINTS: [&str; 5] = [
    "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e",
    "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4",
    "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4",
    "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092",
    "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5",
];

#[test]
fn the_roots_are_those_of_amazon_trust_services() {
    let text = std::str::from_utf8(AMAZON_TRUST_SERVICES).unwrap();
    let found: Vec<String> = text
        .split("-----BEGIN CERTIFICATE-----")
        .skip(1)
        .map(|rest| rest.split("-----END").next().unwrap_or_default())
        .map(|base64| base64.split_whitespace().collect::<String>())
        .map(|base64| hex::encode(Sha256::digest(aws_smithy_types::base64::decode(base64).unwrap())))
        .collect();
    assert_eq!(found, FINGERPRINTS);
}

#[derive(Debug)]
struct Watched(Arc<Https>);

impl HttpClient for Watched {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }
}

fn client(endpoint: &str, https: &Arc<Https>) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(endpoint)
        .http_client(Watched(Arc::clone(https)))
        .build();
    aws_sdk_s3::Client::from_conf(config)
}

/// This also shows that the certificates can be read: otherwise the SDK's client would panic.
#[tokio::test]
async fn a_connector_is_made_for_the_first_request_and_kept() {
    for trust in [Trust::Amazon, Trust::System] {
        let https = Arc::new(Https::new(trust).unwrap());
        let made = || https.connectors.lock().unwrap().len();
        let client = client("http://127.0.0.1:9", &https);
        assert_eq!(made(), 0);
        for _ in 0..2 {
            let answer = client.list_buckets().send().await;
            answer.expect_err("nobody listens");
            assert_eq!(made(), 1);
        }
    }
}

/// An S3 without buckets on this machine, whose certificate comes from an unknown root. Returns its address and the
/// root.
async fn server_of_a_foreign_root() -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &root).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that refuses the certificate ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") && stream.read_buf(&mut asked).await.is_ok_and(|read| read > 0) {}
            let body = "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>";
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    });
    (address, root.pem())
}

#[tokio::test]
async fn a_certificate_of_another_root_is_refused() {
    let (address, root) = server_of_a_foreign_root().await;
    let trusting = TrustStore::empty().with_pem_certificate(root.as_bytes());
    let tls = TlsContext::builder().with_trust_store(trusting).build().unwrap();
    let connectors = Mutex::default();
    let knows_it = Arc::new(Https { tls, connectors });
    let answer = client(&address, &knows_it).list_buckets().send().await;
    assert!(answer.is_ok(), "{answer:?}");
    for trust in [Trust::Amazon, Trust::System] {
        let https = Arc::new(Https::new(trust).unwrap());
        let error = client(&address, &https).list_buckets().send().await.unwrap_err();
        assert!(format!("{error:?}").contains("UnknownIssuer"), "{trust:?}: {error:?}");
    }
}
