//! The edge: one loopback port for every AWS client of a run.
//!
//! What must stay true: it listens on loopback only. Every answer carries `x-amzn-RequestId`, because the interpreter
//! of state machines stops without it. An unknown request goes to moto and never gets an invented success.

pub(crate) mod ids;
pub mod lambda;
pub mod log;
mod proxy;
mod runtime_api;
pub mod service;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use anyhow::{Context, Result};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};

use self::{
    ids::{REQUEST_ID, new_id},
    lambda::Lambda,
    log::{Captured, Record, RequestLog},
    proxy::Proxy,
    service::{ConnectionCut, SimulatedService},
};

/// How many bytes of a request are held in memory at most. Lambda takes 6 MB.
const HELD: usize = 16 << 20;

/// A running edge. Dropping it stops the server.
#[derive(Debug)]
pub struct Edge {
    address: SocketAddr,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    lambda: Arc<Lambda>,
    services: RwLock<Vec<Service>>,
    proxy: Proxy,
    log: RequestLog,
}

#[derive(Clone)]
struct Service(Arc<dyn SimulatedService>);

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.signing_name())
    }
}

impl Edge {
    /// Listens on a free loopback port, or on `port` if it is not 0. `lambda` is given the edge's own address.
    pub async fn start(port: u16, lambda: impl FnOnce(SocketAddr) -> Arc<Lambda>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .with_context(|| format!("cannot listen on loopback port {port}; another program may use it"))?;
        let address = listener.local_addr().context("the edge has no address")?;
        let shared = Arc::new(Shared {
            lambda: lambda(address),
            services: RwLock::default(),
            proxy: Proxy::new(),
            log: RequestLog::default(),
        });

        let mut tasks = JoinSet::new();
        let router = axum::Router::new().fallback({
            let shared = Arc::clone(&shared);
            move |request: Request<Body>| {
                let shared = Arc::clone(&shared);
                async move { shared.answer(request).await }
            }
        });
        tasks.spawn(async move {
            // It ends only when it is dropped.
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the edge stopped");
            }
        });
        tasks.spawn({
            let shared = Arc::clone(&shared);
            async move {
                let mut ticks = tokio::time::interval(Duration::from_millis(200));
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    for service in shared.services() {
                        service.0.advance().await;
                    }
                }
            }
        });
        Ok(Self {
            address,
            shared,
            _tasks: tasks,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as the value of `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its Lambda.
    pub fn lambda(&self) -> &Arc<Lambda> {
        &self.shared.lambda
    }

    /// The requests that it got.
    pub fn log(&self) -> &RequestLog {
        &self.shared.log
    }

    /// From now on a simulated service answers, in place of one that was added before for the same name.
    pub fn add_service(&self, service: Arc<dyn SimulatedService>) {
        self.shared
            .services
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Service(service));
    }

    /// Says where moto is. Only the first call counts.
    pub fn set_backend(&self, backend: SocketAddr) {
        self.shared.proxy.set_backend(backend);
    }
}

impl Shared {
    fn services(&self) -> Vec<Service> {
        self.services.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn answer(self: Arc<Self>, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let signed_for = service::signing_name(&parts);
        let name = match &signed_for {
            Some(name) => name.clone(),
            None => service::name_by_path(parts.uri.path()).unwrap_or("unsigned").to_owned(),
        };
        let method = parts.method.clone();
        let path = log_path(&parts.uri);
        let simulated = self.services().into_iter().rfind(|service| service.0.answers(&name));

        let mut response = if let Some(service) = simulated {
            match hold(body).await {
                Ok(body) => {
                    self.log.keep(|| Captured {
                        service: name.clone(),
                        method: parts.method.clone(),
                        uri: parts.uri.clone(),
                        headers: parts.headers.clone(),
                        body: body.clone(),
                    });
                    // In a task of its own, because a service does its work even if the caller hangs up.
                    let answer = tokio::spawn(async move { service.0.handle(Request::from_parts(parts, body)).await });
                    match answer.await {
                        Ok(response) => explained(response, &name).map(Body::from),
                        Err(error) => text(
                            StatusCode::INTERNAL_SERVER_ERROR,
                            &format!("the simulation failed: {error}"),
                        ),
                    }
                }
                Err(response) => response,
            }
        } else if name == "lambda" {
            match hold(body).await {
                Ok(body) => lambda::api::answer(&self.lambda, &parts, body).await,
                Err(response) => response,
            }
        } else if signed_for.is_none() && name == service::RUNTIME {
            match hold(body).await {
                Ok(body) => runtime_api::answer(&self.lambda, &parts, body).await,
                Err(response) => response,
            }
        } else {
            self.proxy.pass(Request::from_parts(parts, body)).await
        };

        let lost = response.extensions().get::<ConnectionCut>().is_some();
        self.log.add(Record {
            method,
            path,
            service: name,
            status: (!lost).then(|| response.status()),
        });
        if lost {
            // Ends the task of this connection, and so the connection, without an answer and without a panic message.
            std::panic::resume_unwind(Box::new(ConnectionCut));
        }
        if !response.headers().contains_key(&REQUEST_ID)
            && let Ok(id) = HeaderValue::try_from(new_id())
        {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
}

/// Adds a message to the refusal of an unknown operation. AWS refuses an operation that does not exist without a
/// message. Here the operation may exist at AWS, and only the simulation does not know it.
fn explained(mut response: Response<Bytes>, service: &str) -> Response<Bytes> {
    let is_unknown = response
        .headers()
        .get("x-amzn-errortype")
        .is_some_and(|code| code == "UnknownOperationException");
    if is_unknown && response.body().as_ref() == b"{}" {
        let message = format!(
            "the local world simulates only those operations of {service} that Landfall calls, and this is not one of them"
        );
        *response.body_mut() = json!({"Message": message, "message": message}).to_string().into();
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}

/// The path and the query. A presigned link's query is left out, because it is as good as a credential.
fn log_path(uri: &http::Uri) -> String {
    match uri.query() {
        Some(query) if !query.to_ascii_lowercase().contains("x-amz-signature") => format!("{}?{query}", uri.path()),
        _ => uri.path().to_owned(),
    }
}

async fn hold(body: Body) -> Result<Bytes, Response<Body>> {
    match Limited::new(body, HELD).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(text(
            StatusCode::PAYLOAD_TOO_LARGE,
            &format!("the request's body could not be read: {error}"),
        )),
    }
}

fn text(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(message.to_owned()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presigned_links_are_not_logged() {
        let uri = |text: &str| text.parse::<http::Uri>().unwrap();
        assert_eq!(log_path(&uri("/b/k?X-Amz-Signature=0")), "/b/k");
        assert_eq!(log_path(&uri("/b?list-type=2")), "/b?list-type=2");
    }
}
