//! S3 in memory, as a reference model.
//!
//! What must stay true: the store does what `ObjectStore` promises and S3 documents, and is never more lenient.
//! Conditional writes are atomic, a delete marker counts as absent, an ETag depends on the content, times are whole
//! seconds, and each object that is written whole has a CRC64NVME. Every call is numbered and logged. A test can make a
//! call fail before or after its effect, or do something right before it.

mod gauge;
mod script;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::{Bound, Range},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context as _;
use async_trait::async_trait;
use aws_smithy_types::base64;
use bytes::Bytes;
use chrono::{DateTime, SubsecRound, Utc};
use crc_fast::CrcAlgorithm;
use futures::{StreamExt as _, stream};
use landfall::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    store::{
        Condition, Frames, Head, Listed, ObjectStore, Page, Stored, Written,
        checksum::{Algorithm, StoredChecksum},
    },
};
use landfall_local::simulated;
use sha2::{Digest, Sha256};

pub use self::script::{Call, Op};
use self::{
    gauge::{Counted, Gauge},
    script::Script,
};

/// Keys on a page of a listing, as in S3.
const PAGE: usize = 1_000;
/// The longest key in bytes, as in S3.
const LONGEST_KEY: usize = 1_024;
/// Bytes in a chunk of a stream.
const FRAME: u64 = 256 << 10;
/// The smallest size that S3 allows for every part but the last.
const SMALLEST_PART: usize = 5 << 20;

/// The content of an object.
#[derive(Clone)]
enum Body {
    Bytes(Bytes),
    /// Made again for every read, so that an object can be larger than memory.
    Made {
        size: u64,
        make: Arc<dyn Fn(Range<u64>) -> Vec<u8> + Send + Sync>,
    },
}

impl Body {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Made { size, .. } => *size,
        }
    }

    fn range(&self, range: Range<u64>) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes[range.start as usize..range.end as usize].to_vec(),
            Self::Made { make, .. } => make(range),
        }
    }
}

#[derive(Clone)]
struct Version {
    body: Option<Body>,
    etag: String,
    last_modified: DateTime<Utc>,
    version_id: String,
    encryption: Option<String>,
    kms_key: Option<String>,
    checksum: Option<StoredChecksum>,
}

#[derive(Default)]
struct State {
    buckets: BTreeSet<String>,
    objects: BTreeMap<(String, String), Vec<Version>>,
    written: u64,
    script: Script<MemoryStore>,
    uploads: BTreeMap<String, BTreeMap<i32, (String, Bytes)>>,
}

impl State {
    fn current(&self, bucket: &str, key: &str) -> Option<(&Version, &Body)> {
        let version = self.objects.get(&(bucket.to_owned(), key.to_owned()))?.last()?;
        Some((version, version.body.as_ref()?))
    }
}

/// Objects in memory. Buckets are versioned and appear with their first object.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    out: Arc<Gauge>,
}

/// Changes an object right after its insertion.
#[derive(Debug)]
pub struct Inserted<'a> {
    store: &'a MemoryStore,
    bucket: String,
    key: String,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("MemoryStore")
            .field("objects", &state.objects.keys().collect::<Vec<_>>())
            .field("calls", &state.script.calls().len())
            .finish_non_exhaustive()
    }
}

