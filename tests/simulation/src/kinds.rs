//! The four kinds: their handlers with their SDK clients, their simulated services, their events.
//!
//! What must stay true: what a service really did is asked of the service itself, not of Landfall.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_smithy_async::{rt::sleep::SharedAsyncSleep, time::SharedTimeSource};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use landfall::{
    error::Error,
    input::Input,
    invocation::{Deployment, Invocation},
    job::Job,
    poll::{Looking, poll},
    service::JobService,
    start::{Received, start},
    store::{Clock, SystemClock},
};
use landfall_customer_profiles::SegmentSnapshots;
use landfall_local::simulated::{
    SimulatedService, Sink,
    customer_profiles::{self, CustomerProfiles},
    pinpoint::{self, Pinpoint},
    quicksight::{self, QuickSight},
};
use landfall_pinpoint::{EndpointExports, EndpointImports, Surroundings};
use landfall_quicksight::DashboardSnapshots;
use landfall_tests::{harness::SESSION_ROLE, memory_store::MemoryStore};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{dice::Dice, edge::SimulatedHttp, invocation::Call, time::SdkTime};

/// The bucket that exports land in.
pub const EXPORTS: &str = "landfall-exports";

/// The bucket of the ledger.
pub const LEDGER: &str = "landfall-ledger";

