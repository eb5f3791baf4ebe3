//! The two contestants that are Landfall's own: full verification, and the bare download that it is held against.
//!
//! What must stay true: verification is what the function `verify-output` calls, with the function's clients, time
//! limits and default limits, but without the wait between its two listings; the download fetches the same bytes by the
//! same client, in ranges of the same size with as many at once, and does nothing with them.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_smithy_types::timeout::TimeoutConfig;
use chrono::{TimeDelta, Utc};
use landfall::{
    s3_uri::S3Uri,
    store::{ObjectStore, SystemClock, s3::S3Store},
};
use landfall_output::verify::{self, CheckVerdict, Expectation, Limits, Verdict};
use tokio::task::JoinSet;

use crate::{
    contestant::Answer,
    data::Format,
    server::{ACCESS_KEY, BUCKET, REGION, SECRET_KEY},
};

/// A client as [`landfall::runtime::serve`] makes it.
async fn client(server: SocketAddr) -> aws_sdk_s3::Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(5))
        .operation_attempt_timeout(Duration::from_secs(30))
        .build();
    let sdk = aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts)
        .region(Region::new(REGION))
        .endpoint_url(format!("http://{server}"))
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "benchmark"))
        .load()
        .await;
    aws_sdk_s3::Client::new(&sdk)
}

/// Verifies what lies beneath a prefix of the server.
///
/// # Errors
/// If the verification cannot be made, or the objects do not pass it.
pub async fn verify(server: SocketAddr, prefix: &str, format: Format) -> Result<Answer> {
    let store: Arc<dyn ObjectStore> = Arc::new(S3Store::new(client(server).await, None));
    let expectation = Expectation {
        settle: Duration::ZERO,
        ..Expectation::of(
            S3Uri {
                bucket: BUCKET.to_owned(),
                key: prefix.to_owned(),
            },
            Some(format.into()),
        )
    };
    let deadline = Utc::now() + TimeDelta::minutes(15);
    let begun = Instant::now();
    let report = verify::verify_within(store, Arc::new(SystemClock), &expectation, deadline, &Limits::default())
        .await
        .map_err(|error| anyhow!("{}: {}", error.kind.name(), error.message))?;
    let seconds = begun.elapsed().as_secs_f64();
    if report.verdict == Verdict::Failed {
        let failed: Vec<String> = report
            .checks
            .iter()
            .filter(|check| check.verdict == CheckVerdict::Fail)
            .map(|check| format!("{}: {}", check.name, check.reason))
            .collect();
        bail!("the data was refused: {}", failed.join("; "));
    }
    Ok(Answer {
        rows: Some(report.rows),
        seconds,
        ..Answer::default()
    })
}

/// Fetches what lies beneath a prefix of the server and drops it.
///
/// # Errors
/// If a range cannot be fetched whole.
pub async fn download(server: SocketAddr, prefix: &str) -> Result<Answer> {
    let client = client(server).await;
    let store = S3Store::new(client.clone(), None);
    let limits = Limits::default();
    let begun = Instant::now();
    let listed = store
        .list(BUCKET, prefix, limits.objects)
        .await
        .map_err(|error| anyhow!("{}", error.message))?;
    let total: u64 = listed.iter().map(|object| object.size).sum();
    let mut ranges = Vec::new();
    for object in &listed {
        let mut start = 0;
        while start < object.size {
            let end = object.size.min(start + limits.range);
            ranges.push((object.key.clone(), object.etag.clone(), start, end));
            start = end;
        }
    }
    let ranges = Arc::new(Mutex::new(ranges.into_iter()));
    let fetched = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..limits.side_by_side {
        let (client, ranges, fetched) = (client.clone(), Arc::clone(&ranges), Arc::clone(&fetched));
        tasks.spawn(async move {
            loop {
                let next = ranges.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((key, etag, start, end)) = next else {
                    return Ok(());
                };
                let object = client
                    .get_object()
                    .bucket(BUCKET)
                    .key(key)
                    .if_match(etag)
                    .range(format!("bytes={start}-{}", end - 1))
                    .send()
                    .await
                    .context("a range was not answered")?;
                let mut body = object.body;
                while let Some(bytes) = body.try_next().await.context("a range broke off")? {
                    fetched.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        let result: Result<()> = ended.context("a fetch stopped")?;
        result?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let fetched = fetched.load(Ordering::Relaxed);
    if total == 0 || fetched != total {
        bail!("{fetched} of {total} bytes came");
    }
    Ok(Answer {
        seconds,
        ..Answer::default()
    })
}

impl From<Format> for verify::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::Csv => Self::Csv,
            Format::Jsonl => Self::Jsonl,
            Format::JsonlGzip => Self::JsonlGzip,
            Format::Orc => Self::Orc,
        }
    }
}
