//! The few AWS calls that a local run makes by itself.
//!
//! What must stay true: these calls go to moto or to the edge on this machine, never to AWS. The address is given, no
//! environment variable is read, and AWS would refuse the signature.

use std::{collections::BTreeMap, fmt, net::SocketAddr};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

/// Plain HTTP to one address.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

impl Http {
    /// A client of one address.
    pub fn new(address: SocketAddr) -> Self {
        let client = Client::builder(TokioExecutor::new())
            // moto closes each connection after its answer. A connection that is kept could be closed during a request.
            .pool_max_idle_per_host(0)
            .build_http();
        Self { client, address }
    }

    /// Sends a request and reads its whole answer, whatever the status is.
    pub async fn send(
        &self,
        method: Method,
        path_and_query: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response<Bytes>> {
        let url = format!("http://{}{path_and_query}", self.address);
        let mut request = Request::builder().method(method).uri(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(body))
            .with_context(|| format!("{url} is not a request"))?;
        let (parts, body) = self
            .client
            .request(request)
            .await
            .with_context(|| format!("{url} did not answer"))?
            .into_parts();
        let body = body
            .collect()
            .await
            .with_context(|| format!("{url} broke off its answer"))?
            .to_bytes();
        Ok(Response::from_parts(parts, body))
    }
}

/// A service's answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceError {
    /// HTTP status.
    pub status: u16,
    /// The error's code, such as `ExecutionAlreadyExists`.
    pub code: String,
    /// The service's words.
    pub message: String,
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.code, self.status, self.message)
    }
}

impl std::error::Error for ServiceError {}

/// The services that speak AWS JSON: Step Functions, EventBridge, SQS.
#[derive(Clone, Debug)]
pub struct Aws {
    http: Http,
    region: String,
}

/// The answer of DescribeExecution.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// `RUNNING`, `SUCCEEDED`, `FAILED`, `TIMED_OUT` or `ABORTED`.
    pub status: String,
    /// The input.
    pub input: Value,
    /// The output, if it succeeded.
    pub output: Option<Value>,
    /// The error's name, if it failed.
    pub error: Option<String>,
    /// The error's cause, if it failed.
    pub cause: Option<String>,
}

impl Aws {
    /// A caller of the services at one address.
    pub fn new(address: SocketAddr, region: impl Into<String>) -> Self {
        Self {
            http: Http::new(address),
            region: region.into(),
        }
    }

