//! Writes what a sealed job adds to the stack's metrics.
//!
//! What must stay true: there is one line for each job, written by the execution whose outcome stands. It holds
//! numbers, the kind, the job key, the name of the error, the name that the event gave its export, and the name of its
//! schedule, and nothing else. A metric that cannot be written holds nothing up.
//!
//! The line has CloudWatch's embedded metric format: CloudWatch makes metrics from it, and the line stays in the log.
//! All metrics are kept by kind. `Succeeded` and `Failed` are also kept by name and by schedule, so that an alarm can
//! tell that an export did not happen. A value that is not known is left out, such as the delay of detection if the
//! service does not say when a job ended.

use std::io::Write;

use chrono::{DateTime, Utc};
use landfall::job::{Job, Verdict};
use serde_json::{Value, json};

use crate::receipt::Receipt;

/// All metrics of a kind, with their units.
const METRICS: [(&str, &str); 11] = [
    ("Succeeded", "Count"),
    ("Failed", "Count"),
    ("Duration", "Seconds"),
    ("TimeInLine", "Seconds"),
    ("DetectionDelay", "Seconds"),
    ("TimeToVerify", "Seconds"),
    ("Polls", "Count"),
    ("Rows", "Count"),
    ("Bytes", "Bytes"),
    ("BytesPerSecond", "Bytes/Second"),
    ("Transitions", "Count"),
];

/// Writes the line of a receipt, if the stack has metrics and this execution decided the outcome. `job` is what the
/// execution saw of the job, if it has one.
pub fn write(namespace: Option<&str>, receipt: &Receipt, execution: &str, job: Option<&Job>) {
    let Some(namespace) = namespace.filter(|_| receipt.execution == execution) else {
        return;
    };
    let line = document(namespace, receipt, job).to_string();
    if let Err(why) = writeln!(std::io::stdout().lock(), "{line}") {
        tracing::warn!("the metrics of the job are not written: {why}");
    }
}

/// The line of a receipt.
pub fn document(namespace: &str, receipt: &Receipt, job: Option<&Job>) -> Value {
    let times = &receipt.times;
    let seconds = |from: DateTime<Utc>, to: DateTime<Utc>| (to - from).as_seconds_f64().max(0.0);
    let verified = times.ended_at.zip(times.verified_at);
    let to_verify = verified.map(|(ended, verified)| seconds(ended, verified));
    let output = receipt.output.as_ref();
    let is_success = receipt.verdict == Verdict::Succeeded;
    let value = |name: &str| match name {
        "Succeeded" => Some(json!(u8::from(is_success))),
        "Failed" => Some(json!(u8::from(!is_success))),
        "Duration" => Some(json!(seconds(times.triggered_at, times.sealed_at))),
        "TimeInLine" => times
            .started_at
            .map(|started| json!(seconds(times.claimed_at, started))),
        // From the end by the service's clock to the poll that saw it.
        "DetectionDelay" => job
            .and_then(|job| job.service_ended_at.zip(job.ended_at))
            .map(|(told, seen)| json!(seconds(told, seen))),
        "TimeToVerify" => to_verify.map(|seconds| json!(seconds)),
        "Polls" => Some(json!(receipt.polls)),
        "Rows" => output.map(|output| json!(output.rows)),
        "Bytes" => output.map(|output| json!(output.bytes)),
        #[allow(clippy::cast_precision_loss)]
        "BytesPerSecond" => output
            .zip(to_verify.filter(|seconds| *seconds > 0.0))
            .map(|(output, seconds)| json!(output.bytes as f64 / seconds)),
        "Transitions" => Some(json!(receipt.usage.state_transitions)),
        _ => None,
    };
    let measured: Vec<(&str, &str, Value)> = METRICS
        .into_iter()
        .filter_map(|(name, unit)| Some((name, unit, value(name)?)))
        .collect();
    let defined = |names: &[&str]| -> Vec<Value> {
        let known = measured
            .iter()
            .filter(|(name, ..)| names.is_empty() || names.contains(name));
        known
            .map(|(name, unit, _)| json!({"Name": name, "Unit": unit}))
            .collect()
    };
    let mut line = json!({
        "level": "INFO",
        "message": "the job is sealed",
        "kind": receipt.kind,
        "job_key": receipt.job_key,
        "error": receipt.error.as_ref().map(|error| &error.error),
    });
    let mut of_outcomes = Vec::new();
    let of_schedule = receipt.trigger.schedule.as_deref().and_then(schedule);
    for (dimension, value) in [("name", receipt.name.as_deref()), ("schedule", of_schedule)] {
        if let Some(value) = value {
            of_outcomes.push(json!([dimension]));
            line[dimension] = json!(value);
        }
    }
    for (name, _, value) in &measured {
        line[*name] = value.clone();
    }
    let mut directives = vec![json!({"Namespace": namespace, "Dimensions": [["kind"]], "Metrics": defined(&[])})];
    if !of_outcomes.is_empty() {
        let outcomes = defined(&["Succeeded", "Failed"]);
        directives.push(json!({"Namespace": namespace, "Dimensions": of_outcomes, "Metrics": outcomes}));
    }
    line["_aws"] = json!({"Timestamp": times.sealed_at.timestamp_millis(), "CloudWatchMetrics": directives});
    line
}

/// The name of a schedule, from its ARN. `None` for a rule, which belongs to no particular export.
fn schedule(arn: &str) -> Option<&str> {
    let (_, name) = arn.split_once(":schedule/")?;
    name.rsplit('/').next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metric_names_a_schedule_without_its_group() {
        let arn = "arn:aws:scheduler:eu-central-1:111122223333:schedule/default/landfall-SegmentSnapshotSchedule-1";
        assert_eq!(schedule(arn), Some("landfall-SegmentSnapshotSchedule-1"));
        assert_eq!(schedule("arn:aws:events:eu-central-1:111122223333:rule/nightly"), None);
    }
}
