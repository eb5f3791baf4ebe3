//! Records the start calls of a run.
//!
//! What must stay true: for each start call it is known who made it, whether it reached the service, and whether its
//! answer reached a caller that still waited. So for each second job it is known what made it unavoidable.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use serde_json::Value;

use crate::invocation::Call;

#[derive(Clone, Debug)]
pub struct Start {
    /// The invocation that made it.
    pub call: Arc<Call>,
    /// When it began, since the simulation began.
    pub begun_at: Duration,
    /// Whether it began after its caller's time-out, even by the clock that is furthest off.
    pub begun_late: bool,
    pub reached: bool,
    /// Whether it reached the service after its caller's time-out, or after its client gave it up, by more than the
    /// margin of a lease.
    pub stale: bool,
    /// Whether it reached the service after its client gave it up.
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
    /// Whether that answer named a job or refused one.
    pub clear: bool,
}

impl Start {
    /// Whether the caller could not know if there is a job: it got no answer, or one that says nothing.
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

/// How long after a function's time-out its calls may still arrive.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// More than any two clocks differ.
const MOST_SKEW: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
pub struct Starts(Mutex<Vec<Start>>);

impl Starts {
    /// Records a call that is about to be made; returns its number.
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

    /// Records that it reached the service, and the service's answer.
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

    /// Records that an answer reached the caller.
    pub fn answered(&self, number: usize, answer: &Response<Bytes>) {
        if let Some(start) = self.all_mut().get_mut(number) {
            start.answered = Some(answer.status().as_u16());
            start.clear = answer.body().as_ref() != b"{}";
        }
    }

    /// All start calls, in order.
    pub fn all(&self) -> Vec<Start> {
        self.all_mut().clone()
    }

    fn all_mut(&self) -> MutexGuard<'_, Vec<Start>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