    /// One call. `service` is the signing name, `target` the whole `X-Amz-Target`. Fails with [`ServiceError`] if the
    /// service answers with an error.
    pub async fn call(&self, service: &str, target: &str, input: &Value) -> Result<Value> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=local/20000101/{}/{service}/aws4_request, SignedHeaders=host, Signature=0",
            self.region
        );
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/x-amz-json-1.0"),
            ("x-amz-target", target),
        ];
        let response = self
            .http
            .send(Method::POST, "/", &headers, input.to_string().into())
            .await
            .with_context(|| format!("cannot call {target}"))?;
        let body: Value = match response.body().as_ref() {
            b"" => Value::Null,
            body => serde_json::from_slice(body).unwrap_or_else(|_| json!(String::from_utf8_lossy(body))),
        };
        if response.status().is_success() {
            return Ok(body);
        }
        let text = |names: [&str; 2]| names.iter().find_map(|name| body[name].as_str());
        let code = text(["__type", "code"]).unwrap_or("Unknown");
        let error = ServiceError {
            status: response.status().as_u16(),
            code: code.rsplit('#').next().unwrap_or(code).to_owned(),
            message: text(["message", "Message"]).map_or_else(|| body.to_string(), str::to_owned),
        };
        Err(error).with_context(|| format!("{target} failed"))
    }

    /// One call of a service that speaks AWS's query protocol. Fails with [`ServiceError`] if the service answers with
    /// an error.
    pub async fn query(&self, service: &str, version: &str, action: &str, members: &[(&str, &str)]) -> Result<()> {
        let encoded =
            |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let mut body = format!("Action={action}&Version={version}");
        for (name, value) in members {
            body.push_str(&format!("&{name}={}", encoded(value)));
        }
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=local/20000101/{}/{service}/aws4_request, SignedHeaders=host, Signature=0",
            self.region
        );
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let response = self.http.send(Method::POST, "/", &headers, body.into()).await;
        let response = response.with_context(|| format!("cannot call {action}"))?;
        if response.status().is_success() {
            return Ok(());
        }
        let error = ServiceError {
            status: response.status().as_u16(),
            code: action.to_owned(),
            message: String::from_utf8_lossy(response.body()).into_owned(),
        };
        Err(error).with_context(|| format!("{action} failed"))
    }

    async fn states(&self, operation: &str, input: &Value) -> Result<Value> {
        self.call("states", &format!("AWSStepFunctions.{operation}"), input)
            .await
    }

    /// Creates a state machine of type STANDARD and gives its ARN.
    pub async fn create_state_machine(&self, name: &str, definition: &str, role: &str) -> Result<String> {
        let input = json!({"name": name, "definition": definition, "roleArn": role});
        text(&self.states("CreateStateMachine", &input).await?, "stateMachineArn")
    }

    /// Starts an execution and gives its ARN.
    pub async fn start_execution(&self, machine: &str, name: &str, input: &str) -> Result<String> {
        let input = json!({"stateMachineArn": machine, "name": name, "input": input});
        text(&self.states("StartExecution", &input).await?, "executionArn")
    }

    /// The state of an execution.
    pub async fn describe_execution(&self, execution: &str) -> Result<Description> {
        let found = self
            .states("DescribeExecution", &json!({"executionArn": execution}))
            .await?;
        let optional = |name: &str| found[name].as_str().map(str::to_owned);
        Ok(Description {
            status: text(&found, "status")?,
            input: optional("input")
                .and_then(|input| serde_json::from_str(&input).ok())
                .unwrap_or_default(),
            output: optional("output").map(|output| serde_json::from_str(&output).unwrap_or(Value::String(output))),
            error: optional("error"),
            cause: optional("cause"),
        })
    }

    /// The events of an execution so far, oldest first.
    pub async fn execution_history(&self, execution: &str) -> Result<Vec<Value>> {
        let mut events = Vec::new();
        let mut input = json!({"executionArn": execution, "maxResults": 1000});
        loop {
            let mut page = self.states("GetExecutionHistory", &input).await?;
            if let Value::Array(found) = page["events"].take() {
                events.extend(found);
            }
            match page["nextToken"].take() {
                token @ Value::String(_) => input["nextToken"] = token,
                _ => return Ok(events),
            }
        }
    }

    /// The executions of a state machine with their statuses, by ARN.
    pub async fn executions(&self, machine: &str) -> Result<BTreeMap<String, String>> {
        let mut executions = BTreeMap::new();
        let mut input = json!({"stateMachineArn": machine, "maxResults": 1000});
        loop {
            let mut page = self.states("ListExecutions", &input).await?;
            for execution in page["executions"].as_array().into_iter().flatten() {
                executions.insert(text(execution, "executionArn")?, text(execution, "status")?);
            }
            match page["nextToken"].take() {
                token @ Value::String(_) => input["nextToken"] = token,
                _ => return Ok(executions),
            }
        }
    }

    /// Redrives an execution: it goes on in the state in which it ended. Fails with the [`ServiceError`]
    /// `ExecutionNotRedrivable` if the execution runs or succeeded.
    pub async fn redrive_execution(&self, execution: &str) -> Result<()> {
        self.states("RedriveExecution", &json!({"executionArn": execution}))
            .await?;
        Ok(())
    }

    /// Stops an execution.
    pub async fn stop_execution(&self, execution: &str) -> Result<()> {
        self.states("StopExecution", &json!({"executionArn": execution}))
            .await?;
        Ok(())
    }
}

fn text(answer: &Value, name: &str) -> Result<String> {
    answer[name]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("the answer has no {name}: {answer}"))
}
