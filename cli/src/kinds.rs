//! The kinds of jobs, as far as this program tells them apart.
//!
//! What must stay true: nothing is read from the machine. The published schemas are compiled in, so the installed
//! program checks events outside of a checkout.

use std::collections::BTreeMap;

use landfall::{
    job,
    service::{Named, NamedResources},
};
use serde_json::{Value, json};

/// What this program knows of a kind of job.
pub struct Kind {
    pub name: &'static str,
    /// Its name for narrow places: nine letters at most.
    pub short: &'static str,
    /// The published schema of its events.
    schema: &'static str,
    /// What a first event asks for.
    pub questions: &'static [Question],
    /// The `detail` of a first event. The places of the answers are empty.
    pub detail: fn() -> Value,
    /// The resources that a `detail` names and that the gate has to look at.
    pub named: fn(&Value) -> NamedResources,
    /// The parameter of the stack that deploys the kind.
    pub deployed_by: &'static str,
    /// The parameter of the stack that schedules a job of the kind.
    pub scheduled_by: &'static str,
    /// The service that does its work.
    pub service: Service,
    /// The calls that its poll function must be allowed to make.
    pub poll: Poll,
    /// The limits that the stack sets, each with the quota of the account.
    pub quota: Quota,
}

/// A service that works on jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Service {
    /// What people call it.
    pub name: &'static str,
    /// The beginning of its endpoints' host names.
    pub host: &'static str,
    /// The name that its requests are signed for. IAM and Service Quotas use the same name.
    pub signing_name: &'static str,
}

/// A call of a poll function, as IAM knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Poll {
    pub action: &'static str,
    /// The type of its resources in ARNs.
    pub things: &'static str,
    /// The parameter of the stack that says which of these resources an event may name, if there is one.
    pub names: Option<&'static str>,
}

/// A limit that the stack sets for a kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quota {
    /// What is limited.
    pub what: &'static str,
    /// The parameters whose sum is the limit.
    pub parameters: &'static [&'static str],
    /// Words in the name of the account's quota at Service Quotas.
    pub words: &'static [&'static str],
    /// The number that AWS documents for an account that has not asked for more.
    pub documented: Option<f64>,
}

const CUSTOMER_PROFILES: Service = Service {
    name: "Customer Profiles",
    host: "profile",
    signing_name: "profile",
};

const PINPOINT: Service = Service {
    name: "Amazon Pinpoint",
    host: "pinpoint",
    signing_name: "mobiletargeting",
};

const QUICK_SIGHT: Service = Service {
    name: "Quick Sight",
    host: "quicksight",
    signing_name: "quicksight",
};

