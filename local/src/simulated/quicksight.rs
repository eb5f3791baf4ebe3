//! Amazon Quick Sight, as far as dashboard snapshot jobs need it.
//!
//! What must stay true: methods, paths, members and errors are those of the API model (2018-04-01, REST-JSON). The
//! caller gives the id, and one id is one job. The status 409 means both an id in use and a full service. Denied access
//! is 401. Describe tells the keys of tags and never their values. Where AWS documents nothing (names of files, how a
//! prefix is joined, what an early look at a result gets), a comment says so, and a caller must be able to live with
//! the choice. A job's state follows from the clock. COMPLETED is never told before the last file was written.

mod call;
pub mod files;
mod identity;
mod order;
mod output;
mod scenario;
mod sessions;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Result;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use http::{Request, Response, StatusCode};
use landfall::clock::Clock;
use serde_json::{Map, Value, json};

pub use self::{call::Operation, scenario::Scenario};
use self::{
    call::{Name, arn, failure, invalid, not_found, of_fault, route},
    identity::{Caller, Identities},
    order::{Order, is_id},
    scenario::{Behaviour, Fault, Last, Outcome},
};
use super::{
    Call, Failure, Refusal, SimulatedService, Sink, derived_uuid, json_response,
    simulator::{Asked, Made, Simulator, Storage},
};

/// How long the id of a job stays in use after the job has ended.
const ID_IN_USE: TimeDelta = TimeDelta::hours(24);

/// How many calls a second are allowed in [`Scenario::RateLimited`].
const CALLS_PER_SECOND: usize = 10;

/// How many reads do not find the result in [`Scenario::ResultLate`].
const LATE_READS: u32 = 3;

/// How long a poll waits for files that are due.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the simulated service behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many rows the table of a visual has.
    pub rows: u64,
    /// How long a job takes, including its time in the queue.
    pub duration: Duration,
    /// What goes wrong.
    pub scenario: Scenario,
    /// The seed of ids and rows.
    pub seed: u64,
    /// How many jobs of an account may be queued or running at a time. The real service allows 12 by default.
    pub jobs_at_once: usize,
    /// The region of the calls, and so of the buckets.
    pub region: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rows: 1000,
            duration: Duration::from_secs(6),
            scenario: Scenario::Success,
            seed: 0,
            jobs_at_once: 12,
            region: crate::account::REGION.to_owned(),
        }
    }
}

/// The simulated service.
pub struct QuickSight {
    service: Arc<Service>,
}

