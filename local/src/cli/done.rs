//! What became of one delivery.
//!
//! What must stay true: it is a sealed success only if the execution succeeded, its receipt could be read, and the
//! receipt says so.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use landfall_local::{
    document::{self, NamedError},
    functions::BATCH,
    present::{self, Delivery},
    watch::message_of,
    world::{Execution, Finished},
};
use serde_json::Value;

/// What is known of one delivery at its end.
pub(super) struct Done {
    pub(super) event: PathBuf,
    pub(super) filled_in: Vec<&'static str>,
    pub(super) labels: Vec<String>,
    pub(super) execution: Execution,
    pub(super) finished: Finished,
    pub(super) job: Option<Value>,
    pub(super) receipt_uri: Option<String>,
    pub(super) receipt: Option<Value>,
    /// What became of each request, for a batch.
    pub(super) results: Vec<Value>,
    pub(super) took: Duration,
}

impl Done {
    pub(super) fn is_sealed_success(&self) -> bool {
        self.finished.is_success()
            && self
                .receipt
                .as_ref()
                .is_some_and(|receipt| receipt["verdict"] == "succeeded")
    }

    /// The named error and its message. `None` for a sealed success.
    pub(super) fn error(&self) -> Option<(String, String)> {
        if self.is_sealed_success() {
            return None;
        }
        if self.finished.is_success() {
            let uri = self.receipt_uri.as_deref().unwrap_or("no place");
            let message = format!("the execution succeeded, but there is no receipt of a success at {uri}");
            return Some(("Landfall.Internal".to_owned(), message));
        }
        let name = self
            .finished
            .error
            .clone()
            .unwrap_or_else(|| self.finished.status.clone());
        Some((name, message_of(self.finished.cause.as_deref().unwrap_or_default())))
    }

    pub(super) fn delivery(&self, number: usize) -> Delivery {
        Delivery {
            number,
            event: file_name(&self.event),
            status: self.finished.status.clone(),
            became: present::became(self.job.as_ref(), self.error().as_ref().map(|(name, _)| name.as_str())),
            job_key: self.key().unwrap_or_default().to_owned(),
            took: self.took,
        }
    }

    /// The key of the job or of the batch.
    pub(super) fn key(&self) -> Option<&str> {
        let job = self.job.as_ref()?;
        job["job_key"].as_str().or(job["batch_key"].as_str())
    }

    pub(super) fn document(&self) -> document::Delivery {
        let job = |member: &str| self.job.as_ref().map(|job| &job[member]);
        document::Delivery {
            event: self.event.display().to_string(),
            filled_in: self.filled_in.clone(),
            kind: self.execution.kind.to_owned(),
            execution: self.execution.arn.clone(),
            status: self.finished.status.clone(),
            verdict: self
                .receipt
                .as_ref()
                .and_then(|receipt| receipt["verdict"].as_str().map(str::to_owned)),
            sealed_success: self.is_sealed_success(),
            seconds: self.took.as_secs_f64(),
            job_key: self.key().map(str::to_owned),
            adopted: job("adopted").and_then(Value::as_bool),
            error: self.error().map(|(name, message)| NamedError { name, message }),
            failures: self.receipt.as_ref().map_or_else(Vec::new, document::failures_of),
            states: self.finished.states(),
            receipt_uri: self.receipt_uri.clone(),
            receipt: self.receipt.clone(),
            results: (self.execution.kind == BATCH).then(|| self.results.clone()),
        }
    }
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).display().to_string()
}
