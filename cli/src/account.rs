//! A deployment in an account or in the local world, and the clients that ask it and act on it.
//!
//! What must stay true: a deployment is found by its stack or by its ledger. Where two deployments could be meant,
//! nothing is guessed. Answers of Step Functions become the types of [`crate::executions`]. Every refusal becomes one
//! of the named errors.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_cloudformation::types::StackStatus;
use aws_sdk_sfn::{
    error::{ProvideErrorMetadata, SdkError},
    primitives::DateTime as SdkTime,
    types::{ExecutionStatus, HistoryEvent},
};
use chrono::{DateTime, Utc};
use landfall::{
    error::{Error, ErrorKind, Result},
    s3_uri::S3Uri,
    store::ObjectStore,
};
use serde_json::{Value, json};

use crate::{
    access::Access,
    doctor::Machine,
    executions::{Described, Executions, Listed, State, kind_of},
    kinds::{BATCH, KINDS, in_template},
};

/// How a deployment is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By its stack.
    Stack(String),
    /// By its ledger's bucket.
    Ledger(String),
}

impl Named {
    /// The arguments that name this deployment, as a person would type them.
    pub fn arguments(&self) -> String {
        match self {
            Self::Stack(name) => format!("--stack {name}"),
            Self::Ledger(bucket) => format!("--ledger s3://{bucket}/"),
        }
    }
}

/// A deployment, with the clients to ask it.
#[derive(Clone)]
pub struct Deployment {
    /// How it was named.
    pub named: Named,
    /// The bucket of its ledger.
    pub ledger: String,
    /// The bucket of its exports, if its stack names one.
    pub exports: Option<String>,
    /// Its state machines by kind, including that of batches.
    pub machines: BTreeMap<String, String>,
    /// The parameters of its stack.
    pub parameters: BTreeMap<String, String>,
    /// The outputs of its stack.
    pub outputs: BTreeMap<String, String>,
    /// The status of its stack, in the words of CloudFormation.
    pub stack_status: Option<String>,
    /// What could not be found out, and why.
    pub notes: Vec<String>,
    /// Objects in S3.
    pub store: Arc<dyn ObjectStore>,
    /// Step Functions.
    pub steps: Steps,
    /// The configuration of all its clients.
    pub sdk: SdkConfig,
}

impl Deployment {
    /// Finds a deployment. Fails with `NotFound` if there is none, and with `InvalidEvent` if several could be meant.
    pub async fn find(access: &Access, named: Named) -> Result<Self> {
        let (sdk, is_local) = access.sdk().await?;
        let store = access.store_of(&sdk, is_local);
        let steps = Steps(aws_sdk_sfn::Client::new(&sdk));
        let mut found = Self {
            ledger: String::new(),
            exports: None,
            machines: BTreeMap::new(),
            parameters: BTreeMap::new(),
            outputs: BTreeMap::new(),
            stack_status: None,
            notes: Vec::new(),
            store,
            steps,
            sdk,
            named: named.clone(),
        };
        match named {
            Named::Stack(stack) => found.read_stack(&stack).await?,
            Named::Ledger(bucket) => {
                found.ledger = bucket;
                // Somebody may be allowed to read the ledger alone. Then they see what the ledger has.
                match found.steps.machines().await {
                    Ok(machines) => found.machines = machines,
                    Err(error) => found
                        .notes
                        .push(format!("executions were not looked at: {}", error.message)),
                }
            }
        }
        Ok(found)
    }

