//! From an event to what it asks for.
//!
//! What must stay true: the job key is derived and never random, so the same trigger gives the same key; unknown members
//! are faults; all faults of an event are reported at once.

mod shape;
mod validate;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    config::MAX_DEADLINE_SECONDS,
    error::{Error, ErrorKind, Result},
    expect::Expectations,
    fault::Faults,
    job::{Kind, Level},
    s3_uri::S3Uri,
    service::JobService,
};

pub(crate) use self::shape::member_path;
pub use self::shape::{Shape, envelope_schema, inline_schema};
use self::shape::{describe_found, quoted};

/// The member of `detail` that holds our own options.
pub const OPTIONS: &str = "Landfall";

/// Landfall's options in an event, all of them optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Options {
    /// A name for people; it stands in the receipt and in the announcement.
    #[schemars(length(min = 1, max = 128))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Seconds from the first claim of the job until it is given up; the deployment's default when absent.
    #[schemars(range(min = 1, max = MAX_DEADLINE_SECONDS), extend("default" = 21_600))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
    /// Two events with the same key are one trigger, whatever their ids and times.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,64}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// The generation of a rerun, from 1: the same trigger with another generation is another job.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<u32>,
    /// The key of a failed job of the same request, whose export the service may have finished since: it is awaited,
    /// verified and sealed without another start call. All events with this key and the same Rerun are one trigger.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_-]{1,64}-[0-9a-f]{8}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pick_up: Option<String>,
    /// Waits between polls; the deployment's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<PollOptions>,
    /// What the output must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<VerificationOptions>,
}

/// Waits between polls.
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

/// What the output must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct VerificationOptions {
    /// Whether an export without a single row is a success. False when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_empty: Option<bool>,
    /// Seconds between the two listings of the output.
    #[schemars(range(min = 0, max = 60), extend("default" = 5))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_seconds: Option<u64>,
    /// What another number of rows than the service reports does: `warn` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_count: Option<RowCount>,
    /// How much of the output is looked at: `full` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// What is expected of the output, beyond what every output must be. What could not be looked at is violated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectations>,
}

/// What a number of rows that is not the one that the service reports does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowCount {
    /// The job succeeds with a warning.
    Warn,
    /// The job fails.
    Fail,
}

/// What set a job off, with all that the ledger needs to know it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trigger {
    /// The derived key of the job.
    pub job_key: String,
    /// The event's id.
    pub event_id: Option<String>,
    /// The event's source.
    pub source: String,
    /// The event's time: of a schedule the planned time.
    pub time: DateTime<Utc>,
    /// The rule or schedule that fired.
    pub schedule: Option<String>,
    /// The account that the event names.
    pub account: Option<String>,
    /// The region that the event names.
    pub region: Option<String>,
    /// SHA-256 of the canonical request, hex.
    pub request_sha256: String,
}

/// An event that was read and found right.
#[derive(Clone, Debug)]
pub struct Requested<R> {
    /// What set it off.
    pub trigger: Trigger,
    /// The API request.
    pub request: R,
    /// Our options.
    pub options: Options,
    /// The destination that the event names, or the deployment's default; `None` for kinds that write nothing.
    pub destination: Option<S3Uri>,
}

/// Reads an event of a service's kind. Fails with `InvalidEvent`, naming every fault.
pub fn parse<S: JobService>(event: &Value, default_destination: Option<&S3Uri>) -> Result<Requested<S::Request>> {
    let (destination, faults) = check::<S>(event, default_destination)?;
    faults.into_result()?;

    let trigger = identify(&S::kind(), event)?;
    let (request, options) = split_detail(event)?;
    let read =
        |error: serde_json::Error| Error::internal(format!("the schema took a request that the types refuse: {error}"));
    Ok(Requested {
        trigger,
        request: serde_json::from_value(request).map_err(read)?,
        options: serde_json::from_value(options).map_err(read)?,
        destination,
    })
}

