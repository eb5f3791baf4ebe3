//! Definitions of segments, and estimates of them.
//!
//! What must stay true: an estimate is asked for by a query and not by a name. It is not there at once, and its number
//! is a text. AWS does not document how near it is to an export. Here it differs by a hundredth, unless the scenario
//! says otherwise.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{
    Service,
    call::{bad_request, failure, not_found},
    order::Faults,
    scenario::{Estimates, FaultAnswer},
};
use crate::simulated::{Failure, Refusal, derived_hex};

/// How long an estimate takes. Not documented.
const TAKES: TimeDelta = TimeDelta::seconds(1);

impl Service {
    /// GetSegmentDefinition. A segment whose name ends in `sql` is defined by SQL.
    pub(super) fn definition(&self, domain: &str, segment: &str) -> Result<Value, Failure> {
        let mut faults = Faults::default();
        faults.check_name("domainName", domain);
        faults.check_name("segmentDefinitionName", segment);
        faults.into_result()?;
        self.check_domain(domain)?;
        if self.behaviour.estimates == Estimates::Denied {
            let doing = format!("profile:GetSegmentDefinition on domain {domain}");
            return Err(failure(FaultAnswer::Denied, &doing, "segment", segment));
        }
        let mut definition = json!({
            "SegmentDefinitionName": segment,
            "DisplayName": segment,
            "SegmentDefinitionArn":
                format!("arn:aws:profile:eu-central-1:111122223333:domains/{domain}/segment-definitions/{segment}"),
            "CreatedAt": 1_790_000_000,
        });
        if segment.ends_with("sql") {
            definition["SegmentType"] = json!("ENHANCED");
            definition["SegmentSqlQuery"] = json!("SELECT profileid FROM profiles WHERE city = 'Springfield'");
        } else {
            definition["SegmentType"] = json!("CLASSIC");
            definition["SegmentGroups"] = json!({
                "Include": "ALL",
                "Groups": [{
                    "Dimensions": [{ "ProfileAttributes": {
                        "Address": { "City": { "DimensionType": "INCLUSIVE", "Values": ["Springfield"] } },
                    } }],
                    "SourceType": "ALL",
                    "Type": "ALL",
                }],
            });
        }
        Ok(definition)
    }

    /// CreateSegmentEstimate.
    pub(super) fn estimate(&self, domain: &str, body: &[u8]) -> Result<Value, Failure> {
        let mut faults = Faults::default();
        faults.check_name("domainName", domain);
        faults.into_result()?;
        self.check_domain(domain)?;
        let body: Value = serde_json::from_slice(body)
            .map_err(|_| Refusal::serialization("The request body is not a JSON object"))?;
        let is_one = body["SegmentQuery"].is_object() != body["SegmentSqlQuery"].is_string();
        if !is_one {
            return Err(bad_request("Exactly one of SegmentQuery and SegmentSqlQuery is required.").into());
        }
        let mut state = self.state();
        let number = state.estimates.len().to_string();
        let id = derived_hex(self.settings.seed, &["estimate", domain, &number]);
        state.estimates.insert(id.clone(), self.clock.now());
        Ok(json!({ "DomainName": domain, "EstimateId": id }))
    }

    /// GetSegmentEstimate.
    pub(super) fn estimated(&self, domain: &str, id: &str) -> Result<Value, Failure> {
        self.check_domain(domain)?;
        let asked = self.state().estimates.get(id).copied();
        let asked = asked.ok_or_else(|| not_found(format!("Segment estimate {id} not found.")))?;
        let mut told = json!({ "DomainName": domain, "EstimateId": id, "Status": "RUNNING" });
        if self.clock.now() - asked < TAKES || self.behaviour.estimates == Estimates::Running {
            return Ok(told);
        }
        let rows = match self.behaviour.empty {
            true => 0,
            false => self.settings.profiles,
        };
        let rows = match self.behaviour.estimates {
            Estimates::Failed => {
                told["Status"] = json!("FAILED");
                told["Message"] = json!("The estimate could not be computed.");
                return Ok(told);
            }
            Estimates::Off => rows.saturating_mul(2).saturating_add(100),
            _ => rows.saturating_add(rows / 100),
        };
        told["Status"] = json!("SUCCEEDED");
        told["Estimate"] = json!(rows.to_string());
        Ok(told)
    }
}
