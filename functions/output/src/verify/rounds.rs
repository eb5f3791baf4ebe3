//! Joins a new listing with what earlier rounds read.
//!
//! What must stay true: the listing and the readings are streams in key order, so that memory holds a few slices at a
//! time. An object counts as read only if the listing still has it as it was read. If several rounds tried an object,
//! the last one decides.
//!
//! [`EarlierRounds::reading_of`] is called for each listed object in turn. It moves all rounds forward to the object's
//! key. Objects that a round passes on the way are no longer listed.

use std::{
    collections::{BTreeSet, VecDeque},
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use landfall::{
    error::{Error, ErrorKind, Result},
    store::{Listed, ObjectStore},
};
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::{
    desk::{StoredRound, load, state_key},
    read::Disturbed,
    report::{Reading, Role},
    settle::{Changes, Keys},
    slice::SliceState,
};

/// How many removed objects are remembered by name. If more are removed, the output does not come to rest.
const MAX_GONE: usize = 10_000;
/// How many slices are loaded ahead.
pub(super) const AHEAD: usize = 2;

/// The readings of one round.
pub(super) enum Round {
    /// Read by this invocation.
    Here(SliceState),
    /// Read by other invocations.
    Stored(StoredRound),
}

/// Like [`Cow`](std::borrow::Cow), but boxed, so that it is two words wide: up to 100,000 of these are sorted at once.
enum Shared<'a, T> {
    Own(Box<T>),
    Kept(&'a T),
}

impl<T> Deref for Shared<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Own(own) => own,
            Self::Kept(kept) => kept,
        }
    }
}

impl<T: Clone> Shared<'_, T> {
    fn into_owned(self) -> T {
        match self {
            Self::Own(own) => *own,
            Self::Kept(kept) => kept.clone(),
        }
    }
}

/// An object that a round tried to read.
enum Attempted<'a> {
    Read(Shared<'a, Reading>),
    Disturbed(Shared<'a, Disturbed>),
}

impl Attempted<'_> {
    fn key(&self) -> &str {
        match self {
            Self::Read(reading) => &reading.object.key,
            Self::Disturbed(disturbed) => &disturbed.listed.key,
        }
    }
}

/// The objects of a slice, in key order.
fn in_order<'a>(
    readings: impl Iterator<Item = Shared<'a, Reading>>,
    disturbed: impl Iterator<Item = Shared<'a, Disturbed>>,
) -> VecDeque<Attempted<'a>> {
    let mut tried: Vec<_> = readings
        .map(Attempted::Read)
        .chain(disturbed.map(Attempted::Disturbed))
        .collect();
    tried.sort_by(|one, other| one.key().cmp(other.key()));
    tried.into()
}

/// The objects of a round, in key order.
struct RoundReader<'a> {
    store: &'a Arc<dyn ObjectStore>,
    bucket: &'a str,
    there: Option<&'a StoredRound>,
    /// Whether the round was read after the last listing.
    is_new: bool,
    /// Set if a slice is found that nobody finished.
    unfinished: &'a AtomicBool,
    next: u64,
    ahead: VecDeque<Ahead>,
    loaded: VecDeque<Attempted<'a>>,
}

/// A slice that is being loaded. Loading stops when this is dropped.
struct Ahead(String, JoinHandle<Result<SliceState>>);

impl Drop for Ahead {
    fn drop(&mut self) {
        self.1.abort();
    }
}

impl<'a> RoundReader<'a> {
    /// The next object, which stays the next.
    async fn peek(&mut self) -> Result<Option<&Attempted<'a>>> {
        while self.loaded.is_empty() {
            let Some(there) = self.there else { return Ok(None) };
            while self.ahead.len() < AHEAD && self.next < there.slices {
                let slice = there.slice(self.next);
                self.next += 1;
                let (store, bucket, key) = (Arc::clone(self.store), self.bucket.to_owned(), slice.clone());
                let load = async move {
                    let state = load(store.as_ref(), &bucket, &state_key(&key)).await?;
                    Ok(state.map(|(state, _)| state).unwrap_or_default())
                };
                let load = tokio::spawn(load.in_current_span());
                self.ahead.push_back(Ahead(slice, load));
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
                    "the slice s3://{}/{} was not read to its end and left no error; see the log of verify-output",
                    self.bucket, ahead.0
                )));
            }
            let own = (state.readings.into_iter(), state.disturbed.into_iter());
            self.loaded = in_order(
                own.0.map(|reading| Shared::Own(Box::new(reading))),
                own.1.map(|disturbed| Shared::Own(Box::new(disturbed))),
            );
        }
        Ok(self.loaded.front())
    }

    /// Takes the next object if its key is at most `key`.
    async fn up_to(&mut self, key: Option<&str>) -> Result<Option<Attempted<'a>>> {
        let is_due = match (self.peek().await?, key) {
            (Some(tried), Some(key)) => tried.key() <= key,
            (tried, None) => tried.is_some(),
            (None, _) => false,
        };
        Ok(if is_due { self.loaded.pop_front() } else { None })
    }
}

