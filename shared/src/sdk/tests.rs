//! The clients use the region, endpoint and credentials of the environment.

use aws_credential_types::provider::ProvideCredentials as _;

use super::*;

fn access(variables: &[(&str, &str)]) -> Access {
    let given = [
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    Access::read(|name| {
        let mut named = variables.iter().chain(&given).filter(|(key, _)| *key == name);
        named.next().map(|(_, value)| (*value).to_owned())
    })
    .unwrap()
}

#[tokio::test]
async fn clients_are_built_from_the_environment() {
    let access = access(&[
        ("AWS_SESSION_TOKEN", "token"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_USE_FIPS_ENDPOINT", "true"),
    ]);
    let sdk = sdk_config(&access, TimeoutConfig::disabled()).unwrap();
    assert_eq!(sdk.region().unwrap().as_ref(), "eu-central-1");
    assert_eq!(
        (sdk.endpoint_url(), sdk.use_fips()),
        (Some("http://127.0.0.1:9"), Some(true))
    );
    let provider = sdk.credentials_provider().unwrap();
    let role = provider.provide_credentials().await.unwrap();
    assert_eq!((role.access_key_id(), role.session_token()), ("id", Some("token")));
}
