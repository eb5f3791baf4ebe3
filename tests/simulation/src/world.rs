//! One run: a few triggers, each delivered several times, in a world that depends only on the seed.
//!
//! What must stay true: everything that happens depends only on the seed. The functions are the real ones, and the
//! order of steps is that of the deployed definition. Only the world around them is simulated.

mod execution;
mod run;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use landfall::{
    config::Config,
    error::Error,
    input::{Input, read_input},
    invocation::{Deployment, Invocation},
    job::TaskError,
    ledger::{AttemptState, Entry},
    store::{ObjectStore, layer::Layered},
};
use landfall_local::{account, functions, kinds, simulated::SimulatedService, template::template};
use landfall_output::{
    seal::seal,
    step::{verify_job_within, verify_slice_within},
    verify::Limits,
};
use landfall_tests::{harness::config, memory_store::MemoryStore};
use serde_json::{Value, json};

pub use self::run::{run, run_counted};
use crate::{
    aftermath::{Aftermath, Announced, Ended, Passed},
    broken::Careless,
    dice::Dice,
    edge::{Edge, Open, Service},
    faults::{Budget, Mishap, StalledBy, Weather},
    invocation::{Birth, Call},
    kinds::{EXPORTS, Handlers, Kind, LEDGER, Landing, Simulated},
    log::Log,
    machine::Machine,
    plan::{Broken, Meddling, Plan},
    starts::{Start, Starts},
    tally::{CountingLedger, CountingService, Tally},
    time::{BEGINNING, MachineClock, Timeline},
};

/// The deployed definition for one kind.
pub fn machine(kind: &Kind) -> Result<Machine> {
    read(include_str!("../../../statemachine/export-job.asl.json"), kind)
}

/// A definition with the substitutions of one kind.
pub fn read(text: &str, kind: &Kind) -> Result<Machine> {
    let (start, poll) = (format!("{}-start", kind.name), format!("{}-poll", kind.name));
    Machine::read(
        text,
        &[
            ("Partition", account::PARTITION),
            ("Kind", kind.name),
            ("StartFunctionArn", &start),
            ("PollFunctionArn", &poll),
            ("VerifyFunctionArn", functions::VERIFY),
            ("SealFunctionArn", functions::SEAL),
            ("EventBusName", "default"),
        ],
    )
}

struct World {
    plan: Plan,
    machine: Machine,
    timeline: Timeline,
    config: Config,
    store: Arc<MemoryStore>,
    edge: Arc<dyn ObjectStore>,
    simulated: Simulated,
    service: Arc<Service>,
    handlers: Arc<dyn Handlers>,
    weather: Arc<Weather>,
    budget: Arc<Budget>,
    timeouts: BTreeMap<String, Duration>,
    log: Arc<Log>,
    /// How many invocations each delivery has made so far.
    invocations: Vec<AtomicU64>,
    running: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    announced: Vec<Announced>,
    passed: Vec<Passed>,
    caught: Vec<(usize, String)>,
    calls: Vec<Arc<Call>>,
    panics: Vec<String>,
    mishaps: u32,
    planted: Vec<String>,
}

/// The time-out of each function, from the template.
fn timeouts() -> Result<BTreeMap<String, Duration>> {
    let names = functions::functions(&kinds::KINDS, false).into_iter();
    names
        .map(|name| Ok((name.clone(), template()?.size(&name)?.timeout)))
        .collect()
}

