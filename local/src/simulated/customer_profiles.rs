//! Amazon Connect Customer Profiles, as far as segment snapshots need it.
//!
//! What must stay true: members, constraints and errors are those of the API model (2020-08-15, REST-JSON). What the
//! model lacks is lacking here too: there is no list of snapshots, no client token, no counts, no times. Where AWS
//! documents nothing, a comment says so, and a verifier must be able to live with the choice. A job's state follows
//! from the clock alone. COMPLETED is never told before the last file was written.

mod call;
mod estimate;
mod order;
mod scenario;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use futures::future::join_all;
use http::{Request, Response, StatusCode};
use landfall::{clock::Clock, heavy::heavy};
use serde_json::{Map, Value, json};

pub use self::{
    call::Operation,
    scenario::{MANY_FILES, Scenario},
};
use self::{
    call::{Route, bad_request, failure, not_found, throttled},
    order::{Faults, Order, SNAPSHOT_ID},
    scenario::{Behaviour, Flaw, Outcome, Output},
};
use super::{
    Call, Failure, Refusal, SimulatedService, Sink, derived_hex, derived_uuid, json_response,
    profiles::Profiles,
    simulator::{Asked, Made, Simulator, Storage},
};

/// When the late file of [`Scenario::LateFile`] lands after the first answer COMPLETED. It is counted from the answer
/// and not from the completion. So the file lands while the caller verifies, however rarely the caller polls.
pub const LATENESS: Duration = Duration::from_secs(1);

/// How long a poll waits for files that are due. If a large export takes longer to write, the poll answers IN_PROGRESS
/// and the writing goes on. [`CustomerProfiles::advance`] waits as long as it takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the simulated service behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many profiles the segment has.
    pub profiles: u64,
    /// How long a job takes.
    pub duration: Duration,
    /// How many data files a job writes. It never writes more files than there are profiles.
    pub files: usize,
    /// What goes wrong.
    pub scenario: Scenario,
    /// The seed of ids and profiles.
    pub seed: u64,
    /// How many snapshots a domain may make in a day. The real service allows 200 by default.
    pub snapshots_per_day: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            profiles: 1000,
            duration: Duration::from_secs(6),
            files: 3,
            scenario: Scenario::Success,
            seed: 0,
            snapshots_per_day: 200,
        }
    }
}

/// The simulated service.
pub struct CustomerProfiles {
    service: Arc<Service>,
}

impl CustomerProfiles {
    /// A service without snapshots. It writes files to `sink` and takes the time from `clock`.
    pub fn new(sink: Arc<dyn Sink>, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self {
            service: Arc::new(Service {
                sink,
                clock,
                behaviour: settings.scenario.behaviour(),
                settings,
                patience: PATIENCE,
                state: Mutex::default(),
            }),
        }
    }

    /// Removes a domain: from now on, calls that name it are answered 404.
    pub fn remove_domain(&self, name: impl Into<String>) {
        self.service.state().missing_domains.push(name.into());
    }

    /// Every call so far, in order.
    pub fn calls(&self) -> Vec<Call<Operation>> {
        self.service.state().calls.clone()
    }

    /// How many GetSegmentSnapshot calls came, including refused ones.
    pub fn polls(&self) -> usize {
        self.count(Operation::Get)
    }

    /// The ids of the snapshots that were made, by DestinationUri as it was given.
    pub fn snapshots_by_destination(&self) -> BTreeMap<String, Vec<String>> {
        let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for snapshot in self.jobs_made() {
            ids.entry(snapshot.place).or_default().push(snapshot.id);
        }
        ids
    }

    fn count(&self, operation: Operation) -> usize {
        let state = self.service.state();
        state.calls.iter().filter(|call| call.operation == operation).count()
    }
}

impl Simulator for CustomerProfiles {
    const SIGNING_NAME: &'static str = "profile";
    const PATH: &'static str = "/domains/";
    const JOBS: &'static str = "Segment snapshots";
    type Scenario = Scenario;
    type Settings = Settings;

    fn simulate(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self::new(storage, clock, settings)
    }

    fn settings(asked: &Asked, scenario: Scenario) -> Settings {
        let usual = Settings::default();
        Settings {
            profiles: asked.rows.unwrap_or(usual.profiles),
            duration: asked.duration.unwrap_or(usual.duration),
            files: asked.files.unwrap_or(usual.files),
            seed: asked.seed.unwrap_or(usual.seed),
            scenario,
            ..usual
        }
    }

    fn jobs_made(&self) -> Vec<Made> {
        let state = self.service.state();
        let mut jobs: Vec<&Arc<Job>> = state.jobs.values().collect();
        jobs.sort_by_key(|job| job.number);
        let made = |job: &&Arc<Job>| Made {
            id: job.id.clone(),
            place: job.order.destination.text.clone(),
            created: job.created,
            user: None,
        };
        jobs.iter().map(made).collect()
    }

