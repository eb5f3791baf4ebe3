//! The contract that every object store must pass.
//!
//! What must stay true: the store in memory, on which the simulator and most tests rest, passes the same contract as
//! the S3 servers that we did not write.
//!
//! [`reads`] needs a store that holds [`FIXTURE`]. [`writes`] needs an empty bucket, writes the fixture itself, and
//! ends with [`reads`]. A store that differs from S3 says so in [`Exempt`]. The contract also checks that each
//! exemption is still needed.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use landfall::{
    error::{Error, ErrorKind},
    store::{Condition, ObjectStore, Written},
};

/// The objects that [`reads`] needs, in the order in which S3 lists them: by the bytes of their keys.
pub const FIXTURE: [(&str, &str); 7] = [
    ("fixture/a-b", "behind a hyphen"),
    ("fixture/a/b", "behind a slash"),
    ("fixture/empty", ""),
    ("fixture/run=1/part 1+2&3.csv", "a space, a plus and an ampersand"),
    ("fixture/run=1/part%201.csv", "a percent sign"),
    ("fixture/run=10/part.csv", "another run"),
    ("fixture/Übersicht.pdf", "0123456789"),
];

/// The object whose ranges are read.
const DIGITS: &str = "fixture/Übersicht.pdf";
/// S3 requires at least this size of every part but the last.
const PART: usize = 5 << 20;

/// Known differences of a server from S3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exempt {
    /// It lists `a/b` before `a-b`.
    pub order: bool,
    /// It checks the condition of a write before it checks whether the bucket exists.
    pub condition_first: bool,
}

/// Checks listings, heads, whole reads and ranges of a store that holds [`FIXTURE`].
pub async fn reads(store: &dyn ObjectStore, bucket: &str, exempt: Exempt) -> Result<()> {
    listings(store, bucket, exempt).await?;
    heads(store, bucket).await?;
    ranges(store, bucket).await
}

/// Checks conditional writes, uploads in parts and pages, then [`reads`]. The bucket is empty, and `missing` is no
/// bucket.
pub async fn writes(store: &dyn ObjectStore, bucket: &str, missing: &str, exempt: Exempt) -> Result<()> {
    for (key, body) in FIXTURE {
        let written = store.put(bucket, key, body.into(), Condition::Absent).await?;
        ensure!(matches!(written, Written::Done { .. }), "{key} was refused");
    }
    conditions(store, bucket).await?;
    uploads(store, bucket).await?;
    missing_buckets(store, missing, exempt).await?;
    reads(store, bucket, exempt).await
}

/// Checks that a listing of more than one page is complete and in order.
pub async fn pages(store: &dyn ObjectStore, bucket: &str) -> Result<()> {
    let keys: Vec<_> = (0..1_010).map(|number| format!("pages/{number:04}")).collect();
    stream::iter(&keys)
        .map(|key| store.put(bucket, key, "x".into(), Condition::Absent))
        .buffer_unordered(16)
        .try_collect::<Vec<_>>()
        .await?;
    let first = store.list_page(bucket, "pages/", None).await?;
    let next = first.next.context("more than 1,000 objects fit in one page")?;
    assert_eq!(first.objects.last().map(|last| &last.key), Some(&next));
    let listed = store.list(bucket, "pages/", keys.len()).await?;
    assert!(listed.iter().map(|listed| &listed.key).eq(&keys));
    let fewer = store.list(bucket, "pages/", keys.len() - 1).await;
    assert_eq!(kind(fewer.map(|_| ()))?, ErrorKind::Internal);
    Ok(())
}

async fn listings(store: &dyn ObjectStore, bucket: &str, exempt: Exempt) -> Result<()> {
    let listed = |prefix: &'static str, after: Option<&'static str>| async move {
        let page = store.list_page(bucket, prefix, after).await?;
        ensure!(page.next.is_none(), "a few objects must fit on one page");
        Ok(page.objects.into_iter().map(|object| object.key).collect::<Vec<_>>())
    };
    let mut all = listed("fixture/", None).await?;
    let in_order = all.iter().map(String::as_str).eq(FIXTURE.map(|(key, _)| key));
    ensure!(in_order != exempt.order, "the order is {all:?}");
    all.sort_unstable();
    assert_eq!(all, FIXTURE.map(|(key, _)| key));
    // A prefix is a part of the text and not of a folder.
    assert_eq!(listed("fixture/run=1", None).await?.len(), 3);
    assert_eq!(listed("fixture/run=1/", None).await?.len(), 2);
    assert_eq!(
        listed("fixture/run=1", Some("fixture/run=1/part%201.csv")).await?,
        ["fixture/run=10/part.csv"]
    );
    // The key to start after need not exist, and a key before the prefix leaves nothing out.
    assert_eq!(
        listed("fixture/run=1", Some("fixture/run=1/zzz")).await?,
        ["fixture/run=10/part.csv"]
    );
    assert_eq!(listed("fixture/run=1", Some("fixture/a")).await?.len(), 3);
    assert!(listed("fixture/nothing", None).await?.is_empty());
    Ok(())
}

