//! A folder, read as if it were a bucket.
//!
//! What must stay true:
//! * Keys are paths beneath the folder with `/` between their parts. They are listed in the byte order of the whole
//!   key, as S3 lists them.
//! * A listing is complete, or it is an error. Something that cannot be an object (a name that is not text, a link that
//!   leads out of the folder, a device) is an error that names it, unless its name hides it.
//! * Nothing outside of the folder is read, and nothing is ever written.
//! * A file that changed after it was listed is not read. Its ETag is made from its size, its time of change and its
//!   inode, and is compared before and after each read.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, stream};
use landfall::{
    error::{Error, ErrorKind, Result},
    store::{Condition, Frames, Head, Listed, ObjectStore, Page, Stored, Written},
};

use super::names::{escaped, is_hidden};

/// How many objects a page has at most.
const PAGE: usize = 10_000;
/// How many bytes a part of a stream has.
const FRAME: u64 = 1 << 20;

/// The objects of a folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FolderStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// The walk at the end of the last page, so that the next page need not begin at the front.
    paused: Mutex<Option<Walk>>,
}

impl FolderStore {
    /// The objects of a folder. Fails with `NotFound` if it does not exist, and with `InvalidEvent` if it is not a
    /// folder.
    pub fn open(folder: &Path) -> Result<Self> {
        let place = folder.display();
        let root = folder.canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::new(
                ErrorKind::NotFound,
                format!("{place}: there is no such folder; for a prefix in S3 write s3://bucket/prefix/"),
            ),
            _ => failure(&error, folder),
        })?;
        if !root.is_dir() {
            return Err(Error::new(
                ErrorKind::InvalidEvent,
                format!("{place} is a file: name the folder that it is in"),
            ));
        }
        Ok(Self(Arc::new(Inner {
            root,
            paused: Mutex::new(None),
        })))
    }

    /// The folder. All links in its path have been followed.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> Result<T> + Send + 'static) -> Result<T> {
        let inner = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&inner))
            .await
            .map_err(|_| Error::internal("reading a folder gave up"))?
    }
}

#[async_trait]
impl ObjectStore for FolderStore {
    async fn list_page(&self, _: &str, prefix: &str, after: Option<&str>) -> Result<Page> {
        let (prefix, after) = (prefix.to_owned(), after.map(str::to_owned));
        self.run(move |inner| inner.page(prefix, after)).await
    }

    async fn head(&self, _: &str, key: &str) -> Result<Option<Head>> {
        let key = key.to_owned();
        self.run(move |inner| {
            let Some(found) = inner.find(&key)? else {
                return Ok(None);
            };
            Ok(Some(Head {
                size: found.len(),
                etag: etag(&found),
                last_modified: modified(&found),
                version_id: None,
                encryption: None,
                kms_key: None,
                checksum: None,
            }))
        })
        .await
    }

    async fn get(&self, _: &str, key: &str) -> Result<Option<Stored>> {
        let key = key.to_owned();
        self.run(move |inner| {
            let Some(found) = inner.find(&key)? else {
                return Ok(None);
            };
            let etag = etag(&found);
            let body = inner.read(&key, &etag, 0, found.len())?;
            Ok(Some(Stored { etag, body }))
        })
        .await
    }

    async fn read(&self, _: &str, key: &str, etag: &str, start: u64, end: u64) -> Result<Bytes> {
        let (key, etag) = (key.to_owned(), etag.to_owned());
        self.run(move |inner| inner.read(&key, &etag, start, end)).await
    }

    async fn stream(&self, _: &str, key: &str, etag: &str, start: u64, end: u64) -> Result<Frames> {
        let (store, key, etag) = (self.clone(), key.to_owned(), etag.to_owned());
        // The stream ends with its first error.
        let frames = stream::try_unfold(start, move |start| {
            let (store, key, etag) = (store.clone(), key.clone(), etag.clone());
            async move {
                if start >= end {
                    return Ok(None);
                }
                let next = end.min(start + FRAME);
                let frame = store.run(move |inner| inner.read(&key, &etag, start, next)).await?;
                Ok(Some((frame, next)))
            }
        });
        Ok(frames.boxed())
    }

    async fn put(&self, _: &str, _: &str, _: Bytes, _: Condition) -> Result<Written> {
        Err(read_only())
    }

    async fn begin_upload(&self, _: &str, _: &str) -> Result<String> {
        Err(read_only())
    }

    async fn upload_part(&self, _: &str, _: &str, _: &str, _: i32, _: Bytes) -> Result<String> {
        Err(read_only())
    }

    async fn complete_upload(&self, _: &str, _: &str, _: &str, _: &[String]) -> Result<Written> {
        Err(read_only())
    }

