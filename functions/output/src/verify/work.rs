//! A verification, from its first listing to its report, in one or several invocations.
//!
//! What must stay true:
//! * A verification has rounds. Each round lists the prefix, joins the listing with all that was read so far, and reads
//!   what is new. The verification ends when two listings in a row are equal and all objects in them were read.
//! * Listings, readings and plans are streams in key order. Memory holds a page, a few slices and what the checks
//!   count, however many objects there are.
//! * If the objects fit in one slice and in the time of this invocation, no ledger is needed. If not, they are planned
//!   as slices in the ledger bucket, beneath a prefix of this invocation alone, and other invocations read them.
//! * An object is read again only if it has changed.
//! * A slice that nobody finished, because its invocations were throttled or its execution was stopped, is run again, a
//!   limited number of times. Only an error that would occur again ends the verification.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use landfall::{
    clock::{CLOCK_SKEW, Clock},
    error::{Error, ErrorKind, Result},
    job::ObjectRef,
    s3_uri::S3Uri,
    slices::MAX_REPEATS,
    store::ObjectStore,
};
use landfall_formats::Format;

use super::{
    classify::{self, Plan},
    desk::{Desk, Item, SavedWork, StoredRound, WORK_SCHEMA, encode, load, state_key, tasks_key, write},
    expectation::Expectation,
    judge::{Circumstances, Tally},
    limits::Limits,
    objects::Objects,
    planner::{Planned, Planner},
    read::{Reader, Task},
    report::{Report, SCHEMA},
    rounds::{AHEAD, EarlierRounds, Round},
    settle::{Changes, Stability},
    slice::SliceState,
};

/// Time that is left for listing and judging after reading.
const TO_JUDGE: TimeDelta = TimeDelta::seconds(10);

/// Where an invocation begins.
#[derive(Clone, Copy, Debug)]
pub enum Begin<'a> {
    /// At the first listing.
    New(&'a Expectation),
    /// Where an earlier invocation stopped: the key of its work in the ledger bucket.
    At(&'a str),
}

/// The result of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The verification has ended.
    Report(Box<Report>),
    /// Slices must be read first.
    Slices {
        /// Key of the work, to continue from.
        work: String,
        /// The slices, as a JSON array of [`Item`]s.
        manifest: ObjectRef,
        /// How many slices there are.
        slices: u64,
    },
}

/// Verifies a prefix in one process.
///
/// `deadline` is the function's. Fails with `TimedOut` shortly before it, and with the errors of the store.
pub async fn verify(
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    expectation: &Expectation,
    deadline: DateTime<Utc>,
) -> Result<Report> {
    verify_within(store, clock, expectation, deadline, &Limits::default()).await
}

/// Like [`verify`], with other limits.
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
        Turn::Slices { .. } => Err(Error::internal("a verification without a ledger made slices")),
    }
}

/// Verifies a prefix as far as one invocation can, and stores the rest at `desk`. Fails as [`verify`] does.
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

/// A listing, joined with what was read.
struct JoinedListing<'a> {
    tally: Tally,
    objects: Objects<'a>,
    hidden: u64,
    changes: Changes,
    planned: Planned,
}

struct Work<'a> {
    store: &'a Arc<dyn ObjectStore>,
    clock: &'a Arc<dyn Clock>,
    limits: &'a Limits,
    stop_at: DateTime<Utc>,
    desk: Option<&'a Desk>,
    expectation: Expectation,
    /// The formats of the files that the service names, by key.
    named: BTreeMap<String, Format>,
    settling: Stability,
    gone: BTreeSet<String>,
    listed_at: Option<DateTime<Utc>>,
    /// How far our clock may be ahead of the clock that `listed_at` comes from.
    ahead: TimeDelta,
    planned_at: Option<DateTime<Utc>>,
    rounds: Vec<Round>,
    /// The prefix of the round that others have read since the last listing.
    unjoined: Option<String>,
    /// How long the last listing took, with the join.
    listing_took: TimeDelta,
    slices: u64,
    repeats: u32,
    /// Whether the join found a slice that nobody finished.
    unfinished: AtomicBool,
}

