//! Reads the objects of a slice, as far as time allows.
//!
//! What must stay true: when time is up, what was read is kept. Reading of a begun object continues where it stopped, in
//! any process. Objects are read side by side, within limited memory. A slice that makes no progress is an error, never
//! an endless loop.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use chrono::{DateTime, TimeDelta, Utc};
use landfall::{
    clock::Clock,
    error::{Error, ErrorKind, Result},
    job::TaskError,
    slices::{MAX_SECONDS, MAX_TURNS},
    store::{Condition, ObjectStore, Written},
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::{
    desk::{Item, SavedWork, encode, load, state_key, tasks_key},
    limits::Limits,
    read::{Disturbed, Paused, ReadResult, Reader, Resume, Task},
    report::Reading,
};

/// After this many turns without progress, a slice is given up. The second turn reads one object at a time.
const MAX_IDLE: u32 = 2;

/// Reads a slice for as long as the invocation lasts. Says whether it was read to its end. `bucket` is the ledger's.
///
/// Fails with the errors of the store, with `Busy` if another invocation is reading the same slice, and with `TimedOut`
/// if an object can neither be read in one invocation nor be interrupted.
pub async fn run_slice(
    store: Arc<dyn ObjectStore>,
    clock: Arc<dyn Clock>,
    bucket: &str,
    item: &Item,
    deadline: DateTime<Utc>,
    limits: &Limits,
) -> Result<bool> {
    let file = SavedWork::load(store.as_ref(), bucket, &item.work).await?;
    let missing = || Error::internal(format!("the slice s3://{bucket}/{} was deleted", item.slice));
    let (tasks, _) = load::<Vec<Task>>(store.as_ref(), bucket, &tasks_key(&item.slice))
        .await?
        .ok_or_else(missing)?;
    let key = state_key(&item.slice);
    let (mut state, condition) = match load::<SliceState>(store.as_ref(), bucket, &key).await? {
        Some((state, etag)) => (state, Condition::Unchanged(etag)),
        None => (SliceState::default(), Condition::Absent),
    };
    if state.done {
        return Ok(true);
    }
    let age = file.planned_at.map(|planned_at| clock.now() - planned_at);
    if state.turns >= MAX_TURNS || age.is_some_and(|age| age > TimeDelta::seconds(MAX_SECONDS as i64)) {
        let error = Error::new(
            ErrorKind::TimedOut,
            format!(
                "the slice s3://{bucket}/{} was not read within {MAX_TURNS} invocations and {} days",
                item.slice,
                MAX_SECONDS / 86_400
            ),
        );
        state.error = Some(error.clone().into());
        store.put(bucket, &key, encode(&state)?, condition).await?;
        return Err(error);
    }
    state.error = None;
    let stop_at = limits.stop_at(deadline);
    let reader = Arc::new(Reader::new(&store, &clock, &file.expectation, stop_at, limits));
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
    // Another invocation of the same slice was faster, or this is a retry of a write that succeeded.
    match load::<SliceState>(store.as_ref(), bucket, &key).await? {
        Some((standing, _)) if standing.done => Ok(true),
        Some((standing, _)) if standing == state => Ok(false),
        _ => Err(Error::new(
            ErrorKind::Busy,
            format!("another invocation works on the slice s3://{bucket}/{}", item.slice),
        )),
    }
}

/// How far the reading of a slice is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SliceState {
    /// Whether all objects were read.
    pub done: bool,
    /// The objects that were read; in key order once the slice is done.
    pub readings: Vec<Reading>,
    /// Objects that changed since they were listed, so that they cannot be read as they were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disturbed: Vec<Disturbed>,
    /// Objects that were begun.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paused: Vec<Paused>,
    /// Turns so far.
    pub turns: u32,
    /// Turns since the last one that made progress.
    pub idle: u32,
    /// Why the slice cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
}

impl SliceState {
    /// How many objects need no more reading, how many bytes of the begun ones were decoded, and how many were begun.
    fn progress(&self) -> (usize, u64, usize) {
        let ended = self.readings.len() + self.disturbed.len();
        let decoded = self.paused.iter().map(|paused| paused.at.offset()).sum();
        (ended, decoded, self.paused.len())
    }

