//! Event files.
//!
//! What must stay true: an event is delivered as its file has it. Only what the user asks to change on the command line
//! is changed, and only what EventBridge adds to every event is added. The functions decide whether it is a good
//! request.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
pub use landfall_cli::event::{kind, read};
use serde_json::Value;

use crate::{
    account::{ACCOUNT, REGION},
    edge::ids::new_id,
};

/// Adds the members that EventBridge adds to every event, if the file leaves them out. Gives the names of the members
/// that were added.
pub fn fill_in(event: &mut Value, now: DateTime<Utc>) -> Vec<&'static str> {
    landfall_cli::event::fill_in(event, now, &new_id(), ACCOUNT, REGION)
}

/// The members that were filled in, as one line.
pub fn filled_in(event: &Value, added: &[&str]) -> String {
    let words: Vec<String> = added
        .iter()
        .map(|name| match (*name, event[*name].as_str()) {
            (name @ ("id" | "time"), Some(value)) => format!("{name} {value}"),
            (name, _) => name.to_owned(),
        })
        .collect();
    format!("filled in, as EventBridge does: {}", words.join(", "))
}

/// A list of requests in S3 that the event of a batch names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The content of the file of that name beside the event's file.
    pub body: Vec<u8>,
}

/// The list that an event names, if a file of its name lies beside the event's file. Then nobody needs to put it into
/// S3 by hand. `None` if there is no such file.
pub fn list_beside(event: &Value, path: &Path) -> Result<Option<List>> {
    let uri = event["detail"]["RequestsUri"].as_str().unwrap_or_default();
    let Some((bucket, key)) = uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/')) else {
        return Ok(None);
    };
    let name = key.rsplit('/').next().unwrap_or_default();
    let file = path.with_file_name(name);
    if name.is_empty() || !file.is_file() {
        return Ok(None);
    }
    let body = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Some(List {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        body,
    }))
}

/// The requests of a batch: first those of the event, then those of the list.
fn requests_of_batch(event: &Value, list: Option<&List>) -> Vec<Value> {
    let mut requests = event["detail"]["Requests"].as_array().cloned().unwrap_or_default();
    let body = list.map_or(&[][..], |list| &list.body);
    // An array, or one request a line.
    for value in serde_json::Deserializer::from_slice(body)
        .into_iter::<Value>()
        .flatten()
    {
        match value {
            Value::Array(items) => requests.extend(items),
            request => requests.push(request),
        }
    }
    requests
}

/// The names of a batch's requests for people: the user's own names, and the texts by which their services know them.
pub fn labels_of_batch(event: &Value, list: Option<&List>) -> Vec<String> {
    let label = |request: &Value| {
        let detail = &request["Detail"];
        let is_plain = |text: &&str| !text.contains("://") && !text.starts_with("arn:");
        let members = detail.as_object().into_iter().flat_map(serde_json::Map::values);
        let texts: Vec<&str> = members.filter_map(Value::as_str).filter(is_plain).collect();
        match detail["Landfall"]["Name"].as_str() {
            Some(name) => format!("{name}: {}", texts.join(" ")),
            None => texts.join(" "),
        }
    };
    requests_of_batch(event, list).iter().map(label).collect()
}

/// The kinds of jobs that the requests of a batch ask for, each once. Some may not exist.
pub fn kinds_of_batch(event: &Value, list: Option<&List>) -> Vec<String> {
    let requests = requests_of_batch(event, list);
    let kinds: BTreeSet<&str> = requests.iter().filter_map(|request| request["Kind"].as_str()).collect();
    kinds.into_iter().map(str::to_owned).collect()
}

/// Sets `detail.DataFormat`.
pub fn set_format(event: &mut Value, format: &str) -> Result<()> {
    let detail = event["detail"]
        .as_object_mut()
        .context("the event has no `detail` object to set DataFormat in")?;
    detail.insert("DataFormat".to_owned(), format.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_members_that_eventbridge_adds_are_filled_in() {
        let now = "2026-11-01T05:00:00.5Z".parse().unwrap();
        let mut event = json!({"detail-type": "Segment Snapshot Requested", "source": "s", "detail": {}, "time": null});
        let added = fill_in(&mut event, now);
        assert_eq!(added, ["id", "version", "account", "region", "resources"]);
        assert_eq!(event["time"], Value::Null, "what is there stays, however wrong it is");
        event.as_object_mut().unwrap().remove("time");
        assert_eq!(fill_in(&mut event, now), ["time"]);
        assert_eq!(event["time"], "2026-11-01T05:00:00Z");
        assert_eq!(
            filled_in(&event, &["time", "account"]),
            "filled in, as EventBridge does: time 2026-11-01T05:00:00Z, account"
        );
        assert_eq!(fill_in(&mut json!([]), now), Vec::<&str>::new());
    }

    #[test]
    fn the_requests_of_a_batch_are_labelled_by_name_and_resource() {
        let event = json!({"detail": {"Requests": [
            {"Kind": "a", "Detail": {"DomainName": "d", "SegmentDefinitionName": "s", "DestinationUri": "s3://b/"}},
            {"Kind": "a", "Detail": {"DashboardId": "x", "Landfall": {"Name": "nightly"}}},
            {"Kind": "a"},
        ]}});
        assert_eq!(labels_of_batch(&event, None), ["d s", "nightly: x", ""]);
    }

    #[test]
    fn a_list_is_read_from_the_folder_of_its_event() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("batch.json");
        let event = json!({"detail": {"RequestsUri": "s3://bucket/a/list.jsonl"}});
        assert_eq!(list_beside(&event, &path).unwrap(), None);
        std::fs::write(
            folder.path().join("list.jsonl"),
            "{\"Kind\": \"b\"}\n\n{\"Kind\": \"a\"}\n{}\n",
        )
        .unwrap();
        let list = list_beside(&event, &path).unwrap().unwrap();
        assert_eq!((list.bucket.as_str(), list.key.as_str()), ("bucket", "a/list.jsonl"));
        assert_eq!(kinds_of_batch(&event, Some(&list)), ["a", "b"]);
        let array = List {
            body: b"[{\"Kind\": \"c\"}]".to_vec(),
            ..list
        };
        assert_eq!(kinds_of_batch(&event, Some(&array)), ["c"]);
        assert_eq!(
            list_beside(&json!({"detail": {"RequestsUri": "s3://bucket/"}}), &path).unwrap(),
            None
        );
    }

    #[test]
    fn the_format_is_set_in_the_request() {
        let mut event = json!({"detail": {"DataFormat": "CSV"}});
        set_format(&mut event, "ORC").unwrap();
        assert_eq!(event, json!({"detail": {"DataFormat": "ORC"}}));
        assert!(set_format(&mut json!({"detail": null}), "ORC").is_err());
    }
}
