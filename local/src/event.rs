//! Event files.
//!
//! What must stay true: an event is delivered as its file has it, apart from what the user asks to change on the
//! command line. Whether it is a good request is for the functions to say.

use std::path::Path;

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
    fn the_format_is_set_in_the_request() {
        let mut event = json!({"detail": {"DataFormat": "CSV"}});
        set_format(&mut event, "ORC").unwrap();
        assert_eq!(event, json!({"detail": {"DataFormat": "ORC"}}));
        assert!(set_format(&mut json!({"detail": null}), "ORC").is_err());
    }
}
