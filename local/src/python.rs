//! Python tools in virtual environments of their own.
//!
//! What must stay true: an environment with the stamp of its requirements is whole. The stamp is written last, under a
//! lock that every process takes. An interrupted installation is therefore begun anew, and two runs at once install
//! once. Nothing is installed outside of the build folder.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::places;

/// What `cargo local` itself needs: moto with the interpreter of state machines.
pub const REQUIREMENTS: &str = include_str!("../requirements.txt");

/// The oldest Python that the pinned packages support.
const OLDEST: (u32, u32) = (3, 10);

/// The newest Python for which all pinned packages have wheels. For a newer one, pip would have to compile some.
const NEWEST: (u32, u32) = (3, 14);

/// How often pip is called. A package index, or the network, may fail for longer than pip itself retries.
const TRIES: u32 = 3;

/// The pause between two calls of pip.
const PAUSE: Duration = Duration::from_secs(5);

/// A virtual environment whose requirements are installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Its folder.
    pub folder: PathBuf,
}

impl Environment {
    /// Its Python. Modules are run with `-m`, because the scripts beside it break when the folder moves.
    pub fn python(&self) -> PathBuf {
        self.bin("python")
    }

    /// A program of one of its packages.
    pub fn bin(&self, name: &str) -> PathBuf {
        if cfg!(windows) {
            self.folder.join("Scripts").join(format!("{name}.exe"))
        } else {
            self.folder.join("bin").join(name)
        }
    }
}

/// The environment of `cargo local`. It is installed if it is not whole.
pub fn ensure(workspace: &Path) -> Result<Environment> {
    ensure_requirements(
        workspace,
        "python",
        REQUIREMENTS,
        "moto, which runs the state machine and keeps S3, EventBridge and SQS on this machine",
    )
}

/// An environment `target/landfall/<name>` with the packages of a requirements file. It is installed if it is not
/// whole. `purpose` completes the sentence "installing …" and says what the packages are for.
pub fn ensure_requirements(workspace: &Path, name: &str, requirements: &str, purpose: &str) -> Result<Environment> {
    ensure_in(&places::own_folder(workspace)?, name, requirements, purpose)
}

fn ensure_in(own: &Path, name: &str, requirements: &str, purpose: &str) -> Result<Environment> {
    let environment = Environment { folder: own.join(name) };
    let stamp = hex::encode(Sha256::digest(requirements.as_bytes()));
    if is_whole(&environment, &stamp) {
        return Ok(environment);
    }

    let lock_path = own.join(format!("{name}.lock"));
    let lock = File::create(&lock_path).with_context(|| format!("cannot create {}", lock_path.display()))?;
    if lock.try_lock().is_err() {
        say(&format!("waiting for another process that installs {name}"));
        lock.lock()
            .with_context(|| format!("cannot lock {}", lock_path.display()))?;
    }
    // The process that held the lock may have installed it.
    if is_whole(&environment, &stamp) {
        return Ok(environment);
    }
    let python = find_python()?;
    say(&format!("installing {purpose}"));
    say(&format!(
        "into {} (once; pinned in its requirements)",
        environment.folder.display()
    ));
    install(
        &environment,
        &python,
        requirements,
        &own.join(format!("{name}.requirements.txt")),
    )?;
    let stamp_path = stamp_path(&environment);
    fs::write(&stamp_path, stamp).with_context(|| format!("cannot write {}", stamp_path.display()))?;
    Ok(environment)
}

fn stamp_path(environment: &Environment) -> PathBuf {
    environment.folder.join("landfall-stamp")
}

/// Whether an environment can be used. Its packages lie in a folder that is named after the Python version they were
/// installed for. So its Python is asked for its version: it may have been removed or replaced by a newer one since
/// then.
fn is_whole(environment: &Environment, stamp: &str) -> bool {
    let is_stamped = fs::read_to_string(stamp_path(environment)).is_ok_and(|found| found == stamp);
    is_stamped && version_of(environment).is_some_and(|version| has_packages_for(environment, version))
}

fn version_of(environment: &Environment) -> Option<(u32, u32)> {
    ask(environment.python().as_os_str()).map(|found| found.version)
}

fn has_packages_for(environment: &Environment, (major, minor): (u32, u32)) -> bool {
    // On Windows the folder is the same for all versions.
    cfg!(windows)
        || environment
            .folder
            .join(format!("lib/python{major}.{minor}/site-packages"))
            .is_dir()
}

fn install(environment: &Environment, python: &OsStr, requirements: &str, file: &Path) -> Result<()> {
    let folder = &environment.folder;
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove the unfinished {}", folder.display()))?;
    }
    run(
        clean(Command::new(python)).args(["-I", "-m", "venv"]).arg(folder),
        "Python could not create a virtual environment. On Debian and Ubuntu it needs: apt install python3-venv",
    )?;
    fs::write(file, requirements).with_context(|| format!("cannot write {}", file.display()))?;
    let mut pip = clean(Command::new(environment.python()));
    pip.args([
        "-I",
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
    ]);
    if !std::io::stderr().is_terminal() {
        pip.args(["--quiet", "--progress-bar", "off"]);
    }
    pip.arg("-r").arg(file);
    let remedy = "pip could not install the packages: see its messages above. It needs a package index that it can \
                  reach, or a mirror of one in pip's configuration. Then run the command again";
    for number in 1..TRIES {
        if run(&mut pip, remedy).is_ok() {
            return Ok(());
        }
        say(&format!(
            "pip failed, call {number} of {TRIES}; trying again in {} s",
            PAUSE.as_secs()
        ));
        thread::sleep(PAUSE);
    }
    run(&mut pip, remedy)
}

