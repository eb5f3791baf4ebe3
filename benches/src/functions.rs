//! Measures how long functions take to start and to answer, beside the smallest possible function and equal ones in
//! Python and Node.
//!
//! What must stay true: the functions are built as for deployment, without features that other packages enable.
//! `benches/python/functions.py` times them, and knows them only as processes.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};
use landfall_local::{
    functions::{functions, packages},
    kinds::KINDS,
    places, python,
};
use serde::{Deserialize, Serialize};

const REQUIREMENTS: &str = include_str!("../python/requirements-functions.txt");

/// The files of the peer in Node: its packages, their pinned versions, and its code.
const NODE: [(&str, &str); 3] = [
    ("package.json", include_str!("../node/package.json")),
    ("package-lock.json", include_str!("../node/package-lock.json")),
    ("poll.mjs", include_str!("../node/poll.mjs")),
];

/// What to measure, and where the results go.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The number of rounds that count.
    pub rounds: u64,
    /// The file for the results as JSON.
    pub out: Option<PathBuf>,
    /// The results of an earlier run, to show beside these.
    pub against: Option<PathBuf>,
}

/// A median with its quartiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub quartiles: [f64; 2],
}

/// The measurements of one function, in milliseconds and bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// The function, `echo`, `python` or `node`.
    pub name: String,
    /// From the start of the process until it asks for its first event.
    pub next: Spread,
    /// From the start of the process until its first answer, if the function has something to answer.
    pub first: Option<Spread>,
    /// From an event to its answer, once the function is warm.
    pub warm: Option<Spread>,
    /// The peak of resident memory.
    pub memory: Spread,
    /// Bytes of the binary.
    pub size: Option<u64>,
    /// Bytes of the binary, zipped.
    pub zip: Option<u64>,
}

/// Builds and times the functions, and prints a table.
///
/// # Errors
/// If something cannot be built, installed or started, or if a function does not answer.
pub fn run(plan: &Plan) -> Result<()> {
    let before: Vec<Timed> = match &plan.against {
        Some(path) => {
            let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_slice(&text).with_context(|| format!("{} is no result of this", path.display()))?
        }
        None => Vec::new(),
    };
    let workspace = places::workspace()?;
    let environment = python::ensure_requirements(
        &workspace,
        "benches-functions",
        REQUIREMENTS,
        "boto3 and the runtime of Lambda for Python",
    )?;
    let node = node(&places::own_folder(&workspace)?)?;
    let names = functions(&KINDS, true);
    build(&workspace, &names)?;
    let release = places::build_folder(&workspace).join("release");
    let timed = Command::new(environment.python())
        .arg(workspace.join("benches/python/functions.py"))
        .arg("--python")
        .arg(format!("--rounds={}", plan.rounds))
        .arg("--binaries")
        .arg(&release)
        .arg("--echo")
        .arg(release.join("echo"))
        .arg("--node")
        .arg(node)
        .args(&names)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot start Python")?;
    if !timed.status.success() {
        bail!("the functions could not be timed: {}", timed.status);
    }
    let results: Vec<Timed> = serde_json::Deserializer::from_slice(&timed.stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .context("functions.py did not say what it found")?;
    crate::print(&table(&results, &before))?;
    if let Some(path) = &plan.out {
        let text = serde_json::to_vec_pretty(&results)?;
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The folder of the peer in Node, with its packages installed.
fn node(own: &Path) -> Result<PathBuf> {
    let folder = own.join("benches-node");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (name, text) in NODE {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    writeln!(
        io::stderr(),
        "benchmark: installing the AWS SDK for JavaScript into {}",
        folder.display()
    )
    .context("nobody hears what is done")?;
    let installed = Command::new("npm")
        .arg("ci")
        .args(["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(&folder)
        .status()
        .context("cannot start npm; install Node.js 20 or newer")?;
    if !installed.success() {
        bail!("npm could not install the AWS SDK for JavaScript: {installed}");
    }
    Ok(folder)
}

/// Makes two builds, so that the features of the benchmark's own packages do not reach the functions.
fn build(workspace: &Path, names: &[String]) -> Result<()> {
    let packages = packages(workspace, names)?;
    let mut functions = vec!["build", "--release", "--locked"];
    functions.extend(packages.iter().flat_map(|package| ["-p", package.as_str()]));
    functions.extend(names.iter().flat_map(|name| ["--bin", name]));
    let echo = [
        "build",
        "--release",
        "--locked",
        "-p",
        env!("CARGO_PKG_NAME"),
        "--bin",
        "echo",
    ];
    for arguments in [functions.as_slice(), &echo] {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .current_dir(workspace)
            .args(arguments)
            .status()
            .context("cannot start cargo")?;
        if !built.success() {
            bail!("the functions do not build: {built}");
        }
    }
    Ok(())
}

/// The results as a table. Each has its earlier result below it.
fn table(results: &[Timed], before: &[Timed]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "function",
        "first next, ms",
        "first answer, ms",
        "warm, ms",
        "memory, MiB",
        "size, MB",
        "zipped, MB",
    ]);
    let time = |spread: Option<Spread>| match spread {
        Some(Spread {
            median,
            quartiles: [low, high],
        }) => format!("{median:.1} ({low:.1} to {high:.1})"),
        None => "-".to_owned(),
    };
    let megabytes = |bytes: Option<u64>| bytes.map_or("-".to_owned(), |bytes| format!("{:.2}", bytes as f64 / 1e6));
    for result in results {
        let earlier = before.iter().find(|earlier| earlier.name == result.name);
        for (timed, mark) in [(Some(result), ""), (earlier, ", before")] {
            let Some(timed) = timed else { continue };
            table.add_row([
                format!("{}{mark}", timed.name),
                time(Some(timed.next)),
                time(timed.first),
                time(timed.warm),
                format!("{:.1}", timed.memory.median / f64::from(1 << 20)),
                megabytes(timed.size),
                megabytes(timed.zip),
            ]);
        }
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_each_result_above_the_previous_one() {
        let spread = |median| Spread {
            median,
            quartiles: [median - 1.0, median + 1.0],
        };
        let timed = |name: &str, median, zip| Timed {
            name: name.to_owned(),
            next: spread(median),
            first: None,
            warm: None,
            memory: spread(8.0 * 1024.0 * 1024.0),
            size: None,
            zip,
        };
        let now = [timed("echo", 5.0, None), timed("seal-receipt", 9.0, Some(1_500_000))];
        let before = [timed("seal-receipt", 12.0, Some(6_000_000))];
        let text = table(&now, &before).to_string();
        let lines: Vec<Vec<&str>> = text
            .lines()
            .skip(2)
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        assert_eq!(lines[0][..2], ["echo", "5.0 (4.0 to 6.0)"]);
        assert_eq!(
            lines[1],
            ["seal-receipt", "9.0 (8.0 to 10.0)", "-", "-", "8.0", "-", "1.50"]
        );
        assert_eq!(
            lines[2],
            [
                "seal-receipt, before",
                "12.0 (11.0 to 13.0)",
                "-",
                "-",
                "8.0",
                "-",
                "6.00"
            ]
        );
    }
}
