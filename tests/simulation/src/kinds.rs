//! The kinds: their handlers with their SDK clients, their simulated services, their events.
//!
//! What must stay true: what a service really did is asked of the service itself, not of Landfall.

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
    poll::{Looking, poll},
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

/// The bucket that exports land in.
pub const EXPORTS: &str = "landfall-exports";

/// The bucket of the ledger.
pub const LEDGER: &str = "landfall-ledger";

/// Makes the service of a run of a seed.
type Simulate = fn(&Character, u64, Arc<dyn Storage>, Arc<dyn Clock>) -> Result<Simulated>;

/// A kind of job, as its row in the tests has it.
#[derive(Clone)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// How a job that a lost start call made is found again.
    pub found_by: FoundBy,
    /// What the service tells of an output.
    pub told: Told,
    /// Whether its jobs write what is verified.
    pub writes_output: bool,
    /// Where the sample event sends its output.
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

/// What is right most of the time, and else one of the rest.
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
    /// Every kind.
    pub fn all() -> &'static [Self] {
        static ALL: LazyLock<Vec<Kind>> = LazyLock::new(|| each_kind!(all).to_vec());
        &ALL
    }

    /// The kind of a service.
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

    /// Its sample event.
    pub fn event(&self) -> Result<Value> {
        (self.event)()
    }

    /// Its sample event for one of the readers that the kind has, drawn.
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

    /// The handlers of this thread, whose SDK clients are built once.
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

    /// What the service of a run is like.
    pub fn character(&self, dice: &Dice) -> Character {
        let (scenario, outlook) = (self.scenario)(dice);
        let Range { start, end } = self.files;
        // Drawn only where the service may choose.
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

    /// The simulated service of a run.
    pub fn simulate(
        &self,
        character: &Character,
        seed: u64,
        landing: &Arc<Landing>,
        clock: Arc<dyn Clock>,
    ) -> Result<Simulated> {
        (self.simulate)(character, seed, Arc::clone(landing) as Arc<dyn Storage>, clock)
    }

    /// Puts what a job reads into S3.
    pub fn prepare(&self, store: &MemoryStore, rows: u64) -> Result<()> {
        (self.prepare)(store, rows)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The first two steps of a kind.
#[async_trait]
pub trait Handlers: Send + Sync {
    /// Start.
    async fn start(&self, deployment: &Deployment, input: Input, invocation: &Invocation) -> Result<Job, Error>;

    /// Poll.
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
        poll(deployment, &self.0, Looking::read(input)?).await
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

/// The clock of the invocation that runs.
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
    /// Its key.
    pub key: String,
    /// SHA-256 of its bytes, hex.
    pub sha256: String,
}

/// Where a simulated service writes: S3, and a list of what it wrote.
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

    /// The data objects that were written beneath a prefix.
    pub fn data_beneath(&self, prefix: &str) -> Vec<WrittenObject> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written
            .iter()
            .filter(|object| object.key.starts_with(prefix) && is_data(&object.key))
            .cloned()
            .collect()
    }
}

/// Whether a key of a service is one of its data objects.
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

/// Imports read what is there.
#[async_trait]
impl Source for Landing {
    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        Source::list(self.store.as_ref(), bucket, prefix).await
    }

    async fn get(&self, bucket: &str, key: &str) -> Result<Bytes> {
        Source::get(self.store.as_ref(), bucket, key).await
    }
}

/// A job as the service has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrueJob {
    /// The service's id.
    pub id: String,
    /// What it writes to, or reads: an S3 URI.
    pub place: String,
    /// Whether it ended well.
    pub completed: bool,
}

/// What a service will do, drawn for a run.
#[derive(Clone, Debug)]
pub struct Character {
    /// The name of its scenario.
    pub scenario: &'static str,
    /// Whether a job can end as a success.
    pub may_succeed: bool,
    /// Whether a job ends as a success unless something else goes wrong.
    pub is_healthy: bool,
    /// Rows of an output, or of a source.
    pub rows: u64,
    /// Data objects of an output.
    pub files: usize,
    /// How long a job runs.
    pub duration: Duration,
    /// Jobs that run at a time.
    pub at_once: usize,
}

/// A simulated service with a view of what it really did.
#[derive(Clone)]
pub struct Simulated {
    /// Answers.
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
    // For whom it is stays as it is.
    if let Some(user) = event.pointer("/detail/Landfall/RegisteredUser") {
        options["RegisteredUser"] = user.clone();
    }
    event["detail"]["Landfall"] = options;
    // Only editors read it.
    if let Some(members) = event.as_object_mut() {
        members.remove("$schema");
    }
    event
}