impl World {
    fn build(
        plan: Plan,
        timeline: Timeline,
        keep_log: bool,
        tally: Option<&Arc<Tally>>,
    ) -> Result<(Arc<Self>, Arc<Landing>)> {
        let clock = Arc::new(MachineClock {
            timeline: timeline.clone(),
            skew: chrono::TimeDelta::zero(),
        });
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock) as Arc<_>));
        store.create_bucket(EXPORTS);
        store.create_bucket(LEDGER);
        plan.kind.prepare(&store, plan.character.rows)?;
        let edge: Arc<dyn ObjectStore> = match plan.broken {
            Some(broken @ (Broken::IgnoresAbsent | Broken::IgnoresMatch)) => {
                Arc::new(Layered::new(Arc::clone(&store) as Arc<_>, Careless(broken)))
            }
            _ => Arc::clone(&store) as Arc<_>,
        };
        let edge = match tally {
            Some(tally) => Arc::new(Layered::new(edge, CountingLedger(Arc::clone(tally)))),
            None => edge,
        };
        let log = Arc::new(Log::new(timeline.clone(), keep_log));
        log.tell_of_world(|| plan.describe());
        let weak: Arc<Mutex<Weak<Self>>> = Arc::default();
        let meddler = Arc::clone(&weak);
        let landing = Landing::new(Arc::clone(&store), move |key| {
            let world = meddler.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
            if let Some(world) = world {
                world.landed(key);
            }
        });
        let simulated = plan.kind.simulate(&plan.character, plan.seed, &landing, clock)?;
        let starts = Arc::new(Starts::default());
        let answers: Arc<dyn SimulatedService> = match tally {
            Some(tally) => Arc::new(CountingService {
                service: Arc::clone(&simulated.service),
                tally: Arc::clone(tally),
            }),
            None => Arc::clone(&simulated.service),
        };
        let open: Option<Open> = match tally {
            Some(_) => None,
            None => Some(Box::new(open(&plan, &store)?)),
        };
        let world = Arc::new(Self {
            machine: machine(&plan.kind)?,
            config: Config {
                max_running: plan.max_running,
                max_starts_per_day: plan.max_starts_per_day,
                ..config()?
            },
            service: Arc::new(Service {
                simulated: answers,
                open,
                triggers: plan.deliveries.iter().map(|delivery| delivery.trigger).collect(),
                starts,
                twice: plan.broken == Some(Broken::StartsTwice),
            }),
            handlers: plan.kind.handlers(),
            weather: Arc::new(plan.weather.clone()),
            budget: Arc::new(Budget::of(&plan.weather)),
            timeouts: timeouts()?,
            simulated,
            store,
            edge,
            timeline,
            log,
            invocations: plan.deliveries.iter().map(|_| AtomicU64::new(0)).collect(),
            running: AtomicUsize::new(0),
            state: Mutex::default(),
            plan,
        });
        *weak.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&world);
        Ok((world, landing))
    }

    /// Lets the service work on all its jobs, polled or not.
    async fn tick(self: Arc<Self>) {
        let step = Duration::from_millis(if self.plan.character.scenario == "late-file" {
            500
        } else {
            7000
        });
        loop {
            // After a while nobody waits for the remaining jobs.
            let rest = self.timeline.elapsed().as_secs() > 1200 && self.plan.character.scenario != "late-file";
            self.timeline.sleep(if rest { step * 20 } else { step }).await;
            self.simulated.service.advance().await;
        }
    }

    /// Removes foreign objects, as an operator does before a redrive.
    fn tidy_up(&self) {
        for key in std::mem::take(&mut self.state().planted) {
            self.log.tell_of_world(|| format!("{key} is moved away"));
            self.store.remove(EXPORTS, &key);
        }
    }

    /// Someone else may meddle with a data object that was just written.
    fn landed(self: &Arc<Self>, key: &str) {
        self.log.tell_of_world(|| format!("{key} lands"));
        let dice = Dice::of(self.plan.seed, "meddling", &[self.state().planted.len() as u64]);
        if self.plan.meddling == Meddling::None || dice.chance(0.3) {
            return;
        }
        let folder = key.find("run=").map_or(0, |at| {
            at + key[at..].find('/').map_or(key.len() - at, |slash| slash + 1)
        });
        let destination = self.plan.kind.destination;
        let (target, body): (String, Option<&str>) = match self.plan.meddling {
            Meddling::None => return,
            Meddling::Notes => (format!("{}notes.txt", &key[..folder]), Some("somebody was here\n")),
            Meddling::Overwrite => (key.to_owned(), Some("\u{0}\u{1}\u{2} no export")),
            Meddling::Delete => (key.to_owned(), None),
            Meddling::Receipt => (
                format!("{}_receipt.json", &key[..folder]),
                Some("{\"by\": \"somebody\"}"),
            ),
            Meddling::Pointer => (format!("{destination}_latest.json"), Some("{\"by\": \"somebody\"}")),
        };
        let world = Arc::clone(self);
        let most = Duration::from_secs(*dice.pick(&[0, 2, 20]));
        let after = dice.between(Duration::ZERO, most);
        tokio::spawn(async move {
            world.timeline.sleep(after).await;
            let is_taken = world.store.body(EXPORTS, &target).is_some();
            let takes_place = matches!(world.plan.meddling, Meddling::Receipt | Meddling::Pointer);
            if takes_place && is_taken {
                return;
            }
            world.log.tell_of_world(|| {
                format!(
                    "somebody else {} {target}",
                    if body.is_some() { "writes" } else { "deletes" }
                )
            });
            match body {
                Some(body) => {
                    world.store.insert(EXPORTS, &target, body);
                }
                None => world.store.remove(EXPORTS, &target),
            }
            world
                .state()
                .planted
                .push(if takes_place { target } else { String::new() });
        });
    }

    /// The dice of a delivery, which do not depend on what others do.
    fn dice(&self, name: &str, delivery: usize, numbers: &[u64]) -> Dice {
        let numbers = [&[self.plan.deliveries[delivery].number], numbers].concat();
        Dice::of(self.plan.seed, name, &numbers)
    }

    /// Invokes a function, as Step Functions does.
    async fn invoke(self: &Arc<Self>, delivery: usize, function: &str, payload: Value) -> Result<Value, TaskError> {
        let number = self.invocations[delivery].fetch_add(1, Ordering::SeqCst);
        let dice = self.dice("lambda", delivery, &[number]);
        let now = self.timeline.elapsed();
        let mishap = match self.weather.stalled_by(function, now) {
            Some(StalledBy::Lambda) => Some(Mishap::Refused),
            _ => self.weather.mishap(&dice, now).filter(|_| self.budget.spend()),
        };
        if let Some(mishap) = mishap {
            self.state().mishaps += 1;
            self.log.tell(delivery, || format!("{function}: {mishap:?}"));
        }
        let lambda = |error: &str| TaskError {
            error: error.to_owned(),
            cause: format!(r#"{{"errorMessage":"{error}"}}"#),
        };
        match mishap {
            Some(Mishap::Refused) => return Err(lambda("Lambda.TooManyRequestsException")),
            Some(Mishap::FailedBefore) => return Err(lambda("Lambda.ServiceException")),
            Some(Mishap::Stillborn) => return Err(lambda("Runtime.ExitError")),
            Some(Mishap::Twice) => {
                let other = Arc::clone(self);
                let (name, same) = (function.to_owned(), payload.clone());
                let pause = dice.latency(Duration::from_secs(5));
                self.running.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    other.timeline.sleep(pause).await;
                    let _ = other.run_function(delivery, &name, same, number, 1).await;
                    other.running.fetch_sub(1, Ordering::SeqCst);
                });
            }
            Some(Mishap::FailedAfter) | None => {}
        }
        let result = self.run_function(delivery, function, payload, number, 0).await;
        if mishap == Some(Mishap::FailedAfter) {
            return Err(lambda("Lambda.ServiceException"));
        }
        result
    }

    async fn run_function(
        self: &Arc<Self>,
        delivery: usize,
        function: &str,
        payload: Value,
        number: u64,
        copy: u64,
    ) -> Result<Value, TaskError> {
        let Some(&timeout) = self.timeouts.get(function) else {
            return Err(TaskError {
                error: "Lambda.ResourceNotFoundException".to_owned(),
                cause: format!("there is no function {function}"),
            });
        };
        let call = Call::begin(Birth {
            request_id: format!("request-{delivery}-{number}-{copy}"),
            delivery,
            function: function.to_owned(),
            timeout,
            dice: self.dice("call", delivery, &[number, copy]),
            weather: Arc::clone(&self.weather),
            budget: Arc::clone(&self.budget),
            log: Arc::clone(&self.log),
            timeline: self.timeline.clone(),
        });
        self.state().calls.push(Arc::clone(&call));
        let handler = {
            let (world, call, function) = (Arc::clone(self), Arc::clone(&call), function.to_owned());
            self.running.fetch_add(1, Ordering::SeqCst);
            async move {
                let scope = Arc::clone(&world.service).scope(Arc::clone(&call).scope(handle(
                    Arc::clone(&world),
                    Arc::clone(&call),
                    function,
                    payload,
                )));
                let result = tokio::select! {
                    biased;
                    result = scope => Some(result),
                    () = call.death() => None,
                };
                world.running.fetch_sub(1, Ordering::SeqCst);
                result
            }
        };
        let mut handler = tokio::spawn(handler);
        let left = call.deadline.saturating_sub(self.timeline.elapsed());
        let error = |name: &str, message: &str| TaskError {
            error: name.to_owned(),
            cause: json!({"errorType": name, "errorMessage": message}).to_string(),
        };
        tokio::select! {
            biased;
            ended = &mut handler => match ended {
                Ok(Some(Ok(output))) => Ok(output),
                Ok(Some(Err(Error { kind, message, .. }))) => {
                    self.log.tell(delivery, || format!("{function}: {kind} {}", short(&message)));
                    Err(error(kind.name(), &message))
                }
                Ok(None) => Err(error("Runtime.ExitError", "the function died")),
                Err(panic) => {
                    self.running.fetch_sub(1, Ordering::SeqCst);
                    self.state().panics.push(format!("{function}: {panic}"));
                    Err(error("Runtime.ExitError", "the function panicked"))
                }
            },
            () = self.timeline.sleep(left) => {
                self.log.tell(delivery, || format!("{function}: its time is over"));
                if !call.is_paused() {
                    call.kill();
                }
                Err(error("Sandbox.Timedout", "its time is over"))
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn aftermath(&self, ended: Vec<Ended>, landing: Arc<Landing>) -> Aftermath {
        let mut state = self.state();
        let faults: usize = state.calls.iter().map(|call| call.met().len()).sum();
        Aftermath {
            plan: self.plan.clone(),
            store: Arc::clone(&self.store),
            simulated: self.simulated.clone(),
            landing,
            starts: Arc::clone(&self.service.starts),
            ended,
            announced: std::mem::take(&mut state.announced),
            passed: std::mem::take(&mut state.passed),
            caught: std::mem::take(&mut state.caught),
            calls: std::mem::take(&mut state.calls),
            harms: state.mishaps + u32::try_from(faults).unwrap_or(u32::MAX),
            panics: std::mem::take(&mut state.panics),
            meddled: state.planted.len(),
            lines: self.log.take(),
            took: self.timeline.elapsed(),
        }
    }
}

/// How many jobs of other triggers have a slot: started, but not sealed.
fn open(plan: &Plan, store: &Arc<MemoryStore>) -> Result<impl Fn(usize, &[Start]) -> usize + Send + Sync + 'static> {
    let (store, plan) = (Arc::clone(store), plan.clone());
    let keys = plan.job_keys()?;
    Ok(move |trigger: usize, starts: &[Start]| {
        let trigger_of = |start: &Start| plan.deliveries[start.call.delivery].trigger;
        let is_open = |other: usize| {
            let key = format!("jobs/{}/{}.json", plan.kind.name, keys[other]);
            let entry = store.body(LEDGER, &key);
            let entry: Option<Entry> = entry.and_then(|body| serde_json::from_slice(&body).ok());
            // A job has no slot once its deadline has passed by the grace, nor while it waits for the next day. Nobody knows
            // whether an earlier call without an answer made a job that runs.
            let now = Timeline::current().map_or(BEGINNING, |timeline| timeline.now());
            let waits = |entry: &Entry| {
                entry
                    .attempts
                    .last()
                    .is_some_and(|last| last.state == AttemptState::Waiting)
            };
            let has_place = |entry: &Entry| plan.max_starts_per_day == 0 || !waits(entry);
            entry.is_some_and(|entry| entry.outcome.is_none() && now < entry.deadline_at && has_place(&entry))
        };
        let is_taken = |start: &&Start| start.status.is_some_and(|status| (200..300).contains(&status));
        let others: BTreeSet<usize> = starts.iter().filter(is_taken).map(trigger_of).collect();
        others
            .into_iter()
            .filter(|other| *other != trigger && is_open(*other))
            .count()
    })
}

/// Runs the function's own code.
async fn handle(world: Arc<World>, call: Arc<Call>, function: String, payload: Value) -> Result<Value, Error> {
    let deployment = Deployment {
        config: world.config.clone(),
        store: Arc::new(Layered::new(Arc::clone(&world.edge), Edge(Arc::clone(&call)))),
        clock: Arc::new(call.clock.clone()),
    };
    let invocation = Invocation {
        request_id: call.request_id.clone(),
        deadline: BEGINNING + chrono::TimeDelta::from_std(call.deadline).unwrap_or_default(),
    };
    let limits = Limits {
        slice_objects: if world.plan.slices {
            1
        } else {
            Limits::default().slice_objects
        },
        ..Limits::default()
    };
    let as_json = |result: serde_json::Result<Value>| {
        result.map_err(|error| Error::internal(format!("the answer is not JSON: {error}")))
    };
    // The runtime passes the payload on as a text.
    let payload = Input::read(payload.to_string().as_bytes())
        .map_err(|error| Error::internal(format!("the payload is not JSON: {error}")))?;
    match function.rsplit('-').next() {
        Some("start") => {
            let job = world.handlers.start(&deployment, payload, &invocation).await?;
            as_json(serde_json::to_value(job))
        }
        Some("poll") => {
            let job = world.handlers.poll(&deployment, payload).await?;
            as_json(serde_json::to_value(job))
        }
        Some("output") if payload.value.get("slice").is_some() => {
            let item = read_input(payload)?;
            let done = verify_slice_within(&deployment, &item, &invocation, &limits).await?;
            Ok(json!({ "done": done }))
        }
        Some("output") => {
            let job = verify_job_within(&deployment, read_input(payload)?, &invocation, &limits).await?;
            as_json(serde_json::to_value(job))
        }
        _ => as_json(serde_json::to_value(seal(&deployment, payload, &invocation).await?)),
    }
}

/// The beginning of a text.
fn short(text: &str) -> String {
    text.chars().take(160).collect::<String>().replace('\n', " ")
}
