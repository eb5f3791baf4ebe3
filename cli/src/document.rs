//! The documents that `--json` prints about errors, events and what verification found wrong.
//!
//! What must stay true: the serialised forms are published in `docs/schema/`. Members are added and never changed. The
//! number in a schema's name rises if an old reader would misread a new document. Verdicts are written as on the
//! screen.

use std::fmt;

use chrono::{DateTime, Utc};
use landfall::{fault::Fault, job::Level};
use landfall_output::verify::{Check, CheckVerdict, VerifiedObject};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// The schema of [`Refusal`].
pub const ERROR_SCHEMA: &str = "landfall.error/1";

/// An error by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NamedError {
    /// Such as `Landfall.Forbidden`. `Local.Error` or `Landfall.CommandLine` if the command itself could not do its
    /// work.
    pub name: String,
    /// What happened, to which job, and what to do.
    pub message: String,
}

/// Why a command could not do its work; its exit status is 2.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Refusal {
    /// `landfall.error/1`.
    #[schemars(extend("const" = ERROR_SCHEMA))]
    pub schema: &'static str,
    /// Landfall's version.
    pub landfall: &'static str,
    /// Why.
    pub error: NamedError,
}

impl Refusal {
    /// An error as a document.
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            schema: ERROR_SCHEMA,
            landfall: env!("CARGO_PKG_VERSION"),
            error: NamedError {
                name: name.into(),
                message: message.into(),
            },
        }
    }
}

/// The schema of [`Checked`].
pub const CHECKED_SCHEMA: &str = "landfall.check/1";

/// What is wrong with events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Checked {
    /// `landfall.check/1`.
    #[schemars(extend("const" = CHECKED_SCHEMA))]
    pub schema: &'static str,
    /// Landfall's version.
    pub landfall: &'static str,
    /// Whether no event has a fault.
    pub right: bool,
    /// Each event.
    pub events: Vec<CheckedEvent>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CheckedEvent {
    /// Its file.
    pub event: String,
    /// What is wrong with it.
    pub faults: Vec<EventFault>,
}

/// One thing that is wrong with an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EventFault {
    /// JSON path, such as `$.detail.DataFormat`.
    pub path: String,
    /// What was found there.
    pub found: String,
    /// What is allowed, or what to do.
    pub allowed: String,
}

impl EventFault {
    /// From a fault.
    pub fn of(fault: &Fault) -> Self {
        Self {
            path: fault.path.clone(),
            found: fault.found.clone(),
            allowed: fault.allowed.clone(),
        }
    }
}

impl fmt::Display for EventFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}; {}", self.path, self.found, self.allowed)
    }
}

/// The schema of [`Held`].
pub const HELD_SCHEMA: &str = "landfall.held/1";

/// Receipts of a period, compared with what is there now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Held {
    /// `landfall.held/1`.
    #[schemars(extend("const" = HELD_SCHEMA))]
    pub schema: &'static str,
    /// Landfall's version.
    pub landfall: &'static str,
    /// Only receipts of jobs that began then or later.
    pub since: DateTime<Utc>,
    /// How much was looked at.
    pub level: Level,
    /// Whether everything is as it was sealed.
    pub good: bool,
    /// Each receipt that lies beside files.
    pub receipts: Vec<HeldReceipt>,
    /// What could not be looked at, and why.
    pub notes: Vec<String>,
}

/// One receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct HeldReceipt {
    /// The kind of job.
    pub kind: String,
    /// The job key.
    pub job_key: String,
    /// What people call the job.
    pub label: String,
    /// Where the receipt lies.
    pub receipt: String,
    /// Whether everything is as it was sealed.
    pub good: bool,
    /// What is not as it was sealed, or why it could not be looked at.
    pub what: Option<String>,
}

/// The schema of [`Acted`].
pub const ACTED_SCHEMA: &str = "landfall.act/1";

/// What a command did to a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Acted {
    /// `landfall.act/1`.
    #[schemars(extend("const" = ACTED_SCHEMA))]
    pub schema: &'static str,
    /// Landfall's version.
    pub landfall: &'static str,
    /// Whether it was done: somebody agreed.
    pub done: bool,
    /// The kind of job.
    pub kind: String,
    /// The key of the job, if it is known.
    pub job_key: Option<String>,
    /// The execution that was started or redriven.
    pub execution: Option<String>,
    /// The AWS commands that do the same.
    pub commands: Vec<String>,
}

/// One thing that verification found wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Failure {
    /// The check.
    pub check: String,
    /// `fail` or `warn`.
    pub verdict: CheckVerdict,
    /// The object's whole key. It is absent if the output as a whole is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// The line, from 1, at which the faulty record begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The record, from 1. The header of CSV is not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// What is wrong by the checks and the objects. If more objects are wrong than a report lists, this has the first ones.
pub fn failures(checks: &[Check], objects: &[VerifiedObject]) -> Vec<Failure> {
    let is_wrong = |check: &&Check| matches!(check.verdict, CheckVerdict::Fail | CheckVerdict::Warn);
    let of_check = |check: &Check| Failure {
        check: check.name.clone(),
        verdict: check.verdict,
        object: None,
        line: None,
        record: None,
        what: check.reason.clone(),
    };
    let of_object = |object: &VerifiedObject| {
        object.error.as_ref().map(|error| Failure {
            check: "format".to_owned(),
            verdict: CheckVerdict::Fail,
            object: Some(object.key.clone()),
            line: object.error_line,
            record: object.error_record,
            what: error.clone(),
        })
    };
    let checks = checks.iter().filter(is_wrong).map(of_check);
    checks.chain(objects.iter().filter_map(of_object)).collect()
}

/// [`failures`] of a receipt.
pub fn failures_of(receipt: &Value) -> Vec<Failure> {
    let checks: Vec<Check> = serde_json::from_value(receipt["verification"]["checks"].clone()).unwrap_or_default();
    let objects: Vec<VerifiedObject> = serde_json::from_value(receipt["output"]["objects"].clone()).unwrap_or_default();
    failures(&checks, &objects)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failures_are_listed_with_object_line_and_record() {
        let receipt = json!({
            "verification": {"checks": [
                {"name": "format", "verdict": "fail", "reason": "a.csv: line 3: too few"},
                {"name": "checksum", "verdict": "pass", "reason": "good"},
            ]},
            "output": {"objects": [
                {"key": "a.csv", "role": "data", "size": 1, "etag": "e", "last_modified": "2026-11-01T05:00:00Z",
                 "error": "has 3 fields, the header has 4", "error_line": 501, "error_record": 500},
                {"key": "b.csv", "role": "data", "size": 1, "etag": "e", "last_modified": "2026-11-01T05:00:00Z"},
            ]},
        });
        assert_eq!(
            serde_json::to_value(failures_of(&receipt)).unwrap(),
            json!([
                {"check": "format", "verdict": "fail", "what": "a.csv: line 3: too few"},
                {"check": "format", "verdict": "fail", "object": "a.csv", "line": 501, "record": 500,
                 "what": "has 3 fields, the header has 4"},
            ])
        );
        assert_eq!(failures_of(&json!(null)), []);
    }
}