/// A kind of job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Customer Profiles.
    SegmentSnapshot,
    /// Pinpoint, out.
    EndpointExport,
    /// Pinpoint, in.
    EndpointImport,
    /// Quick Sight.
    DashboardSnapshot,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [
        Self::SegmentSnapshot,
        Self::EndpointExport,
        Self::EndpointImport,
        Self::DashboardSnapshot,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SegmentSnapshot => SegmentSnapshots::KIND,
            Self::EndpointExport => EndpointExports::KIND,
            Self::EndpointImport => EndpointImports::KIND,
            Self::DashboardSnapshot => DashboardSnapshots::KIND,
        }
    }

    /// Whether its jobs write what is verified.
    pub const fn writes_output(self) -> bool {
        match self {
            Self::SegmentSnapshot => SegmentSnapshots::WRITES_OUTPUT,
            Self::EndpointExport => EndpointExports::WRITES_OUTPUT,
            Self::EndpointImport => EndpointImports::WRITES_OUTPUT,
            Self::DashboardSnapshot => DashboardSnapshots::WRITES_OUTPUT,
        }
    }

    /// A request of it, without options.
    pub fn event(self) -> Result<Value> {
        let text = match self {
            Self::SegmentSnapshot => include_str!("../../../events/segment-snapshot.json"),
            Self::EndpointExport => include_str!("../../../events/endpoint-export.json"),
            Self::EndpointImport => include_str!("../../../events/endpoint-import.json"),
            Self::DashboardSnapshot => include_str!("../../../events/dashboard-snapshot.json"),
        };
        serde_json::from_str(text).context("a sample event is not JSON")
    }

    /// [`Self::event`] for one of the readers that the kind has, drawn.
    pub fn event_for_somebody(self, dice: &Dice) -> Result<Value> {
        let mut event = self.event()?;
        if self == Self::DashboardSnapshot && dice.chance(0.5) {
            if let Some(detail) = event["detail"].as_object_mut() {
                detail.remove("UserConfiguration");
            }
            event["detail"]["Landfall"]["RegisteredUser"] = match dice.number(0..3) {
                0 => json!({ "UserArn": "arn:aws:quicksight:us-east-1:111122223333:user/default/anna" }),
                1 => json!({ "UserName": "anna", "Namespace": "default" }),
                _ => json!({ "Email": "anna@example.com", "Namespace": "default", "IdentityRegion": "us-east-1" }),
            };
        }
        Ok(event)
    }

    /// Where the sample event sends its output.
    pub const fn destination(self) -> &'static str {
        match self {
            Self::SegmentSnapshot => "segments/high-value-customers/",
            Self::EndpointExport => "endpoints/all/",
            Self::EndpointImport => "",
            Self::DashboardSnapshot => "dashboards/sales-overview/",
        }
    }

    /// The handlers of this thread, whose SDK clients are built once.
    pub fn handlers(self) -> Arc<dyn Handlers> {
        thread_local! {
            static BUILT: Mutex<BTreeMap<Kind, Arc<dyn Handlers>>> = const { Mutex::new(BTreeMap::new()) };
        }
        BUILT.with(|built| {
            let mut built = built.lock().unwrap_or_else(PoisonError::into_inner);
            let build = || -> Arc<dyn Handlers> {
                let sdk = sdk();
                match self {
                    Self::SegmentSnapshot => Arc::new(Of(SegmentSnapshots::new(&sdk))),
                    Self::EndpointExport => Arc::new(Of(EndpointExports::within(&sdk, supported()))),
                    Self::EndpointImport => Arc::new(Of(EndpointImports::within(&sdk, supported()))),
                    Self::DashboardSnapshot => {
                        Arc::new(Of(DashboardSnapshots::new(&sdk, Some(SESSION_ROLE.to_owned()))))
                    }
                }
            };
            Arc::clone(built.entry(self).or_insert_with(build))
        })
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

fn supported() -> Surroundings {
    Surroundings {
        end_of_support: DateTime::<Utc>::MAX_UTC,
        clock: Arc::new(ClockOfCall),
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
    /// A service; `made` gives the id and the place of every job that it made, `completed` the ids of those that ended well.
    fn watch<S: SimulatedService + 'static>(
        service: S,
        made: fn(&S) -> Vec<(String, String)>,
        completed: fn(&S) -> BTreeSet<String>,
        calls: fn(&S) -> usize,
    ) -> Self {
        let service = Arc::new(service);
        let (jobs, called) = (Arc::clone(&service), Arc::clone(&service));
        let jobs = move || {
            let completed = completed(&jobs);
            let true_job = |(id, place): (String, String)| TrueJob {
                completed: completed.contains(&id),
                id,
                place,
            };
            made(&jobs).into_iter().map(true_job).collect()
        };
        Self {
            service,
            jobs: Arc::new(jobs),
            calls: Arc::new(move || calls(&called)),
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

/// What is right most of the time, and else one of the rest.
fn scenario<T: Copy + PartialEq>(dice: &Dice, all: &[T], right: T) -> T {
    if dice.chance(0.5) { right } else { *dice.pick(all) }
}

impl Kind {
    /// What the service of a run is like.
    pub fn character(self, dice: &Dice) -> Character {
        let (scenario, may_succeed, is_healthy) = match self {
            Self::SegmentSnapshot => {
                use customer_profiles::Scenario::{
                    self, Denied, EmptySegment, LateFile, ManyFiles, NotFound, OutputCorrupt, OutputEmptyFile,
                    OutputMissing, OutputWrongFormat, PollNotFound, QuotaExceeded, ServiceFailed, Stuck, Success,
                    UnknownStatus,
                };
                // Too many files for a run of a few milliseconds: slices are made small instead.
                let all: Vec<Scenario> = Scenario::ALL.iter().copied().filter(|one| *one != ManyFiles).collect();
                let drawn = scenario(dice, &all, Success);
                let fails = matches!(
                    drawn,
                    Denied
                        | EmptySegment
                        | NotFound
                        | OutputCorrupt
                        | OutputEmptyFile
                        | OutputMissing
                        | OutputWrongFormat
                        | PollNotFound
                        | QuotaExceeded
                        | ServiceFailed
                        | Stuck
                        | UnknownStatus
                );
                (drawn.name(), !fails, !fails && drawn != LateFile)
            }
            Self::EndpointExport | Self::EndpointImport => {
                use pinpoint::Scenario::{
                    self, CompletedWithFailures, Denied, EmptyDefinition, EmptySegment, Full, NotFound, OutputCorrupt,
                    OutputMissing, Retired, RetiredGone, RetiredNotFound, ServiceFailed, Stuck, Success, UnknownStatus,
                };
                let drawn = scenario(dice, Scenario::ALL, Success);
                let mut fails = matches!(
                    drawn,
                    CompletedWithFailures
                        | Denied
                        | NotFound
                        | Retired
                        | RetiredGone
                        | RetiredNotFound
                        | ServiceFailed
                        | Stuck
                        | UnknownStatus
                );
                if self == Self::EndpointExport {
                    fails |= matches!(drawn, EmptySegment | OutputCorrupt | OutputMissing);
                }
                (drawn.name(), !fails, !fails && !matches!(drawn, EmptyDefinition | Full))
            }
            Self::DashboardSnapshot => {
                use quicksight::Scenario::{
                    self, Denied, FileError, IdTaken, IdentityCenterUser, NotFound, OutputCorrupt, OutputMissing,
                    OutputWrongFormat, RlsChanged, ServiceFailed, SessionDenied, Stuck, Success, UnknownStatus,
                };
                let drawn = scenario(dice, Scenario::ALL, Success);
                let fails = matches!(
                    drawn,
                    Denied
                        | FileError
                        | NotFound
                        | OutputCorrupt
                        | OutputMissing
                        | OutputWrongFormat
                        | RlsChanged
                        | ServiceFailed
                        | Stuck
                        | UnknownStatus
                );
                // Anonymous readers have no session.
                let is_healthy = !matches!(drawn, IdTaken | IdentityCenterUser | SessionDenied);
                (drawn.name(), !fails, !fails && is_healthy)
            }
        };
        let files = match self {
            Self::SegmentSnapshot | Self::EndpointExport => dice.number(1..4) as usize,
            Self::EndpointImport => 1,
            // The sample asks for a CSV and a PDF.
            Self::DashboardSnapshot => 2,
        };
        Character {
            scenario,
            may_succeed,
            is_healthy,
            rows: dice.number(files as u64..9),
            files,
            duration: Duration::from_secs(*dice.pick(&[0, 1, 8, 40, 200, 900])),
            at_once: *dice.pick(&[1, 2, 12, 12]),
        }
    }

    /// The simulated service of a run.
    pub fn simulate(
        self,
        character: &Character,
        seed: u64,
        store: &Arc<MemoryStore>,
        landing: &Arc<Landing>,
        clock: Arc<dyn Clock>,
    ) -> Result<Simulated> {
        let sink = Arc::clone(landing) as Arc<dyn Sink>;
        let Character { rows, duration, .. } = *character;
        Ok(match self {
            Self::SegmentSnapshot => {
                let settings = customer_profiles::Settings {
                    profiles: rows,
                    duration,
                    files: character.files,
                    scenario: character.scenario.parse()?,
                    seed,
                    snapshots_per_day: 200,
                };
                Simulated::watch(
                    CustomerProfiles::new(sink, clock, settings),
                    |service| {
                        let made = service.snapshots().into_iter();
                        made.map(|made| (made.id, made.destination)).collect()
                    },
                    CustomerProfiles::completed,
                    |service| service.calls().len(),
                )
            }
            Self::EndpointExport | Self::EndpointImport => {
                let settings = pinpoint::Settings {
                    endpoints: rows,
                    duration,
                    files: character.files,
                    scenario: character.scenario.parse()?,
                    seed,
                    exports_at_once: character.at_once,
                    imports_at_once: character.at_once,
                };
                Simulated::watch(
                    Pinpoint::new(sink, Arc::clone(store) as _, clock, settings),
                    |service| {
                        let made = service.jobs().into_iter();
                        made.map(|made| (made.id, made.place)).collect()
                    },
                    Pinpoint::completed,
                    |service| service.calls().len(),
                )
            }
            Self::DashboardSnapshot => {
                let settings = quicksight::Settings {
                    rows,
                    duration,
                    scenario: character.scenario.parse()?,
                    seed,
                    jobs_at_once: character.at_once,
                    ..quicksight::Settings::default()
                };
                Simulated::watch(
                    QuickSight::new(sink, clock, settings),
                    |service| {
                        let made = service.jobs().into_iter();
                        made.map(|made| (made.id, made.destination)).collect()
                    },
                    QuickSight::completed,
                    |service| service.calls().len(),
                )
            }
        })
    }

    /// Puts what a job reads into S3.
    pub fn prepare(self, store: &MemoryStore, rows: u64) {
        if self == Self::EndpointImport {
            let mut body = "Id,ChannelType,Address\n".to_owned();
            for row in 0..rows {
                body.push_str(&format!("e{row},EMAIL,someone-{row}@example.com\n"));
            }
            store.insert(EXPORTS, "imports/endpoints.csv", body);
        }
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
