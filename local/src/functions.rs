//! Builds the function binaries with cargo.
//!
//! What must stay true: only what a kind needs is built. The binaries that run are those that cargo names: no folder is
//! guessed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::kinds::Kind;

pub use landfall_cli::kinds::BATCH;

/// The name of the function that plans a batch.
pub const PLAN: &str = "batch-plan";

/// The name of the function that writes a batch's summary.
pub const SUMMARY: &str = "batch-summary";

/// The name of the function that verifies output.
pub const VERIFY: &str = "verify-output";

/// The name of the function that writes the receipt.
pub const SEAL: &str = "seal-receipt";

/// The names of all functions of these kinds, and of batches if asked for.
pub fn functions(kinds: &[Kind], batches: bool) -> Vec<String> {
    let own = kinds.iter().flat_map(|kind| [kind.start(), kind.poll()]);
    let of_batches = [PLAN, SUMMARY].into_iter().filter(|_| batches);
    let shared = [VERIFY, SEAL].into_iter().chain(of_batches);
    own.chain(shared.map(str::to_owned)).collect()
}

/// Paths of the binaries by function name.
pub type Binaries = BTreeMap<String, PathBuf>;

fn cargo(workspace: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace);
    cargo
}

/// The packages of these binaries, each once.
pub fn packages(workspace: &Path, binaries: &[String]) -> Result<BTreeSet<String>> {
    let told = cargo(workspace)
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo to ask for the packages of the functions")?;
    if !told.status.success() {
        bail!("cargo does not tell the packages of the functions ({})", told.status);
    }
    packages_of(&serde_json::from_slice(&told.stdout)?, binaries)
}

fn packages_of(metadata: &Value, binaries: &[String]) -> Result<BTreeSet<String>> {
    let packages = metadata["packages"].as_array().context("cargo tells no packages")?;
    let has = |package: &Value, binary: &str| {
        let targets = package["targets"].as_array().into_iter().flatten();
        let mut binaries = targets.filter(|target| target["kind"] == json!(["bin"]));
        binaries.any(|target| target["name"] == binary)
    };
    let package_of = |binary: &String| {
        let package = packages.iter().find(|package| has(package, binary));
        let name = package.and_then(|package| package["name"].as_str());
        Ok(name
            .with_context(|| format!("no package has the binary {binary}"))?
            .to_owned())
    };
    binaries.iter().map(package_of).collect()
}

/// Builds the functions of these kinds, and of batches if asked for, with the dev profile. Cargo's progress goes to
/// stderr.
pub fn build(workspace: &Path, kinds: &[Kind], batches: bool) -> Result<Binaries> {
    let names = functions(kinds, batches);
    let mut command = cargo(workspace);
    command
        .args(["build", "--message-format=json-render-diagnostics"])
        // This builds nothing of this crate. But because it is named, cargo gives the dependencies the same features as
        // this program's, and need not build them a second time.
        .args(["-p", env!("CARGO_PKG_NAME")]);
    for package in packages(workspace, &names)? {
        command.args(["-p", &package]);
    }
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
        bail!("the functions do not build ({status}): see cargo's messages above");
    }
    for name in &names {
        if !binaries.contains_key(name) {
            bail!("cargo says that it built everything, but not where {name} is");
        }
    }
    Ok(binaries)
}

/// The binary that a line of cargo's JSON messages names.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_binary = message["reason"] == "compiler-artifact" && message["target"]["kind"] == json!(["bin"]);
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
    fn the_package_of_each_binary_is_found() {
        let target = |kind: &str, name: &str| json!({"kind": [kind], "name": name});
        let metadata = json!({"packages": [
            {"name": "a", "targets": [target("lib", "a"), target("bin", "a-start"), target("bin", "a-poll")]},
            {"name": "b", "targets": [target("lib", "x"), target("bin", "b-start")]},
        ]});
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            packages_of(&metadata, &names)
        };
        let both = of(&["a-start", "b-start", "a-poll"]).unwrap();
        assert_eq!(both.into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert!(
            of(&["x"])
                .unwrap_err()
                .to_string()
                .contains("no package has the binary x")
        );
    }
}