impl MemoryStore {
    /// An empty store. `clock` gives the times of writes.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
            out: Arc::default(),
        }
    }

    /// Makes a bucket without objects.
    pub fn create_bucket(&self, bucket: &str) {
        self.state().buckets.insert(bucket.to_owned());
    }

    /// Writes an object, whatever was there before.
    pub fn insert(&self, bucket: &str, key: &str, body: impl Into<Bytes>) -> Inserted<'_> {
        self.write(bucket, key, Body::Bytes(body.into()))
    }

    /// Writes an object of `size` bytes whose ranges `make` produces.
    pub fn insert_made(
        &self,
        bucket: &str,
        key: &str,
        size: u64,
        make: impl Fn(Range<u64>) -> Vec<u8> + Send + Sync + 'static,
    ) -> Inserted<'_> {
        let make = Arc::new(make);
        self.write(bucket, key, Body::Made { size, make })
    }

    /// Changes the metadata of an object, but not its content.
    pub fn change(&self, bucket: &str, key: &str) -> Inserted<'_> {
        Inserted {
            store: self,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        }
    }

    fn write(&self, bucket: &str, key: &str, body: Body) -> Inserted<'_> {
        write(&mut self.state(), self.clock.now(), bucket, key, body);
        Inserted {
            store: self,
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        }
    }

    /// Deletes an object: a delete marker becomes its current version.
    pub fn remove(&self, bucket: &str, key: &str) {
        let mut state = self.state();
        state.written += 1;
        let marker = Version {
            body: None,
            etag: String::new(),
            last_modified: self.clock.now().trunc_subsecs(0),
            version_id: format!("v{}", state.written),
            encryption: None,
            kms_key: None,
            checksum: None,
        };
        if let Some(versions) = state.objects.get_mut(&(bucket.to_owned(), key.to_owned())) {
            versions.push(marker);
        }
    }

    /// The content of an object, or `None` if there is none. This is not a call.
    #[must_use]
    pub fn body(&self, bucket: &str, key: &str) -> Option<Bytes> {
        let state = self.state();
        let (_, body) = state.current(bucket, key)?;
        Some(body.range(0..body.size()).into())
    }

    /// The keys of a bucket. This is not a call.
    #[must_use]
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let state = self.state();
        let keys = state.objects.keys().filter(|(of, _)| of == bucket);
        keys.filter(|(_, key)| state.current(bucket, key).is_some())
            .map(|(_, key)| key.clone())
            .collect()
    }

    /// How many versions an object has, delete markers included. This is not a call.
    #[must_use]
    pub fn versions(&self, bucket: &str, key: &str) -> usize {
        self.state()
            .objects
            .get(&(bucket.to_owned(), key.to_owned()))
            .map_or(0, Vec::len)
    }

    /// The content of every version of an object, oldest first; `None` for a delete marker. This is not a call.
    #[must_use]
    pub fn history(&self, bucket: &str, key: &str) -> Vec<Option<Bytes>> {
        let state = self.state();
        let versions = state.objects.get(&(bucket.to_owned(), key.to_owned()));
        let body = |version: &Version| version.body.as_ref().map(|body| body.range(0..body.size()).into());
        versions
            .map(|versions| versions.iter().map(body).collect())
            .unwrap_or_default()
    }

    /// A digest of every version of every object, with its time. This is not a call.
    #[must_use]
    pub fn print(&self) -> String {
        let mut hash = Sha256::new();
        for ((bucket, key), versions) in &self.state().objects {
            for version in versions {
                hash.update(format!("{bucket}/{key} {} {}\n", version.etag, version.last_modified));
            }
        }
        hex(&hash.finalize())
    }

    /// How many uploads in parts were neither completed nor aborted. This is not a call.
    #[must_use]
    pub fn uploads_open(&self) -> usize {
        self.state().uploads.len()
    }

    /// Makes the n-th call from now fail without an effect. Counts from 0.
    pub fn fail_at(&self, n: usize, kind: ErrorKind) {
        self.state().script.fail_at(n, kind);
    }

    /// Makes the n-th call from now fail after its effect. Counts from 0.
    pub fn fail_after(&self, n: usize, kind: ErrorKind) {
        self.state().script.fail_after(n, kind);
    }

    /// Runs `act` right before the n-th call of `op` from now. Counts from 0.
    pub fn before(&self, op: Op, n: usize, act: impl FnOnce(&Self) + Send + 'static) {
        self.state().script.before(op, n, Box::new(act));
    }

    /// If the n-th read from now is a stream, stalls its body for ever after so many chunks, and then runs `act`.
    /// Counts from 0.
    pub fn stall(&self, n: usize, parts: usize, act: impl FnOnce() + Send + 'static) {
        self.state().script.stall(n, parts, Box::new(act));
    }

    /// All calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.state().script.calls().to_vec()
    }

    /// How often `op` was called.
    #[must_use]
    pub fn count(&self, op: Op) -> usize {
        self.state().script.count(op)
    }

    /// The most bytes given out by `read` and held at the same time.
    #[must_use]
    pub fn peak_bytes_held(&self) -> usize {
        self.out.peak()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a call, runs the planned acts, and fails the call if it is to fail before its effect. Returns its number.
    async fn begin(&self, call: Call) -> Result<usize> {
        tokio::task::yield_now().await;
        if call.key.len() > LONGEST_KEY {
            return Err(Error::internal("KeyTooLongError (400): Your key is too long"));
        }
        let due = self.state().script.due(call.op);
        for act in due {
            act(self);
        }
        self.state().script.begin(call)
    }

    /// Begins a read, and returns the object that it reads.
    async fn open(&self, bucket: &str, key: &str, etag: &str, range: Range<u64>) -> Result<(usize, Body)> {
        let call = Call {
            range: Some(range.clone()),
            ..Call::new(Op::Read, bucket, key)
        };
        let number = self.begin(call).await?;
        let state = self.state();
        bucket_exists(&state, bucket)?;
        let body = match state.current(bucket, key) {
            Some((version, body)) if version.etag == etag => body.clone(),
            _ => {
                let text = format!("s3://{bucket}/{key} was replaced or removed since it was listed");
                return Err(Error::new(ErrorKind::OutputRejected, text));
            }
        };
        if range.start >= range.end || range.end > body.size() {
            return Err(Error::internal(format!(
                "bytes {range:?} are not within s3://{bucket}/{key}"
            )));
        }
        Ok((number, body))
    }

    fn end<T>(&self, number: usize, answer: T) -> Result<T> {
        self.state().script.end(number, answer)
    }
}

