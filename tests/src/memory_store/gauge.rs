//! Measures how many bytes of objects are held at the same time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts the bytes that `read` gave out and that are still held.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl Gauge {
    /// The most bytes held at the same time.
    pub(super) fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }
}

/// Bytes that count until they are dropped.
pub(super) struct Counted {
    bytes: Vec<u8>,
    gauge: Arc<Gauge>,
}

impl Counted {
    pub(super) fn new(bytes: Vec<u8>, gauge: &Arc<Gauge>) -> Self {
        let now = gauge.now.fetch_add(bytes.len(), Ordering::SeqCst) + bytes.len();
        gauge.peak.fetch_max(now, Ordering::SeqCst);
        Self {
            bytes,
            gauge: Arc::clone(gauge),
        }
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.now.fetch_sub(self.bytes.len(), Ordering::SeqCst);
    }
}
