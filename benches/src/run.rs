//! Runs the whole benchmark.
//!
//! What must stay true: nothing is written outside of the build folder, apart from files that the user names. The
//! server ends with this process, however that ends. This process stays small, because the kernel counts its memory
//! into the peak of its children.

use std::{
    fs::{self, File},
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use landfall_local::{
    children::{Guard, Guarded},
    places, python,
};
use serde::Serialize;
use tokio::process::Command;

use crate::{
    contestant::{Contestant, Field, Outcome, check_rows},
    data::{Data, Format},
    picture,
    prepare::{self, Amount},
    results::{Aim, Entry, FormatResults, Paced, Runs, rate},
};

const REQUIREMENTS: &str = include_str!("../python/requirements.txt");
/// How long the server may take to read its files.
const START_LIMIT: Duration = Duration::from_secs(300);

/// What to measure, and where the results go.
#[derive(Clone, Debug)]
pub struct Plan {
    pub formats: Vec<Format>,
    /// How much data of each format.
    pub amount: Amount,
    /// The number of rounds that count.
    pub rounds: usize,
    /// Whether a round that does not count comes first.
    pub warm: bool,
    /// Whether the aims are judged.
    pub judge: bool,
    /// The rate of the link behind which plain text is timed as well, in megabytes a second.
    pub link: Option<u64>,
    pub threads: usize,
    /// The file for the results as JSON.
    pub out: Option<PathBuf>,
    /// The file for the picture.
    pub svg: Option<PathBuf>,
}

/// The content of the file for `--out`.
#[derive(Debug, Serialize)]
struct Written<'a> {
    landfall: &'static str,
    profile: &'static str,
    threads: usize,
    rounds: usize,
    formats: Vec<WrittenFormat<'a>>,
}

#[derive(Debug, Serialize)]
struct WrittenFormat<'a> {
    #[serde(flatten)]
    results: &'a FormatResults,
    aims: Vec<Aim>,
}

/// Runs the benchmark.
///
/// # Errors
/// If something cannot be installed, written or started, if a contestant fails, or if one counts other rows than were
/// written. An aim that is not met is no error.
pub async fn run(plan: &Plan) -> Result<()> {
    let workspace = places::workspace()?;
    let environment = python::ensure_requirements(
        &workspace,
        "benches-python",
        REQUIREMENTS,
        "DuckDB, polars and pyarrow, the peers of the benchmark",
    )?;
    let own = places::own_folder(&workspace)?.join("benches");
    fs::create_dir_all(&own).with_context(|| format!("cannot create {}", own.display()))?;
    let programs = workspace.join("benches/python");
    let guard = Guard::start()?;
    let mut all = Vec::new();
    for format in &plan.formats {
        let python = environment.python();
        let data = prepare::prepare(&own, &python, &programs.join("orc.py"), *format, plan.amount)?;
        let server = Server::start(&guard, &own, &data, None).await?;
        let mut field = Field {
            program: this_program()?,
            python,
            peers: programs.join("peers.py"),
            server: server.address,
            threads: plan.threads,
        };
        let contestants = compete(plan, &field, &data, &Contestant::ALL, usize::from(plan.warm))?;
        server.end().await;
        let mut results = FormatResults {
            format: *format,
            files: data.files.len(),
            rows: data.rows,
            stored_bytes: data.stored_bytes,
            decoded_bytes: data.decoded_bytes,
            contestants,
            paced: None,
        };
        if let Some(link) = plan.link.filter(|_| format.is_plain_text()) {
            let server = Server::start(&guard, &own, &data, Some(link)).await?;
            field.server = server.address;
            say(&format!("{} at {link} MB/s", format.title()));
            results.paced = Some(Paced {
                megabytes_per_second: link,
                // The caches are warm by now.
                contestants: compete(plan, &field, &data, &Contestant::PACED, 0)?,
            });
            server.end().await;
        }
        print(plan, &results)?;
        all.push(results);
    }
    if let Some(path) = &plan.out {
        let written = Written {
            landfall: env!("CARGO_PKG_VERSION"),
            profile: if cfg!(debug_assertions) { "dev" } else { "release" },
            threads: plan.threads,
            rounds: plan.rounds,
            formats: all
                .iter()
                .map(|results| WrittenFormat {
                    results,
                    aims: if plan.judge { results.aims() } else { Vec::new() },
                })
                .collect(),
        };
        let text = serde_json::to_string_pretty(&written)? + "\n";
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &plan.svg {
        fs::write(path, picture::draw(&all)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Runs rounds of these contestants on one format, after some that do not count.
fn compete(plan: &Plan, field: &Field, data: &Data, contestants: &[Contestant], warming: usize) -> Result<Vec<Entry>> {
    let mut runs = Runs::default();
    for round in 0..warming + plan.rounds {
        for &contestant in contestants {
            if runs.is_left_out(contestant) {
                continue;
            }
            match field.run(contestant, data)? {
                Outcome::Unsupported(reason) => runs.leave_out(contestant, reason),
                Outcome::Ran(run) => {
                    check_rows(contestant, data.format, run.rows, data.rows)?;
                    let which = if round < warming {
                        "warm-up".to_owned()
                    } else {
                        runs.add(contestant, run);
                        format!("round {}", round - warming + 1)
                    };
                    say(&format!(
                        "{}, {which}: {} {:.3} s, {:.0} MB/s",
                        data.format.title(),
                        contestant.title(),
                        run.seconds,
                        rate(data.stored_bytes, run.seconds)
                    ));
                }
            }
        }
    }
    Ok(runs.into_entries(contestants))
}

fn print(plan: &Plan, results: &FormatResults) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "\n{}", results.tables())?;
    if plan.judge {
        for aim in results.aims() {
            writeln!(out, "{} {}", if aim.met { "met:   " } else { "missed:" }, aim.text)?;
        }
        if let Some(remark) = results.remark() {
            writeln!(out, "        {remark}")?;
        }
    }
    out.flush()
}

/// A server of one folder of data, which ends when dropped.
#[derive(Debug)]
struct Server {
    process: Guarded,
    address: SocketAddr,
}

impl Server {
    async fn start(guard: &Guard, own: &Path, data: &Data, link: Option<u64>) -> Result<Self> {
        let said = own.join(format!("server-{}.txt", std::process::id()));
        let file = File::create(&said).with_context(|| format!("cannot create {}", said.display()))?;
        let mut command = Command::new(this_program()?);
        command.arg("serve").arg(&data.folder).stdout(file);
        if let Some(link) = link {
            command.arg(format!("--link={link}"));
        }
        let mut process = guard.spawn(&mut command).context("cannot start the server")?;
        let begun = Instant::now();
        let address = loop {
            let text = fs::read_to_string(&said).unwrap_or_default();
            if let Some(line) = text.strip_suffix('\n') {
                break line.parse().context("the server did not say where it listens")?;
            }
            if let Some(status) = process.try_wait().context("cannot ask how the server is")? {
                bail!("the server ended at once: {status}");
            }
            if begun.elapsed() > START_LIMIT {
                bail!("the server did not listen within {} s", START_LIMIT.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        // The address is known now, and a leftover file does no harm.
        let _ = fs::remove_file(&said);
        Ok(Self { process, address })
    }

    async fn end(mut self) {
        let _ = self.process.kill().await;
    }
}

fn this_program() -> Result<PathBuf> {
    std::env::current_exe().context("cannot find this program")
}

/// Prints a line of progress.
fn say(line: &str) {
    let _ = writeln!(io::stderr(), "benchmark: {line}");
}
