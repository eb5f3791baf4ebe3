//! S3 and the services, as one invocation meets them.
//!
//! What must stay true: every call of a function goes through this module. S3 answers conditional writes as the real
//! one does, and the SDK parses the answers of the services.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector as TcpConnector},
    rt::TokioExecutor,
};
use landfall::{
    error::{Error, ErrorKind, Result},
    store::{
        Condition, ObjectStore, Written,
        layer::{self, Answer, Layer},
    },
};
use landfall_local::simulated::{ConnectionCut, Refusal, SimulatedService};

use crate::{
    faults::{Boundary, Fault},
    invocation::{Call, Crossed},
    starts::{GivenUp, Start, Starts},
};

/// The S3 layer of one invocation.
pub struct Edge(pub Arc<Call>);

#[async_trait]
impl Layer for Edge {
    async fn call(&self, call: layer::Call<'_>, store: &dyn ObjectStore) -> Result<Answer> {
        let (boundary, name) = match &call {
            layer::Call::ListPage { .. } => (Boundary::Read, "list"),
            layer::Call::Head { .. } => (Boundary::Read, "head"),
            layer::Call::Get { .. } => (Boundary::Read, "get"),
            layer::Call::Read { .. } | layer::Call::Stream { .. } => (Boundary::Read, "read"),
            layer::Call::Put { condition, .. } => match condition {
                Condition::Absent => (Boundary::Write, "put new"),
                Condition::Unchanged(_) => (Boundary::Write, "put over"),
            },
            layer::Call::BeginUpload { .. } => (Boundary::Write, "begin upload"),
            layer::Call::UploadPart { .. } => (Boundary::Write, "upload part"),
            layer::Call::CompleteUpload { .. } => (Boundary::Write, "complete upload"),
            layer::Call::AbortUpload { .. } => (Boundary::Write, "abort upload"),
        };
        let is_put = matches!(call, layer::Call::Put { .. });
        let key = call.key();
        let what = || format!("{name} {key}");
        match self.0.cross(boundary, &what, call.make(store)).await {
            // The client retried and met the result of its own first try.
            Crossed {
                answer: Some(Ok(Answer::Written(Written::Done { .. }))),
                fault: Some(Fault::OwnSuccess),
            } if is_put => Ok(Answer::Written(Written::Refused)),
            Crossed {
                answer: Some(answer),
                fault: None | Some(Fault::OwnSuccess),
            } => answer,
            Crossed { fault, .. } => Err(s3_error(fault)),
        }
    }
}

fn s3_error(fault: Option<Fault>) -> Error {
    let (kind, text) = match fault {
        Some(Fault::Throttled | Fault::ThrottledButDone) => (ErrorKind::Throttled, "S3 asks to slow down"),
        Some(Fault::Conflict) => (ErrorKind::Busy, "it is being written by others"),
        Some(Fault::LostBefore | Fault::LostAfter) => (ErrorKind::Unavailable, "the connection to S3 was lost"),
        _ => (ErrorKind::Unavailable, "S3 failed"),
    };
    Error::new(kind, text)
}

/// Counts the jobs of other triggers that run when a delivery starts one, given the start calls so far.
pub type Open = Box<dyn Fn(usize, &[Start]) -> usize + Send + Sync>;

/// The service of one run, which records the start calls that reach it.
pub struct Service {
    pub simulated: Arc<dyn SimulatedService>,
    pub starts: Arc<Starts>,
    /// Counts the jobs of other triggers that run when a delivery of this trigger starts one. `None` if no promise
    /// asks.
    pub open: Option<Open>,
    pub triggers: Vec<usize>,
    /// Whether every start call is sent twice, as by a client that retries by itself.
    pub twice: bool,
}

tokio::task_local! {
    /// The service of the run that this code belongs to.
    static SERVICE: Arc<Service>;
}

impl Service {
    /// Runs code whose SDK clients connect to this service.
    pub async fn scope<F: Future>(self: Arc<Self>, future: F) -> F::Output {
        SERVICE.scope(self, future).await
    }
}

/// The HTTP client of the SDK. It connects to the service of the current run, on behalf of the current invocation.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimulatedHttp;

impl HttpConnector for SimulatedHttp {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let place = (Call::current(), SERVICE.try_with(Arc::clone).ok());
        HttpConnectorFuture::new(async move {
            let (Some(call), Some(service)) = place else {
                return Err(ConnectorError::user("a client is used outside of an invocation".into()));
            };
            let waiting = Waiting {
                call: Arc::clone(&call),
                given_up: GivenUp::default(),
            };
            // This is a task of its own, because a request that was sent arrives even if the client stops waiting.
            tokio::spawn(exchange(call, service, request, Arc::clone(&waiting.given_up)))
                .await
                .unwrap_or_else(|error| Err(ConnectorError::user(error.into())))
        })
    }
}