    fn jobs_completed(&self) -> BTreeSet<String> {
        let state = self.service.state();
        let jobs = state.jobs.values();
        let is_completed = |job: &&Arc<Job>| locked(&job.progress).status == Status::Completed;
        jobs.filter(is_completed).map(|job| job.id.clone()).collect()
    }

    fn all_calls(&self) -> usize {
        self.service.state().calls.len()
    }

    fn start_calls(&self) -> usize {
        self.count(Operation::Create)
    }
}

#[async_trait]
impl SimulatedService for CustomerProfiles {
    fn signing_name(&self) -> &'static str {
        Self::SIGNING_NAME
    }

    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let at = self.service.clock.now();
        let route = Route::of(request.method(), request.uri().path());
        let operation = route.operation();
        let answer = match route {
            Route::Create { domain, segment } => self.service.create(domain, segment, request.body()).await,
            Route::Get { domain, segment, id } => self.service.get(domain, segment, id).await,
            Route::Definition { domain, segment } => self.service.definition(domain, segment),
            Route::Estimate { domain } => self.service.estimate(domain, request.body()),
            Route::Estimated { domain, id } => self.service.estimated(domain, id),
            Route::Unknown => Err(Refusal::unknown_operation().into()),
        };
        self.service.answer(at, operation, answer)
    }

    async fn advance(&self) {
        let jobs: Vec<Arc<Job>> = self.service.state().jobs.values().cloned().collect();
        join_all(jobs.iter().map(|job| self.service.advance(job))).await;
    }
}

struct Service {
    sink: Arc<dyn Sink>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    behaviour: Behaviour,
    patience: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many valid CreateSegmentSnapshot calls came. The first ones get the fault of the scenario.
    starts: u32,
    /// Numbers given to jobs.
    numbered: u32,
    jobs: BTreeMap<String, Arc<Job>>,
    /// Snapshots by day and domain.
    used: BTreeMap<(NaiveDate, String), u32>,
    missing_domains: Vec<String>,
    /// When each estimate was asked for, by its id.
    estimates: BTreeMap<String, DateTime<Utc>>,
    calls: Vec<Call<Operation>>,
}

struct Job {
    number: u32,
    id: String,
    created: DateTime<Utc>,
    order: Order,
    parts: Vec<Part>,
    progress: Mutex<Progress>,
    /// Held while files are written, so that no two callers write the same one.
    turn: tokio::sync::Mutex<()>,
}

