//! What `landfall verify` is asked.

use std::time::Duration;

use chrono::{DateTime, Utc};
use landfall::{expect::Expectations, job::Level};
use landfall_formats::Format;

use super::{kept, place::Place};
use crate::access::Access;

/// What is to be verified, and against what.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Where it lies; that of the receipt when `None`. Of a folder that `cargo local --out` wrote, its one output, or that
    /// of the receipt, is verified and held against the receipt.
    pub place: Option<Place>,
    /// The format of the data; recognised when `None`.
    pub format: Option<Format>,
    /// How much is looked at.
    pub level: Level,
    /// Nothing may be older; not judged when `None`.
    pub started_at: Option<DateTime<Utc>>,
    /// The rows that there must be.
    pub rows: Option<u64>,
    /// Whether data without a row is good.
    pub allow_empty: bool,
    /// The KMS key by which everything must be encrypted.
    pub kms_key: Option<String>,
    /// Time between the two listings; none for a folder and 5 s for a bucket when `None`.
    pub settle: Option<Duration>,
    /// What is expected beyond that.
    pub expect: Expectations,
    /// A receipt to hold what is there against; the one that lies beside the objects, if there is one, when `None`.
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
    /// Whether it is asked for what a receipt tells: one was named, or a folder that a run kept.
    pub(super) fn is_compared(&self) -> bool {
        let is_kept = matches!(&self.place, Some(Place::Local(folder)) if kept::is_kept(folder));
        self.receipt.is_some() || is_kept
    }

    /// Whether more is asked than what a receipt tells.
    pub(super) fn expects_more(&self) -> bool {
        self.started_at.is_some() || self.kms_key.is_some() || self.settle.is_some() || !self.expect.is_empty()
    }
}
