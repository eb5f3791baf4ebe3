//! Proves that what lies beneath a prefix is the whole output of a job.
//!
//! What must stay true:
//! * Whatever was found wrong with the output is a failed [`Check`] in the [`Report`]; an error is returned only for
//!   what kept the check from being made, and never stands for a verdict.
//! * Every byte of every data object is read once, pinned to the ETag that was listed, hashed and decoded on the way.
//! * The listing is taken again when all was read, at least [`Expectation::settle`] after the one before; what changed
//!   is read and listed again, a bounded number of times.
//! * What decides is a pure function of what was found ([`classify`], [`settle`], [`judge`]); [`work`] lists, plans and
//!   joins, [`batch`] and [`read`] only fetch.
//! * No reason quotes a value of the data, and every reason and list of names in it is bounded.
//!
//! Any size: [`verify`] does all in one process. The function takes one [`turn`] after the other: what does not fit in
//! one batch, or in the time of one invocation, is left to other invocations ([`run_batch`]) by way of the ledger bucket.
//!
//! Memory, whatever the number and the sizes of the objects, with the default [`Limits`]: what objects are being read
//! may hold stays beneath [`Limits::memory`] in sum (for each the ranges that are fetched ahead, plus one line of at
//! most 16 MiB for JSON lines, a few MiB for ORC, or twice the document for PDF); an object that needs more than all of
//! it is read alone. To that come a few batches of readings, at about 1 KiB an object; without a ledger all of them, so
//! that [`Limits::objects`] bounds it.

pub mod batch;
pub mod classify;
mod hash;
pub mod judge;
mod objects;
mod read;
mod report;
pub mod settle;
mod shape;
mod work;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use landfall::{
    batches,
    error::{Error, Result},
    expect::Expectations,
    job::{Level, NamedFile},
    s3_uri::S3Uri,
    store::{Clock, ObjectStore},
};
use serde::{Deserialize, Serialize};

use self::work::Work;
pub use self::{
    hash::{Compared, Hash},
    judge::Asker,
    report::{
        Check, CheckVerdict, Finding, MAX_OBJECTS, ObjectsFile, Reading, Report, Role, SCHEMA, Verdict, VerifiedObject,
    },
    shape::Shape,
    work::{Begin, Desk, Item, Turn},
};
pub use landfall_formats::Format;

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
    /// Its job key.
    pub job_key: String,
    /// Whether it is of the same request.
    pub same_request: bool,
    /// Its rows.
    pub rows: u64,
}

/// How much is done at once, and how long is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most objects that are verified without a ledger; more is an error.
    pub objects: usize,
    /// Most objects of a batch.
    pub batch_objects: usize,
    /// Bytes after which a batch is full; one object may be larger.
    pub batch_bytes: u64,
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
            batch_objects: batches::MAX_OBJECTS as usize,
            batch_bytes: batches::MAX_BYTES,
            // Larger ranges cost less processor and fewer requests, and hold no more.
            range: 16 << 20,
            ranges: 2,
            held: 1 << 20,
            worth: 256 << 20,
            side_by_side: 4,
            memory: 96 << 20,
            listings: batches::MAX_ROUNDS,
            reserve: Duration::from_secs(5),
        }
    }
}

impl Limits {
    fn stop_at(&self, deadline: DateTime<Utc>) -> DateTime<Utc> {
        let reserve = TimeDelta::from_std(self.reserve).unwrap_or(TimeDelta::MAX);
        deadline.checked_sub_signed(reserve).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }
}

/// Verifies a prefix. See the module's own text for what it does.
///
/// `deadline` is the function's own. Fails with `TimedOut` shortly before it, and with what the store fails with.
pub async fn verify(
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    expectation: &Expectation,
    deadline: DateTime<Utc>,
) -> Result<Report> {
    verify_within(store, clock, expectation, deadline, &Limits::default()).await
}

/// [`verify`] with other limits than the default ones.
pub async fn verify_within(
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    expectation: &Expectation,
    deadline: DateTime<Utc>,
    limits: &Limits,
) -> Result<Report> {
    let work = Work::open(&store, &clock, Begin::New(expectation), None, deadline, limits).await?;
    match work.run().await? {
        Turn::Report(report) => Ok(*report),
        Turn::Batches { .. } => Err(Error::internal("a verification without a ledger made batches")),
    }
}

/// Verifies a prefix as far as it goes in one invocation, and leaves the rest on the desk. Fails as [`verify`] does.
pub async fn turn(
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    begin: Begin<'_>,
    desk: &Desk,
    deadline: DateTime<Utc>,
    limits: &Limits,
) -> Result<Turn> {
    Work::open(&store, &clock, begin, Some(desk), deadline, limits)
        .await?
        .run()
        .await
}

/// Reads one batch as far as it goes in one invocation, and says whether it is read to its end. `bucket` is the ledger's.
///
/// Fails with what the store fails with, with `Busy` if another invocation works on the same batch, and with `TimedOut`
/// if an object cannot be read in one invocation and cannot go on in a next one.
pub async fn run_batch(
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    bucket: &str,
    item: &Item,
    deadline: DateTime<Utc>,
    limits: &Limits,
) -> Result<bool> {
    work::run_batch(&store, &clock, bucket, item, deadline, limits).await
}
