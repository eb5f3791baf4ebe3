//! What objects are read with: the bucket, the time that is left, the memory that is given out.
//!
//! What must stay true: no call of S3 outlasts the time, and a range that breaks off is asked for again as long as something
//! of it comes.

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
    job::Level,
    store::{Clock, ObjectStore},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::stop::Stop;
use crate::verify::{Expectation, Limits};

/// How often a range may break off, if something of it came each time.
const MAX_BREAKS: usize = 16;
/// The unit in which memory is given out.
const UNIT: u64 = 1 << 20;
/// Bytes a second at which an object is read at least. What is larger than the time left allows may be interrupted.
const SLOWEST: u64 = 16 << 20;

/// Reads objects of one bucket.
pub(in crate::verify) struct Reader {
    pub(super) store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    pub(super) bucket: String,
    pub(super) level: Level,
    /// Whether anybody asks for the names of columns.
    pub(super) columns: bool,
    /// What empty lines of a CSV of one column are, if anybody says.
    pub(super) empty_lines: Option<EmptyLines>,
    stop_at: DateTime<Utc>,
    pub(super) range: u64,
    pub(super) ranges: usize,
    /// Bytes that a range on its way may hold.
    pub(super) held: u32,
    memory: Arc<Semaphore>,
    units: u32,
    pub(super) bytes: AtomicU64,
    stopped: AtomicBool,
}

/// A part of a range, and the right to hold it.
pub(super) struct Frame(
    pub(super) Bytes,
    #[expect(dead_code, reason = "it is held")] pub(super) OwnedSemaphorePermit,
);

impl Reader {
    pub(in crate::verify) fn new(
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
    pub(in crate::verify) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Bytes that were hashed and decoded so far.
    pub(in crate::verify) fn bytes_read(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of an object that can be read in the time that is left, at the least.
    pub(super) fn readable(&self) -> u64 {
        let left = (self.stop_at - self.clock.now()).num_seconds();
        u64::try_from(left).unwrap_or(0).saturating_mul(SLOWEST)
    }

    /// Whether there is time to read on.
    pub(in crate::verify) fn has_time(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed) && self.clock.now() < self.stop_at
    }

    /// Whether there is time to look at so many bytes before the reserve begins.
    pub(super) fn has_time_for(&self, bytes: u64) -> bool {
        self.has_time() && (bytes == 0 || bytes < self.readable())
    }

    /// Waits for S3 as long as there is time. Otherwise an answer that hangs would leave no time to keep what was read.
    pub(super) async fn in_time<T>(&self, answer: impl Future<Output = T>) -> Result<T, Stop> {
        if !self.has_time() {
            return Err(Stop::Paused(None));
        }
        tokio::select! {
            biased;
            answer = answer => Ok(answer),
            () = self.clock.until(self.stop_at) => Err(Stop::Paused(None)),
        }
    }

    /// Brings a range, part by part. What breaks off is asked for again from there on.
    pub(super) async fn bring(
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

    pub(super) async fn fetch(&self, key: &str, etag: &str, start: u64, end: u64) -> Result<Bytes> {
        let bytes = self.store.read(&self.bucket, key, etag, start, end).await?;
        if bytes.len() as u64 == end - start {
            return Ok(bytes);
        }
        let text = format!("the answer to bytes {start}..{end} has {} bytes", bytes.len());
        Err(Error::new(ErrorKind::Unavailable, text))
    }

    pub(super) async fn reserve(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Stop> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units);
        Arc::clone(&self.memory)
            .acquire_many_owned(units)
            .await
            .map_err(|_| Stop::Failed(Error::internal("memory is not given out any more")))
    }
}
