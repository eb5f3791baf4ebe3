//! A verification from its first listing to its report, in one invocation or in many.
//!
//! What must stay true:
//! * A verification is a number of rounds. Each lists the prefix, joins the listing with all that was read so far, and
//!   reads what is new. It has ended when two listings in a row are equal and all that they list was read.
//! * Listings, readings and plans are streams in the order of keys: memory holds a page, a few batches and what the
//!   checks count, whatever the number of objects.
//! * What is read in one batch, within the time of this invocation, needs no ledger. What is not is planned in batches
//!   in the ledger bucket, beneath a prefix that no other invocation writes to, and read by others.
//! * An object is read again only if it has changed.
//! * A batch that nobody finished (its invocations were throttled, or an execution was stopped) is run again, a bounded
//!   number of times; only an error that would come again ends the verification.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use landfall::{
    batches::{MAX_BATCHES, MAX_REPEATS, MAX_SECONDS, MAX_TURNS},
    error::{Error, ErrorKind, Result},
    job::Place,
    s3_uri::S3Uri,
    store::{CLOCK_SKEW, Clock, Condition, Listed, ObjectStore, Written},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::task::{JoinError, JoinHandle, JoinSet};

use super::{
    Expectation, Format, Limits, Reading, Report, Role, SCHEMA,
    batch::BatchState,
    classify::{self, Plan},
    judge::{Circumstances, Tally},
    objects::Objects,
    read::Reader,
    settle::{Changes, Keys, Settling},
};

/// The schema of what is kept of a verification between invocations.
const WORK_SCHEMA: &str = "landfall.work/1";
/// Removed objects that are kept by name. An output that loses more of them does not stand still.
const MAX_GONE: usize = 10_000;
/// Batches whose readings are fetched ahead.
const AHEAD: usize = 2;
/// Batches that are written at a time.
const WRITTEN_AT_A_TIME: usize = 8;
/// Kept free, of an invocation's time, for listing and judging after reading.
const TO_JUDGE: TimeDelta = TimeDelta::seconds(10);

/// Where a verification that is larger than one invocation keeps its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desk {
    /// The ledger bucket.
    pub bucket: String,
    /// A prefix that only this invocation writes to.
    pub prefix: String,
    /// Key of the list of objects, should they be too many for the report.
    pub objects: String,
}

/// Where a verification begins.
#[derive(Clone, Copy, Debug)]
pub enum Begin<'a> {
    /// At its begin.
    New(&'a Expectation),
    /// Where an earlier invocation left it: the key of its work in the ledger bucket.
    At(&'a str),
}

/// What an invocation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The end.
    Report(Box<Report>),
    /// Batches are to be read first.
    Batches {
        /// Key of the work, to go on with.
        work: String,
        /// The batches: a JSON array of [`Item`]s.
        manifest: Place,
        /// How many.
        batches: u64,
    },
}

/// One batch, as the state machine hands it to the function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Key of the verification's work.
    pub work: String,
    /// Key of the batch, without its ending.
    pub batch: String,
}

/// What is kept of a verification between invocations.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct File {
    schema: String,
    expectation: Expectation,
    settling: Settling,
    /// Objects that were listed and read, and are not listed any more.
    gone: BTreeSet<String>,
    listed_at: Option<DateTime<Utc>>,
    /// When its batches were first planned.
    planned_at: Option<DateTime<Utc>>,
    rounds: Vec<There>,
    batches: u64,
    /// How often batches that nobody finished were run again.
    #[serde(default)]
    repeats: u32,
}

/// A round whose batches are in the ledger bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct There {
    prefix: String,
    batches: u64,
}

impl There {
    fn batch(&self, number: u64) -> String {
        format!("{}batch-{number:05}", self.prefix)
    }
}

fn tasks_key(batch: &str) -> String {
    format!("{batch}.tasks.json")
}

fn state_key(batch: &str) -> String {
    format!("{batch}.state.json")
}

/// What was read in one round.
enum Round {
    /// By this invocation.
    Here(BatchState),
    /// By others.
    There(There),
}

