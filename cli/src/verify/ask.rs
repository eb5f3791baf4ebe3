//! The arguments of a verification.

use std::time::Duration;

use chrono::{DateTime, Utc};
use landfall::{expect::Expectations, job::Level};
use landfall_formats::Format;

use super::{kept, place::Place};
use crate::access::Access;

/// What is verified, and what it is compared with.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Where it lies, or `None` for the place that the receipt names. Of a folder that `cargo local --out` wrote, its
    /// one output or the receipt's output is verified, and is compared with the receipt.
    pub place: Option<Place>,
    /// The format of the data. `None` recognises it.
    pub format: Option<Format>,
    /// How much is looked at.
    pub level: Level,
    /// No object may be older than this. `None` does not judge it.
    pub started_at: Option<DateTime<Utc>>,
    /// How many rows there must be.
    pub rows: Option<u64>,
    /// Whether data without a row is good.
    pub allow_empty: bool,
    /// The KMS key with which every object must be encrypted.
    pub kms_key: Option<String>,
    /// The time between the two listings. `None` is no time for a folder, and 5 s for a bucket.
    pub settle: Option<Duration>,
    /// What else is expected.
    pub expect: Expectations,
    /// The receipt to compare with. `None` takes the receipt that lies beside the objects, if there is one.
    pub receipt: Option<Place>,
    /// How S3 is reached.
    pub access: Access,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            place: None,
            format: None,
            level: Level::Full,
            started_at: None,
            rows: None,
            allow_empty: false,
            kms_key: None,
            settle: None,
            expect: Expectations::default(),
            receipt: None,
            access: Access::default(),
        }
    }
}

impl Ask {
    /// Whether the user asked for a comparison: a receipt was named, or a folder that a run kept.
    pub(super) fn is_compared(&self) -> bool {
        let is_kept = matches!(&self.place, Some(Place::Local(folder)) if kept::is_kept(folder));
        self.receipt.is_some() || is_kept
    }

    /// Whether more is asked than a comparison with a receipt.
    pub(super) fn expects_more(&self) -> bool {
        self.started_at.is_some() || self.kms_key.is_some() || self.settle.is_some() || !self.expect.is_empty()
    }
}
