//! What set a job off, and the job key that follows from it.
//!
//! What must stay true: the job key is derived and never random, so the same trigger gives the same key. It follows
//! from the envelope, the options and the request as they stand in the event; nothing has to understand the service's
//! request.
//!
//! An event has three parts: EventBridge's envelope, the request in `detail`, and Landfall's options in
//! `detail.Landfall`. [`split_detail`] separates the request from the options, and [`trigger`] makes the [`Trigger`].
//! An event that gives no job key still gets a key, derived from the whole event ([`rejected_key`]), so that its
//! failure is sealed once.

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    error::{Error, ErrorKind, Result},
    expect::Expectations,
    fault::quoted,
    hash::{canonical, sha256_hex},
    job::{Kind, Level},
    limits::MAX_DEADLINE_SECONDS,
    members::OPTIONS,
    registered::RegisteredUser,
};

/// Landfall's options in an event, all of them optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Options {
    /// A name for people. It is in the receipt and in the announcement.
    #[schemars(length(min = 1, max = 128))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Seconds from the first claim of the job until it is given up; the deployment's default when absent.
    #[schemars(range(min = 1, max = MAX_DEADLINE_SECONDS), extend("default" = 21_600))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
    /// Events with the same key are one trigger, whatever their ids and times.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,64}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The number of a rerun, from 1. The same trigger with another number is another job.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<u32>,
    /// The key of a failed job of the same request, whose export the service may have finished since. The export is
    /// awaited, verified and sealed without another start call. All events with this key and the same Rerun are one
    /// trigger.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,64}-[0-9a-f]{8}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pick_up: Option<String>,
    /// Waits between polls; the deployment's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<PollOptions>,
    /// How the output is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationOptions>,
    /// Whether `_manifest.json`, from which Redshift can load the data objects, is written beside the receipt.
    #[schemars(extend("default" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<bool>,
    /// The registered user of the service for whom the export is made, with the data that this user may see.
    #[schemars(extend("writeOnly" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_user: Option<RegisteredUser>,
}

/// The bounds of the waits between polls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct PollOptions {
    /// Shortest wait in seconds.
    #[schemars(range(min = 1, max = 3600), extend("default" = 15))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_seconds: Option<u64>,
    /// Longest wait in seconds.
    #[schemars(range(min = 1, max = 3600), extend("default" = 1800))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<u64>,
}

/// How the output is verified.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct VerificationOptions {
    /// Whether an export without rows is a success. False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_empty: Option<bool>,
    /// Seconds between the two listings of the output.
    #[schemars(range(min = 0, max = 60), extend("default" = 5))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_seconds: Option<u64>,
    /// What happens if the number of rows differs from the number that the service reports: `warn` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_count: Option<RowCount>,
    /// How thoroughly the output is checked: `full` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// What is expected of the output, in addition to the checks of every output. An expectation that cannot be checked
    /// counts as violated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectations>,
}

/// What happens if the number of rows differs from the number that the service reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowCount {
    /// The job succeeds with a warning.
    Warn,
    /// The job fails.
    Fail,
}

/// What set a job off, with all that the ledger needs to recognise it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trigger {
    pub job_key: String,
    pub event_id: Option<String>,
    pub source: String,
    /// The event's time; for a schedule the planned time.
    pub time: DateTime<Utc>,
    /// ARN of the rule or schedule that sent the event.
    pub schedule: Option<String>,
    /// The account that the event names.
    pub account: Option<String>,
    /// The region that the event names.
    pub region: Option<String>,
    /// SHA-256 of the canonical request, in hex.
    pub request_sha256: String,
}

/// What an event without an id lacks, for messages.
pub(crate) const IDENTITY: &str = "EventBridge gives each event an id. An event that is sent past it needs one of its own, or \
                        $.detail.Landfall.IdempotencyKey, which makes one job of all events that carry the same key";

/// The trigger of an event whose kind is known, without checking the request: enough to find its job in the ledger.
/// Fails with `InvalidEvent` if the envelope or the options cannot be read.
pub fn identify(kind: &Kind, event: &Value) -> Result<Trigger> {
    let (request, options) = split_detail(event)?;
    let options: Options = serde_json::from_value(options.clone()).map_err(|error| {
        // serde's message may quote the value, and messages must not show the user for whom an event acts.
        let why = match options.get("RegisteredUser") {
            Some(_) => "a member has another type, or is not known".to_owned(),
            None => error.to_string(),
        };
        Error::new(
            ErrorKind::InvalidEvent,
            format!("$.detail.{OPTIONS} is not readable: {why}"),
        )
    })?;
    trigger(kind, event, &request, options)
}

/// The account of the call: the envelope's, or else the one that the request names.
pub(crate) fn account_of(event: &Value) -> Option<&str> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    text("/account").or_else(|| text("/detail/AwsAccountId"))
}

