//! What is wrong with a deployment, and how to mend it.
//!
//! What must stay true: findings are a pure function of the facts. What could not be asked is a finding, and never
//! counts as well. Each finding that is not well names its remedy.

mod finding;
pub mod limits;
pub mod roles;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

pub use self::finding::{Asked, Finding, Grade};
use self::{
    finding::{finding, unknown},
    limits::{Limit, Quotas},
    roles::Duty,
};
use crate::{
    jobs::{Row, Status},
    kinds::{Kind, kinds_deployed_by},
};

/// The schema of [`Examined`].
pub const SCHEMA: &str = "landfall.doctor/1";

/// The result of an examination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Examined {
    /// `landfall.doctor/1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// Landfall's version.
    pub landfall: &'static str,
    /// Whether nothing is bad and everything could be looked at.
    pub well: bool,
    /// Everything that was looked at.
    pub findings: Vec<Finding>,
}

/// A state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// `ACTIVE` or `DELETING`.
    pub status: String,
    /// What the service finds wrong with its definition.
    pub diagnostics: Vec<String>,
}

/// The facts about a deployment.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// How the deployment is named on the command line.
    pub target: String,
    /// The status of the stack. A deployment that was named by its ledger has none.
    pub stack_status: Option<String>,
    /// The parameters of the stack.
    pub parameters: BTreeMap<String, String>,
    /// State machines by kind.
    pub machines: BTreeMap<String, Asked<Machine>>,
    /// The rules that start each state machine, with their states, by kind.
    pub rules: BTreeMap<String, Asked<Vec<(String, String)>>>,
    /// The stack's schedules with their states.
    pub schedules: Vec<(String, Asked<String>)>,
    /// What the roles must be able to do, and what IAM decides.
    pub duties: Vec<(Duty, Asked<String>)>,
    /// Limits that the stack sets, with the quotas of their services.
    pub limits: Vec<(Limit, Asked<Quotas>)>,
    /// Hosts of the services that the stack calls, and whether their names are found from here.
    pub hosts: Vec<Host>,
    /// Why the resources of the stack are not known.
    pub no_resources: Option<String>,
    /// The jobs of the last days.
    pub jobs: Option<Asked<Vec<Row>>>,
    /// Folders of runs in the exports bucket that belong to no job in the ledger.
    pub strangers: Option<Asked<Vec<String>>>,
}

/// The endpoint of a service in the region of the deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// What people call the service.
    pub service: &'static str,
    /// The host's name.
    pub name: String,
    /// Whether DNS finds it.
    pub is_found: bool,
}

/// What is wrong with a deployment.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(facts.stack_status.as_deref().map(stack));
    if facts.machines.is_empty() {
        findings.push(finding(
            Grade::Bad,
            "state machines",
            "none was found",
            "Deploy a kind, or name the stack with --stack.",
        ));
    }
    for (kind, machine) in &facts.machines {
        findings.push(of_machine(kind, machine));
    }
    for (kind, rules) in &facts.rules {
        findings.push(of_rules(kind, rules));
    }
    if facts.stack_status.is_some() {
        findings.push(topic(&facts.parameters));
        findings.extend(schedules(&facts.parameters));
    }
    findings.extend(
        facts
            .no_resources
            .as_deref()
            .map(|why| unknown("resources of the stack", why)),
    );
    findings.extend(facts.schedules.iter().map(|(name, state)| of_schedule(name, state)));
    findings.extend(roles::of_duties(&facts.duties));
    let limits = facts.limits.iter();
    findings.extend(limits.map(|(limit, quotas)| limits::of_limit(limit, &facts.parameters, quotas)));
    findings.extend(of_hosts(&facts.hosts));
    findings.extend(facts.jobs.as_ref().map(|jobs| of_jobs(jobs, &facts.target)));
    findings.extend(facts.strangers.as_ref().map(of_strangers));
    findings
}

fn stack(status: &str) -> Finding {
    let grade = match status {
        "CREATE_COMPLETE" | "UPDATE_COMPLETE" | "IMPORT_COMPLETE" => Grade::Well,
        "UPDATE_ROLLBACK_COMPLETE" => Grade::Note,
        status if status.ends_with("_IN_PROGRESS") => Grade::Note,
        _ => Grade::Bad,
    };
    let remedy = match grade {
        Grade::Well => "",
        Grade::Note if status.ends_with("_IN_PROGRESS") => "Wait until it has ended, then ask again.",
        _ => "Read the stack's events for the resource that failed, correct it, and deploy again.",
    };
    finding(grade, "stack", status, remedy)
}

fn of_machine(kind: &str, machine: &Asked<Machine>) -> Finding {
    let what = format!("state machine of {kind}");
    match machine {
        Err(why) => unknown(what, why),
        Ok(machine) if machine.status != "ACTIVE" => finding(
            Grade::Bad,
            what,
            format!("it is {}", machine.status),
            "Wait until it is gone, then deploy the kind again.",
        ),
        Ok(machine) if !machine.diagnostics.is_empty() => finding(
            Grade::Bad,
            what,
            machine.diagnostics.join("; "),
            "Deploy a release whose definition Step Functions takes.",
        ),
        Ok(_) => finding(Grade::Well, what, "active, and its definition is valid", ""),
    }
}