    async fn read_stack(&mut self, name: &str) -> Result<()> {
        let client = aws_sdk_cloudformation::Client::new(&self.sdk);
        let answer = client.describe_stacks().stack_name(name).send().await;
        let answer = answer.map_err(|error| match error.as_service_error() {
            Some(service) if service.message().is_some_and(|message| message.contains("does not exist")) => Error::new(
                ErrorKind::NotFound,
                format!(
                    "there is no stack {name} in this account and region. Name yours with --stack, or its ledger with \
                     --ledger s3://BUCKET/"
                ),
            ),
            _ => refused("DescribeStacks", &error),
        })?;
        let stack = answer.stacks().first().ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("there is no stack {name} in this account and region"),
            )
        })?;
        self.stack_status = stack.stack_status().map(StackStatus::as_str).map(str::to_owned);
        self.outputs = stack
            .outputs()
            .iter()
            .filter_map(|output| Some((output.output_key()?.to_owned(), output.output_value()?.to_owned())))
            .collect();
        self.parameters = stack
            .parameters()
            .iter()
            .filter_map(|parameter| {
                Some((
                    parameter.parameter_key()?.to_owned(),
                    parameter.parameter_value()?.to_owned(),
                ))
            })
            .collect();
        self.exports = self.outputs.get("ExportBucketName").cloned();
        self.ledger = self.outputs.get("LedgerBucketName").cloned().ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("the stack {name} has no output LedgerBucketName, so it is not a stack of Landfall"),
            )
        })?;
        for kind in KINDS.into_iter().chain([BATCH]) {
            if let Some(machine) = self.outputs.get(&format!("{}StateMachineArn", in_template(kind))) {
                self.machines.insert(kind.to_owned(), machine.clone());
            }
        }
        Ok(())
    }

    /// The state machine of a kind. Fails with `NotFound` if none is known.
    pub fn machine(&self, kind: &str) -> Result<&str> {
        self.machines.get(kind).map(String::as_str).ok_or_else(|| {
            let why = match &self.named {
                Named::Stack(stack) => format!("the stack {stack} has no {kind}: deploy it with that kind switched on"),
                Named::Ledger(_) => format!(
                    "no state machine of {kind} was found: either the kind is not deployed, or several stacks have one. Name \
                     your stack with --stack"
                ),
            };
            Error::new(ErrorKind::NotFound, why)
        })
    }

    /// The resources of the stack: type and physical name by logical name.
    pub async fn resources(&self) -> Result<BTreeMap<String, (String, String)>> {
        let Named::Stack(stack) = &self.named else {
            return Ok(BTreeMap::new());
        };
        let client = aws_sdk_cloudformation::Client::new(&self.sdk);
        let mut pages = client.list_stack_resources().stack_name(stack).into_paginator().send();
        let mut found = BTreeMap::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| refused("ListStackResources", &error))?;
            for resource in page.stack_resource_summaries() {
                let parts = resource
                    .logical_resource_id()
                    .zip(resource.resource_type())
                    .zip(resource.physical_resource_id());
                if let Some(((logical, kind), physical)) = parts {
                    found.insert(logical.to_owned(), (kind.to_owned(), physical.to_owned()));
                }
            }
        }
        Ok(found)
    }

    /// The ledger's bucket as a URI.
    pub fn ledger_uri(&self) -> S3Uri {
        S3Uri {
            bucket: self.ledger.clone(),
            key: String::new(),
        }
    }
}

/// The client of Step Functions.
#[derive(Clone, Debug)]
pub struct Steps(aws_sdk_sfn::Client);

impl Steps {
    /// The state machines of this account and region by the kind that their name ends with. A kind of which there are
    /// several is left out.
    async fn machines(&self) -> Result<BTreeMap<String, String>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut pages = self.0.list_state_machines().into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| refused("ListStateMachines", &error))?;
            for machine in page.state_machines() {
                let arn = machine.state_machine_arn();
                if let Some(kind) = kind_of(arn, KINDS.into_iter().chain([BATCH])) {
                    found.entry(kind.to_owned()).or_default().push(arn.to_owned());
                }
            }
        }
        let only = |(kind, mut machines): (String, Vec<String>)| match machines.len() {
            1 => machines.pop().map(|machine| (kind, machine)),
            _ => None,
        };
        Ok(found.into_iter().filter_map(only).collect())
    }

    /// The status of a state machine, and what the service finds wrong with its definition.
    pub async fn machine(&self, arn: &str) -> Result<Machine> {
        let call = self.0.describe_state_machine().state_machine_arn(arn);
        let described = call
            .send()
            .await
            .map_err(|error| refused("DescribeStateMachine", &error))?;
        let call = self
            .0
            .validate_state_machine_definition()
            .definition(described.definition());
        let diagnostics = match call.send().await {
            Ok(answer) => answer
                .diagnostics()
                .iter()
                .filter(|diagnostic| diagnostic.severity().as_str() == "ERROR")
                .map(|diagnostic| format!("{}: {}", diagnostic.code(), diagnostic.message()))
                .collect(),
            // An answer without a code is not from AWS. The local world does not know this call, but it runs the
            // definition.
            Err(error @ (SdkError::ServiceError(_) | SdkError::ResponseError(_)))
                if error.code().unwrap_or_default().is_empty() =>
            {
                Vec::new()
            }
            Err(error) => return Err(refused("ValidateStateMachineDefinition", &error)),
        };
        Ok(Machine {
            status: described.status().map_or("ACTIVE", |status| status.as_str()).to_owned(),
            diagnostics,
        })
    }

    /// Starts an execution and gives its ARN.
    pub async fn start(&self, machine: &str, input: &Value) -> Result<String> {
        let call = self
            .0
            .start_execution()
            .state_machine_arn(machine)
            .input(input.to_string());
        let answer = call.send().await.map_err(|error| refused("StartExecution", &error))?;
        Ok(answer.execution_arn().to_owned())
    }

    /// Lets an execution go on in the state in which it ended.
    pub async fn redrive(&self, execution: &str) -> Result<()> {
        let call = self.0.redrive_execution().execution_arn(execution);
        call.send().await.map_err(|error| refused("RedriveExecution", &error))?;
        Ok(())
    }
}