/// What a round found: its own, or of one that this invocation keeps. Two words wide, where a
/// [`Cow`](std::borrow::Cow) is as wide as what it may own: all borrowed ones of a round are put in order together.
enum Held<'a, T> {
    Own(Box<T>),
    Kept(&'a T),
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Own(own) => own,
            Self::Kept(kept) => kept,
        }
    }
}

impl<T: Clone> Held<'_, T> {
    fn into_owned(self) -> T {
        match self {
            Self::Own(own) => *own,
            Self::Kept(kept) => kept.clone(),
        }
    }
}

/// Something that was tried to be read, in the order of keys.
enum Tried<'a> {
    Read(Held<'a, Reading>),
    Disturbed(Held<'a, Disturbed>),
}

impl Tried<'_> {
    fn key(&self) -> &str {
        match self {
            Self::Read(reading) => &reading.object.key,
            Self::Disturbed(disturbed) => &disturbed.listed.key,
        }
    }
}

/// What a batch tried, in the order of keys.
fn in_order<'a>(
    readings: impl Iterator<Item = Held<'a, Reading>>,
    disturbed: impl Iterator<Item = Held<'a, Disturbed>>,
) -> VecDeque<Tried<'a>> {
    let mut tried: Vec<_> = readings
        .map(Tried::Read)
        .chain(disturbed.map(Tried::Disturbed))
        .collect();
    tried.sort_by(|one, other| one.key().cmp(other.key()));
    tried.into()
}

/// All that a round tried, in the order of keys.
struct Source<'a> {
    store: &'a Arc<dyn ObjectStore>,
    bucket: &'a str,
    there: Option<&'a There>,
    /// Whether it was read since the last listing.
    is_new: bool,
    /// Set when a batch is met that nobody finished.
    unfinished: &'a AtomicBool,
    next: u64,
    ahead: VecDeque<Ahead>,
    loaded: VecDeque<Tried<'a>>,
}

/// A batch on its way; given up when dropped.
struct Ahead(String, JoinHandle<Result<BatchState>>);

impl Drop for Ahead {
    fn drop(&mut self) {
        self.1.abort();
    }
}

impl<'a> Source<'a> {
    /// The next one, to be looked at.
    async fn peek(&mut self) -> Result<Option<&Tried<'a>>> {
        while self.loaded.is_empty() {
            let Some(there) = self.there else { return Ok(None) };
            while self.ahead.len() < AHEAD && self.next < there.batches {
                let batch = there.batch(self.next);
                self.next += 1;
                let (store, bucket, key) = (Arc::clone(self.store), self.bucket.to_owned(), batch.clone());
                let load = tokio::spawn(async move {
                    let state = load(store.as_ref(), &bucket, &state_key(&key)).await?;
                    Ok(state.map(|(state, _)| state).unwrap_or_default())
                });
                self.ahead.push_back(Ahead(batch, load));
            }
            let Some(mut ahead) = self.ahead.pop_front() else {
                return Ok(None);
            };
            let state = (&mut ahead.1).await.map_err(|_| Error::internal("a read stopped"))??;
            if let Some(error) = &state.error {
                let kind = ErrorKind::from_name(&error.error).unwrap_or(ErrorKind::Internal);
                return Err(Error::new(kind, error.message()));
            }
            if !state.done {
                self.unfinished.store(true, Ordering::Relaxed);
                return Err(Error::internal(format!(
                    "the batch s3://{}/{} was not read to its end and left no error; see the log of verify-output",
                    self.bucket, ahead.0
                )));
            }
            let own = (state.readings.into_iter(), state.disturbed.into_iter());
            self.loaded = in_order(
                own.0.map(|reading| Held::Own(Box::new(reading))),
                own.1.map(|disturbed| Held::Own(Box::new(disturbed))),
            );
        }
        Ok(self.loaded.front())
    }

    /// Takes the next one if it comes before `key`, or is of it.
    async fn up_to(&mut self, key: Option<&str>) -> Result<Option<Tried<'a>>> {
        let is_due = match (self.peek().await?, key) {
            (Some(tried), Some(key)) => tried.key() <= key,
            (tried, None) => tried.is_some(),
            (None, _) => false,
        };
        Ok(if is_due { self.loaded.pop_front() } else { None })
    }
}

