//! Proves that what lies beneath a prefix is the whole output of a job.
//!
//! What must stay true:
//! * Whatever was found wrong with the output is a failed [`Check`] in the [`Report`]; an error is returned only for
//!   what kept the check from being made, and never stands for a verdict.
//! * Every byte of every data object is read once, pinned to the ETag that was listed, hashed and decoded on the way.
//! * The listing is taken again when all was read, at least [`Expectation::settle`] after the one before; what changed
//!   is read and listed again, a bounded number of times.
//! * What decides is a pure function of what was found ([`classify`], [`settle`], [`judge`]); this module and [`read`]
//!   only fetch.
//! * No reason quotes a value of the data, and every reason and list of names in it is bounded.
//!
//! Memory, whatever the objects' sizes, with the default [`Limits`]: what objects are being read may hold stays beneath
//! 96 MiB in sum (for each two ranges of 4 MiB, plus one line of at most 16 MiB for JSON lines, twice the largest
//! stripe for ORC, or twice the document for PDF). An object that needs more than all of it is read alone, and holds at
//! most 264 MiB, since ORC stripes of more than 128 MiB are refused. To that come one decoded batch of one ORC column and the file's footer, and about
//! 1 KiB for each object of the listing, of which there may be 100,000.

pub mod classify;
pub mod judge;
mod read;
mod report;
pub mod settle;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use landfall::{
    error::{Error, ErrorKind, Result},
    job::NamedFile,
    s3_uri::S3Uri,
    store::{Clock, Listed, ObjectStore},
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

pub use self::report::{Check, CheckVerdict, Finding, Reading, Report, Role, SCHEMA, Verdict, VerifiedObject};
use self::{
    classify::Plan,
    judge::Evidence,
    read::{Outcome, Reader},
    settle::Settling,
};
pub use crate::formats::Format;

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
}

/// How much is done at once, and how long is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most objects in a listing; more is an error.
    pub objects: usize,
    /// Bytes of one ranged read.
    pub range: u64,
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
            range: 4 << 20,
            side_by_side: 4,
            memory: 96 << 20,
            listings: 5,
            reserve: Duration::from_secs(5),
        }
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
    let reserve = TimeDelta::from_std(limits.reserve).unwrap_or(TimeDelta::MAX);
    let stop_at = deadline.checked_sub_signed(reserve).unwrap_or(DateTime::<Utc>::MIN_UTC);
    let evidence = Verification {
        reader: Arc::new(Reader::new(
            Arc::clone(&store),
            Arc::clone(&clock),
            expectation,
            stop_at,
            limits,
        )),
        store,
        clock: Arc::clone(&clock),
        expectation,
        stop_at,
        limits,
    }
    .gather()
    .await?;
    Ok(judge::judge(expectation, evidence, clock.now()))
}

struct Verification<'a> {
    reader: Arc<Reader>,
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    expectation: &'a Expectation,
    stop_at: DateTime<Utc>,
    limits: &'a Limits,
}

/// The objects of a listing that count, by key, and what is to be done with each.
type Listing = BTreeMap<String, (Listed, Plan)>;

