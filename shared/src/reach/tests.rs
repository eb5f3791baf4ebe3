//! Real sockets on loopback, with the HTTP client of the functions.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{net::SocketAddr, time::Duration};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig},
    error::SdkError,
    operation::get_object::GetObjectError,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};

use super::*;
use crate::https::{Https, Trust};

/// The error of one call to an endpoint.
async fn call(endpoint: &str) -> SdkError<GetObjectError, HttpResponse> {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_millis(300))
        .operation_timeout(Duration::from_secs(20));
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .endpoint_url(endpoint)
        .http_client(Https::new(Trust::Amazon).unwrap())
        .force_path_style(true)
        .build();
    let call = Client::from_conf(config).get_object().bucket("bucket").key("key");
    call.send().await.expect_err("nobody answers")
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Serves each connection of a listener with `serve`.
fn serve<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serve(stream).await;
        }
    });
}

fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

#[tokio::test]
async fn a_refused_connection_never_left() {
    let (listener, address) = listen().await;
    drop(listener);
    let error = call(&format!("http://{address}")).await;
    assert!(never_left(&error), "{error:?}");
}

#[tokio::test]
async fn a_name_that_is_not_found_never_left() {
    let error = call("http://profile.eu-west-1.invalid").await;
    assert!(never_left(&error), "{error:?}");
    let service = Service {
        name: "Some Service",
        regions: "It is in us-east-1 only",
    };
    let Error { kind, message, .. } = unreachable(service, Some("eu-west-1"), "GetObject", "key", &error);
    assert_eq!(kind, ErrorKind::Unreachable);
    for part in [
        "GetObject for key: ",
        "dns error",
        "Some Service cannot be reached in eu-west-1",
        "It is in us-east-1 only",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[tokio::test]
async fn a_call_that_fails_in_the_tls_handshake_never_left() {
    // The server closes, resets, or speaks another protocol.
    for how in 0..3 {
        let (listener, address) = listen().await;
        serve(listener, move |mut stream| async move {
            let mut hello = [0; 512];
            let _ = stream.read(&mut hello).await;
            match how {
                0 => drop(stream),
                1 => reset(stream),
                _ => stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap(),
            }
        });
        let error = call(&format!("https://{address}")).await;
        assert!(never_left(&error), "{how}: {error:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_never_left() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Nobody accepts connections, so once the backlog is full, the next connection waits.
    let mut queue = Vec::new();
    let full = loop {
        match tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
            Ok(stream) => queue.push(stream.unwrap()),
            Err(elapsed) => break elapsed,
        }
    };
    assert!(queue.len() < 10, "{full}");
    let error = call(&format!("http://{address}")).await;
    assert!(never_left(&error), "{error:?}");
}

/// The end of the connection does not tell what the service has read and done.
#[tokio::test]
async fn a_request_that_was_read_may_have_made_a_job() {
    for how in 0..3 {
        let (listener, address) = listen().await;
        serve(listener, move |mut stream| async move {
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"GET /bucket/key"));
            match how {
                0 => reset(stream),
                1 => drop(stream),
                _ => stream
                    .write_all(b"HTTP/1.1 500 Internal Server Error\r\ncontent-le")
                    .await
                    .unwrap(),
            }
        });
        let error = call(&format!("http://{address}")).await;
        assert!(!never_left(&error), "{how}: {error:?}");
    }
}

/// The connection was made, so the request may have been written before it broke.
#[tokio::test]
async fn a_reset_connection_may_have_carried_the_request() {
    let (listener, address) = listen().await;
    serve(listener, |stream| async move { reset(stream) });
    let error = call(&format!("http://{address}")).await;
    assert!(!never_left(&error), "{error:?}");
}
