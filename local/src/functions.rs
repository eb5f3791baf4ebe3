//! The function binaries, built by cargo.
//!
//! What must stay true: only what a kind needs is built, and the binaries that run are those that cargo says it built:
//! no folder is guessed.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// A kind of job and the package that serves it with `<kind>-start` and `<kind>-poll`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its name, such as `segment-snapshot`.
    pub name: &'static str,
    /// The package of its service.
    pub package: &'static str,
}

/// Every kind. A new one is one line.
pub const KINDS: &[Kind] = &[
    Kind {
        name: "segment-snapshot",
        package: "landfall-customer-profiles",
    },
    Kind {
        name: "endpoint-export",
        package: "landfall-pinpoint",
    },
    Kind {
        name: "endpoint-import",
        package: "landfall-pinpoint",
    },
    Kind {
        name: "dashboard-snapshot",
        package: "landfall-quicksight",
    },
];

/// The package of the functions that all kinds share: `verify-output` and `seal-receipt`.
const SHARED_PACKAGE: &str = "landfall-output";

impl Kind {
    /// The kind of a name.
    pub fn named(name: &str) -> Result<Self> {
        KINDS.iter().copied().find(|kind| kind.name == name).with_context(|| {
            let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
            format!("there is no kind of job {name:?}; there is {}", names.join(", "))
        })
    }

    /// The name of the function that starts its jobs.
    pub fn start(self) -> String {
        format!("{}-start", self.name)
    }

    /// The name of the function that polls its jobs.
    pub fn poll(self) -> String {
        format!("{}-poll", self.name)
    }
}

pub use landfall_cli::kinds::BATCH;

/// The package of the functions of batches.
const BATCH_PACKAGE: &str = "landfall-batch";

/// The name of the function that plans a batch.
pub const PLAN: &str = "batch-plan";

/// The name of the function that sums a batch up.
pub const SUMMARY: &str = "batch-summary";

/// The name of the function that verifies output.
pub const VERIFY: &str = "verify-output";

/// The name of the function that writes the receipt.
pub const SEAL: &str = "seal-receipt";

/// The names of all functions of some kinds, and of batches of them.
pub fn functions(kinds: &[Kind], batches: bool) -> Vec<String> {
    let own = kinds.iter().flat_map(|kind| [kind.start(), kind.poll()]);
    let of_batches = [PLAN, SUMMARY].into_iter().filter(|_| batches);
    let shared = [VERIFY, SEAL].into_iter().chain(of_batches);
    own.chain(shared.map(str::to_owned)).collect()
}

/// Paths of the binaries by function name.
pub type Binaries = BTreeMap<String, PathBuf>;

/// Builds the functions of some kinds, and of batches of them, with the dev profile. Cargo's progress goes to stderr.
pub fn build(workspace: &Path, kinds: &[Kind], batches: bool) -> Result<Binaries> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(workspace)
        .args(["build", "--message-format=json-render-diagnostics"])
        // Builds nothing of this crate; but with it named, cargo gives the dependencies the features that this program
        // was built with, and need not build them a second time.
        .args(["-p", env!("CARGO_PKG_NAME"), "-p", SHARED_PACKAGE]);
    let mut packages: Vec<&str> = kinds.iter().map(|kind| kind.package).collect();
    packages.extend(batches.then_some(BATCH_PACKAGE));
    packages.sort_unstable();
    packages.dedup();
    for package in packages {
        command.args(["-p", package]);
    }
    let names = functions(kinds, batches);
    for name in &names {
        command.args(["--bin", name]);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo to build the functions; run this as `cargo local`, or set CARGO")?;
    let messages = child.stdout.take().context("cargo has no output")?;
    let mut binaries = Binaries::new();
    for line in BufReader::new(messages).lines() {
        if let Some((name, path)) = executable(&line.context("cannot read what cargo says")?) {
            binaries.insert(name, path);
        }
    }
    let status = child.wait().context("cannot wait for cargo")?;
    if !status.success() {
        bail!("the functions do not build; cargo's words are above ({status})");
    }
    for name in &names {
        if !binaries.contains_key(name) {
            bail!("cargo says that it built all, but not where {name} is");
        }
    }
    Ok(binaries)
}

/// The binary that a line of cargo's JSON messages tells of.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_binary = message["reason"] == "compiler-artifact" && message["target"]["kind"] == serde_json::json!(["bin"]);
    if !is_binary {
        return None;
    }
    let name = message["target"]["name"].as_str()?;
    Some((name.to_owned(), message["executable"].as_str()?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_says_where_the_binaries_are() {
        let line =
            r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"a-start"},"executable":"/t/a-start"}"#;
        assert_eq!(executable(line), Some(("a-start".to_owned(), "/t/a-start".into())));
        let library = r#"{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"a"},"executable":null}"#;
        assert_eq!(executable(library), None);
        assert_eq!(executable("warning: x"), None);
    }

    #[test]
    fn kinds_are_found_by_name() {
        assert_eq!(
            Kind::named("segment-snapshot").unwrap().start(),
            "segment-snapshot-start"
        );
        let error = Kind::named("moon-landing").unwrap_err().to_string();
        assert!(error.contains("segment-snapshot"), "{error}");
    }
}