async fn heads(store: &dyn ObjectStore, bucket: &str) -> Result<()> {
    let listed = store.list(bucket, "fixture/", FIXTURE.len()).await?;
    for (key, body) in FIXTURE {
        let row = listed.iter().find(|row| row.key == key).context(key)?;
        let head = store.head(bucket, key).await?.context(key)?;
        let stored = store.get(bucket, key).await?.context(key)?;
        assert_eq!(stored.body, body, "{key}");
        assert_eq!((row.size, head.size), (body.len() as u64, body.len() as u64), "{key}");
        assert_eq!((&row.etag, &head.etag), (&stored.etag, &stored.etag), "{key}");
        assert!(!row.etag.is_empty(), "{key}");
        let apart = (row.last_modified - head.last_modified).abs();
        assert!(apart.num_seconds() == 0, "{key}: times {apart} apart");
    }
    assert_eq!(store.head(bucket, "fixture/absent").await?, None);
    assert_eq!(store.get(bucket, "fixture/absent").await?, None);
    Ok(())
}

async fn ranges(store: &dyn ObjectStore, bucket: &str) -> Result<()> {
    let head = store.head(bucket, DIGITS).await?.context(DIGITS)?;
    for (start, end, expected) in [(0, 10, "0123456789"), (3, 6, "345"), (9, 10, "9"), (4, 4, "")] {
        assert_eq!(read(store, bucket, DIGITS, &head.etag, start, end).await?, expected);
        assert_eq!(streamed(store, bucket, DIGITS, &head.etag, start, end).await?, expected);
    }
    for (start, end) in [(0, 11), (10, 11), (20, 30)] {
        let found = read(store, bucket, DIGITS, &head.etag, start, end).await;
        assert_eq!(kind(found)?, ErrorKind::Internal, "{start}..{end}");
        let found = streamed(store, bucket, DIGITS, &head.etag, start, end).await;
        assert_eq!(kind(found)?, ErrorKind::Internal, "{start}..{end} as a stream");
    }
    let other = store.head(bucket, "fixture/a-b").await?.context("fixture/a-b")?;
    for (key, etag) in [(DIGITS, &other.etag), ("fixture/absent", &head.etag)] {
        let found = read(store, bucket, key, etag, 0, 1).await;
        assert_eq!(kind(found)?, ErrorKind::OutputRejected, "{key}");
        let found = streamed(store, bucket, key, etag, 0, 1).await;
        assert_eq!(kind(found)?, ErrorKind::OutputRejected, "{key} as a stream");
    }
    Ok(())
}

async fn conditions(store: &dyn ObjectStore, bucket: &str) -> Result<()> {
    let put = |body: &'static str, condition| store.put(bucket, "conditions", body.into(), condition);
    let first = etag(put("first", Condition::Absent).await?)?;
    assert_eq!(put("again", Condition::Absent).await?, Written::Refused);
    let second = etag(put("second", Condition::Unchanged(first.clone())).await?)?;
    assert_ne!(first, second);
    assert_eq!(
        put("late", Condition::Unchanged(first.clone())).await?,
        Written::Refused
    );
    let stored = store.get(bucket, "conditions").await?.context("it is gone")?;
    assert_eq!((stored.body, &stored.etag), ("second".into(), &second));
    // A read that names the ETag of a replaced version.
    let found = read(store, bucket, "conditions", &first, 0, 1).await;
    assert_eq!(kind(found)?, ErrorKind::OutputRejected);
    // If nothing exists, a condition on an ETag is refused.
    let never = store
        .put(bucket, "never", "x".into(), Condition::Unchanged(first))
        .await?;
    assert_eq!(never, Written::Refused);
    assert_eq!(store.get(bucket, "never").await?, None);
    Ok(())
}

