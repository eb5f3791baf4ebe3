//! What the roles of a stack must be able to do, and whether IAM allows it.
//!
//! What must stay true: the template gives the role each duty without a condition that a simulation cannot know. A test
//! compares the duties with the template. If IAM does not allow a duty, somebody changed the role, or a permissions
//! boundary or a policy of the organization denies it.

use std::collections::BTreeMap;

use super::finding::{Asked, Finding, Grade, finding, unknown};
use crate::{
    allowed::Place,
    kinds::{Poll, in_template, row},
};

/// Something that a role must be able to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duty {
    /// The role's logical name in the template.
    pub role: String,
    /// The role's path.
    pub path: String,
    pub action: &'static str,
    pub resource: String,
}

/// The parts of a stack on which duties depend.
#[derive(Clone, Debug, Default)]
pub struct Stack<'a> {
    pub name: &'a str,
    pub partition: &'a str,
    pub place: Place,
    pub ledger: &'a str,
    pub exports: &'a str,
    pub parameters: BTreeMap<String, String>,
    /// The physical names of resources by their logical names.
    pub physical: BTreeMap<String, String>,
    /// The state machines of jobs by kind.
    pub machines: BTreeMap<String, String>,
}

/// A name that the deployment allows: the first pattern of a list.
fn allowed(parameters: &BTreeMap<String, String>, list: &str) -> String {
    let patterns = parameters.get(list).map_or("*", String::as_str);
    patterns.split(',').next().unwrap_or("*").trim().replace('*', "x")
}

impl Stack<'_> {
    /// The ARN of the role.
    pub fn role_arn(&self, duty: &Duty) -> Option<String> {
        let name = self.physical.get(&duty.role)?;
        let (partition, account) = (self.partition, &self.place.account);
        Some(format!("arn:{partition}:iam::{account}:role{}{name}", duty.path))
    }

    /// What the roles of the deployed kinds must be able to do.
    pub fn duties(&self) -> Vec<Duty> {
        let (partition, stack) = (self.partition, self.name);
        let Place { account, region } = &self.place;
        let mut duties = Vec::new();
        let mut add = |role: String, path: String, action: &'static str, resource: String| {
            duties.push(Duty {
                role,
                path,
                action,
                resource,
            });
        };
        for (kind, machine) in &self.machines {
            let Some(row) = row(kind) else { continue };
            let name = in_template(kind);
            let Poll { action, things, names } = row.poll;
            let one = names.map_or("x".to_owned(), |list| allowed(&self.parameters, list));
            let ledger = |folder: &str| format!("arn:{partition}:s3:::{}/{folder}/{kind}/doctor.json", self.ledger);
            let of_functions = format!("/landfall/{stack}/");
            add(
                format!("{name}TriggerRole"),
                "/".to_owned(),
                "states:StartExecution",
                machine.clone(),
            );
            add(
                format!("{name}StartRole"),
                of_functions.clone(),
                "s3:PutObject",
                ledger("jobs"),
            );
            let api = row.service.signing_name;
            let asked = format!("arn:{partition}:{api}:{region}:{account}:{things}/{one}");
            add(format!("{name}PollRole"), of_functions.clone(), action, asked);
            let data = format!("arn:{partition}:s3:::{}/{kind}/doctor.csv", self.exports);
            add(
                "VerifyOutputRole".to_owned(),
                of_functions.clone(),
                "s3:GetObject",
                data,
            );
            add(
                "VerifyOutputRole".to_owned(),
                of_functions.clone(),
                "s3:PutObject",
                ledger("reports"),
            );
            add(
                "SealReceiptRole".to_owned(),
                format!("{of_functions}seal/"),
                "s3:PutObject",
                ledger("receipts"),
            );
            if let Some(function) = self.physical.get(&format!("{name}PollFunction")) {
                add(
                    format!("{name}StateMachineRole"),
                    format!("/landfall-machines/{stack}/"),
                    "lambda:InvokeFunction",
                    format!("arn:{partition}:lambda:{region}:{account}:function:{function}"),
                );
            }
        }
        duties
    }
}