/// Removes the variables that would make Python or pip look or write elsewhere. With `-I`, Python does not import from the
/// current folder either, which is the user's.
fn clean(mut command: Command) -> Command {
    for variable in [
        "PYTHONHOME",
        "PYTHONPATH",
        "PIP_USER",
        "PIP_TARGET",
        "PIP_PREFIX",
        "VIRTUAL_ENV",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Runs a command and sends its whole output to stderr. stdout is kept for the caller's result.
fn run(command: &mut Command, remedy: &str) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{remedy} ({status})");
    }
    Ok(())
}

/// The first Python that is new enough and can make virtual environments: `LANDFALL_PYTHON` if set, otherwise the usual
/// names. A Python that is newer than the pinned packages is taken only if there is no other.
fn find_python() -> Result<OsString> {
    let named = env::var_os("LANDFALL_PYTHON").filter(|name| !name.is_empty());
    let usual = [
        "python3",
        "python3.14",
        "python3.13",
        "python3.12",
        "python3.11",
        "python3.10",
        "python",
    ];
    let candidates: Vec<OsString> = match named {
        Some(name) => vec![name],
        None => usual.iter().map(OsString::from).collect(),
    };
    let mut without_venv = None;
    let mut too_old = None;
    let mut too_new = None;
    for candidate in &candidates {
        let Some(found) = ask(candidate) else { continue };
        if found.version < OLDEST {
            too_old.get_or_insert((candidate, found.version));
        } else if !found.has_venv {
            without_venv.get_or_insert(candidate);
        } else if found.version > NEWEST {
            too_new.get_or_insert(candidate);
        } else {
            return Ok(candidate.clone());
        }
    }
    if let Some(name) = too_new {
        return Ok(name.clone());
    }
    if let Some(name) = without_venv {
        bail!(
            "{} has no `venv` module, which `cargo local` needs for its tools. On Debian and Ubuntu: apt install \
             python3-venv; or name another Python in LANDFALL_PYTHON",
            name.display()
        );
    }
    if let Some((name, (major, minor))) = too_old {
        bail!(
            "{} is Python {major}.{minor}; the tools of `cargo local` need {}.{} or newer. Install one, or name it in \
             LANDFALL_PYTHON",
            name.display(),
            OLDEST.0,
            OLDEST.1
        );
    }
    bail!(
        "no Python 3 was found ({}); `cargo local` needs {}.{} or newer with its `venv` module. On Debian and Ubuntu: \
         apt install python3 python3-venv; or name one in LANDFALL_PYTHON",
        candidates
            .iter()
            .map(|name| name.display().to_string())
            .collect::<Vec<_>>()
            .join(", "),
        OLDEST.0,
        OLDEST.1
    )
}

struct Found {
    version: (u32, u32),
    has_venv: bool,
}

/// A Python's answer about itself. `None` if it is missing or does not answer.
fn ask(python: &OsStr) -> Option<Found> {
    // Debian ships `venv` without `ensurepip`. Only `ensurepip` shows whether `venv` will work.
    let question = "import sys, importlib.util as u\n\
                    print(*sys.version_info[:2], int(all(u.find_spec(m) for m in ('venv', 'ensurepip'))))";
    let output = clean(Command::new(python))
        .args(["-I", "-c", question])
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut words = text.split_whitespace();
    let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
    Some(Found {
        version: (number()?, number()?),
        has_venv: number()? == 1,
    })
}

/// One line of progress.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "landfall: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moto_is_pinned_exactly_and_every_package_has_its_hashes() {
        assert!(REQUIREMENTS.contains("\nmoto==5.2.5 \\\n"));
        for (number, line) in REQUIREMENTS.lines().enumerate() {
            if line.contains("==") && !line.starts_with([' ', '#']) {
                assert!(line.ends_with('\\'), "line {} has no hash: {line}", number + 1);
            }
        }
    }

    #[test]
    fn an_environment_is_made_once_and_again_if_unfinished() {
        let own = tempfile::tempdir().unwrap();
        // The requirements are only comments, so nothing is downloaded.
        let requirements = "# nothing\n";
        let make = |name: &str| ensure_in(own.path(), name, requirements, "nothing").unwrap();
        // Several at once.
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| make("python"));
            }
        });
        let environment = make("python");
        assert!(environment.python().exists());
        let mark = environment.folder.join("mark");
        fs::write(&mark, "").unwrap();
        make("python");
        assert!(mark.exists(), "was made again");
        // An interruption leaves a folder without the stamp.
        fs::remove_file(stamp_path(&environment)).unwrap();
        make("python");
        assert!(!mark.exists(), "was not begun anew");
        assert!(environment.python().exists());
        // A newer Python behind the same link leaves the packages of another version.
        #[cfg(unix)]
        {
            let (major, minor) = version_of(&environment).unwrap();
            let folder = environment.folder.join("lib");
            fs::rename(folder.join(format!("python{major}.{minor}")), folder.join("python2.7")).unwrap();
            make("python");
            assert!(has_packages_for(&environment, (major, minor)), "was taken for whole");
        }
    }

    #[test]
    fn a_python_is_asked_for_its_version() {
        assert!(ask(OsStr::new("no-such-python")).is_none());
        let python = find_python().unwrap();
        assert!(ask(&python).unwrap().version >= OLDEST);
    }
}