async fn uploads(store: &dyn ObjectStore, bucket: &str) -> Result<()> {
    let (key, large) = ("uploads/whole", Bytes::from(vec![b'a'; PART]));
    let upload = store.begin_upload(bucket, key).await?;
    // Parts may come in any order.
    let last = store.upload_part(bucket, key, &upload, 2, "end".into()).await?;
    let first = store.upload_part(bucket, key, &upload, 1, large).await?;
    assert_eq!(store.head(bucket, key).await?, None, "a part must not be an object");
    let parts = [first, last];
    let made = etag(store.complete_upload(bucket, key, &upload, &parts).await?)?;
    let head = store.head(bucket, key).await?.context("it was not made")?;
    assert_eq!((head.size, &head.etag), (PART as u64 + 3, &made));
    assert_eq!(
        read(store, bucket, key, &made, PART as u64 - 1, head.size).await?,
        "aend"
    );
    // A completion that is repeated after a lost answer is refused, or gets the first answer.
    match store.complete_upload(bucket, key, &upload, &parts).await? {
        Written::Done { etag } => assert_eq!(etag, made),
        Written::Refused => {}
    }

    let taken = store.begin_upload(bucket, key).await?;
    let part = store.upload_part(bucket, key, &taken, 1, "other".into()).await?;
    assert_eq!(
        store.complete_upload(bucket, key, &taken, &[part]).await?,
        Written::Refused
    );
    assert_eq!(store.head(bucket, key).await?.map(|head| head.etag), Some(made));
    store.abort_upload(bucket, key, &taken).await?;
    store.abort_upload(bucket, key, &taken).await?;
    let late = store.upload_part(bucket, key, &taken, 2, "late".into()).await;
    ensure!(late.is_err(), "a part of an aborted upload must be refused");

    let small = store.begin_upload(bucket, "uploads/small").await?;
    let mut parts = Vec::new();
    for number in [1, 2] {
        let part = store.upload_part(bucket, "uploads/small", &small, number, "small".into());
        parts.push(part.await?);
    }
    let small = store.complete_upload(bucket, "uploads/small", &small, &parts).await;
    assert_eq!(
        kind(small)?,
        ErrorKind::Internal,
        "parts that are too small must be refused"
    );
    Ok(())
}

async fn missing_buckets(store: &dyn ObjectStore, missing: &str, exempt: Exempt) -> Result<()> {
    let listed = store.list_page(missing, "", None).await.map(|_| ());
    let got = store.get(missing, "key").await.map(|_| ());
    let put = store
        .put(missing, "key", "x".into(), Condition::Absent)
        .await
        .map(|_| ());
    let changed = Condition::Unchanged("\"0123\"".to_owned());
    let changed = store.put(missing, "key", "x".into(), changed).await;
    if exempt.condition_first {
        assert_eq!(changed?, Written::Refused);
    } else {
        assert_eq!(kind(changed).context("a change")?, ErrorKind::NotFound);
    }
    let begun = store.begin_upload(missing, "key").await.map(|_| ());
    for (what, result) in [
        ("a listing", listed),
        ("a read", got),
        ("a write", put),
        ("an upload", begun),
    ] {
        assert_eq!(kind(result).context(what)?, ErrorKind::NotFound, "{what}");
    }
    Ok(())
}

async fn read(
    store: &dyn ObjectStore,
    bucket: &str,
    key: &str,
    etag: &str,
    start: u64,
    end: u64,
) -> Result<Bytes, Error> {
    store.read(bucket, key, etag, start, end).await
}

/// Collects a whole stream.
async fn streamed(
    store: &dyn ObjectStore,
    bucket: &str,
    key: &str,
    etag: &str,
    start: u64,
    end: u64,
) -> Result<Bytes, Error> {
    let frames = store.stream(bucket, key, etag, start, end).await?;
    let frames: Vec<Bytes> = frames.try_collect().await?;
    Ok(frames.concat().into())
}

fn etag(written: Written) -> Result<String> {
    match written {
        Written::Done { etag } => Ok(etag),
        Written::Refused => anyhow::bail!("the write was refused"),
    }
}

fn kind<T>(result: Result<T, Error>) -> Result<ErrorKind> {
    match result {
        Ok(_) => anyhow::bail!("the call must fail, but it succeeded"),
        Err(error) => Ok(error.kind),
    }
}
