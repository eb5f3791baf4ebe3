//! The JSON Schema of events, and the faults of an event in words.
//!
//! What must stay true: each fault that the schema finds is reported, at its place, with what was found and what is
//! allowed. A value that the schema marks as sensitive (`writeOnly`) is never quoted.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::validate::{Broken, Validator, Violation};
use crate::{
    error::Result,
    fault::{Faults, member_path, quoted},
    members::OPTIONS,
    service::JobService,
    trigger::Options,
};

/// The JSON Schema of a type, without references.
pub fn inline_schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$schema");
    }
    schema
}

/// The JSON Schema of the events of a `detail-type`.
pub fn envelope_schema(detail_type: &str, description: &str, detail: Value) -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": detail_type,
        "description": description,
        "type": "object",
        "required": ["detail-type", "source", "time", "detail"],
        "properties": {
            "version": {"type": "string"},
            "id": {"type": "string", "minLength": 1, "maxLength": 128},
            "detail-type": {"const": detail_type},
            "source": {"type": "string", "minLength": 1, "maxLength": 256},
            "account": {"type": "string", "pattern": "^[0-9]{12}$"},
            "time": {"type": "string", "format": "date-time"},
            "region": {"type": "string"},
            "resources": {"type": "array", "items": {"type": "string"}},
            "detail": detail,
        },
    })
}

/// The JSON Schema of the events of a kind, without references.
pub fn schema<S: JobService>() -> Value {
    let mut detail = inline_schema::<S::Request>();
    let mut options = inline_schema::<Options>();
    if !S::WRITES_OUTPUT
        && let Some(properties) = options.get_mut("properties").and_then(Value::as_object_mut)
    {
        // A kind without output has nothing to verify.
        properties.remove("Verification");
    }
    if !S::ESTIMATES
        && let Some(expected) = options
            .pointer_mut("/properties/Verification")
            .and_then(|verification| find_properties(verification, "Expect"))
    {
        expected.remove("SegmentEstimate");
    }
    if !S::ACTS_FOR_USERS
        && let Some(properties) = options.get_mut("properties").and_then(Value::as_object_mut)
    {
        properties.remove("RegisteredUser");
    }
    if let Some(properties) = detail.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(OPTIONS.to_owned(), options);
    }
    let description = format!("An event that asks Landfall for a {}.", S::KIND);
    envelope_schema(&S::kind().detail_type(), &description, detail)
}

/// The properties of a member of an object. The object and the member may be optional, that is, `anyOf` a type and
/// null.
fn find_properties<'a>(object: &'a mut Value, member: &str) -> Option<&'a mut Map<String, Value>> {
    let member = properties_of(object)?.get_mut(member)?;
    properties_of(member)
}

fn properties_of(schema: &mut Value) -> Option<&mut Map<String, Value>> {
    let branch = match schema.get("properties") {
        Some(_) => schema,
        None => {
            let branches = schema.get_mut("anyOf")?.as_array_mut()?;
            branches.iter_mut().find(|branch| branch.get("properties").is_some())?
        }
    };
    branch.get_mut("properties")?.as_object_mut()
}

/// A JSON Schema without references, ready to check values.
pub struct EventSchema {
    schema: Value,
    validator: Validator,
}

impl EventSchema {
    /// Fails with `Internal` if the value is not a schema, or has a keyword that is not known here.
    pub fn new(schema: Value) -> Result<Self> {
        let validator = Validator::new(&schema)?;
        Ok(Self { schema, validator })
    }

    /// Adds each fault of a value.
    pub fn check(&self, value: &Value, faults: &mut Faults) {
        for violation in self.validator.violations(&self.schema, value) {
            report(&violation, &self.schema, faults);
        }
    }
}

/// The schema of a kind's events. It is built once, because building it takes longer than all other work on an event.
pub(super) fn shape_of<S: JobService>() -> Result<Arc<EventSchema>> {
    static BUILT: Mutex<BTreeMap<&'static str, Arc<EventSchema>>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(shape) = built.get(S::KIND) {
        return Ok(Arc::clone(shape));
    }
    let shape = Arc::new(EventSchema::new(schema::<S>())?);
    built.insert(S::KIND, Arc::clone(&shape));
    Ok(shape)
}

