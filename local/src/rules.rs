//! The rules by which the deployed stack starts executions for events on a bus.
//!
//! What must stay true: names, patterns and targets are those of `template.yaml`, read and not retyped; a rule whose
//! state machine is not in this world is left out, as a kind is that is not deployed.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    aws::Aws,
    deploy::{ACCOUNT, BUS, PARTITION, REGION, STACK, machine_name},
    python::Environment,
};

/// Reads the template.
const READER: &str = include_str!("rules.py");

/// The bus on which an event is put that names none.
const DEFAULT_BUS: &str = "default";

#[derive(Debug, Deserialize)]
struct Rule {
    name: String,
    pattern: Value,
    machine: String,
}

/// Puts the template's rules on the stack's bus and on the default one, so that an event reaches its state machine
/// whether or not it names a bus. `machines` has the ARNs of the state machines by kind.
pub async fn deploy(
    aws: &Aws,
    python: &Environment,
    workspace: &Path,
    machines: &BTreeMap<&'static str, String>,
) -> Result<()> {
    let arns: BTreeMap<String, &String> = machines.iter().map(|(kind, arn)| (machine_name(kind), arn)).collect();
    for rule in read(python, &workspace.join("template.yaml")).await? {
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

async fn read(python: &Environment, template: &Path) -> Result<Vec<Rule>> {
    let values = json!({
        "AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::Partition": PARTITION, "AWS::StackName": STACK,
    });
    let output = Command::new(python.python())
        .args(["-c", READER])
        .arg(template)
        .arg(values.to_string())
        .output()
        .await
        .context("cannot start Python")?;
    if !output.status.success() {
        bail!(
            "the rules of {} cannot be read: {}",
            template.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let rules: Vec<Rule> = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the rules of {} are no JSON", template.display()))?;
    if rules.is_empty() {
        bail!("{} has no rule that starts a state machine", template.display());
    }
    Ok(rules)
}
