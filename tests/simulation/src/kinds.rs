//! The kinds: their handlers with their SDK clients, their simulated services and their events.
//!
//! What must stay true: what a service really did is read from the service itself and not from Landfall.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_async::{rt::sleep::SharedAsyncSleep, time::SharedTimeSource};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use landfall::{
    clock::{Clock, SystemClock},
    error::Error,
    input::Input,
    invocation::{Deployment, Invocation},
    job::Job,
    poll::{PollInput, poll},
    service::JobService,
    start::{Received, start},
};
use landfall_local::simulated::{
    SimulatedService, Sink, Source,
    simulator::{Asked, Made, Simulator, Storage},
};
use landfall_tests::{
    each_kind,
    kinds::{FoundBy, Outlook, Subject, Told},
    memory_store::MemoryStore,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{dice::Dice, edge::SimulatedHttp, invocation::Call, time::SdkTime};

/// The bucket that exports are written to.
pub const EXPORTS: &str = "landfall-exports";

/// The bucket of the ledger.
pub const LEDGER: &str = "landfall-ledger";

/// Makes the service of a run from its character and seed.
type Simulate = fn(&Character, u64, Arc<dyn Storage>, Arc<dyn Clock>) -> Result<Simulated>;

/// A kind of job, made from its row in the tests.
#[derive(Clone)]
pub struct Kind {
    pub name: &'static str,
    /// How a job that a lost start call made is found again.
    pub found_by: FoundBy,
    /// What the service says about an output.
    pub told: Told,
    /// Whether its jobs write an output that is verified.
    pub writes_output: bool,
    /// The prefix that the sample event writes to.
    pub destination: &'static str,
    event: fn() -> Result<Value>,
    readers: fn() -> Vec<Value>,
    files: Range<u64>,
    scenario: fn(&Dice) -> (&'static str, Outlook),
    handlers: fn(&SdkConfig) -> Arc<dyn Handlers>,
    prepare: fn(&MemoryStore, u64) -> Result<()>,
    simulate: Simulate,
}

macro_rules! all {
    ($($name:ident: $kind:ty),* $(,)?) => { [$(Kind::of::<$kind>()),*] };
}

/// Draws a scenario: most of the time the normal one, otherwise one of the others.
fn scenario<S: Subject>(dice: &Dice) -> (&'static str, Outlook) {
    let drawn = match dice.chance(0.5) {
        true => Default::default(),
        false => *dice.pick(&S::scenarios()),
    };
    (drawn.into(), S::outlook(drawn))
}

fn handlers<S: Subject>(sdk: &SdkConfig) -> Arc<dyn Handlers> {
    Arc::new(Of(S::connect(sdk, Arc::new(ClockOfCall))))
}

fn simulate<S: Subject>(
    character: &Character,
    seed: u64,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
) -> Result<Simulated> {
    let asked = Asked {
        rows: Some(character.rows),
        duration: Some(character.duration),
        files: Some(character.files),
        at_once: Some(character.at_once),
        seed: Some(seed),
    };
    let scenario: <S::Simulated as Simulator>::Scenario = character.scenario.parse()?;
    let settings = <S::Simulated as Simulator>::settings(&asked, scenario);
    Ok(Simulated::watch::<S>(<S::Simulated as Simulator>::simulate(
        storage, clock, settings,
    )))
}

impl Kind {
    pub fn all() -> &'static [Self] {
        static ALL: LazyLock<Vec<Kind>> = LazyLock::new(|| each_kind!(all).to_vec());
        &ALL
    }

    /// The kind of this service.
    pub fn of<S: Subject>() -> Self {
        Self {
            name: S::KIND,
            found_by: S::FOUND_BY,
            told: S::TOLD,
            writes_output: S::WRITES_OUTPUT,
            destination: S::DESTINATION,
            event: S::sample,
            readers: S::readers,
            files: S::FILES,
            scenario: scenario::<S>,
            handlers: handlers::<S>,
            prepare: S::prepare,
            simulate: simulate::<S>,
        }
    }

    pub fn event(&self) -> Result<Value> {
        (self.event)()
    }

    /// The kind's sample event with a reader drawn from those that the kind has.
    pub fn event_for_somebody(&self, dice: &Dice) -> Result<Value> {
        let mut event = self.event()?;
        let readers = (self.readers)();
        if !readers.is_empty() && dice.chance(0.5) {
            if let Some(detail) = event["detail"].as_object_mut() {
                detail.remove("UserConfiguration");
            }
            event["detail"]["Landfall"]["RegisteredUser"] = dice.pick(&readers).clone();
        }
        Ok(event)
    }

    /// The handlers of this thread, whose SDK clients are built only once.
    pub fn handlers(&self) -> Arc<dyn Handlers> {
        thread_local! {
            static BUILT: Mutex<BTreeMap<&'static str, Arc<dyn Handlers>>> = const { Mutex::new(BTreeMap::new()) };
        }
        BUILT.with(|built| {
            let mut built = built.lock().unwrap_or_else(PoisonError::into_inner);
            let build = || (self.handlers)(&sdk());
            Arc::clone(built.entry(self.name).or_insert_with(build))
        })
    }

    /// Draws what the service of a run is like.
    pub fn character(&self, dice: &Dice) -> Character {
        let (scenario, outlook) = (self.scenario)(dice);
        let Range { start, end } = self.files;
        // Drawn only if the service may choose the number of files.
        let files = if end - start > 1 {
            dice.number(start..end)
        } else {
            start
        };
        Character {
            scenario,
            may_succeed: outlook != Outlook::Bad,
            is_healthy: outlook == Outlook::Good,
            rows: dice.number(files..9),
            files: usize::try_from(files).unwrap_or(usize::MAX),
            duration: Duration::from_secs(*dice.pick(&[0, 1, 8, 40, 200, 900])),
            at_once: *dice.pick(&[1, 2, 12, 12]),
        }
    }

    pub fn simulate(
        &self,
        character: &Character,
        seed: u64,
        landing: &Arc<Landing>,
        clock: Arc<dyn Clock>,
    ) -> Result<Simulated> {
        (self.simulate)(character, seed, Arc::clone(landing) as Arc<dyn Storage>, clock)
    }

    /// Writes into S3 what a job reads.
    pub fn prepare(&self, store: &MemoryStore, rows: u64) -> Result<()> {
        (self.prepare)(store, rows)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The first two steps of a kind, Start and Poll.
#[async_trait]
pub trait Handlers: Send + Sync {
    async fn start(&self, deployment: &Deployment, input: Input, invocation: &Invocation) -> Result<Job, Error>;

    async fn poll(&self, deployment: &Deployment, input: Input) -> Result<Job, Error>;
}

struct Of<S>(S);

#[async_trait]
impl<S: JobService> Handlers for Of<S> {
    async fn start(&self, deployment: &Deployment, input: Input, invocation: &Invocation) -> Result<Job, Error> {
        let received = Received::read::<S>(input, invocation);
        start(deployment, &self.0, &received, invocation).await
    }

    async fn poll(&self, deployment: &Deployment, input: Input) -> Result<Job, Error> {
        poll(deployment, &self.0, PollInput::read(input)?).await
    }
}

fn sdk() -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .http_client(SimulatedHttp)
        .sleep_impl(SharedAsyncSleep::new(SdkTime))
        .time_source(SharedTimeSource::new(SdkTime))
        .build()
}

/// The clock of the current invocation.
struct ClockOfCall;

#[async_trait]
impl Clock for ClockOfCall {
    fn now(&self) -> DateTime<Utc> {
        Call::current().map_or_else(|| SystemClock.now(), |call| call.clock.now())
    }

    async fn sleep(&self, duration: Duration) {
        match Call::current() {
            Some(call) => call.clock.sleep(duration).await,
            None => SystemClock.sleep(duration).await,
        }
    }
}

/// An object that a service wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenObject {
    pub key: String,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
}

/// The place where a simulated service writes: S3, with a list of everything written.
pub struct Landing {
    store: Arc<MemoryStore>,
    written: Mutex<Vec<WrittenObject>>,
    /// Called after each write of a data object.
    after: Box<dyn Fn(&str) + Send + Sync>,
}

impl Landing {
    /// Writes to `store`, and calls `after` with the key of each data object.
    pub fn new(store: Arc<MemoryStore>, after: impl Fn(&str) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            store,
            written: Mutex::default(),
            after: Box::new(after),
        })
    }

    /// The data objects that were written under a prefix.
    pub fn data_beneath(&self, prefix: &str) -> Vec<WrittenObject> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written
            .iter()
            .filter(|object| object.key.starts_with(prefix) && is_data(&object.key))
            .cloned()
            .collect()
    }
}

