use std::sync::Arc;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use sha2::{Digest as _, Sha256};

use super::*;

/// SHA-256 of each root's certificate, as <https://www.amazontrust.com/repository/> and the trust stores of Mozilla,
/// Microsoft and Apple have them.
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

/// Making one also shows that the certificates can be read: the SDK's client would panic.
#[tokio::test]
async fn a_connector_is_made_for_the_first_request_and_kept() {
    for trust in [Trust::Amazon, Trust::System] {
        let https = Arc::new(Https::new(trust).unwrap());
        let made = || https.connectors.lock().unwrap().len();
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .endpoint_url("http://127.0.0.1:9")
            .http_client(Watched(Arc::clone(&https)))
            .build();
        let client = aws_sdk_s3::Client::from_conf(config);
        assert_eq!(made(), 0);
        for _ in 0..2 {
            let answer = client.list_buckets().send().await;
            answer.expect_err("nobody listens");
            assert_eq!(made(), 1);
        }
    }
}
