//! The moto server: S3, Step Functions, EventBridge and SQS on this machine.
//!
//! What must stay true: it serves loopback only, calls nothing but the edge, knows nothing of the user's AWS settings,
//! and ends with this process.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use http::Method;
use regex::Regex;
use tokio::process::Command;

use crate::{
    aws::Http,
    children::{Guard, Guarded},
    python::Environment,
};

/// The server, as it is started.
const SERVER: &str = include_str!("moto_server.py");

/// How long it may take to answer. A first start writes Python's caches, and the machine may be busy.
const START_LIMIT: Duration = Duration::from_secs(300);

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct Moto {
    process: Guarded,
    address: SocketAddr,
    log: PathBuf,
}

impl Moto {
    /// Starts it and waits until it answers. Its interpreter sends its own calls to `edge`.
    pub async fn start(
        python: &Environment,
        guard: &Guard,
        edge: SocketAddr,
        account: &str,
        region: &str,
        log: &Path,
    ) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let again = file.try_clone().context("cannot open moto's log twice")?;
        let mut command = Command::new(python.python());
        command
            // Isolated, so that it imports nothing from the user's folder. With port 0 it takes a free port and prints it.
            // No other process can take the port in between.
            .args(["-I", "-u", "-c", SERVER, "-H", "127.0.0.1", "-p", "0"])
            .current_dir(log.parent().context("moto's log is in no folder")?)
            .stdout(file)
            .stderr(again)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "C.UTF-8")
            // Its interpreter calls Lambda and EventBridge at this port. The server's own port is given by `-p`.
            .env("MOTO_PORT", edge.port().to_string())
            .env("MOTO_ACCOUNT_ID", account)
            // Without this it would read a bucket's name out of the address.
            .env("S3_IGNORE_SUBDOMAIN_BUCKETNAME", "true")
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .env("AWS_DEFAULT_REGION", region)
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        let mut moto = Self {
            process: guard.spawn(&mut command).context("cannot start moto")?,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            log: log.to_owned(),
        };
        let port = moto.wait_for_port().await?;
        moto.address.set_port(port);
        let http = Http::new(moto.address);
        let config = r#"{"stepfunctions": {"execute_state_machine": true}}"#;
        let response = http
            .send(
                Method::POST,
                "/moto-api/config",
                &[("content-type", "application/json")],
                config.into(),
            )
            .await?;
        if !response.status().is_success() {
            bail!(
                "moto refused its configuration ({}); see {}",
                response.status(),
                moto.log.display()
            );
        }
        Ok(moto)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its log.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Ends it and waits for its end.
    pub async fn shutdown(mut self) {
        let _ = self.process.kill().await;
    }

    async fn wait_for_port(&mut self) -> Result<u16> {
        let line = Regex::new(r"Running on http://127\.0\.0\.1:(\d+)").context("defect: bad pattern")?;
        let begun = Instant::now();
        loop {
            let said = fs::read_to_string(&self.log).unwrap_or_default();
            if let Some(port) = line.captures(&said).and_then(|found| found[1].parse().ok()) {
                return Ok(port);
            }
            if let Some(status) = self.process.try_wait().context("cannot ask how moto is")? {
                bail!("moto ended at once ({status}): {}", last_lines(&said));
            }
            if begun.elapsed() > START_LIMIT {
                bail!(
                    "moto did not answer within {} s; see {}",
                    START_LIMIT.as_secs(),
                    self.log.display()
                );
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{places, python};

    /// A file of the user may have the name of a module.
    #[tokio::test]
    async fn nothing_is_imported_from_the_folder_that_it_runs_in() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("re.py"), "raise SystemExit('imported')").unwrap();
        let python = tokio::task::spawn_blocking(|| python::ensure(&places::workspace()?))
            .await
            .unwrap()
            .unwrap();
        let guard = Guard::start().unwrap();
        let edge = SocketAddr::from(([127, 0, 0, 1], 1));
        let log = folder.path().join("moto.log");
        let moto = Moto::start(&python, &guard, edge, "111122223333", "eu-central-1", &log).await;
        moto.unwrap().shutdown().await;
    }
}
