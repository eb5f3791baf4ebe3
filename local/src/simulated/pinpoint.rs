//! Amazon Pinpoint, as far as export and import jobs go.
//!
//! What must stay true: methods, paths, members and errors are those of the API model (2016-12-01, REST-JSON), and what
//! the model lacks is lacking here: no client token, no name of one's own. Where AWS documents nothing (the order and
//! size of pages, the names of files, when counters appear), a comment says so and the choice is one that a caller must
//! be able to live with. A job's state follows from the clock, and COMPLETED is never told before its last file was
//! written.

mod endpoints;
mod failure;
mod order;
mod route;
mod scenario;

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::bail;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::future::join_all;
use http::{Request, Response, StatusCode};
use landfall::{heavy::heavy, store::Clock};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use self::{
    endpoints::entries,
    failure::{Failure, failure},
    order::{Order, bad_request, not_found},
    route::Route,
    scenario::{Behaviour, Definitions, Fault, Outcome, Output},
};
pub use self::{
    endpoints::{Endpoints, samples},
    order::Way,
    route::Operation,
    scenario::Scenario,
};
use super::{
    ConnectionCut, Refusal, SimulatedService, Sink, Source, derived_hex, derived_uuid, json_response,
    simulator::{Asked, Simulator, Storage},
};

/// How a member of a gzip file begins.
const GZIP: [u8; 3] = [0x1f, 0x8b, 8];

/// Endpoints that fail in [`Scenario::CompletedWithFailures`].
pub const FAILURES: u64 = 3;

/// Jobs of a page where the caller names no size: few, so that every caller meets more pages than one.
const PAGE: usize = 3;

/// How long a poll waits for work that is due.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the simulated service behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many endpoints a segment or an application has.
    pub endpoints: u64,
    /// How long a job runs.
    pub duration: Duration,
    /// How many data files an export writes; never more than endpoints.
    pub files: usize,
    /// What goes wrong.
    pub scenario: Scenario,
    /// Where ids and endpoints come from.
    pub seed: u64,
    /// Exports at once; AWS documents no number.
    pub exports_at_once: usize,
    /// Imports at once; AWS documents 2 and 10.
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

/// One call and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it came.
    pub at: DateTime<Utc>,
    /// What was asked for.
    pub operation: Operation,
    /// The HTTP status that was answered; 500 where the connection was cut.
    pub status: u16,
}

/// A job that the service made, whether or not its maker heard of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// 32 hex digits.
    pub id: String,
    /// Its direction.
    pub way: Way,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// `S3UrlPrefix` or `S3Url`, as it was given.
    pub place: String,
}

/// The simulated service.
pub struct Pinpoint {
    service: Arc<Service>,
}

impl Pinpoint {
    /// A service without jobs. Exports go to `sink`, imports come from `source`; its time is the clock's.
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
    pub fn calls(&self) -> Vec<Call> {
        self.service.state().calls.clone()
    }

    /// How many start calls came, refused ones included.
    pub fn starts(&self) -> usize {
        let is_start = |call: &&Call| matches!(call.operation, Operation::Create(_));
        self.service.state().calls.iter().filter(is_start).count()
    }

    /// Every job that was made, in the order of making.
    pub fn jobs(&self) -> Vec<Made> {
        let made = |job: &Arc<Job>| Made {
            id: job.id.clone(),
            way: job.order.way,
            created: job.created,
            place: job.order.place.clone(),
        };
        self.service.state().jobs.iter().map(made).collect()
    }

    /// The ids of the jobs that ended well.
    pub fn completed(&self) -> BTreeSet<String> {
        let state = self.service.state();
        let is_completed = |job: &&Arc<Job>| {
            locked(&job.progress)
                .end
                .is_some_and(|(status, _)| status == "COMPLETED")
        };
        state
            .jobs
            .iter()
            .filter(is_completed)
            .map(|job| job.id.clone())
            .collect()
    }

