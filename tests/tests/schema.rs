//! The published schemas match the types, and another validator agrees with the functions.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use anyhow::{Context, Result};
use chrono::TimeDelta;
use landfall::{
    clock::Clock as _,
    invocation::{Deployment, Invocation},
};
use landfall_batch::{plan::plan, record::summary_key, summary::summarise};
use landfall_local::{places, python, simulated::customer_profiles::Settings};
use landfall_tests::{
    clock::ManualClock,
    harness::{EXPORTS, Harness, LEDGER, config},
    in_process::Faults,
    memory_store::MemoryStore,
    schema::published,
};
use serde_json::{Value, json};

const UPDATE: &str = "LANDFALL_UPDATE_SCHEMAS";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schema")
}

#[test]
fn the_published_schemas_are_those_of_the_types() -> Result<()> {
    let mut files: Vec<String> = Vec::new();
    for (name, schema) in published() {
        let text = format!("{}\n", serde_json::to_string_pretty(&schema)?);
        let path = folder().join(&name);
        if std::env::var_os(UPDATE).is_some() {
            fs::create_dir_all(folder())?;
            fs::write(&path, &text)?;
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "docs/schema/{name} must match the types; run the tests with {UPDATE}=1"
        );
        files.push(name);
    }
    for file in fs::read_dir(folder())? {
        let name = file?.file_name().to_string_lossy().into_owned();
        assert!(files.contains(&name), "docs/schema/{name} must belong to a type");
    }
    Ok(())
}

/// Asks Python's jsonschema which documents fit their schemas.
fn judge(pairs: &[(Value, Value)]) -> Result<Vec<bool>> {
    const SCRIPT: &str = r"
import json, sys
from jsonschema import Draft202012Validator
pairs = json.load(sys.stdin)
for schema, _ in pairs:
    Draft202012Validator.check_schema(schema)
print(json.dumps([Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).is_valid(document) for schema, document in pairs]))
";
    let python = python::ensure(&places::workspace()?)?;
    let mut child = Command::new(python.python())
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start Python")?;
    child
        .stdin
        .take()
        .context("no input")?
        .write_all(&serde_json::to_vec(pairs)?)?;
    let output = child.wait_with_output()?;
    anyhow::ensure!(output.status.success(), "every schema must be a JSON Schema; see above");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A schema has an id, names no item of the code, and has no default that it refuses.
#[test]
fn the_published_schemas_can_be_used_elsewhere() -> Result<()> {
    fn look(name: &str, schema: &Value, defaults: &mut Vec<(Value, Value)>) {
        match schema {
            Value::Object(members) => {
                if let Some(text) = members.get("description").and_then(Value::as_str) {
                    assert!(!text.contains("[`"), "{name}: {text}");
                }
                if let Some(default) = members.get("default") {
                    defaults.push((schema.clone(), default.clone()));
                }
                members.values().for_each(|member| look(name, member, defaults));
            }
            Value::Array(items) => items.iter().for_each(|item| look(name, item, defaults)),
            _ => {}
        }
    }
    let (mut ids, mut defaults) = (Vec::new(), Vec::new());
    for (name, schema) in published() {
        let of_event = name.ends_with("-event.schema.json");
        let mut own = Vec::new();
        look(&name, &schema, &mut own);
        if of_event {
            let text = schema.to_string();
            assert!(!text.contains("\"null\"") && !text.contains(":null"), "{name}");
            defaults.extend(own);
        }
        ids.push(schema["$id"].as_str().context("no id")?.to_owned());
    }
    assert!(ids.contains(&"urn:landfall:run:1".to_owned()), "{ids:?}");
    assert!(
        ids.iter()
            .all(|id| ids.iter().filter(|other| *other == id).count() == 1),
        "{ids:?}"
    );
    assert!(defaults.len() > 10);
    assert!(judge(&defaults)?.into_iter().all(|valid| valid), "{defaults:#?}");
    Ok(())
}

/// Samples with a fault between members, which our schemas do not express.
const BEYOND_A_SCHEMA: [&str; 3] = [
    "malformed-destination",
    "malformed-dashboard-account",
    "malformed-endpoint-import-nothing",
];

