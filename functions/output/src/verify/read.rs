//! Reads one object.
//!
//! What must stay true: every read is pinned to the listed ETag; one range is fetched while the former is hashed and
//! decoded, never more; decoding runs where it may block; no object begins before there is memory for what it can hold.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use landfall::{
    error::{Error, ErrorKind, Result},
    store::{Clock, Head as HeadOutput, Listed, ObjectStore},
};
use sha2::{Digest, Sha256};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};

use super::{
    Expectation, Limits,
    classify::{self, Plan},
    report::{Finding, Reading, Role, VerifiedObject},
};
use crate::formats::{
    AnyDecoder, Decoded, Decoder, Defect, ExcelDecoder, Format, GzipDecoder, Head, JsonlDecoder, MAX_LINE, Opened,
    OrcDecoder, PDF_TAIL, PdfDecoder, TAIL_GUESS,
};

/// First bytes by which a format is recognised.
const SNIFFED: u64 = 64 * 1024;
/// The unit in which memory is given out.
const UNIT: u64 = 1 << 20;
/// How often the tail of a file may turn out to begin earlier. Two are enough for a sound file.
const OPENINGS: usize = 4;

/// What became of reading an object.
pub(super) enum Outcome {
    /// It was read.
    Read(Box<Reading>),
    /// It was replaced or removed since it was listed.
    Disturbed { key: String, data: bool },
}

/// Reads objects of one bucket.
pub(super) struct Reader {
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    bucket: String,
    stop_at: DateTime<Utc>,
    range: u64,
    memory: Arc<Semaphore>,
    units: u32,
    bytes: AtomicU64,
}

/// Why reading stopped.
enum Stop {
    /// The object is not what was listed any more.
    Disturbed,
    /// The object is not what it should be.
    Found(Finding),
    /// It could not be read.
    Failed(Error),
}

impl From<Defect> for Stop {
    fn from(defect: Defect) -> Self {
        Self::Found(Finding::Defective(defect))
    }
}

