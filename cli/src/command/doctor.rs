//! `landfall doctor`.
//!
//! What must stay true: nothing is changed. What cannot be asked is reported, and never counts as well.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use chrono::TimeDelta;
use landfall_cli::{
    account::{Deployment, Named, refused},
    allowed::Place,
    doctor::{
        Asked, Examined, Facts, Finding, Grade, Host, SCHEMA, examine,
        limits::limits,
        roles::{Duty, Stack},
        strangers,
    },
    kinds::{KINDS, services},
    plain_calls::{PlainCalls, suffix},
    present::{Tone, wrapped},
    screen::{layout, print},
    verify::escaped,
};
use tokio::net::lookup_host;

use super::{
    arguments::{Common, Jobs, Since},
    jobs::document,
    outcome::Outcome,
};

/// How many objects of the exports bucket are looked at most.
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
    look_at_resources(deployment, &mut facts).await;
    if let Some(exports) = &deployment.exports {
        facts.strangers = Some(asked(look_for_strangers(deployment, exports).await));
    }
    facts
}

/// Asks about the resources of the stack: its schedules, its roles, and the limits of its account.
async fn look_at_resources(deployment: &Deployment, facts: &mut Facts) {
    let resources = match deployment.resources().await {
        Ok(resources) => resources,
        Err(error) => {
            facts.no_resources = Some(format!("{}. It takes cloudformation:ListStackResources", error.message));
            return;
        }
    };
    let calls = match PlainCalls::new(&deployment.sdk) {
        Ok(calls) => calls,
        Err(error) => {
            facts.no_resources = Some(error.message);
            return;
        }
    };
    for (kind, name) in resources.values() {
        if kind == "AWS::Scheduler::Schedule" {
            facts
                .schedules
                .push((name.clone(), asked(calls.schedule_state(name).await)));
        }
    }
    // The local world has no functions and no roles of its own, and its account has no limits that matter.
    if !resources.values().any(|(kind, _)| kind == "AWS::Lambda::Function") {
        return;
    }
    let mut quotas = BTreeMap::new();
    for limit in limits(&deployment.parameters) {
        if !quotas.contains_key(limit.service) {
            let found = asked(calls.quotas(limit.service).await);
            let pairs = found.map(|found| found.into_iter().map(|quota| (quota.name, quota.value)).collect());
            quotas.insert(limit.service, pairs);
        }
        facts.limits.push((limit, quotas[limit.service].clone()));
    }
    facts.duties = duties(deployment, &resources, &calls).await;
    if deployment.sdk.endpoint_url().is_none()
        && let Some(region) = deployment.sdk.region()
    {
        facts.hosts = hosts(deployment, region.as_ref()).await;
    }
}

/// What the roles must be able to do, and what IAM decides.
async fn duties(
    deployment: &Deployment,
    resources: &BTreeMap<String, (String, String)>,
    calls: &PlainCalls,
) -> Vec<(Duty, Asked<String>)> {
    let Named::Stack(name) = &deployment.named else {
        return Vec::new();
    };
    let arn = deployment.machines.values().next().map_or("", String::as_str);
    let stack = Stack {
        name,
        partition: arn.split(':').nth(1).unwrap_or("aws"),
        place: Place::of_arn(arn).unwrap_or_default(),
        ledger: &deployment.ledger,
        exports: deployment.exports.as_deref().unwrap_or_default(),
        parameters: deployment.parameters.clone(),
        physical: resources
            .iter()
            .map(|(logical, (_, physical))| (logical.clone(), physical.clone()))
            .collect(),
        machines: deployment.machines.clone(),
    };
    let mut decided = Vec::new();
    for duty in stack.duties() {
        if let Some(role) = stack.role_arn(&duty) {
            let decision = calls.decision(&role, duty.action, &duty.resource).await;
            decided.push((duty, asked(decision)));
        }
    }
    decided
}

/// Whether the host names of the services are found from here. S3 comes first.
async fn hosts(deployment: &Deployment, region: &str) -> Vec<Host> {
    let of_kinds = services(deployment.machines.keys().map(String::as_str));
    let deployed = of_kinds.into_iter().map(|service| (service.name, service.host));
    let mut hosts = Vec::new();
    for (service, prefix) in [("S3", "s3")].into_iter().chain(deployed) {
        let name = format!("{prefix}.{region}.{}", suffix(region));
        let is_found = lookup_host((name.as_str(), 443)).await.is_ok();
        hosts.push(Host {
            service,
            name,
            is_found,
        });
    }
    hosts
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