/// A sample names its schema, so that an editor can complete it. The validator accepts the same samples as the
/// functions. Faults that no schema can express are left to the functions.
#[test]
fn samples_name_their_schema_and_fit_it() -> Result<()> {
    let schemas = published();
    let (mut names, mut pairs) = (Vec::new(), Vec::new());
    for file in fs::read_dir(folder().join("../../events"))? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let event: Value = serde_json::from_slice(&fs::read(&path)?)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let file = event["$schema"]
            .as_str()
            .and_then(|schema| schema.strip_prefix("../docs/schema/"));
        let file = file.with_context(|| format!("events/{name}.json names no schema in ../docs/schema/"))?;
        let schema = schemas
            .get(file)
            .with_context(|| format!("events/{name}.json names {file}, which is none"))?;
        names.push(name);
        pairs.push((schema.clone(), event));
    }
    assert!(names.len() >= 10);
    for (name, valid) in names.iter().zip(judge(&pairs)?) {
        let faulty_by_schema = name.starts_with("malformed-") && !BEYOND_A_SCHEMA.contains(&name.as_str());
        assert_eq!(valid, !faulty_by_schema, "{name}");
    }
    Ok(())
}

/// A batch as it goes through its machine, and its summary. None of its requests has a deployed kind.
async fn batch() -> Result<(Value, Value)> {
    let clock = ManualClock::at("2026-11-01T05:00:02Z".parse()?);
    let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
    store.create_bucket(LEDGER);
    let invocation = Invocation {
        request_id: "one".to_owned(),
        deadline: clock.now() + TimeDelta::minutes(15),
    };
    let deployment = Deployment {
        config: config()?,
        store: Arc::clone(&store) as Arc<_>,
        clock: Arc::new(clock),
    };
    let event: Value = serde_json::from_str(include_str!("../../events/batch.json"))?;
    let planned = plan(&deployment, event, &invocation).await?;
    let sealed = summarise(&deployment, json!(planned), &invocation).await?;
    let summary = store
        .body(LEDGER, &summary_key(&sealed.batch_key))
        .context("no summary")?;
    Ok((json!(sealed), serde_json::from_slice(&summary)?))
}

/// The documents that the functions write fit the published schemas.
#[tokio::test]
async fn written_documents_fit_their_schemas() -> Result<()> {
    let harness = <Harness>::new(
        Settings {
            profiles: 20,
            ..Settings::default()
        },
        Faults::none(),
    )?;
    let event: Value = serde_json::from_str(include_str!("../../events/segment-snapshot-fullest.json"))?;
    let sealed = harness.run("one", &event).await?;
    let receipt_uri = sealed["outcome"]["receipt"].as_str().context("no receipt")?;
    let receipt = harness.json(receipt_uri)?;
    let report = harness.json(receipt["verification"]["report"].as_str().context("no report")?)?;
    let event: Value = serde_json::from_str(include_str!("../../events/segment-snapshot-expectations.json"))?;
    let succeeded = harness.run("three", &event).await?;
    let success = harness.json(succeeded["outcome"]["receipt"].as_str().context("no receipt")?)?;
    assert_eq!(success["verdict"], "succeeded", "{success:#}");
    let latest = harness.json(&format!("s3://{EXPORTS}/segments/expectations/_latest.json"))?;
    assert_eq!(latest["receipt"], succeeded["outcome"]["receipt"]);
    let malformed: Value = serde_json::from_str(include_str!("../../events/malformed-request.json"))?;
    let rejected = harness.run("two", &malformed).await?;
    let rejected = harness.json(rejected["outcome"]["receipt"].as_str().context("no receipt")?)?;
    assert!(receipt_uri.contains(EXPORTS) || receipt_uri.contains(LEDGER));

    let (batch, summary) = batch().await?;
    let schemas = published();
    let pairs = [
        (schemas["batch.schema.json"].clone(), batch),
        (schemas["batch-summary.schema.json"].clone(), summary.clone()),
        (schemas["batch.schema.json"].clone(), summary),
        (schemas["job.schema.json"].clone(), sealed),
        (schemas["receipt.schema.json"].clone(), receipt.clone()),
        (schemas["receipt.schema.json"].clone(), rejected),
        (schemas["report.schema.json"].clone(), report),
        (schemas["receipt.schema.json"].clone(), success),
        (schemas["job.schema.json"].clone(), succeeded),
        (schemas["latest.schema.json"].clone(), latest),
        (
            schemas["receipt.schema.json"].clone(),
            json!({"schema": "landfall.receipt/1"}),
        ),
        (schemas["job.schema.json"].clone(), receipt),
        (
            schemas["latest.schema.json"].clone(),
            json!({"schema": "landfall.latest/1"}),
        ),
    ];
    assert_eq!(
        judge(&pairs)?,
        [
            true, true, false, true, true, true, true, true, true, true, false, false, false
        ]
    );
    Ok(())
}
