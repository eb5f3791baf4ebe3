//! What an output must be.
//!
//! What must stay true: an expectation goes from invocation to invocation in the ledger bucket, so what an earlier version
//! wrote can be read.

use std::time::Duration;

use chrono::{DateTime, Utc};
use landfall::{
    expect::Expectations,
    job::{Echo, Estimate, Level, NamedFile},
    s3_uri::S3Uri,
};
use landfall_formats::Format;
use serde::{Deserialize, Serialize};

use super::judge::Asker;

/// What must be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// The folder beneath which the job wrote, and nobody else.
    pub prefix: S3Uri,
    /// The format that was asked for; `None` if only the files that the service names are data, each of its own.
    pub format: Option<Format>,
    /// When the job was started, by our clock, before the call.
    pub started_at: DateTime<Utc>,
    /// Whether an output without a single row is a success.
    pub allow_empty: bool,
    /// The KMS key that was asked for: ARN, id or alias.
    pub kms_key: Option<String>,
    /// Shortest time between the two listings that are compared.
    pub settle: Duration,
    /// Rows that the service reports.
    pub rows: Option<u64>,
    /// Whether another number of rows than the service reports fails, rather than warns.
    pub strict_row_count: bool,
    /// Rows that failed, as the service reports.
    pub failed_rows: Option<u64>,
    /// Files that the service names.
    pub files: Option<Vec<NamedFile>>,
    /// What the service says that it was asked for, held against the request.
    #[serde(default)]
    pub echo: Option<Echo>,
    /// What the service estimates of the rows.
    #[serde(default)]
    pub estimate: Option<Estimate>,
    /// How much is looked at.
    pub level: Level,
    /// What the event expects beyond all that.
    pub expect: Expectations,
    /// The newest sealed success in the same destination, before this one.
    pub previous: Option<Previous>,
    /// Who asks, for the words of the reasons.
    #[serde(default)]
    pub asker: Asker,
}

impl Expectation {
    /// What every output beneath a prefix must be: one format, or the files of `files` alone; five seconds between its
    /// listings, every byte read, nothing reported or expected beyond that, and of no age.
    pub fn of(prefix: S3Uri, format: Option<Format>) -> Self {
        Self {
            prefix,
            format,
            started_at: DateTime::UNIX_EPOCH,
            allow_empty: false,
            kms_key: None,
            settle: Duration::from_secs(5),
            rows: None,
            strict_row_count: false,
            failed_rows: None,
            files: None,
            echo: None,
            estimate: None,
            level: Level::default(),
            expect: Expectations::default(),
            previous: None,
            asker: Asker::Event,
        }
    }
}

/// A sealed success that this output is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    pub job_key: String,
    /// Whether it is of the same request.
    pub same_request: bool,
    pub rows: u64,
}
