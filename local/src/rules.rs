//! The rules by which the deployed stack starts executions for events on a bus.
//!
//! What must stay true: names, patterns and targets are read from `template.yaml` and not typed again. A rule whose
//! state machine is not in this world is left out, like a kind that is not deployed.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::json;

use crate::{account::BUS, aws::Aws, deploy::machine_name, template::template};

/// The bus of an event that names none.
const DEFAULT_BUS: &str = "default";

/// Puts the template's rules on the stack's bus and on the default bus. An event then reaches its state machine whether
/// or not it names a bus. `machines` has the ARNs of the state machines by kind.
pub async fn deploy(aws: &Aws, machines: &BTreeMap<&'static str, String>) -> Result<()> {
    let arns: BTreeMap<String, &String> = machines.iter().map(|(kind, arn)| (machine_name(kind), arn)).collect();
    for rule in template()?.rules()? {
        let Some(arn) = arns.get(&rule.machine) else { continue };
        for bus in [BUS, DEFAULT_BUS] {
            let put = json!({"Name": rule.name, "EventBusName": bus, "EventPattern": rule.pattern.to_string()});
            aws.call("events", "AWSEvents.PutRule", &put).await?;
            let targets = json!({
                "Rule": rule.name, "EventBusName": bus, "Targets": [{"Id": "state-machine", "Arn": arn}],
            });
            aws.call("events", "AWSEvents.PutTargets", &targets).await?;
        }
    }
    Ok(())
}