impl Inserted<'_> {
    /// Sets the time of the write; S3 has whole seconds.
    pub fn last_modified(&self, at: DateTime<Utc>) -> &Self {
        self.change(|version| version.last_modified = at.trunc_subsecs(0))
    }

    /// Sets the encryption, such as `aws:kms`, and the ARN of the key.
    pub fn encryption(&self, encryption: &str, kms_key: Option<&str>) -> &Self {
        self.change(|version| {
            version.encryption = Some(encryption.to_owned());
            version.kms_key = kms_key.map(str::to_owned);
        })
    }

    /// Sets the checksum that S3 keeps, instead of the one that it computes.
    pub fn checksum(&self, checksum: Option<StoredChecksum>) -> &Self {
        self.change(|version| version.checksum = checksum)
    }

    fn change(&self, change: impl FnOnce(&mut Version)) -> &Self {
        let mut state = self.store.state();
        let versions = state.objects.get_mut(&(self.bucket.clone(), self.key.clone()));
        if let Some(version) = versions.and_then(|versions| versions.last_mut()) {
            change(version);
        }
        self
    }
}

fn write(state: &mut State, now: DateTime<Utc>, bucket: &str, key: &str, body: Body) -> String {
    state.written += 1;
    let etag = match &body {
        Body::Bytes(bytes) => format!("\"{}\"", &hex(&Sha256::digest(bytes))[..32]),
        Body::Made { size, .. } => format!("\"made-{}-{size}\"", state.written),
    };
    // S3 computes a CRC64NVME unless the writer names another algorithm. Objects that are made for every read have
    // none, because that would take one more pass.
    let checksum = match &body {
        Body::Bytes(bytes) => Some(StoredChecksum::Whole {
            algorithm: Algorithm::Crc64Nvme,
            value: base64::encode(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes).to_be_bytes()),
        }),
        Body::Made { .. } => None,
    };
    let version = Version {
        body: Some(body),
        etag: etag.clone(),
        last_modified: now.trunc_subsecs(0),
        version_id: format!("v{}", state.written),
        encryption: Some("AES256".to_owned()),
        kms_key: None,
        checksum,
    };
    state.buckets.insert(bucket.to_owned());
    state
        .objects
        .entry((bucket.to_owned(), key.to_owned()))
        .or_default()
        .push(version);
    etag
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bucket_exists(state: &State, bucket: &str) -> Result<()> {
    if state.buckets.contains(bucket) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::NotFound,
        format!("the bucket {bucket} does not exist"),
    ))
}

