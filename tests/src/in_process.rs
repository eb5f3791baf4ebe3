//! Runs the functions' own handlers and SDK clients in this process, with simulated services in place of the network.
//!
//! What must stay true: a request goes through the SDK's own serialisation, signing and parsing, so a handler sees what
//! it would see of AWS. Only the connection is replaced. A fault hits one numbered call of a run, whether to the
//! service or to S3.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::BodyExt as _;
use landfall::{
    error::{Error, ErrorKind, Result},
    store::{
        ObjectStore,
        layer::{Answer, Call, Layer},
    },
};
use landfall_local::simulated::{ConnectionCut, SimulatedService};

/// When a fault hits its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The call has no effect.
    Before,
    /// The call has its effect, and the answer is lost.
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// One call is lost.
    Lose,
    /// The function dies: that call and all further ones of the invocation are lost.
    Die,
}

/// Numbers the calls of a run to the service and S3, and decides which call a fault hits.
#[derive(Debug, Default)]
pub struct Faults {
    calls: AtomicUsize,
    hit: Option<(usize, Moment, Harm)>,
    dead: AtomicBool,
}

impl Faults {
    pub fn none() -> Arc<Self> {
        Arc::default()
    }

    /// A fault at the n-th call, counted from 0.
    pub fn at(call: usize, moment: Moment, harm: Harm) -> Arc<Self> {
        Arc::new(Self {
            hit: Some((call, moment, harm)),
            ..Self::default()
        })
    }

    /// Counts a call, and says whether and when a fault hits it.
    pub fn next(&self) -> Option<Moment> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if self.dead.load(Ordering::SeqCst) {
            return Some(Moment::Before);
        }
        let (_, moment, harm) = self.hit.filter(|(call, ..)| *call == number)?;
        self.dead.store(harm == Harm::Die, Ordering::SeqCst);
        Some(moment)
    }

    /// Begins an invocation with a function that is alive. Says whether the previous invocation had died.
    pub fn revive(&self) -> bool {
        self.dead.swap(false, Ordering::SeqCst)
    }

    /// How many calls there were so far.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

/// A store layer that loses the calls that the faults name.
pub struct Losing(pub Arc<Faults>);

#[async_trait]
impl Layer for Losing {
    async fn call(&self, call: Call<'_>, store: &dyn ObjectStore) -> Result<Answer> {
        let lost = || Error::new(ErrorKind::Unavailable, "the connection to S3 was lost");
        match self.0.next() {
            None => call.make(store).await,
            Some(Moment::Before) => Err(lost()),
            Some(Moment::After) => call.make(store).await.and_then(|_| Err(lost())),
        }
    }
}

/// An SDK configuration that connects to a simulated service instead of the network.
pub fn sdk(service: Arc<dyn SimulatedService>, faults: &Arc<Faults>) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .http_client(SimulatedHttp::new(service, Arc::clone(faults)))
        .build()
}

/// An HTTP client of the SDK whose server is a simulated service.
#[derive(Clone)]
pub struct SimulatedHttp {
    service: Arc<dyn SimulatedService>,
    faults: Arc<Faults>,
}

impl SimulatedHttp {
    /// A client of `service` whose calls meet `faults`.
    pub fn new(service: Arc<dyn SimulatedService>, faults: Arc<Faults>) -> Self {
        Self { service, faults }
    }
}

impl fmt::Debug for SimulatedHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedHttp")
            .field("service", &self.service.signing_name())
            .finish()
    }
}

impl HttpConnector for SimulatedHttp {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move {
            let lost = || ConnectorError::io("the connection was lost".into());
            let moment = this.faults.next();
            if moment == Some(Moment::Before) {
                return Err(lost());
            }
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?;
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(ConnectorError::user)?.to_bytes();
            let response = this.service.handle(http::Request::from_parts(parts, body)).await;
            if moment == Some(Moment::After) || response.extensions().get::<ConnectionCut>().is_some() {
                return Err(lost());
            }
            let (parts, body) = response.into_parts();
            let response = http::Response::from_parts(parts, SdkBody::from(body));
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

impl HttpClient for SimulatedHttp {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
