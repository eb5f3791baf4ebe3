//! What must hold of an output.
//!
//! What must stay true: an expectation is stored in the ledger bucket between invocations, so one that an earlier
//! version wrote can be read.

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

/// What must hold of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// The folder that the job wrote to, and nobody else.
    pub prefix: S3Uri,
    /// The format that was asked for. `None` if only the files that the service names are data, each with its own
    /// format.
    pub format: Option<Format>,
    /// When the job was started: before the start call, by our clock.
    pub started_at: DateTime<Utc>,
    /// Whether an output without rows is a success.
    pub allow_empty: bool,
    /// The KMS key that was asked for: an ARN, an id or an alias.
    pub kms_key: Option<String>,
    /// The shortest time between the two listings that are compared.
    pub settle: Duration,
    /// The number of rows that the service reports.
    pub rows: Option<u64>,
    /// Whether the check fails, instead of warning, if the number of rows differs from the number that the service
    /// reports.
    pub strict_row_count: bool,
    /// The number of failed rows that the service reports.
    pub failed_rows: Option<u64>,
    /// The files that the service names.
    pub files: Option<Vec<NamedFile>>,
    /// What the service says it was asked for, compared with the request.
    #[serde(default)]
    pub echo: Option<Echo>,
    /// The service's own estimate of the rows.
    #[serde(default)]
    pub estimate: Option<Estimate>,
    /// How thoroughly the output is checked.
    pub level: Level,
    /// What the event expects in addition.
    pub expect: Expectations,
    /// The newest sealed success in the same destination before this job.
    pub previous: Option<Previous>,
    /// Who asks, which changes the words of the reasons.
    #[serde(default)]
    pub asker: Asker,
}

impl Expectation {
    /// An expectation that holds for any output beneath a prefix. The output has the given format or, with `None`, only
    /// the files in `files`. Each byte is read, there are five seconds between the listings, the age does not matter,
    /// and nothing else is reported or expected.
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

/// The earlier success that an output is compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    pub job_key: String,
    /// Whether it is of the same request.
    pub same_request: bool,
    pub rows: u64,
}