#[async_trait]
impl ObjectStore for MemoryStore {
    async fn list_page(&self, bucket: &str, prefix: &str, after: Option<&str>) -> Result<Page> {
        let number = self.begin(Call::new(Op::List, bucket, prefix)).await?;
        let mut listed: Vec<Listed> = {
            let state = self.state();
            bucket_exists(&state, bucket)?;
            let from = match after {
                Some(after) if after >= prefix => Bound::Excluded((bucket.to_owned(), after.to_owned())),
                _ => Bound::Included((bucket.to_owned(), prefix.to_owned())),
            };
            let beneath = state.objects.range((from, Bound::Unbounded));
            beneath
                .take_while(|((of, key), _)| of == bucket && key.starts_with(prefix))
                .filter_map(|((_, key), _)| Some((key, state.current(bucket, key)?)))
                .map(|(key, (version, body))| Listed {
                    key: key.clone(),
                    size: body.size(),
                    etag: version.etag.clone(),
                    last_modified: version.last_modified,
                })
                .take(PAGE + 1)
                .collect()
        };
        let is_last = listed.len() <= PAGE;
        listed.truncate(PAGE);
        let next = listed.last().filter(|_| !is_last).map(|last| last.key.clone());
        self.end(number, Page { objects: listed, next })
    }

    async fn head(&self, bucket: &str, key: &str) -> Result<Option<Head>> {
        let number = self.begin(Call::new(Op::Head, bucket, key)).await?;
        let head = self.state().current(bucket, key).map(|(version, body)| Head {
            size: body.size(),
            etag: version.etag.clone(),
            last_modified: version.last_modified,
            version_id: Some(version.version_id.clone()),
            encryption: version.encryption.clone(),
            kms_key: version.kms_key.clone(),
            checksum: version.checksum.clone(),
        });
        self.end(number, head)
    }

    async fn get(&self, bucket: &str, key: &str) -> Result<Option<Stored>> {
        let number = self.begin(Call::new(Op::Get, bucket, key)).await?;
        let stored = {
            let state = self.state();
            bucket_exists(&state, bucket)?;
            state.current(bucket, key).map(|(version, body)| Stored {
                etag: version.etag.clone(),
                body: body.range(0..body.size()).into(),
            })
        };
        self.end(number, stored)
    }

    async fn read(&self, bucket: &str, key: &str, etag: &str, start: u64, end: u64) -> Result<Bytes> {
        if start == end {
            return Ok(Bytes::new());
        }
        let (number, body) = self.open(bucket, key, etag, start..end).await?;
        let counted = Counted::new(body.range(start..end), &self.out);
        self.end(number, Bytes::from_owner(counted))
    }

    async fn stream(&self, bucket: &str, key: &str, etag: &str, start: u64, end: u64) -> Result<Frames> {
        if start == end {
            return Ok(stream::empty().boxed());
        }
        let (number, body) = self.open(bucket, key, etag, start..end).await?;
        let out = Arc::clone(&self.out);
        let starts = (start..end).step_by(FRAME as usize);
        let frames = stream::iter(starts).map(move |start| {
            let bytes = body.range(start..end.min(start + FRAME));
            Ok(Bytes::from_owner(Counted::new(bytes, &out)))
        });
        let stalled = self.state().script.stalled(number);
        let frames = match stalled {
            Some((parts, act)) => {
                let stands_still = stream::once(async move {
                    act();
                    std::future::pending().await
                });
                frames.take(parts).chain(stands_still).boxed()
            }
            None => frames.boxed(),
        };
        self.end(number, frames)
    }