fn of_rules(kind: &str, rules: &Asked<Vec<(String, String)>>) -> Finding {
    let what = format!("rule of {kind}");
    match rules {
        Err(why) => unknown(what, why),
        Ok(rules) if rules.is_empty() => finding(
            Grade::Bad,
            what,
            "no rule starts the state machine, so an event on the bus does nothing",
            "Deploy the stack again, or send events with `landfall send --direct`.",
        ),
        Ok(rules) => match rules.iter().find(|(_, state)| state != "ENABLED") {
            Some((name, state)) => finding(
                Grade::Bad,
                what,
                format!("{name} is {state}"),
                format!("Switch it on: aws events enable-rule --name {name} --event-bus-name BUS"),
            ),
            None => finding(Grade::Well, what, format!("{} is enabled", rules[0].0), ""),
        },
    }
}

fn topic(parameters: &BTreeMap<String, String>) -> Finding {
    match parameters.get("AlarmTopicArn").filter(|topic| !topic.is_empty()) {
        Some(topic) => finding(Grade::Well, "alarms", format!("they notify {topic}"), ""),
        None => finding(
            Grade::Note,
            "alarms",
            "they notify nobody",
            "Set the parameter AlarmTopicArn of the stack to the ARN of an SNS topic, and deploy.",
        ),
    }
}

fn schedules(parameters: &BTreeMap<String, String>) -> Vec<Finding> {
    let of_kind = |Kind { name, scheduled_by, .. }: &Kind| {
        let what = format!("schedule of {name}");
        match parameters.get(*scheduled_by).map_or("", String::as_str) {
            "" => finding(
                Grade::Note,
                what,
                "the stack has none: jobs come by events alone",
                format!("If it shall have one, set the parameter {scheduled_by} and deploy."),
            ),
            expression => finding(Grade::Well, what, expression, ""),
        }
    };
    kinds_deployed_by(parameters).map(of_kind).collect()
}

fn of_schedule(name: &str, state: &Asked<String>) -> Finding {
    let what = format!("schedule {name}");
    match state.as_deref() {
        Ok("ENABLED") => finding(Grade::Well, what, "it is on", ""),
        Ok(state) => finding(
            Grade::Bad,
            what,
            format!("it is {state}, so it starts nothing"),
            "Switch it on in the console of EventBridge Scheduler, or empty the parameter of its expression, deploy, set it again \
             and deploy.",
        ),
        Err(why) => unknown(what, why),
    }
}

/// Whether the region has the services, as far as host names tell. The first host is that of S3, which every region
/// has. If its name is not found, nothing is known about the others.
fn of_hosts(hosts: &[Host]) -> Vec<Finding> {
    let Some((s3, services)) = hosts.split_first() else {
        return Vec::new();
    };
    if !s3.is_found {
        return vec![finding(
            Grade::Unknown,
            "endpoints",
            format!("{} is not found from here, so nothing is known of the others", s3.name),
            "Ask again where the names of AWS are found.",
        )];
    }
    let each = services.iter().map(
        |Host {
             service,
             name,
             is_found,
         }| {
            let what = format!("endpoint of {service}");
            match is_found {
                true => finding(Grade::Well, what, format!("{name} is found"), ""),
                false => finding(
                    Grade::Bad,
                    what,
                    format!("{name} is not found, so the region seems to lack {service}"),
                    "Deploy the stack in a region that has it, or switch the kind off.",
                ),
            }
        },
    );
    each.collect()
}

fn of_jobs(jobs: &Asked<Vec<Row>>, target: &str) -> Finding {
    let jobs = match jobs {
        Err(why) => return unknown("jobs", why),
        Ok(jobs) => jobs,
    };
    let count = |statuses: &[Status]| jobs.iter().filter(|row| statuses.contains(&row.status)).count();
    match (count(&[Status::Aborted, Status::Unsealed]), count(&[Status::Failed])) {
        (0, 0) => finding(
            Grade::Well,
            "jobs",
            "none of the last 14 days failed or is left open",
            "",
        ),
        (0, failed) => finding(
            Grade::Note,
            "jobs",
            format!("{failed} of the last 14 days failed"),
            format!("landfall jobs --failed --since 14d {target}"),
        ),
        (open, failed) => finding(
            Grade::Bad,
            "jobs",
            format!("nobody goes on with {open} of the last 14 days, and {failed} failed"),
            format!("landfall jobs --failed --since 14d {target}"),
        ),
    }
}

fn of_strangers(strangers: &Asked<Vec<String>>) -> Finding {
    match strangers {
        Err(why) => unknown("exports", why),
        Ok(strangers) if strangers.is_empty() => {
            finding(Grade::Well, "exports", "every run=… is of a job in the ledger", "")
        }
        Ok(strangers) => finding(
            Grade::Note,
            "exports",
            format!(
                "{} are of no job in the ledger, the first: {}",
                strangers.len(),
                strangers[0]
            ),
            "Another deployment or somebody by hand wrote them, or another ledger has them. Do not read what has no \
             _receipt.json.",
        ),
    }
}

