//! The `main` of each function: configuration, clients, and the handler under the Lambda runtime.
//!
//! What must stay true: clients are built once, before the first invocation, and passed as arguments. An input that a
//! handler cannot read gives an error of Landfall, so [`crate::input`] reads it and not the Lambda runtime.
//!
//! A handler is boxed, and its answer is already JSON. So the runtime code is compiled once, with this library, and
//! each handler with its function's library. The twelve binaries then only need to be linked.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use tokio::runtime::Builder;

pub use crate::sdk::SdkConfig;
use crate::{
    clock::SystemClock,
    config::{self, Access, Config, Logging},
    error::{Error, Result},
    input::{Input, Payload},
    invocation::{Deployment, Invocation},
    logging,
    poll::{self, PollInput},
    sdk::sdk_config,
    service::{CALL_LIMIT, JobService},
    span::{self, Known},
    start::{self, Received},
    store::s3::S3Store,
    trace::Segment,
};

/// The result of an invocation: the answer as JSON, or an error.
pub type Handled = Pin<Box<dyn Future<Output = Result<Box<RawValue>>> + Send>>;

/// Handles an invocation.
pub type Handler = Box<dyn Fn(Input, Invocation) -> Handled + Send + Sync>;

/// The handler for a state of the definition. It calls `handle` with `parts`, which are built once.
pub fn handler<P, F, O>(
    state: &'static str,
    parts: P,
    handle: impl Fn(Arc<P>, Input, Invocation) -> F + Send + Sync + 'static,
) -> Handler
where
    P: Send + Sync + 'static,
    F: Future<Output = Result<O>> + Send + 'static,
    O: Serialize,
{
    let parts = Arc::new(parts);
    Box::new(move |input, invocation| {
        span::is_for_state(state);
        let handled = handle(Arc::clone(&parts), input, invocation);
        Box::pin(async move {
            to_raw_value(&handled.await?)
                .map_err(|error| Error::internal(format!("the answer cannot be written as JSON: {error}")))
        })
    })
}

/// The handler of a kind's start function.
pub fn start_handler<S: JobService + 'static>(deployment: Deployment, service: S) -> Handler {
    handler("Start", (deployment, service), |parts, input, invocation| async move {
        let received = Received::read::<S>(input, &invocation);
        start::start(&parts.0, &parts.1, &received, &invocation).await
    })
}

/// The handler of a kind's poll function.
pub fn poll_handler<S: JobService + 'static>(deployment: Deployment, service: S) -> Handler {
    handler("Poll", (deployment, service), |parts, input, _| async move {
        poll::poll(&parts.0, &parts.1, PollInput::read(input)?).await
    })
}

/// The time-outs of all clients. It is better to give up a request that hangs and repeat it than to spend the whole
/// invocation on it.
#[must_use]
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(30))
        .build()
}

/// The configuration for a service's client, which makes each call once. The SDK must not repeat a start call, because
/// the ledger would not know of it. The state machine repeats a poll that fails.
#[must_use]
pub fn calling_once(sdk: &SdkConfig) -> SdkConfig {
    let timeouts = timeouts().to_builder().operation_timeout(CALL_LIMIT);
    sdk.clone()
        .into_builder()
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .build()
}

/// How many threads a function has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One, for functions that mostly wait. They start sooner and take less memory.
    One,
    /// One for each processor, for functions that read whole files.
    Many,
}

/// Runs a function. `build` makes its handler from the deployment and the SDK's configuration.
pub fn serve(threads: Threads, build: fn(Deployment, &SdkConfig) -> Handler) -> Result<(), lambda_runtime::Error> {
    let mut runtime = match threads {
        Threads::One => Builder::new_current_thread(),
        Threads::Many => Builder::new_multi_thread(),
    };
    runtime.enable_all().build()?.block_on(run(build))
}

async fn run(build: fn(Deployment, &SdkConfig) -> Handler) -> Result<(), lambda_runtime::Error> {
    tracing::dispatcher::set_global_default(logging::dispatch(&Logging::from_env(), std::io::stdout))?;
    logging::log_panics();
    let config = Config::from_env()?;
    let sdk = sdk_config(&Access::from_env()?, timeouts())?;
    let store = Arc::new(S3Store::new(aws_sdk_s3::Client::new(&sdk), config.bucket_owner.clone()));
    let clock = Arc::new(SystemClock);
    let handler = build(Deployment { config, store, clock }, &sdk);
    let handler = &handler;
    let daemon = config::xray_daemon();
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Payload>| async move {
        let began = SystemTime::now();
        let (result, known) = invoke(handler, event.payload, Invocation::from(&event.context)).await;
        let header = event.context.xray_trace_id.as_deref();
        if let (Some(daemon), Some(segment)) = (daemon, header.and_then(Segment::of_header)) {
            let document = segment.document(began, SystemTime::now(), result.is_err(), &known.fields());
            daemon.send(&document);
        }
        result
    }))
    .await
}

/// Handles one invocation, within its span.
pub async fn invoke(handler: &Handler, payload: Payload, invocation: Invocation) -> (Result<Box<RawValue>>, Known) {
    let input = Input::try_from(payload);
    let value = input.as_ref().map_or(Value::Null, |input| input.value.clone());
    let about = invocation.clone();
    let work = async {
        let result = match input {
            Ok(input) => handler(input, invocation).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &result {
            logging::log_error(error);
        }
        result
    };
    span::within(&value, &about, work).await
}
