//! Compares the schemas of events with botocore's models of the requests.
//!
//! What must stay true: each difference in members, enumerations, bounds, patterns and secrecy is in
//! `tests/data/model-differences.json` with its reason, and the file holds no other line. `LANDFALL_UPDATE=1` writes
//! the file again: a new difference has no reason, and the test fails until someone writes one.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use landfall::event::schema;
use landfall_local::{places, python};
use landfall_tests::{each_kind, kinds::Subject};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Difference {
    #[serde(default)]
    kind: String,
    member: String,
    what: String,
    model: Value,
    ours: Value,
    /// The reason for the difference.
    #[serde(default)]
    reason: String,
}

impl Difference {
    fn is(&self, other: &Self) -> bool {
        let key = |one: &Self| {
            (
                one.kind.clone(),
                one.member.clone(),
                one.what.clone(),
                one.model.clone(),
                one.ours.clone(),
            )
        };
        key(self) == key(other)
    }
}

fn place(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(file)
}

fn differences<S: Subject>() -> Result<Vec<Difference>> {
    let (service, operation) = S::START_CALL;
    let request = json!({
        "service": service, "operation": operation, "schema": schema::<S>()["properties"]["detail"],
    });
    let workspace = places::workspace()?;
    let python = python::ensure(&workspace)?;
    let mut child = Command::new(python.python())
        .arg(place("python/models.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .context("no input")?
        .write_all(request.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    anyhow::ensure!(output.status.success(), "models.py failed over {operation}");
    let found: Vec<Difference> = serde_json::from_slice(&output.stdout)?;
    let of_kind = |difference| Difference {
        kind: S::KIND.to_owned(),
        ..difference
    };
    Ok(found.into_iter().map(of_kind).collect())
}

macro_rules! of_each {
    ($($name:ident: $kind:ty),* $(,)?) => { [$(differences::<$kind>()?),*] };
}

#[test]
fn the_schemas_differ_from_the_models_only_as_documented() -> Result<()> {
    let found = each_kind!(of_each).concat();
    assert!(found.len() > 10, "{found:#?}");
    let list = place("data/model-differences.json");
    let said: Vec<Difference> = serde_json::from_str(&fs::read_to_string(&list)?)?;
    let explained: Vec<Difference> = found
        .iter()
        .map(|difference| {
            let known = said.iter().find(|said| said.is(difference));
            known.unwrap_or(difference).clone()
        })
        .collect();
    if std::env::var_os("LANDFALL_UPDATE").is_some() {
        let lines: Vec<String> = explained.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        fs::write(&list, format!("[\n{}\n]\n", lines.join(",\n")))?;
    }
    let unexplained: Vec<_> = explained.iter().filter(|one| one.reason.is_empty()).collect();
    assert!(
        unexplained.is_empty(),
        "give each a reason in {}: {unexplained:#?}",
        list.display()
    );
    let said: Vec<Difference> = serde_json::from_str(&fs::read_to_string(&list)?)?;
    assert_eq!(said, explained, "{} must list only real differences", list.display());
    Ok(())
}
