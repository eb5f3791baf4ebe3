//! What a run left behind, for the promises.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use landfall_tests::memory_store::MemoryStore;
use serde_json::Value;

use crate::{
    invocation::Call,
    kinds::{Landing, Simulated},
    log::Line,
    machine::End,
    plan::Plan,
    starts::Starts,
};

/// An event on the bus.
#[derive(Clone, Debug)]
pub struct Announced {
    /// The delivery whose execution put it there.
    pub delivery: usize,
    /// Whether the execution knows that it did.
    pub known: bool,
    /// The entry.
    pub entry: Value,
}

/// A state of an execution that was entered.
#[derive(Clone, Debug)]
pub struct Passed {
    /// Its delivery.
    pub delivery: usize,
    /// The state.
    pub state: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The polls of the job that brought no news until then.
    pub missed: u64,
    /// The job's status, if there was a job.
    pub status: Option<String>,
    /// When the job is given up, if there was a job.
    pub deadline_at: Option<DateTime<Utc>>,
}

/// How one delivery's execution ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its delivery.
    pub delivery: usize,
    /// How.
    pub end: End,
    /// How often it was redriven.
    pub redrives: u32,
    /// When.
    pub at: Duration,
}

/// What a run left behind.
pub struct Aftermath {
    /// The plan.
    pub plan: Plan,
    /// S3.
    pub store: Arc<MemoryStore>,
    /// The service.
    pub simulated: Simulated,
    /// What the service wrote.
    pub landing: Arc<Landing>,
    /// Start calls.
    pub starts: Arc<Starts>,
    /// How each delivery ended.
    pub ended: Vec<Ended>,
    /// All that was announced.
    pub announced: Vec<Announced>,
    /// The states that executions entered, in order.
    pub passed: Vec<Passed>,
    /// The states whose work failed for good and was passed over, with their deliveries.
    pub caught: Vec<(usize, String)>,
    /// Invocations of functions, with what they met.
    pub calls: Vec<Arc<Call>>,
    /// How many faults and mishaps there were.
    pub harms: u32,
    /// Handlers that panicked.
    pub panics: Vec<String>,
    /// When meddling happened.
    pub meddled: usize,
    /// The timeline, if it was kept.
    pub lines: Vec<Line>,
    /// How long it took in virtual time.
    pub took: Duration,
}