    /// Makes a job of somebody else, as if its start call had come from there.
    pub async fn start_elsewhere(&self, application: &str, way: Way, request: &Value) -> anyhow::Result<String> {
        let order = Order::parse(application, way, request.to_string().as_bytes())
            .map_err(|refusal| anyhow::anyhow!(refusal.message))?;
        Ok(self.service.make(order))
    }
}

impl Simulator for Pinpoint {
    const SIGNING_NAME: &'static str = "mobiletargeting";
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
    /// Valid start calls, for the fault that the first of them meet.
    starts: u32,
    jobs: Vec<Arc<Job>>,
    calls: Vec<Call>,
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

    async fn route(self: &Arc<Self>, route: Route, query: &str, body: &[u8]) -> Result<(StatusCode, Value), Failure> {
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

    /// Jobs that have not ended. Limits count over the account, not the application.
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

    /// Makes a job: each call makes another, because the API has neither a token nor a name for them.
    fn make(&self, order: Order) -> String {
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

    /// Which shares a job has, and when they are done: all before the duration is over.
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
    async fn poll(self: &Arc<Self>, job: &Arc<Job>) -> Result<(), Failure> {
        let polls = {
            let mut progress = locked(&job.progress);
            progress.polls = progress.polls.saturating_add(1);
            progress.polls
        };
        if let Some((_, fault)) = self.behaviour.poll.filter(|(times, _)| polls <= *times) {
            return Err(failure(fault, job.order.way));
        }
        // A task of its own goes on when the caller hangs up or patience ends.
        let (service, same_job) = (Arc::clone(self), Arc::clone(job));
        let advancing = tokio::spawn(async move { service.advance(&same_job).await });
        let _ = tokio::time::timeout(PATIENCE, advancing).await;
        Ok(())
    }

    async fn list(
        self: &Arc<Self>,
        application: &str,
        way: Way,
        segment: Option<&str>,
        query: &str,
    ) -> Result<(StatusCode, Value), Failure> {
        let parameter = |name: &str| {
            query.split('&').find_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                (key == name).then(|| percent_decode_str(value).decode_utf8_lossy().into_owned())
            })
        };
        let size = match parameter("page-size") {
            None => PAGE,
            Some(text) => match text.parse() {
                Ok(size @ 1..=100) => size,
                _ => return Err(bad_request("Invalid page size").into()),
            },
        };
        let is_asked = |job: &&Arc<Job>| {
            job.order.way == way
                && job.order.application == application
                && segment.is_none_or(|segment| job.order.segment.as_deref() == Some(segment))
        };
        // The order is not documented: newest first.
        let mut jobs: Vec<Arc<Job>> = self.state().jobs.iter().filter(is_asked).rev().cloned().collect();
        if let Some(token) = parameter("token") {
            let after = jobs.iter().find(|job| self.token(job) == token).map(|job| job.number);
            let after = after.ok_or_else(|| bad_request("Invalid token"))?;
            jobs.retain(|job| job.number < after);
        }
        let has_more = jobs.len() > size;
        jobs.truncate(size);
        for job in &jobs {
            // A list of one segment or application is how its jobs are polled.
            if segment.is_some() {
                self.poll(job).await?;
            }
        }
        let whole = self.behaviour.definitions == Definitions::Whole;
        let items: Vec<Value> = jobs.iter().map(|job| self.describe(job, whole)).collect();
        let mut page = json!({ "Item": items });
        if let Some(last) = jobs.last().filter(|_| has_more) {
            page["NextToken"] = json!(self.token(last));
        }
        Ok((StatusCode::OK, page))
    }

    fn token(&self, job: &Job) -> String {
        // With characters that have to be escaped in a query.
        format!("{}+/=", derived_hex(self.settings.seed, &["token", &job.id]))
    }

