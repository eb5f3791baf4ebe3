//! The requests that the edge got.
//!
//! What must stay true: headers and bodies are kept only if a test asks for it, and then only those of requests to
//! simulated services.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};

/// How many requests are kept. No run or test makes more, but `serve` may run for days.
const KEPT: usize = 20_000;

/// One request and the status of its answer.
#[derive(Clone, Debug)]
pub struct Record {
    /// The HTTP method.
    pub method: Method,
    /// The path, with its query unless it is a presigned link.
    pub path: String,
    /// The service that was asked: a signing name, or `runtime`.
    pub service: String,
    /// The status of the answer. `None` if the answer was lost on purpose.
    pub status: Option<StatusCode>,
}

/// A whole request to a simulated service.
#[derive(Clone, Debug)]
pub struct Captured {
    /// The signing name.
    pub service: String,
    /// The HTTP method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// The log of an edge.
#[derive(Debug, Default)]
pub struct RequestLog {
    records: Mutex<VecDeque<Record>>,
    captured: Mutex<Vec<Captured>>,
    capturing: AtomicBool,
}

impl RequestLog {
    /// Keeps whole requests to simulated services from now on.
    pub fn capture(&self) {
        self.capturing.store(true, Ordering::Relaxed);
    }

    /// The requests so far, oldest first; only the newest 20,000.
    pub fn records(&self) -> Vec<Record> {
        lock(&self.records).iter().cloned().collect()
    }

    /// The whole requests to simulated services since [`RequestLog::capture`].
    pub fn captured(&self) -> Vec<Captured> {
        lock(&self.captured).clone()
    }

    /// How many requests a service such as `profile` got whose method and path satisfy `is`.
    pub fn count(&self, service: &str, is: impl Fn(&Record) -> bool) -> usize {
        lock(&self.records)
            .iter()
            .filter(|record| record.service == service && is(record))
            .count()
    }

    pub(super) fn add(&self, record: Record) {
        let mut records = lock(&self.records);
        if records.len() == KEPT {
            records.pop_front();
        }
        records.push_back(record);
    }

    pub(super) fn keep(&self, request: impl FnOnce() -> Captured) {
        if self.capturing.load(Ordering::Relaxed) {
            lock(&self.captured).push(request());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