impl<'a> Work<'a> {
    async fn open(
        store: &'a Arc<dyn ObjectStore>,
        clock: &'a Arc<dyn Clock>,
        begin: Begin<'_>,
        desk: Option<&'a Desk>,
        deadline: DateTime<Utc>,
        limits: &'a Limits,
    ) -> Result<Self> {
        let file = match (begin, desk) {
            (Begin::New(expectation), _) => SavedWork::new(expectation),
            (Begin::At(key), Some(desk)) => SavedWork::load(store.as_ref(), &desk.bucket, key).await?,
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
            rounds: file.rounds.into_iter().map(Round::Stored).collect(),
            slices: file.slices,
            repeats: file.repeats,
            unfinished: AtomicBool::new(false),
        })
    }

    async fn run(mut self) -> Result<Turn> {
        loop {
            self.settle().await?;
            let begun_at = self.clock.now();
            let before = (self.settling.clone(), self.gone.clone());
            let join = match self.join().await {
                Err(error) if self.unfinished.load(Ordering::Relaxed) && self.repeats < MAX_REPEATS => {
                    tracing::warn!(
                        error = error.kind.name(),
                        code = error.code,
                        "slices were not finished, and are run again"
                    );
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
                    error = error.kind.name(),
                    code = error.code,
                    "the parts of an upload are left to the bucket's lifecycle"
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
                Planned::Stored(there) => return self.leave(there).await,
            }
        }
    }

    /// Waits until enough time has passed since the last listing.
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

    /// Lists the prefix, and joins the listing with what was read so far.
    async fn join(&mut self) -> Result<JoinedListing<'a>> {
        let prefix = self.expectation.prefix.clone();
        let place = self.desk.map(|desk| (desk.bucket.as_str(), self.round_prefix(desk)));
        let mut planner = Planner::new(self.limits, self.store, place);
        let mut objects = Objects::new(self.desk.map(|desk| {
            let (bucket, key) = (desk.bucket.clone(), desk.objects.clone());
            (self.store.as_ref(), S3Uri { bucket, key })
        }));
        let mut tally = Tally::new(&self.expectation);
        let mut hidden = 0;
        let gone = std::mem::take(&mut self.gone);
        let mut past = EarlierRounds::of(
            &self.rounds,
            self.store,
            self.desk.map_or("", |desk| desk.bucket.as_str()),
            self.unjoined.as_deref(),
            &self.unfinished,
            gone,
        );
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
        let EarlierRounds {
            gone,
            changes,
            disturbed,
            ..
        } = past;
        self.gone = gone;
        self.settling.disturbed.append(&disturbed);
        self.unjoined = None;
        Ok(JoinedListing {
            tally,
            objects,
            hidden,
            changes,
            planned: planner.finish().await?,
        })
    }

    fn round_prefix(&self, desk: &Desk) -> String {
        format!("{}round-{}/", desk.prefix, self.rounds.len() + 1)
    }

    /// Reads a slice, as far as time allows.
    async fn read(&self, tasks: &[Task]) -> Result<SliceState> {
        // With a ledger, other invocations can read the rest. So this one stops early enough to list and to judge.
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
        let mut state = SliceState::default();
        match state.turn(&reader, tasks, self.limits.side_by_side).await {
            // Keep what was read until the error.
            Err(error)
                if self.desk.is_some() && error.kind.is_transient() && reader.bytes_read() >= self.limits.worth =>
            {
                tracing::warn!(
                    error = error.kind.name(),
                    code = error.code,
                    "reading broke off; the next invocation goes on from there"
                );
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

    /// Leaves a slice that was begun to other invocations.
    async fn leave_begun(self, tasks: Vec<Task>, state: SliceState) -> Result<Turn> {
        let Some(desk) = self.desk else {
            return Err(Error::internal("a slice cannot go on without a ledger"));
        };
        let there = StoredRound {
            prefix: self.round_prefix(desk),
            slices: 1,
        };
        let slice = there.slice(0);
        let store = self.store.as_ref();
        write(store, &desk.bucket, &tasks_key(&slice), encode(&tasks)?).await?;
        write(store, &desk.bucket, &state_key(&slice), encode(&state)?).await?;
        self.leave(there).await
    }

    /// Leaves the slices of a round to other invocations.
    async fn leave(mut self, there: StoredRound) -> Result<Turn> {
        let slices = (0..there.slices).map(|number| there.slice(number)).collect();
        self.slices += there.slices;
        self.rounds.push(Round::Stored(there));
        self.leave_slices(slices).await
    }

    /// Leaves the unfinished slices of the last round to other invocations once more.
    async fn leave_unfinished(mut self) -> Result<Turn> {
        let (Some(desk), Some(Round::Stored(there))) = (self.desk, self.rounds.last()) else {
            return Err(Error::internal("there is no round of slices to go on with"));
        };
        let states = (0..there.slices).map(|number| {
            let slice = there.slice(number);
            async move {
                let state = load::<SliceState>(self.store.as_ref(), &desk.bucket, &state_key(&slice)).await?;
                let is_done = state.is_some_and(|(state, _)| state.done || state.error.is_some());
                Ok((!is_done).then_some(slice))
            }
        });
        let unfinished: Vec<Option<String>> = stream::iter(states).buffered(AHEAD).try_collect().await?;
        self.repeats += 1;
        self.leave_slices(unfinished.into_iter().flatten().collect()).await
    }

    /// Leaves slices of the last round to other invocations.
    async fn leave_slices(self, slices: Vec<String>) -> Result<Turn> {
        let Some(desk) = self.desk else {
            return Err(Error::internal("slices cannot be read without a ledger"));
        };
        let store = self.store.as_ref();
        let work = format!("{}work.json", desk.prefix);
        let manifest = ObjectRef {
            bucket: desk.bucket.clone(),
            key: format!("{}manifest.json", desk.prefix),
        };
        let count = slices.len() as u64;
        let items: Vec<Item> = slices
            .into_iter()
            .map(|slice| Item {
                work: work.clone(),
                slice,
                execution: None,
            })
            .collect();
        write(store, &manifest.bucket, &manifest.key, encode(&items)?).await?;
        let mut rounds = Vec::new();
        for (number, round) in (1..).zip(self.rounds) {
            rounds.push(match round {
                Round::Stored(there) => there,
                Round::Here(state) => {
                    let there = StoredRound {
                        prefix: format!("{}round-{number}-here/", desk.prefix),
                        slices: 1,
                    };
                    write(store, &desk.bucket, &state_key(&there.slice(0)), encode(&state)?).await?;
                    there
                }
            });
        }
        let file = SavedWork {
            schema: WORK_SCHEMA.to_owned(),
            expectation: self.expectation,
            settling: self.settling,
            gone: self.gone,
            listed_at: self.listed_at,
            planned_at: self.planned_at.or_else(|| Some(self.clock.now())),
            rounds,
            slices: self.slices,
            repeats: self.repeats,
        };
        write(store, &desk.bucket, &work, encode(&file)?).await?;
        Ok(Turn::Slices {
            work,
            manifest,
            slices: count,
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
            slices: self.slices,
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
                 time or memory (which makes it faster)",
                self.expectation.prefix
            ),
        )
    }
}
