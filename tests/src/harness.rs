//! Runs a job's steps in one process, with the retries of the definition, a manual clock and no network.
//!
//! What must stay true: the steps come in the order of `statemachine/export-job.asl.json`. The flow tests run the same
//! steps through the real interpreter.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use aws_config::SdkConfig;
use chrono::{DateTime, TimeDelta, Utc};
use landfall::{
    clock::Clock,
    config::Config,
    error::{Error, ErrorKind},
    input::Input,
    invocation::{Deployment, Invocation},
    job::{Job, Status},
    poll::{PollInput, poll},
    runtime::{Handler, invoke, poll_handler, start_handler},
    service::JobService,
    start::{Received, start},
    store::{ObjectStore, layer::Layered},
};
use landfall_local::simulated::{
    SimulatedService,
    customer_profiles::{CustomerProfiles, Settings},
    pinpoint::{self, Pinpoint},
    quicksight::{self, QuickSight},
    simulator::Simulator,
};
use landfall_output::{
    functions,
    seal::{Sealed, seal},
    step::verify_job,
};
use serde_json::{Value, json};

pub use crate::kinds::SESSION_ROLE;
use crate::{
    clock::ManualClock,
    in_process::{Faults, Losing, sdk},
    kinds::{DashboardSnapshots, EndpointExports, EndpointImports, SegmentSnapshots, Subject},
    memory_store::MemoryStore,
};

/// The bucket that exports are written to.
pub const EXPORTS: &str = "landfall-exports";

/// The bucket of the ledger.
pub const LEDGER: &str = "landfall-ledger";

/// The time-out of a function.
const FUNCTION_TIMEOUT: TimeDelta = TimeDelta::seconds(60);

/// How often a step that fails with a transient error is tried.
const TRIES: usize = 12;

/// The part of the local world's configuration that decides what an event may name.
pub fn config() -> Result<Config, Error> {
    Config::read(|name| {
        let value = match name {
            "LANDFALL_LEDGER_BUCKET" => LEDGER,
            "LANDFALL_ALLOWED_DESTINATIONS" => "s3://landfall-exports/",
            "LANDFALL_ALLOWED_ROLES" => "arn:aws:iam::111122223333:role/landfall-*",
            "LANDFALL_ALLOWED_KEYS" => "arn:aws:kms:eu-central-1:111122223333:key/*",
            "LANDFALL_ALLOWED_DOMAINS" | "LANDFALL_ALLOWED_DASHBOARDS" => "*",
            "LANDFALL_ALLOWED_QUICK_SIGHT_USERS" => "arn:aws:quicksight:*:111122223333:user/default/*",
            "LANDFALL_USER_SESSION_ROLE_ARN" => SESSION_ROLE,
            "LANDFALL_DEFAULT_DESTINATION" => "s3://landfall-exports/",
            "LANDFALL_DEFAULT_ROLE_ARN" => "arn:aws:iam::111122223333:role/landfall-export",
            _ => return None,
        };
        Some(value.to_owned())
    })
}

/// What a simulated service needs: a store and a clock.
pub struct World {
    /// S3 without faults.
    pub store: Arc<MemoryStore>,
    pub clock: ManualClock,
}

/// A deployment of one kind with its simulated service.
pub struct Harness<S = SegmentSnapshots, M = CustomerProfiles> {
    /// S3 without faults, for assertions.
    pub store: Arc<MemoryStore>,
    pub clock: ManualClock,
    pub simulated: Arc<M>,
    /// The faults that hit the functions' calls.
    pub faults: Arc<Faults>,
    deployment: Deployment,
    connect: fn(&SdkConfig, &ManualClock) -> S,
    sdk: SdkConfig,
    service: S,
}

/// The handlers of a kind, as its binaries serve them.
pub struct Handlers {
    pub start: Handler,
    pub poll: Handler,
    pub verify: Handler,
    pub seal: Handler,
}

impl<S: Subject> Harness<S, S::Simulated> {
    /// A deployment of the kind whose simulated service has these settings.
    fn at(settings: <S::Simulated as Simulator>::Settings, faults: Arc<Faults>) -> Result<Self> {
        let simulate = |world: &World| {
            let clock = Arc::new(world.clock.clone());
            S::Simulated::simulate(Arc::clone(&world.store) as _, clock, settings)
        };
        Self::with(faults, simulate, |sdk, clock| S::connect(sdk, Arc::new(clock.clone())))
    }

    /// A deployment with everything that the sample event needs, at a service without faults.
    pub fn usual(rows: u64, duration: Duration, faults: Arc<Faults>) -> Result<Self> {
        let harness = Self::at(S::usual(rows, duration), faults)?;
        S::prepare(&harness.store, rows)?;
        Ok(harness)
    }
}