    async fn abort_upload(&self, _: &str, _: &str, _: &str) -> Result<()> {
        Err(read_only())
    }
}

fn read_only() -> Error {
    Error::internal("a folder that is verified is read-only")
}

impl Inner {
    fn page(&self, prefix: String, after: Option<String>) -> Result<Page> {
        let paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut walk = match paused {
            Some(walk) if after.is_some() && walk.prefix == prefix && walk.after == after => walk,
            _ => Walk::new(prefix, after, self)?,
        };
        let mut objects = Vec::new();
        while objects.len() < PAGE {
            match walk.next(self)? {
                Some(listed) => objects.push(listed),
                None => return Ok(Page { objects, next: None }),
            }
        }
        let next = objects.last().map(|listed| listed.key.clone());
        walk.after.clone_from(&next);
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = Some(walk);
        Ok(Page { objects, next })
    }

    /// The path of a key. Fails for a key that no listing gives.
    fn path(&self, key: &str) -> Result<PathBuf> {
        let relative = Path::new(key);
        if key.is_empty() || !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(Error::internal(format!("{} is not a file of the folder", escaped(key))));
        }
        Ok(self.root.join(relative))
    }

    /// The file of a key, or `None` if there is none.
    fn find(&self, key: &str) -> Result<Option<Metadata>> {
        let path = self.path(key)?;
        match fs::metadata(&path) {
            Ok(found) => Ok(found.is_file().then_some(found)),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(failure(&error, &path)),
        }
    }

    fn read(&self, key: &str, listed: &str, start: u64, end: u64) -> Result<Bytes> {
        let path = self.path(key)?;
        let changed = || {
            Error::new(
                ErrorKind::OutputRejected,
                format!("{} changed or vanished while it was read", path.display()),
            )
        };
        let named = |error: io::Error| {
            if is_gone(&error) {
                changed()
            } else {
                failure(&error, &path)
            }
        };
        let mut file = File::open(&path).map_err(named)?;
        let before = file.metadata().map_err(named)?;
        if etag(&before) != listed {
            return Err(changed());
        }
        if start > end || end > before.len() {
            return Err(Error::internal(format!(
                "{start}..{end} is not within the {} bytes of {}",
                before.len(),
                path.display()
            )));
        }
        let length = usize::try_from(end - start).map_err(|_| Error::internal("a read is too long"))?;
        let mut bytes = vec![0; length];
        file.seek(SeekFrom::Start(start)).map_err(named)?;
        match file.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(changed()),
            Err(error) => return Err(failure(&error, &path)),
        }
        if etag(&file.metadata().map_err(named)?) != listed {
            return Err(changed());
        }
        Ok(bytes.into())
    }
}

/// A listing that is under way.
#[derive(Debug)]
struct Walk {
    prefix: String,
    /// The key after which it goes on.
    after: Option<String>,
    /// What is left of every folder that was entered, from the outermost. Each is in reverse order.
    left: Vec<Vec<String>>,
}

impl Walk {
    fn new(prefix: String, after: Option<String>, inner: &Inner) -> Result<Self> {
        let mut walk = Self {
            prefix,
            after,
            left: Vec::new(),
        };
        walk.enter("", inner)?;
        Ok(walk)
    }

    /// Reads the names in a folder, as far as they are asked for. The folder's key is empty or ends with a slash.
    fn enter(&mut self, folder: &str, inner: &Inner) -> Result<()> {
        let path = inner.root.join(folder);
        let mut keys = Vec::new();
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            // It vanished after it was seen. A later listing shows that.
            Err(error) if is_gone(&error) && !folder.is_empty() => return Ok(()),
            Err(error) => return Err(failure(&error, &path)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| failure(&error, &path))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                if is_hidden(folder) || matches!(name.as_encoded_bytes().first(), Some(b'_' | b'.')) {
                    continue;
                }
                return Err(Error::new(
                    ErrorKind::InvalidEvent,
                    format!(
                        "{}: its name is not UTF-8, but the key of an object must be; rename it",
                        entry.path().display()
                    ),
                ));
            };
            let mut key = format!("{folder}{name}");
            let kind = entry.file_type().map_err(|error| failure(&error, &entry.path()))?;
            if kind.is_dir() {
                key.push('/');
            } else if !kind.is_file() && !inner.leads_to_a_file(&entry.path()) {
                if is_hidden(&key) {
                    continue;
                }
                return Err(Error::new(
                    ErrorKind::InvalidEvent,
                    format!(
                        "{} is neither a file nor a folder, nor a link to a file beneath {}; remove it, or verify a \
                         folder without it",
                        entry.path().display(),
                        inner.root.display()
                    ),
                ));
            }
            if self.wants(&key) {
                keys.push(key);
            }
        }
        // With a slash after the name of a folder, this is the order of whole keys.
        keys.sort_unstable_by(|a, b| b.cmp(a));
        self.left.push(keys);
        Ok(())
    }

    /// Whether a file, or anything in a folder, may belong to what is left.
    fn wants(&self, key: &str) -> bool {
        let is_folder = key.ends_with('/');
        let in_prefix = key.starts_with(&self.prefix) || (is_folder && self.prefix.starts_with(key));
        let behind = self
            .after
            .as_deref()
            .is_none_or(|after| key > after || (is_folder && after.starts_with(key)));
        in_prefix && behind
    }

    fn next(&mut self, inner: &Inner) -> Result<Option<Listed>> {
        loop {
            let Some(keys) = self.left.last_mut() else {
                return Ok(None);
            };
            let Some(key) = keys.pop() else {
                self.left.pop();
                continue;
            };
            if key.ends_with('/') {
                self.enter(&key, inner)?;
                continue;
            }
            if let Some(found) = inner.find(&key)? {
                return Ok(Some(Listed {
                    size: found.len(),
                    etag: etag(&found),
                    last_modified: modified(&found),
                    key,
                }));
            }
        }
    }
}