#[async_trait]
impl Executions for Steps {
    async fn list(&self, machine: &str, state: State, since: DateTime<Utc>) -> Result<Vec<Listed>> {
        let call = self.0.list_executions().state_machine_arn(machine).max_results(1_000);
        let mut pages = call
            .status_filter(ExecutionStatus::from(state.name()))
            .into_paginator()
            .send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| refused("ListExecutions", &error))?;
            for item in page.executions() {
                let started_at = time(item.start_date());
                if started_at < since {
                    return Ok(found);
                }
                found.push(Listed {
                    arn: item.execution_arn().to_owned(),
                    state: State::of(item.status().as_str()),
                    started_at,
                    stopped_at: item.stop_date().map(time),
                });
            }
        }
        Ok(found)
    }

    async fn describe(&self, execution: &str) -> Result<Option<Described>> {
        let answer = match self.0.describe_execution().execution_arn(execution).send().await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("ExecutionDoesNotExist") => return Ok(None),
            Err(error) => return Err(refused("DescribeExecution", &error)),
        };
        Ok(Some(Described {
            listed: Listed {
                arn: answer.execution_arn().to_owned(),
                state: State::of(answer.status().as_str()),
                started_at: time(answer.start_date()),
                stopped_at: answer.stop_date().map(time),
            },
            // If the input is not JSON, Landfall refused it too.
            input: answer
                .input()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default(),
            error: answer.error().map(str::to_owned),
            cause: answer.cause().map(str::to_owned),
        }))
    }

    async fn history(&self, execution: &str) -> Result<Vec<Value>> {
        let call = self
            .0
            .get_execution_history()
            .execution_arn(execution)
            .max_results(1_000);
        let mut pages = call.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| refused("GetExecutionHistory", &error))?;
            found.extend(page.events().iter().map(event));
        }
        Ok(found)
    }
}

fn time(at: &SdkTime) -> DateTime<Utc> {
    DateTime::from_timestamp(at.secs(), at.subsec_nanos()).unwrap_or_default()
}

/// An event in the form of GetExecutionHistory, with those details that this program shows.
fn event(event: &HistoryEvent) -> Value {
    let at = event.timestamp();
    let mut value = json!({"type": event.r#type().as_str(), "timestamp": time(at).to_rfc3339()});
    let failure = |error: Option<&str>, cause: Option<&str>| json!({"error": error, "cause": cause});
    if let Some(details) = event.state_entered_event_details() {
        value["stateEnteredEventDetails"] = json!({"name": details.name(), "input": details.input()});
    }
    if let Some(details) = event.state_exited_event_details() {
        value["stateExitedEventDetails"] = json!({"name": details.name(), "output": details.output()});
    }
    if let Some(details) = event.task_failed_event_details() {
        value["taskFailedEventDetails"] = failure(details.error(), details.cause());
    }
    if let Some(details) = event.task_timed_out_event_details() {
        value["taskTimedOutEventDetails"] = failure(details.error(), details.cause());
    }
    if let Some(details) = event.lambda_function_failed_event_details() {
        value["lambdaFunctionFailedEventDetails"] = failure(details.error(), details.cause());
    }
    if let Some(details) = event.execution_failed_event_details() {
        value["executionFailedEventDetails"] = failure(details.error(), details.cause());
    }
    if let Some(details) = event.execution_aborted_event_details() {
        value["executionAbortedEventDetails"] = failure(details.error(), details.cause());
    }
    if let Some(details) = event.execution_timed_out_event_details() {
        value["executionTimedOutEventDetails"] = failure(details.error(), details.cause());
    }
    value
}

/// Turns a refused or lost call into one of the named errors.
pub fn refused<E, R>(call: &str, error: &SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    let code = error.code().unwrap_or_default();
    let kind = match code {
        "AccessDenied"
        | "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException" => ErrorKind::Forbidden,
        "StateMachineDoesNotExist" | "ExecutionDoesNotExist" | "ResourceNotFoundException" | "ResourceNotFound" => {
            ErrorKind::NotFound
        }
        "Throttling" | "ThrottlingException" | "TooManyRequestsException" => ErrorKind::Throttled,
        "" => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    };
    let mut text = match (code, error.message()) {
        ("", _) => error.to_string(),
        (code, Some(message)) => format!("{code}: {message}"),
        (code, None) => code.to_owned(),
    };
    let mut source = std::error::Error::source(error).filter(|_| code.is_empty());
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Error::new(kind, format!("{call} failed: {text}"))
}
