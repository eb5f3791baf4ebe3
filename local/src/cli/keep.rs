//! The folder of `--out`.
//!
//! What must stay true: the folder holds one run, and files of somebody else are never removed. No key of an object
//! leads out of the folder.
#![allow(clippy::print_stderr)]

use std::{
    io::ErrorKind,
    path::{Component, Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use landfall_cli::verify::kept::{DELIVERIES, DELIVERY, is_kept};
use landfall_local::{
    account::{EXPORTS, LEDGER},
    world::World,
};

use super::done::Done;

/// What `keep` and the world write into a folder of `--out`.
const KEPT: [&str; 4] = [EXPORTS, LEDGER, DELIVERIES, "logs"];

/// Removes an earlier run from the folder, because nothing could be verified if two runs were mixed there. Fails if the
/// folder holds something else.
pub(super) fn clear(folder: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("--out {}: it cannot be read", folder.display()))?,
    };
    let names: Vec<_> = entries.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    if names.is_empty() {
        return Ok(());
    }
    // A run that broke off before it kept anything leaves this.
    let only_logs = names.iter().all(|name| name == "logs") && folder.join("logs").join("moto.log").is_file();
    if !is_kept(folder) && !only_logs {
        bail!(
            "--out {}: this folder holds something else than an earlier run; name another folder",
            folder.display()
        );
    }
    eprintln!("landfall: the earlier run in {} is replaced", folder.display());
    for name in KEPT {
        let path = folder.join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Keeps what the world would forget: objects, receipts and histories. The logs are in the folder already.
pub(super) async fn keep(world: &World, all: &[Done], folder: &Path) -> Result<()> {
    for bucket in [EXPORTS, LEDGER] {
        for key in world.list(bucket, "").await? {
            let Some(path) = below(&folder.join(bucket), &key) else {
                bail!("s3://{bucket}/{key} cannot be kept: its key is not a path");
            };
            write(&path, &world.object(bucket, &key).await?.unwrap_or_default())?;
        }
    }
    for (i, done) in all.iter().enumerate() {
        let folder = folder.join(DELIVERIES).join((i + 1).to_string());
        write(
            &folder.join("history.json"),
            &serde_json::to_vec_pretty(&done.finished.history)?,
        )?;
        write(&folder.join(DELIVERY), &serde_json::to_vec_pretty(&done.document())?)?;
        if let Some(receipt) = &done.receipt {
            write(&folder.join("receipt.json"), &serde_json::to_vec_pretty(receipt)?)?;
        }
    }
    Ok(())
}

/// The path of a key beneath a folder, or `None` if it would lead out of the folder.
pub(super) fn below(folder: &Path, key: &str) -> Option<PathBuf> {
    let relative = Path::new(key);
    let is_plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain && !key.ends_with('/')).then(|| folder.join(relative))
}

pub(super) fn write(path: &Path, body: &[u8]) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    std::fs::write(path, body).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests;
