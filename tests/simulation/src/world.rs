//! One run: a few triggers, delivered again and again, in a world that follows from the seed.
//!
//! What must stay true: all that happens follows from the seed. The functions are the real ones, the order of steps is
//! the deployed definition's; what is made up is the world around them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use landfall::{
    config::Config,
    error::Error,
    input::{Input, read_input},
    invocation::{Deployment, Invocation},
    job::TaskError,
    ledger::Entry,
};
use landfall_local::{deploy, functions, template::template};
use landfall_output::{
    seal::seal,
    step::{verify_batch_within, verify_job_within},
    verify::Limits,
};
use landfall_tests::{harness::config, memory_store::MemoryStore};
use serde_json::{Value, json};

use crate::{
    dice::Dice,
    edge::{Edge, Service},
    faults::{Fault, Mishap, StalledBy, Weather},
    invocation::{Birth, Call},
    kinds::{Character, EXPORTS, Handlers, Kind, LEDGER, Landing, Simulated, with_options},
    log::{Line, Log},
    machine::{End, Happening, Machine, Surroundings, Work},
    starts::{Start, Starts},
    time::{BEGINNING, MachineClock, Timeline},
};

/// How often a broken execution is redriven.
const MOST_REDRIVES: u32 = 12;

/// The definition as it is deployed, for one kind.
pub fn machine(kind: Kind) -> Result<Machine> {
    read(include_str!("../../../statemachine/export-job.asl.json"), kind)
}

/// A definition with the substitutions of one kind.
pub fn read(text: &str, kind: Kind) -> Result<Machine> {
    let (start, poll) = (format!("{}-start", kind.name()), format!("{}-poll", kind.name()));
    Machine::read(
        text,
        &[
            ("Partition", deploy::PARTITION),
            ("Kind", kind.name()),
            ("StartFunctionArn", &start),
            ("PollFunctionArn", &poll),
            ("VerifyFunctionArn", functions::VERIFY),
            ("SealFunctionArn", functions::SEAL),
            ("EventBusName", "default"),
        ],
    )
}

/// What somebody else does to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meddling {
    /// Nothing.
    None,
    /// Another file is put beside the data.
    Notes,
    /// A data object is overwritten by what is no export, some time after it landed.
    Overwrite,
    /// A data object is deleted some time after it landed.
    Delete,
    /// Somebody else's object lies where the receipt is to be.
    Receipt,
    /// Somebody else's object lies where the pointer is to be.
    Pointer,
}

/// What a seed comes to.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// The kind of job.
    pub kind: Kind,
    /// The trigger that picks up the job of the first one.
    pub pick_up: Option<usize>,
    /// How many jobs the deployment lets run at a time; 0 for any number.
    pub max_running: u64,
    /// How many start calls a day the deployment allows; 0 for any number.
    pub max_starts_per_day: u64,
    /// The faults at the boundary.
    pub weather: Weather,
    /// What the service is like.
    pub character: Character,
    /// What somebody else does.
    pub meddling: Meddling,
    /// Whether functions may go on after their time.
    pub stale: bool,
    /// The deliveries, in no order.
    pub deliveries: Vec<Delivery>,
    /// Deadline of the jobs.
    pub deadline: Duration,
    /// Seconds between the two listings of an output.
    pub settle: u64,
    /// Whether another number of rows than the service counts fails a job.
    pub strict: bool,
    /// Whether outputs are read in batches of one object.
    pub batches: bool,
    /// Whether S3 ignores conditions: a broken world, which must be found out.
    pub broken: Option<Broken>,
}

/// A world whose S3 or service does not keep its word: its runs must be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// `If-None-Match` is ignored.
    IgnoresAbsent,
    /// `If-Match` is ignored.
    IgnoresMatch,
    /// Start calls are sent twice.
    StartsTwice,
}

