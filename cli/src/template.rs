//! A first event of a kind.
//!
//! What must stay true: only what a kind cannot do without is asked for; an event made of right answers is right.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::kinds;

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
    place: &'static str,
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

/// What a kind asks for.
pub fn questions(kind: &str) -> &'static [Question] {
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
    match kind {
        "segment-snapshot" => SEGMENT,
        "endpoint-export" => EXPORT,
        "endpoint-import" => IMPORT,
        "dashboard-snapshot" => DASHBOARD,
        _ => &[],
    }
}

/// The name of the file of a kind's schema.
pub fn schema_file(kind: &str) -> String {
    format!("{kind}-event.schema.json")
}

/// The event of a kind with these answers.
pub fn event(kind: &str, answers: &[(&Question, String)]) -> Result<Value> {
    let mut detail = match kind {
        "endpoint-export" => json!({"ApplicationId": "", "ExportJobRequest": {}}),
        "endpoint-import" => {
            json!({"ApplicationId": "", "ImportJobRequest": {"S3Url": "", "Format": "", "RegisterEndpoints": true}})
        }
        "dashboard-snapshot" => json!({
            "AwsAccountId": "", "DashboardId": "",
            "UserConfiguration": {"AnonymousUsers": [{}]},
            "SnapshotConfiguration": {"FileGroups": [{"Files": [
                {"SheetSelections": [{"SheetId": "", "SelectionScope": "ALL_VISUALS"}], "FormatType": "PDF"}]}]},
        }),
        _ => json!({"DomainName": "", "SegmentDefinitionName": "", "DataFormat": ""}),
    };
    for (question, answer) in answers {
        let place = detail.pointer_mut(question.place);
        *place.with_context(|| format!("{} has no place in a {kind}", question.name))? = json!(answer);
    }
    Ok(json!({
        "$schema": schema_file(kind),
        "detail-type": kinds::detail_type(kind),
        "source": "com.example",
        "detail": detail,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check, kinds::KINDS};

    #[test]
    fn an_event_of_right_answers_is_right() {
        for kind in KINDS {
            let answer = |question: &Question| match question.name {
                "S3Url" => "s3://bucket/endpoints.csv",
                "AwsAccountId" => "111122223333",
                "ApplicationId" => "01234567890123456789012345678901",
                _ => "example",
            };
            let answers: Vec<_> = questions(kind)
                .iter()
                .map(|question| (question, question.default.unwrap_or(answer(question)).to_owned()))
                .collect();
            let event = event(kind, &answers).unwrap();
            let faults = check::faults(&event).unwrap();
            assert!(faults.is_empty(), "{kind}: {faults:?}");
            assert!(
                !event.to_string().contains("\"\""),
                "{kind}: something is not asked for: {event}"
            );
        }
    }
}
