//! What is wrong with an event by its published schema, without a world.
//!
//! What must stay true: nothing is built, installed or started, so that it can be asked before every commit. What only
//! the function of a kind can tell, and what a deployment allows, is not looked at.

use std::path::Path;

use anyhow::{Context, Result};
use landfall::{event::Shape, fault::Faults};
use serde_json::Value;

use crate::{
    event,
    functions::{BATCH, Kind},
};

/// All faults of an event that its schema in the workspace finds, those of a batch's requests included. Fails if the event
/// asks for nothing that Landfall runs.
pub fn faults(workspace: &Path, event: &Value) -> Result<Faults> {
    let kind = event::kind(event)?;
    let mut faults = Faults::default();
    Shape::new(schema(workspace, &kind)?)?.check(event, &mut faults);
    if kind != BATCH {
        return Ok(faults);
    }
    let requests = event["detail"]["Requests"].as_array();
    for (index, request) in requests.into_iter().flatten().enumerate() {
        let place = format!("$.detail.Requests[{index}]");
        let Some(name) = request["Kind"].as_str() else { continue };
        let mut own = Faults::default();
        match Kind::named(name) {
            Ok(kind) => {
                let mut schema = schema(workspace, kind.name)?;
                let detail = schema["properties"]["detail"].take();
                Shape::new(detail)?.check(&request["Detail"], &mut own);
                own = own.beneath(&format!("{place}.Detail"));
            }
            Err(error) => own.add(format!("{place}.Kind"), format!("{name:?}"), error.to_string()),
        }
        for fault in own.iter() {
            faults.add(&fault.path, &fault.found, &fault.allowed);
        }
    }
    Ok(faults)
}

fn schema(workspace: &Path, kind: &str) -> Result<Value> {
    let path = workspace.join(format!("docs/schema/{kind}-event.schema.json"));
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::places;

    fn paths(event: &Value) -> Vec<String> {
        let faults = faults(&places::workspace().unwrap(), event).unwrap();
        faults.iter().map(|fault| fault.path.clone()).collect()
    }

    #[test]
    fn what_people_write_is_checked_and_what_eventbridge_adds_is_not_missed() {
        let mut event = json!({
            "detail-type": "Segment Snapshot Requested", "source": "com.example",
            "detail": {"DomainName": "a", "SegmentDefinitionName": "b", "DataFormat": "CSV"},
        });
        assert_eq!(paths(&event), Vec::<String>::new());
        event["detail"]["DataFormat"] = json!("XML");
        event["detail"]["DestinationUri"] = json!("landfall-exports/segments");
        event["detail"]["Landfall"] = json!({"Polls": {}});
        assert_eq!(
            paths(&event),
            [
                "$.detail.DataFormat",
                "$.detail.DestinationUri",
                "$.detail.Landfall.Polls"
            ]
        );
        event["detail-type"] = json!("Segment Snapshot");
        assert!(faults(&places::workspace().unwrap(), &event).is_err());
    }

    #[test]
    fn requests_of_a_batch_are_checked_one_by_one() {
        let event = json!({
            "detail-type": "Export Batch Requested", "source": "com.example",
            "detail": {"Requests": [
                {"Kind": "segment-snapshot", "Detail": {"DomainName": "a", "SegmentDefinitionName": "b", "DataFormat": "CSV"}},
                {"Kind": "segment-snapshot", "Detail": {"DomainName": "a", "DataFormat": "CSV"}},
                {"Kind": "moon-landing", "Detail": {}},
            ]},
        });
        assert_eq!(
            paths(&event),
            [
                "$.detail.Requests[1].Detail.SegmentDefinitionName",
                "$.detail.Requests[2].Kind"
            ]
        );
    }
}
