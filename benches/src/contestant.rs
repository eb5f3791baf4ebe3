//! The contestants, and how one of them runs once.
//!
//! What must stay true: each run is a process of its own on the same objects of the same server. The clock runs in the
//! contestant, from a built client to the last row, so that the start of an interpreter does not count. Memory is the
//! peak of the resident process, as the kernel counts it, with its interpreter.

use std::{
    io::Read,
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use wait4::Wait4;

use crate::{
    data::{Data, Format},
    server::{ACCESS_KEY, BUCKET, REGION, SECRET_KEY},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contestant {
    /// `full` verification, as the function does it.
    Landfall,
    /// DuckDB over its own S3 reader.
    #[serde(rename = "duckdb")]
    DuckDb,
    /// polars over its own S3 reader.
    Polars,
    /// pyarrow over its own S3 reader.
    #[serde(rename = "pyarrow")]
    PyArrow,
    /// The bytes only, with Landfall's S3 client.
    Download,
    /// The bytes with Landfall's S3 client, and the SHA-256 of each object with Landfall's hash. No verification with a
    /// checksum can take less.
    #[serde(rename = "download-sha256")]
    DownloadSha256,
    /// DuckDB on the files themselves, without S3. It is not a peer, but shows what the machine can do.
    #[serde(rename = "duckdb-local")]
    DuckDbLocal,
}

impl Contestant {
    /// All contestants, in the order of the tables.
    pub const ALL: [Self; 7] = [
        Self::Landfall,
        Self::DuckDb,
        Self::Polars,
        Self::PyArrow,
        Self::Download,
        Self::DownloadSha256,
        Self::DuckDbLocal,
    ];

    /// The contestants that are also timed at the rate of a link.
    pub const PACED: [Self; 2] = [Self::Landfall, Self::Download];

    /// The name that people read.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Landfall => "landfall, full",
            Self::DuckDb => "DuckDB",
            Self::Polars => "polars",
            Self::PyArrow => "pyarrow",
            Self::Download => "bare download",
            Self::DownloadSha256 => "download and SHA-256",
            Self::DuckDbLocal => "DuckDB, local files, no S3",
        }
    }

    /// Whether it does the same as Landfall over S3, so that Landfall is compared with it.
    #[must_use]
    pub const fn is_peer(self) -> bool {
        matches!(self, Self::DuckDb | Self::Polars | Self::PyArrow)
    }

    /// Whether it counts rows. If not, it does not inflate either.
    #[must_use]
    pub const fn counts_rows(self) -> bool {
        !matches!(self, Self::Download | Self::DownloadSha256)
    }

    /// The name that the Python program has for it.
    const fn in_python(self) -> Option<&'static str> {
        match self {
            Self::DuckDb => Some("duckdb"),
            Self::Polars => Some("polars"),
            Self::PyArrow => Some("pyarrow"),
            Self::DuckDbLocal => Some("duckdb-local"),
            Self::Landfall | Self::Download | Self::DownloadSha256 => None,
        }
    }

    /// The hidden subcommand of this program that runs it.
    const fn in_this_program(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::DownloadSha256 => "download-sha256",
            _ => "verify",
        }
    }
}

/// The result of one run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Run {
    /// The counted rows; `None` for a download.
    pub rows: Option<u64>,
    /// Wall time, in seconds.
    pub seconds: f64,
    /// Processor time of the same span, user and system, in seconds.
    pub processor_seconds: f64,
    /// The peak of resident memory, in bytes.
    pub peak_bytes: u64,
}

/// What one run came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It counted the rows.
    Ran(Run),
    /// It cannot read the format, for this reason.
    Unsupported(String),
}

/// The JSON that a contestant prints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The rows; `None` for a download.
    #[serde(default)]
    pub rows: Option<u64>,
    /// Wall time, in seconds.
    #[serde(default)]
    pub seconds: f64,
    /// Processor time in seconds. `None` means the kernel's count for the whole process.
    #[serde(default)]
    pub processor_seconds: Option<f64>,
    /// Why the format cannot be read.
    #[serde(default)]
    pub unsupported: Option<String>,
}

/// What all contestants are given.
#[derive(Clone, Debug)]
pub struct Field {
    /// This program.
    pub program: PathBuf,
    /// The Python with the peers installed.
    pub python: PathBuf,
    /// `benches/python/peers.py`.
    pub peers: PathBuf,
    /// The address of the server.
    pub server: SocketAddr,
    /// How many threads each contestant may use.
    pub threads: usize,
}