    /// A job as the answers show it.
    fn describe(&self, job: &Job, whole: bool) -> Value {
        let progress = locked(&job.progress);
        let age = (self.clock.now() - job.created).to_std().unwrap_or_default();
        let share = age.as_secs_f64() / self.settings.duration.as_secs_f64().max(0.001);
        // The order of the middle states is not documented.
        let status = match progress.end {
            Some((status, _)) => status,
            None if share < 0.05 => "CREATED",
            None if share < 0.1 => "PREPARING_FOR_INITIALIZATION",
            None if share < 0.2 => "INITIALIZING",
            None if progress.done == 0 && share < 0.3 => "PENDING_JOB",
            None if progress.done < job.parts.len() => "PROCESSING",
            None if self.behaviour.outcome == Outcome::Fails => "FAILING",
            None => "COMPLETING",
        };
        let mut body = json!({
            "ApplicationId": job.order.application,
            "CreationDate": job.created.to_rfc3339_opts(SecondsFormat::Millis, true),
            "Definition": if whole { job.order.definition.clone() } else { json!({}) },
            "Id": job.id,
            "JobStatus": status,
            "Type": job.order.way.name(),
        });
        // Counters appear late: a job that was just made has none.
        if share >= 0.2 || progress.end.is_some() {
            let failed = usize::from(status == "FAILED" || status == "FAILING");
            body["TotalPieces"] = json!(job.parts.len());
            body["CompletedPieces"] = json!(progress.done.saturating_sub(failed));
            body["FailedPieces"] = json!(failed);
        }
        if progress.done > 0 || progress.end.is_some() {
            body["TotalProcessed"] = json!(progress.processed);
            body["TotalFailures"] = json!(progress.failures);
        }
        if !progress.failed_entries.is_empty() {
            body["Failures"] = json!(progress.failed_entries);
        }
        if let Some((_, at)) = progress.end {
            body["CompletionDate"] = json!(at.to_rfc3339_opts(SecondsFormat::Millis, true));
        }
        body
    }

    /// Does what is due for a job.
    async fn advance(&self, job: &Job) {
        let _turn = job.turn.lock().await;
        loop {
            let age = (self.clock.now() - job.created).to_std().unwrap_or_default();
            let next = {
                let progress = locked(&job.progress);
                if progress.end.is_some() {
                    return;
                }
                job.parts.get(progress.done).cloned().map(|part| (progress.done, part))
            };
            let worked = match next {
                Some((number, part)) if age >= part.due => self.work(job, number, part).await,
                Some(_) => return,
                None if age < self.settings.duration || self.behaviour.outcome == Outcome::Never => return,
                None => {
                    let status = match self.behaviour.outcome {
                        Outcome::Fails => "FAILED",
                        Outcome::Says(status) => status,
                        _ => "COMPLETED",
                    };
                    locked(&job.progress).end = Some((status, self.clock.now()));
                    return;
                }
            };
            if let Err(error) = worked {
                tracing::warn!(job = job.id, "the work of a simulated job failed: {error:#}");
                locked(&job.progress).end = Some(("FAILED", self.clock.now()));
            }
        }
    }

    /// Does one share of the work.
    async fn work(&self, job: &Job, number: usize, part: Part) -> anyhow::Result<()> {
        let is_last = number + 1 == job.parts.len();
        let lost = is_last && matches!(self.behaviour.outcome, Outcome::Fails | Outcome::Never);
        let (processed, failed_entries) = match job.order.way {
            Way::Export => self.export(job, number, part, lost).await?,
            Way::Import => self.import(job).await?,
        };
        let mut progress = locked(&job.progress);
        progress.done += 1;
        progress.processed += processed;
        progress.failures += failed_entries.len() as u64;
        let room = 100 - progress.failed_entries.len().min(100);
        progress.failed_entries.extend(failed_entries.into_iter().take(room));
        Ok(())
    }

