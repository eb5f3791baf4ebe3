//! What `--json` prints of a run, and of an error.
//!
//! What must stay true: the serialised forms are published in `docs/schema/`: members are added, never changed, and the
//! number in a schema's name moves when an old reader would misread a new document. Verdicts are the words of the screen.

use landfall_output::verify::{Check, CheckVerdict, VerifiedObject};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// The schema of [`Run`].
pub const RUN_SCHEMA: &str = "landfall.run/1";

/// The schema of [`Refusal`].
pub const ERROR_SCHEMA: &str = "landfall.error/1";

/// What became of the events of one `cargo local EVENT --json`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Run {
    /// `landfall.run/1`.
    #[schemars(extend("const" = RUN_SCHEMA))]
    pub schema: &'static str,
    /// Landfall's version.
    pub landfall: &'static str,
    /// Whether every event was delivered and every delivery ended in a sealed success.
    pub sealed_success: bool,
    /// Each delivery, in the order in which they were made.
    pub deliveries: Vec<Delivery>,
    /// What kept the other deliveries from being made or followed.
    pub error: Option<NamedError>,
    /// The folder of the logs.
    pub logs: String,
    /// The folder of `--out`.
    pub out: Option<String>,
}

/// What became of one delivery.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Delivery {
    /// The file of the event.
    pub event: String,
    /// The members that the file left out and that were filled in, as EventBridge does.
    pub filled_in: Vec<&'static str>,
    /// The kind of job, or `export-batch`.
    pub kind: String,
    /// ARN of the execution.
    pub execution: String,
    /// How the execution ended, in the words of Step Functions.
    pub status: String,
    /// The verdict of the receipt or of the summary, `succeeded` or `failed`.
    pub verdict: Option<String>,
    /// Whether it is a success whose receipt could be read.
    pub sealed_success: bool,
    /// How long the execution took.
    pub seconds: f64,
    /// Key of the job or of the batch.
    pub job_key: Option<String>,
    /// Whether another delivery had started the job.
    pub adopted: Option<bool>,
    /// The named error; absent for a sealed success.
    pub error: Option<NamedError>,
    /// What verification found wrong: one for each check that failed or warned, and one for each faulty object.
    pub failures: Vec<Failure>,
    /// The states that were entered, in their order.
    pub states: Vec<String>,
    /// Where the receipt or the summary lies.
    pub receipt_uri: Option<String>,
    /// The receipt, see `receipt.schema.json`; of a batch its summary, see `batch-summary.schema.json`.
    pub receipt: Option<Value>,
    /// What became of each request of a batch.
    pub results: Option<Vec<Value>>,
}

/// An error by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NamedError {
    /// Such as `Landfall.Forbidden`; `Local.Error` for what kept the command from its work.
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

/// One thing that verification found wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Failure {
    /// The check.
    pub check: String,
    /// `fail` or `warn`.
    pub verdict: CheckVerdict,
    /// The object's whole key; absent if it is of the output as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Line, from 1, at which the faulty record begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Record, from 1; CSV's header is not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// What checks and objects say is wrong. Of more objects than a report lists it is what the first ones say.
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
    fn what_is_wrong_is_told_with_its_place() {
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
