//! What the stack lets run at a time, compared with what the account allows.
//!
//! What must stay true: a quota is compared only if Service Quotas names it. If it names none, the finding says so and
//! uses the number that AWS documents.

use std::collections::BTreeMap;

use super::finding::{Asked, Finding, Grade, finding, unknown};
use crate::kinds::{Kind, Quota, kinds_deployed_by};

/// Quotas of a service, by their names.
pub type Quotas = Vec<(String, f64)>;

/// A limit that the stack sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// What is limited.
    pub what: &'static str,
    /// The parameters whose sum is the limit.
    pub parameters: &'static [&'static str],
    /// The service's code at Service Quotas.
    pub service: &'static str,
    /// Words in the name of the quota.
    pub words: &'static [&'static str],
    /// The number that AWS documents for an account that has not asked for more.
    pub documented: Option<f64>,
}

/// The limit that every deployment has.
const FUNCTIONS: Limit = Limit {
    what: "functions at a time",
    parameters: &["VerifyConcurrency", "BatchConcurrency"],
    service: "lambda",
    words: &["concurrent executions"],
    documented: Some(1_000.0),
};

/// The limits of a deployment with these parameters.
pub fn limits(parameters: &BTreeMap<String, String>) -> Vec<Limit> {
    let of_kinds = kinds_deployed_by(parameters).map(of_kind);
    [FUNCTIONS].into_iter().chain(of_kinds).collect()
}

fn of_kind(kind: &Kind) -> Limit {
    let Quota {
        what,
        parameters,
        words,
        documented,
    } = kind.quota;
    Limit {
        what,
        parameters,
        service: kind.service.signing_name,
        words,
        documented,
    }
}

impl Limit {
    /// The number that the stack sets. 0 means no limit.
    fn set(&self, parameters: &BTreeMap<String, String>) -> Option<f64> {
        let values = self
            .parameters
            .iter()
            .map(|name| parameters.get(*name)?.parse::<f64>().ok());
        values.sum()
    }
}

/// Compares a limit with the quotas of its service.
pub(super) fn of_limit(limit: &Limit, parameters: &BTreeMap<String, String>, quotas: &Asked<Quotas>) -> Finding {
    let what = format!("limit of {}", limit.what);
    let Some(set) = limit.set(parameters) else {
        let names = limit.parameters.join(" and ");
        return finding(
            Grade::Note,
            what,
            format!("the stack does not say {names}"),
            "Deploy the current template.",
        );
    };
    let quotas = match quotas {
        Ok(quotas) => quotas,
        Err(why) => return unknown(what, why),
    };
    let is_meant = |name: &str| limit.words.iter().all(|word| name.to_lowercase().contains(word));
    let quota = quotas.iter().find(|(name, _)| is_meant(name));
    let (most, whose) = match (quota, limit.documented) {
        (Some((name, value)), _) => (*value, format!("the account's quota \"{name}\"")),
        (None, Some(value)) => (
            value,
            "what AWS documents; Service Quotas names no quota for it".to_owned(),
        ),
        (None, None) => {
            return finding(
                Grade::Note,
                what,
                format!("the stack sets {set}; neither Service Quotas nor AWS's documents name a quota"),
                "Lower it if the service says that it is full.",
            );
        }
    };
    let parameters = limit.parameters.join(" and ");
    if set == 0.0 {
        return finding(
            Grade::Note,
            what,
            format!("the stack sets none, and {most} is {whose}"),
            format!("Set {parameters}, so that jobs stand in line instead of being refused."),
        );
    }
    if set > most {
        return finding(
            Grade::Note,
            what,
            format!("the stack sets {set}, and {most} is {whose}"),
            format!("Lower {parameters}, or ask for a higher quota."),
        );
    }
    finding(
        Grade::Well,
        what,
        format!("the stack sets {set} of {most}, {whose}"),
        "",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{KINDS, row};

    #[test]
    fn a_limit_is_compared_with_the_quota_of_the_account() {
        let parameters = |value: &str| BTreeMap::from([("SegmentSnapshotMaxPerDay".to_owned(), value.to_owned())]);
        let quota = |value: f64| {
            Ok(vec![
                ("Domains".to_owned(), 100.0),
                ("Segment snapshots per day".to_owned(), value),
            ])
        };
        let limit = of_kind(row("segment-snapshot").unwrap());
        let grade = |set: &str, quotas: &Asked<Quotas>| of_limit(&limit, &parameters(set), quotas).grade;
        assert_eq!(grade("200", &quota(200.0)), Grade::Well);
        assert_eq!(grade("200", &quota(100.0)), Grade::Note);
        assert_eq!(grade("200", &Ok(Vec::new())), Grade::Well, "by the documents");
        assert_eq!(grade("201", &Ok(Vec::new())), Grade::Note);
        assert_eq!(grade("0", &quota(200.0)), Grade::Note);
        assert_eq!(grade("", &quota(200.0)), Grade::Note);
        assert_eq!(grade("200", &Err("denied".to_owned())), Grade::Unknown);
    }

    #[test]
    fn every_limit_is_a_parameter_of_the_template() {
        let template = include_str!("../../../template.yaml");
        for limit in KINDS.iter().map(|kind| of_kind(row(kind).unwrap())).chain([FUNCTIONS]) {
            for name in limit.parameters {
                assert!(template.contains(&format!("\n  {name}:\n")), "{name}");
            }
        }
    }

    #[test]
    fn a_kind_that_is_not_deployed_has_no_limit() {
        let deployed = BTreeMap::from([("SegmentSnapshots".to_owned(), "true".to_owned())]);
        let what = |parameters| limits(parameters).iter().map(|limit| limit.what).collect::<Vec<_>>();
        assert_eq!(what(&deployed), ["functions at a time", "segment snapshots a day"]);
        assert_eq!(what(&BTreeMap::new()), ["functions at a time"]);
    }
}