/// How an event without an id can be told from others.
const IDENTITY: &str = "EventBridge gives each event an id. An event that is sent past it needs one of its own, or \
                        $.detail.Landfall.IdempotencyKey, which makes one job of all events that carry the same key";

/// Adds a fault for an event that nothing tells from others, so that two deliveries of it could not be known as one.
pub fn check_identity(event: &Value, faults: &mut Faults) {
    let has = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let options = &event["detail"][OPTIONS];
    let stands_in = has(&options["IdempotencyKey"]) || has(&options["PickUp"]);
    let is_planned = event["resources"]
        .as_array()
        .is_some_and(|arns| arns.iter().filter_map(Value::as_str).any(is_schedule));
    if event.get("id").is_none() && !stands_in && !is_planned {
        faults.add("$.id", "nothing", IDENTITY);
    }
}

/// Refuses an event that could not be read whole, with `InvalidEvent` and every fault of what could be.
pub fn refuse<S: JobService>(event: &Value, default_destination: Option<&S3Uri>, unreadable: &Faults) -> Result<()> {
    let (_, mut faults) = check::<S>(event, default_destination)?;
    faults.put_over(unreadable);
    faults.into_result()
}

/// The faults of an event, with the destination of its output.
fn check<S: JobService>(event: &Value, default_destination: Option<&S3Uri>) -> Result<(Option<S3Uri>, Faults)> {
    let mut faults = Faults::default();
    shape_of::<S>()?.check(event, &mut faults);
    let detail = event.get("detail").unwrap_or(&Value::Null);
    let destination = check_destination::<S>(detail, default_destination, &mut faults);
    check_source::<S>(detail, &mut faults);
    check_options(detail, &mut faults);
    S::check(detail, &mut faults);
    S::check_envelope(event, &mut faults);
    check_identity(event, &mut faults);
    Ok((destination, faults))
}

/// The trigger of an event whose kind is known, without reading the request itself: enough to find its job in the
/// ledger. Fails with `InvalidEvent` if the envelope or our options cannot be read.
pub fn identify(kind: &Kind, event: &Value) -> Result<Trigger> {
    let (request, options) = split_detail(event)?;
    let options: Options = serde_json::from_value(options).map_err(|error| {
        Error::new(
            ErrorKind::InvalidEvent,
            format!("$.detail.{OPTIONS} is not readable: {error}"),
        )
    })?;
    trigger(kind, event, &request, options)
}

/// What EventBridge puts around `detail`. The members that nothing reads are here to be of their type.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Envelope {
    #[serde(rename = "version")]
    _version: Option<String>,
    id: Option<String>,
    #[serde(rename = "detail-type")]
    _detail_type: String,
    source: String,
    account: Option<String>,
    time: Option<DateTime<Utc>>,
    region: Option<String>,
    resources: Option<Vec<String>>,
}