/// The objects that earlier rounds tried, while a listing passes by.
pub(super) struct EarlierRounds<'a> {
    sources: Vec<RoundReader<'a>>,
    pub(super) gone: BTreeSet<String>,
    pub(super) changes: Changes,
    pub(super) disturbed: Keys,
}

impl<'a> EarlierRounds<'a> {
    /// All `rounds` before a listing. `unjoined` is the prefix of the round that others have read since the last
    /// listing. `unfinished` is set if a slice is found that nobody finished.
    pub(super) fn of(
        rounds: &'a [Round],
        store: &'a Arc<dyn ObjectStore>,
        bucket: &'a str,
        unjoined: Option<&str>,
        unfinished: &'a AtomicBool,
        gone: BTreeSet<String>,
    ) -> Self {
        let source = |round: &'a Round| {
            let (there, loaded) = match round {
                // Borrowed: without a ledger, this may hold all readings.
                Round::Here(state) => {
                    let readings = state.readings.iter().map(Shared::Kept);
                    (None, in_order(readings, state.disturbed.iter().map(Shared::Kept)))
                }
                Round::Stored(there) => (Some(there), VecDeque::new()),
            };
            RoundReader {
                store,
                bucket,
                there,
                is_new: there.is_some_and(|there| unjoined == Some(there.prefix.as_str())),
                unfinished,
                next: 0,
                ahead: VecDeque::new(),
                loaded,
            }
        };
        Self {
            sources: rounds.iter().map(source).collect(),
            gone,
            changes: Changes::default(),
            disturbed: Keys::default(),
        }
    }

    /// The reading of an object as it is listed now, if there is one. Must be called in key order.
    pub(super) async fn reading_of(&mut self, listed: &Listed) -> Result<Option<Reading>> {
        let (mut found, mut is_unchanged, mut was_listed) = (None, false, false);
        for index in 0..self.sources.len() {
            while let Some(tried) = self.next(index, Some(&listed.key)).await? {
                if tried.key() < listed.key.as_str() {
                    self.lose(&tried);
                    continue;
                }
                was_listed = true;
                // The last round decides. An object that was replaced and put back later has changed.
                (found, is_unchanged) = match tried {
                    Attempted::Read(reading) if reading.is_of(listed) => (Some(reading), true),
                    Attempted::Disturbed(disturbed) => (None, disturbed.is_of(listed)),
                    Attempted::Read(_) => (None, false),
                };
            }
        }
        let came_back = self.gone.remove(&listed.key);
        match (&found, is_unchanged) {
            (None, false) if was_listed && !came_back => self.changes.replaced.add(&listed.key),
            (Some(_), _) | (None, true) if !came_back => {}
            _ => self.changes.added.add(&listed.key),
        }
        Ok(found.map(Shared::into_owned))
    }

    /// Must be called when the listing has ended.
    pub(super) async fn end(&mut self) -> Result<()> {
        for index in 0..self.sources.len() {
            while let Some(tried) = self.next(index, None).await? {
                self.lose(&tried);
            }
        }
        Ok(())
    }

    async fn next(&mut self, source: usize, key: Option<&str>) -> Result<Option<Attempted<'a>>> {
        let Some(source) = self.sources.get_mut(source) else {
            return Ok(None);
        };
        let tried = source.up_to(key).await?;
        if let (true, Some(Attempted::Disturbed(disturbed))) = (source.is_new, &tried)
            && disturbed.data
        {
            self.disturbed.add(&disturbed.listed.key);
        }
        Ok(tried)
    }

    /// Notes an object that vanished between two listings: harmless for a test file, a failure for data.
    fn lose(&mut self, tried: &Attempted<'_>) {
        let key = tried.key();
        let is_news = self.gone.len() >= MAX_GONE || self.gone.insert(key.to_owned());
        if is_news {
            self.changes.removed.add(key);
            if matches!(tried, Attempted::Read(reading) if reading.object.role == Role::Data) {
                self.disturbed.add(key);
            }
        }
    }
}