/// What became of what is to be read.
enum Planned {
    Nothing,
    /// It fits in one batch.
    Here(Vec<Task>),
    /// It was written in batches.
    There(There),
}

/// Writes batches as tasks come.
struct Planner<'a> {
    limits: &'a Limits,
    store: &'a Arc<dyn ObjectStore>,
    /// The bucket, and the round's prefix; `None` if all is read here.
    place: Option<(&'a str, String)>,
    current: Vec<Task>,
    bytes: u64,
    batches: u64,
    writing: JoinSet<Result<()>>,
}

impl Planner<'_> {
    async fn push(&mut self, task: Task) -> Result<()> {
        let size = match task.plan {
            Plan::Data(_) | Plan::Sniff(_) => task.listed.size,
            _ => 0,
        };
        let is_full = self.current.len() >= self.limits.batch_objects
            || self.bytes.saturating_add(size) > self.limits.batch_bytes;
        if self.place.is_some() && is_full && !self.current.is_empty() {
            self.flush().await?;
        }
        if self.place.is_none() && self.current.len() >= self.limits.objects {
            return Err(Error::internal(format!(
                "there are more than {} objects, the most that are verified without a ledger",
                self.limits.objects
            )));
        }
        self.bytes += size;
        self.current.push(task);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let Some((bucket, prefix)) = &self.place else {
            return Ok(());
        };
        if self.batches >= MAX_BATCHES {
            return Err(Error::internal(format!(
                "the output is larger than {MAX_BATCHES} batches of {} objects or {} bytes",
                self.limits.batch_objects, self.limits.batch_bytes
            )));
        }
        let there = There {
            prefix: prefix.clone(),
            batches: 0,
        };
        let key = tasks_key(&there.batch(self.batches));
        let body = encode(&std::mem::take(&mut self.current))?;
        self.bytes = 0;
        self.batches += 1;
        while self.writing.len() >= WRITTEN_AT_A_TIME {
            joined(self.writing.join_next().await)?;
        }
        let (store, bucket) = (Arc::clone(self.store), (*bucket).to_owned());
        self.writing
            .spawn(async move { write(store.as_ref(), &bucket, &key, body).await });
        Ok(())
    }

    async fn finish(mut self) -> Result<Planned> {
        if self.batches == 0 {
            return Ok(if self.current.is_empty() {
                Planned::Nothing
            } else {
                Planned::Here(self.current)
            });
        }
        if !self.current.is_empty() {
            self.flush().await?;
        }
        while let Some(written) = self.writing.join_next().await {
            joined(Some(written))?;
        }
        let (_, prefix) = self.place.ok_or_else(|| Error::internal("batches without a place"))?;
        Ok(Planned::There(There {
            prefix,
            batches: self.batches,
        }))
    }
}

fn joined(written: Option<Result<Result<()>, JoinError>>) -> Result<()> {
    match written {
        Some(written) => written.map_err(|_| Error::internal("a write stopped"))?,
        None => Ok(()),
    }
}

/// A listing, joined with what was read.
struct Join<'a> {
    tally: Tally,
    objects: Objects<'a>,
    hidden: u64,
    changes: Changes,
    planned: Planned,
}

pub(super) struct Work<'a> {
    store: &'a Arc<dyn ObjectStore>,
    clock: &'a Arc<dyn Clock>,
    limits: &'a Limits,
    stop_at: DateTime<Utc>,
    desk: Option<&'a Desk>,
    expectation: Expectation,
    /// The formats of the files that the service names, by key.
    named: BTreeMap<String, Format>,
    settling: Settling,
    gone: BTreeSet<String>,
    listed_at: Option<DateTime<Utc>>,
    /// How far our clock may be ahead of the one that `listed_at` was taken from.
    ahead: TimeDelta,
    planned_at: Option<DateTime<Utc>>,
    rounds: Vec<Round>,
    /// The round that others have read since the last listing: its prefix.
    unjoined: Option<String>,
    /// How long the last listing took, with what it was joined with.
    listing_took: TimeDelta,
    batches: u64,
    repeats: u32,
    /// Whether the join met a batch that nobody finished.
    unfinished: AtomicBool,
}

