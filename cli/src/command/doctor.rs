//! `landfall doctor`.
//!
//! What must stay true: nothing is changed; what cannot be asked is said, and is never taken for well.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use chrono::TimeDelta;
use landfall_cli::{
    account::{Deployment, refused},
    doctor::{Asked, Examined, Facts, Finding, Grade, SCHEMA, examine, strangers},
    kinds::KINDS,
    present::{Tone, wrapped},
    screen::{layout, print},
    verify::escaped,
};

use super::{
    arguments::{Common, Jobs, Since},
    jobs::document,
    outcome::Outcome,
};

/// Most objects of the bucket of exports that are looked at.
const MAX_OBJECTS: usize = 200_000;

pub(super) async fn doctor(common: &Common) -> Result<Outcome> {
    let deployment = Deployment::find(&common.access(), common.named()).await?;
    let facts = facts(common, &deployment).await;
    let findings = examine(&facts);
    let well = findings
        .iter()
        .all(|finding| matches!(finding.grade, Grade::Well | Grade::Note));
    if common.json {
        let document = Examined {
            schema: SCHEMA,
            landfall: env!("CARGO_PKG_VERSION"),
            well,
            findings,
        };
        print(&serde_json::to_string_pretty(&document)?)?;
    } else {
        print(&said(&findings))?;
    }
    Ok(Outcome::good_if(well))
}

async fn facts(common: &Common, deployment: &Deployment) -> Facts {
    let mut facts = Facts {
        target: common.target(),
        stack_status: deployment.stack_status.clone(),
        parameters: deployment.parameters.clone(),
        ..Facts::default()
    };
    let bus = deployment
        .parameters
        .get("EventBusName")
        .map_or("default", String::as_str);
    for (kind, machine) in &deployment.machines {
        facts
            .machines
            .insert(kind.clone(), asked(deployment.steps.machine(machine).await));
        facts.rules.insert(kind.clone(), rules(deployment, bus, machine).await);
    }
    let since = Jobs {
        since: Since::Ago(TimeDelta::days(14)),
        kinds: Vec::new(),
        name: None,
        statuses: Vec::new(),
        failed: false,
        wide: false,
    };
    facts.jobs = Some(match document(common, deployment, &since).await {
        Ok(found) if found.notes.is_empty() => Ok(found.jobs),
        Ok(found) => Err(found.notes.join("; ")),
        Err(error) => Err(format!("{error:#}")),
    });
    if let Some(exports) = &deployment.exports {
        facts.strangers = Some(asked(look_for_strangers(deployment, exports).await));
    }
    facts
}

fn asked<T>(result: landfall::error::Result<T>) -> Asked<T> {
    result.map_err(|error| error.message)
}

/// The rules on the bus that start a state machine, with their states.
async fn rules(deployment: &Deployment, bus: &str, machine: &str) -> Asked<Vec<(String, String)>> {
    let client = aws_sdk_eventbridge::Client::new(&deployment.sdk);
    let names = client
        .list_rule_names_by_target()
        .target_arn(machine)
        .event_bus_name(bus);
    let names = asked(
        names
            .send()
            .await
            .map_err(|error| refused("ListRuleNamesByTarget", &error)),
    )?;
    let mut rules = Vec::new();
    for name in names.rule_names() {
        let rule = client.describe_rule().name(name).event_bus_name(bus).send().await;
        let rule = asked(rule.map_err(|error| refused("DescribeRule", &error)))?;
        let state = rule.state().map_or("UNKNOWN", |state| state.as_str());
        rules.push((name.clone(), state.to_owned()));
    }
    Ok(rules)
}

async fn look_for_strangers(deployment: &Deployment, exports: &str) -> landfall::error::Result<Vec<String>> {
    let mut jobs = BTreeSet::new();
    for kind in KINDS {
        let entries = deployment
            .store
            .list(&deployment.ledger, &format!("jobs/{kind}/"), usize::MAX)
            .await?;
        let names = entries
            .iter()
            .filter_map(|entry| entry.key.rsplit('/').next()?.strip_suffix(".json"));
        jobs.extend(names.map(str::to_owned));
    }
    let (mut found, mut seen, mut after) = (BTreeSet::new(), 0, None::<String>);
    loop {
        let page = deployment.store.list_page(exports, "", after.as_deref()).await?;
        seen += page.objects.len();
        found.extend(strangers(page.objects.iter().map(|object| object.key.as_str()), &jobs));
        match page.next {
            Some(next) if seen < MAX_OBJECTS => after = Some(next),
            _ => break,
        }
    }
    Ok(found.into_iter().collect())
}

fn said(findings: &[Finding]) -> String {
    let paint = layout(false).paint;
    let mut lines = Vec::new();
    let mut counts: BTreeMap<Grade, usize> = BTreeMap::new();
    for finding in findings {
        *counts.entry(finding.grade).or_default() += 1;
        let (word, tone) = match finding.grade {
            Grade::Well => ("well", Tone::Good),
            Grade::Note => ("note", Tone::Warning),
            Grade::Bad => ("bad ", Tone::Bad),
            Grade::Unknown => ("?   ", Tone::Bad),
        };
        let text = escaped(&format!("{}: {}", finding.what, finding.found));
        for (index, line) in wrapped(&text, 74).into_iter().enumerate() {
            lines.push(match index {
                0 => format!("{} {line}", paint.paint(tone, word)),
                _ => format!("     {line}"),
            });
        }
        if !finding.remedy.is_empty() {
            lines.extend(
                wrapped(&finding.remedy, 72)
                    .into_iter()
                    .map(|line| format!("       {line}")),
            );
        }
    }
    lines.push(String::new());
    let count = |grade: Grade| counts.get(&grade).copied().unwrap_or_default();
    lines.push(format!(
        "{} well, {} to note, {} bad, {} that could not be looked at",
        count(Grade::Well),
        count(Grade::Note),
        count(Grade::Bad),
        count(Grade::Unknown)
    ));
    lines.join("\n")
}
