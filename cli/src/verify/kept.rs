//! A folder that `cargo local --out` wrote. It has a folder for each bucket, and beside them what became of the
//! deliveries.
//!
//! What must stay true: nobody guesses which output is meant. There is only one, or all are named.

use std::path::{Path, PathBuf};

use landfall::{
    error::{Error, ErrorKind, Result},
    s3_uri::S3Uri,
    store::ObjectStore as _,
};
use landfall_output::receipt;
use serde_json::Value;

use super::{folder::FolderStore, names::escaped, place::MAX_OBJECTS};

/// The bucket of exports in the local world, and the name of its folder.
pub const EXPORTS: &str = "landfall-exports";
/// The bucket of the ledger in the local world, and the name of its folder.
pub const LEDGER: &str = "landfall-ledger";
/// The folder with a folder for each delivery, named by its number from 1.
pub const DELIVERIES: &str = "deliveries";
/// The file in a delivery's folder that says how it ended.
pub const DELIVERY: &str = "delivery.json";
/// How many receipts are named at most if the user must choose one.
const NAMED: usize = 8;

/// Whether `cargo local --out` wrote the folder.
pub fn is_kept(folder: &Path) -> bool {
    first_delivery(folder).is_file()
}

/// The path in the folder for an object's URI.
pub(super) fn place_of(folder: &Path, uri: &S3Uri) -> PathBuf {
    folder.join(&uri.bucket).join(&uri.key)
}

/// The one receipt of an output in the folder. It lies beside the data or, for a failed job, in the ledger bucket.
/// Fails with `NotFound` if there is none, and with `InvalidEvent` if there are several.
pub(super) async fn receipt(folder: &Path) -> Result<PathBuf> {
    let store = FolderStore::open(folder)?;
    let mut found = Vec::new();
    for listed in store.list("", &format!("{EXPORTS}/"), MAX_OBJECTS).await? {
        if listed.key.rsplit('/').next() == Some(receipt::NAME) {
            found.push(folder.join(&listed.key));
        }
    }
    for listed in store.list("", &format!("{LEDGER}/receipts/"), MAX_OBJECTS).await? {
        let stored = store.get("", &listed.key).await?;
        let has_output = |stored: &landfall::store::Stored| {
            serde_json::from_slice(&stored.body).is_ok_and(|receipt: Value| !receipt["output"].is_null())
        };
        if stored.as_ref().is_some_and(has_output) {
            found.push(folder.join(&listed.key));
        }
    }
    if found.len() > 1 {
        let named: Vec<String> = found
            .iter()
            .take(NAMED)
            .map(|receipt| format!("--receipt {}", escaped(&receipt.display().to_string())))
            .collect();
        let more = if found.len() > NAMED { ", …" } else { "" };
        return Err(Error::new(
            ErrorKind::InvalidEvent,
            format!(
                "{} was written by cargo local --out and holds {} outputs. Choose one by its receipt: {}{more}",
                folder.display(),
                found.len(),
                named.join(", ")
            ),
        ));
    }
    found.pop().ok_or_else(|| {
        Error::new(
            ErrorKind::NotFound,
            format!(
                "{} was written by cargo local --out, but no job in it sealed an output. {} says how its first delivery \
                 ended",
                folder.display(),
                first_delivery(folder).display()
            ),
        )
    })
}

fn first_delivery(folder: &Path) -> PathBuf {
    folder.join(DELIVERIES).join("1").join(DELIVERY)
}
