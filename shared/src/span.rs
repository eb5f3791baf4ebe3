//! The span of an invocation: what stands in every line that is logged in it.
//!
//! What must stay true: its fields are identifiers alone. Nothing of what is exported, no request and no link is among them.
//!
//! A step that is given a job knows its fields from there. The first step derives the job's key from the event, and adds it
//! as soon as it has done so. The subscriber writes the span beside the fields of each line, so that
//! `span.job_key = "…"` finds all lines of a job, of whichever function.

use serde_json::Value;
use tracing::{Span, field::Empty};

use crate::invocation::Invocation;

/// The span of an invocation with an input.
pub fn of_invocation(input: &Value, invocation: &Invocation) -> Span {
    let text = |name: &str| input.get(name).and_then(Value::as_str);
    let attempt = input.get("attempt").and_then(Value::as_u64);
    let span = tracing::info_span!(
        "invocation",
        request_id = invocation.request_id,
        execution = text("execution"),
        kind = text("kind"),
        attempt = attempt,
        job_key = Empty,
        export = Empty,
    );
    if let Some(job_key) = text("job_key") {
        span.record("job_key", job_key);
        span.record("export", text("name"));
    }
    span
}

/// Adds a job that an event was found to ask for to the current span.
pub fn is_of(job_key: &str, export: Option<&str>) {
    let span = Span::current();
    span.record("job_key", job_key);
    span.record("export", export);
}
