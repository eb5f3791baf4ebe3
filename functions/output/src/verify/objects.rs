//! Collects the list of all verified objects, however many there are.
//!
//! What must stay true: memory holds the first [`MAX_OBJECTS`] and the buffer of an upload. If the report can hold the
//! list, no file is written.

use landfall::{
    error::{Error, Result},
    s3_uri::S3Uri,
    store::{ObjectStore, upload::Upload},
};

use super::{MAX_OBJECTS, ObjectsFile, VerifiedObject};

pub(super) struct Objects<'a> {
    first: Vec<VerifiedObject>,
    count: u64,
    /// Where to write the file; `None` if there is no such place.
    place: Option<(&'a dyn ObjectStore, S3Uri)>,
    file: Option<Upload<'a>>,
}

/// The list that was collected.
pub(super) struct Gathered {
    pub(super) first: Vec<VerifiedObject>,
    pub(super) count: u64,
    pub(super) file: Option<ObjectsFile>,
}

impl<'a> Objects<'a> {
    pub(super) fn new(place: Option<(&'a dyn ObjectStore, S3Uri)>) -> Self {
        Self {
            first: Vec::new(),
            count: 0,
            place,
            file: None,
        }
    }

    pub(super) async fn push(&mut self, object: VerifiedObject) -> Result<()> {
        self.count += 1;
        if self.first.len() < MAX_OBJECTS {
            self.first.push(object);
            return Ok(());
        }
        let Some((store, place)) = &self.place else {
            return Ok(());
        };
        if self.file.is_none() {
            let mut file = Upload::new(*store, place.clone());
            for object in &self.first {
                file.write(&line(object)?).await?;
            }
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write(&line(&object)?).await,
            None => Ok(()),
        }
    }

    pub(super) async fn finish(self) -> Result<Gathered> {
        let file = match (self.file, self.place) {
            (Some(file), Some((_, place))) => {
                let written = file.finish().await?;
                Some(ObjectsFile {
                    key: place.key,
                    bytes: written.bytes,
                    sha256: written.sha256,
                })
            }
            _ => None,
        };
        Ok(Gathered {
            first: self.first,
            count: self.count,
            file,
        })
    }

    /// Deletes what was written of the file.
    pub(super) async fn abort(self) -> Result<()> {
        match self.file {
            Some(file) => file.abort().await,
            None => Ok(()),
        }
    }
}

fn line(object: &VerifiedObject) -> Result<Vec<u8>> {
    let mut line =
        serde_json::to_vec(object).map_err(|error| Error::internal(format!("cannot write JSON: {error}")))?;
    line.push(b'\n');
    Ok(line)
}
