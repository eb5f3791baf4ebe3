//! The bytes of one object, in order.
//!
//! What must stay true: a limited number of ranges is being fetched, and each holds a limited number of bytes. When the
//! content is dropped, fetching stops.

use std::{collections::VecDeque, sync::Arc};

use bytes::{Bytes, BytesMut};
use landfall::{
    error::{Error, ErrorKind, Result},
    store::Listed,
};
use tokio::{sync::mpsc, task::JoinHandle};
use tracing::Instrument as _;

use super::{
    reader::{Frame, Reader},
    stop::{Stop, stop},
};

/// How many first bytes are used to recognise a format.
pub(super) const SNIFFED: u64 = 64 * 1024;

/// How many bytes are hashed and decoded in one go, if they have arrived.
const TAKEN: usize = 512 * 1024;

/// The content of one object, in order.
///
/// Several ranges are fetched at a time. Fetching a range pauses when it holds as many bytes as it may.
pub(super) struct Content {
    reader: Arc<Reader>,
    key: String,
    etag: String,
    pub(super) size: u64,
    /// Where the next range begins.
    next: u64,
    ranges: VecDeque<Incoming>,
    /// Bytes that were peeked at and not taken yet.
    peeked: Vec<Bytes>,
}

/// A range that is being fetched. Fetching stops when this is dropped.
struct Incoming {
    frames: mpsc::UnboundedReceiver<Result<Frame>>,
    /// How many bytes have not arrived yet.
    missing: u64,
    task: JoinHandle<()>,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Content {
    pub(super) fn new(reader: &Arc<Reader>, listed: &Listed) -> Self {
        Self {
            reader: Arc::clone(reader),
            key: listed.key.clone(),
            etag: listed.etag.clone(),
            size: listed.size,
            next: 0,
            ranges: VecDeque::new(),
            peeked: Vec::new(),
        }
    }

    /// Begins at an offset other than 0. Must be called before anything is fetched.
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.next = offset;
    }

    /// Begins to fetch the next ranges, as many as are fetched at a time.
    fn prefetch(&mut self) {
        while self.ranges.len() < self.reader.ranges && self.next < self.size {
            let (start, end) = (self.next, self.size.min(self.next.saturating_add(self.reader.range)));
            self.next = end;
            let (sender, frames) = mpsc::unbounded_channel();
            let (reader, key, etag) = (Arc::clone(&self.reader), self.key.clone(), self.etag.clone());
            let task = async move {
                if let Err(error) = reader.bring(&key, &etag, start..end, &sender).await {
                    // If the content was dropped, nobody needs the error.
                    let _ = sender.send(Err(error));
                }
            };
            let task = tokio::spawn(task.in_current_span());
            let missing = end - start;
            self.ranges.push_back(Incoming { frames, missing, task });
        }
    }

    /// The first bytes, enough to recognise a format. They stay the next bytes.
    pub(super) async fn peek(&mut self) -> Result<Bytes, Stop> {
        let mut first = BytesMut::new();
        let wanted = self.size.min(SNIFFED) as usize;
        while first.len() < wanted {
            let frames = self.take().await?;
            if frames.is_empty() {
                break;
            }
            for frame in &frames {
                first.extend_from_slice(&frame[..frame.len().min(wanted - first.len())]);
            }
            self.peeked.extend(frames);
        }
        Ok(first.freeze())
    }

    /// The next bytes, in parts; empty at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<Bytes>, Stop> {
        if self.peeked.is_empty() {
            return self.take().await;
        }
        Ok(std::mem::take(&mut self.peeked))
    }

    /// The bytes that have arrived; if there are none, waits for the first.
    async fn take(&mut self) -> Result<Vec<Bytes>, Stop> {
        let mut taken = Vec::new();
        let mut length = 0;
        loop {
            self.prefetch();
            let Some(range) = self.ranges.front_mut() else {
                return Ok(taken);
            };
            let received = if taken.is_empty() {
                self.reader.in_time(range.frames.recv()).await?
            } else {
                match range.frames.try_recv() {
                    Ok(received) => Some(received),
                    Err(mpsc::error::TryRecvError::Empty) => return Ok(taken),
                    Err(mpsc::error::TryRecvError::Disconnected) => None,
                }
            };
            match received {
                Some(Ok(Frame(bytes, _))) => {
                    range.missing = range.missing.saturating_sub(bytes.len() as u64);
                    length += bytes.len();
                    taken.push(bytes);
                    if length >= TAKEN {
                        return Ok(taken);
                    }
                }
                Some(Err(error)) => return Err(stop(error)),
                None if range.missing > 0 => {
                    return Err(Stop::Failed(Error::new(
                        ErrorKind::Unavailable,
                        format!("a range ended {} bytes early", range.missing),
                    )));
                }
                None => {
                    self.ranges.pop_front();
                }
            }
        }
    }

    /// Any bytes, out of order.
    pub(super) async fn get(&self, start: u64, end: u64) -> Result<Bytes, Stop> {
        let fetched = self.reader.fetch(&self.key, &self.etag, start, end);
        self.reader.in_time(fetched).await?.map_err(stop)
    }
}