struct Progress {
    status: Status,
    /// How many of the parts were written.
    written: usize,
    polls: u32,
    completion_told: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Status {
    InProgress,
    Completed,
    Failed(String),
    Says(&'static str),
}

/// A data file to be written.
#[derive(Clone, Debug)]
struct Part {
    rows: Range<u64>,
    due: Due,
    flaw: Flaw,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    /// So long after creation.
    AfterCreation(Duration),
    /// [`LATENESS`] after completion was first told.
    Late,
}

/// What comes next for a job.
enum Step {
    Write(usize),
    End,
    Nothing,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No lock is held across anything that can panic halfway through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    async fn create(&self, domain: &str, segment: &str, body: &[u8]) -> Result<Value, Failure> {
        let order = Order::parse(domain, segment, body)?;
        self.check_domain(domain)?;
        let fault = {
            let mut state = self.state();
            state.starts = state.starts.saturating_add(1);
            self.behaviour.start.filter(|fault| state.starts <= fault.times)
        };
        if let Some(fault) = fault {
            if fault.takes_effect {
                self.make(order.clone()).await?;
            }
            let doing = format!("profile:CreateSegmentSnapshot on domain {domain}");
            return Err(failure(fault.answer, &doing, "domain", domain));
        }
        let id = self.make(order).await?;
        Ok(json!({ "SnapshotId": id }))
    }

    /// Makes a job. Each call makes another one, because the API has neither a token nor a name for jobs.
    async fn make(&self, order: Order) -> Result<String, Refusal> {
        let created = self.clock.now();
        let number = {
            let mut state = self.state();
            // When the day begins and which error says that it is used up is not documented (reference CP10).
            let used = state
                .used
                .entry((created.date_naive(), order.domain.clone()))
                .or_default();
            if self.behaviour.quota_used_up || *used >= self.settings.snapshots_per_day {
                return Err(throttled(
                    "The daily quota of segment snapshots for this domain is used up.",
                ));
            }
            *used += 1;
            state.numbered = state.numbered.saturating_add(1);
            state.numbered
        };
        // AWS documents that a test file is put beside the export, and neither its name nor its content (reference
        // 1.4, CP3). Whether a bucket that cannot be written to is refused here or fails the job later is not
        // documented either (CP17); the test file suggests that it is tried here.
        let test = Bytes::from_static(b"Amazon Connect Customer Profiles test file\n");
        if let Err(error) = self.put(&order, "customer-profiles-test-file", test).await {
            return Err(bad_request(format!("Unable to write to DestinationUri: {error:#}")));
        }
        let id = derived_hex(self.settings.seed, &["snapshot", &number.to_string()]);
        let job = Job {
            number,
            id: id.clone(),
            created,
            order,
            parts: self.plan(),
            progress: Mutex::new(Progress {
                status: Status::InProgress,
                written: 0,
                polls: 0,
                completion_told: None,
            }),
            turn: tokio::sync::Mutex::default(),
        };
        self.state().jobs.insert(id.clone(), Arc::new(job));
        Ok(id)
    }

    async fn get(self: &Arc<Self>, domain: &str, segment: &str, id: &str) -> Result<Value, Failure> {
        let mut faults = Faults::default();
        faults.check_name("domainName", domain);
        faults.check_name("segmentDefinitionName", segment);
        faults.check_pattern("snapshotId", id, &SNAPSHOT_ID);
        faults.into_result()?;
        self.check_domain(domain)?;
        let not_found = || not_found(format!("Segment snapshot {id} not found."));
        let job = self.state().jobs.get(id).cloned().ok_or_else(not_found)?;
        if job.order.domain != domain || job.order.segment != segment {
            return Err(not_found().into());
        }
        let polls = {
            let mut progress = locked(&job.progress);
            progress.polls = progress.polls.saturating_add(1);
            progress.polls
        };
        if let Some(fault) = self.behaviour.poll.filter(|fault| polls <= fault.times) {
            let doing = format!("profile:GetSegmentSnapshot on domain {domain}");
            return Err(failure(fault.answer, &doing, "segment snapshot", id));
        }
        // A task of its own goes on when the caller hangs up or the wait ends.
        let (service, same_job) = (Arc::clone(self), Arc::clone(&job));
        let advancing = tokio::spawn(async move { service.advance(&same_job).await });
        let _ = tokio::time::timeout(self.patience, advancing).await;
        Ok(self.describe(&job))
    }

    /// How many profiles the segment has.
    fn profiles(&self) -> u64 {
        if self.behaviour.empty {
            0
        } else if self.behaviour.least_files > 1 {
            self.settings.profiles.max(self.behaviour.least_files)
        } else {
            self.settings.profiles
        }
    }

    fn describe(&self, job: &Job) -> Value {
        let mut progress = locked(&job.progress);
        let (status, message) = match &progress.status {
            Status::InProgress => ("IN_PROGRESS", None),
            Status::Completed => ("COMPLETED", None),
            Status::Failed(message) => ("FAILED", Some(message.clone())),
            Status::Says(status) => (*status, None),
        };
        if progress.status == Status::Completed {
            progress.completion_told.get_or_insert_with(|| self.clock.now());
        }
        let mut body = Map::new();
        let optional = [
            ("StatusMessage", message.as_ref()),
            ("EncryptionKey", job.order.encryption_key.as_ref()),
            ("RoleArn", job.order.role_arn.as_ref()),
        ];
        body.insert("SnapshotId".to_owned(), json!(job.id));
        body.insert("Status".to_owned(), json!(status));
        body.insert("DataFormat".to_owned(), json!(job.order.format.name()));
        body.insert("DestinationUri".to_owned(), json!(job.order.destination.text));
        for (name, value) in optional {
            if let Some(value) = value {
                body.insert(name.to_owned(), json!(value));
            }
        }
        Value::Object(body)
    }

    /// The files that a job writes, and when each is due.
    fn plan(&self) -> Vec<Part> {
        let profiles = self.profiles();
        let in_time = u64::try_from(self.settings.files)
            .unwrap_or(u64::MAX)
            .max(self.behaviour.least_files)
            .clamp(1, profiles.max(1));
        let late = u64::from(self.behaviour.output == Output::OneLate);
        let count = in_time + late;
        let rows = |i: u64| {
            // Through u128, because the product may be larger than u64.
            let bound = |i: u64| (u128::from(profiles) * u128::from(i) / u128::from(count)) as u64;
            bound(i)..bound(i + 1)
        };
        let due = |i: u64| {
            if i >= in_time {
                return Due::Late;
            }
            // Evenly over the duration, and the last one just before it is over.
            let share = (i + 1) as f64 / in_time as f64;
            Due::AfterCreation(self.settings.duration.mul_f64(share - share.min(0.02)))
        };
        let part = |i: u64| Part {
            rows: rows(i),
            due: due(i),
            flaw: Flaw::None,
        };
        let mut parts: Vec<Part> = (0..count).map(part).collect();
        match self.behaviour.output {
            Output::Whole | Output::OneLate => {}
            Output::Missing => parts.clear(),
            Output::LastIs(flaw) => {
                if let Some(last) = parts.last_mut() {
                    last.flaw = flaw;
                }
            }
        }
        if matches!(self.behaviour.outcome, Outcome::Fails(_) | Outcome::Never) {
            parts.pop();
        }
        parts
    }

    /// Does what is due for a job.
    async fn advance(&self, job: &Job) {
        let _turn = job.turn.lock().await;
        loop {
            let step = self.next_step(job);
            match step {
                Step::Nothing => return,
                Step::End => {
                    locked(&job.progress).status = match self.behaviour.outcome {
                        Outcome::Fails(message) => Status::Failed(message.to_owned()),
                        Outcome::Says(status) => Status::Says(status),
                        Outcome::Completes | Outcome::Never => Status::Completed,
                    };
                }
                Step::Write(number) => {
                    let written = self.write(job, number).await;
                    let mut progress = locked(&job.progress);
                    // Whether or not it was written, it counts as done: a job that could not write it has failed.
                    progress.written += 1;
                    if let Err(error) = written {
                        tracing::warn!(
                            snapshot = job.id,
                            "a file of the export could not be written: {error:#}"
                        );
                        let message: String = format!("Unable to write to DestinationUri: {error:#}");
                        progress.status = Status::Failed(message.chars().take(1000).collect());
                        progress.written = job.parts.len();
                    }
                }
            }
        }
    }

    fn next_step(&self, job: &Job) -> Step {
        let now = self.clock.now();
        let passed = |since: DateTime<Utc>, duration: Duration| (now - since).to_std().is_ok_and(|age| age >= duration);
        let progress = locked(&job.progress);
        let next = job.parts.get(progress.written);
        if let Some(part) = next {
            let due = match part.due {
                Due::AfterCreation(duration) => passed(job.created, duration),
                Due::Late => progress.completion_told.is_some_and(|told| passed(told, LATENESS)),
            };
            if due {
                return Step::Write(progress.written);
            }
        }
        let all_in_time = next.is_none_or(|part| matches!(part.due, Due::Late));
        let over = passed(job.created, self.settings.duration) && self.behaviour.outcome != Outcome::Never;
        if progress.status == Status::InProgress && all_in_time && over {
            return Step::End;
        }
        Step::Nothing
    }

    async fn write(&self, job: &Job, number: usize) -> anyhow::Result<()> {
        let part = job.parts.get(number).context("no such part")?.clone();
        let profiles = self.profiles();
        let generator = Profiles::new(self.settings.seed, profiles);
        let asked = job.order.format;
        // Off the threads that answer requests: a large part takes seconds.
        let body = heavy(move || match part.flaw {
            Flaw::None => generator.encode(asked, part.rows),
            Flaw::Empty => Ok(Vec::new()),
            Flaw::Truncated => generator.encode_truncated(asked, part.rows),
            Flaw::OtherFormat => generator.encode(asked.another(), part.rows),
        })
        .await??;
        // Key names are not documented (reference CP1); this is what Spark jobs write.
        let uuid = derived_uuid(self.settings.seed, &["part", &job.id]);
        let name = format!("part-{number:05}-{uuid}.{}", asked.extension());
        self.put(&job.order, &name, Bytes::from(body)).await
    }

    async fn put(&self, order: &Order, name: &str, body: Bytes) -> anyhow::Result<()> {
        let key = format!("{}{name}", order.destination.prefix);
        let kms_key = order.encryption_key.as_deref().filter(|key| !key.is_empty());
        self.sink.put(&order.destination.bucket, &key, body, kms_key).await
    }

    fn check_domain(&self, domain: &str) -> Result<(), Refusal> {
        if self.state().missing_domains.iter().any(|missing| missing == domain) {
            return Err(not_found(format!("Domain {domain} not found.")));
        }
        Ok(())
    }

    fn answer(&self, at: DateTime<Utc>, operation: Operation, answer: Result<Value, Failure>) -> Response<Bytes> {
        let mut state = self.state();
        let id = derived_uuid(self.settings.seed, &["request", &state.calls.len().to_string()]);
        let (response, error) = match answer {
            Ok(body) => (json_response(StatusCode::OK, &id, &body), None),
            Err(failure) => {
                let response = failure.response(&id, &failure.refusal.body());
                (response, Some(failure.refusal.code))
            }
        };
        state.calls.push(Call {
            at,
            operation,
            status: response.status().as_u16(),
            error,
        });
        response
    }
}

#[cfg(test)]
mod tests;