/// Adds the faults that a violation means.
fn report(violation: &Violation<'_>, schema: &Value, faults: &mut Faults) {
    let pointer = violation.pointer.as_str();
    let path = json_path(pointer);
    let here = subschema(schema, pointer);
    let found = || match here.get("writeOnly") {
        Some(Value::Bool(true)) => "a value that is not shown".to_owned(),
        _ => describe_found(violation.found),
    };
    match &violation.what {
        Broken::Required(name) => {
            let member = here.pointer(&format!("/properties/{name}")).unwrap_or(&Value::Null);
            faults.add(
                member_path(&path, name),
                "nothing",
                format!("it is required: {}", describe_allowed(member)),
            );
        }
        Broken::Unknown(unexpected) => {
            let known: Vec<_> = here
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flat_map(Map::keys)
                .collect();
            for name in unexpected {
                let near = known
                    .iter()
                    .map(|known| (strsim::jaro_winkler(&known.to_lowercase(), &name.to_lowercase()), known))
                    .filter(|(likeness, _)| *likeness > 0.85)
                    .max_by(|a, b| a.0.total_cmp(&b.0));
                let hint = near
                    .map(|(_, known)| format!("did you mean {known}? "))
                    .unwrap_or_default();
                let names: Vec<_> = known.iter().map(|known| known.as_str()).collect();
                faults.add(
                    member_path(&path, name),
                    "an unknown member",
                    format!("{hint}allowed here: {}", names.join(", ")),
                );
            }
        }
        // An optional member is `anyOf` its type and null. Report the branch that was meant, which is the one with the
        // value's type.
        Broken::EveryBranch(branches) => {
            let is_other_type =
                |violation: &Violation<'_>| violation.pointer == pointer && matches!(violation.what, Broken::Type);
            match branches.iter().find(|branch| !branch.iter().any(is_other_type)) {
                Some(branch) => branch.iter().for_each(|violation| report(violation, schema, faults)),
                None => faults.add(path, found(), format!("must be {}", describe_allowed(here))),
            }
        }
        Broken::Type | Broken::Other => faults.add(path, found(), format!("must be {}", describe_allowed(here))),
    }
}

/// What the schema allows at this place, in words.
fn describe_allowed(schema: &Value) -> String {
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    let options: Vec<_> = match (schema.get("enum"), schema.get("oneOf")) {
        (Some(Value::Array(values)), _) => values
            .iter()
            .filter(|value| !value.is_null())
            .map(Value::to_string)
            .collect(),
        (_, Some(Value::Array(cases))) => cases
            .iter()
            .filter_map(|case| case.get("const"))
            .map(Value::to_string)
            .collect(),
        _ => Vec::new(),
    };
    if !options.is_empty() {
        return format!("one of {}", options.join(", "));
    }
    // The schema says that a time is a string, but "a string" would not help.
    if schema.get("format").and_then(Value::as_str) == Some("date-time") {
        return "a time such as 2026-11-01T05:00:00Z".to_owned();
    }
    let number = |name: &str| schema.get(name).and_then(Value::as_u64);
    let kind = match schema.get("type") {
        Some(Value::String(kind)) => kind.as_str(),
        Some(Value::Array(kinds)) => kinds
            .iter()
            .filter_map(Value::as_str)
            .find(|kind| *kind != "null")
            .unwrap_or("value"),
        _ => "value",
    };
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    let mut words = format!("{article} {kind}");
    match (number("minLength"), number("maxLength")) {
        (Some(min), Some(max)) => words += &format!(" of {min} to {max} characters"),
        (None, Some(max)) => words += &format!(" of at most {max} characters"),
        (Some(min), None) => words += &format!(" of at least {min} characters"),
        (None, None) => {}
    }
    match (number("minimum"), number("maximum")) {
        (Some(min), Some(max)) => words += &format!(" from {min} to {max}"),
        (Some(min), None) => words += &format!(" of at least {min}"),
        _ => {}
    }
    if let (Some(min), Some(max)) = (number("minItems"), number("maxItems")) {
        words += &if min == max {
            format!(" of {}", counted(max, "item"))
        } else {
            format!(" of {min} to {max} items")
        };
    }
    if schema.get("uniqueItems") == Some(&Value::Bool(true)) {
        words += ", no two alike";
    }
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        words += &format!(" matching {pattern}");
    }
    words
}

pub(super) fn describe_found(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("an array of {}", counted(items.len() as u64, "item")),
        Value::Object(members) => format!("an object of {}", counted(members.len() as u64, "member")),
    }
}

fn counted(n: u64, noun: &str) -> String {
    match n {
        0 => format!("no {noun}s"),
        1 => format!("1 {noun}"),
        n => format!("{n} {noun}s"),
    }
}

/// Turns `/detail/Files/0` into `$.detail.Files[0]`.
fn json_path(pointer: &str) -> String {
    pointer.split('/').skip(1).fold("$".to_owned(), |path, segment| {
        let name = segment.replace("~1", "/").replace("~0", "~");
        match name.parse::<usize>() {
            Ok(index) => format!("{path}[{index}]"),
            Err(_) => member_path(&path, &name),
        }
    })
}

/// The part of a schema for the value at a JSON pointer. The schema must have no references.
fn subschema<'a>(schema: &'a Value, pointer: &str) -> &'a Value {
    pointer.split('/').skip(1).fold(schema, |schema, segment| {
        let name = segment.replace("~1", "/").replace("~0", "~");
        let step = |schema: &'a Value| {
            schema
                .pointer(&format!("/properties/{name}"))
                .or_else(|| schema.get("items"))
        };
        let branches = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
        step(schema)
            .or_else(|| branches.into_iter().find_map(step))
            .unwrap_or(&Value::Null)
    })
}