/// One delivery of a trigger.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The trigger, from 0.
    pub trigger: usize,
    /// When it comes.
    pub at: Duration,
    /// The event.
    pub event: Value,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Result<Self> {
        let dice = Dice::of(seed, "plan", &[]);
        let kind = *dice.pick(&Kind::ALL);
        let stale = dice.chance(0.3);
        let weather = Weather::of(&Dice::of(seed, "weather", &[]), stale);
        let stall = Dice::of(seed, "stall", &[]);
        let is_stalled = stall.chance(0.08);
        let weather = if is_stalled { weather.stalled(&stall) } else { weather };
        let character = kind.character(&Dice::of(seed, "service", &[]));
        let meddling = match dice.chance(0.75) {
            true => Meddling::None,
            false => *dice.pick(&[
                Meddling::Notes,
                Meddling::Overwrite,
                Meddling::Delete,
                Meddling::Receipt,
                Meddling::Pointer,
            ]),
        };
        let triggers = *dice.pick(&[1, 1, 1, 1, 2, 2, 3]);
        let deadline = Duration::from_secs(*dice.pick(&[20, 120, 600, 600, 3600, 3600]));
        let deadline = match is_stalled {
            true => Duration::from_secs(*stall.pick(&[3600, 6 * 3600, 24 * 3600])),
            false => deadline,
        };
        // A job is looked at a few times, and in some runs often.
        let few = if dice.chance(0.06) { 40 } else { 4 };
        let longest = if character.may_succeed {
            character.duration
        } else {
            deadline
        };
        let poll = (longest.min(deadline).as_secs() / few)
            .max(*dice.pick(&[1, 5, 30]))
            .min(900);
        let settle = dice.number(0..7);
        let strict = dice.chance(0.5);
        let identity = *dice.pick(&["event", "schedule", "key"]);
        // Drawn apart, so that other kinds' seeds stay what they are.
        let somebodys = kind.event_for_somebody(&Dice::of(seed, "reader", &[]))?;
        let mut deliveries = Vec::new();
        for trigger in 0..triggers {
            let first = dice.between(Duration::ZERO, Duration::from_secs(*dice.pick(&[0, 1, 60])));
            let count = *dice.pick(&[1, 2, 2, 2, 3]);
            for number in 0..count {
                let later = match (number, dice.number(0..4)) {
                    (0, _) => Duration::ZERO,
                    (_, 0) => dice.between(Duration::ZERO, Duration::from_millis(200)),
                    (_, 1) => dice.between(Duration::ZERO, Duration::from_secs(10)),
                    (_, 2) => dice.between(Duration::ZERO, Duration::from_secs(300)),
                    (_, _) => dice.between(Duration::ZERO, Duration::from_secs(7200)),
                };
                let mut options = json!({
                    "DeadlineSeconds": deadline.as_secs(),
                    "Poll": { "MinSeconds": poll, "MaxSeconds": (poll * 10).clamp(60, 3600) },
                });
                if kind.writes_output() {
                    options["Verification"] =
                        json!({ "SettleSeconds": settle, "RowCount": if strict { "fail" } else { "warn" } });
                }
                let mut event = somebodys.clone();
                // The triggers differ as the days of a schedule, as events, or as generations of one key.
                match identity {
                    "schedule" => {
                        event["id"] = json!(format!("00000000-0000-4000-8000-{trigger:06}{number:06}"));
                        event["time"] = json!(format!("2026-10-01T04:{:02}:00Z", 10 + trigger));
                        event["resources"] = json!(["arn:aws:events:eu-central-1:111122223333:rule/nightly"]);
                    }
                    "key" => {
                        event["id"] = json!(format!("00000000-0000-4000-8000-{trigger:06}{number:06}"));
                        options["IdempotencyKey"] = json!("nightly");
                        if trigger > 0 {
                            options["Rerun"] = json!(trigger);
                        }
                    }
                    _ => event["id"] = json!(format!("00000000-0000-4000-8000-{trigger:012}")),
                }
                deliveries.push(Delivery {
                    trigger,
                    at: first + later,
                    event: with_options(event, options),
                });
            }
        }
        // The first trigger's job is picked up once it may have failed, whether or not it has.
        let mut pick_up = None;
        if dice.chance(0.2)
            && let Some(first) = deliveries.first().cloned()
        {
            let trigger = triggers;
            let picked = landfall::trigger::identify(&landfall::job::Kind::new(kind.name()), &first.event)
                .map_err(|error| anyhow::anyhow!(error.message))?;
            let after = deadline + dice.between(Duration::ZERO, Duration::from_secs(3600));
            for number in 0..dice.number(1..3) {
                let mut event = first.event.clone();
                event["id"] = json!(format!("00000000-0000-4000-8000-{trigger:06}{number:06}"));
                let mut options = json!({ "PickUp": picked.job_key, "DeadlineSeconds": 900 });
                if kind.writes_output() {
                    options["Verification"] = event["detail"]["Landfall"]["Verification"].clone();
                }
                deliveries.push(Delivery {
                    trigger,
                    at: first.at + after + dice.between(Duration::ZERO, Duration::from_secs(5)),
                    event: with_options(event, options),
                });
            }
            pick_up = Some(trigger);
        }
        Ok(Self {
            seed,
            kind,
            pick_up,
            max_running: *dice.pick(&[0, 0, 1, 2]),
            max_starts_per_day: *dice.pick(&[0, 0, 0, 2, 5]),
            weather,
            character,
            meddling,
            stale,
            deliveries,
            deadline,
            settle,
            strict,
            batches: dice.chance(0.15),
            broken: None,
        })
    }

    /// What is said of it, for people.
    pub fn describe(&self) -> String {
        let Self {
            kind,
            weather,
            character,
            ..
        } = self;
        format!(
            "{} · {} · {} deliveries of {} triggers · jobs run {:?} and are given up after {:?} · {} rows in {} files · \
             somebody else: {:?}{}\nfaults {:?} at {} a call, mishaps {:?} at {} an invocation, at most {}, until {:?}; \
             calls take up to {:?}, clocks are off by up to {:?}{}{}{}",
            kind.name(),
            character.scenario,
            self.deliveries.len(),
            self.triggers(),
            character.duration,
            self.deadline,
            character.rows,
            character.files,
            self.meddling,
            if self.batches { " · in batches" } else { "" },
            weather.faults,
            weather.rate,
            weather.mishaps,
            weather.mishap_rate,
            weather.budget,
            weather.until,
            weather.latency * 2,
            weather.skew,
            if self.stale {
                "; functions may outlast their time"
            } else {
                ""
            },
            match &weather.outage {
                Some(outage) if outage.fault == Fault::NeverLeft => format!(
                    "; the service cannot be reached from {:?} to {:?}",
                    outage.from, outage.until
                ),
                Some(outage) if outage.of_s3 => format!("; S3 is out from {:?} to {:?}", outage.from, outage.until),
                Some(outage) => format!("; the service is out from {:?} to {:?}", outage.from, outage.until),
                None => String::new(),
            },
            match &weather.stall {
                Some(stall) => format!(
                    "; polls are stalled by {:?} from {:?} to {:?}",
                    stall.by, stall.from, stall.until
                ),
                None => String::new(),
            },
        )
    }

    /// The job key of each trigger.
    pub fn job_keys(&self) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        for trigger in 0..self.triggers() {
            let mut deliveries = self.deliveries.iter();
            let delivery = deliveries.find(|delivery| delivery.trigger == trigger);
            let event = &delivery.context("a trigger without delivery")?.event;
            let identified = landfall::trigger::identify(&landfall::job::Kind::new(self.kind.name()), event);
            keys.push(identified.map_err(|error| anyhow::anyhow!(error.message))?.job_key);
        }
        Ok(keys)
    }

    /// How many triggers there are.
    pub fn triggers(&self) -> usize {
        self.deliveries
            .iter()
            .map(|delivery| delivery.trigger + 1)
            .max()
            .unwrap_or_default()
    }
}

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

