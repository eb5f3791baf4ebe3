//! Reads an event into the batch that it asks for.
//!
//! What must stay true: the batch key is derived and never random, so the same trigger gives the same key. If the batch
//! itself is wrong, all its faults are reported at once and the batch is refused. If one request is wrong, only that
//! request is refused, and the others go on.

use std::sync::OnceLock;

use landfall::{
    error::{Error, ErrorKind, Result},
    event::{self, EventSchema, envelope_schema, inline_schema},
    fault::Faults,
    job::Kind,
    members::OPTIONS,
    s3_uri::S3Uri,
    trigger::{self, Trigger, split_detail, trigger},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::limits::MAX_REQUESTS;

/// The kind of batches: `Export Batch Requested` asks for it.
pub const KIND: &str = "export-batch";

pub fn kind() -> Kind {
    Kind::new(KIND)
}

/// The `detail` of an event that asks for a batch: its requests, or where they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Detail {
    /// The requests.
    #[schemars(length(min = 1, max = MAX_REQUESTS))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Vec<Request>>,
    /// Where the requests are: an object s3://bucket/key of at most 32 MiB, with a JSON array of requests or one
    /// request on each line.
    #[schemars(length(min = 1, max = 1_100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_uri: Option<String>,
    /// Landfall's options for the batch, all of them optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landfall: Option<Options>,
}

/// A request of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Request {
    /// The kind of job, such as segment-snapshot.
    #[schemars(length(min = 1, max = 64))]
    pub kind: String,
    /// The detail of an event that would ask for this job alone, with Landfall's options for the job.
    pub detail: Map<String, Value>,
}

/// Landfall's options for a batch, all of them optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Options {
    /// A name for people. It is in the summary and in the announcement.
    #[schemars(length(min = 1, max = 128))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Events with the same key are one trigger, whatever their ids and times. Shorter than a job's key may be, because
    /// the keys of the batch's jobs begin with it.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,48}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The number of a rerun, from 1. The same trigger with another number is another batch of other jobs.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<u32>,
    /// How many jobs run at a time, at most as many as the deployment allows, which is also the default.
    #[schemars(range(min = 1, max = 10_000), extend("default" = 10))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u64>,
}

/// Where the requests of a batch are.
#[derive(Clone, Debug, PartialEq)]
pub enum Requests {
    /// In the event.
    Inline(Vec<Value>),
    /// In S3.
    At(S3Uri),
}

/// A batch that was read and has no faults, apart from its requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What set the batch off. Its job key is the batch key.
    pub trigger: Trigger,
    pub options: Options,
    /// The requests, not read yet.
    pub requests: Requests,
}

/// The JSON Schema of the events that ask for a batch.
pub fn schema() -> Value {
    let mut detail = inline_schema::<Detail>();
    let mut options = inline_schema::<trigger::Options>();
    if let Some(options) = options.as_object_mut() {
        options.insert(
            "description".to_owned(),
            json!("Landfall's options for this job, all of them optional."),
        );
    }
    if let Some(request) = detail.pointer_mut("/properties/Requests/items/properties/Detail") {
        request["properties"] = json!({ OPTIONS: options });
    }
    envelope_schema(
        &kind().detail_type(),
        "An event that asks Landfall for a batch of jobs.",
        detail,
    )
}

/// The part of the schema for one request.
fn request_schema() -> Value {
    schema()
        .pointer("/properties/detail/properties/Requests/items")
        .cloned()
        .unwrap_or_default()
}

/// The schema without the part for requests.
fn batch_schema() -> Value {
    let mut schema = schema();
    if let Some(items) = schema.pointer_mut("/properties/detail/properties/Requests/items") {
        *items = json!(true);
    }
    schema
}

/// Finds the faults of single requests.
pub struct RequestShape(EventSchema);

impl RequestShape {
    /// Prepares the schema, which is the same for all requests.
    pub fn new() -> Result<Self> {
        EventSchema::new(request_schema()).map(Self)
    }

    /// Reads the request at `place`, such as `$.detail.Requests[3]`. The error names each fault.
    pub fn read(&self, place: &str, value: &Value) -> Result<Request, Faults> {
        let mut faults = Faults::default();
        self.0.check(value, &mut faults);
        if faults.is_empty() {
            match serde_json::from_value(value.clone()) {
                Ok(request) => return Ok(request),
                Err(error) => faults.add("$", "a request that cannot be read", error.to_string()),
            }
        }
        Err(faults.beneath(place))
    }
}

/// Reads an event without its requests. `unreadable` has the places that could not be read. Fails with `InvalidEvent`,
/// naming each fault.
pub fn parse(event: &Value, unreadable: &Faults) -> Result<Asked> {
    static SHAPE: OnceLock<Option<EventSchema>> = OnceLock::new();
    let shape = SHAPE
        .get_or_init(|| EventSchema::new(batch_schema()).ok())
        .as_ref()
        .ok_or_else(|| Error::internal("the schema of batches is wrong"))?;
    let mut faults = Faults::default();
    shape.check(event, &mut faults);
    let detail = event.get("detail").unwrap_or(&Value::Null);
    let given = |name: &str| detail.get(name).filter(|value| !value.is_null());
    match (given("Requests"), given("RequestsUri")) {
        (None, None) if detail.is_object() => faults.add(
            "$.detail",
            "neither Requests nor RequestsUri",
            "name the requests, or the object in S3 that holds them",
        ),
        (Some(_), Some(_)) => faults.add(
            "$.detail",
            "both Requests and RequestsUri",
            "name one of them; a batch has one list",
        ),
        _ => {}
    }
    let uri = match given("RequestsUri").and_then(Value::as_str).map(str::parse::<S3Uri>) {
        Some(Ok(uri)) if uri.key.is_empty() || uri.key.ends_with('/') => {
            faults.add("$.detail.RequestsUri", uri, "must be s3://bucket/key of one object");
            None
        }
        Some(Ok(uri)) => Some(uri),
        Some(Err(why)) => {
            faults.add(
                "$.detail.RequestsUri",
                given("RequestsUri").unwrap_or(&Value::Null),
                format!("must be s3://bucket/key: {why}"),
            );
            None
        }
        None => None,
    };
    event::check_identity(event, &mut faults);
    faults.put_over(unreadable);
    faults.into_result()?;

    let (trigger, options) = identify(event)?;
    let requests = match (given("Requests").and_then(Value::as_array), uri) {
        (Some(requests), _) => Requests::Inline(requests.clone()),
        (None, Some(uri)) => Requests::At(uri),
        (None, None) => return Err(Error::internal("the schema took a batch without requests")),
    };
    Ok(Asked {
        trigger,
        options,
        requests,
    })
}

/// The trigger and the options of an event: enough to find its batch. Fails with `InvalidEvent` if the envelope or the
/// options cannot be read.
pub fn identify(event: &Value) -> Result<(Trigger, Options)> {
    let (request, options) = split_detail(event)?;
    let options: Options = serde_json::from_value(options).map_err(|error| {
        Error::new(
            ErrorKind::InvalidEvent,
            format!("$.detail.{OPTIONS} is not readable: {error}"),
        )
    })?;
    let known = trigger::Options {
        idempotency_key: options.idempotency_key.clone(),
        rerun: options.rerun,
        ..trigger::Options::default()
    };
    let trigger = trigger(&kind(), event, &request, known)?;
    Ok((trigger, options))
}
