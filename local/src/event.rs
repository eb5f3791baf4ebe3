//! Event files.
//!
//! What must stay true: an event is delivered as its file has it, apart from what the user asks to change on the
//! command line. Whether it is a good request is for the functions to say.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;

/// Reads an event file.
pub fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {}; sample events lie in events/", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// The kind of job that an event asks for: its `detail-type` without the word Requested, in lower case, with hyphens.
pub fn kind(event: &Value) -> Result<String> {
    let detail_type = event["detail-type"]
        .as_str()
        .context("the event has no text `detail-type`, such as \"Segment Snapshot Requested\"")?;
    let name = detail_type.strip_suffix(" Requested").unwrap_or(detail_type);
    Ok(name.to_lowercase().replace(' ', "-"))
}

/// A list of requests that an event of a batch names by where it lies in S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// What a file of that name beside the event's holds.
    pub body: Vec<u8>,
}

/// The list that an event names, if a file of its name lies beside that of the event: so it need not be put into S3 by
/// hand. `None` without such a file.
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

/// The kinds of jobs that the requests of a batch ask for, each once, whether they exist or not.
pub fn kinds_of_batch(event: &Value, list: Option<&List>) -> Vec<String> {
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
    fn the_detail_type_names_the_kind() {
        let event = |text: &str| json!({"detail-type": text});
        assert_eq!(kind(&event("Segment Snapshot Requested")).unwrap(), "segment-snapshot");
        assert_eq!(kind(&event("Endpoint Export Requested")).unwrap(), "endpoint-export");
        assert!(kind(&json!({"detail": {}})).is_err());
    }

    #[test]
    fn a_list_is_taken_from_beside_its_event() {
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
