//! Everything that a run left behind, for the promises to check.

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

#[derive(Clone, Debug)]
pub struct Announced {
    /// The delivery whose execution put it there.
    pub delivery: usize,
    /// Whether the execution knows that the event was put.
    pub known: bool,
    /// The entry of PutEvents.
    pub entry: Value,
}

/// A state that an execution entered.
#[derive(Clone, Debug)]
pub struct Passed {
    /// The delivery whose execution it was.
    pub delivery: usize,
    pub state: String,
    pub at: DateTime<Utc>,
    /// How many polls of the job in a row had brought no news.
    pub missed: u64,
    /// The job's status, if there was a job.
    pub status: Option<String>,
    /// The job's deadline, if there was a job.
    pub deadline_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug)]
pub struct Ended {
    pub delivery: usize,
    pub end: End,
    pub redrives: u32,
    pub at: Duration,
}

pub struct Aftermath {
    pub plan: Plan,
    pub store: Arc<MemoryStore>,
    pub simulated: Simulated,
    pub landing: Arc<Landing>,
    pub starts: Arc<Starts>,
    pub ended: Vec<Ended>,
    pub announced: Vec<Announced>,
    /// The states that executions entered, in order.
    pub passed: Vec<Passed>,
    /// The states whose work failed for good and whose errors were caught, each with its delivery.
    pub caught: Vec<(usize, String)>,
    /// All invocations of functions, with the faults that they met.
    pub calls: Vec<Arc<Call>>,
    pub harms: u32,
    pub panics: Vec<String>,
    /// How often someone meddled with the output.
    pub meddled: usize,
    /// The timeline, if it was recorded.
    pub lines: Vec<Line>,
    /// How long the run took in virtual time.
    pub took: Duration,
}