impl QuickSight {
    /// A service without jobs. It writes files to `sink` and takes the time from `clock`.
    pub fn new(sink: Arc<dyn Sink>, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self {
            service: Arc::new(Service {
                sink,
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
}

impl Simulator for QuickSight {
    const SIGNING_NAME: &'static str = "quicksight";
    const PATH: &'static str = "/accounts/";
    const JOBS: &'static str = "Dashboard snapshots";
    type Scenario = Scenario;
    type Settings = Settings;

    fn simulate(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self::new(storage, clock, settings)
    }

    fn settings(asked: &Asked, scenario: Scenario) -> Settings {
        let usual = Settings::default();
        Settings {
            rows: asked.rows.unwrap_or(usual.rows),
            duration: asked.duration.unwrap_or(usual.duration),
            jobs_at_once: asked.at_once.unwrap_or(usual.jobs_at_once),
            seed: asked.seed.unwrap_or(usual.seed),
            scenario,
            ..usual
        }
    }

    fn jobs_made(&self) -> Vec<Made> {
        self.service.state().made.clone()
    }

    fn jobs_completed(&self) -> BTreeSet<String> {
        let ends_well = self.service.behaviour.outcome == Outcome::Completes;
        let state = self.service.state();
        let is_completed = |job: &&Arc<Job>| ends_well && locked(&job.progress).ended.is_some();
        let jobs = state.jobs.values().filter(is_completed);
        jobs.map(|job| job.name.job.clone()).collect()
    }

    fn all_calls(&self) -> usize {
        self.service.state().calls.len()
    }

    fn start_calls(&self) -> usize {
        let state = self.service.state();
        let is_start = |call: &&Call<Operation>| call.operation == Operation::Start;
        state.calls.iter().filter(is_start).count()
    }
}

#[async_trait]
impl SimulatedService for QuickSight {
    fn signing_name(&self) -> &'static str {
        Self::SIGNING_NAME
    }

    /// It also answers STS, as far as sessions of its users need it. It knows the caller by the credentials that it
    /// gave.
    fn answers(&self, signing_name: &str) -> bool {
        matches!(signing_name, Self::SIGNING_NAME | "sts")
    }

    async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let service = &self.service;
        let at = service.clock.now();
        let (operation, name) = route(request.method(), request.uri().path());
        if operation == Operation::Session {
            return service.assume_role(at, &request);
        }
        let caller = service.state().identities.caller(&request, at);
        let answer = match (operation, name) {
            (Operation::Unknown, _) | (_, None) => Err(Refusal::unknown_operation().into()),
            (operation, Some(name)) => match service.admit(&name, at) {
                Err(failure) => Err(failure),
                Ok(()) => match operation {
                    Operation::Identity => service.identity_context(&name, &request, at),
                    Operation::Start => service.start(name, request.body(), &caller).await,
                    Operation::Describe => service.describe(&name, &caller).await,
                    _ => service.result(&name, &caller).await,
                },
            },
        };
        service.answer(at, operation, answer)
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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many valid start calls came. The first ones get the fault of the scenario.
    starts: u32,
    jobs: BTreeMap<Name, Arc<Job>>,
    made: Vec<Made>,
    identities: Identities,
    calls: Vec<Call<Operation>>,
}

struct Job {
    name: Name,
    /// The registered user who started it.
    user: Option<String>,
    created: DateTime<Utc>,
    order: Order,
    progress: Mutex<Progress>,
    /// Held while files are written, so that no two callers write the same one.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Progress {
    polls: u32,
    result_reads: u32,
    /// When it ended, with the S3Results of each file.
    ended: Option<(DateTime<Utc>, Vec<Vec<Value>>)>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No lock is held across anything that can panic halfway through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// Checks what holds for every call.
    fn admit(&self, name: &Name, at: DateTime<Utc>) -> Result<(), Failure> {
        if name.account.len() != 12 || !name.account.bytes().all(|c| c.is_ascii_digit()) {
            return Err(invalid(
                "Value at 'AwsAccountId' failed to satisfy constraint: Member must satisfy regular expression pattern: \
                 ^[0-9]{12}$",
            ));
        }
        for (member, id) in [("DashboardId", &name.dashboard), ("SnapshotJobId", &name.job)] {
            // A member that is not in the path is empty.
            if !(is_id(id) || id.is_empty()) {
                return Err(invalid(format!(
                    r"Value at '{member}' failed to satisfy constraint: Member must satisfy regular expression pattern: [\w\-]+"
                )));
            }
        }
        let state = self.state();
        let recent = state
            .calls
            .iter()
            .rev()
            .take_while(|call| at - call.at < TimeDelta::seconds(1));
        if self.behaviour.rate_limited && recent.count() >= CALLS_PER_SECOND {
            return Err(of_fault(Fault::Throttled, name));
        }
        Ok(())
    }

    async fn start(&self, mut name: Name, body: &[u8], caller: &Caller) -> Result<Value, Failure> {
        let user = caller.user(&self.settings.region)?;
        let order = Order::parse(body, &self.settings.region, user.is_some())?;
        name.job.clone_from(&order.id);
        let number = {
            let mut state = self.state();
            state.starts = state.starts.saturating_add(1);
            state.starts
        };
        let fault = self.behaviour.start.filter(|(times, _)| number <= *times);
        if let Some((_, fault)) = fault {
            if self.behaviour.accepted {
                self.make(&name, user.clone(), order)?;
            }
            return Err(of_fault(fault, &name));
        }
        if self.behaviour.id_taken && number == 1 {
            let mut other = order.clone();
            if let Some(sheet) = other
                .configuration
                .pointer_mut("/FileGroups/0/Files/0/SheetSelections/0/SheetId")
            {
                *sheet = json!("another-sheet");
            }
            self.make(&name, user.clone(), other)?;
        }
        let arn = arn(&self.settings.region, &name);
        self.make(&name, user.clone(), order)?;
        Ok(json!({ "Arn": arn, "SnapshotJobId": name.job }))
    }

    fn make(&self, name: &Name, user: Option<String>, order: Order) -> Result<(), Failure> {
        let now = self.clock.now();
        let mut state = self.state();
        if let Some(job) = state.jobs.get(name) {
            // Whether a call with the very same request is refused as well is not documented (reference Q4).
            let ended = locked(&job.progress).ended.as_ref().map(|(at, _)| *at);
            if ended.is_none_or(|at| now - at < ID_IN_USE) {
                return Err(failure(
                    StatusCode::CONFLICT,
                    "ResourceExistsException",
                    format!("Dashboard snapshot job with id {} already exists", name.job),
                ));
            }
        }
        // Whether queued jobs count is not documented (reference Q5).
        let busy = state
            .jobs
            .values()
            .filter(|job| job.name.account == name.account && locked(&job.progress).ended.is_none())
            .count();
        if busy >= self.settings.jobs_at_once {
            return Err(of_fault(Fault::Full, name));
        }
        state.made.push(Made {
            id: name.job.clone(),
            created: now,
            place: format!("s3://{}/{}", order.bucket, order.prefix),
            user: user.clone(),
        });
        let job = Job {
            name: name.clone(),
            user,
            created: now,
            order,
            progress: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        };
        state.jobs.insert(name.clone(), Arc::new(job));
        Ok(())
    }

    /// A job, for whoever started it. AWS does not document whether a registered user may see the job of an anonymous
    /// reader.
    fn job(&self, name: &Name, caller: &Caller) -> Result<Arc<Job>, Failure> {
        let user = caller.user(&self.settings.region)?;
        let missing = || not_found(format!("Dashboard snapshot job with id {} is not found", name.job));
        let job = self.state().jobs.get(name).cloned().ok_or_else(missing)?;
        if job.user != user {
            return Err(of_fault(Fault::Denied, name));
        }
        Ok(job)
    }

    async fn describe(self: &Arc<Self>, name: &Name, caller: &Caller) -> Result<Value, Failure> {
        let job = self.job(name, caller)?;
        let polls = {
            let mut progress = locked(&job.progress);
            progress.polls = progress.polls.saturating_add(1);
            progress.polls
        };
        if let Some((_, fault)) = self.behaviour.poll.filter(|(times, _)| polls <= *times) {
            return Err(of_fault(fault, name));
        }
        self.catch_up(&job).await;
        let mut body = self.describe_state(&job);
        let more = json!({
            "AwsAccountId": name.account,
            "DashboardId": name.dashboard,
            "SnapshotJobId": name.job,
            "UserConfiguration": job.order.user,
            "SnapshotConfiguration": job.order.configuration,
            // In this answer the status is a member of the body.
            "Status": 200,
        });
        if let Value::Object(more) = more {
            body.extend(more);
        }
        Ok(Value::Object(body))
    }

    async fn result(self: &Arc<Self>, name: &Name, caller: &Caller) -> Result<Value, Failure> {
        let job = self.job(name, caller)?;
        self.catch_up(&job).await;
        let early = || {
            // The words are documented, the error is not (reference Q12).
            let message = format!(
                "Dashboard Snapshot Job with id {} has not reached a terminal state.",
                name.job
            );
            failure(StatusCode::BAD_REQUEST, "PreconditionNotMetException", message)
        };
        let (results, reads) = {
            let mut progress = locked(&job.progress);
            let Some((_, results)) = progress.ended.clone() else {
                return Err(early());
            };
            progress.result_reads = progress.result_reads.saturating_add(1);
            (results, progress.result_reads)
        };
        let mut body = self.describe_state(&job);
        if self.behaviour.result_late && reads <= LATE_READS {
            return match reads {
                1 => Err(early()),
                2 => Err(invalid(format!("The result of job {} is not ready.", name.job))),
                _ => Ok(Value::Object(body)),
            };
        }
        if self.behaviour.outcome == Outcome::Fails {
            body.insert(
                "ErrorInfo".to_owned(),
                json!({"ErrorType": "INTERNAL_FAILURE", "ErrorMessage": "The dashboard could not be rendered."}),
            );
            return Ok(Value::Object(body));
        }
        let groups: Vec<_> = job
            .order
            .files
            .iter()
            .zip(results)
            .map(|(file, results)| json!({ "Files": [file.asked], "S3Results": results }))
            .collect();
        let readers = match job.user {
            Some(_) => "RegisteredUsers",
            None => "AnonymousUsers",
        };
        body.insert("Result".to_owned(), json!({ readers: [{ "FileGroups": groups }] }));
        Ok(Value::Object(body))
    }

    /// The members that both Describe operations tell.
    fn describe_state(&self, job: &Job) -> Map<String, Value> {
        let ended = locked(&job.progress).ended.as_ref().map(|(at, _)| *at);
        let queued = self.settings.duration / 4;
        let runs_since = job.created + TimeDelta::from_std(queued).unwrap_or_default();
        let now = self.clock.now();
        let (status, updated) = match ended {
            Some(at) => {
                let status = match self.behaviour.outcome {
                    Outcome::Fails => "FAILED",
                    Outcome::Says(status) => status,
                    Outcome::Completes | Outcome::Never => "COMPLETED",
                };
                (status, at)
            }
            None if now < runs_since => ("QUEUED", job.created),
            None => ("RUNNING", runs_since),
        };
        // Times are numbers of seconds.
        let seconds = |time: DateTime<Utc>| time.timestamp_millis() as f64 / 1000.0;
        Map::from_iter([
            ("Arn".to_owned(), json!(arn(&self.settings.region, &job.name))),
            ("JobStatus".to_owned(), json!(status)),
            ("CreatedTime".to_owned(), json!(seconds(job.created))),
            ("LastUpdatedTime".to_owned(), json!(seconds(updated))),
        ])
    }

    /// Brings a job up to the present, for as long as a caller waits. A task of its own goes on after that.
    async fn catch_up(self: &Arc<Self>, job: &Arc<Job>) {
        let (service, same) = (Arc::clone(self), Arc::clone(job));
        let advancing = tokio::spawn(async move { service.advance(&same).await });
        let _ = tokio::time::timeout(PATIENCE, advancing).await;
    }

    /// Ends a job that is due.
    async fn advance(&self, job: &Job) {
        let _turn = job.turn.lock().await;
        let now = self.clock.now();
        let is_due = (now - job.created)
            .to_std()
            .is_ok_and(|age| age >= self.settings.duration);
        let has_ended = locked(&job.progress).ended.is_some();
        if !is_due || has_ended || self.behaviour.outcome == Outcome::Never {
            return;
        }
        let mut results = Vec::new();
        let count = job.order.files.len();
        for (number, file) in job.order.files.iter().enumerate() {
            let is_last = number + 1 == count;
            // A failed job leaves its last file out.
            if is_last && self.behaviour.outcome == Outcome::Fails {
                continue;
            }
            let last = if is_last { self.behaviour.last } else { Last::Whole };
            results.push(self.write(job, number, file, last).await);
        }
        locked(&job.progress).ended = Some((now, results));
    }

    fn answer(&self, at: DateTime<Utc>, operation: Operation, answer: Result<Value, Failure>) -> Response<Bytes> {
        let mut state = self.state();
        let id = derived_uuid(self.settings.seed, &["request", &state.calls.len().to_string()]);
        let (response, error) = match answer {
            Ok(mut body) => {
                body["RequestId"] = json!(id);
                (json_response(StatusCode::OK, &id, &body), None)
            }
            Err(failure) => {
                // ResourceType is left out: its enumeration has no value for dashboards and their jobs.
                let body = json!({ "Message": failure.refusal.message, "RequestId": id });
                (failure.response(&id, &body), Some(failure.refusal.code))
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