impl Field {
    fn command(&self, contestant: Contestant, data: &Data) -> Command {
        let mut command;
        if let Some(peer) = contestant.in_python() {
            command = Command::new(&self.python);
            command
                .arg(&self.peers)
                .args([peer, data.format.name()])
                .arg(format!("--endpoint={}", self.server))
                .arg(format!("--access-key={ACCESS_KEY}"))
                .arg(format!("--secret-key={SECRET_KEY}"))
                .arg(format!("--region={REGION}"))
                .arg(format!("--threads={}", self.threads));
            for file in &data.files {
                if contestant == Contestant::DuckDbLocal {
                    command.arg(data.folder.join(file));
                } else {
                    command.arg(format!("{BUCKET}/{}{file}", data.prefix()));
                }
            }
        } else {
            command = Command::new(&self.program);
            command
                .arg(contestant.in_this_program())
                .args(["--format", data.format.name()])
                .arg(format!("--server={}", self.server))
                .arg(format!("--prefix={}", data.prefix()))
                .arg(format!("--threads={}", self.threads));
        }
        // Settings of this machine, services of another account and proxies must not affect the server.
        for (name, _) in std::env::vars_os() {
            let upper = name.to_string_lossy().to_ascii_uppercase();
            if upper.starts_with("AWS_") || upper.ends_with("_PROXY") {
                command.env_remove(name);
            }
        }
        command
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
        command
    }

    /// Runs a contestant once and waits for its end.
    ///
    /// # Errors
    /// If it fails, or does not say what it found.
    pub fn run(&self, contestant: Contestant, data: &Data) -> Result<Outcome> {
        let name = contestant.title();
        let mut child = self
            .command(contestant, data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let mut said = String::new();
        let mut stdout = child.stdout.take().context("a contestant has no output")?;
        stdout
            .read_to_string(&mut said)
            .with_context(|| format!("cannot hear {name}"))?;
        let ended = child.wait4().with_context(|| format!("cannot wait for {name}"))?;
        if !ended.status.success() {
            bail!("{name} failed on {}: {}", data.format.title(), ended.status);
        }
        let answer: Answer = serde_json::from_str(said.trim())
            .with_context(|| format!("{name} did not say what it found in {}", data.format.title()))?;
        if let Some(reason) = answer.unsupported {
            return Ok(Outcome::Unsupported(reason));
        }
        let whole = ended.rusage.utime + ended.rusage.stime;
        Ok(Outcome::Ran(Run {
            rows: answer.rows,
            seconds: answer.seconds,
            processor_seconds: answer.processor_seconds.unwrap_or(whole.as_secs_f64()),
            peak_bytes: ended.rusage.maxrss,
        }))
    }
}

/// Compares the rows of a run with those that were written.
///
/// # Errors
/// If they differ.
pub fn check_rows(contestant: Contestant, format: Format, rows: Option<u64>, written: u64) -> Result<()> {
    let expected = contestant.counts_rows().then_some(written);
    if rows != expected {
        let text = |rows: Option<u64>| rows.map_or_else(|| "no".to_owned(), |rows| rows.to_string());
        bail!(
            "{} found {} rows in {}, {written} were written",
            contestant.title(),
            text(rows),
            format.title(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_count_is_an_error() {
        let check = |contestant, rows| check_rows(contestant, Format::Csv, rows, 10);
        assert!(check(Contestant::Polars, Some(10)).is_ok());
        let error = check(Contestant::Polars, Some(9)).unwrap_err().to_string();
        assert_eq!(error, "polars found 9 rows in CSV, 10 were written");
        assert!(check(Contestant::Landfall, None).is_err());
        for download in [Contestant::Download, Contestant::DownloadSha256] {
            assert!(check(download, None).is_ok());
            assert!(check(download, Some(10)).is_err());
        }
    }

    #[test]
    fn every_peer_is_a_program_of_the_python_file() {
        let program = include_str!("../python/peers.py");
        for contestant in Contestant::ALL {
            if let Some(name) = contestant.in_python() {
                assert!(program.contains(&format!("\n    \"{name}\": ")), "{name}");
            }
            assert!(!contestant.is_peer() || contestant.in_python().is_some());
        }
    }
}