/// The trigger of an event whose request and options were told apart. Fails with `InvalidEvent` if the envelope cannot be
/// read.
pub fn trigger(kind: &Kind, event: &Value, request: &Value, options: Options) -> Result<Trigger> {
    let invalid = |why: String| Error::new(ErrorKind::InvalidEvent, why);
    let envelope = Envelope::deserialize(event)
        .map_err(|error| invalid(format!("the event is not an EventBridge envelope: {error}")))?;
    let time = envelope.time.ok_or_else(|| invalid("$.time is missing".to_owned()))?;
    let request_sha256 = sha256_hex(&canonical(request)?);

    let schedule = envelope
        .resources
        .iter()
        .flatten()
        .find(|arn| is_schedule(arn))
        .cloned();
    // What makes two deliveries the same trigger. EventBridge may run a rule twice for one planned time, with two event
    // ids, so a schedule counts by its ARN and time; the request is in, because one rule may have several targets.
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
    // A key that the user chose stands for itself: the times of its events may differ. A job that is picked up gives its
    // own.
    let head = options
        .pick_up
        .and_then(|job_key| job_key.rsplit_once('-').map(|(head, _)| head.to_owned()))
        .or(options.idempotency_key)
        .unwrap_or_else(|| time.format("%Y%m%dT%H%M%SZ").to_string());
    // It becomes a part of keys in S3. The schema says the same, which an event that is only to be sealed may not follow.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if head.is_empty() || head.len() > 64 || !head.chars().all(is_plain) {
        return Err(invalid(format!(
            "no job key can be made of the event's IdempotencyKey, PickUp or time: letters, digits, _ and - are allowed, \
             at most 64 of them, and found was {}",
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

/// What an execution that another one started finds in its input besides. It says nothing about the event.
const STARTED_BY: &str = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID";

/// What stands for the job key of an event that no job is made of, or whose delivery failed for itself: a key made of the
/// event.
pub fn rejected_key(kind: &Kind, event: &Value) -> Result<String> {
    Ok(format!("rejected-{}", &event_sha256(kind, event)?[..16]))
}

/// [`rejected_key`] as a trigger, with what can be read of the event; `now` stands for a time that cannot be.
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

/// The canonical form (RFC 8785) that keys and hashes are taken of.
pub fn canonical(value: &Value) -> Result<Vec<u8>> {
    serde_json_canonicalizer::to_vec(value)
        .map_err(|error| Error::internal(format!("cannot canonicalise JSON: {error}")))
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// `detail` without our options, and our options.
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

fn is_schedule(arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':');
    let service = parts.nth(2);
    let resource = parts.nth(2).unwrap_or_default();
    match service {
        Some("events") => resource.starts_with("rule/"),
        Some("scheduler") => resource.starts_with("schedule/"),
        _ => false,
    }
}

fn check_destination<S: JobService>(detail: &Value, default: Option<&S3Uri>, faults: &mut Faults) -> Option<S3Uri> {
    if !S::WRITES_OUTPUT {
        return None;
    }
    let Some(named) = S::named_resources(detail).destination else {
        if default.is_none() && detail.is_object() {
            faults.add(
                "$.detail",
                "no destination",
                "name one (s3://bucket/prefix/), or set the stack's default: the service needs one outside of its console",
            );
        }
        return default.cloned();
    };
    let uri: S3Uri = match named.value.parse() {
        Ok(uri) => uri,
        Err(why) => {
            faults.add(
                named.path,
                quoted(&named.value),
                format!("must be s3://bucket/prefix/: {why}"),
            );
            return None;
        }
    };
    if uri.key.split('/').any(|segment| segment.starts_with("run=")) {
        faults.add(
            named.path,
            quoted(&named.value),
            "must not lie in the prefix of another run (run=…), or the outputs of two runs would mix",
        );
    }
    // The service is given `<destination>/run=<job key>-<attempt>/`.
    let key_length = identify(
        &S::kind(),
        &json!({"detail-type": "", "source": "", "id": "", "time": "2000-01-01T00:00:00Z", "detail": detail}),
    )
    .map_or(0, |trigger| trigger.job_key.len());
    let length = uri.as_folder().to_string().chars().count() + "run=-9/".len() + key_length;
    if length > S::DESTINATION_MAX && !faults.has(named.path) {
        faults.add(
            named.path,
            format!(
                "{} characters, {length} with the run's own prefix",
                named.value.chars().count()
            ),
            format!("the service takes at most {} in all; shorten it", S::DESTINATION_MAX),
        );
    }
    Some(uri)
}

fn check_source<S: JobService>(detail: &Value, faults: &mut Faults) {
    if let Some(named) = S::named_resources(detail).source
        && let Err(why) = named.value.parse::<S3Uri>()
    {
        faults.add(
            named.path,
            quoted(&named.value),
            format!("must be s3://bucket/key: {why}"),
        );
    }
}

/// Adds what is wrong with Landfall's own options beyond what the schema says: bounds that cross, and what a level of
/// verification never looks at.
pub fn check_options(detail: &Value, faults: &mut Faults) {
    check_poll_options(detail, faults);
    check_expectations(detail, faults);
}

fn check_poll_options(detail: &Value, faults: &mut Faults) {
    let seconds = |name: &str| {
        detail
            .pointer(&format!("/{OPTIONS}/Poll/{name}"))
            .and_then(Value::as_u64)
    };
    if let (Some(min), Some(max)) = (seconds("MinSeconds"), seconds("MaxSeconds"))
        && min > max
    {
        faults.add(
            "$.detail.Landfall.Poll.MinSeconds",
            min,
            format!("must not be larger than MaxSeconds, which is {max}"),
        );
    }
}

fn check_expectations(detail: &Value, faults: &mut Faults) {
    const REMEDY: &str = "set Level to \"full\", or to \"structure\" for what headers and footers tell";
    let options = &detail[OPTIONS]["Verification"];
    let place = format!("$.detail.{OPTIONS}.Verification");
    let remedy = (options["Level"] == Level::Listing.name()).then_some(REMEDY);
    check_expected(&options["Expect"], &format!("{place}.Expect"), remedy, faults);
    if options["RowCount"] == "fail" {
        check_level(&options["RowCount"], format!("{place}.RowCount"), remedy, faults);
    }
}

/// What is expected has to be possible, and the level has to look at it: `remedy` says what to do where that is the level
/// listing.
fn check_expected(expect: &Value, place: &str, remedy: Option<&str>, faults: &mut Faults) {
    let rows = &expect["Rows"];
    let bound = |name: &str| rows.get(name).filter(|value| !value.is_null());
    if rows.is_object() {
        match (bound("Min"), bound("Max")) {
            (None, None) => faults.add(
                format!("{place}.Rows"),
                "neither Min nor Max",
                "name at least one of them, or leave Rows out",
            ),
            (Some(min), Some(max)) if min.as_u64().zip(max.as_u64()).is_some_and(|(min, max)| min > max) => {
                faults.add(
                    format!("{place}.Rows.Min"),
                    min,
                    format!("must not be larger than Max, which is {max}"),
                );
            }
            _ => {}
        }
    }
    for name in ["Columns", "Rows", "Change"] {
        check_level(&expect[name], format!("{place}.{name}"), remedy, faults);
    }
}

/// What the level listing can never show is not asked for at it.
fn check_level(asked: &Value, place: String, remedy: Option<&str>, faults: &mut Faults) {
    if let Some(remedy) = remedy
        && !asked.is_null()
    {
        faults.add(
            place,
            describe_found(asked),
            format!("the level listing looks into no object: {remedy}"),
        );
    }
}

/// What an event would be refused for if this stood in its `Verification.Expect`, each fault at its place beneath `$`.
/// `remedy` says what to do if the output is looked at as the level listing does. Fails with `Internal` if the schema is
/// wrong.
pub fn expectation_faults(expect: &Value, remedy: Option<&str>) -> Result<Faults> {
    let mut faults = Faults::default();
    Shape::new(inline_schema::<Expectations>())?.check(expect, &mut faults);
    check_expected(expect, "$", remedy, &mut faults);
    Ok(faults)
}

/// The JSON Schema of the events of a kind, everything inline.
pub fn schema<S: JobService>() -> Value {
    let mut detail = inline_schema::<S::Request>();
    let mut options = inline_schema::<Options>();
    if !S::WRITES_OUTPUT
        && let Some(properties) = options.get_mut("properties").and_then(Value::as_object_mut)
    {
        // What is asked of an output would never be looked at.
        properties.remove("Verification");
    }
    if let Some(properties) = detail.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(OPTIONS.to_owned(), options);
    }
    let description = format!("An event that asks Landfall for a {}.", S::KIND);
    envelope_schema(&S::kind().detail_type(), &description, detail)
}

/// The shape of a kind's events. It is built once, since that takes longer than all else that is done with an event.
fn shape_of<S: JobService>() -> Result<Arc<Shape>> {
    static BUILT: Mutex<BTreeMap<&'static str, Arc<Shape>>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(shape) = built.get(S::KIND) {
        return Ok(Arc::clone(shape));
    }
    let shape = Arc::new(Shape::new(schema::<S>())?);
    built.insert(S::KIND, Arc::clone(&shape));
    Ok(shape)
}
