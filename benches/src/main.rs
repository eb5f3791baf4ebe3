//! `cargo benchmark`: see the text of the library.

use std::{
    env,
    io::{self, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use landfall_benches::{
    build, client,
    contestant::Answer,
    data::Format,
    functions,
    link::Link,
    prepare::Amount,
    run::{self, Plan},
    server,
};
use tokio::runtime;

/// Times full verification against DuckDB, polars, pyarrow and a bare download, on the same objects over S3.
#[derive(Debug, Parser)]
#[command(name = "cargo benchmark", args_conflicts_with_subcommands = true)]
struct Command {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Args)]
struct Options {
    /// Stored megabytes of each format, about.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    megabytes: u64,
    /// Files that they are spread over.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=900))]
    files: u64,
    /// Formats, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Format::ALL)]
    formats: Vec<Format>,
    /// Rounds that are counted; the median counts. 3 unless given, 40 with --functions.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: Option<u64>,
    /// Megabytes (10^6 bytes) a second at which verification and the bare download of plain text are timed besides, as
    /// behind the link of a deployed function; 0 leaves that out. Lambda has about 75: see docs/benchmark.md.
    #[arg(long, value_name = "MB_PER_SECOND", default_value_t = 75, value_parser = clap::value_parser!(u64).range(..=10_000))]
    link: u64,
    /// Threads that each contestant may use.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: u64,
    /// A few megabytes, one round, no judgement of times: only that everything runs and finds the same rows.
    #[arg(long, conflicts_with_all = ["megabytes", "files", "rounds"])]
    quick: bool,
    /// Times the functions instead: how long each takes to start and to answer, beside an echo and
    /// the same poll in Python and Node.
    #[arg(long, conflicts_with_all = ["quick", "build", "svg"])]
    functions: bool,
    /// With --functions: the file that an earlier run wrote, to be shown beside this one.
    #[arg(long, value_name = "FILE", requires = "functions")]
    against: Option<PathBuf>,
    /// Measures a first run and a deployment build instead, each in a fresh folder.
    #[arg(long, conflicts_with_all = ["quick", "out", "svg"])]
    build: bool,
    /// Writes all results as JSON.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Draws the rates as SVG.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// The processes that a run starts of this program itself.
#[derive(Debug, Subcommand)]
enum Part {
    /// Serves the files of a folder; prints where.
    #[command(hide = true)]
    Serve {
        folder: PathBuf,
        /// Megabytes a second at most, over all connections.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        link: Option<u64>,
    },
    /// Verifies once.
    #[command(hide = true)]
    Verify(Target),
    /// Downloads once.
    #[command(hide = true)]
    Download(Target),
    /// Downloads once, and hashes.
    #[command(hide = true)]
    DownloadSha256(Target),
}

#[derive(Debug, Args)]
struct Target {
    #[arg(long)]
    server: SocketAddr,
    #[arg(long)]
    prefix: String,
    #[arg(long, value_enum)]
    format: Format,
    #[arg(long)]
    threads: usize,
}

fn main() -> Result<ExitCode> {
    // Cargo calls this program in place of the compiler while `--build` measures.
    if let Some(notes) = env::var_os(build::NOTES) {
        return Ok(build::wrap(Path::new(&notes)));
    }
    measure(Command::parse())?;
    Ok(ExitCode::SUCCESS)
}

fn measure(command: Command) -> Result<()> {
    match command.part {
        None if command.options.build => build::run(),
        None if command.options.functions => functions::run(&functions::Plan {
            rounds: command.options.rounds.unwrap_or(40),
            out: command.options.out,
            against: command.options.against,
        }),
        None => runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(run::run(&command.options.plan())),
        Some(Part::Serve { folder, link }) => runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?
            .block_on(server::serve(&folder, link.map(Link::new), |address| {
                let mut out = io::stdout().lock();
                // A parent that cannot be told does not wait for the address, either.
                let _ = writeln!(out, "{address}").and_then(|()| out.flush());
            })),
        Some(Part::Verify(target)) => {
            let answer = target.block_on(client::verify(target.server, &target.prefix, target.format))?;
            print(&answer)
        }
        Some(Part::Download(target)) => {
            let answer = target.block_on(client::download(target.server, &target.prefix))?;
            print(&answer)
        }
        Some(Part::DownloadSha256(target)) => {
            let answer = target.block_on(client::download_sha256(target.server, &target.prefix))?;
            print(&answer)
        }
    }
}

impl Options {
    fn plan(self) -> Plan {
        let amount = if self.quick {
            Amount { megabytes: 2, files: 2 }
        } else {
            Amount {
                megabytes: self.megabytes,
                files: self.files,
            }
        };
        Plan {
            formats: self.formats,
            amount,
            rounds: if self.quick {
                1
            } else {
                self.rounds.unwrap_or(3) as usize
            },
            warm: !self.quick,
            judge: !self.quick,
            link: (self.link > 0).then_some(self.link),
            threads: self.threads as usize,
            out: self.out,
            svg: self.svg,
        }
    }
}

impl Target {
    /// The same runtime as in a function's `main`, with as many threads as the contestants get.
    fn block_on(&self, work: impl Future<Output = Result<Answer>>) -> Result<Answer> {
        runtime::Builder::new_multi_thread()
            .worker_threads(self.threads)
            .enable_all()
            .build()?
            .block_on(work)
    }
}

fn print(answer: &Answer) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(answer)?).context("nobody hears the result")
}