impl<'a> Work<'a> {
    pub(super) async fn open(
        store: &'a Arc<dyn ObjectStore>,
        clock: &'a Arc<dyn Clock>,
        begin: Begin<'_>,
        desk: Option<&'a Desk>,
        deadline: DateTime<Utc>,
        limits: &'a Limits,
    ) -> Result<Self> {
        let file = match (begin, desk) {
            (Begin::New(expectation), _) => File::new(expectation),
            (Begin::At(key), Some(desk)) => File::load(store.as_ref(), &desk.bucket, key).await?,
            (Begin::At(_), None) => return Err(Error::internal("a verification cannot go on without its ledger")),
        };
        let prefix = &file.expectation.prefix;
        let files = file.expectation.files.iter().flatten();
        let named = files
            .filter_map(|file| Some((file.uri.as_ref()?, file.format)))
            .filter(|(uri, _)| uri.bucket == prefix.bucket)
            .map(|(uri, format)| (uri.key.clone(), format))
            .collect();
        Ok(Self {
            store,
            clock,
            limits,
            stop_at: limits.stop_at(deadline),
            desk,
            expectation: file.expectation,
            named,
            settling: file.settling,
            gone: file.gone,
            listed_at: file.listed_at,
            ahead: CLOCK_SKEW,
            planned_at: file.planned_at,
            listing_took: TimeDelta::zero(),
            unjoined: file.rounds.last().map(|there| there.prefix.clone()),
            rounds: file.rounds.into_iter().map(Round::There).collect(),
            batches: file.batches,
            repeats: file.repeats,
            unfinished: AtomicBool::new(false),
        })
    }

    pub(super) async fn run(mut self) -> Result<Turn> {
        loop {
            self.settle().await?;
            let begun_at = self.clock.now();
            let before = (self.settling.clone(), self.gone.clone());
            let join = match self.join().await {
                Err(error) if self.unfinished.load(Ordering::Relaxed) && self.repeats < MAX_REPEATS => {
                    tracing::warn!("{}; what is left is run again", error.message);
                    (self.settling, self.gone) = before;
                    return self.leave_unfinished().await;
                }
                join => join?,
            };
            self.listed_at = Some(self.clock.now());
            self.ahead = TimeDelta::zero();
            self.listing_took = self.clock.now() - begun_at;
            self.settling.listings += 1;
            let is_first = self.settling.listings == 1;
            if !is_first {
                let settled = join.changes.is_empty() && matches!(join.planned, Planned::Nothing);
                if settled || self.settling.listings >= self.limits.listings {
                    self.settling.settled = settled;
                    self.settling.last = join.changes;
                    let report = self.report(join.hidden, join.tally, join.objects).await?;
                    return Ok(Turn::Report(Box::new(report)));
                }
                self.settling.earlier.add(&join.changes);
            }
            if let Err(error) = join.objects.abort().await {
                tracing::warn!(
                    "the parts of an upload are left to the bucket's lifecycle: {}",
                    error.message
                );
            }
            match join.planned {
                Planned::Nothing => {}
                Planned::Here(tasks) => {
                    let state = self.read(&tasks).await?;
                    if !state.done {
                        return self.leave_begun(tasks, state).await;
                    }
                    for disturbed in state.disturbed.iter().filter(|disturbed| disturbed.data) {
                        self.settling.disturbed.add(&disturbed.listed.key);
                    }
                    self.rounds.push(Round::Here(state));
                }
                Planned::There(there) => return self.leave(there).await,
            }
        }
    }

    /// Waits until the settling time since the last listing has passed.
    async fn settle(&mut self) -> Result<()> {
        let Some(listed_at) = self.listed_at else { return Ok(()) };
        let now = self.clock.now();
        let passed = (now - listed_at - self.ahead).to_std().unwrap_or_default();
        let rest = self.expectation.settle.saturating_sub(passed);
        let left = (self.stop_at - now).to_std().unwrap_or_default();
        if left.is_zero() || rest > left {
            return Err(self.out_of_time(&format!(
                "all objects were read, but not listed again {} s later",
                self.expectation.settle.as_secs_f64()
            )));
        }
        if !rest.is_zero() {
            self.clock.sleep(rest).await;
        }
        Ok(())
    }