/// A client that waits for an answer; records when it stops waiting. If its function died, the lease covers that.
struct Waiting {
    call: Arc<Call>,
    given_up: GivenUp,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.call.is_dead() {
            self.given_up.get_or_init(|| self.call.clock.timeline.elapsed());
        }
    }
}

/// Whether a request starts a job: all three services start jobs by POST and are polled by GET.
pub fn starts_a_job(request: &http::Request<Bytes>) -> bool {
    let path = request.uri().path();
    let makes_none = path == "/" || path.ends_with("/identity-context") || path.ends_with("/segment-estimates");
    request.method() == http::Method::POST && !makes_none
}

async fn exchange(
    call: Arc<Call>,
    service: Arc<Service>,
    request: HttpRequest,
    given_up: GivenUp,
) -> Result<HttpResponse, ConnectorError> {
    let request = request
        .try_into_http1x()
        .map_err(|error| ConnectorError::user(error.into()))?;
    let (parts, body) = request.into_parts();
    // Read the body to its end as a real connection does, because the SDK takes an unread upload for a stalled one.
    let body = body.collect().await.map_err(ConnectorError::user)?.to_bytes();
    let request = http::Request::from_parts(parts, body);
    let is_start = starts_a_job(&request);
    let boundary = if is_start { Boundary::Start } else { Boundary::Look };
    let what = {
        let text = format!("{} {}", request.method(), request.uri().path());
        move || text.clone()
    };
    let started = is_start.then(|| service.starts.begin(&call, &given_up));
    let effect = async {
        if is_start && service.twice {
            let (parts, body) = request.clone().into_parts();
            service.simulated.handle(http::Request::from_parts(parts, body)).await;
        }
        let answer = service.simulated.handle(request).await;
        if let Some(number) = started {
            let trigger = service.triggers.get(call.delivery).copied().unwrap_or_default();
            let open = service.open.as_ref();
            let beside = open.map_or(0, |open| open(trigger, &service.starts.all()));
            service.starts.reached(number, &answer, beside);
        }
        answer
    };
    let crossed = call.cross(boundary, &what, effect).await;
    let lost = || ConnectorError::io("the connection was lost".into());
    let response = match crossed {
        Crossed {
            answer: Some(answer),
            fault: None | Some(Fault::OwnSuccess),
        } if answer.extensions().get::<ConnectionCut>().is_none() => answer,
        Crossed {
            answer: Some(answer),
            fault: Some(Fault::Nameless),
        } if answer.status().is_success() => {
            let mut nameless = Response::new(Bytes::from_static(b"{}"));
            *nameless.status_mut() = answer.status();
            nameless
        }
        Crossed { fault, .. } => match fault {
            Some(Fault::Throttled | Fault::ThrottledButDone) => {
                refusal(StatusCode::TOO_MANY_REQUESTS, "TooManyRequestsException")
            }
            Some(Fault::Refused) => refusal(StatusCode::FORBIDDEN, "AccessDeniedException"),
            Some(Fault::NeverLeft) => return Err(no_connection().await),
            Some(Fault::Failed | Fault::FailedButDone) => {
                refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException")
            }
            _ => return Err(lost()),
        },
    };
    // The answer does not reach a client that has given up.
    if let Some(number) = started
        && given_up.get().is_none()
    {
        service.starts.answered(number, &response);
    }
    let (parts, body) = response.into_parts();
    let response = Response::from_parts(parts, SdkBody::from(body));
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}

/// The error of the SDK's client if it cannot connect. To get it, a real client of the same kind calls an address that
/// its connector refuses.
async fn no_connection() -> ConnectorError {
    let client = HyperClient::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(TcpConnector::new());
    match client.get(http::Uri::from_static("https://service.invalid/")).await {
        Ok(_) => ConnectorError::user("a connector without TLS took an address with it".into()),
        Err(error) => ConnectorError::io(error.into()),
    }
}

fn refusal(status: StatusCode, code: &'static str) -> Response<Bytes> {
    Refusal::new(status, code, "not now").into_response("00000000-0000-4000-8000-000000000000")
}

impl HttpClient for SimulatedHttp {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(*self)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("simulated", &self.simulated.signing_name())
            .finish_non_exhaustive()
    }
}
