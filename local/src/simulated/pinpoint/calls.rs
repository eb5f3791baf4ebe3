//! What a call does: it makes a job, looks it up, or polls it.
//!
//! What must stay true: each start call makes another job, because the API has neither a token nor a name for jobs.
//! Limits count over the account.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::StatusCode;
use serde_json::Value;

use super::{
    Job, Part, Service,
    failure::failure,
    locked,
    order::{Order, Way, not_found},
    route::{Operation, Route},
    scenario::{Definitions, Fault, Output},
};
use crate::simulated::{Failure, Refusal, derived_hex};

/// How long a poll waits for work that is due.
const PATIENCE: Duration = Duration::from_secs(5);

impl Service {
    pub(super) async fn route(
        self: &Arc<Self>,
        route: Route,
        query: &str,
        body: &[u8],
    ) -> Result<(StatusCode, Value), Failure> {
        if let Some((status, code)) = self.behaviour.every {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::GONE);
            return Err(Refusal::new(status, code, "The request is not allowed.").into());
        }
        let Route {
            operation,
            application,
            id,
        } = route;
        match operation {
            Operation::Create(way) => self.create(&application, way, body).await,
            Operation::Get(way) => {
                let job = self.find(&application, way, &id)?;
                self.poll(&job).await?;
                let whole = self.behaviour.definitions != Definitions::Nowhere;
                Ok((StatusCode::OK, self.describe(&job, whole)))
            }
            Operation::List(way) => self.list(&application, way, None, query).await,
            Operation::ListOfSegment(way) => self.list(&application, way, Some(&id), query).await,
            Operation::Unknown => Err(Refusal::unknown_operation().into()),
        }
    }

    fn find(&self, application: &str, way: Way, id: &str) -> Result<Arc<Job>, Refusal> {
        let state = self.state();
        let mut jobs = state.jobs.iter();
        let job = jobs.find(|job| job.id == id && job.order.way == way && job.order.application == application);
        job.cloned().ok_or_else(|| not_found("Resource not found"))
    }

    async fn create(&self, application: &str, way: Way, body: &[u8]) -> Result<(StatusCode, Value), Failure> {
        let order = Order::parse(application, way, body)?;
        let fault = {
            let mut state = self.state();
            state.starts = state.starts.saturating_add(1);
            self.behaviour
                .start
                .filter(|(times, _)| state.starts <= *times)
                .map(|(_, fault)| fault)
        };
        if let Some(fault) = fault {
            if self.behaviour.accepted {
                self.make(order);
            }
            return Err(failure(fault, way));
        }
        if self.running(way) >= self.at_once(way) {
            return Err(failure(Fault::Full, way));
        }
        let id = self.make(order);
        let job = self.find(application, way, &id)?;
        // The two operations succeed with different statuses in the model.
        let status = match way {
            Way::Export => StatusCode::ACCEPTED,
            Way::Import => StatusCode::CREATED,
        };
        Ok((status, self.describe(&job, true)))
    }

    /// How many jobs have not ended. Limits count over the account, not the application.
    fn running(&self, way: Way) -> usize {
        let state = self.state();
        let is_running = |job: &&Arc<Job>| job.order.way == way && locked(&job.progress).end.is_none();
        state.jobs.iter().filter(is_running).count()
    }

    fn at_once(&self, way: Way) -> usize {
        match way {
            Way::Export => self.settings.exports_at_once,
            Way::Import => self.settings.imports_at_once,
        }
    }

    pub(super) fn make(&self, order: Order) -> String {
        let parts = self.plan(order.way);
        let mut state = self.state();
        let number = state.jobs.len();
        let id = derived_hex(self.settings.seed, &["pinpoint", &number.to_string()]);
        state.jobs.push(Arc::new(Job {
            number,
            id: id.clone(),
            created: self.clock.now(),
            order,
            parts,
            progress: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }));
        id
    }

    /// The parts of a job's work, and when they are done: all before the job's time is over.
    fn plan(&self, way: Way) -> Vec<Part> {
        let total = if self.behaviour.empty {
            0
        } else {
            self.settings.endpoints
        };
        let count = match way {
            Way::Export => u64::try_from(self.settings.files)
                .unwrap_or(u64::MAX)
                .clamp(1, total.max(1)),
            Way::Import => 1,
        };
        let bound = |i: u64| (u128::from(total) * u128::from(i) / u128::from(count)) as u64;
        let part = |i: u64| Part {
            numbers: bound(i)..bound(i + 1),
            due: self
                .settings
                .duration
                .mul_f64(0.3 + 0.6 * (i + 1) as f64 / count as f64),
            truncated: self.behaviour.output == Output::LastTruncated && i + 1 == count,
        };
        (0..count).map(part).collect()
    }

    /// Lets a poll meet its fault, and does what is due.
    pub(super) async fn poll(self: &Arc<Self>, job: &Arc<Job>) -> Result<(), Failure> {
        let polls = {
            let mut progress = locked(&job.progress);
            progress.polls = progress.polls.saturating_add(1);
            progress.polls
        };
        if let Some((_, fault)) = self.behaviour.poll.filter(|(times, _)| polls <= *times) {
            return Err(failure(fault, job.order.way));
        }
        // A task of its own goes on when the caller hangs up or the wait ends.
        let (service, same_job) = (Arc::clone(self), Arc::clone(job));
        let advancing = tokio::spawn(async move { service.advance(&same_job).await });
        let _ = tokio::time::timeout(PATIENCE, advancing).await;
        Ok(())
    }
}
