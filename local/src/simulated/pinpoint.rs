//! Amazon Pinpoint, as far as export and import jobs need it.
//!
//! What must stay true: methods, paths, members and errors are those of the API model (2016-12-01, REST-JSON). What the
//! model lacks is lacking here too: there is no client token, and a job has no name of the caller's. Where AWS
//! documents nothing (the order and size of pages, the names of files, when counters appear), a comment says so, and a
//! caller must be able to live with the choice. A job's state follows from the clock. COMPLETED is never told before
//! the last file was written.

mod calls;
mod endpoints;
mod failure;
mod looks;
mod order;
mod route;
mod scenario;
mod work;

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::future::join_all;
use http::{Request, Response};
use landfall::clock::Clock;
use serde_json::Value;

pub use self::{
    endpoints::{Endpoints, samples},
    order::Way,
    route::Operation,
    scenario::Scenario,
};
use self::{order::Order, route::Route, scenario::Behaviour};
use super::{
    Call, SimulatedService, Sink, Source,
    simulator::{Asked, Made, Simulator, Storage},
};

/// How many endpoints fail in [`Scenario::CompletedWithFailures`].
pub const FAILURES: u64 = 3;

/// How the simulated service behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many endpoints a segment or an application has.
    pub endpoints: u64,
    /// How long a job takes.
    pub duration: Duration,
    /// How many data files an export writes. It never writes more files than there are endpoints.
    pub files: usize,
    /// What goes wrong.
    pub scenario: Scenario,
    /// The seed of ids and endpoints.
    pub seed: u64,
    /// How many exports run at once. AWS documents no number.
    pub exports_at_once: usize,
    /// How many imports run at once. AWS documents 2 and 10.
    pub imports_at_once: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoints: 1000,
            duration: Duration::from_secs(6),
            files: 3,
            scenario: Scenario::Success,
            seed: 0,
            exports_at_once: 5,
            imports_at_once: 2,
        }
    }
}

/// The simulated service.
pub struct Pinpoint {
    service: Arc<Service>,
}

impl Pinpoint {
    /// A service without jobs. Exports go to `sink`, imports come from `source`, and the time is that of `clock`.
    pub fn new(sink: Arc<dyn Sink>, source: Arc<dyn Source>, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self {
            service: Arc::new(Service {
                sink,
                source,
                clock,
                behaviour: settings.scenario.behaviour(),
                settings,
                state: Mutex::default(),
            }),
        }
    }

    /// Every call so far, in order.
    pub fn calls(&self) -> Vec<Call<Operation>> {
        self.service.state().calls.clone()
    }

    /// Makes a job of somebody else.
    pub async fn start_elsewhere(&self, application: &str, way: Way, request: &Value) -> anyhow::Result<String> {
        let order = Order::parse(application, way, request.to_string().as_bytes())
            .map_err(|refusal| anyhow::anyhow!(refusal.message))?;
        Ok(self.service.make(order))
    }
}

impl Simulator for Pinpoint {
    const SIGNING_NAME: &'static str = "mobiletargeting";
    const PATH: &'static str = "/v1/apps/";
    const JOBS: &'static str = "Endpoint exports and imports";
    type Scenario = Scenario;
    type Settings = Settings;

    fn simulate(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self::new(Arc::clone(&storage) as Arc<dyn Sink>, storage, clock, settings)
    }

    fn settings(asked: &Asked, scenario: Scenario) -> Settings {
        let usual = Settings::default();
        Settings {
            endpoints: asked.rows.unwrap_or(usual.endpoints),
            duration: asked.duration.unwrap_or(usual.duration),
            files: asked.files.unwrap_or(usual.files),
            exports_at_once: asked.at_once.unwrap_or(usual.exports_at_once),
            imports_at_once: asked.at_once.unwrap_or(usual.imports_at_once),
            seed: asked.seed.unwrap_or(usual.seed),
            scenario,
        }
    }

    fn jobs_made(&self) -> Vec<Made> {
        let made = |job: &Arc<Job>| Made {
            id: job.id.clone(),
            place: job.order.place.clone(),
            created: job.created,
            user: None,
        };
        self.service.state().jobs.iter().map(made).collect()
    }

    fn jobs_completed(&self) -> BTreeSet<String> {
        let is_completed = |job: &&Arc<Job>| {
            let end = locked(&job.progress).end;
            end.is_some_and(|(status, _)| status == "COMPLETED")
        };
        let state = self.service.state();
        let jobs = state.jobs.iter().filter(is_completed);
        jobs.map(|job| job.id.clone()).collect()
    }

    fn all_calls(&self) -> usize {
        self.service.state().calls.len()
    }

    fn start_calls(&self) -> usize {
        let is_start = |call: &&Call<Operation>| matches!(call.operation, Operation::Create(_));
        self.service.state().calls.iter().filter(is_start).count()
    }
}

#[async_trait]
impl SimulatedService for Pinpoint {
    fn signing_name(&self) -> &'static str {
        Self::SIGNING_NAME
    }

    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let service = &self.service;
        let at = service.clock.now();
        let route = Route::of(request.method(), request.uri().path());
        let operation = route.as_ref().map_or(Operation::Unknown, |route| route.operation);
        let answer = match route {
            Ok(route) => {
                service
                    .route(route, request.uri().query().unwrap_or_default(), request.body())
                    .await
            }
            Err(refusal) => Err(refusal.into()),
        };
        service.answer(at, operation, answer)
    }

    async fn advance(&self) {
        let jobs = self.service.state().jobs.clone();
        join_all(jobs.iter().map(|job| self.service.advance(job))).await;
    }

    /// Imports read what is there.
    async fn prepare(&self, kind: &str, bucket: &str) -> anyhow::Result<()> {
        if kind == "endpoint-import" {
            let Settings { seed, endpoints, .. } = self.service.settings;
            for (key, body) in samples(seed, endpoints)? {
                self.service.sink.put(bucket, key, body.into(), None).await?;
            }
        }
        Ok(())
    }
}

struct Job {
    number: usize,
    id: String,
    created: DateTime<Utc>,
    order: Order,
    parts: Vec<Part>,
    progress: Mutex<Progress>,
    /// Held while work is done, so that no two callers do the same.
    turn: tokio::sync::Mutex<()>,
}

/// A share of the work.
#[derive(Clone, Debug)]
struct Part {
    numbers: Range<u64>,
    due: Duration,
    truncated: bool,
}

#[derive(Default)]
struct Progress {
    done: usize,
    polls: u32,
    processed: u64,
    failures: u64,
    failed_entries: Vec<String>,
    /// The end, once it was reached.
    end: Option<(&'static str, DateTime<Utc>)>,
}

#[derive(Default)]
struct State {
    /// How many valid start calls came. The first ones get the fault of the scenario.
    starts: u32,
    jobs: Vec<Arc<Job>>,
    calls: Vec<Call<Operation>>,
}

struct Service {
    sink: Arc<dyn Sink>,
    source: Arc<dyn Source>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    behaviour: Behaviour,
    state: Mutex<State>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No lock is held across anything that can panic halfway through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}
