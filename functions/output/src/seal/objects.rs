//! Copies the list of all objects from the ledger bucket to the place beside the receipt.
//!
//! What must stay true: the copy is completed only if it has the size and the SHA-256 that the report names. So all
//! executions that seal a job write the same bytes.

use landfall::{
    error::{Error, ErrorKind, Result},
    s3_uri::S3Uri,
    store::{
        ObjectStore,
        upload::{PART, Upload},
    },
};
use sha2::{Digest, Sha256};

use super::manifest::Manifest;
use crate::verify::ObjectsFile;

/// Copies the list from the ledger's `bucket` to `to`, and passes it to the manifest too.
pub(super) async fn copy(
    store: &dyn ObjectStore,
    bucket: &str,
    file: &ObjectsFile,
    to: &S3Uri,
    manifest: Option<&mut Manifest<'_>>,
) -> Result<()> {
    let mut upload = Upload::new(store, to.clone());
    match copy_parts(store, bucket, file, &mut upload, manifest).await {
        Ok(()) => {
            upload.finish().await?;
            Ok(())
        }
        Err(error) => {
            if let Err(abort) = upload.abort().await {
                tracing::warn!(
                    error = abort.kind.name(),
                    code = abort.code,
                    "the upload to {to} is left to the bucket's lifecycle"
                );
            }
            Err(error)
        }
    }
}

async fn copy_parts(
    store: &dyn ObjectStore,
    bucket: &str,
    file: &ObjectsFile,
    upload: &mut Upload<'_>,
    mut manifest: Option<&mut Manifest<'_>>,
) -> Result<()> {
    let key = &file.key;
    let broken = |what: &str| {
        Error::internal(format!(
            "the list of its objects, s3://{bucket}/{key}, {what}; restore the version that its report names by size \
             and SHA-256, and redrive"
        ))
    };
    let head = store.head(bucket, key).await?.ok_or_else(|| broken("was deleted"))?;
    if head.size != file.bytes {
        return Err(broken("has another size than its report says"));
    }
    let mut hash = Sha256::new();
    let mut start = 0;
    while start < file.bytes {
        let end = file.bytes.min(start + PART as u64);
        let part = match store.read(bucket, key, &head.etag, start, end).await {
            Err(error) if error.kind == ErrorKind::OutputRejected => {
                return Err(broken("changed while it was copied"));
            }
            part => part?,
        };
        if part.len() as u64 != end - start {
            return Err(Error::new(
                ErrorKind::Unavailable,
                format!("bytes {start}..{end} of s3://{bucket}/{key} came as {}", part.len()),
            ));
        }
        hash.update(&part);
        upload.write(&part).await?;
        if let Some(manifest) = &mut manifest {
            manifest.lines(&part).await?;
        }
        start = end;
    }
    if hex::encode(hash.finalize()) != file.sha256 {
        return Err(broken("has another SHA-256 than its report says"));
    }
    Ok(())
}
