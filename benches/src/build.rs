//! Measures a first run and a deployment build in a fresh folder: processor time, wall time, disk, and the share of
//! each crate.
//!
//! What must stay true: a build begins with an empty folder and uses the commands that people type. Processor time is
//! that of cargo and everything that it started, as the kernel counts it, because wall time depends on what else the
//! machine does.
//!
//! Cargo calls this program ([`wrap`]) in place of the compiler, and it records the time of each call. Build scripts,
//! and C code that they compile, are only in the total.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};
use landfall_local::{
    functions::{functions, packages},
    kinds::KINDS,
    places,
};
use wait4::Wait4;

/// The variable that turns this program into a wrapper of the compiler. It names the file for the records.
pub const NOTES: &str = "LANDFALL_BENCHES_NOTES";

/// How many crates the table shows.
const SHOWN: usize = 15;

/// Measures both builds.
///
/// # Errors
/// If a build cannot be started or fails.
pub fn run() -> Result<()> {
    let workspace = places::workspace()?;
    let own = places::own_folder(&workspace)?.join("benches-build");
    let first = KINDS.first().context("there is no kind")?;
    let names = functions(&[*first], false);
    let mut of_first = packages(&workspace, &names)?;
    of_first.insert("landfall-local".to_owned());
    let mut first_run = vec!["build", "--locked"];
    first_run.extend(of_first.iter().flat_map(|package| ["-p", package.as_str()]));
    first_run.extend(names.iter().flat_map(|name| ["--bin", name.as_str()]));
    let local = vec!["build", "--locked", "-p", "landfall-local"];
    let of_all = packages(&workspace, &functions(&KINDS, true))?;
    let mut deployment = vec!["build", "--locked", "--release"];
    deployment.extend(of_all.iter().flat_map(|package| ["-p", package.as_str()]));
    for (title, commands) in [
        (
            format!("First run of cargo local for a {}", first.name),
            vec![local, first_run],
        ),
        ("Deployment build of all functions".to_owned(), vec![deployment]),
    ] {
        let built = build(&workspace, &own, &commands)?;
        crate::print(&format!(
            "\n{title}: {:.0} s of processor time, {:.0} s on the clock, {:.2} GB\n\n{}",
            built.processor.as_secs_f64(),
            built.clock.as_secs_f64(),
            built.bytes as f64 / 1e9,
            table(&built.crates),
        ))?;
    }
    Ok(())
}

struct Built {
    processor: Duration,
    clock: Duration,
    bytes: u64,
    /// Processor seconds of each crate.
    crates: BTreeMap<String, f64>,
}

fn build(workspace: &Path, own: &Path, commands: &[Vec<&str>]) -> Result<Built> {
    let target = own.join("target");
    if target.exists() {
        fs::remove_dir_all(&target).with_context(|| format!("cannot empty {}", target.display()))?;
    }
    fs::create_dir_all(&target).with_context(|| format!("cannot create {}", target.display()))?;
    let notes = own.join("notes");
    fs::write(&notes, "").with_context(|| format!("cannot write {}", notes.display()))?;
    let begun = Instant::now();
    let mut processor = Duration::ZERO;
    for arguments in commands {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let child = Command::new(cargo)
            .current_dir(workspace)
            .args(arguments)
            .env("CARGO_TARGET_DIR", &target)
            .env("RUSTC_WRAPPER", env::current_exe().context("cannot find this program")?)
            .env(NOTES, &notes)
            .spawn()
            .context("cannot start cargo")?;
        let ended = child.wait4().context("cannot wait for cargo")?;
        if !ended.status.success() {
            bail!("cargo {} failed: {}", arguments.join(" "), ended.status);
        }
        processor += ended.rusage.utime + ended.rusage.stime;
    }
    let clock = begun.elapsed();
    let text = fs::read_to_string(&notes).with_context(|| format!("cannot read {}", notes.display()))?;
    Ok(Built {
        processor,
        clock,
        bytes: size(&target)?,
        crates: by_crate(&text),
    })
}

/// Runs the compiler in place of cargo, and records its time.
#[must_use]
pub fn wrap(notes: &Path) -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let Some((compiler, rest)) = arguments.split_first() else {
        return ExitCode::FAILURE;
    };
    let Ok(child) = Command::new(compiler).args(rest).spawn() else {
        return ExitCode::FAILURE;
    };
    let Ok(ended) = child.wait4() else {
        return ExitCode::FAILURE;
    };
    let place = rest.iter().position(|argument| argument == "--crate-name");
    if let Some(name) = place.and_then(|place| rest.get(place + 1)?.to_str()) {
        let took = ended.rusage.utime + ended.rusage.stime;
        let line = format!("{name} {}\n", took.as_secs_f64());
        let noted = OpenOptions::new()
            .append(true)
            .open(notes)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        if noted.is_err() {
            return ExitCode::FAILURE;
        }
    }
    ended
        .status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}

fn by_crate(notes: &str) -> BTreeMap<String, f64> {
    let mut crates = BTreeMap::new();
    for line in notes.lines() {
        if let Some((name, seconds)) = line.split_once(' ')
            && let Ok(seconds) = seconds.parse::<f64>()
        {
            *crates.entry(name.to_owned()).or_default() += seconds;
        }
    }
    crates
}

fn table(crates: &BTreeMap<String, f64>) -> Table {
    let mut sorted: Vec<_> = crates.iter().collect();
    sorted.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["crate", "processor, s"]);
    for (name, seconds) in sorted.iter().take(SHOWN) {
        table.add_row([(*name).clone(), format!("{seconds:.1}")]);
    }
    let others = sorted.iter().skip(SHOWN);
    let rest: f64 = others.clone().map(|(_, seconds)| **seconds).sum();
    table.add_row([format!("{} others", others.count()), format!("{rest:.1}")]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                bytes += entry.metadata()?.len();
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_one_crate_are_added_up() {
        let crates = by_crate("tokio 1.5\nbuild_script_build 0.25\ntokio 0.5\n\nhalf a line");
        assert_eq!(crates["tokio"], 2.0);
        assert_eq!(crates.len(), 2);
        let text = table(&crates).to_string();
        let first = text.lines().nth(2).unwrap();
        assert!(first.contains("tokio") && first.contains("2.0"), "{text}");
        assert!(text.contains("0 others"), "{text}");
    }

    #[test]
    fn a_folder_is_as_large_as_its_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/b"), [0; 10]).unwrap();
        fs::write(folder.path().join("c"), [0; 5]).unwrap();
        assert_eq!(size(folder.path()).unwrap(), 15);
    }
}