/// Whether a key that a service wrote is that of a data object.
fn is_data(key: &str) -> bool {
    !key.ends_with("customer-profiles-test-file") && !key.ends_with("export-info.txt")
}

#[async_trait]
impl Sink for Landing {
    async fn put(&self, bucket: &str, key: &str, body: Bytes, _: Option<&str>) -> Result<()> {
        let sha256 = hex::encode(Sha256::digest(&body));
        self.store.insert(bucket, key, body);
        let object = WrittenObject {
            key: key.to_owned(),
            sha256,
        };
        self.written.lock().unwrap_or_else(PoisonError::into_inner).push(object);
        if is_data(key) {
            (self.after)(key);
        }
        Ok(())
    }
}

/// Imports read their source through this.
#[async_trait]
impl Source for Landing {
    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        Source::list(self.store.as_ref(), bucket, prefix).await
    }

    async fn get(&self, bucket: &str, key: &str) -> Result<Bytes> {
        Source::get(self.store.as_ref(), bucket, key).await
    }
}

/// A job as the service knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrueJob {
    pub id: String,
    /// The S3 URI that it writes to or reads from.
    pub place: String,
    /// Whether the service completed it.
    pub completed: bool,
}

/// How a service behaves in a run.
#[derive(Clone, Debug)]
pub struct Character {
    pub scenario: &'static str,
    /// Whether a job can end as a success.
    pub may_succeed: bool,
    /// Whether a job ends as a success unless something else goes wrong.
    pub is_healthy: bool,
    pub rows: u64,
    pub files: usize,
    pub duration: Duration,
    /// How many jobs run at the same time.
    pub at_once: usize,
}

