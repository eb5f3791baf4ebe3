//! Tests the edge: who answers which request, what is logged, and what a lost answer looks like.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response};
use landfall_local::{
    aws::Http,
    children::Guard,
    edge::{
        Edge,
        lambda::{Lambda, Settings},
    },
    simulated::{ConnectionCut, SimulatedService},
};

/// Answers with the request that it got, and loses its answer if the path says so.
#[derive(Default)]
struct Echo {
    advanced: AtomicUsize,
}

#[async_trait]
impl SimulatedService for Echo {
    fn signing_name(&self) -> &'static str {
        "profile"
    }

    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let mut response = Response::new(format!("{} {}", request.method(), request.uri()).into());
        if request.uri().path().ends_with("lost") {
            response.extensions_mut().insert(ConnectionCut);
        }
        response
    }

    async fn advance(&self) {
        self.advanced.fetch_add(1, Ordering::Relaxed);
    }
}

async fn edge(folder: &tempfile::TempDir) -> Edge {
    let guard = Guard::start().unwrap();
    let logs = folder.path().to_owned();
    let lambda = |endpoint| {
        let (region, account) = ("eu-central-1".to_owned(), "111122223333".to_owned());
        Lambda::new(Settings {
            endpoint,
            region,
            account,
            logs,
            guard,
        })
    };
    Edge::start(0, lambda).await.unwrap()
}

fn signed(service: &str) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=a/20261101/eu-central-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    )
}

#[tokio::test]
async fn a_request_goes_to_the_service_that_it_is_signed_for() {
    let folder = tempfile::tempdir().unwrap();
    let edge = edge(&folder).await;
    let echo = Arc::new(Echo::default());
    edge.add_service(Arc::clone(&echo) as Arc<_>);
    edge.log().capture();
    let http = Http::new(edge.address());
    let send = async |path: &str, headers: &[(&str, &str)]| {
        http.send(Method::POST, path, headers, Bytes::from_static(b"{}")).await
    };

    let profile = signed("profile");
    let response = send("/anything?x=%20", &[("authorization", &profile)]).await.unwrap();
    assert_eq!(response.body().as_ref(), b"POST /anything?x=%20");
    assert!(response.headers().contains_key("x-amzn-requestid"));
    let response = send("/domains/unsigned", &[]).await.unwrap();
    assert_eq!(response.body().as_ref(), b"POST /domains/unsigned");

    // The edge has no moto yet, so it asks S3's clients to retry, whatever their path.
    let s3 = signed("s3");
    let response = send("/domains/key", &[("authorization", &s3)]).await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("x-amzn-requestid"));

    // A process that was not started here has no environment.
    let response = send("/environment/x/2018-06-01/runtime/invocation/next", &[])
        .await
        .unwrap();
    assert_eq!(response.status(), 403);

    assert_eq!(edge.log().count("profile", |_| true), 2);
    assert_eq!(
        edge.log()
            .count("s3", |record| record.status.is_some_and(|status| status == 503)),
        1
    );
    let captured = edge.log().captured();
    assert_eq!(captured.len(), 2, "requests to S3 must never go to a service");
    assert_eq!(
        (
            captured[0].body.as_ref(),
            captured[0].headers["authorization"].to_str().unwrap()
        ),
        (&b"{}"[..], profile.as_str())
    );
    let begun = Instant::now();
    while echo.advanced.load(Ordering::Relaxed) < 2 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the service must not advance"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_lost_answer_breaks_the_connection_after_the_call() {
    let folder = tempfile::tempdir().unwrap();
    let edge = edge(&folder).await;
    edge.add_service(Arc::new(Echo::default()));
    let http = Http::new(edge.address());
    let profile = signed("profile");
    let headers = [("authorization", profile.as_str())];
    assert!(http.send(Method::POST, "/lost", &headers, Bytes::new()).await.is_err());
    assert_eq!(edge.log().count("profile", |record| record.status.is_none()), 1);
    let next = http.send(Method::POST, "/found", &headers, Bytes::new()).await.unwrap();
    assert_eq!(next.status(), 200);
}
