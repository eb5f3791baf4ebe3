//! How much a verification does at once, and how long it tries.
//!
//! What must stay true: the defaults fit in the memory and the time that the template gives `verify-output`.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use landfall::slices;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most objects that are verified without a ledger. More are an error.
    pub objects: usize,
    /// Most objects in a slice.
    pub slice_objects: usize,
    /// Most bytes in a slice that holds more than one object.
    pub slice_bytes: u64,
    /// Bytes of one ranged read.
    pub range: u64,
    /// How many ranges of one object are fetched at a time.
    pub ranges: usize,
    /// How many bytes of a range may wait to be decoded, until fetching pauses.
    pub held: u32,
    /// If a call fails, bytes that were read are kept from this number on. Fewer are soon read again.
    pub worth: u64,
    /// How many objects are read at a time.
    pub side_by_side: usize,
    /// How many bytes all of them may hold together.
    pub memory: u64,
    /// How often an output is listed, at most, until it is given up because it keeps changing.
    pub listings: u32,
    /// How long before the deadline reading stops.
    pub reserve: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            objects: 100_000,
            slice_objects: slices::MAX_OBJECTS as usize,
            slice_bytes: slices::MAX_BYTES,
            // Larger ranges need less processor time and fewer requests, and hold no more memory.
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
