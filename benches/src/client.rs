//! Landfall's own contestants: full verification, and the two downloads that it is compared with.
//!
//! What must stay true: verification calls the same code as the function `verify-output`, with the function's clients,
//! time limits and default limits, but without the wait between its two listings. The downloads fetch the same bytes
//! with the same client, in ranges of the same size. The bare download fetches as many ranges at once as verification
//! reads objects, and drops them. The other download hashes as many objects at once as verification, with the same
//! hash.

use std::{
    net::SocketAddr,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use bytes::Bytes;
use chrono::{TimeDelta, Utc};
use landfall::{
    clock::SystemClock,
    runtime::timeouts,
    s3_uri::S3Uri,
    store::{Listed, ObjectStore, s3::S3Store},
};
use landfall_output::verify::{self, CheckVerdict, Expectation, Hash, Limits, Verdict};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    contestant::Answer,
    data::Format,
    server::{ACCESS_KEY, BUCKET, REGION, SECRET_KEY, etag},
};

/// How many chunks of an object may wait to be hashed.
const AHEAD: usize = 16;

/// A client as [`landfall::runtime::serve`] makes it.
async fn client(server: SocketAddr) -> aws_sdk_s3::Client {
    let sdk = aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts())
        .region(Region::new(REGION))
        .endpoint_url(format!("http://{server}"))
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "benchmark"))
        .load()
        .await;
    aws_sdk_s3::Client::new(&sdk)
}

/// Verifies the objects under a prefix of the server.
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

/// Downloads the objects under a prefix of the server and drops them.
///
/// # Errors
/// If a range cannot be fetched whole.
pub async fn download(server: SocketAddr, prefix: &str) -> Result<Answer> {
    let client = client(server).await;
    let begun = Instant::now();
    let ranges = list(&client, prefix)
        .await?
        .into_iter()
        .flat_map(|object| ranges(&object));
    side_by_side(ranges.collect(), |range| fetch(client.clone(), range, None)).await?;
    Ok(Answer {
        seconds: begun.elapsed().as_secs_f64(),
        ..Answer::default()
    })
}

/// Downloads the objects under a prefix of the server and computes the SHA-256 of each.
///
/// # Errors
/// If a range cannot be fetched whole, or a checksum is not that of the object.
pub async fn download_sha256(server: SocketAddr, prefix: &str) -> Result<Answer> {
    let client = client(server).await;
    let begun = Instant::now();
    let objects = list(&client, prefix).await?;
    side_by_side(objects, |object| hash(client.clone(), object)).await?;
    Ok(Answer {
        seconds: begun.elapsed().as_secs_f64(),
        ..Answer::default()
    })
}

/// A part of an object.
struct Part {
    key: String,
    etag: String,
    bytes: Range<u64>,
}

/// All objects under a prefix, which must hold at least one byte.
async fn list(client: &aws_sdk_s3::Client, prefix: &str) -> Result<Vec<Listed>> {
    let objects = S3Store::new(client.clone(), None)
        .list(BUCKET, prefix, Limits::default().objects)
        .await
        .map_err(|error| anyhow!("{}", error.message))?;
    if objects.iter().all(|object| object.size == 0) {
        bail!("there is nothing beneath {prefix}");
    }
    Ok(objects)
}

/// The ranges in which verification reads an object.
fn ranges(object: &Listed) -> Vec<Part> {
    let range = Limits::default().range;
    (0..object.size)
        .step_by(range as usize)
        .map(|start| Part {
            key: object.key.clone(),
            etag: object.etag.clone(),
            bytes: start..object.size.min(start + range),
        })
        .collect()
}

/// Does the work for each item, for as many at a time as verification reads objects.
async fn side_by_side<T, F>(items: Vec<T>, work: impl Fn(T) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut items = items.into_iter();
    let mut tasks = JoinSet::new();
    for item in items.by_ref().take(Limits::default().side_by_side) {
        tasks.spawn(work(item));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a task stopped")??;
        if let Some(item) = items.next() {
            tasks.spawn(work(item));
        }
    }
    Ok(())
}

/// Fetches a part of an object. Passes its bytes on as they arrive, or drops them if there is no receiver.
async fn fetch(client: aws_sdk_s3::Client, part: Part, to: Option<mpsc::Sender<Bytes>>) -> Result<()> {
    let object = client
        .get_object()
        .bucket(BUCKET)
        .key(part.key)
        .if_match(part.etag)
        .range(format!("bytes={}-{}", part.bytes.start, part.bytes.end - 1))
        .send()
        .await
        .context("a range was not answered")?;
    let mut body = object.body;
    let (mut fetched, wanted) = (0, part.bytes.end - part.bytes.start);
    while let Some(bytes) = body.try_next().await.context("a range broke off")? {
        fetched += bytes.len() as u64;
        if let Some(to) = &to {
            to.send(bytes).await.context("nobody hashes what was fetched")?;
        }
    }
    if fetched != wanted {
        bail!("only {fetched} of {wanted} bytes of a range arrived");
    }
    Ok(())
}

/// Fetches an object and compares its SHA-256 with its ETag, which the server makes from it. Fetching continues while
/// it hashes, so that the time is that of the slower of the two.
async fn hash(client: aws_sdk_s3::Client, object: Listed) -> Result<()> {
    let (sender, mut parts) = mpsc::channel::<Bytes>(AHEAD);
    let all = ranges(&object);
    let fetching = tokio::spawn(async move {
        for range in all {
            fetch(client.clone(), range, Some(sender.clone())).await?;
        }
        Ok(())
    });
    let mut hash = Hash::quick();
    while let Some(bytes) = parts.recv().await {
        hash.update(&bytes);
    }
    let fetched: Result<()> = fetching.await.context("a fetch stopped")?;
    fetched?;
    check_sha256(&object, &hash.finish())
}

fn check_sha256(object: &Listed, sha256: &str) -> Result<()> {
    if etag(sha256) != object.etag.trim_matches('"') {
        bail!(
            "{} has SHA-256 {sha256}, which does not match its ETag {}",
            object.key,
            object.etag
        );
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn object(size: u64, etag: &str) -> Listed {
        Listed {
            key: "csv/part".to_owned(),
            size,
            etag: etag.to_owned(),
            last_modified: Utc::now(),
        }
    }

    #[test]
    fn the_ranges_cover_the_whole_object() {
        let range = Limits::default().range;
        for size in [0, 1, range, range + 1, 3 * range] {
            let parts = ranges(&object(size, ""));
            assert_eq!(parts.len() as u64, size.div_ceil(range));
            let mut at = 0;
            for part in parts {
                assert_eq!(part.bytes.start, at);
                at = part.bytes.end;
            }
            assert_eq!(at, size);
        }
    }

    #[test]
    fn a_wrong_checksum_is_an_error() {
        let mut hash = Hash::quick();
        hash.update(b"some");
        let sha256 = hash.finish();
        assert!(check_sha256(&object(4, &format!("\"{}\"", etag(&sha256))), &sha256).is_ok());
        let error = check_sha256(&object(4, &format!("\"{}\"", "0".repeat(32))), &sha256).unwrap_err();
        assert!(
            error.to_string().starts_with("csv/part has SHA-256 a6b46dd0d1ae5e86"),
            "{error}"
        );
    }
}
