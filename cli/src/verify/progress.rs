//! How far a verification is, counted at the store that it reads.
//!
//! What must stay true: a byte counts once, however often it is read, and only after it was read. What is shown
//! therefore never runs ahead of what was done, and never exceeds the whole. Of an object that was read whole, only one
//! number is remembered.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use landfall::{
    clock::Clock,
    error::Result,
    store::{
        ObjectStore, Page,
        layer::{Answer, Call, Layer},
    },
};

use super::names::is_hidden;

/// How far a verification is. It counts what is read of objects that were listed. Objects that their name hides do not
/// count.
#[derive(Debug, Default)]
pub struct Progress {
    /// Objects in the newest listing so far, whether or not they turn out to be data.
    pub objects_total: AtomicU64,
    /// Objects that are done: all of their bytes were read, or at the lower levels their metadata.
    pub objects_done: AtomicU64,
    /// Bytes in the objects of the newest listing so far.
    pub bytes_total: AtomicU64,
    /// Bytes that were read. Each byte counts once.
    pub bytes_done: AtomicU64,
}

impl Progress {
    /// Objects done, of how many, bytes done, of how many.
    pub fn now(&self) -> [u64; 4] {
        [
            &self.objects_done,
            &self.objects_total,
            &self.bytes_done,
            &self.bytes_total,
        ]
        .map(|number| number.load(Relaxed))
    }
}

/// A layer around a store that counts what is read of it.
pub(super) struct Watched {
    prefix: String,
    /// Whether an object is done when its metadata was read.
    by_head: bool,
    count: Arc<Count>,
}

/// What was listed and read so far.
struct Count {
    progress: Arc<Progress>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Objects and bytes of the listing that is under way.
    listing: (u64, u64),
    /// Sizes of all objects that were listed.
    sizes: HashMap<u64, u64>,
    /// The parts that were read of each object that is being read: the end of each part by its begin.
    begun: HashMap<u64, BTreeMap<u64, u64>>,
    /// Objects that are done.
    done: HashSet<u64>,
}

impl Watched {
    /// Counts what is read beneath a prefix.
    pub(super) fn new(prefix: &str, by_head: bool, progress: Arc<Progress>) -> Self {
        Self {
            prefix: prefix.to_owned(),
            by_head,
            count: Arc::new(Count {
                progress,
                seen: Mutex::default(),
            }),
        }
    }
}

impl Count {
    fn done(&self, seen: &mut Seen, object: u64) {
        if seen.done.insert(object) {
            self.progress.objects_done.fetch_add(1, Relaxed);
        }
    }

    fn listed(&self, prefix: &str, first: bool, page: &Page) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if first {
            seen.listing = (0, 0);
        }
        for listed in &page.objects {
            if !is_hidden(listed.key.strip_prefix(prefix).unwrap_or(&listed.key)) {
                seen.listing.0 += 1;
                seen.listing.1 += listed.size;
                seen.sizes.insert(number(&listed.key, &listed.etag), listed.size);
            }
        }
        let (objects, bytes) = seen.listing;
        // While a later listing is under way, the former one tells more.
        let newer = |total: &AtomicU64, now: u64| {
            if page.next.is_none() {
                total.store(now, Relaxed);
            } else {
                total.fetch_max(now, Relaxed);
            }
        };
        newer(&self.progress.objects_total, objects);
        newer(&self.progress.bytes_total, bytes);
    }

    fn read_part(&self, object: u64, start: u64, end: u64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(&size) = seen.sizes.get(&object).filter(|_| !seen.done.contains(&object)) else {
            return;
        };
        let parts = seen.begun.entry(object).or_default();
        self.progress.bytes_done.fetch_add(cover(parts, start, end), Relaxed);
        if parts.first_key_value() == Some((&0, &size)) {
            seen.begun.remove(&object);
            self.done(&mut seen, object);
        }
    }
}

/// A clock that adds up how long it was waited on.
pub(super) struct Waiting {
    clock: Arc<dyn Clock>,
    waited: Mutex<Duration>,
}

impl Waiting {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            waited: Mutex::default(),
        }
    }

    /// How long was waited in all.
    pub(super) fn waited(&self) -> Duration {
        *self.waited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for Waiting {
    fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.clock.sleep(duration).await;
        *self.waited.lock().unwrap_or_else(PoisonError::into_inner) += duration;
    }
}

/// Adds a part. Gives the number of its bytes that no part before had.
fn cover(parts: &mut BTreeMap<u64, u64>, start: u64, end: u64) -> u64 {
    if start >= end {
        return 0;
    }
    let (mut from, mut to, mut known) = (start, end, 0);
    // Parts do not touch each other. Those that meet the new part are neighbours and begin before its end.
    while let Some((&other, &other_end)) = parts.range(..=end).next_back() {
        if other_end < start {
            break;
        }
        known += other_end.min(end).saturating_sub(other.max(start));
        (from, to) = (from.min(other), to.max(other_end));
        parts.remove(&other);
    }
    parts.insert(from, to);
    end - start - known
}

