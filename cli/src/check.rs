//! What is wrong with an event, without a world: by its published schema, and in options that exclude each other.
//!
//! What must stay true: nothing is built, installed or started, so that it can be asked before every commit. What only
//! the function of a kind can tell, and what a deployment allows, is not looked at.

use anyhow::{Context, Result};
use landfall::{
    event::{Shape, check_identity, check_options},
    fault::Faults,
};
use serde_json::Value;

use crate::{
    event,
    kinds::{self, BATCH, KINDS},
};

/// All faults of an event that can be found without its deployment, those of a batch's requests included. Fails if the event
/// asks for nothing that Landfall runs.
pub fn faults(event: &Value) -> Result<Faults> {
    let kind = event::kind(event)?;
    let mut faults = Faults::default();
    Shape::new(schema(&kind)?)?.check(event, &mut faults);
    if kind != BATCH {
        check_options(&event["detail"], &mut faults);
        return Ok(faults);
    }
    let requests = event["detail"]["Requests"].as_array();
    for (index, request) in requests.into_iter().flatten().enumerate() {
        let place = format!("$.detail.Requests[{index}]");
        let Some(name) = request["Kind"].as_str() else { continue };
        let mut own = Faults::default();
        if KINDS.contains(&name) {
            let mut schema = schema(name)?;
            let detail = schema["properties"]["detail"].take();
            Shape::new(detail)?.check(&request["Detail"], &mut own);
            own = own.beneath(&format!("{place}.Detail"));
            let mut options = Faults::default();
            check_options(&request["Detail"], &mut options);
            for fault in options.split_off("$.detail").beneath(&format!("{place}.Detail")).iter() {
                own.add(&fault.path, &fault.found, &fault.allowed);
            }
        } else {
            own.add(
                format!("{place}.Kind"),
                format!("{name:?}"),
                format!("there is no kind of job {name:?}; there is {}", KINDS.join(", ")),
            );
        }
        for fault in own.iter() {
            faults.add(&fault.path, &fault.found, &fault.allowed);
        }
    }
    Ok(faults)
}

/// What an event lacks that EventBridge would give it: only that is no fault before it is sent.
pub fn identity_faults(event: &Value) -> Faults {
    let mut faults = Faults::default();
    check_identity(event, &mut faults);
    faults
}

fn schema(kind: &str) -> Result<Value> {
    let text = kinds::schema(kind).with_context(|| format!("there is no schema of {kind}"))?;
    serde_json::from_str(text).with_context(|| format!("the schema of {kind} is not JSON"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(event: &Value) -> Vec<String> {
        let faults = faults(event).unwrap();
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
        assert!(faults(&event).is_err());
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