    /// Lists, and joins the listing with what was read so far.
    async fn join(&mut self) -> Result<Join<'a>> {
        let prefix = self.expectation.prefix.clone();
        let mut planner = Planner {
            limits: self.limits,
            store: self.store,
            place: self.desk.map(|desk| (desk.bucket.as_str(), self.round_prefix(desk))),
            current: Vec::new(),
            bytes: 0,
            batches: 0,
            writing: JoinSet::new(),
        };
        let mut objects = Objects::new(self.desk.map(|desk| {
            let (bucket, key) = (desk.bucket.clone(), desk.objects.clone());
            (self.store.as_ref(), S3Uri { bucket, key })
        }));
        let mut tally = Tally::new(&self.expectation);
        let mut hidden = 0;
        let gone = std::mem::take(&mut self.gone);
        let mut past = Past {
            sources: self.rounds.iter().map(|round| self.source(round)).collect(),
            gone,
            changes: Changes::default(),
            disturbed: Keys::default(),
        };
        let mut before: Option<String> = None;
        loop {
            if self.clock.now() >= self.stop_at {
                return Err(self.out_of_time("not all of it could be listed"));
            }
            let page = self
                .store
                .list_page(&prefix.bucket, &prefix.key, before.as_deref())
                .await
                .map_err(|error| error.context(format!("listing {prefix}")))?;
            for listed in page.objects {
                if before.as_ref().is_some_and(|before| *before >= listed.key) {
                    return Err(Error::internal(format!(
                        "{prefix} is not listed in the order of keys, without which it cannot be verified"
                    )));
                }
                before = Some(listed.key.clone());
                let named = self.named.get(&listed.key).copied();
                let asked = self.expectation.format;
                match classify::plan(&prefix.key, &listed.key, listed.size, asked, named) {
                    Plan::Ignore => hidden += 1,
                    plan => match past.reading_of(&listed).await? {
                        Some(reading) => {
                            tally.add(&reading);
                            objects.push(reading.object).await?;
                        }
                        None => planner.push(Task { listed, plan }).await?,
                    },
                }
            }
            if page.next.is_none() {
                break;
            }
        }
        past.end().await?;
        let Past {
            gone,
            changes,
            disturbed,
            ..
        } = past;
        self.gone = gone;
        self.settling.disturbed.append(&disturbed);
        self.unjoined = None;
        Ok(Join {
            tally,
            objects,
            hidden,
            changes,
            planned: planner.finish().await?,
        })
    }

    fn source<'s>(&'s self, round: &'s Round) -> Source<'s> {
        let (there, loaded) = match round {
            // Not copied: without a ledger it may be all there is.
            Round::Here(state) => {
                let readings = state.readings.iter().map(Held::Kept);
                (None, in_order(readings, state.disturbed.iter().map(Held::Kept)))
            }
            Round::There(there) => (Some(there), VecDeque::new()),
        };
        Source {
            store: self.store,
            bucket: self.desk.map_or("", |desk| desk.bucket.as_str()),
            there,
            is_new: there.is_some_and(|there| self.unjoined.as_ref() == Some(&there.prefix)),
            unfinished: &self.unfinished,
            next: 0,
            ahead: VecDeque::new(),
            loaded,
        }
    }

    fn round_prefix(&self, desk: &Desk) -> String {
        format!("{}round-{}/", desk.prefix, self.rounds.len() + 1)
    }

    /// Reads one batch, as far as time goes.
    async fn read(&self, tasks: &[Task]) -> Result<BatchState> {
        // What is left unread goes on elsewhere, if there is a ledger; so time is kept to list and judge.
        let stop_at = match self.desk {
            Some(_) => {
                let settle = TimeDelta::from_std(self.expectation.settle).unwrap_or(TimeDelta::MAX);
                [settle, self.listing_took, self.listing_took, TO_JUDGE]
                    .into_iter()
                    .try_fold(self.stop_at, DateTime::checked_sub_signed)
                    .unwrap_or(DateTime::<Utc>::MIN_UTC)
            }
            None => self.stop_at,
        };
        let reader = Arc::new(Reader::new(
            self.store,
            self.clock,
            &self.expectation,
            stop_at,
            self.limits,
        ));
        let mut state = BatchState::default();
        match state.turn(&reader, tasks, self.limits.side_by_side).await {
            // What was read until then is not read again.
            Err(error)
                if self.desk.is_some() && error.kind.is_transient() && reader.bytes_read() >= self.limits.worth =>
            {
                tracing::warn!("{}; the verification goes on from there", error.message);
                state.done = false;
            }
            turned => turned?,
        }
        if state.done || self.desk.is_some() {
            return Ok(state);
        }
        let bytes: u64 = tasks.iter().map(|task| task.listed.size).sum();
        Err(self.out_of_time(&format!(
            "{} of {} objects and {} of {bytes} bytes were read",
            state.readings.len(),
            tasks.len(),
            reader.bytes_read()
        )))
    }

    /// Leaves a batch that was begun to other invocations.
    async fn leave_begun(self, tasks: Vec<Task>, state: BatchState) -> Result<Turn> {
        let Some(desk) = self.desk else {
            return Err(Error::internal("a batch cannot go on without a ledger"));
        };
        let there = There {
            prefix: self.round_prefix(desk),
            batches: 1,
        };
        let batch = there.batch(0);
        let store = self.store.as_ref();
        write(store, &desk.bucket, &tasks_key(&batch), encode(&tasks)?).await?;
        write(store, &desk.bucket, &state_key(&batch), encode(&state)?).await?;
        self.leave(there).await
    }

    /// Leaves the batches of a round to other invocations.
    async fn leave(mut self, there: There) -> Result<Turn> {
        let batches = (0..there.batches).map(|number| there.batch(number)).collect();
        self.batches += there.batches;
        self.rounds.push(Round::There(there));
        self.leave_batches(batches).await
    }

    /// Leaves what nobody finished of the last round to other invocations, once more.
    async fn leave_unfinished(mut self) -> Result<Turn> {
        let (Some(desk), Some(Round::There(there))) = (self.desk, self.rounds.last()) else {
            return Err(Error::internal("there is no round of batches to go on with"));
        };
        let states = (0..there.batches).map(|number| {
            let batch = there.batch(number);
            async move {
                let state = load::<BatchState>(self.store.as_ref(), &desk.bucket, &state_key(&batch)).await?;
                let is_done = state.is_some_and(|(state, _)| state.done || state.error.is_some());
                Ok((!is_done).then_some(batch))
            }
        });
        let unfinished: Vec<Option<String>> = stream::iter(states).buffered(AHEAD).try_collect().await?;
        self.repeats += 1;
        self.leave_batches(unfinished.into_iter().flatten().collect()).await
    }

    /// Leaves batches of the last round to other invocations.
    async fn leave_batches(self, batches: Vec<String>) -> Result<Turn> {
        let Some(desk) = self.desk else {
            return Err(Error::internal("batches cannot be read without a ledger"));
        };
        let store = self.store.as_ref();
        let work = format!("{}work.json", desk.prefix);
        let manifest = Place {
            bucket: desk.bucket.clone(),
            key: format!("{}manifest.json", desk.prefix),
        };
        let count = batches.len() as u64;
        let items: Vec<Item> = batches
            .into_iter()
            .map(|batch| Item {
                work: work.clone(),
                batch,
            })
            .collect();
        write(store, &manifest.bucket, &manifest.key, encode(&items)?).await?;
        let mut rounds = Vec::new();
        for (number, round) in (1..).zip(self.rounds) {
            rounds.push(match round {
                Round::There(there) => there,
                Round::Here(state) => {
                    let there = There {
                        prefix: format!("{}round-{number}-here/", desk.prefix),
                        batches: 1,
                    };
                    write(store, &desk.bucket, &state_key(&there.batch(0)), encode(&state)?).await?;
                    there
                }
            });
        }
        let file = File {
            schema: WORK_SCHEMA.to_owned(),
            expectation: self.expectation,
            settling: self.settling,
            gone: self.gone,
            listed_at: self.listed_at,
            planned_at: self.planned_at.or_else(|| Some(self.clock.now())),
            rounds,
            batches: self.batches,
            repeats: self.repeats,
        };
        write(store, &desk.bucket, &work, encode(&file)?).await?;
        Ok(Turn::Batches {
            work,
            manifest,
            batches: count,
        })
    }

    async fn report(self, hidden: u64, tally: Tally, objects: Objects<'a>) -> Result<Report> {
        let now = self.clock.now();
        let judged = tally.judge(&Circumstances {
            settling: &self.settling,
            hidden,
            now,
        });
        let objects = objects.finish().await?;
        Ok(Report {
            schema: SCHEMA.to_owned(),
            checked_at: now,
            level: self.expectation.level,
            verdict: judged.verdict,
            data_objects: judged.data_objects,
            all_objects: objects.count,
            objects: objects.first,
            objects_file: objects.file,
            batches: self.batches,
            rows: judged.rows,
            bytes: judged.bytes,
            source: None,
            checks: judged.checks,
        })
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

/// What earlier rounds tried, as a listing passes by.
struct Past<'a> {
    sources: Vec<Source<'a>>,
    gone: BTreeSet<String>,
    changes: Changes,
    disturbed: Keys,
}

