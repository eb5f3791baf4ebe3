//! Where things lie on this machine.
//!
//! What must stay true: everything that a run writes lies under the build folder or under the folder that the user
//! named. `cargo clean` therefore removes it from the build folder.

use std::{
    env,
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// The folder of the workspace: the nearest folder that holds the state machine's definition, from the current folder
/// upwards. If there is none, the folder that this program was built from.
pub fn workspace() -> Result<PathBuf> {
    let here = env::current_dir().context("cannot read the current folder")?;
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    here.ancestors()
        .chain(built_from)
        .find(|folder| folder.join(DEFINITION).is_file())
        .map(Path::to_owned)
        .with_context(|| format!("no {DEFINITION} here or above: run this inside a checkout of Landfall"))
}

/// The state machine's definition, beneath the workspace.
pub const DEFINITION: &str = "statemachine/export-job.asl.json";

/// The definition of the state machine of batches, beneath the workspace.
pub const BATCH_DEFINITION: &str = "statemachine/export-batch.asl.json";

/// The build folder: `CARGO_TARGET_DIR`, otherwise `target` in the workspace.
pub fn build_folder(workspace: &Path) -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) if !folder.is_empty() => workspace.join(folder),
        _ => workspace.join("target"),
    }
}

/// The folder of `cargo local` in the build folder. It is created.
pub fn own_folder(workspace: &Path) -> Result<PathBuf> {
    create(build_folder(workspace).join("landfall"))
}

/// The file in a run's folder that is locked while the run goes on.
const LOCK: &str = "running.lock";

/// The folder of a run. It is not removed before this is dropped.
#[derive(Debug)]
pub struct RunFolder {
    /// Its path.
    pub path: PathBuf,
    _lock: File,
}

/// Creates a new folder for one run, `runs/<time>-<process>-<number>`.
pub fn run_folder(own: &Path) -> Result<RunFolder> {
    let runs = create(own.join("runs"))?;
    let time = chrono::Utc::now().format("%Y%m%dT%H%M%SZ");
    for number in 0..1000 {
        let folder = runs.join(format!("{time}-{}-{number}", std::process::id()));
        match std::fs::create_dir(&folder) {
            Ok(()) => return hold(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot create {}", folder.display())),
        }
    }
    bail!("{} has a thousand folders of this second: remove some", runs.display())
}

fn hold(path: PathBuf) -> Result<RunFolder> {
    let lock_path = path.join(LOCK);
    let lock = File::create(&lock_path).with_context(|| format!("cannot create {}", lock_path.display()))?;
    lock.lock()
        .with_context(|| format!("cannot lock {}", lock_path.display()))?;
    Ok(RunFolder { path, _lock: lock })
}

/// Whether the run of a folder goes on. A folder that was made a moment ago may have no lock yet.
fn is_held(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_err(),
        Err(_) => {
            let made = std::fs::metadata(folder).and_then(|metadata| metadata.modified());
            made.is_ok_and(|made| made.elapsed().is_ok_and(|age| age < Duration::from_secs(60)))
        }
    }
}

/// Removes the folders of ended runs except the newest `keep`, so that the build folder does not grow without end. It
/// is no error if another process removes a folder at the same time.
pub fn prune_runs(own: &Path, keep: usize) {
    let Ok(entries) = std::fs::read_dir(own.join("runs")) else {
        return;
    };
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let surplus = folders.len().saturating_sub(keep);
    for folder in folders[..surplus].iter().filter(|folder| !is_held(folder)) {
        let _ = std::fs::remove_dir_all(folder);
    }
}

fn create(folder: PathBuf) -> Result<PathBuf> {
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_found_and_each_run_has_a_new_folder() {
        let root = workspace().unwrap();
        assert!(root.join("local/Cargo.toml").is_file());
        let temporary = tempfile::tempdir().unwrap();
        let first = run_folder(temporary.path()).unwrap();
        assert_ne!(first.path, run_folder(temporary.path()).unwrap().path);
    }

    #[test]
    fn the_folders_of_running_runs_are_not_pruned() {
        let own = tempfile::tempdir().unwrap();
        let ended = run_folder(own.path()).unwrap().path;
        let running = run_folder(own.path()).unwrap();
        prune_runs(own.path(), 0);
        assert!(!ended.exists() && running.path.exists());
    }
}