/// The folders of runs among these keys that belong to no job in the ledger. They are named `…/run=<job key>/` or
/// `…/run=<job key>-<attempt>/`.
pub fn strangers<'a>(keys: impl Iterator<Item = &'a str>, jobs: &BTreeSet<String>) -> BTreeSet<String> {
    let folder = |key: &'a str| {
        let at = if key.starts_with("run=") {
            0
        } else {
            key.find("/run=")? + 1
        };
        let end = at + key.get(at..)?.find('/')?;
        let name = key.get(at + "run=".len()..end)?;
        let attempt = name.rsplit_once('-').filter(|(_, n)| n.len() == 1).map(|(job, _)| job);
        let is_known = jobs.contains(name) || attempt.is_some_and(|job| jobs.contains(job));
        (!is_known).then(|| key[..=end].to_owned())
    };
    keys.filter_map(folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_finding_says_how_to_fix_it() {
        let machine = |status: &str, diagnostics: &[&str]| {
            Ok(Machine {
                status: status.to_owned(),
                diagnostics: diagnostics.iter().map(ToString::to_string).collect(),
            })
        };
        let rule = |state: &str| Ok(vec![("landfall-rule".to_owned(), state.to_owned())]);
        let facts = Facts {
            target: "--stack landfall".to_owned(),
            stack_status: Some("UPDATE_ROLLBACK_FAILED".to_owned()),
            parameters: BTreeMap::from([
                ("SegmentSnapshots".to_owned(), "true".to_owned()),
                ("PinpointKinds".to_owned(), "false".to_owned()),
            ]),
            machines: BTreeMap::from([
                ("a".to_owned(), machine("ACTIVE", &[])),
                ("b".to_owned(), machine("DELETING", &[])),
                ("c".to_owned(), machine("ACTIVE", &["SCHEMA_VALIDATION_FAILED: x"])),
                ("d".to_owned(), Err("AccessDeniedException: no".to_owned())),
            ]),
            rules: BTreeMap::from([
                ("a".to_owned(), rule("ENABLED")),
                ("b".to_owned(), rule("DISABLED")),
                ("c".to_owned(), Ok(Vec::new())),
            ]),
            schedules: vec![
                ("on".to_owned(), Ok("ENABLED".to_owned())),
                ("off".to_owned(), Ok("DISABLED".to_owned())),
                (
                    "denied".to_owned(),
                    Err("It takes the permission scheduler:GetSchedule".to_owned()),
                ),
            ],
            hosts: ["S3", "Amazon Pinpoint", "Quick Sight"]
                .map(|service| Host {
                    service,
                    name: format!("{}.eu-central-1.amazonaws.com", service.to_lowercase()),
                    is_found: service != "Quick Sight",
                })
                .to_vec(),
            no_resources: Some("ListStackResources failed".to_owned()),
            jobs: Some(Ok(Vec::new())),
            strangers: Some(Ok(vec!["out/run=x/".to_owned()])),
            ..Facts::default()
        };
        let found = examine(&facts);
        let grades: Vec<(&str, Grade)> = found
            .iter()
            .map(|finding| (finding.what.as_str(), finding.grade))
            .collect();
        assert_eq!(
            grades,
            [
                ("stack", Grade::Bad),
                ("state machine of a", Grade::Well),
                ("state machine of b", Grade::Bad),
                ("state machine of c", Grade::Bad),
                ("state machine of d", Grade::Unknown),
                ("rule of a", Grade::Well),
                ("rule of b", Grade::Bad),
                ("rule of c", Grade::Bad),
                ("alarms", Grade::Note),
                ("schedule of segment-snapshot", Grade::Note),
                ("resources of the stack", Grade::Unknown),
                ("schedule on", Grade::Well),
                ("schedule off", Grade::Bad),
                ("schedule denied", Grade::Unknown),
                ("endpoint of Amazon Pinpoint", Grade::Well),
                ("endpoint of Quick Sight", Grade::Bad),
                ("jobs", Grade::Well),
                ("exports", Grade::Note),
            ]
        );
        for finding in &found {
            assert_eq!(finding.remedy.is_empty(), finding.grade == Grade::Well, "{finding:?}");
        }
        assert_eq!(examine(&Facts::default())[0].grade, Grade::Bad);
    }

    #[test]
    fn run_prefixes_without_a_job_in_the_ledger_are_found() {
        let jobs = BTreeSet::from(["20261101T050000Z-0123abcd".to_owned()]);
        let keys = [
            "out/run=20261101T050000Z-0123abcd/part-0.csv",
            "out/run=20261101T050000Z-0123abcd-2/part-0.csv",
            "out/run=20261101T050000Z-ffffffff/part-0.csv",
            "out/run=20261101T050000Z-ffffffff/part-1.csv",
            "run=mine/a.csv",
            "other/file.csv",
            "out/run=unfinished",
        ];
        let found: Vec<String> = strangers(keys.into_iter(), &jobs).into_iter().collect();
        assert_eq!(found, ["out/run=20261101T050000Z-ffffffff/", "run=mine/"]);
    }
}