    async fn export(&self, job: &Job, number: usize, mut part: Part, lost: bool) -> anyhow::Result<(u64, Vec<String>)> {
        let order = &job.order;
        let processed = part.numbers.end - part.numbers.start;
        let generator = Endpoints::new(self.settings.seed, self.settings.endpoints);
        let mut failed = Vec::new();
        if number == 0 && self.behaviour.outcome == Outcome::CompletesWithFailures {
            let end = part.numbers.end.min(part.numbers.start + FAILURES);
            failed = (part.numbers.start..end)
                .map(|i| generator.endpoint(i).to_string())
                .collect();
            part.numbers.start = end;
        }
        if number == 0 {
            // That other objects may lie beside the files is why AWS's samples keep `*.gz` only.
            let text = format!("Amazon Pinpoint export {}\n", job.id);
            self.sink
                .put(
                    &order.bucket,
                    &format!("{}export-info.txt", order.prefix),
                    text.into(),
                    None,
                )
                .await?;
        }
        if lost || self.behaviour.output == Output::Missing {
            return Ok((processed, failed));
        }
        let application = order.application.clone();
        // gzip may be of several members.
        let members = if number == 1 { 3 } else { 1 };
        // Off the threads that answer requests: a large part takes seconds.
        let body = heavy(move || {
            let mut body = generator.export(&application, part.numbers, members)?;
            if part.truncated {
                let middle = body.len() / 2;
                // At the border of two members it would be a whole file of fewer rows.
                let is_border = body[middle..].starts_with(&GZIP);
                body.truncate(middle - usize::from(is_border));
            }
            anyhow::Ok(body)
        })
        .await??;
        // The names of the files are not documented (reference P2).
        let uuid = derived_uuid(self.settings.seed, &["export", &job.id]);
        let day = job.created.format("%Y/%m/%d");
        let key = format!("{}{day}/{uuid}-{number:05}.gz", order.prefix);
        self.sink.put(&order.bucket, &key, body.into(), None).await?;
        Ok((processed, failed))
    }

    /// Reads the source. Gives the rows and the entries that failed.
    async fn import(&self, job: &Job) -> anyhow::Result<(u64, Vec<String>)> {
        let order = &job.order;
        let is_csv = order.definition["Format"] == "CSV";
        let keys = self.source.list(&order.bucket, &order.prefix).await?;
        // Of mixed folders only files of the format are read; how it tells them is not documented.
        let suffixes: &[&str] = if is_csv {
            &[".csv"]
        } else {
            &[".json", ".jsonl", ".ndjson"]
        };
        let keys = keys
            .into_iter()
            .filter(|key| *key == order.prefix || suffixes.iter().any(|suffix| key.ends_with(suffix)));
        let (mut rows, mut failed) = (0, Vec::new());
        for key in keys {
            let body = self.source.get(&order.bucket, &key).await?;
            if body.starts_with(b"\x1f\x8b") {
                bail!("{key} is compressed");
            }
            for entry in entries(&body, is_csv)? {
                rows += 1;
                let has = |pointer: &str| {
                    entry
                        .pointer(pointer)
                        .and_then(Value::as_str)
                        .is_some_and(|text| !text.is_empty())
                };
                if !(has("/Address") || has("/Id") || has("/User.UserId") || has("/User/UserId")) {
                    failed.push(entry.to_string());
                }
            }
        }
        if rows == 0 {
            bail!("there is nothing to import");
        }
        if self.behaviour.outcome == Outcome::CompletesWithFailures {
            let address = "invented@example.com";
            failed.extend((0..FAILURES.min(rows)).map(|i| format!("Invalid Address {address} at line {i}")));
        }
        Ok((rows, failed))
    }

    fn answer(
        &self,
        at: DateTime<Utc>,
        operation: Operation,
        answer: Result<(StatusCode, Value), Failure>,
    ) -> Response<Bytes> {
        let mut state = self.state();
        let id = derived_uuid(
            self.settings.seed,
            &["pinpoint request", &state.calls.len().to_string()],
        );
        let response = match answer {
            Ok((status, body)) => json_response(status, &id, &body),
            Err(Failure { refusal, cut }) => {
                // Pinpoint's errors have their own two members.
                let body = json!({ "Message": refusal.message, "RequestID": id });
                let mut response = refusal.into_response(&id);
                *response.body_mut() = Bytes::from(body.to_string());
                if cut {
                    response.extensions_mut().insert(ConnectionCut);
                }
                response
            }
        };
        state.calls.push(Call {
            at,
            operation,
            status: response.status().as_u16(),
        });
        response
    }
}