impl<'a> Past<'a> {
    /// The reading of an object as it is listed now, if there is one. Objects are asked for in the order of keys.
    async fn reading_of(&mut self, listed: &Listed) -> Result<Option<Reading>> {
        let (mut found, mut is_unchanged, mut was_listed) = (None, false, false);
        for index in 0..self.sources.len() {
            while let Some(tried) = self.next(index, Some(&listed.key)).await? {
                if tried.key() < listed.key.as_str() {
                    self.lose(&tried);
                    continue;
                }
                was_listed = true;
                // The last round decides: what was replaced since, and then put back, has changed.
                (found, is_unchanged) = match tried {
                    Tried::Read(reading) if reading.is_of(listed) => (Some(reading), true),
                    Tried::Disturbed(disturbed) => (None, disturbed.is_of(listed)),
                    Tried::Read(_) => (None, false),
                };
            }
        }
        let came_back = self.gone.remove(&listed.key);
        match (&found, is_unchanged) {
            (None, false) if was_listed && !came_back => self.changes.replaced.add(&listed.key),
            (Some(_), _) | (None, true) if !came_back => {}
            _ => self.changes.added.add(&listed.key),
        }
        Ok(found.map(Held::into_owned))
    }

    /// Says that the listing has ended.
    async fn end(&mut self) -> Result<()> {
        for index in 0..self.sources.len() {
            while let Some(tried) = self.next(index, None).await? {
                self.lose(&tried);
            }
        }
        Ok(())
    }