impl Harness {
    /// A deployment for segment snapshots.
    pub fn new(settings: Settings, faults: Arc<Faults>) -> Result<Self> {
        Self::at(settings, faults)
    }
}

impl Harness<EndpointExports, Pinpoint> {
    /// A deployment for endpoint exports, before Pinpoint's end of support.
    pub fn exports(settings: pinpoint::Settings, faults: Arc<Faults>) -> Result<Self> {
        Self::at(settings, faults)
    }
}

impl Harness<EndpointImports, Pinpoint> {
    /// A deployment for endpoint imports, before Pinpoint's end of support.
    pub fn imports(settings: pinpoint::Settings, faults: Arc<Faults>) -> Result<Self> {
        Self::at(settings, faults)
    }
}

impl Harness<DashboardSnapshots, QuickSight> {
    /// A deployment for dashboard snapshots.
    pub fn dashboards(settings: quicksight::Settings, faults: Arc<Faults>) -> Result<Self> {
        Self::at(settings, faults)
    }
}

impl<S: JobService, M: SimulatedService + 'static> Harness<S, M> {
    /// A deployment of `S`. `simulate` makes its simulated service, and its calls meet `faults`.
    pub fn with(
        faults: Arc<Faults>,
        simulate: impl FnOnce(&World) -> M,
        connect: fn(&SdkConfig, &ManualClock) -> S,
    ) -> Result<Self> {
        let now = DateTime::parse_from_rfc3339("2026-11-01T05:00:02Z")?.to_utc();
        let clock = ManualClock::at(now);
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        store.create_bucket(EXPORTS);
        store.create_bucket(LEDGER);
        let world = World { store, clock };
        let simulated = Arc::new(simulate(&world));
        let World { store, clock } = world;
        let faulty = Layered::new(Arc::clone(&store) as Arc<dyn ObjectStore>, Losing(Arc::clone(&faults)));
        let deployment = Deployment {
            config: config()?,
            store: Arc::new(faulty),
            clock: Arc::new(clock.clone()),
        };
        let sdk = sdk(Arc::clone(&simulated) as Arc<_>, &faults);
        let service = connect(&sdk, &clock);
        Ok(Self {
            store,
            clock,
            simulated,
            faults,
            deployment,
            connect,
            sdk,
            service,
        })
    }

    /// Changes the configuration of the deployment.
    pub fn configure(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.deployment.config);
    }

    /// Connects the functions to another service from now on.
    pub fn talk_to(&mut self, service: Arc<dyn SimulatedService>) {
        self.sdk = sdk(service, &self.faults);
        self.service = (self.connect)(&self.sdk, &self.clock);
    }

    /// Like [`Self::talk_to`], for a service that needs another way to connect.
    pub fn talk_to_as(&mut self, service: Arc<dyn SimulatedService>, connect: fn(&SdkConfig, &ManualClock) -> S) {
        self.connect = connect;
        self.talk_to(service);
    }

    /// Keeps the functions' ledger in another store from now on. The service still writes to the old one, so there is
    /// nothing to verify.
    pub fn keep_ledger_in(&mut self, store: Arc<dyn ObjectStore>) {
        self.deployment.store = store;
    }

    /// The input of the first step, for an event that an execution received.
    pub fn received(execution: &str, event: &Value) -> Received {
        Received {
            kind: S::kind(),
            execution: format!(
                "arn:aws:states:eu-central-1:111122223333:execution:{}:{execution}",
                S::KIND
            ),
            event: event.clone(),
            error: None,
            unreadable: None,
        }
    }

    /// A new invocation of a function.
    pub fn invoke(&self) -> Invocation {
        let request_id = format!("request-{}", self.faults.calls());
        Invocation {
            request_id,
            deadline: self.clock.now() + FUNCTION_TIMEOUT,
        }
    }

    /// Advances the clock while the service works on all its jobs, polled or not.
    pub async fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
        self.simulated.advance().await;
    }

    /// Runs Start once.
    pub async fn start(&self, received: &Received) -> Result<Job, Error> {
        start(&self.deployment, &self.service, received, &self.invoke()).await
    }

    /// Runs Poll once.
    pub async fn poll(&self, job: impl Into<PollInput> + Send) -> Result<Job, Error> {
        poll(&self.deployment, &self.service, job).await
    }

    /// Runs Poll once, in an execution that received `event`.
    pub async fn look(&self, job: Job, event: &Value) -> Result<Job, Error> {
        let event = Some(event.clone());
        self.poll(PollInput { job, event }).await
    }

    /// Runs Verify once.
    pub async fn verify(&self, job: Job) -> Result<Job, Error> {
        verify_job(&self.deployment, job, &self.invoke()).await
    }

    /// Runs Seal once.
    pub async fn seal(&self, input: impl Into<Input>) -> Result<Sealed, Error> {
        seal(&self.deployment, input, &self.invoke()).await
    }

    /// Runs the whole execution of an event, as the definition does.
    pub async fn run(&self, execution: &str, event: &Value) -> Result<Value> {
        let received = Self::received(execution, event);
        let mut job = match self.retried(|| self.start(&received)).await {
            Ok(job) => job,
            Err(error) => {
                let received = Received {
                    error: Some(error.into()),
                    ..received
                };
                return self.sealed(json!(received)).await;
            }
        };
        while job.status == Status::Running {
            self.pass(Duration::from_secs(job.wait_seconds.into())).await;
            match self.retried(|| self.look(job.clone(), event)).await {
                Ok(seen) => job = seen,
                Err(error) => {
                    job.missed.count += 1;
                    job.missed.unanswered += 1;
                    job.missed.in_a_row += 1;
                    job.missed.last = Some(error.into());
                    if self.now() >= job.deadline_at {
                        break;
                    }
                }
            }
        }
        if job.status == Status::Succeeded {
            match self.retried(|| self.verify(job.clone())).await {
                Ok(verified) => job = verified,
                Err(error) => job.error = Some(error.into()),
            }
        }
        self.sealed(json!(job)).await
    }

    /// The input of Seal in an execution that cancels a job.
    pub fn asked(execution: &str, job_key: &str) -> Value {
        json!(Self::received(execution, &json!({ "cancel": { "job_key": job_key } })))
    }

    /// Runs the whole execution that cancels a job, as the definition does.
    pub async fn cancel(&self, execution: &str, job_key: &str) -> Result<Value> {
        self.sealed(Self::asked(execution, job_key)).await
    }

    async fn sealed(&self, input: Value) -> Result<Value> {
        let sealed = self.retried(|| self.seal(input.clone())).await?;
        serde_json::to_value(&sealed).context("the outcome is not JSON")
    }

    /// Retries a step as the definition does, after a transient error or a crash, with pauses longer than a lease.
    async fn retried<T, F: Future<Output = Result<T, Error>>>(&self, step: impl Fn() -> F) -> Result<T, Error> {
        let mut last = None;
        for _ in 0..TRIES {
            self.faults.revive();
            let result = step().await;
            let died = self.faults.revive();
            match result {
                Ok(value) if !died => return Ok(value),
                Err(error) if !died && !error.kind.is_transient() => return Err(error),
                Ok(_) => {}
                Err(error) => last = Some(error),
            }
            self.pass(Duration::from_secs(30)).await;
        }
        Err(last.unwrap_or_else(|| Error::new(ErrorKind::Unavailable, "the function died again and again")))
    }

    /// The content of an object as JSON.
    pub fn json(&self, uri: &str) -> Result<Value> {
        let Some((bucket, key)) = uri.strip_prefix("s3://").and_then(|uri| uri.split_once('/')) else {
            bail!("{uri} is not an S3 URI")
        };
        let body = self
            .store
            .body(bucket, key)
            .with_context(|| format!("{uri} is not there"))?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// The keys of all receipts that lie beside data.
    pub fn receipts(&self) -> Vec<String> {
        self.store
            .keys(EXPORTS)
            .into_iter()
            .filter(|key| key.ends_with("_receipt.json"))
            .collect()
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }
}

impl<S: JobService + 'static, M: SimulatedService + 'static> Harness<S, M> {
    /// The handlers of the kind's functions.
    pub fn handlers(&self) -> Handlers {
        let service = || (self.connect)(&self.sdk, &self.clock);
        Handlers {
            start: start_handler(self.deployment.clone(), service()),
            poll: poll_handler(self.deployment.clone(), service()),
            verify: functions::verify(self.deployment.clone(), &self.sdk),
            seal: functions::seal(self.deployment.clone(), &self.sdk),
        }
    }

    /// Runs one invocation of a handler, from its payload to its answer.
    pub async fn call(&self, handler: &Handler, input: &Value) -> Result<Value, Error> {
        let read = |error: serde_json::Error| Error::internal(error.to_string());
        let payload = serde_json::from_str(&input.to_string()).map_err(read)?;
        let (answer, _) = invoke(handler, payload, self.invoke()).await;
        let answer = answer?;
        serde_json::from_str(answer.get()).map_err(read)
    }
}
