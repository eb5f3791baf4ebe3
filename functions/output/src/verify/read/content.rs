//! The bytes of one object, in order.
//!
//! What must stay true: a bounded number of ranges is on its way, each of which holds no more than it may; what is dropped
//! is given up.

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

/// First bytes by which a format is recognised.
pub(super) const SNIFFED: u64 = 64 * 1024;

/// Bytes that are hashed and decoded in one go, where so many are there.
const TAKEN: usize = 512 * 1024;

/// The content of one object in order.
///
/// It is asked for in ranges, several of which are on their way; each waits when it has brought as much as it may hold.
pub(super) struct Content {
    reader: Arc<Reader>,
    key: String,
    etag: String,
    pub(super) size: u64,
    /// Where the next range begins that was not asked for yet.
    next: u64,
    ranges: VecDeque<Incoming>,
    /// What was looked at and not yet taken.
    peeked: Vec<Bytes>,
}

/// A range on its way; given up when dropped.
struct Incoming {
    frames: mpsc::UnboundedReceiver<Result<Frame>>,
    /// Bytes that have not come yet.
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

    /// Begins at another offset than 0. Not to be called when something was asked for.
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.next = offset;
    }

    /// Asks for the next ranges, as many as are fetched side by side.
    fn prefetch(&mut self) {
        while self.ranges.len() < self.reader.ranges && self.next < self.size {
            let (start, end) = (self.next, self.size.min(self.next.saturating_add(self.reader.range)));
            self.next = end;
            let (sender, frames) = mpsc::unbounded_channel();
            let (reader, key, etag) = (Arc::clone(&self.reader), self.key.clone(), self.etag.clone());
            let task = async move {
                if let Err(error) = reader.bring(&key, &etag, start..end, &sender).await {
                    // Whoever does not take it any more does not need it.
                    let _ = sender.send(Err(error));
                }
            };
            let task = tokio::spawn(task.in_current_span());
            let missing = end - start;
            self.ranges.push_back(Incoming { frames, missing, task });
        }
    }

    /// The first bytes, which stay the next ones: as many as a format is recognised by.
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

    /// The next bytes, in parts of them; none at the end.
    pub(super) async fn next(&mut self) -> Result<Vec<Bytes>, Stop> {
        if self.peeked.is_empty() {
            return self.take().await;
        }
        Ok(std::mem::take(&mut self.peeked))
    }

    /// What is there, or else the first that comes.
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

    /// Any part, out of order.
    pub(super) async fn get(&self, start: u64, end: u64) -> Result<Bytes, Stop> {
        let fetched = self.reader.fetch(&self.key, &self.etag, start, end);
        self.reader.in_time(fetched).await?.map_err(stop)
    }
}
