//! Reads one object.
//!
//! What must stay true: every read is pinned to the listed ETag. No S3 call outlasts the invocation. No object is begun
//! before there is memory for what it can hold. The checksum of an object that was read in several invocations is that of
//! all its bytes.
//!
//! [`Reader::read`] first looks at the beginning of an object, and at its end if the format has a footer, to open its
//! decoder. Then it fetches a few ranges ahead, hashes and decodes each on a thread that may block, and asks the decoder to
//! finish. When the time is up, it keeps the decoder's checkpoint and the state of the checksum; a later invocation goes on
//! from there.

mod content;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use landfall::{
    error::{Error, ErrorKind, Result},
    expect::EmptyLines,
    heavy::heavy,
    job::Level,
    store::{Clock, Head as HeadOutput, Listed, ObjectStore, checksum::StoredChecksum},
};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use self::content::{Content, Frame};
use super::{
    Expectation, Limits,
    classify::{self, Plan},
    hash::{Checksums, Compared, CrcState, Hash, State, States},
    report::{Finding, Reading, Role, VerifiedObject},
};
use landfall_formats::{
    Access, Checkpoint, Decoded, Decoder, Defect, Format, Frame as TextFrame, Framed, Head, OpenByTail, Opened,
    TAIL_GUESS,
};

/// First bytes by which a format is recognised.
const SNIFFED: u64 = 64 * 1024;
/// How often a range may break off, if something of it came each time.
const MAX_BREAKS: usize = 16;
/// The unit in which memory is given out.
const UNIT: u64 = 1 << 20;
/// Bytes a second at which an object is read at least. What is larger than the time left allows may be interrupted.
const SLOWEST: u64 = 16 << 20;
/// How often the tail of a file may turn out to begin earlier. Two times are enough for a sound file.
const OPENINGS: usize = 4;

/// An object that is to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Task {
    /// As it was listed.
    pub(super) listed: Listed,
    /// What is to be done with it.
    pub(super) plan: Plan,
}

/// An object whose reading stopped because time was up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paused {
    pub key: String,
    /// Where it goes on.
    pub at: Resume,
}

/// An object that was replaced or removed before it was read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disturbed {
    /// As it was listed.
    pub listed: Listed,
    /// Whether it was taken for data.
    pub data: bool,
}

impl Disturbed {
    /// Whether it is listed as it was.
    pub(super) fn is_of(&self, listed: &Listed) -> bool {
        self.listed == *listed
    }
}

/// What became of reading an object.
pub(super) enum ReadResult {
    Read(Box<Reading>),
    /// It was replaced or removed since it was listed.
    Disturbed(Disturbed),
    /// Time was up.
    Paused {
        key: String,
        /// Where it can go on; `None` if where it began this time.
        at: Option<Box<Resume>>,
    },
}

/// Where the reading of an object goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// Of the decoder; `None` if it begins again.
    checkpoint: Option<Checkpoint>,
    /// Bytes that were hashed: as many as the checkpoint's offset, or more.
    hashed: u64,
    /// The state of SHA-256 after them; `None` before the first.
    hash: Option<State>,
    /// That of the CRC that S3 keeps of the object; `None` if none is computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crc: Option<CrcState>,
}

impl Resume {
    /// Offset of the first byte that is to be decoded.
    pub(super) fn offset(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.offset)
    }

    fn checksums(&self, stored: Option<&StoredChecksum>) -> Result<Checksums, Stop> {
        let unreadable = || Stop::Failed(Error::internal("the state of a checksum cannot be read"));
        match &self.hash {
            Some(sha256) => Checksums::resume(&States {
                sha256: sha256.clone(),
                crc: self.crc,
            })
            .ok_or_else(unreadable),
            None => Ok(Checksums::new(Hash::kept(), stored)),
        }
    }
}