    async fn next(&mut self, source: usize, key: Option<&str>) -> Result<Option<Tried<'a>>> {
        let Some(source) = self.sources.get_mut(source) else {
            return Ok(None);
        };
        let tried = source.up_to(key).await?;
        if let (true, Some(Tried::Disturbed(disturbed))) = (source.is_new, &tried)
            && disturbed.data
        {
            self.disturbed.add(&disturbed.listed.key);
        }
        Ok(tried)
    }

    /// An object that was listed once is not any more. A test file may go, and data may not: its rows are lost.
    fn lose(&mut self, tried: &Tried<'_>) {
        let key = tried.key();
        let is_news = self.gone.len() >= MAX_GONE || self.gone.insert(key.to_owned());
        if is_news {
            self.changes.removed.add(key);
            if matches!(tried, Tried::Read(reading) if reading.object.role == Role::Data) {
                self.disturbed.add(key);
            }
        }
    }
}

impl File {
    fn new(expectation: &Expectation) -> Self {
        Self {
            schema: WORK_SCHEMA.to_owned(),
            expectation: expectation.clone(),
            settling: Settling::default(),
            gone: BTreeSet::new(),
            listed_at: None,
            planned_at: None,
            rounds: Vec::new(),
            batches: 0,
            repeats: 0,
        }
    }

    async fn load(store: &dyn ObjectStore, bucket: &str, key: &str) -> Result<Self> {
        let (file, _) = load::<Self>(store, bucket, key)
            .await?
            .ok_or_else(|| Error::internal(format!("s3://{bucket}/{key} was deleted; start the execution anew")))?;
        if file.schema == WORK_SCHEMA {
            return Ok(file);
        }
        Err(Error::internal(format!(
            "s3://{bucket}/{key} is of schema {}, this version reads {WORK_SCHEMA}; start the execution anew",
            file.schema
        )))
    }
}

