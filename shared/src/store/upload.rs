//! Writes an object of any size.
//!
//! What must stay true: memory holds one part at a time. An object that fits in one part is written by one call.
//! Nothing is overwritten. An upload that is not finished leaves no object; its parts are deleted or, if the process
//! dies, left to the lifecycle rule of the bucket.

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::{Condition, ObjectStore};
use crate::{
    error::{Error, Result},
    s3_uri::S3Uri,
    store::Written,
};

/// Bytes of a part. S3 allows 10,000 parts, so an object can have 80 GiB.
pub const PART: usize = 8 << 20;

/// The size and the hash of an object that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    pub bytes: u64,
    /// In hex.
    pub sha256: String,
}

/// An object that is being written.
pub struct Upload<'a> {
    store: &'a dyn ObjectStore,
    place: S3Uri,
    buffer: BytesMut,
    hash: Sha256,
    bytes: u64,
    /// The upload's id, and the ETags of its parts so far.
    begun: Option<(String, Vec<String>)>,
}

impl<'a> Upload<'a> {
    /// An upload to `place`. Nobody else may write there.
    pub fn new(store: &'a dyn ObjectStore, place: S3Uri) -> Self {
        Self {
            store,
            place,
            buffer: BytesMut::new(),
            hash: Sha256::new(),
            bytes: 0,
            begun: None,
        }
    }

    /// Adds bytes to the object. After an error, which is the store's, the upload cannot be continued.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let taken = bytes.len().min(PART - self.buffer.len());
            self.buffer.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.buffer.len() == PART {
                let part = self.buffer.split().freeze();
                self.part(part).await?;
            }
        }
        Ok(())
    }

    /// Completes the object. If there is an object with the same content already, that is a success too, because a
    /// write whose answer was lost may have succeeded. Fails with `Internal` if there is an object with other content.
    pub async fn finish(mut self) -> Result<Uploaded> {
        let rest = self.buffer.split().freeze();
        let S3Uri { bucket, key } = self.place.clone();
        if self.begun.is_some() && !rest.is_empty() {
            self.part(rest.clone()).await?;
        }
        let written = match &self.begun {
            Some((id, parts)) => self.store.complete_upload(&bucket, &key, id, parts).await?,
            None => self.store.put(&bucket, &key, rest, Condition::Absent).await?,
        };
        let uploaded = Uploaded {
            bytes: self.bytes,
            sha256: hex::encode(self.hash.finalize()),
        };
        if written == Written::Refused && read_back(self.store, &self.place).await? != Some(uploaded.clone()) {
            return Err(Error::internal(format!(
                "another object is at {}: move it away and try again",
                self.place
            )));
        }
        Ok(uploaded)
    }

    /// Deletes what was written. The object stays as it was.
    pub async fn abort(self) -> Result<()> {
        match &self.begun {
            Some((id, _)) => self.store.abort_upload(&self.place.bucket, &self.place.key, id).await,
            None => Ok(()),
        }
    }

    async fn part(&mut self, body: Bytes) -> Result<()> {
        let S3Uri { bucket, key } = &self.place;
        if self.begun.is_none() {
            self.begun = Some((self.store.begin_upload(bucket, key).await?, Vec::new()));
        }
        let Some((id, parts)) = &mut self.begun else {
            return Err(Error::internal("an upload was not begun"));
        };
        let number = i32::try_from(parts.len() + 1).map_err(|_| Error::internal("an upload has too many parts"))?;
        parts.push(self.store.upload_part(bucket, key, id, number, body).await?);
        Ok(())
    }
}

/// The size and the hash of the object at a place.
async fn read_back(store: &dyn ObjectStore, place: &S3Uri) -> Result<Option<Uploaded>> {
    let S3Uri { bucket, key } = place;
    let Some(head) = store.head(bucket, key).await? else {
        return Ok(None);
    };
    let (mut hash, mut start) = (Sha256::new(), 0);
    while start < head.size {
        let end = head.size.min(start + PART as u64);
        hash.update(&store.read(bucket, key, &head.etag, start, end).await?);
        start = end;
    }
    Ok(Some(Uploaded {
        bytes: head.size,
        sha256: hex::encode(hash.finalize()),
    }))
}
