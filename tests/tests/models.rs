//! The schemas of events, held against botocore's models of the requests.
//!
//! What must stay true: each difference in members, enumerations, bounds, patterns and secrecy stands in
//! `tests/data/model-differences.json` with its reason, and none stands there that is none; `docs/kinds.md` shows the reasons.
//! `LANDFALL_UPDATE=1` writes both anew: a new difference has no reason until somebody writes one, and the test fails.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use landfall::{event::schema, service::JobService};
use landfall_customer_profiles::SegmentSnapshots;
use landfall_local::{places, python};
use landfall_pinpoint::{EndpointExports, EndpointImports};
use landfall_quicksight::DashboardSnapshots;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Difference {
    /// Kinds, in the order of the page.
    #[serde(default)]
    kind: String,
    member: String,
    what: String,
    model: Value,
    ours: Value,
    /// Why it is so.
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

fn differences<S: JobService>(service: &str, operation: &str) -> Result<Vec<Difference>> {
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

/// The rows of the page: one for each reason, with the kinds and members that it is about.
fn table(differences: &[Difference]) -> String {
    let mut rows: Vec<(&str, Vec<&str>, Vec<String>)> = Vec::new();
    for one in differences {
        let name = one.member.rsplit('.').next().unwrap_or_default();
        let member = format!("`{}`", name.trim_end_matches("[]"));
        match rows.iter_mut().find(|(reason, ..)| *reason == one.reason) {
            Some((_, kinds, members)) => {
                if !kinds.contains(&one.kind.as_str()) {
                    kinds.push(&one.kind);
                }
                if !members.contains(&member) {
                    members.push(member);
                }
            }
            None => rows.push((&one.reason, vec![&one.kind], vec![member])),
        }
    }
    let mut table = "| kind | member | why |\n|---|---|---|\n".to_owned();
    for (reason, kinds, members) in rows {
        writeln!(table, "| {} | {} | {reason} |", kinds.join(", "), members.join(", ")).expect("a string takes all");
    }
    table
}

#[test]
fn the_schemas_differ_from_the_models_where_it_is_said() -> Result<()> {
    let found = [
        differences::<SegmentSnapshots>("customer-profiles", "CreateSegmentSnapshot")?,
        differences::<DashboardSnapshots>("quicksight", "StartDashboardSnapshotJob")?,
        differences::<EndpointExports>("pinpoint", "CreateExportJob")?,
        differences::<EndpointImports>("pinpoint", "CreateImportJob")?,
    ]
    .concat();
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
    let page_at = place("../docs/kinds.md");
    let page = fs::read_to_string(&page_at)?;
    let (head, rest) = page
        .split_once("<!-- differences: from tests/data/model-differences.json -->\n")
        .context("no table")?;
    let (_, tail) = rest.split_once("<!-- end -->").context("the table has no end")?;
    let written = format!(
        "{head}<!-- differences: from tests/data/model-differences.json -->\n{}<!-- end -->{tail}",
        table(&explained)
    );
    if std::env::var_os("LANDFALL_UPDATE").is_some() {
        let lines: Vec<String> = explained.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        fs::write(&list, format!("[\n{}\n]\n", lines.join(",\n")))?;
        fs::write(&page_at, &written)?;
    }
    let unexplained: Vec<_> = explained.iter().filter(|one| one.reason.is_empty()).collect();
    assert!(
        unexplained.is_empty(),
        "give each a reason in {}: {unexplained:#?}",
        list.display()
    );
    let said: Vec<Difference> = serde_json::from_str(&fs::read_to_string(&list)?)?;
    assert_eq!(said, explained, "{} lists what is no difference", list.display());
    assert_eq!(
        fs::read_to_string(&page_at)?,
        written,
        "docs/kinds.md: set LANDFALL_UPDATE=1 to write it anew"
    );
    Ok(())
}
