//! The reader of objects: it knows the bucket, the time that is left and the memory that is free.
//!
//! What must stay true: no call of S3 outlasts the time. If a range breaks off, the rest is fetched again, as long as
//! some bytes come each time.

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
    clock::Clock,
    error::{Error, ErrorKind, Result},
    expect::EmptyLines,
    job::Level,
    store::ObjectStore,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::stop::Stop;
use crate::verify::{Expectation, Limits};

/// How often a range may break off, if some bytes came each time.
const MAX_BREAKS: usize = 16;
/// Memory is given out in units of this size.
const UNIT: u64 = 1 << 20;
/// Objects are read at least this fast, in bytes a second. An object that is too large for the time left may be
/// interrupted.
const SLOWEST: u64 = 16 << 20;

/// Reads objects of one bucket.
pub(in crate::verify) struct Reader {
    pub(super) store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    pub(super) bucket: String,
    pub(super) level: Level,
    /// Whether the names of columns are needed.
    pub(super) columns: bool,
    /// What empty lines of a CSV with one column are, if the event says so.
    pub(super) empty_lines: Option<EmptyLines>,
    stop_at: DateTime<Utc>,
    pub(super) range: u64,
    pub(super) ranges: usize,
    /// How many bytes of a range may wait to be decoded.
    pub(super) held: u32,
    memory: Arc<Semaphore>,
    units: u32,
    pub(super) bytes: AtomicU64,
    stopped: AtomicBool,
}

/// A part of a range, with the permit to hold it.
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

    /// Makes all objects that are being read pause, as if time were up.
    pub(in crate::verify) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(in crate::verify) fn bytes_read(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many bytes of an object can be read for sure in the time that is left.
    pub(super) fn readable(&self) -> u64 {
        let left = (self.stop_at - self.clock.now()).num_seconds();
        u64::try_from(left).unwrap_or(0).saturating_mul(SLOWEST)
    }

    /// Whether there is time to read on.
    pub(in crate::verify) fn has_time(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed) && self.clock.now() < self.stop_at
    }

    /// Whether there is time to decode this many bytes.
    pub(super) fn has_time_for(&self, bytes: u64) -> bool {
        self.has_time() && (bytes == 0 || bytes < self.readable())
    }

    /// Waits for S3 while there is time. Otherwise an answer that hangs would leave no time to keep what was read.
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

    /// Fetches a range in parts. If the answer breaks off, fetches the rest again.
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
                    // The parts that came are good, so it is no failure as long as some come each time.
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