impl Reader {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        clock: Arc<dyn Clock>,
        expectation: &Expectation,
        stop_at: DateTime<Utc>,
        limits: &Limits,
    ) -> Self {
        let units = u32::try_from(limits.memory.div_ceil(UNIT))
            .unwrap_or(u32::MAX)
            .clamp(1, 1 << 20);
        Self {
            store,
            clock,
            bucket: expectation.prefix.bucket.clone(),
            stop_at,
            range: limits.range.max(1),
            memory: Arc::new(Semaphore::new(units as usize)),
            units,
            bytes: AtomicU64::new(0),
        }
    }

    /// Bytes that were hashed and decoded so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) async fn read(self: Arc<Self>, listed: Listed, plan: Plan) -> Result<Outcome> {
        let mut object = VerifiedObject {
            key: listed.key.clone(),
            role: Role::Extra,
            format: None,
            size: listed.size,
            etag: listed.etag.clone(),
            version_id: None,
            last_modified: listed.last_modified,
            sha256: None,
            rows: None,
            pages: None,
            encryption: None,
            kms_key: None,
        };
        let mut stored_sha256 = None;
        let mut data = !matches!(plan, Plan::Ignore | Plan::Extra | Plan::Sniff(_));
        let result = self
            .clone()
            .find(&listed, plan, &mut data, &mut object, &mut stored_sha256)
            .await;
        let finding = match result {
            Ok(finding) | Err(Stop::Found(finding)) => finding,
            Err(Stop::Disturbed) => {
                return Ok(Outcome::Disturbed { key: listed.key, data });
            }
            Err(Stop::Failed(error)) => {
                return Err(error.context(format_args!("reading s3://{}/{}", self.bucket, listed.key)));
            }
        };
        if data {
            object.role = Role::Data;
        }
        if let Finding::Whole(decoded) = &finding {
            object.rows = decoded.document.is_none().then_some(decoded.rows);
            object.pages = decoded.document.and_then(|document| document.pages);
        }
        Ok(Outcome::Read(Box::new(Reading {
            object,
            finding,
            stored_sha256,
        })))
    }

    async fn find(
        self: Arc<Self>,
        listed: &Listed,
        plan: Plan,
        data: &mut bool,
        object: &mut VerifiedObject,
        stored_sha256: &mut Option<String>,
    ) -> Result<Finding, Stop> {
        let mut ranges = Ranges::new(&self, listed);
        match plan {
            Plan::Ignore | Plan::Extra => return Ok(Finding::Extra(None)),
            Plan::Foreign(_) => {}
            Plan::Data(format) | Plan::Empty(format) => object.format = Some(format),
            Plan::Sniff(format) => {
                let first = ranges.get(0, listed.size.min(SNIFFED)).await?;
                let (is_data, content) = classify::is_data(head_of(&first, listed), format);
                if !is_data {
                    return Ok(Finding::Extra(content));
                }
                *data = true;
                object.format = Some(format);
            }
        }

        let head = self.head(listed).await?;
        object.version_id = head.version_id;
        object.encryption = head.encryption;
        object.kms_key = head.kms_key;
        *stored_sha256 = head.checksum_sha256;
        let format = match plan {
            Plan::Empty(_) => return Ok(Finding::Empty),
            Plan::Foreign(what) => return Ok(Finding::Foreign(what)),
            Plan::Data(format) | Plan::Sniff(format) => format,
            Plan::Ignore | Plan::Extra => return Ok(Finding::Extra(None)),
        };

        let (decoder, _permit) = self.decoder(format, &ranges, listed).await?;
        let first = ranges.next().await?;
        if let Some(what) = classify::foreign(head_of(&first, listed), format) {
            return Ok(Finding::Foreign(what));
        }
        let (decoded, sha256) = self.decode(decoder, first, ranges).await?;
        object.sha256 = Some(sha256);
        Ok(Finding::Whole(decoded))
    }

    async fn head(&self, listed: &Listed) -> Result<HeadOutput, Stop> {
        self.in_time()?;
        match self.store.head(&self.bucket, &listed.key).await.map_err(stop)? {
            Some(head) if head.etag == listed.etag && head.size == listed.size => Ok(head),
            _ => Err(Stop::Disturbed),
        }
    }

    /// The decoder, and the memory that it and its ranges may take.
    async fn decoder(
        &self,
        format: Format,
        ranges: &Ranges,
        listed: &Listed,
    ) -> Result<(AnyDecoder, OwnedSemaphorePermit), Stop> {
        let (decoder, needs) = match self.open(format, ranges).await {
            // Its first bytes may tell more of what it is instead.
            Err(Stop::Found(finding)) => {
                let first = ranges.get(0, ranges.size.min(SNIFFED)).await?;
                let foreign = classify::foreign(head_of(&first, listed), format);
                return Err(Stop::Found(foreign.map_or(finding, Finding::Foreign)));
            }
            opened => opened?,
        };
        let buffers = 2 * self.range.min(ranges.size);
        Ok((decoder, self.reserve(buffers + needs).await?))
    }

    /// The decoder of a format, and what it may hold.
    async fn open(&self, format: Format, ranges: &Ranges) -> Result<(AnyDecoder, u64), Stop> {
        let line = MAX_LINE as u64;
        Ok(match format {
            Format::Csv => (AnyDecoder::Csv(Box::default()), 0),
            Format::Jsonl => (AnyDecoder::Jsonl(Box::default()), line.min(ranges.size)),
            Format::JsonlGzip => {
                let decoder = GzipDecoder::new(JsonlDecoder::new());
                // What a few bytes inflate to may be a long line.
                (
                    AnyDecoder::JsonlGzip(Box::new(decoder)),
                    line.min(ranges.size.saturating_mul(1_032)),
                )
            }
            Format::Orc => {
                let decoder = self.open_by_tail(ranges, OrcDecoder::open).await?;
                let needs = decoder.needs();
                (AnyDecoder::Orc(decoder), needs)
            }
            Format::Excel => {
                let decoder = self.open_by_tail(ranges, ExcelDecoder::open).await?;
                let needs = decoder.needs();
                (AnyDecoder::Excel(decoder), needs)
            }
            Format::Pdf => {
                let tail = ranges.get(ranges.size - ranges.size.min(PDF_TAIL), ranges.size).await?;
                let decoder = PdfDecoder::open(ranges.size, &tail)?;
                let needs = decoder.needs();
                (AnyDecoder::Pdf(decoder), needs)
            }
        })
    }

    async fn open_by_tail<D: Send + 'static>(
        &self,
        ranges: &Ranges,
        open: fn(u64, u64, &Bytes) -> Result<Opened<D>, Defect>,
    ) -> Result<Box<D>, Stop> {
        let size = ranges.size;
        let mut start = size - size.min(TAIL_GUESS);
        for _ in 0..OPENINGS {
            let tail = ranges.get(start, size).await?;
            match blocking(move || open(size, start, &tail)).await?? {
                Opened::Ready(decoder) => return Ok(decoder),
                Opened::Needs(earlier) => start = earlier,
            }
        }
        Err(Defect::new("has a tail whose begin cannot be found").into())
    }

    /// Decodes and hashes all ranges.
    async fn decode(
        &self,
        mut decoder: AnyDecoder,
        first: Bytes,
        mut ranges: Ranges,
    ) -> Result<(Decoded, String), Stop> {
        let mut hash = Sha256::new();
        let mut chunk = first;
        loop {
            ranges.prefetch();
            let length = chunk.len() as u64;
            let pushed;
            (decoder, hash, pushed) = blocking(move || {
                hash.update(&chunk);
                let pushed = decoder.push(&chunk);
                (decoder, hash, pushed)
            })
            .await?;
            pushed?;
            self.bytes.fetch_add(length, Ordering::Relaxed);
            if ranges.is_done() {
                break;
            }
            chunk = ranges.next().await?;
        }
        let decoded = blocking(move || decoder.finish()).await??;
        Ok((decoded, hex::encode(hash.finalize())))
    }

    async fn fetch(&self, key: &str, etag: &str, start: u64, end: u64) -> Result<Bytes> {
        let bytes = self.store.read(&self.bucket, key, etag, start, end).await?;
        if bytes.len() as u64 == end - start {
            return Ok(bytes);
        }
        let text = format!("the answer to bytes {start}..{end} has {} bytes", bytes.len());
        Err(Error::new(ErrorKind::Unavailable, text))
    }

    async fn reserve(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Stop> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units);
        Arc::clone(&self.memory)
            .acquire_many_owned(units)
            .await
            .map_err(|_| Stop::Failed(Error::internal("memory is not given out any more")))
    }

    fn in_time(&self) -> Result<(), Stop> {
        if self.clock.now() < self.stop_at {
            return Ok(());
        }
        // The caller, who knows how far all objects came, says more.
        Err(Stop::Failed(Error::new(
            ErrorKind::TimedOut,
            "the function's deadline is near",
        )))
    }
}

