//! What every function's `main` does: configuration, clients, and the handler under the Lambda runtime.
//!
//! What must stay true: clients are built once, before the first invocation, and passed as arguments; an input that a
//! handler cannot read is an error with one of our names. So the runtime is not asked to read it ([`crate::input`]).

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use aws_config::BehaviorVersion;
pub use aws_config::SdkConfig;
use aws_smithy_types::{retry::RetryConfig, timeout::TimeoutConfig};
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::Value;
use tracing::Instrument;

use crate::{
    config::Config,
    error::Result,
    input::{Input, Payload},
    invocation::{Deployment, Invocation},
    poll::{self, Looking},
    service::{CALL_LIMIT, JobService},
    span,
    start::{self, Received},
    store::{SystemClock, s3::S3Store},
};

/// What a handler returns: boxed, since the layers of the runtime and of the SDK are too deep a type otherwise.
pub type Handled<O> = Pin<Box<dyn Future<Output = Result<O>> + Send>>;

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

/// Serves invocations of a handler that `build` makes of the deployment and the SDK's configuration.
pub async fn serve<H, O>(build: impl FnOnce(Deployment, &SdkConfig) -> H) -> Result<(), lambda_runtime::Error>
where
    H: Fn(Input, Invocation) -> Handled<O>,
    O: Serialize,
{
    lambda_runtime::tracing::init_default_subscriber();
    let config = Config::from_env()?;
    let sdk = aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts())
        .load()
        .await;
    let store = Arc::new(S3Store::new(aws_sdk_s3::Client::new(&sdk), config.bucket_owner.clone()));
    let handler = build(
        Deployment {
            config,
            store,
            clock: Arc::new(SystemClock),
        },
        &sdk,
    );
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

/// `main` of a kind's start function.
pub async fn serve_start<S: JobService + 'static>(
    build: impl FnOnce(&SdkConfig, &Config) -> S,
) -> Result<(), lambda_runtime::Error> {
    serve(|deployment, sdk| {
        let service = build(sdk, &deployment.config);
        let parts = Arc::new((deployment, service));
        move |input, invocation| {
            let parts = Arc::clone(&parts);
            Box::pin(async move {
                let received = Received::read::<S>(input, &invocation);
                start::start(&parts.0, &parts.1, &received, &invocation).await
            })
        }
    })
    .await
}

/// `main` of a kind's poll function.
pub async fn serve_poll<S: JobService + 'static>(
    build: impl FnOnce(&SdkConfig, &Config) -> S,
) -> Result<(), lambda_runtime::Error> {
    serve(|deployment, sdk| {
        let service = build(sdk, &deployment.config);
        let parts = Arc::new((deployment, service));
        move |input, _| {
            let parts = Arc::clone(&parts);
            Box::pin(async move { poll::poll(&parts.0, &parts.1, Looking::read(input)?).await })
        }
    })
    .await
}
