//! Reads an event into a request.
//!
//! What must stay true: unknown members are faults, and all faults of an event are reported at once.

mod schema;
mod validate;

use serde_json::{Value, json};

pub use self::schema::{EventSchema, envelope_schema, inline_schema, schema};
use self::schema::{describe_found, shape_of};
use crate::{
    error::{Error, Result},
    expect::Expectations,
    fault::{Faults, quoted},
    job::Level,
    members::OPTIONS,
    registered,
    s3_uri::S3Uri,
    service::JobService,
    trigger::{IDENTITY, Options, Trigger, identify, is_schedule, split_detail},
};

/// An event that was read and has no faults.
#[derive(Clone, Debug)]
pub struct Requested<R> {
    /// What set the job off.
    pub trigger: Trigger,
    pub request: R,
    pub options: Options,
    /// The destination that the event names, or the deployment's default; `None` for kinds that write nothing.
    pub destination: Option<S3Uri>,
}

/// Reads an event of a service's kind. Fails with `InvalidEvent`, naming each fault.
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

/// Adds a fault if nothing identifies the event, because two deliveries of it could not be recognised as the same.
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

/// Refuses an event that could not be read completely. Fails with `InvalidEvent`, naming each fault of what could be
/// read.
pub fn refuse<S: JobService>(event: &Value, default_destination: Option<&S3Uri>, unreadable: &Faults) -> Result<()> {
    let (_, mut faults) = check::<S>(event, default_destination)?;
    faults.put_over(unreadable);
    faults.into_result()
}

/// Finds the faults of an event, and the destination of its output.
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
    // The service gets `<destination>/run=<job key>-<attempt>/`.
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

/// Adds the faults in Landfall's own options that the schema cannot express, such as a lower bound above the upper
/// bound, or an expectation that the level of verification cannot check.
pub fn check_options(detail: &Value, faults: &mut Faults) {
    check_poll_options(detail, faults);
    check_expectations(detail, faults);
    registered::check(detail, faults);
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

/// Checks that each expectation is possible. `remedy` is set if the level is `listing`, which reads no object: it says
/// what to do about expectations that need more.
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
    for name in ["Columns", "Rows", "Change", "SegmentEstimate"] {
        check_level(&expect[name], format!("{place}.{name}"), remedy, faults);
    }
}

/// Adds a fault for an expectation that the level `listing` cannot check.
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

/// The faults of a value for `Verification.Expect`, each at its place beneath `$`. `remedy` is set if the output is
/// checked as the level `listing` does. Fails with `Internal` if the schema is wrong.
pub fn expectation_faults(expect: &Value, remedy: Option<&str>) -> Result<Faults> {
    let mut faults = Faults::default();
    EventSchema::new(inline_schema::<Expectations>())?.check(expect, &mut faults);
    check_expected(expect, "$", remedy, &mut faults);
    Ok(faults)
}