/// Every kind. A new kind is one more row.
const ROWS: [Kind; 4] = [
    Kind {
        name: "segment-snapshot",
        short: "segment",
        schema: include_str!("../../docs/schema/segment-snapshot-event.schema.json"),
        questions: SEGMENT,
        detail: || json!({"DomainName": "", "SegmentDefinitionName": "", "DataFormat": ""}),
        named: |detail| NamedResources {
            destination: Named::member(detail, "DestinationUri", "$.detail.DestinationUri"),
            role: Named::member(detail, "RoleArn", "$.detail.RoleArn"),
            kms_key: Named::member(detail, "EncryptionKey", "$.detail.EncryptionKey"),
            domain: Named::member(detail, "DomainName", "$.detail.DomainName"),
            ..NamedResources::default()
        },
        deployed_by: "SegmentSnapshots",
        scheduled_by: "ScheduleExpression",
        service: CUSTOMER_PROFILES,
        poll: Poll {
            action: "profile:GetSegmentSnapshot",
            things: "domains",
            names: Some("AllowedDomains"),
        },
        quota: Quota {
            what: "segment snapshots a day",
            parameters: &["SegmentSnapshotMaxPerDay"],
            words: &["snapshot"],
            documented: Some(200.0),
        },
    },
    Kind {
        name: "endpoint-export",
        short: "export",
        schema: include_str!("../../docs/schema/endpoint-export-event.schema.json"),
        questions: EXPORT,
        detail: || json!({"ApplicationId": "", "ExportJobRequest": {}}),
        named: |detail| {
            let request = &detail["ExportJobRequest"];
            NamedResources {
                destination: Named::member(request, "S3UrlPrefix", "$.detail.ExportJobRequest.S3UrlPrefix"),
                role: Named::member(request, "RoleArn", "$.detail.ExportJobRequest.RoleArn"),
                ..NamedResources::default()
            }
        },
        deployed_by: "PinpointKinds",
        scheduled_by: "EndpointExportScheduleExpression",
        service: PINPOINT,
        poll: Poll {
            action: "mobiletargeting:GetExportJob",
            things: "apps",
            names: None,
        },
        quota: Quota {
            what: "endpoint exports at a time",
            parameters: &["EndpointExportMaxRunning"],
            words: &["export"],
            documented: None,
        },
    },
    Kind {
        name: "endpoint-import",
        short: "import",
        schema: include_str!("../../docs/schema/endpoint-import-event.schema.json"),
        questions: IMPORT,
        detail: || json!({"ApplicationId": "", "ImportJobRequest": {"S3Url": "", "Format": "", "RegisterEndpoints": true}}),
        named: |detail| {
            let request = &detail["ImportJobRequest"];
            NamedResources {
                source: Named::member(request, "S3Url", "$.detail.ImportJobRequest.S3Url"),
                role: Named::member(request, "RoleArn", "$.detail.ImportJobRequest.RoleArn"),
                ..NamedResources::default()
            }
        },
        deployed_by: "PinpointKinds",
        scheduled_by: "EndpointImportScheduleExpression",
        service: PINPOINT,
        poll: Poll {
            action: "mobiletargeting:GetImportJob",
            things: "apps",
            names: None,
        },
        quota: Quota {
            what: "endpoint imports at a time",
            parameters: &["EndpointImportMaxRunning"],
            words: &["import job"],
            documented: Some(2.0),
        },
    },
    Kind {
        name: "dashboard-snapshot",
        short: "dashboard",
        schema: include_str!("../../docs/schema/dashboard-snapshot-event.schema.json"),
        questions: DASHBOARD,
        detail: || {
            json!({
                "AwsAccountId": "", "DashboardId": "",
                "UserConfiguration": {"AnonymousUsers": [{}]},
                "SnapshotConfiguration": {"FileGroups": [{"Files": [
                    {"SheetSelections": [{"SheetId": "", "SelectionScope": "ALL_VISUALS"}], "FormatType": "PDF"}]}]},
            })
        },
        named: |detail| {
            let member = |name: &str| detail.pointer(BUCKET)?.get(name)?.as_str();
            NamedResources {
                destination: member("BucketName").map(|bucket| Named {
                    path: BUCKET_PATH,
                    value: format!("s3://{bucket}/{}", member("BucketPrefix").unwrap_or_default()),
                }),
                dashboard: Named::member(detail, "DashboardId", "$.detail.DashboardId"),
                ..NamedResources::default()
            }
        },
        deployed_by: "DashboardSnapshots",
        scheduled_by: "DashboardSnapshotScheduleExpression",
        service: QUICK_SIGHT,
        poll: Poll {
            action: "quicksight:DescribeDashboardSnapshotJob",
            things: "dashboard",
            names: Some("AllowedDashboards"),
        },
        quota: Quota {
            what: "dashboard snapshots at a time",
            parameters: &["DashboardSnapshotMaxRunning"],
            words: &["snapshot"],
            documented: Some(12.0),
        },
    },
];

const SEGMENT: &[Question] = &[
    question("DomainName", "/DomainName", "domain of Customer Profiles", None),
    question(
        "SegmentDefinitionName",
        "/SegmentDefinitionName",
        "identifier of the segment, not its display name",
        None,
    ),
    question("DataFormat", "/DataFormat", "CSV, JSONL or ORC", Some("CSV")),
];

const EXPORT: &[Question] = &[question(
    "ApplicationId",
    "/ApplicationId",
    "project id of Pinpoint",
    None,
)];

const IMPORT: &[Question] = &[
    question("ApplicationId", "/ApplicationId", "project id of Pinpoint", None),
    question(
        "S3Url",
        "/ImportJobRequest/S3Url",
        "what is imported, s3://bucket/key",
        None,
    ),
    question("Format", "/ImportJobRequest/Format", "CSV or JSON", Some("CSV")),
];

const DASHBOARD: &[Question] = &[
    question("AwsAccountId", "/AwsAccountId", "account of the dashboard", None),
    question("DashboardId", "/DashboardId", "id of the dashboard", None),
    question(
        "SheetId",
        "/SnapshotConfiguration/FileGroups/0/Files/0/SheetSelections/0/SheetId",
        "id of the sheet",
        None,
    ),
];

/// The JSON pointer to the bucket of a dashboard's files.
const BUCKET: &str = "/SnapshotConfiguration/DestinationConfiguration/S3Destinations/0/BucketConfiguration";
const BUCKET_PATH: &str =
    "$.detail.SnapshotConfiguration.DestinationConfiguration.S3Destinations[0].BucketConfiguration";

