//! What every function's `main` does: configuration, clients, and the handler under the Lambda runtime.
//!
//! What must stay true: clients are built once, before the first invocation, and passed as arguments; an input that a
//! handler cannot read is an error with one of our names. So the runtime is not asked to read it ([`crate::input`]).
//!
//! A handler is boxed, and its answer is JSON by then. So the runtime is compiled once, with this library, and a handler
//! with the library of its function: the twelve binaries have nothing left but to be linked.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use tokio::runtime::Builder;
use tracing::Instrument;

pub use crate::sdk::SdkConfig;
use crate::{
    config::{Access, Config, Logging},
    error::{Error, Result},
    input::{Input, Payload},
    invocation::{Deployment, Invocation},
    poll::{self, Looking},
    sdk::sdk_config,
    service::{CALL_LIMIT, JobService},
    span,
    start::{self, Received},
    store::{SystemClock, s3::S3Store},
};

/// What becomes of an invocation: the answer as JSON, or an error.
pub type Handled = Pin<Box<dyn Future<Output = Result<Box<RawValue>>> + Send>>;

/// What a function does with an invocation.
pub type Handler = Box<dyn Fn(Input, Invocation) -> Handled + Send + Sync>;

/// The handler that calls `handle` with what is built once.
pub fn handler<P, F, O>(parts: P, handle: impl Fn(Arc<P>, Input, Invocation) -> F + Send + Sync + 'static) -> Handler
where
    P: Send + Sync + 'static,
    F: Future<Output = Result<O>> + Send + 'static,
    O: Serialize,
{
    let parts = Arc::new(parts);
    Box::new(move |input, invocation| {
        let handled = handle(Arc::clone(&parts), input, invocation);
        Box::pin(async move {
            to_raw_value(&handled.await?)
                .map_err(|error| Error::internal(format!("the answer cannot be written as JSON: {error}")))
        })
    })
}

/// The handler of a kind's start function.
pub fn start_handler<S: JobService + 'static>(deployment: Deployment, service: S) -> Handler {
    handler((deployment, service), |parts, input, invocation| async move {
        let received = Received::read::<S>(input, &invocation);
        start::start(&parts.0, &parts.1, &received, &invocation).await
    })
}

/// The handler of a kind's poll function.
pub fn poll_handler<S: JobService + 'static>(deployment: Deployment, service: S) -> Handler {
    handler((deployment, service), |parts, input, _| async move {
        poll::poll(&parts.0, &parts.1, Looking::read(input)?).await
    })
}

/// How long the clients of a function wait. What hangs is lost: an attempt that is tried again beats an invocation that is
/// used up by one call.
#[must_use]
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(30))
        .build()
}

/// The configuration for the client of a kind's service. It makes each call once: a start call must not be tried again
/// behind the ledger's back, and a poll that fails is tried again by the state machine.
#[must_use]
pub fn calling_once(sdk: &SdkConfig) -> SdkConfig {
    let timeouts = timeouts().to_builder().operation_timeout(CALL_LIMIT);
    sdk.clone()
        .into_builder()
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .build()
}

/// How many threads a function works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// One, for functions that mostly wait. It starts sooner and takes less memory.
    One,
    /// One a processor, for functions that read whole files.
    Many,
}

/// `main` of a function whose handler `build` makes of the deployment and the SDK's configuration.
pub fn serve(threads: Threads, build: fn(Deployment, &SdkConfig) -> Handler) -> Result<(), lambda_runtime::Error> {
    let mut runtime = match threads {
        Threads::One => Builder::new_current_thread(),
        Threads::Many => Builder::new_multi_thread(),
    };
    runtime.enable_all().build()?.block_on(run(build))
}

async fn run(build: fn(Deployment, &SdkConfig) -> Handler) -> Result<(), lambda_runtime::Error> {
    log(&Logging::from_env());
    let config = Config::from_env()?;
    let sdk = sdk_config(&Access::from_env()?, timeouts())?;
    let store = Arc::new(S3Store::new(aws_sdk_s3::Client::new(&sdk), config.bucket_owner.clone()));
    let clock = Arc::new(SystemClock);
    let handler = build(Deployment { config, store, clock }, &sdk);
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Payload>| async move {
        let invocation = Invocation::from(&event.context);
        let input = Input::try_from(event.payload);
        let span = span::of_invocation(input.as_ref().map_or(&Value::Null, |input| &input.value), &invocation);
        let work = async {
            let result = match input {
                Ok(input) => handler(input, invocation).await,
                Err(error) => Err(error),
            };
            if let Err(error) = &result {
                tracing::error!(error = error.kind.name(), "{}", error.message);
            }
            result
        };
        work.instrument(span).await
    }))
    .await
}

/// Writes the log to standard output as Lambda's own subscriber does, but for filters of single modules, which would bring
/// regular expressions into every function.
fn log(logging: &Logging) {
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(logging.level)
        .with_target(false)
        .without_time();
    if logging.json {
        subscriber.json().init();
    } else {
        subscriber.init();
    }
}
