//! The place of the objects that are verified: a prefix of a bucket, or a folder of this machine.
//!
//! What must stay true: messages name a place as the user named it. They never show the internal name of a folder.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use bytes::Bytes;
use landfall::{
    error::{Error, ErrorKind, Result},
    s3_uri::S3Uri,
    store::ObjectStore,
};

use super::folder::FolderStore;
use crate::access::Access;

/// The bucket's name that the verification gets for a folder.
const FOLDER: &str = "folder";

/// How many objects are verified at most at once. What is listed and found is kept in memory, at about 1 KiB for each
/// object. The function has less memory and keeps this in the ledger bucket.
pub(super) const MAX_OBJECTS: usize = 10_000_000;

/// A prefix of a bucket, or a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a bucket. For a receipt this is its whole key.
    S3(S3Uri),
    /// On this machine. For a receipt this is the file.
    Local(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3(uri) => write!(f, "{uri}"),
            Self::Local(path) => write!(f, "{}", path.display()),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Somebody who writes another letter case, or https, means S3 and not a folder.
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        match scheme {
            None if text.is_empty() => Err("it is empty".to_owned()),
            None => Ok(Self::Local(text.into())),
            Some("s3") => text
                .parse()
                .map(Self::S3)
                .map_err(|error: landfall::s3_uri::InvalidS3Uri| error.to_string()),
            Some(_) => Err("it is neither a path nor s3://bucket/prefix/".to_owned()),
        }
    }
}

/// An object, or a folder of objects, in the store that holds it.
#[derive(Clone)]
pub struct Location {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// The bucket.
    pub bucket: String,
    /// The key, or a prefix, which is empty or ends with a slash.
    pub key: String,
    /// The path of the folder that the store reads, as the user named it.
    pub folder: Option<PathBuf>,
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.folder {
            Some(folder) if self.key.is_empty() => write!(f, "{}", folder.display()),
            Some(folder) => write!(f, "{}", folder.join(&self.key).display()),
            None => write!(f, "s3://{}/{}", self.bucket, self.key),
        }
    }
}

impl Location {
    /// A folder of this machine.
    pub fn folder(folder: &Path) -> Result<Self> {
        Ok(Self {
            store: Arc::new(FolderStore::open(folder)?),
            bucket: FOLDER.to_owned(),
            key: String::new(),
            folder: Some(folder.to_owned()),
        })
    }

    /// A file of this machine.
    pub(super) fn file(path: &Path) -> Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidEvent,
                format!("{} does not end with the name of a file", path.display()),
            )
        })?;
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        Ok(Self {
            key: name.to_owned(),
            ..Self::folder(folder)?
        })
    }

    pub(super) async fn open(place: &Place, as_folder: bool, access: &Access) -> Result<Self> {
        match place {
            Place::Local(path) if as_folder => Self::folder(path),
            Place::Local(path) => Self::file(path),
            Place::S3(uri) => Ok(Self {
                store: access.store().await?,
                bucket: uri.bucket.clone(),
                key: if as_folder {
                    uri.as_folder().key
                } else {
                    uri.key.clone()
                },
                folder: None,
            }),
        }
    }

    pub(super) async fn get(&self) -> Result<Option<Bytes>> {
        Ok(self.store.get(&self.bucket, &self.key).await?.map(|stored| stored.body))
    }

    /// Another object in the same folder.
    #[must_use]
    pub(super) fn beside(&self, name: &str) -> Self {
        let folder = self.key.rfind('/').map_or("", |slash| &self.key[..=slash]);
        Self {
            key: format!("{folder}{name}"),
            ..self.clone()
        }
    }

    pub(super) fn uri(&self) -> S3Uri {
        S3Uri {
            bucket: self.bucket.clone(),
            key: self.key.clone(),
        }
    }

    /// The text, with this place as the user named it.
    pub(super) fn reword(&self, text: &str) -> String {
        match &self.folder {
            Some(folder) => {
                let folder = folder.display().to_string();
                text.replace(
                    &format!("s3://{FOLDER}/"),
                    &format!("{}/", folder.trim_end_matches('/')),
                )
            }
            None => text.replace("the function's role", "the role or user of these credentials"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_or_an_s3_uri() {
        let s3 = |text: &str| Place::S3(text.parse().unwrap());
        assert_eq!("s3://bucket/a".parse(), Ok(s3("s3://bucket/a")));
        assert_eq!("a/b".parse(), Ok(Place::Local("a/b".into())));
        assert_eq!("C:\\a".parse(), Ok(Place::Local("C:\\a".into())));
        for wrong in ["", "S3://bucket/a", "https://bucket/a", "s3://b/a", "s3://bucket/../a"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
