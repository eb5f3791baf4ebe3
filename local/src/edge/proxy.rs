//! Passes everything on to moto that is not answered here.
//!
//! What must stay true: method, path, query, headers (including `Host`) and body reach the backend byte for byte,
//! because S3 paths and signatures depend on them. Bodies are streamed and not held.

use std::{net::SocketAddr, sync::OnceLock};

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// Passes requests on to one backend.
#[derive(Debug)]
pub(super) struct Proxy {
    client: Client<HttpConnector, Body>,
    backend: OnceLock<SocketAddr>,
}

impl Proxy {
    pub(super) fn new() -> Self {
        let client = Client::builder(TokioExecutor::new())
            // moto closes each connection after its answer. A connection that is kept could be closed during a request.
            .pool_max_idle_per_host(0)
            .build_http();
        Self {
            client,
            backend: OnceLock::new(),
        }
    }

    /// Says where the backend is. Only the first call counts.
    pub(super) fn set_backend(&self, backend: SocketAddr) {
        let _ = self.backend.set(backend);
    }

    pub(super) async fn pass(&self, mut request: Request<Body>) -> Response<Body> {
        let Some(backend) = self.backend.get() else {
            return unavailable("the service behind the edge has not started yet");
        };
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        match Uri::try_from(format!("http://{backend}{path}")) {
            Ok(uri) => *request.uri_mut() = uri,
            Err(error) => return unavailable(&format!("the path cannot be passed on: {error}")),
        }
        // These headers belong to the incoming connection.
        for name in [header::CONNECTION, header::EXPECT, header::TE, header::UPGRADE] {
            request.headers_mut().remove(name);
        }
        request.headers_mut().remove("keep-alive");
        *request.version_mut() = http::Version::HTTP_11;
        match self.client.request(request).await {
            Ok(mut response) => {
                response.headers_mut().remove(header::CONNECTION);
                response.headers_mut().remove("keep-alive");
                response.map(Body::new)
            }
            Err(error) => {
                let cause = std::error::Error::source(&error)
                    .map(ToString::to_string)
                    .unwrap_or_default();
                tracing::warn!(%error, cause, "moto did not answer");
                unavailable(&format!("moto did not answer: {error} {cause}"))
            }
        }
    }
}

/// A 503 in a form that most clients read, so that they retry.
fn unavailable(message: &str) -> Response<Body> {
    let body = serde_json::json!({"__type": "ServiceUnavailable", "message": message}).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
