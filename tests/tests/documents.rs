//! Runs every code block of the README and of its pages, as far as that is possible without an AWS account.
//!
//! Other tests run the rest: `tests/tests/events.rs` and `tests/tests/samples.rs` the events, the tests of its command
//! line the `cargo local` commands.
#![cfg(unix)]
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use landfall_local::{places, python};
use landfall_tests::documents::{PAGES, blocks};
use regex::Regex;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Validates the `aws` commands of a shell script with botocore's models, which the AWS CLI uses.
const AWS: &str = r#"
import json, shlex, sys
import botocore.session
from botocore import xform_name
session = botocore.session.get_session()
GLOBAL = {"query", "output", "region", "profile", "endpoint-url", "no-paginate", "debug"}
S3 = {"cp": {"recursive"}, "ls": {"recursive"}, "sync": {"delete"}}
seen = []
for line in json.load(sys.stdin):
    words = shlex.split(line)
    for end in ("|", ">", "&"):
        words = words[: words.index(end)] if end in words else words
    _, service, operation, *rest = words
    given = {word[2:].partition("=")[0] for word in rest if word.startswith("--")}
    if service == "s3":
        unknown = given - GLOBAL - S3[operation]
    else:
        model = session.get_service_model(service)
        names = {xform_name(name, "-"): name for name in model.operation_names}
        shape = model.operation_model(names[operation]).input_shape
        members = {xform_name(name, "-"): name for name in shape.members}
        unknown = given - GLOBAL - set(members)
        missing = set(shape.required_members) - {members[name] for name in given if name in members}
        assert not missing, f"{line}: {missing} is required"
        for name in given & set(members):
            value = rest[rest.index("--" + name) + 1]
            if value.startswith(("{", "[")) or name.endswith("pattern"):
                json.loads(value)
    assert not unknown, f"{line}: {unknown} is not known"
    seen.append(f"{service} {operation}")
print(json.dumps(seen))
"#;

/// The scripts of all pages, each with its page.
fn scripts() -> Result<Vec<(&'static str, String)>> {
    let mut scripts = Vec::new();
    for page in PAGES {
        for block in blocks(&fs::read_to_string(Path::new(ROOT).join(page))?) {
            match block.language.as_str() {
                "sh" => scripts.push((page, block.text.replace("\\\n", " "))),
                // Events, diagrams and sample output are not run here.
                "json" | "mermaid" | "" => {}
                other => anyhow::bail!("{page} has a block of {other}, which no test runs"),
            }
        }
    }
    Ok(scripts)
}

fn fed(program: &mut Command, input: &[u8]) -> Result<String> {
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("no input")?.write_all(input)?;
    let output = child.wait_with_output()?;
    anyhow::ensure!(
        output.status.success(),
        "{program:?} failed over {}",
        String::from_utf8_lossy(input)
    );
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn every_script_of_the_pages_is_valid_shell() -> Result<()> {
    let scripts = scripts()?;
    assert!(scripts.len() >= 10, "{}", scripts.len());
    for (page, script) in &scripts {
        fed(Command::new("bash").arg("-n"), script.as_bytes()).with_context(|| page.to_string())?;
        for line in script.lines() {
            let word = line.split_whitespace().next().unwrap_or_default();
            let known = ["aws", "cargo", "cp", "landfall", "sam", "pip", "jq", "source"];
            assert!(known.contains(&word), "{page}: what runs `{line}`?");
        }
    }
    Ok(())
}

#[test]
fn the_aws_commands_of_the_pages_exist() -> Result<()> {
    let scripts = scripts()?;
    let commands: Vec<&str> = scripts
        .iter()
        .flat_map(|(_, script)| script.lines())
        .filter(|line| line.starts_with("aws "))
        .collect();
    let python = python::ensure(&places::workspace()?)?;
    let judged = fed(
        Command::new(python.python()).args(["-c", AWS]),
        &serde_json::to_vec(&commands)?,
    )?;
    let seen: BTreeSet<String> = serde_json::from_str(&judged)?;
    for needed in ["events put-events", "events put-rule", "stepfunctions start-execution"] {
        assert!(seen.contains(needed), "{seen:?}");
    }
    Ok(())
}

/// Parameters and packages that the pages name exist in the template and the workspace.
#[test]
fn the_pages_name_existing_parameters_and_packages() -> Result<()> {
    let template = fs::read_to_string(Path::new(ROOT).join("template.yaml"))?;
    let (_, parameters) = template.split_once("\nParameters:").context("no parameters")?;
    let (parameters, _) = parameters
        .split_once("\nConditions:")
        .context("no end of the parameters")?;
    let mut packages = BTreeSet::new();
    for manifest in fs::read_dir(Path::new(ROOT).join("functions"))? {
        let manifest = fs::read_to_string(manifest?.path().join("Cargo.toml"))?;
        let name = manifest
            .split("name = \"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        packages.insert(name.context("a package has no name")?.to_owned());
    }
    let override_of = Regex::new(r#"(?:^|[\s"])([A-Z][A-Za-z]+)="#)?;
    let mut overridden = 0;
    for (page, script) in scripts()? {
        for line in script.lines() {
            if line.starts_with("sam deploy") {
                for found in override_of.captures_iter(line) {
                    assert!(
                        parameters.contains(&format!("\n  {}:\n", &found[1])),
                        "{page}: {}",
                        &found[1]
                    );
                    overridden += 1;
                }
            }
            if line.starts_with("cargo lambda build") {
                let named: BTreeSet<String> = line
                    .split_whitespace()
                    .filter(|word| word.starts_with("landfall-"))
                    .map(str::to_owned)
                    .collect();
                assert_eq!(named, packages, "{page} must build every function");
            }
        }
    }
    assert_eq!(overridden, 4, "the quickstart must name its four parameters");
    Ok(())
}

/// Every link from a page to a file of this repository leads to an existing file and heading.
#[test]
fn links_lead_somewhere() -> Result<()> {
    let link = Regex::new(r"\]\(([^)\s]+)\)")?;
    let mut pages: Vec<String> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .map(str::to_owned)
        .into();
    for file in fs::read_dir(Path::new(ROOT).join("docs"))? {
        let name = file?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            pages.push(format!("docs/{name}"));
        }
    }
    for page in &pages {
        let path = Path::new(ROOT).join(page);
        let text = fs::read_to_string(&path)?;
        for found in link.captures_iter(&text) {
            let target = &found[1];
            if target.contains("://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() {
                path.clone()
            } else {
                path.parent().context("no folder")?.join(file)
            };
            assert!(file.exists(), "{page}: {target}");
            if heading.is_empty() || file.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let headings: Vec<String> = fs::read_to_string(&file)?
                .lines()
                .filter(|line| line.starts_with('#'))
                .map(|line| anchor(line.trim_start_matches('#').trim()))
                .collect();
            assert!(
                headings.iter().any(|found| found == heading),
                "{page}: {target}: {headings:?}"
            );
        }
    }
    Ok(())
}

/// The anchor of a heading.
fn anchor(heading: &str) -> String {
    let lower = heading.to_lowercase();
    let kept = lower.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    });
    kept.collect()
}
