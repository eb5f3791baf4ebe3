//! Writes the manifest for Redshift's COPY and Spectrum, which lists the data objects.
//!
//! What must stay true: the manifest follows from the sealed list of objects alone, so all executions that seal a job
//! write the same bytes. It names the data that COPY can load, and nothing else. It is written before the receipt.
//!
//! The format is documented in "Using a manifest to specify data files" in the Redshift guide.

use landfall::{
    error::{Error, Result},
    s3_uri::S3Uri,
    store::{ObjectStore, upload::Upload},
};
use serde::Serialize;

use crate::{
    receipt,
    verify::{Role, VerifiedObject},
};

#[derive(Serialize)]
struct Entry<'a> {
    url: S3Uri,
    mandatory: bool,
    meta: Meta<'a>,
}

#[derive(Serialize)]
struct Meta<'a> {
    /// In bytes. Spectrum and columnar formats need it.
    content_length: &'a u64,
}

/// A manifest that is being written.
pub(super) struct Manifest<'a> {
    upload: Upload<'a>,
    bucket: String,
    entries: u64,
    /// The beginning of a line of the list that has not been read to its end.
    line: Vec<u8>,
}

impl<'a> Manifest<'a> {
    /// A manifest beside the receipt at this place.
    pub(super) fn beside(receipt: &S3Uri, store: &'a dyn ObjectStore) -> Self {
        let place = receipt::beside(receipt, receipt::MANIFEST_NAME);
        Self {
            bucket: place.bucket.clone(),
            upload: Upload::new(store, place),
            entries: 0,
            line: Vec::new(),
        }
    }

    /// Adds the next object, if it can be loaded.
    pub(super) async fn object(&mut self, object: &VerifiedObject) -> Result<()> {
        // Documents and workbooks have no rows to load.
        let is_loaded = object.format.is_none_or(|format| format.row().has_columns());
        if object.role != Role::Data || !is_loaded {
            return Ok(());
        }
        let entry = Entry {
            url: S3Uri {
                bucket: self.bucket.clone(),
                key: object.key.clone(),
            },
            mandatory: true,
            meta: Meta {
                content_length: &object.size,
            },
        };
        let mut text = if self.entries == 0 { "{\"entries\":[" } else { "," }.to_owned();
        text += &serde_json::to_string(&entry).map_err(|error| Error::internal(error.to_string()))?;
        self.entries += 1;
        self.upload.write(text.as_bytes()).await
    }

    /// Reads the next bytes of the list of all objects, which has JSON lines.
    pub(super) async fn lines(&mut self, bytes: &[u8]) -> Result<()> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let object = serde_json::from_slice(&self.line).map_err(|error| {
                    Error::internal(format!("a line of the list of objects cannot be read: {error}"))
                })?;
                self.line.clear();
                self.object(&object).await?;
            }
        }
        Ok(())
    }

    /// Completes the manifest. There is none if there is nothing to load.
    pub(super) async fn finish(mut self) -> Result<()> {
        if self.entries > 0 {
            self.upload.write(b"]}\n").await?;
            self.upload.finish().await?;
        }
        Ok(())
    }

    /// Deletes what was written.
    pub(super) async fn abort(self) -> Result<()> {
        self.upload.abort().await
    }
}
