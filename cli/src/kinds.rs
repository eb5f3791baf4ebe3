//! The kinds of jobs, as far as this program tells them apart.
//!
//! What must stay true: nothing of the machine's own is read: the published schemas are compiled in, so that the installed
//! program checks events outside of a checkout.

use landfall::{
    job,
    service::{Named, NamedResources},
};
use serde_json::{Value, json};

/// What this program knows of a kind of job.
pub struct Kind {
    pub name: &'static str,
    /// Its name where there is little room: nine letters at most.
    pub short: &'static str,
    /// The published schema of its events.
    schema: &'static str,
    /// What a first event asks for.
    pub questions: &'static [Question],
    /// The `detail` of a first event, with nothing in the places of the answers.
    pub detail: fn() -> Value,
    /// What a `detail` names that the gate has to see.
    pub named: fn(&Value) -> NamedResources,
}

/// Every kind. A new one is one row.
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

/// Where the bucket of a dashboard's files is named.
const BUCKET: &str = "/SnapshotConfiguration/DestinationConfiguration/S3Destinations/0/BucketConfiguration";
const BUCKET_PATH: &str =
    "$.detail.SnapshotConfiguration.DestinationConfiguration.S3Destinations[0].BucketConfiguration";

/// Something that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    /// What it is called, and given with on the command line.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// What it is if nothing is said.
    pub default: Option<&'static str>,
    /// Where it stands in `detail`, as a JSON pointer.
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

/// The name of batches among the kinds of events.
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

/// What the stack's outputs call a kind: `SegmentSnapshot`.
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
}