/// Works on one batch until it is read or time is up, and says whether it is read. Fails with what the store fails with;
/// an error that would come again is kept with the batch, for the verification to raise.
pub(super) async fn run_batch(
    store: &Arc<dyn ObjectStore>,
    clock: &Arc<dyn Clock>,
    bucket: &str,
    item: &Item,
    deadline: DateTime<Utc>,
    limits: &Limits,
) -> Result<bool> {
    let file = File::load(store.as_ref(), bucket, &item.work).await?;
    let missing = || Error::internal(format!("the batch s3://{bucket}/{} was deleted", item.batch));
    let (tasks, _) = load::<Vec<Task>>(store.as_ref(), bucket, &tasks_key(&item.batch))
        .await?
        .ok_or_else(missing)?;
    let key = state_key(&item.batch);
    let (mut state, condition) = match load::<BatchState>(store.as_ref(), bucket, &key).await? {
        Some((state, etag)) => (state, Condition::Unchanged(etag)),
        None => (BatchState::default(), Condition::Absent),
    };
    if state.done {
        return Ok(true);
    }
    let age = file.planned_at.map(|planned_at| clock.now() - planned_at);
    if state.turns >= MAX_TURNS || age.is_some_and(|age| age > TimeDelta::seconds(MAX_SECONDS as i64)) {
        let error = Error::new(
            ErrorKind::TimedOut,
            format!(
                "the batch s3://{bucket}/{} was not read within {MAX_TURNS} invocations and {} days",
                item.batch,
                MAX_SECONDS / 86_400
            ),
        );
        state.error = Some(error.clone().into());
        store.put(bucket, &key, encode(&state)?, condition).await?;
        return Err(error);
    }
    state.error = None;
    let stop_at = limits.stop_at(deadline);
    let reader = Arc::new(Reader::new(store, clock, &file.expectation, stop_at, limits));
    let turned = state.turn(&reader, &tasks, limits.side_by_side).await;
    match &turned {
        Ok(()) => {}
        Err(error) if error.kind.is_transient() => {}
        Err(error) => state.error = Some(error.clone().into()),
    }
    let written = store.put(bucket, &key, encode(&state)?, condition).await?;
    turned?;
    if written != Written::Refused {
        return Ok(state.done);
    }
    // Another invocation of the same batch was faster, or this write met its own success.
    match load::<BatchState>(store.as_ref(), bucket, &key).await? {
        Some((standing, _)) if standing.done => Ok(true),
        Some((standing, _)) if standing == state => Ok(false),
        _ => Err(Error::new(
            ErrorKind::Busy,
            format!("another invocation works on the batch s3://{bucket}/{}", item.batch),
        )),
    }
}

async fn load<T: DeserializeOwned>(store: &dyn ObjectStore, bucket: &str, key: &str) -> Result<Option<(T, String)>> {
    let Some(stored) = store.get(bucket, key).await? else {
        return Ok(None);
    };
    let value = serde_json::from_slice(&stored.body).map_err(|error| {
        Error::internal(format!(
            "s3://{bucket}/{key} is not what Landfall writes there: {error}"
        ))
    })?;
    Ok(Some((value, stored.etag)))
}

/// JSON without blanks: there is much of it, and nobody reads it.
fn encode<T: Serialize>(value: &T) -> Result<Bytes> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| Error::internal(format!("cannot write JSON: {error}")))
}

/// Writes what only this invocation writes; a retried write that meets its own success is one.
async fn write(store: &dyn ObjectStore, bucket: &str, key: &str, body: Bytes) -> Result<()> {
    if store.put(bucket, key, body.clone(), Condition::Absent).await? != Written::Refused {
        return Ok(());
    }
    match store.get(bucket, key).await? {
        Some(standing) if standing.body == body => Ok(()),
        _ => Err(Error::internal(format!(
            "s3://{bucket}/{key} was written by somebody else"
        ))),
    }
}