    /// Reads on until all objects are read or the reader's time is up. Fails with the errors of the store, and with
    /// `TimedOut` if turns make no progress.
    pub(super) async fn turn(&mut self, reader: &Arc<Reader>, tasks: &[Task], side_by_side: usize) -> Result<()> {
        let before = self.progress();
        let side_by_side = if self.idle > 0 { 1 } else { side_by_side.max(1) };
        self.turns += 1;
        self.done = false;
        self.read(reader, tasks, side_by_side).await?;
        if self.done {
            self.readings
                .sort_unstable_by(|one, other| one.object.key.cmp(&other.object.key));
            self.paused.clear();
            return Ok(());
        }
        self.idle = if self.progress() > before { 0 } else { self.idle + 1 };
        if self.idle < MAX_IDLE {
            return Ok(());
        }
        let left = self.unread(tasks);
        let which = left.first().map_or("", |task| task.listed.key.as_str());
        Err(Error::new(
            ErrorKind::TimedOut,
            format!(
                "{} objects cannot be read within one invocation of the function, and cannot go on in a next one: {}, …; \
                 give the function more memory, which makes it faster, or ask for Landfall.Verification.Level \
                 \"structure\"",
                left.len(),
                which.escape_debug()
            ),
        ))
    }

    async fn read(&mut self, reader: &Arc<Reader>, tasks: &[Task], side_by_side: usize) -> Result<()> {
        let mut resumes: BTreeMap<String, Resume> = std::mem::take(&mut self.paused)
            .into_iter()
            .map(|paused| (paused.key, paused.at))
            .collect();
        let mut waiting = self.unread(tasks);
        // Begun objects come first, because they lose most if they are interrupted again.
        waiting.sort_by_key(|task| !resumes.contains_key(&task.listed.key));
        let ended = self
            .read_side_by_side(reader, waiting, &mut resumes, side_by_side)
            .await;
        self.paused = resumes.into_iter().map(|(key, at)| Paused { key, at }).collect();
        self.done = ended? && self.unread(tasks).is_empty();
        Ok(())
    }

    /// Reads objects, and says whether there was time for all of them. `resumes` is kept up to date even if this fails.
    async fn read_side_by_side(
        &mut self,
        reader: &Arc<Reader>,
        tasks: Vec<&Task>,
        resumes: &mut BTreeMap<String, Resume>,
        side_by_side: usize,
    ) -> Result<bool> {
        let mut waiting = tasks.into_iter().peekable();
        let mut readers = JoinSet::new();
        let mut has_time = true;
        let mut failed = None;
        loop {
            while has_time && readers.len() < side_by_side && waiting.peek().is_some() {
                has_time = reader.has_time();
                if let Some(task) = waiting.next_if(|_| has_time) {
                    let resume = resumes.get(&task.listed.key).cloned();
                    readers.spawn(Arc::clone(reader).read(task.clone(), resume).in_current_span());
                }
            }
            let Some(read) = readers.join_next().await else {
                return failed.map_or(Ok(has_time), Err);
            };
            let read = read.map_err(|_| Error::internal("the reader of an object stopped"));
            match read.flatten() {
                // Let the other objects pause, so that what was read of them is kept.
                Err(error) => {
                    reader.stop();
                    has_time = false;
                    failed.get_or_insert(error);
                }
                Ok(outcome) => match outcome {
                    ReadResult::Read(reading) => {
                        resumes.remove(&reading.object.key);
                        self.readings.push(*reading);
                    }
                    ReadResult::Disturbed(disturbed) => {
                        resumes.remove(&disturbed.listed.key);
                        self.disturbed.push(disturbed);
                    }
                    ReadResult::Paused { key, at } => {
                        has_time = false;
                        if let Some(at) = at {
                            resumes.insert(key, *at);
                        }
                    }
                },
            }
        }
    }

    /// The objects that need more reading.
    fn unread<'a>(&self, tasks: &'a [Task]) -> Vec<&'a Task> {
        let ended: BTreeSet<&str> = self
            .readings
            .iter()
            .map(|reading| reading.object.key.as_str())
            .chain(self.disturbed.iter().map(|disturbed| disturbed.listed.key.as_str()))
            .collect();
        tasks
            .iter()
            .filter(|task| !ended.contains(task.listed.key.as_str()))
            .collect()
    }
}