    async fn put(&self, bucket: &str, key: &str, body: Bytes, condition: Condition) -> Result<Written> {
        let number = self.begin(Call::new(Op::Put, bucket, key)).await?;
        let written = {
            let mut state = self.state();
            bucket_exists(&state, bucket)?;
            let holds = match (&condition, state.current(bucket, key)) {
                (Condition::Absent, current) => current.is_none(),
                (Condition::Unchanged(etag), Some((version, _))) => version.etag == *etag,
                (Condition::Unchanged(_), None) => false,
            };
            if holds {
                let etag = write(&mut state, self.clock.now(), bucket, key, Body::Bytes(body));
                Written::Done { etag }
            } else {
                Written::Refused
            }
        };
        self.end(number, written)
    }

    async fn begin_upload(&self, bucket: &str, key: &str) -> Result<String> {
        let number = self.begin(Call::new(Op::Upload, bucket, key)).await?;
        let id = {
            let mut state = self.state();
            bucket_exists(&state, bucket)?;
            state.written += 1;
            let id = format!("upload-{}", state.written);
            state.uploads.insert(id.clone(), BTreeMap::new());
            id
        };
        self.end(number, id)
    }

    async fn upload_part(&self, bucket: &str, key: &str, upload: &str, part: i32, body: Bytes) -> Result<String> {
        let number = self.begin(Call::new(Op::Upload, bucket, key)).await?;
        let etag = {
            let mut state = self.state();
            let etag = format!("\"{}\"", &hex(&Sha256::digest(&body))[..32]);
            let parts = state.uploads.get_mut(upload).ok_or_else(no_upload)?;
            parts.insert(part, (etag.clone(), body));
            etag
        };
        self.end(number, etag)
    }

    async fn complete_upload(&self, bucket: &str, key: &str, upload: &str, parts: &[String]) -> Result<Written> {
        let number = self.begin(Call::new(Op::Upload, bucket, key)).await?;
        let written = {
            let mut state = self.state();
            if state.current(bucket, key).is_some() || !state.uploads.contains_key(upload) {
                Written::Refused
            } else {
                let uploaded = state.uploads.remove(upload).ok_or_else(no_upload)?;
                if !uploaded.values().map(|(etag, _)| etag).eq(parts) {
                    return Err(Error::internal("the parts are not those that were uploaded"));
                }
                let sizes: Vec<_> = uploaded.values().map(|(_, body)| body.len()).collect();
                if sizes.iter().rev().skip(1).any(|size| *size < SMALLEST_PART) {
                    return Err(Error::internal("a part but the last is smaller than 5 MiB"));
                }
                let body: Vec<u8> = uploaded.into_values().flat_map(|(_, body)| body).collect();
                let etag = write(&mut state, self.clock.now(), bucket, key, Body::Bytes(body.into()));
                Written::Done { etag }
            }
        };
        self.end(number, written)
    }

    async fn abort_upload(&self, bucket: &str, key: &str, upload: &str) -> Result<()> {
        let number = self.begin(Call::new(Op::Upload, bucket, key)).await?;
        // An upload that is aborted twice is no error: the first answer may have been lost.
        self.state().uploads.remove(upload);
        self.end(number, ())
    }
}

fn no_upload() -> Error {
    Error::internal("there is no such upload")
}

/// Simulated services write their files through this.
#[async_trait]
impl simulated::Sink for MemoryStore {
    async fn put(&self, bucket: &str, key: &str, body: Bytes, _: Option<&str>) -> anyhow::Result<()> {
        ObjectStore::put(self, bucket, key, body, Condition::Absent).await?;
        Ok(())
    }
}

/// Simulated imports read their source through this.
#[async_trait]
impl simulated::Source for MemoryStore {
    async fn list(&self, bucket: &str, prefix: &str) -> anyhow::Result<Vec<String>> {
        let listed = ObjectStore::list(self, bucket, prefix, usize::MAX).await?;
        Ok(listed.into_iter().map(|object| object.key).collect())
    }

    async fn get(&self, bucket: &str, key: &str) -> anyhow::Result<Bytes> {
        self.body(bucket, key)
            .with_context(|| format!("s3://{bucket}/{key} is not there"))
    }
}

#[cfg(test)]
mod tests;
