//! Event files.
//!
//! What must stay true: an event is delivered as its file has it. Only the members that EventBridge adds to every event
//! are added.

use std::{io::ErrorKind, path::Path};

use anyhow::{Context, Result, anyhow, bail};
use chrono::{DateTime, SecondsFormat, Utc};
use landfall::job;
use serde_json::{Value, json};

use crate::kinds::{BATCH, KINDS};

/// Reads an event file.
pub fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::NotFound => ". `landfall new` writes an event",
            _ => "",
        };
        anyhow!("cannot read the event {}: {error}{hint}", path.display())
    })?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// The kind of job that an event asks for by its `detail-type`.
pub fn kind(event: &Value) -> Result<String> {
    let names = || KINDS.iter().copied().chain([BATCH]);
    let detail_type_of = |name: &str| job::Kind::new(name).detail_type();
    let known: Vec<String> = names().map(|name| format!("{:?}", detail_type_of(name))).collect();
    let Some(detail_type) = event["detail-type"].as_str() else {
        bail!(
            "the event has no text `detail-type`, which says what is asked for: {}",
            known.join(", ")
        );
    };
    if let Some(name) = names().find(|name| detail_type_of(name) == detail_type) {
        return Ok(name.to_owned());
    }
    if detail_type == "Scheduled Event" {
        bail!(
            "the detail-type \"Scheduled Event\" asks for nothing: a rule with a schedule sends it by itself. Give the \
             rule's target an input, such as events/segment-snapshot-scheduled-rule.json"
        );
    }
    let hint =
        likely(detail_type).map_or_else(String::new, |name| format!(" Did you mean {:?}?", detail_type_of(name)));
    bail!(
        "the detail-type {detail_type:?} asks for nothing that Landfall runs.{hint} It is one of {}. The rules of a \
         deployed stack match exactly these: no rule would match this event, and nothing would tell you",
        known.join(", ")
    );
}

/// The kind that a wrong `detail-type` may have meant.
pub fn likely(detail_type: &str) -> Option<&'static str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], " ");
    let likeness = |name: &str| strsim::jaro_winkler(&plain(&job::Kind::new(name).detail_type()), &plain(detail_type));
    KINDS
        .iter()
        .copied()
        .chain([BATCH])
        .map(|name| (likeness(name), name))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// Adds the members that EventBridge adds to every event, if the file leaves them out: an `id` that no other event has,
/// the time, the account and the region. Gives the names of the members that were added.
pub fn fill_in(event: &mut Value, now: DateTime<Utc>, id: &str, account: &str, region: &str) -> Vec<&'static str> {
    let Some(members) = event.as_object_mut() else {
        return Vec::new();
    };
    let given = [
        ("id", json!(id)),
        ("time", json!(now.to_rfc3339_opts(SecondsFormat::Secs, true))),
        ("version", json!("0")),
        ("account", json!(account)),
        ("region", json!(region)),
        ("resources", json!([])),
    ];
    let mut added = Vec::new();
    for (name, value) in given {
        if !members.contains_key(name) {
            members.insert(name.to_owned(), value);
            added.push(name);
        }
    }
    added
}

/// An id that no other event has.
pub fn new_id() -> String {
    let mut bytes: [u8; 16] = std::array::from_fn(|_| fastrand::u8(..));
    // The bits that mark a random UUID.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detail_type_names_the_kind() {
        let event = |text: &str| json!({"detail-type": text});
        assert_eq!(kind(&event("Segment Snapshot Requested")).unwrap(), "segment-snapshot");
        assert_eq!(kind(&event("Endpoint Export Requested")).unwrap(), "endpoint-export");
        assert_eq!(kind(&event("Export Batch Requested")).unwrap(), BATCH);
        let wrong = |event: &Value| kind(event).unwrap_err().to_string();
        assert!(wrong(&json!({"detail": {}})).contains("\"Segment Snapshot Requested\", "));
        for text in [
            "segment-snapshot-request",
            "Segment Snapshot",
            "Segment snapshot requested",
        ] {
            let error = wrong(&event(text));
            assert!(
                error.contains("Did you mean \"Segment Snapshot Requested\"?"),
                "{error}"
            );
            assert!(error.contains("no rule would match this event"), "{error}");
        }
        assert!(wrong(&event("Scheduled Event")).contains("events/segment-snapshot-scheduled-rule.json"));
    }
}