fn head_of<'a>(first: &'a Bytes, listed: &Listed) -> Head<'a> {
    let bytes = &first[..first.len().min(SNIFFED as usize)];
    Head {
        bytes,
        whole: bytes.len() as u64 == listed.size,
    }
}

/// Sorts the errors of the store.
fn stop(error: Error) -> Stop {
    match error.kind {
        // The bucket was there when it was listed, so what is not found is the object.
        ErrorKind::OutputRejected | ErrorKind::NotFound => Stop::Disturbed,
        _ => Stop::Failed(error),
    }
}

/// Runs what takes the processor for a while where other tasks do not wait for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stop> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Stop::from(Defect::new("made its decoder give up")))
}

/// The ranges of one object in order.
struct Ranges {
    reader: Arc<Reader>,
    key: String,
    etag: String,
    size: u64,
    /// Where the next range begins that was not asked for yet.
    next: u64,
    ahead: Option<Ahead>,
}

/// A range on its way; given up when dropped.
struct Ahead(JoinHandle<Result<Bytes>>);

impl Drop for Ahead {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Ranges {
    fn new(reader: &Arc<Reader>, listed: &Listed) -> Self {
        Self {
            reader: Arc::clone(reader),
            key: listed.key.clone(),
            etag: listed.etag.clone(),
            size: listed.size,
            next: 0,
            ahead: None,
        }
    }

    /// Whether all ranges were handed out.
    fn is_done(&self) -> bool {
        self.ahead.is_none() && self.next >= self.size
    }

    /// Asks for the next range, if there is one and none is on its way.
    fn prefetch(&mut self) {
        if self.ahead.is_some() || self.next >= self.size {
            return;
        }
        let (start, end) = (self.next, self.size.min(self.next.saturating_add(self.reader.range)));
        self.next = end;
        let (reader, key, etag) = (Arc::clone(&self.reader), self.key.clone(), self.etag.clone());
        self.ahead = Some(Ahead(tokio::spawn(async move {
            reader.fetch(&key, &etag, start, end).await
        })));
    }

    /// The next range. Not to be called when all were handed out.
    async fn next(&mut self) -> Result<Bytes, Stop> {
        self.reader.in_time()?;
        let start = self.next;
        self.prefetch();
        let Some(mut ahead) = self.ahead.take() else {
            return Err(Stop::Failed(Error::internal(format!(
                "nothing to read from byte {start} on"
            ))));
        };
        (&mut ahead.0)
            .await
            .map_err(|_| Stop::Failed(Error::internal("a read stopped")))?
            .map_err(stop)
    }

    /// Any part, out of order.
    async fn get(&self, start: u64, end: u64) -> Result<Bytes, Stop> {
        self.reader.in_time()?;
        self.reader.fetch(&self.key, &self.etag, start, end).await.map_err(stop)
    }
}
