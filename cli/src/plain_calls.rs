//! Calls of services for which no client is linked: Service Quotas, IAM and EventBridge Scheduler.
//!
//! What must stay true: only questions are asked. Each is signed as the SDK's clients sign. Every refusal becomes one
//! of the named errors and names the permission that the call needs.
//!
//! `landfall doctor` asks three questions of three services. Their clients would be the largest part of the program.
//! Instead a request is made here, signed by the SDK's own signer, and sent by its own HTTPS client.

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_sdk_s3::config::ProvideCredentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4::SigningParams,
};
use aws_smithy_http_client::{
    Connector,
    proxy::ProxyConfig,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorSettings},
    identity::Identity,
    orchestrator::HttpRequest,
};
use aws_smithy_types::{body::SdkBody, byte_stream::ByteStream};
use landfall::error::{Error, ErrorKind, Result};
use serde_json::{Value, json};

/// How long an answer may take.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// How many pages of a list are read at most.
const MAX_PAGES: usize = 20;

/// A quota of the account.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    /// Its name at Service Quotas.
    pub name: String,
    /// Its value.
    pub value: f64,
}

/// Makes calls to these services.
pub struct PlainCalls {
    sdk: SdkConfig,
    connector: Connector,
}

/// One call.
struct Call<'a> {
    /// Its name, and the permission that it needs.
    name: &'static str,
    permission: &'static str,
    /// The signing name of the service.
    service: &'static str,
    /// The host at AWS, and the region in the signature.
    host: String,
    region: String,
    method: &'static str,
    path: String,
    headers: &'a [(&'static str, &'static str)],
    body: String,
}

impl PlainCalls {
    /// Made from the SDK's configuration.
    pub fn new(sdk: &SdkConfig) -> Result<Self> {
        let tls = TlsContext::builder()
            .with_trust_store(TrustStore::empty().with_native_roots(true))
            .build()
            .map_err(|error| Error::internal(format!("TLS cannot be set up: {error}")))?;
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(TIME_LIMIT)
            .build();
        let mut connector = Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(tls)
            .proxy_config(ProxyConfig::from_env())
            .connector_settings(settings);
        connector.set_sleep_impl(sdk.sleep_impl());
        Ok(Self {
            sdk: sdk.clone(),
            connector: connector.build(),
        })
    }

    fn region(&self) -> &str {
        self.sdk.region().map_or("us-east-1", AsRef::as_ref)
    }

    /// The quotas of a service in this account.
    pub async fn quotas(&self, service: &str) -> Result<Vec<Quota>> {
        let mut found = Vec::new();
        let mut next = Value::Null;
        for _ in 0..MAX_PAGES {
            let mut input = json!({"ServiceCode": service, "MaxResults": 100});
            if next.is_string() {
                input["NextToken"] = next;
            }
            let call = Call {
                name: "ListServiceQuotas",
                permission: "servicequotas:ListServiceQuotas",
                service: "servicequotas",
                host: format!("servicequotas.{}.{}", self.region(), suffix(self.region())),
                region: self.region().to_owned(),
                method: "POST",
                path: "/".to_owned(),
                headers: &[
                    ("content-type", "application/x-amz-json-1.1"),
                    ("x-amz-target", "ServiceQuotasV20190624.ListServiceQuotas"),
                ],
                body: input.to_string(),
            };
            let answer = read_json(&call, &self.send(&call).await?)?;
            for quota in answer["Quotas"].as_array().into_iter().flatten() {
                if let (Some(name), Some(value)) = (quota["QuotaName"].as_str(), quota["Value"].as_f64()) {
                    found.push(Quota {
                        name: name.to_owned(),
                        value,
                    });
                }
            }
            next = answer["NextToken"].clone();
            if !next.is_string() {
                break;
            }
        }
        Ok(found)
    }

    /// Whether IAM allows a role an action: `allowed`, `explicitDeny` or `implicitDeny`.
    pub async fn decision(&self, role: &str, action: &str, resource: &str) -> Result<String> {
        let form = [
            ("Action", "SimulatePrincipalPolicy"),
            ("Version", "2010-05-08"),
            ("PolicySourceArn", role),
            ("ActionNames.member.1", action),
            ("ResourceArns.member.1", resource),
        ];
        let (host, region) = of_iam(self.region());
        let call = Call {
            name: "SimulatePrincipalPolicy",
            permission: "iam:SimulatePrincipalPolicy",
            service: "iam",
            host: host.to_owned(),
            region: region.to_owned(),
            method: "POST",
            path: "/".to_owned(),
            headers: &[("content-type", "application/x-www-form-urlencoded")],
            body: form.map(|(name, value)| format!("{name}={}", encoded(value))).join("&"),
        };
        let answer = self.send(&call).await?;
        // There is one decision for one action on one resource.
        element(&answer, "EvalDecision")
            .map(str::to_owned)
            .ok_or_else(|| unreadable(&call))
    }