/// The trigger of an event whose request and options were separated. Fails with `InvalidEvent` if the envelope cannot
/// be read.
pub fn trigger(kind: &Kind, event: &Value, request: &Value, options: Options) -> Result<Trigger> {
    let invalid = |why: String| Error::new(ErrorKind::InvalidEvent, why);
    let envelope = EventBridgeEvent::<Value>::deserialize(event)
        .map_err(|error| invalid(format!("the event is not an EventBridge envelope: {error}")))?;
    let time = envelope.time.ok_or_else(|| invalid("$.time is missing".to_owned()))?;
    // The same request for another user is another request, because it gives other rows.
    let of_user = options.registered_user.as_ref().map(|user| json!([request, user]));
    let request = of_user.as_ref().unwrap_or(request);
    let request_sha256 = sha256_hex(&canonical(request)?);

    let schedule = envelope
        .resources
        .iter()
        .flatten()
        .find(|arn| is_schedule(arn))
        .cloned();
    // What makes two deliveries the same trigger. EventBridge may run a rule twice for one planned time, with two event
    // ids, so a schedule counts by its ARN and time. The request counts too, because a rule may have several targets.
    let identity = match (&options.pick_up, &options.idempotency_key, &schedule, &envelope.id) {
        (Some(job_key), ..) => json!({"pick_up": job_key}),
        (None, Some(key), ..) => json!({"idempotency_key": key}),
        (None, None, Some(arn), _) => json!({"schedule": arn, "time": time, "request": request}),
        (None, None, None, Some(id)) => json!({"event": id, "time": time, "request": request}),
        (None, None, None, None) => {
            return Err(invalid(format!("$.id: found nothing; {IDENTITY}")));
        }
    };
    let hash = sha256_hex(&canonical(
        &json!({"kind": kind.as_str(), "trigger": identity, "rerun": options.rerun}),
    )?);
    // A key that the user chose replaces the time, because its events may have different times. A pick-up takes the
    // first part of the picked job's key.
    let head = options
        .pick_up
        .and_then(|job_key| job_key.rsplit_once('-').map(|(head, _)| head.to_owned()))
        .or(options.idempotency_key)
        .unwrap_or_else(|| time.format("%Y%m%dT%H%M%SZ").to_string());
    // The head becomes part of keys in S3. The schema has the same rule, but an event that was refused is sealed too.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if head.is_empty() || head.len() > 64 || !head.chars().all(is_plain) {
        return Err(invalid(format!(
            "no job key can be made of the event's IdempotencyKey, PickUp or time: at most 64 letters, digits, _ and - are \
             allowed, but it would begin with {}",
            quoted(&head.chars().take(80).collect::<String>())
        )));
    }
    Ok(Trigger {
        job_key: format!("{head}-{}", &hash[..8]),
        event_id: envelope.id,
        source: envelope.source,
        time,
        schedule,
        account: envelope.account,
        region: envelope.region,
        request_sha256,
    })
}

/// A member that Step Functions adds to the input of an execution that another execution started. It is no part of the
/// event.
pub const STARTED_BY: &str = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID";

/// The key in place of a job key, derived from the whole event: for an event that gives no job, and for a delivery
/// whose failure is not the job's.
pub fn rejected_key(kind: &Kind, event: &Value) -> Result<String> {
    Ok(format!("rejected-{}", &event_sha256(kind, event)?[..16]))
}

/// The trigger that goes with a [`rejected_key`], with what can be read of the event. `now` replaces a time that cannot
/// be read.
pub fn rejected_trigger(kind: &Kind, event: &Value, now: DateTime<Utc>) -> Result<Trigger> {
    let text = |name: &str| event.get(name).and_then(Value::as_str);
    let time = text("time").and_then(|time| DateTime::parse_from_rfc3339(time).ok());
    Ok(Trigger {
        job_key: rejected_key(kind, event)?,
        event_id: text("id").map(str::to_owned),
        source: text("source").unwrap_or_default().to_owned(),
        time: time.map_or(now, |time| time.to_utc()),
        schedule: None,
        account: None,
        region: None,
        request_sha256: event_sha256(kind, event)?,
    })
}

fn event_sha256(kind: &Kind, event: &Value) -> Result<String> {
    let mut event = event.clone();
    if let Some(members) = event.as_object_mut() {
        members.remove(STARTED_BY);
    }
    Ok(sha256_hex(&canonical(&json!([kind.as_str(), event]))?))
}

/// Separates `detail` into the request and Landfall's options.
pub fn split_detail(event: &Value) -> Result<(Value, Value)> {
    let mut request = event
        .get("detail")
        .and_then(Value::as_object)
        .cloned()
        .ok_or_else(|| Error::new(ErrorKind::InvalidEvent, "$.detail is missing or not an object"))?;
    let options = match request.remove(OPTIONS) {
        None | Some(Value::Null) => Value::Object(Map::new()),
        Some(options) => options,
    };
    Ok((Value::Object(request), options))
}

/// Whether an ARN is of a rule or a schedule.
pub(crate) fn is_schedule(arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    let service = parts.nth(2);
    let resource = parts.nth(2).unwrap_or_default();
    match service {
        Some("events") => resource.starts_with("rule/"),
        Some("scheduler") => resource.starts_with("schedule/"),
        _ => false,
    }
}