/// A number for a content that hardly any other content has.
fn number(key: &str, etag: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, etag).hash(&mut hasher);
    hasher.finish()
}

#[async_trait]
impl Layer for Watched {
    async fn call(&self, call: Call<'_>, store: &dyn ObjectStore) -> Result<Answer> {
        let answer = call.clone().make(store).await?;
        match (call, answer) {
            (Call::ListPage { after, .. }, Answer::Page(page)) => {
                self.count.listed(&self.prefix, after.is_none(), &page);
                Ok(Answer::Page(page))
            }
            (Call::Head { key, .. }, Answer::Head(head)) => {
                if let Some(head) = head.as_ref().filter(|head| self.by_head || head.size == 0) {
                    let mut seen = self.count.seen.lock().unwrap_or_else(PoisonError::into_inner);
                    self.count.done(&mut seen, number(key, &head.etag));
                }
                Ok(Answer::Head(head))
            }
            (Call::Read { key, etag, start, .. }, Answer::Bytes(bytes)) => {
                let end = start + bytes.len() as u64;
                self.count.read_part(number(key, etag), start, end);
                Ok(Answer::Bytes(bytes))
            }
            (Call::Stream { key, etag, start, .. }, Answer::Frames(frames)) => {
                let (count, object, mut at) = (Arc::clone(&self.count), number(key, etag), start);
                let counted = frames.inspect(move |frame| {
                    if let Ok(bytes) = frame {
                        let begun = at;
                        at += bytes.len() as u64;
                        count.read_part(object, begun, at);
                    }
                });
                Ok(Answer::Frames(counted.boxed()))
            }
            (_, answer) => Ok(answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use landfall::store::layer::Layered;

    use super::*;
    use crate::verify::folder::FolderStore;

    #[test]
    fn a_byte_read_twice_counts_once() {
        let mut parts = BTreeMap::new();
        for (start, end, added, left) in [
            (5, 5, 0, vec![]),
            (10, 20, 10, vec![(10, 20)]),
            (10, 20, 0, vec![(10, 20)]),
            (30, 40, 10, vec![(10, 20), (30, 40)]),
            (20, 25, 5, vec![(10, 25), (30, 40)]),
            (12, 14, 0, vec![(10, 25), (30, 40)]),
            (0, 50, 25, vec![(0, 50)]),
            (49, 60, 10, vec![(0, 60)]),
        ] {
            assert_eq!(cover(&mut parts, start, end), added, "{start}..{end}");
            assert_eq!(parts.iter().map(|(&a, &b)| (a, b)).collect::<Vec<_>>(), left);
        }
    }

    #[tokio::test]
    async fn progress_counts_each_read_of_listed_data() {
        let folder = tempfile::tempdir().unwrap();
        for (name, body) in [("a", "0123456789"), ("b", ""), ("_c", "hidden")] {
            std::fs::write(folder.path().join(name), body).unwrap();
        }
        let store = Arc::new(FolderStore::open(folder.path()).unwrap());
        let progress = Arc::new(Progress::default());
        let watched = Layered::new(store, Watched::new("", false, Arc::clone(&progress)));
        let listed = watched.list("", "", 9).await.unwrap();
        assert_eq!(progress.now(), [0, 2, 0, 10]);
        let etag = &listed[1].etag;
        watched.read("", "a", etag, 6, 10).await.unwrap();
        watched.read("", "a", etag, 0, 4).await.unwrap();
        assert_eq!(progress.now(), [0, 2, 8, 10]);
        watched.read("", "a", "another", 4, 6).await.unwrap_err();
        watched.read("", "a", etag, 2, 8).await.unwrap();
        assert_eq!(progress.now(), [1, 2, 10, 10]);
        watched.read("", "a", etag, 0, 10).await.unwrap();
        watched.head("", "b").await.unwrap();
        watched.list("", "", 9).await.unwrap();
        assert_eq!(progress.now(), [2, 2, 10, 10]);
    }

    #[tokio::test]
    async fn progress_counts_a_stream_as_it_arrives() {
        let folder = tempfile::tempdir().unwrap();
        let size = 3 << 20;
        std::fs::write(folder.path().join("a"), vec![b'a'; size]).unwrap();
        let store = Arc::new(FolderStore::open(folder.path()).unwrap());
        let progress = Arc::new(Progress::default());
        let watched = Layered::new(store, Watched::new("", false, Arc::clone(&progress)));
        let etag = watched.list("", "", 9).await.unwrap().remove(0).etag;
        let size = size as u64;
        let mut frames = watched.stream("", "a", &etag, 0, size).await.unwrap();
        assert_eq!(progress.now(), [0, 1, 0, size]);
        let (mut read, mut parts) = (0, 0);
        while let Some(frame) = frames.next().await {
            read += frame.unwrap().len() as u64;
            assert_eq!(progress.now(), [u64::from(read == size), 1, read, size]);
            parts += 1;
        }
        assert!(read == size && parts > 1, "{read} bytes in {parts} parts");
    }
}
