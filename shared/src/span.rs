//! What an invocation belongs to: the fields of each line that it logs, and the annotations of its trace.
//!
//! What must stay true: all fields are identifiers. No exported data, no request and no link is among them. Work that
//! runs outside of the handler's own task gets the span too, so that its lines have the fields.
//!
//! A step that gets a job reads the fields from it. The first step derives the job's key from the event, and then adds
//! it. The log shows the span beside the fields of each line, so `span.job_key = "…"` finds all lines of a job, from
//! all functions. [`Known`] keeps the same fields until the invocation ends.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use tokio::task_local;
use tracing::{Instrument as _, Span, field::Empty};

use crate::invocation::Invocation;

task_local! {
    static KNOWN: Known;
}

/// The fields of an invocation's span.
#[derive(Clone, Debug, Default)]
pub struct Known(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Known {
    /// The fields so far, by name.
    pub fn fields(&self) -> BTreeMap<&'static str, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, field: &'static str, value: &str) {
        let mut fields = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fields.insert(field, value.to_owned());
    }
}

/// Runs an invocation's work within its span, and returns the fields that became known.
pub async fn within<T>(input: &Value, invocation: &Invocation, work: impl Future<Output = T>) -> (T, Known) {
    // Poll gets the job together with the event of its execution.
    let job = input.get("job").unwrap_or(input);
    let text = |name: &str| job.get(name).and_then(Value::as_str);
    let span = tracing::info_span!(
        "invocation",
        request_id = invocation.request_id,
        state = Empty,
        execution = Empty,
        kind = Empty,
        job_key = Empty,
        batch_key = Empty,
        attempt = Empty,
        export = Empty,
    );
    let known = Known::default();
    known.add("request_id", &invocation.request_id);
    let work = async {
        for field in ["execution", "kind", "job_key", "batch_key"] {
            record(field, text(field));
        }
        if text("job_key").or(text("batch_key")).is_some() {
            record("export", text("name"));
        }
        if let Some(number) = job.get("attempt").and_then(Value::as_u64) {
            record("attempt", Some(&number.to_string()));
        }
        work.await
    };
    let done = KNOWN.scope(known.clone(), work.instrument(span)).await;
    (done, known)
}

fn record(field: &'static str, value: Option<&str>) {
    let Some(value) = value else { return };
    Span::current().record(field, value);
    // Outside of an invocation, as in a test of one step, there is nothing to add to.
    let _ = KNOWN.try_with(|known| known.add(field, value));
}

/// Adds the state of the definition that the invocation runs.
pub fn is_for_state(state: &'static str) {
    record("state", Some(state));
}

/// Adds the job that an event asks for.
pub fn is_of(job_key: &str, export: Option<&str>) {
    record("job_key", Some(job_key));
    record("export", export);
}

/// Adds a batch.
pub fn is_of_batch(batch_key: &str, export: Option<&str>) {
    record("batch_key", Some(batch_key));
    record("export", export);
}

/// Adds the kind of a job, if the input does not name it.
pub fn is_of_kind(kind: &str) {
    record("kind", Some(kind));
}

/// Adds the attempt that the invocation makes or adopts.
pub fn is_of_attempt(number: u32) {
    record("attempt", Some(&number.to_string()));
}
