//! The stack of the local world, as CloudFormation describes it.
//!
//! What must stay true: outputs have the names of `template.yaml`. Parameters say what the functions of this world
//! allow. Whoever asks the stack, such as the program `landfall`, therefore sees what is there. The stack itself
//! creates nothing that a job needs: [`crate::deploy`] makes buckets, machines and buses.

use std::collections::BTreeMap;

use anyhow::Result;
use landfall_cli::kinds;
use serde_json::{Map, Value, json};

use crate::{
    account::{BUS, EXPORTS, LEDGER, STACK},
    aws::Aws,
    deploy,
    template::template,
};

/// Creates the stack. `machines` has the ARNs of the state machines by kind.
pub async fn deploy(aws: &Aws, machines: &BTreeMap<&'static str, String>) -> Result<()> {
    let body = stack(machines)?.to_string();
    let members = [("StackName", STACK), ("TemplateBody", &body)];
    aws.query("cloudformation", "2010-05-15", "CreateStack", &members).await
}

fn stack(machines: &BTreeMap<&'static str, String>) -> Result<Value> {
    let variables = deploy::variables();
    let of = |name: &str| variables.get(name).cloned().unwrap_or_default().replace(' ', ",");
    let mut parameters: BTreeMap<&str, String> = BTreeMap::from([
        ("AlarmTopicArn", String::new()),
        ("AllowedDashboards", of("LANDFALL_ALLOWED_DASHBOARDS")),
        ("AllowedDomains", of("LANDFALL_ALLOWED_DOMAINS")),
        ("AllowedQuickSightUsers", of("LANDFALL_ALLOWED_QUICK_SIGHT_USERS")),
        ("AllowedKmsKeys", of("LANDFALL_ALLOWED_KEYS")),
        ("AllowedRoles", of("LANDFALL_ALLOWED_ROLES")),
        ("EventBusName", BUS.to_owned()),
    ]);
    let mut outputs = Map::new();
    let mut output = |name: String, value: Value| outputs.insert(name, json!({"Value": value}));
    output("LedgerBucketName".to_owned(), json!(LEDGER));
    output("ExportBucketName".to_owned(), json!(EXPORTS));
    output("DeadLetterQueueUrl".to_owned(), json!({"Ref": "DeadLetterQueue"}));
    for (kind, arn) in machines {
        let name = kinds::in_template(kind);
        parameters.insert(template()?.switch(&name)?, "true".to_owned());
        output(format!("{name}StateMachineArn"), json!(arn));
    }
    let parameters: Map<String, Value> = parameters
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!({"Type": "String", "Default": value})))
        .collect();
    Ok(json!({
        "Parameters": parameters,
        "Resources": {"DeadLetterQueue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": outputs,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::BATCH;

    #[test]
    fn parameters_and_outputs_have_the_names_of_the_template() {
        let deployed = include_str!("../../template.yaml");
        let machines = BTreeMap::from([
            ("segment-snapshot", "arn:a".to_owned()),
            ("endpoint-export", "arn:b".to_owned()),
            ("dashboard-snapshot", "arn:c".to_owned()),
            (BATCH, "arn:d".to_owned()),
        ]);
        let own = stack(&machines).unwrap();
        for section in ["Parameters", "Outputs"] {
            let names = own[section].as_object().unwrap();
            assert!(names.len() >= 7, "{own}");
            for name in names.keys() {
                assert!(deployed.contains(&format!("\n  {name}:\n")), "{section}: {name}");
            }
        }
    }
}