    /// The state of a schedule in the default group: `ENABLED` or `DISABLED`.
    pub async fn schedule_state(&self, name: &str) -> Result<String> {
        let call = Call {
            name: "GetSchedule",
            permission: "scheduler:GetSchedule",
            service: "scheduler",
            host: format!("scheduler.{}.{}", self.region(), suffix(self.region())),
            region: self.region().to_owned(),
            method: "GET",
            path: format!("/schedules/{}", encoded(name)),
            headers: &[],
            body: String::new(),
        };
        let answer = read_json(&call, &self.send(&call).await?)?;
        answer["State"]
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| unreadable(&call))
    }

    /// Sends a call and gives the body of its answer.
    async fn send(&self, call: &Call<'_>) -> Result<String> {
        let wrong = |why: &dyn std::fmt::Display| Error::internal(format!("{} could not be called: {why}", call.name));
        let base = match self.sdk.endpoint_url() {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("https://{}", call.host),
        };
        let url = format!("{base}{}", call.path);
        let credentials = match self.sdk.credentials_provider() {
            Some(provider) => provider.provide_credentials().await.map_err(|error| wrong(&error))?,
            None => return Err(wrong(&"there are no credentials")),
        };
        let identity = Identity::from(credentials);
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&call.region)
            .name(call.service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| wrong(&error))?
            .into();
        let headers = call.headers.iter().copied();
        let signable = SignableRequest::new(call.method, &url, headers, SignableBody::Bytes(call.body.as_bytes()))
            .map_err(|error| wrong(&error))?;
        let (signature, _) = sign(signable, &params).map_err(|error| wrong(&error))?.into_parts();
        let mut request = http::Request::builder().method(call.method).uri(&url);
        for (name, value) in call.headers {
            request = request.header(*name, *value);
        }
        let mut request = request
            .body(SdkBody::from(call.body.as_str()))
            .map_err(|error| wrong(&error))?;
        signature.apply_to_request_http1x(&mut request);
        let request = HttpRequest::try_from(request).map_err(|error| wrong(&error))?;
        let lost = |why: &dyn std::error::Error| {
            let mut text = why.to_string();
            let mut source = why.source();
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            Error::new(ErrorKind::Unavailable, format!("{} had no answer: {text}", call.name))
        };
        let response = self.connector.call(request).await.map_err(|error| lost(&error))?;
        let status = response.status().as_u16();
        let of_header = response.headers().get("x-amzn-errortype").map(str::to_owned);
        let body = ByteStream::new(response.into_body()).collect().await;
        let body = body.map_err(|error| lost(&error))?.into_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        match status {
            200..=299 => Ok(body),
            _ => Err(refusal(call, status, of_header.as_deref(), &body)),
        }
    }
}

fn read_json(call: &Call<'_>, body: &str) -> Result<Value> {
    serde_json::from_str(body).map_err(|_| unreadable(call))
}

fn unreadable(call: &Call<'_>) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!("the answer to {} is not in AWS's form", call.name),
    )
}

/// The named error of a refused call.
fn refusal(call: &Call<'_>, status: u16, of_header: Option<&str>, body: &str) -> Error {
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let text = |names: &[&str]| names.iter().find_map(|name| json[*name].as_str());
    let code = of_header
        .or_else(|| text(&["__type", "code"]))
        .or_else(|| element(body, "Code"))
        .unwrap_or("no code");
    let code = code.rsplit('#').next().unwrap_or(code);
    let code = code.split(':').next().unwrap_or(code);
    let message = text(&["message", "Message"])
        .or_else(|| element(body, "Message"))
        .unwrap_or("it gives no reason");
    let kind = match (code, status) {
        (code, _) if code.contains("AccessDenied") => ErrorKind::Forbidden,
        (_, 401 | 403) => ErrorKind::Forbidden,
        (code, _) if code.starts_with("Throttling") || code == "TooManyRequestsException" => ErrorKind::Throttled,
        ("NoSuchResourceException" | "ResourceNotFoundException" | "NoSuchEntity", _) => ErrorKind::NotFound,
        (_, 500..) => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    let takes = match kind {
        ErrorKind::Forbidden => format!(". It takes the permission {}", call.permission),
        _ => String::new(),
    };
    Error::new(
        kind,
        format!("{} failed: {code} ({status}): {message}{takes}", call.name),
    )
}

/// The text of the first element of a name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

/// A text with percent encoding for every byte that has a meaning in a form or a path.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// The end of host names in a region.
pub fn suffix(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    }
}

/// The host of IAM, one for each partition, and the region in its signatures.
fn of_iam(region: &str) -> (&'static str, &'static str) {
    match region {
        region if region.starts_with("cn-") => ("iam.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        region if region.starts_with("us-gov-") => ("iam.us-gov.amazonaws.com", "us-gov-west-1"),
        _ => ("iam.amazonaws.com", "us-east-1"),
    }
}