impl Inner {
    /// Whether a link leads to a file beneath the folder.
    fn leads_to_a_file(&self, link: &Path) -> bool {
        link.canonicalize()
            .is_ok_and(|target| target.starts_with(&self.root) && target.is_file())
    }
}

fn etag(found: &Metadata) -> String {
    let time = modified(found);
    let (seconds, nanoseconds) = (time.timestamp(), time.timestamp_subsec_nanos());
    #[cfg(unix)]
    let file = {
        use std::os::unix::fs::MetadataExt;
        (found.dev(), found.ino())
    };
    #[cfg(not(unix))]
    let file = (0_u64, 0_u64);
    format!(
        "\"{:x}-{seconds:x}.{nanoseconds:x}-{:x}.{:x}\"",
        found.len(),
        file.0,
        file.1
    )
}

fn modified(found: &Metadata) -> DateTime<Utc> {
    // Fails only if the system keeps no times.
    found.modified().map(DateTime::from).unwrap_or_default()
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn failure(error: &io::Error, path: &Path) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::Forbidden,
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt as _;

    fn write(root: &Path, key: &str, body: &str) {
        let path = root.join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, body).unwrap();
    }

    fn keys(page: &Page) -> Vec<&str> {
        page.objects.iter().map(|listed| listed.key.as_str()).collect()
    }

    #[tokio::test]
    async fn a_folder_lists_its_files_in_the_order_of_s3() {
        let folder = tempfile::tempdir().unwrap();
        for key in ["b/c/d.csv", "b-a.csv", "b.csv", "a.csv", "b0", "é.csv", "_x/y"] {
            write(folder.path(), key, key);
        }
        fs::create_dir(folder.path().join("nothing")).unwrap();
        let store = FolderStore::open(folder.path()).unwrap();
        let all = ["_x/y", "a.csv", "b-a.csv", "b.csv", "b/c/d.csv", "b0", "é.csv"];
        assert_eq!(keys(&store.list_page("", "", None).await.unwrap()), all);
        assert_eq!(keys(&store.list_page("", "b/", None).await.unwrap()), ["b/c/d.csv"]);
        assert_eq!(
            keys(&store.list_page("", "b", None).await.unwrap()),
            ["b-a.csv", "b.csv", "b/c/d.csv", "b0"]
        );
        for (i, after) in all.iter().enumerate() {
            assert_eq!(keys(&store.list_page("", "", Some(after)).await.unwrap()), all[i + 1..]);
        }
        assert_eq!(keys(&store.list_page("", "", Some("b/c")).await.unwrap()), all[4..]);
        let listed = &store.list_page("", "b/", None).await.unwrap().objects[0];
        assert_eq!(listed.size, 9);
        let head = store.head("", &listed.key).await.unwrap().unwrap();
        assert_eq!((&head.etag, head.last_modified), (&listed.etag, listed.last_modified));
        assert_eq!(store.head("", "b").await.unwrap(), None);
        assert_eq!(store.get("", "a.csv").await.unwrap().unwrap().body, "a.csv");
        assert_eq!(store.get("", "none").await.unwrap(), None);
        assert!(store.read("", "../x", "", 0, 0).await.is_err());
    }

    #[tokio::test]
    async fn the_pages_of_a_listing_hold_every_file_once() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..PAGE + 50 {
            let key = format!("{}/{number}", number % 7);
            write(folder.path(), &key, "");
        }
        let store = FolderStore::open(folder.path()).unwrap();
        let first = store.list_page("", "", None).await.unwrap();
        assert_eq!(first.objects.len(), PAGE);
        let next = first.next.clone().unwrap();
        let second = store.list_page("", "", Some(&next)).await.unwrap();
        assert_eq!((second.objects.len(), &second.next), (50, &None));
        // Asked a second time, the listing cannot continue where it paused, but gives the same page.
        assert_eq!(store.list_page("", "", Some(&next)).await.unwrap(), second);
        let mut all: Vec<_> = first
            .objects
            .iter()
            .chain(&second.objects)
            .map(|one| &one.key)
            .collect();
        assert!(all.is_sorted());
        all.dedup();
        assert_eq!(all.len(), PAGE + 50);
    }

    #[tokio::test]
    async fn a_file_that_changed_since_the_listing_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "a", "0123456789");
        let store = FolderStore::open(folder.path()).unwrap();
        let listed = store.list_page("", "", None).await.unwrap().objects.remove(0);
        let read = |start, end| {
            let (store, etag) = (store.clone(), listed.etag.clone());
            async move { store.read("", "a", &etag, start, end).await }
        };
        assert_eq!(read(2, 5).await.unwrap(), "234");
        assert_eq!(read(8, 11).await.unwrap_err().kind, ErrorKind::Internal);
        // Another file with the same size and time is put in its place.
        let time = fs::metadata(folder.path().join("a")).unwrap().modified().unwrap();
        write(folder.path(), "b", "9876543210");
        File::open(folder.path().join("b")).unwrap().set_modified(time).unwrap();
        fs::rename(folder.path().join("b"), folder.path().join("a")).unwrap();
        assert_eq!(read(2, 5).await.unwrap_err().kind, ErrorKind::OutputRejected);
        fs::remove_file(folder.path().join("a")).unwrap();
        assert_eq!(read(2, 5).await.unwrap_err().kind, ErrorKind::OutputRejected);
    }

    #[tokio::test]
    async fn a_stream_comes_in_small_parts_and_ends_if_the_file_changes() {
        let folder = tempfile::tempdir().unwrap();
        let body: Vec<u8> = (0..FRAME * 5 / 2).map(|at| (at % 251) as u8).collect();
        fs::write(folder.path().join("a"), &body).unwrap();
        let store = FolderStore::open(folder.path()).unwrap();
        let listed = store.list_page("", "", None).await.unwrap().objects.remove(0);
        let stream = || store.stream("", "a", &listed.etag, 1, listed.size);
        let frames: Vec<Bytes> = stream().await.unwrap().try_collect().await.unwrap();
        assert!(
            frames.iter().all(|frame| frame.len() as u64 <= FRAME),
            "{}",
            frames.len()
        );
        assert_eq!(frames.concat(), body[1..]);

        let mut frames = stream().await.unwrap();
        frames.next().await.unwrap().unwrap();
        write(folder.path(), "a", "another");
        let error = frames.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind, ErrorKind::OutputRejected);
        assert!(frames.next().await.is_none());
    }

    #[tokio::test]
    async fn a_folder_is_read_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = FolderStore::open(folder.path()).unwrap();
        let refused = store.put("", "a", Bytes::new(), Condition::Absent).await.unwrap_err();
        assert!(refused.message.contains("read-only"), "{refused}");
        assert!(store.begin_upload("", "a").await.is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_error_names_the_path_that_is_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "a", "");
        for (name, kind) in [("a", ErrorKind::InvalidEvent), ("none", ErrorKind::NotFound)] {
            let error = FolderStore::open(&folder.path().join(name)).unwrap_err();
            assert_eq!(error.kind, kind);
            assert!(error.message.contains(&format!("/{name}")), "{error}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn links_are_followed_within_the_folder_only() {
        use std::os::unix::fs::symlink;
        let outside = tempfile::tempdir().unwrap();
        write(outside.path(), "secret", "x");
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "a/b", "x");
        symlink("a/b", folder.path().join("c")).unwrap();
        symlink(outside.path(), folder.path().join("_hidden")).unwrap();
        let store = FolderStore::open(folder.path()).unwrap();
        assert_eq!(keys(&store.list_page("", "", None).await.unwrap()), ["a/b", "c"]);
        for target in [outside.path().join("secret"), "a".into(), "gone".into()] {
            let link = folder.path().join("d");
            symlink(&target, &link).unwrap();
            let error = store.list_page("", "", None).await.unwrap_err();
            assert!(error.message.contains("/d is neither"), "{error}");
            fs::remove_file(link).unwrap();
        }
    }
}
