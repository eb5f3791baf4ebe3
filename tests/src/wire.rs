//! Records requests and answers, so that botocore can judge them.
//!
//! What must stay true: requests come from the functions' own SDK clients, and answers from the simulated services. The
//! judge, `tests/python/wire.py`, reads them by botocore's models and knows none of our code.

use std::{
    io::Write,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use bytes::Bytes;
use landfall_local::{
    places, python,
    simulated::{Refusal, SimulatedService},
};
use serde::{Deserialize, Serialize};

/// One request and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct Exchange {
    pub method: String,
    /// Path and query.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub status: u16,
    pub answer_headers: Vec<(String, String)>,
    pub answer: String,
}

fn headers(map: &http::HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    map.iter()
        .map(|(name, value)| (name.to_string(), text(value)))
        .collect()
}

/// A service that records its requests and answers.
pub struct Recorder {
    service: Arc<dyn SimulatedService>,
    exchanges: Mutex<Vec<Exchange>>,
}

impl Recorder {
    /// Records what goes to and from a service.
    pub fn new(service: Arc<dyn SimulatedService>) -> Arc<Self> {
        Arc::new(Self {
            service,
            exchanges: Mutex::default(),
        })
    }

    /// Everything recorded so far.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl SimulatedService for Recorder {
    fn signing_name(&self) -> &'static str {
        self.service.signing_name()
    }

    async fn handle(&self, request: http::Request<Bytes>) -> http::Response<Bytes> {
        let target = request
            .uri()
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default();
        let mut exchange = Exchange {
            method: request.method().to_string(),
            target,
            headers: headers(request.headers()),
            body: String::from_utf8_lossy(request.body()).into_owned(),
            status: 0,
            answer_headers: Vec::new(),
            answer: String::new(),
        };
        let response = self.service.handle(request).await;
        exchange.status = response.status().as_u16();
        exchange.answer_headers = headers(response.headers());
        exchange.answer = String::from_utf8_lossy(response.body()).into_owned();
        self.exchanges
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(exchange);
        response
    }

    async fn advance(&self) {
        self.service.advance().await;
    }
}

/// A service that refuses every request in the same way.
pub struct Refusing(pub &'static str, pub Refusal);

#[async_trait]
impl SimulatedService for Refusing {
    fn signing_name(&self) -> &'static str {
        self.0
    }

    async fn handle(&self, _: http::Request<Bytes>) -> http::Response<Bytes> {
        self.1.clone().into_response("00000000-0000-4000-8000-000000000000")
    }

    async fn advance(&self) {}
}

/// A service that refuses requests with a certain end of their path, and passes the rest on.
pub struct RefusingAt {
    /// Answers all other requests.
    pub service: Arc<dyn SimulatedService>,
    /// The end of the path of refused requests.
    pub path: &'static str,
    pub refusal: Refusal,
}

#[async_trait]
impl SimulatedService for RefusingAt {
    fn signing_name(&self) -> &'static str {
        self.service.signing_name()
    }

    async fn handle(&self, request: http::Request<Bytes>) -> http::Response<Bytes> {
        if request.uri().path().ends_with(self.path) {
            return self
                .refusal
                .clone()
                .into_response("00000000-0000-4000-8000-000000000000");
        }
        self.service.handle(request).await
    }

    async fn advance(&self) {
        self.service.advance().await;
    }
}

/// An error of an operation, as botocore's model defines it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ModelledError {
    /// The operation, such as `GetSegmentSnapshot`.
    pub operation: String,
    /// The code on the wire.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
}

/// The errors that botocore's model gives for these operations of a service.
pub fn modelled_errors(service: &str, operations: &[&str]) -> Result<Vec<ModelledError>> {
    let said = judge(&["errors", service], &serde_json::to_vec(operations)?)?;
    serde_json::from_slice(&said).context("botocore's errors are not readable")
}

/// Lets botocore judge exchanges: each must be a request of the service's model and an answer to it. Returns the name
/// of each operation, or of the exception class for an error, in order.
pub fn conform(service: &str, exchanges: &[Exchange]) -> Result<Vec<String>> {
    let said = judge(&["conform", service], &serde_json::to_vec(exchanges)?)?;
    serde_json::from_slice(&said).context("botocore's judgement is not readable")
}

/// The names of the operations of exchanges in botocore's model, whatever the answers were.
pub fn operations(service: &str, exchanges: &[Exchange]) -> Result<Vec<String>> {
    let said = judge(&["operations", service], &serde_json::to_vec(exchanges)?)?;
    serde_json::from_slice(&said).context("botocore's operations are not readable")
}

fn judge(arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let workspace = places::workspace()?;
    let python = python::ensure(&workspace)?;
    let mut child = Command::new(python.python())
        .arg(workspace.join("tests/python/wire.py"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start Python")?;
    let mut stdin = child.stdin.take().context("Python has no input")?;
    stdin.write_all(input)?;
    drop(stdin);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!(
            "botocore refuses the exchanges:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(output.stdout)
}