/// One finding for each role that may not do its duty, and one for all other roles.
pub(super) fn of_duties(decided: &[(Duty, Asked<String>)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut well = 0;
    for (duty, decision) in decided {
        let Duty {
            role, action, resource, ..
        } = duty;
        let what = format!("role {role}");
        match decision.as_deref() {
            Ok("allowed") => well += 1,
            Ok(denied) => findings.push(finding(
                Grade::Bad,
                what,
                format!("it may not do {action} on {resource}: {denied}"),
                "Look for a permissions boundary, a policy of the organization or a change by hand that denies it; then deploy \
                 the stack again.",
            )),
            // Whoever may not ask about one role may not ask about any.
            Err(why) if findings.iter().any(|found: &Finding| found.found == *why) => {}
            Err(why) => findings.push(unknown("roles", why)),
        }
    }
    if well > 0 {
        let found = format!("{well} of {} duties are allowed by IAM", decided.len());
        let grade = if well == decided.len() {
            Grade::Well
        } else {
            Grade::Note
        };
        let remedy = if grade == Grade::Well {
            ""
        } else {
            "See what is said of the others."
        };
        findings.push(finding(grade, "roles", found, remedy));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::KINDS;

    fn duty(role: &str) -> Duty {
        Duty {
            role: role.to_owned(),
            path: "/".to_owned(),
            action: "s3:PutObject",
            resource: "arn:aws:s3:::ledger/jobs/a/doctor.json".to_owned(),
        }
    }

    /// The template gives each role that `doctor` checks its action on such a resource, without a condition.
    #[test]
    fn the_template_grants_every_checked_permission() {
        let account = "111122223333";
        let machine = |kind: &str| format!("arn:aws:states:eu-central-1:{account}:stateMachine:landfall-{kind}");
        let kinds = KINDS;
        let stack = Stack {
            name: "landfall",
            partition: "aws",
            place: Place::of_arn(&machine("x")).unwrap(),
            ledger: "ledgerbucket",
            exports: "exportbucket",
            parameters: BTreeMap::new(),
            physical: kinds
                .iter()
                .map(|kind| format!("{}PollFunction", in_template(kind)))
                .map(|name| (name.clone(), name))
                .collect(),
            machines: kinds.iter().map(|kind| ((*kind).to_owned(), machine(kind))).collect(),
        };
        let permissions = include_str!("../../../tests/static/permissions.txt");
        let duties = stack.duties();
        assert_eq!(duties.len(), 7 * kinds.len());
        for Duty {
            role,
            path,
            action,
            resource,
        } in duties
        {
            let (_, rest) = permissions.split_once(&format!("\n{role} {path}\n")).expect(&role);
            let own = rest.lines().take_while(|line| line.starts_with("  "));
            // SAM's translator leaves `function:` out of the ARNs that it resolves.
            let resource = resource.replace("function:", "");
            let gives = |line: &str| {
                let Some((actions, resources)) = line.strip_prefix("  allow ").and_then(|line| line.split_once(" on "))
                else {
                    return false;
                };
                let matches = |pattern: &str| {
                    pattern == resource || {
                        let head = pattern.strip_suffix('*');
                        head.is_some_and(|head| resource.starts_with(head))
                    }
                };
                !resources.contains(" if ")
                    && actions.split(", ").any(|given| given == action)
                    && resources.split(", ").any(matches)
            };
            let lines: Vec<&str> = own.collect();
            assert!(
                lines.iter().any(|line| gives(line)),
                "{role}: {action} on {resource} in {lines:#?}"
            );
        }
    }

    #[test]
    fn a_role_that_lacks_a_permission_is_reported() {
        let found = of_duties(&[
            (duty("AStartRole"), Ok("allowed".to_owned())),
            (duty("BStartRole"), Ok("explicitDeny".to_owned())),
        ]);
        assert_eq!(
            (found[0].what.as_str(), found[0].grade),
            ("role BStartRole", Grade::Bad)
        );
        assert!(
            found[0]
                .found
                .contains("s3:PutObject on arn:aws:s3:::ledger/jobs/a/doctor.json: explicitDeny")
        );
        assert_eq!((found[1].grade, found.len()), (Grade::Note, 2));
        let all = of_duties(&[(duty("AStartRole"), Ok("allowed".to_owned()))]);
        assert_eq!(
            (all[0].grade, all[0].found.as_str()),
            (Grade::Well, "1 of 1 duties are allowed by IAM")
        );
        let denied = || Err("SimulatePrincipalPolicy failed".to_owned());
        let asked = of_duties(&[(duty("A"), denied()), (duty("B"), denied())]);
        assert_eq!((asked.len(), asked[0].grade), (1, Grade::Unknown));
    }
}