/// A question about a first event.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    /// Its name, also for `--set NAME=VALUE`.
    pub name: &'static str,
    /// What is asked for, in words.
    pub what: &'static str,
    /// The answer if none is given.
    pub default: Option<&'static str>,
    /// The place of the answer in `detail`, as a JSON pointer.
    pub(crate) place: &'static str,
}

const fn question(
    name: &'static str,
    place: &'static str,
    what: &'static str,
    default: Option<&'static str>,
) -> Question {
    Question {
        name,
        what,
        default,
        place,
    }
}

/// The names of all kinds of jobs.
pub const KINDS: [&str; ROWS.len()] = {
    let mut names = [""; ROWS.len()];
    let mut number = 0;
    while number < names.len() {
        names[number] = ROWS[number].name;
        number += 1;
    }
    names
};

/// What is known of a kind.
pub fn row(kind: &str) -> Option<&'static Kind> {
    const ALL: &[Kind] = &ROWS;
    ALL.iter().find(|row| row.name == kind)
}

/// The kinds that a stack with these parameters has.
pub fn kinds_deployed_by(parameters: &BTreeMap<String, String>) -> impl Iterator<Item = &'static Kind> {
    let rows = KINDS.iter().filter_map(|kind| row(kind));
    rows.filter(|row| parameters.get(row.deployed_by).is_some_and(|value| value == "true"))
}

/// The services of these kinds, each once.
pub fn services<'a>(kinds: impl Iterator<Item = &'a str>) -> Vec<Service> {
    let mut services = Vec::new();
    for service in kinds.filter_map(row).map(|row| row.service) {
        if !services.contains(&service) {
            services.push(service);
        }
    }
    services
}

/// The name of batches, beside the kinds of jobs.
pub const BATCH: &str = "export-batch";

/// The published schema of the events of a kind, as JSON.
pub fn schema(kind: &str) -> Option<&'static str> {
    if kind == BATCH {
        return Some(include_str!("../../docs/schema/export-batch-event.schema.json"));
    }
    row(kind).map(|row| row.schema)
}

/// The `detail-type` of the events of a kind.
pub fn detail_type(kind: &str) -> String {
    job::Kind::new(kind).detail_type()
}

/// The name of a kind in the stack's outputs, such as `SegmentSnapshot`.
pub fn in_template(kind: &str) -> String {
    let name = detail_type(kind);
    name.trim_end_matches(" Requested").replace(' ', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_schema_and_its_name_in_the_template() {
        let template = include_str!("../../template.yaml");
        for kind in KINDS.into_iter().chain([BATCH]) {
            assert!(
                schema(kind).is_some_and(|schema| schema.contains(&detail_type(kind))),
                "{kind}"
            );
            let output = format!("\n  {}StateMachineArn:\n", in_template(kind));
            assert!(template.contains(&output), "{output}");
        }
        assert_eq!(schema("moon-landing"), None);
    }

    #[test]
    fn the_rows_of_kinds_match_the_template() {
        let template = include_str!("../../template.yaml");
        for kind in KINDS {
            let (row, name) = (row(kind).unwrap(), in_template(kind));
            let deployed = format!("\n  {name}: !Equals [!Ref {}, \"true\"]\n", row.deployed_by);
            assert!(template.contains(&deployed), "{deployed}");
            let scheduled = format!(
                "\n  {name}Schedule: !And\n    - !Condition {name}\n    - !Not [!Equals [!Ref {}, \"\"]]\n",
                row.scheduled_by
            );
            assert!(template.contains(&scheduled), "{scheduled}");
            let of_machine = template
                .split(&format!("\n    {name}:\n      Name: {kind}\n"))
                .nth(1)
                .unwrap();
            let own = of_machine.lines().take_while(|line| line.starts_with("      "));
            let lines: Vec<&str> = own.map(str::trim).collect();
            assert!(
                lines.contains(&format!("Api: {}", row.service.signing_name).as_str()),
                "{kind}"
            );
            assert!(
                lines.contains(&format!("Things: {}", row.poll.things).as_str()),
                "{kind}"
            );
        }
    }

    #[test]
    fn a_service_of_two_kinds_is_listed_once() {
        let names: Vec<&str> = services(KINDS.into_iter()).iter().map(|service| service.host).collect();
        assert_eq!(names, ["profile", "pinpoint", "quicksight"]);
        assert!(services(["moon-landing"].into_iter()).is_empty());
    }
}