impl Verification<'_> {
    async fn gather(&self) -> Result<Evidence> {
        let mut readings: BTreeMap<String, Reading> = BTreeMap::new();
        let mut settling = Settling::default();
        let (mut listing, _) = self.list().await?;
        let mut listed_at = self.clock.now();
        settling.listings = 1;
        let hidden = loop {
            readings.retain(|key, reading| listing.get(key).is_some_and(|(listed, _)| reading.is_of(listed)));
            let unread = listing
                .values()
                .filter(|(listed, _)| !readings.contains_key(&listed.key))
                .cloned()
                .collect();
            self.read(unread, &mut readings, &mut settling.disturbed).await?;

            self.wait_until(listed_at, listing.len()).await?;
            let (next, hidden) = self.list().await?;
            listed_at = self.clock.now();
            settling.listings += 1;
            let changes = settle::compare(
                listing.values().map(|(listed, _)| listed),
                next.values().map(|(listed, _)| listed),
            );
            let all_read = next.keys().all(|key| readings.contains_key(key));
            listing = next;
            settling.settled = changes.is_empty() && all_read;
            if settling.settled || settling.listings >= self.limits.listings {
                settling.last = changes;
                break hidden;
            }
            settling.earlier.add(changes);
        };
        readings.retain(|key, reading| listing.get(key).is_some_and(|(listed, _)| reading.is_of(listed)));
        Ok(Evidence {
            readings: readings.into_values().collect(),
            settling,
            hidden,
        })
    }

    async fn list(&self) -> Result<(Listing, u64)> {
        let prefix = &self.expectation.prefix;
        let listed = self
            .store
            .list(&prefix.bucket, &prefix.key, self.limits.objects)
            .await
            .map_err(|error| error.context(format!("listing {prefix}")))?;
        let named: BTreeMap<&str, Format> = self
            .expectation
            .files
            .iter()
            .flatten()
            .filter_map(|file| Some((file.uri.as_ref()?, file.format)))
            .filter(|(uri, _)| uri.bucket == prefix.bucket)
            .map(|(uri, format)| (uri.key.as_str(), format))
            .collect();
        let mut hidden = 0;
        let mut listing = Listing::new();
        for object in listed {
            let of = named.get(object.key.as_str()).copied();
            match classify::plan(&prefix.key, &object.key, object.size, self.expectation.format, of) {
                Plan::Ignore => hidden += 1,
                plan => {
                    listing.insert(object.key.clone(), (object, plan));
                }
            }
        }
        Ok((listing, hidden))
    }

    /// Reads objects side by side.
    async fn read(
        &self,
        objects: Vec<(Listed, Plan)>,
        readings: &mut BTreeMap<String, Reading>,
        disturbed: &mut BTreeSet<String>,
    ) -> Result<()> {
        let (total, bytes) = (
            objects.len(),
            objects.iter().map(|(listed, _)| listed.size).sum::<u64>(),
        );
        let before = self.reader.bytes_read();
        let mut done = 0;
        let mut waiting = objects.into_iter();
        // Dropped on an error, it stops the other readers.
        let mut readers = JoinSet::new();
        loop {
            while readers.len() < self.limits.side_by_side.max(1) {
                let Some((listed, plan)) = waiting.next() else { break };
                readers.spawn(Arc::clone(&self.reader).read(listed, plan));
            }
            let Some(read) = readers.join_next().await else {
                return Ok(());
            };
            match read.map_err(|_| Error::internal("the reader of an object stopped"))? {
                Ok(Outcome::Read(reading)) => {
                    readings.insert(reading.object.key.clone(), *reading);
                    done += 1;
                }
                Ok(Outcome::Disturbed { key, data }) => {
                    if data {
                        disturbed.insert(key);
                    }
                }
                Err(error) if error.kind == ErrorKind::TimedOut => {
                    let read = self.reader.bytes_read() - before;
                    return Err(self.out_of_time(&format!(
                        "{done} of {total} objects and {read} of {bytes} bytes were read"
                    )));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the settling time since a listing has passed.
    async fn wait_until(&self, listed_at: DateTime<Utc>, objects: usize) -> Result<()> {
        let now = self.clock.now();
        let passed = (now - listed_at).to_std().unwrap_or_default();
        let rest = self.expectation.settle.saturating_sub(passed);
        let left = (self.stop_at - now).to_std().unwrap_or_default();
        if left.is_zero() || rest > left {
            return Err(self.out_of_time(&format!(
                "all of the {objects} objects were read, but not listed again {} s later",
                self.expectation.settle.as_secs_f64()
            )));
        }
        if !rest.is_zero() {
            self.clock.sleep(rest).await;
        }
        Ok(())
    }

    fn out_of_time(&self, how_far: &str) -> Error {
        Error::new(
            ErrorKind::TimedOut,
            format!(
                "the verification of {} did not end before the function's deadline: {how_far}; give the function more \
                 time or memory (which brings more processor)",
                self.expectation.prefix
            ),
        )
    }
}
