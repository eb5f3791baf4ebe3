//! What `--json` prints about a run.
//!
//! What must stay true: the serialised forms are published in `docs/schema/`. Members are added and never changed. The
//! number in a schema's name rises if an old reader would misread a new document. Verdicts are written as on the
//! screen.

pub use landfall_cli::document::{ERROR_SCHEMA, Failure, NamedError, Refusal, failures, failures_of};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// The schema of [`Run`].
pub const RUN_SCHEMA: &str = "landfall.run/1";

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
    /// Why the other deliveries could not be made or followed.
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
    /// The named error. Absent for a sealed success.
    pub error: Option<NamedError>,
    /// What verification found wrong: one item for each check that failed or warned, and one for each faulty object.
    pub failures: Vec<Failure>,
    /// The states that were entered, in order.
    pub states: Vec<String>,
    /// The URI of the receipt or of the summary.
    pub receipt_uri: Option<String>,
    /// The receipt, see `receipt.schema.json`. For a batch this is its summary, see `batch-summary.schema.json`.
    pub receipt: Option<Value>,
    /// What became of each request, for a batch.
    pub results: Option<Vec<Value>>,
}