/// Reads objects of one bucket.
pub(super) struct Reader {
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    bucket: String,
    level: Level,
    /// Whether anybody asks for the names of columns.
    columns: bool,
    /// What empty lines of a CSV of one column are, if anybody says.
    empty_lines: Option<EmptyLines>,
    stop_at: DateTime<Utc>,
    range: u64,
    ranges: usize,
    /// Bytes that a range on its way may hold.
    held: u32,
    memory: Arc<Semaphore>,
    units: u32,
    bytes: AtomicU64,
    stopped: AtomicBool,
}

/// Why reading stopped.
enum Stop {
    /// The object is not what was listed any more.
    Disturbed,
    /// The object is not what it should be.
    Found(Finding),
    /// There is no time left. Where it goes on, if not where it began.
    Paused(Option<Box<Resume>>),
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
        store: &Arc<dyn ObjectStore>,
        clock: &Arc<dyn Clock>,
        expectation: &Expectation,
        stop_at: DateTime<Utc>,
        limits: &Limits,
    ) -> Self {
        let units = u32::try_from(limits.memory.div_ceil(UNIT))
            .unwrap_or(u32::MAX)
            .clamp(1, 1 << 20);
        Self {
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            bucket: expectation.prefix.bucket.clone(),
            level: expectation.level,
            columns: expectation.expect.columns.is_some(),
            empty_lines: expectation.expect.rows.as_ref().and_then(|rows| rows.empty_lines),
            stop_at,
            range: limits.range.max(1),
            ranges: limits.ranges.max(1),
            held: limits.held.clamp(1, 1 << 28),
            memory: Arc::new(Semaphore::new(units as usize)),
            units,
            bytes: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Lets all that is being read pause, as if time were up.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Bytes that were hashed and decoded so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of an object that can be read in the time that is left, at the least.
    fn readable(&self) -> u64 {
        let left = (self.stop_at - self.clock.now()).num_seconds();
        u64::try_from(left).unwrap_or(0).saturating_mul(SLOWEST)
    }

    /// Whether there is time to read on.
    pub(super) fn has_time(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed) && self.clock.now() < self.stop_at
    }

    /// Whether there is time to look at so many bytes before the reserve begins.
    fn has_time_for(&self, bytes: u64) -> bool {
        self.has_time() && (bytes == 0 || bytes < self.readable())
    }

    /// Waits for S3 as long as there is time. Otherwise an answer that hangs would leave no time to keep what was read.
    async fn in_time<T>(&self, answer: impl Future<Output = T>) -> Result<T, Stop> {
        if !self.has_time() {
            return Err(Stop::Paused(None));
        }
        tokio::select! {
            biased;
            answer = answer => Ok(answer),
            () = self.clock.until(self.stop_at) => Err(Stop::Paused(None)),
        }
    }

    /// Reads an object, from where it stopped if it was begun.
    pub(super) async fn read(self: Arc<Self>, task: Task, resume: Option<Resume>) -> Result<ReadResult> {
        let Task { listed, plan } = task;
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
            error: None,
            encryption: None,
            kms_key: None,
            error_line: None,
            error_record: None,
        };
        let mut compared = None;
        let mut data = !matches!(plan, Plan::Ignore | Plan::Extra | Plan::Sniff(_));
        let result = self
            .clone()
            .find(&listed, plan, resume, &mut data, &mut object, &mut compared)
            .await;
        let mut finding = match result {
            Ok(finding) | Err(Stop::Found(finding)) => finding,
            Err(Stop::Disturbed) => return Ok(ReadResult::Disturbed(Disturbed { listed, data })),
            Err(Stop::Paused(at)) => return Ok(ReadResult::Paused { key: listed.key, at }),
            Err(Stop::Failed(error)) => {
                return Err(error.context(format_args!("reading s3://{}/{}", self.bucket, listed.key)));
            }
        };
        if data {
            object.role = Role::Data;
        }
        let shape = finding.shape();
        // Without a line of headings, which nothing promises, what is taken for names is somebody's data.
        if !self.columns
            && let Finding::Whole(Decoded { columns, .. }) | Finding::Framed(Framed { columns, .. }) = &mut finding
        {
            *columns = Vec::new();
        }
        match &finding {
            Finding::Whole(decoded) => {
                object.rows = decoded.document.is_none().then_some(decoded.rows);
                object.pages = decoded.document.and_then(|document| document.pages);
            }
            Finding::Framed(framed) => object.pages = framed.document.and_then(|document| document.pages),
            Finding::Defective(defect) => {
                object.error = Some(defect.to_string());
                object.error_line = defect.line;
                object.error_record = defect.record;
            }
            Finding::Foreign(what) => object.error = Some(what.clone()),
            _ => {}
        }
        Ok(ReadResult::Read(Box::new(Reading {
            object,
            finding,
            compared,
            shape,
        })))
    }

    async fn find(
        self: Arc<Self>,
        listed: &Listed,
        plan: Plan,
        resume: Option<Resume>,
        data: &mut bool,
        object: &mut VerifiedObject,
        compared: &mut Option<Compared>,
    ) -> Result<Finding, Stop> {
        let mut content = Content::new(&self, listed);
        match plan {
            Plan::Ignore | Plan::Extra => return Ok(Finding::Extra(None)),
            Plan::Foreign(_) => {}
            Plan::Data(format) | Plan::Empty(format) => object.format = Some(format),
            Plan::Sniff(_) if self.level == Level::Listing => return Ok(Finding::Untold),
            Plan::Sniff(format) => {
                let first = content.get(0, listed.size.min(SNIFFED)).await?;
                let (is_data, content) = classify::is_data(head_of(&first, listed), format);
                if !is_data {
                    return Ok(Finding::Extra(content));
                }
                *data = true;
                object.format = Some(format);
            }
        }
        let mut stored = None;
        if self.level > Level::Listing {
            let head = self.head(listed).await?;
            object.version_id = head.version_id;
            object.encryption = head.encryption;
            object.kms_key = head.kms_key;
            stored = head.checksum;
        }
        let format = match plan {
            Plan::Empty(_) => return Ok(Finding::Empty),
            Plan::Foreign(what) => return Ok(Finding::Foreign(what)),
            Plan::Data(format) | Plan::Sniff(format) => format,
            Plan::Ignore | Plan::Extra => return Ok(Finding::Extra(None)),
        };
        match self.level {
            Level::Listing => Ok(Finding::Listed),
            Level::Structure => self.frame(format, &content, listed).await,
            Level::Full => {
                let (decoder, _permit) = self.decoder(format, &content, listed, resume.as_ref()).await?;
                if resume.is_none() {
                    let first = content.peek().await?;
                    if let Some(what) = classify::foreign(head_of(&first, listed), format) {
                        return Ok(Finding::Foreign(what));
                    }
                }
                let (mut decoded, checksums) = self.decode(decoder, content, resume, stored.as_ref()).await?;
                let (sha256, result) = checksums.finish(stored.as_ref());
                object.sha256 = Some(sha256);
                *compared = result;
                if let Some(what) = self.empty_lines {
                    let empty = std::mem::take(&mut decoded.empty_lines);
                    decoded.rows += if what == EmptyLines::Count { empty } else { 0 };
                }
                Ok(Finding::Whole(decoded))
            }
        }
    }

    /// Looks at the ends of an object.
    async fn frame(&self, format: Format, content: &Content, listed: &Listed) -> Result<Finding, Stop> {
        let size = listed.size;
        let head = content.get(0, size.min(SNIFFED)).await?;
        if let Some(what) = classify::foreign(head_of(&head, listed), format) {
            return Ok(Finding::Foreign(what));
        }
        let decoder = match &format.row().access {
            Access::Tail(open) => self.open_by_tail(content, *open).await?,
            Access::Stream { frame, .. } => {
                let head = head_of(&head, listed);
                return Ok(Finding::Framed(match frame {
                    TextFrame::Begin(frame) => frame(head)?,
                    TextFrame::Ends(frame) => {
                        let tail = content.get(size - size.min(SNIFFED), size).await?;
                        frame(head, &tail)?
                    }
                }));
            }
        };
        let mut framed = decoder.frame();
        if let Some(begin) = decoder.begin() {
            let range = begin.within.clone();
            let found = match head.get(range.start as usize..range.end as usize) {
                Some(found) => Bytes::copy_from_slice(found),
                None if range.end <= size => content.get(range.start, range.end).await?,
                None => Bytes::new(),
            };
            if let Some(remark) = begin.look(&found)? {
                framed.remarks.add(remark);
            }
        }
        Ok(Finding::Framed(framed))
    }

    async fn head(&self, listed: &Listed) -> Result<HeadOutput, Stop> {
        let head = self.in_time(self.store.head(&self.bucket, &listed.key)).await?;
        match head.map_err(stop)? {
            Some(head) if head.etag == listed.etag && head.size == listed.size => Ok(head),
            _ => Err(Stop::Disturbed),
        }
    }

    /// The decoder, and the memory that it and its ranges may take.
    async fn decoder(
        &self,
        format: Format,
        content: &Content,
        listed: &Listed,
        resume: Option<&Resume>,
    ) -> Result<(Box<dyn Decoder>, OwnedSemaphorePermit), Stop> {
        let opened = match format.row().access {
            Access::Stream { new, .. } => Ok(new()),
            Access::Tail(open) => self.open_by_tail(content, open).await,
        };
        let decoder = match opened {
            // Its first bytes may tell more of what it is instead.
            Err(Stop::Found(finding)) => {
                let first = content.get(0, content.size.min(SNIFFED)).await?;
                let foreign = classify::foreign(head_of(&first, listed), format);
                return Err(Stop::Found(foreign.map_or(finding, Finding::Foreign)));
            }
            opened => opened?,
        };
        let decoder = match resume.and_then(|resume| resume.checkpoint.clone()) {
            Some(checkpoint) => decoder.resume(checkpoint)?,
            None => decoder,
        };
        let buffers = content.size.min(self.ranges as u64 * u64::from(self.held));
        let permit = self.reserve(buffers + decoder.needs(content.size)).await?;
        Ok((decoder, permit))
    }

    async fn open_by_tail(&self, content: &Content, open: OpenByTail) -> Result<Box<dyn Decoder>, Stop> {
        let size = content.size;
        let mut start = size - size.min(TAIL_GUESS);
        for _ in 0..OPENINGS {
            let tail = content.get(start, size).await?;
            match blocking(move || open(size, start, &tail)).await?? {
                Opened::Ready(decoder) => return Ok(decoder),
                Opened::Needs(earlier) => start = earlier,
            }
        }
        Err(Defect::new("has a tail whose begin cannot be found").into())
    }

    /// Decodes and hashes all ranges, or those from a checkpoint on.
    async fn decode(
        &self,
        mut decoder: Box<dyn Decoder>,
        mut content: Content,
        resume: Option<Resume>,
        stored: Option<&StoredChecksum>,
    ) -> Result<(Decoded, Checksums), Stop> {
        let (mut checksums, mut hashed, mut offset) = match &resume {
            Some(resume) => (resume.checksums(stored)?, resume.hashed, resume.offset()),
            None if content.size <= self.readable() => (Checksums::new(Hash::quick(), stored), 0, 0),
            None => (Checksums::new(Hash::kept(), stored), 0, 0),
        };
        if offset > 0 {
            content.skip_to(offset);
        }
        loop {
            if !self.has_time() {
                return Err(paused(&*decoder, &checksums, hashed));
            }
            for wanted in decoder.wanted() {
                match content.get(wanted.start, wanted.end).await {
                    Ok(read) => decoder.supply(wanted, read)?,
                    Err(Stop::Paused(_)) => return Err(paused(&*decoder, &checksums, hashed)),
                    Err(stop) => return Err(stop),
                }
            }
            let frames = match content.next().await {
                Err(Stop::Paused(_)) => return Err(paused(&*decoder, &checksums, hashed)),
                frames => frames?,
            };
            if frames.is_empty() {
                break;
            }
            let length: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
            // What was hashed before a pause is decoded again.
            let mut known = hashed.saturating_sub(offset);
            let pushed;
            (decoder, checksums, pushed) = blocking(move || {
                let mut pushed = Ok(());
                for frame in frames {
                    let skipped = known.min(frame.len() as u64);
                    known -= skipped;
                    checksums.update(&frame[skipped as usize..]);
                    pushed = decoder.push(&frame);
                    if pushed.is_err() {
                        break;
                    }
                }
                (decoder, checksums, pushed)
            })
            .await?;
            pushed?;
            self.bytes.fetch_add(length, Ordering::Relaxed);
            offset += length;
            hashed = hashed.max(offset);
        }
        if offset != content.size {
            return Err(Stop::Failed(Error::new(
                ErrorKind::Unavailable,
                format!("{offset} of {} bytes came", content.size),
            )));
        }
        // What has begun to finish cannot be stopped.
        if !self.has_time_for(decoder.deferred()) {
            return Err(paused(&*decoder, &checksums, hashed));
        }
        let decoded = blocking(move || decoder.finish()).await??;
        Ok((decoded, checksums))
    }

    /// Brings a range, part by part. What breaks off is asked for again from there on.
    async fn bring(
        &self,
        key: &str,
        etag: &str,
        range: Range<u64>,
        to: &mpsc::UnboundedSender<Result<Frame>>,
    ) -> Result<()> {
        let held = Arc::new(Semaphore::new(self.held as usize));
        let mut at = range.start;
        let mut breaks = 0;
        while at < range.end {
            let mut frames = self.store.stream(&self.bucket, key, etag, at, range.end).await?;
            let begun = at;
            while let Some(frame) = frames.next().await {
                let mut frame = match frame {
                    Ok(frame) => frame,
                    // Parts that came are good, so it is no failure while some do.
                    Err(error) if error.kind == ErrorKind::Unavailable && at > begun && breaks < MAX_BREAKS => {
                        tracing::debug!(
                            code = error.code,
                            "a part of an object broke off and is asked for again"
                        );
                        break;
                    }
                    Err(error) => return Err(error),
                };
                at += frame.len() as u64;
                if at > range.end {
                    break;
                }
                while !frame.is_empty() {
                    let part = frame.split_to(frame.len().min(self.held as usize));
                    let permits = u32::try_from(part.len()).unwrap_or(u32::MAX);
                    let Ok(permit) = Arc::clone(&held).acquire_many_owned(permits).await else {
                        return Err(Error::internal("a range is not taken any more"));
                    };
                    if to.send(Ok(Frame(part, permit))).is_err() {
                        return Ok(());
                    }
                }
            }
            if at == begun || at > range.end {
                let text = format!("the answer to bytes {begun}..{} ended at {at}", range.end);
                return Err(Error::new(ErrorKind::Unavailable, text));
            }
            if at < range.end {
                breaks += 1;
                if breaks > MAX_BREAKS {
                    let text = format!("bytes {}..{} broke off again and again", range.start, range.end);
                    return Err(Error::new(ErrorKind::Unavailable, text));
                }
            }
        }
        Ok(())
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
}

/// A pause in which what was decoded and hashed is kept, as far as it can be.
fn paused(decoder: &dyn Decoder, checksums: &Checksums, hashed: u64) -> Stop {
    Stop::Paused(decoder.checkpoint().map(|checkpoint| {
        Box::new(match checksums.states() {
            Some(States { sha256, crc }) => Resume {
                checkpoint: Some(checkpoint),
                hashed,
                hash: Some(sha256),
                crc,
            },
            // Reading took longer than expected, with a hash whose state cannot be kept. Next time it begins with one that
            // can.
            None => Resume {
                checkpoint: None,
                hashed: 0,
                hash: None,
                crc: None,
            },
        })
    }))
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
    heavy(work)
        .await
        .map_err(|_| Stop::from(Defect::new("made its decoder give up")))
}
