//! Makes the published JSON Schemas from the Rust types.
//!
//! What must stay true: the schema of an event is the one that the functions check, with some help for the writer. It
//! does not ask for what EventBridge fills in, allows no null in place of an omitted option, and has patterns for URIs.
//! So the functions accept every event that fits it, as far as a schema can tell.

use std::collections::BTreeMap;

use landfall::{event, job, service::JobService};
use landfall_batch::record;
use landfall_cli::{doctor, document, jobs, show, verify as verification};
use landfall_local::document as local;
use landfall_output::{latest, receipt, verify};
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::each_kind;

/// Lists the schema of the events of every kind.
macro_rules! requests {
    ($($name:ident: $kind:ty),* $(,)?) => { [$(request::<$kind>()),*] };
}

/// All published schemas, by file name.
pub fn published() -> BTreeMap<String, Value> {
    let documents = [
        event("export-batch", landfall_batch::event::schema()),
        of::<record::Batch>(record::SCHEMA),
        of::<record::Summary>(record::SUMMARY_SCHEMA),
        of::<document::Refusal>(document::ERROR_SCHEMA),
        of::<document::Acted>(document::ACTED_SCHEMA),
        of::<document::Checked>(document::CHECKED_SCHEMA),
        of::<doctor::Examined>(doctor::SCHEMA),
        of::<document::Held>(document::HELD_SCHEMA),
        of::<job::Job>(job::SCHEMA),
        of::<jobs::Jobs>(jobs::SCHEMA),
        of::<latest::Latest>(latest::SCHEMA),
        of::<receipt::Receipt>(receipt::SCHEMA),
        of::<verify::Report>(verify::SCHEMA),
        of::<local::Run>(local::RUN_SCHEMA),
        of::<show::Shown>(show::SCHEMA),
        of::<verification::Verified>(verification::SCHEMA),
    ];
    each_kind!(requests).into_iter().chain(documents).collect()
}

fn request<S: JobService>() -> (String, Value) {
    event(S::KIND, event::schema::<S>())
}

/// The schema of the events of a kind.
fn event(kind: &str, mut schema: Value) -> (String, Value) {
    without_null(&mut schema);
    for_writers(&mut schema);
    let name = format!("{kind}-event");
    (file(&name), named(&format!("landfall.{name}/1"), schema))
}

/// The schema of a type, under the name that its documents have in their member `schema`.
fn of<T: JsonSchema>(name: &str) -> (String, Value) {
    // Members that are omitted when empty must not be required, so the schema describes the serialised form.
    let schema = SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    let stem = name.trim_start_matches("landfall.").split('/').next().unwrap_or(name);
    (file(stem), named(name, schema))
}

fn file(stem: &str) -> String {
    format!("{stem}.schema.json")
}

/// Adds an id that other schemas and catalogues can refer to: `landfall.run/1` becomes `urn:landfall:run:1`.
fn named(name: &str, mut schema: Value) -> Value {
    schema["$id"] = json!(format!("urn:{}", name.replace(['.', '/'], ":")));
    schema
}

/// Removes null from everything that may be null.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(without_null);
            for name in ["enum", "type"] {
                if let Some(Value::Array(values)) = members.get_mut(name) {
                    values.retain(|value| !value.is_null() && value != "null");
                    if name == "type" && values.len() == 1 {
                        let only = values.remove(0);
                        members.insert(name.to_owned(), only);
                    }
                }
            }
            if members.get("default") == Some(&Value::Null) {
                members.remove("default");
            }
            collapse(members);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// Replaces `anyOf` with something and null by that something.
fn collapse(members: &mut Map<String, Value>) {
    let Some(Value::Array(branches)) = members.get_mut("anyOf") else {
        return;
    };
    branches.retain(|branch| branch["type"] != "null");
    if branches.len() != 1 {
        return;
    }
    if let Value::Object(only) = branches.remove(0) {
        members.remove("anyOf");
        for (name, value) in only {
            // What the member says about itself wins over what its type says.
            members.entry(name).or_insert(value);
        }
    }
}

/// Members of requests that are S3 URIs.
const URIS: [&str; 4] = ["DestinationUri", "RequestsUri", "S3Url", "S3UrlPrefix"];

fn for_writers(schema: &mut Value) {
    if let Some(required) = schema["required"].as_array_mut() {
        required.retain(|name| name != "time");
    }
    for name in ["id", "time", "account", "region", "version", "resources"] {
        schema["properties"][name]["description"] = json!("EventBridge fills it in, and so does cargo local.");
    }
    let members = schema["properties"]["detail"]["properties"].as_object_mut();
    for (name, member) in members.into_iter().flatten() {
        if URIS.contains(&name.as_str()) {
            member["pattern"] = json!("^s3://[a-z0-9][a-z0-9.-]*(/.*)?$");
        }
    }
}
