//! The start calls of a run.
//!
//! What must stay true: each is known with who made it, whether it reached the service and whether its answer reached a
//! caller that was still at it, so that a second job can be held against what made it unavoidable.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use serde_json::Value;

use crate::invocation::Call;

/// One start call.
#[derive(Clone, Debug)]
pub struct Start {
    /// Who made it.
    pub call: Arc<Call>,
    /// When it was begun, since the simulation began.
    pub begun_at: Duration,
    /// Whether it was begun when its caller knew that its time was over, clocks being off by as much as they may be.
    pub begun_late: bool,
    /// Whether it reached the service.
    pub reached: bool,
    /// Whether it reached it when its caller's time was over already, or its client had given it up, by more than the
    /// lease allows.
    pub stale: bool,
    /// Whether its client had given it up when it reached the service.
    pub is_late: bool,
    given_up: GivenUp,
    /// How many jobs of other triggers ran when it reached the service.
    pub beside: usize,
    /// The id that the service gave.
    pub id: Option<String>,
    /// The HTTP status of the service's answer.
    pub status: Option<u16>,
    /// The HTTP status of the answer that reached the caller; `None` if none did.
    pub answered: Option<u16>,
    /// Whether that answer named a job, or refused one.
    pub clear: bool,
}

impl Start {
    /// Whether the caller could not know what became of it: no answer reached it, or one that tells nothing.
    pub fn is_ambiguous(&self) -> bool {
        match self.answered {
            None => true,
            Some(429 | 500..=599) => true,
            Some(_) => !self.clear,
        }
    }
}

/// When a client stopped waiting for the answer to a call, if it did.
pub type GivenUp = Arc<OnceLock<Duration>>;

/// How long after its time a function's calls may still arrive.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// More than clocks are off.
const MOST_SKEW: Duration = Duration::from_secs(3);

/// The start calls of a run.
#[derive(Debug, Default)]
pub struct Starts(Mutex<Vec<Start>>);

impl Starts {
    /// A call is about to be made; gives its number.
    pub fn begin(&self, call: &Arc<Call>, given_up: &GivenUp) -> usize {
        let mut starts = self.all_mut();
        starts.push(Start {
            begun_at: call.clock.timeline.elapsed(),
            begun_late: call.clock.timeline.elapsed() > call.deadline + LEASE_MARGIN + MOST_SKEW,
            call: Arc::clone(call),
            reached: false,
            stale: false,
            is_late: false,
            given_up: Arc::clone(given_up),
            beside: 0,
            id: None,
            status: None,
            answered: None,
            clear: false,
        });
        starts.len() - 1
    }

    /// It reached the service, which answers.
    pub fn reached(&self, number: usize, answer: &Response<Bytes>, beside: usize) {
        let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        let names = ["SnapshotId", "Id", "SnapshotJobId"];
        let id = names.iter().find_map(|name| body[*name].as_str()).map(str::to_owned);
        if let Some(start) = self.all_mut().get_mut(number) {
            start.reached = true;
            start.beside = beside;
            let now = start.call.clock.timeline.elapsed();
            let over = start.given_up.get().map_or(start.call.deadline, |at| *at);
            start.stale = now > over.min(start.call.deadline) + LEASE_MARGIN;
            start.is_late = start.given_up.get().is_some();
            start.status = Some(answer.status().as_u16());
            start.id = id;
        }
    }

    /// An answer reaches the caller.
    pub fn answered(&self, number: usize, answer: &Response<Bytes>) {
        if let Some(start) = self.all_mut().get_mut(number) {
            start.answered = Some(answer.status().as_u16());
            start.clear = answer.body().as_ref() != b"{}";
        }
    }

    /// All of them, in order.
    pub fn all(&self) -> Vec<Start> {
        self.all_mut().clone()
    }

    fn all_mut(&self) -> MutexGuard<'_, Vec<Start>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
