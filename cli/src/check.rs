//! What is wrong with an event, found without a deployment: by its published schema, and by options that exclude each
//! other.
//!
//! What must stay true: nothing is built, installed or started, so this can run before every commit. What only the
//! function of a kind can tell is not looked at. What a deployment allows is looked at by [`gate`] alone.

use anyhow::{Context, Result};
use landfall::{
    event::{EventSchema, check_options},
    fault::Faults,
    gate::AllowList,
};
use serde_json::Value;

use crate::{
    allowed::{self, Place},
    event,
    kinds::{self, BATCH, KINDS},
};

/// Where the `detail-type` stands.
const DETAIL_TYPE: &str = "$.detail-type";

/// All faults of an event that can be found without its deployment, including those of a batch's requests. An event
/// with a wrong `detail-type` is checked as the kind that it may have meant.
pub fn faults(event: &Value) -> Result<Faults> {
    let mut faults = Faults::default();
    let kind = match event::kind(event) {
        Ok(kind) => kind,
        Err(why) => {
            let found = event["detail-type"].as_str();
            faults.add(
                DETAIL_TYPE,
                found.map_or_else(|| "no text".to_owned(), |found| format!("{found:?}")),
                format!("{why:#}"),
            );
            let Some(kind) = found.and_then(event::likely) else {
                return Ok(faults);
            };
            let mut others = Faults::default();
            EventSchema::new(schema(kind)?)?.check(event, &mut others);
            check_options(&event["detail"], &mut others);
            for fault in others.iter().filter(|fault| fault.path != DETAIL_TYPE) {
                faults.add(&fault.path, &fault.found, &fault.allowed);
            }
            return Ok(faults);
        }
    };
    EventSchema::new(schema(&kind)?)?.check(event, &mut faults);
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
            EventSchema::new(detail)?.check(&request["Detail"], &mut own);
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

/// Adds what a deployment does not allow an event to name. For a batch, its requests are looked at too.
pub fn gate(event: &Value, allowed: &AllowList, place: &Place, faults: &mut Faults) {
    // [`faults`] reports an event that asks for nothing.
    let Ok(kind) = event::kind(event) else { return };
    let place = &Place {
        account: event["account"].as_str().unwrap_or(&place.account).to_owned(),
        region: place.region.clone(),
    };
    if kind != BATCH {
        allowed::check(allowed, place, &kind, &event["detail"], faults);
        return;
    }
    if let Some(Ok(uri)) = event["detail"]["RequestsUri"].as_str().map(str::parse)
        && let Err(refused) = allowed.check_location("it", &uri)
    {
        faults.add("$.detail.RequestsUri", format!("\"{uri}\""), refused.message);
    }
    for (index, request) in event["detail"]["Requests"].as_array().into_iter().flatten().enumerate() {
        let mut own = Faults::default();
        allowed::check(
            allowed,
            place,
            request["Kind"].as_str().unwrap_or_default(),
            &request["Detail"],
            &mut own,
        );
        let place = format!("$.detail.Requests[{index}].Detail");
        for fault in own.split_off("$.detail").beneath(&place).iter() {
            faults.add(&fault.path, &fault.found, &fault.allowed);
        }
    }
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
    fn the_check_does_not_ask_for_the_members_that_eventbridge_adds() {
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
        assert_eq!(
            paths(&event),
            [
                "$.detail-type",
                "$.detail.DataFormat",
                "$.detail.DestinationUri",
                "$.detail.Landfall.Polls"
            ]
        );
        event["detail-type"] = json!("moon");
        assert_eq!(paths(&event), ["$.detail-type"]);
        event["detail-type"] = json!(7);
        assert_eq!(paths(&event), ["$.detail-type"]);
    }

    #[test]
    fn the_requests_of_a_batch_are_checked_one_by_one() {
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
