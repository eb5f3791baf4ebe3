//! How much a verification does at once, and how long it tries.
//!
//! What must stay true: the defaults fit in the memory and the time that the template gives `verify-output`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use landfall::slices;

/// How much is done at once, and how long is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most objects that are verified without a ledger; more is an error.
    pub objects: usize,
    /// Most objects of a slice.
    pub slice_objects: usize,
    /// Bytes after which a slice is full; one object may be larger.
    pub slice_bytes: u64,
    /// Bytes of one ranged read.
    pub range: u64,
    /// Ranges of one object that are fetched side by side.
    pub ranges: usize,
    /// Bytes that one of them may hold before it waits.
    pub held: u32,
    /// Bytes after which what was read outlives a call that fails. What is less is soon read again.
    pub worth: u64,
    /// Objects that are read side by side.
    pub side_by_side: usize,
    /// Bytes that all of them may hold together.
    pub memory: u64,
    /// Most listings before an output that goes on changing is given up.
    pub listings: u32,
    /// Time before the deadline at which reading stops.
    pub reserve: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            objects: 100_000,
            slice_objects: slices::MAX_OBJECTS as usize,
            slice_bytes: slices::MAX_BYTES,
            // Larger ranges cost less processor and fewer requests, and hold no more.
            range: 16 << 20,
            ranges: 2,
            held: 1 << 20,
            worth: 256 << 20,
            side_by_side: 4,
            memory: 96 << 20,
            listings: slices::MAX_ROUNDS,
            reserve: Duration::from_secs(5),
        }
    }
}

impl Limits {
    pub(super) fn stop_at(&self, deadline: DateTime<Utc>) -> DateTime<Utc> {
        let reserve = TimeDelta::from_std(self.reserve).unwrap_or(TimeDelta::MAX);
        deadline.checked_sub_signed(reserve).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }
}