struct World {
    plan: Plan,
    machine: Machine,
    timeline: Timeline,
    config: Config,
    store: Arc<MemoryStore>,
    edge: Arc<dyn landfall::store::ObjectStore>,
    simulated: Simulated,
    service: Arc<Service>,
    handlers: Arc<dyn Handlers>,
    weather: Arc<Weather>,
    budget: Arc<AtomicU32>,
    timeouts: BTreeMap<String, Duration>,
    log: Arc<Log>,
    invocations: AtomicUsize,
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

/// How long each function may take, as the template has it.
fn timeouts() -> Result<BTreeMap<String, Duration>> {
    let names = functions::functions(functions::KINDS, false).into_iter();
    names
        .map(|name| Ok((name.clone(), template()?.size(&name)?.timeout)))
        .collect()
}

/// Runs a plan to its end.
pub fn run(plan: Plan, keep_log: bool) -> Result<Aftermath> {
    Timeline::run(|timeline| async move {
        let (world, landing) = World::build(plan, timeline, keep_log)?;
        let ended = world.live().await;
        Ok(world.aftermath(ended, landing))
    })?
}

impl World {
    fn build(plan: Plan, timeline: Timeline, keep_log: bool) -> Result<(Arc<Self>, Arc<Landing>)> {
        let clock = Arc::new(MachineClock {
            timeline: timeline.clone(),
            skew: chrono::TimeDelta::zero(),
        });
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock) as Arc<_>));
        store.create_bucket(EXPORTS);
        store.create_bucket(LEDGER);
        plan.kind.prepare(&store, plan.character.rows);
        let edge: Arc<dyn landfall::store::ObjectStore> = match plan.broken {
            Some(broken @ (Broken::IgnoresAbsent | Broken::IgnoresMatch)) => {
                Arc::new(crate::broken::Careless::new(Arc::clone(&store), broken))
            }
            _ => Arc::clone(&store) as Arc<_>,
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
        let simulated = plan
            .kind
            .simulate(&plan.character, plan.seed, &store, &landing, clock)?;
        let starts = Arc::new(Starts::default());
        let world = Arc::new(Self {
            machine: machine(plan.kind)?,
            config: Config {
                max_running: plan.max_running,
                max_starts_per_day: plan.max_starts_per_day,
                ..config()?
            },
            service: Arc::new(Service {
                simulated: Arc::clone(&simulated.service),
                open: Box::new(open(&plan, &store)?),
                triggers: plan.deliveries.iter().map(|delivery| delivery.trigger).collect(),
                starts,
                twice: plan.broken == Some(Broken::StartsTwice),
            }),
            handlers: plan.kind.handlers(),
            weather: Arc::new(plan.weather.clone()),
            budget: Arc::new(AtomicU32::new(plan.weather.budget)),
            timeouts: timeouts()?,
            simulated,
            store,
            edge,
            timeline,
            log,
            invocations: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            state: Mutex::default(),
            plan,
        });
        *weak.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&world);
        Ok((world, landing))
    }

    /// Delivers everything, and waits until nobody is at it any more.
    async fn live(self: &Arc<Self>) -> Vec<Ended> {
        let ticking = tokio::spawn(Arc::clone(self).tick());
        let executions: Vec<_> = (0..self.plan.deliveries.len())
            .map(|delivery| tokio::spawn(Arc::clone(self).deliver(delivery)))
            .collect();
        let mut ended = Vec::new();
        for execution in executions {
            match execution.await {
                Ok(end) => ended.push(end),
                Err(error) => self.state().panics.push(format!("an execution: {error}")),
            }
        }
        // Functions that stood still may still wake up.
        while self.running.load(Ordering::SeqCst) > 0 {
            self.timeline.sleep(Duration::from_secs(10)).await;
        }
        ticking.abort();
        ended
    }

    /// Lets the service work on its jobs, those included that nobody asks about.
    async fn tick(self: Arc<Self>) {
        let step = Duration::from_millis(if self.plan.character.scenario == "late-file" {
            500
        } else {
            7000
        });
        loop {
            // Nobody waits for what is left after a while.
            let rest = self.timeline.elapsed().as_secs() > 1200 && self.plan.character.scenario != "late-file";
            self.timeline.sleep(if rest { step * 20 } else { step }).await;
            self.simulated.service.advance().await;
        }
    }

    async fn deliver(self: Arc<Self>, number: usize) -> Ended {
        let delivery = &self.plan.deliveries[number];
        self.timeline.sleep(delivery.at).await;
        self.log
            .tell(number, || format!("delivery of trigger {}", delivery.trigger));
        let execution = Execution {
            arn: format!(
                "arn:aws:states:eu-central-1:111122223333:execution:{}:delivery-{number}",
                self.plan.kind.name()
            ),
            dice: Dice::of(self.plan.seed, "execution", &[number as u64]),
            world: Arc::clone(&self),
            delivery: number,
        };
        let mut end = self.machine.run(&execution, delivery.event.clone()).await;
        let mut redrives = 0;
        while let End::Broken { state, input, error } = &end {
            let is_redrivable = matches!(state.as_str(), "Seal" | "Announce");
            if !is_redrivable || redrives == MOST_REDRIVES {
                break;
            }
            self.log.tell(number, || {
                format!(
                    "the execution fails in {state}: {} {}",
                    error.error,
                    short(&error.cause)
                )
            });
            redrives += 1;
            let pause = execution
                .dice
                .between(Duration::from_secs(30), Duration::from_secs(1800));
            self.timeline.sleep(pause).await;
            if redrives > 2 {
                self.tidy_up();
            }
            self.log.tell(number, || format!("redriven in {state}"));
            let (state, input) = (state.clone(), input.clone());
            end = self.machine.go_on(&execution, state, input).await;
        }
        self.log.tell(number, || match &end {
            End::Succeeded(_) => "the execution succeeded".to_owned(),
            End::Failed { error, .. } => format!("the execution failed: {} {}", error.error, short(&error.cause)),
            End::Broken { state, error, .. } => format!("the execution broke in {state}: {}", error.error),
        });
        Ended {
            delivery: number,
            end,
            redrives,
            at: self.timeline.elapsed(),
        }
    }

    /// Whoever redrives has moved away what lay in the way.
    fn tidy_up(&self) {
        for key in std::mem::take(&mut self.state().planted) {
            self.log.tell_of_world(|| format!("{key} is moved away"));
            self.store.remove(EXPORTS, &key);
        }
    }

    /// A data object has landed: somebody else may do something to it.
    fn landed(self: &Arc<Self>, key: &str) {
        self.log.tell_of_world(|| format!("{key} lands"));
        let dice = Dice::of(self.plan.seed, "meddling", &[self.state().planted.len() as u64]);
        if self.plan.meddling == Meddling::None || dice.chance(0.3) {
            return;
        }
        let folder = key.find("run=").map_or(0, |at| {
            at + key[at..].find('/').map_or(key.len() - at, |slash| slash + 1)
        });
        let destination = self.plan.kind.destination();
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

    /// Invokes a function, as Step Functions sees it.
    async fn invoke(self: &Arc<Self>, delivery: usize, function: &str, payload: Value) -> Result<Value, TaskError> {
        let number = self.invocations.fetch_add(1, Ordering::SeqCst) as u64;
        let dice = Dice::of(self.plan.seed, "lambda", &[delivery as u64, number]);
        let now = self.timeline.elapsed();
        let mishap = match self.weather.stalled_by(function, now) {
            Some(StalledBy::Lambda) => Some(Mishap::Refused),
            _ => self.weather.mishap(&dice, now).filter(|_| self.spend()),
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

    fn spend(&self) -> bool {
        let spend = |left: u32| left.checked_sub(1);
        self.budget
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend)
            .is_ok()
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
            request_id: format!("request-{number}-{copy}"),
            delivery,
            function: function.to_owned(),
            timeout,
            dice: Dice::of(self.plan.seed, "call", &[delivery as u64, number, copy]),
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

/// How many jobs of other triggers than one have a place in the line: they were started and are not sealed.
fn open(plan: &Plan, store: &Arc<MemoryStore>) -> Result<impl Fn(usize, &[Start]) -> usize + Send + Sync + 'static> {
    let (store, plan) = (Arc::clone(store), plan.clone());
    let keys = plan.job_keys()?;
    Ok(move |trigger: usize, starts: &[Start]| {
        let trigger_of = |start: &Start| plan.deliveries[start.call.delivery].trigger;
        let is_open = |other: usize| {
            let key = format!("jobs/{}/{}.json", plan.kind.name(), keys[other]);
            let entry = store.body(LEDGER, &key);
            let entry: Option<Entry> = entry.and_then(|body| serde_json::from_slice(&body).ok());
            // Past its deadline by the grace a job has no place any more.
            let now = Timeline::current().map_or(BEGINNING, |timeline| timeline.now());
            entry.is_some_and(|entry| entry.outcome.is_none() && now < entry.deadline_at)
        };
        let is_taken = |start: &&Start| start.status.is_some_and(|status| (200..300).contains(&status));
        let others: std::collections::BTreeSet<usize> = starts.iter().filter(is_taken).map(trigger_of).collect();
        others
            .into_iter()
            .filter(|other| *other != trigger && is_open(*other))
            .count()
    })
}

/// The function's own code.
async fn handle(world: Arc<World>, call: Arc<Call>, function: String, payload: Value) -> Result<Value, Error> {
    let deployment = Deployment {
        config: world.config.clone(),
        store: Arc::new(Edge::new(Arc::clone(&world.edge), Arc::clone(&call))),
        clock: Arc::new(call.clock.clone()),
    };
    let invocation = Invocation {
        request_id: call.request_id.clone(),
        deadline: BEGINNING + chrono::TimeDelta::from_std(call.deadline).unwrap_or_default(),
    };
    let limits = Limits {
        batch_objects: if world.plan.batches {
            1
        } else {
            Limits::default().batch_objects
        },
        ..Limits::default()
    };
    let as_json = |result: serde_json::Result<Value>| {
        result.map_err(|error| Error::internal(format!("the answer is not JSON: {error}")))
    };
    // As the runtime hands it over: a text.
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
        Some("output") if payload.value.get("batch").is_some() => {
            let item = read_input(payload)?;
            let done = verify_batch_within(&deployment, &item, &invocation, &limits).await?;
            Ok(json!({ "done": done }))
        }
        Some("output") => {
            let job = verify_job_within(&deployment, read_input(payload)?, &invocation, &limits).await?;
            as_json(serde_json::to_value(job))
        }
        _ => as_json(serde_json::to_value(seal(&deployment, payload, &invocation).await?)),
    }
}

/// The first words of a text.
fn short(text: &str) -> String {
    text.chars().take(160).collect::<String>().replace('\n', " ")
}

/// One execution of the machine.
struct Execution {
    world: Arc<World>,
    delivery: usize,
    arn: String,
    dice: Dice,
}

impl Execution {
    async fn announce(&self, entries: Value) -> Result<Value, TaskError> {
        let world = &self.world;
        world.timeline.sleep(self.dice.latency(world.weather.latency)).await;
        let now = world.timeline.elapsed();
        let fault = world
            .weather
            .fault(&self.dice, crate::faults::Boundary::Look, now)
            .filter(|_| world.spend());
        let lost = matches!(
            fault,
            Some(Fault::LostAfter | Fault::FailedButDone | Fault::ThrottledButDone)
        );
        let failed = matches!(fault, Some(Fault::LostBefore | Fault::Failed | Fault::Throttled));
        if !failed {
            let announced = entries["Entries"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|entry| Announced {
                    delivery: self.delivery,
                    known: !lost,
                    entry: entry.clone(),
                });
            let announced: Vec<Announced> = announced.collect();
            world.log.tell(self.delivery, || {
                format!(
                    "announces {}",
                    entries["Entries"][0]["DetailType"].as_str().unwrap_or_default()
                )
            });
            world.state().announced.extend(announced);
        }
        if failed || lost {
            world.state().mishaps += 1;
            world.log.tell(self.delivery, || format!("PutEvents: {fault:?}"));
            return Err(TaskError {
                error: "EventBridge.InternalException".to_owned(),
                cause: "not now".to_owned(),
            });
        }
        Ok(json!({"FailedEntryCount": 0}))
    }
}

#[async_trait]
impl Surroundings for Execution {
    async fn work(&self, state: &str, work: Work, timeout: Duration) -> Result<Value, TaskError> {
        match work {
            Work::Invoke { function, payload } => {
                self.world.log.tell(self.delivery, || state.to_owned());
                let invoked = self.world.invoke(self.delivery, &function, payload);
                tokio::select! {
                    biased;
                    result = invoked => result.map(|payload| json!({ "Payload": payload, "StatusCode": 200 })),
                    () = self.world.timeline.sleep(timeout) => Err(TaskError {
                        error: "States.Timeout".to_owned(),
                        cause: String::new(),
                    }),
                }
            }
            Work::PutEvents(entries) => self.announce(entries).await,
        }
    }

    async fn items(&self, bucket: &str, key: &str) -> Result<Vec<Value>, TaskError> {
        let failed = |cause: String| TaskError {
            error: "States.ItemReaderFailed".to_owned(),
            cause,
        };
        let body = self.world.store.body(bucket, key);
        let body = body.ok_or_else(|| failed(format!("s3://{bucket}/{key} is not there")))?;
        serde_json::from_slice(&body).map_err(|error| failed(error.to_string()))
    }

    async fn wait(&self, duration: Duration) {
        self.world.timeline.sleep(duration).await;
    }

    fn elapsed(&self) -> Duration {
        self.world.timeline.elapsed()
    }

    fn jitter(&self) -> f64 {
        self.dice.share()
    }

    fn now(&self) -> DateTime<Utc> {
        self.world.timeline.now()
    }

    fn entered(&self, state: &str, input: &Value) {
        let deadline = input["deadline_at"].as_str();
        self.world.state().passed.push(Passed {
            delivery: self.delivery,
            state: state.to_owned(),
            at: self.now(),
            missed: input["missed"]["count"].as_u64().unwrap_or_default(),
            status: input["status"].as_str().map(str::to_owned),
            deadline_at: deadline.and_then(|deadline| deadline.parse().ok()),
        });
    }

    fn happened(&self, happening: Happening) {
        if let Happening::Caught { state, .. } = &happening {
            self.world.state().caught.push((self.delivery, state.clone()));
        }
        let (verb, state, error) = match &happening {
            Happening::Retried { state, error } => ("again", state, error),
            Happening::Caught { state, error } => ("caught", state, error),
        };
        self.world
            .log
            .tell(self.delivery, || format!("{state} {verb} after {error}"));
    }

    fn execution(&self) -> &str {
        &self.arn
    }

    fn input(&self) -> &Value {
        &self.world.plan.deliveries[self.delivery].event
    }
}