/// A simulated service, with access to what it really did.
#[derive(Clone)]
pub struct Simulated {
    pub service: Arc<dyn SimulatedService>,
    jobs: Arc<dyn Fn() -> Vec<TrueJob> + Send + Sync>,
    calls: Arc<dyn Fn() -> usize + Send + Sync>,
}

impl Simulated {
    fn watch<S: Subject>(service: S::Simulated) -> Self {
        let service = Arc::new(service);
        let (jobs, called) = (Arc::clone(&service), Arc::clone(&service));
        let jobs = move || {
            let completed = jobs.jobs_completed();
            let true_job = |Made { id, place, .. }: Made| TrueJob {
                completed: completed.contains(&id),
                id,
                place,
            };
            jobs.jobs_made().into_iter().map(true_job).collect()
        };
        Self {
            service,
            jobs: Arc::new(jobs),
            calls: Arc::new(move || called.all_calls()),
        }
    }

    /// Every job that it made.
    pub fn jobs(&self) -> Vec<TrueJob> {
        (self.jobs)()
    }

    /// How many calls reached it.
    pub fn calls(&self) -> usize {
        (self.calls)()
    }
}

/// Sets the options of an event.
pub fn with_options(mut event: Value, mut options: Value) -> Value {
    // An event keeps the user that it names.
    if let Some(user) = event.pointer("/detail/Landfall/RegisteredUser") {
        options["RegisteredUser"] = user.clone();
    }
    event["detail"]["Landfall"] = options;
    // Only editors read the member `$schema`.
    if let Some(members) = event.as_object_mut() {
        members.remove("$schema");
    }
    event
}
