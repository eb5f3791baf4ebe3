//! What an invocation belongs to: the fields of every line that is logged in it, and the annotations of its trace.
//!
//! What must stay true: they are identifiers alone. Nothing of what is exported, no request and no link is among them. What
//! runs beside the handler's own task is given the span, so that its lines have it too.
//!
//! A step that is given a job knows its fields from there. The first step derives the job's key from the event, and adds it
//! as soon as it has done so. The subscriber writes the span beside the fields of each line, so that
//! `span.job_key = "…"` finds all lines of a job, of whichever function. [`Known`] keeps the same fields until the invocation
//! ends.

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
    /// What is known by now, by the names of the fields.
    pub fn fields(&self) -> BTreeMap<&'static str, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, field: &'static str, value: &str) {
        let mut fields = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fields.insert(field, value.to_owned());
    }
}

/// Does the work of an invocation with an input within its span. Gives what came to be known of it, too.
pub async fn within<T>(input: &Value, invocation: &Invocation, work: impl Future<Output = T>) -> (T, Known) {
    // Poll is given the job beside the event of its execution.
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
    // Outside of an invocation, as in a test of one step, nobody wants to know.
    let _ = KNOWN.try_with(|known| known.add(field, value));
}

/// Names the state of the definition that the invocation works for.
pub fn is_for_state(state: &'static str) {
    record("state", Some(state));
}

/// Adds a job that an event was found to ask for.
pub fn is_of(job_key: &str, export: Option<&str>) {
    record("job_key", Some(job_key));
    record("export", export);
}

/// Adds a batch of requests.
pub fn is_of_batch(batch_key: &str, export: Option<&str>) {
    record("batch_key", Some(batch_key));
    record("export", export);
}

/// Adds the kind of a job, where the input does not name it.
pub fn is_of_kind(kind: &str) {
    record("kind", Some(kind));
}

/// Adds the attempt that the invocation makes or adopts.
pub fn is_of_attempt(number: u32) {
    record("attempt", Some(&number.to_string()));
}
