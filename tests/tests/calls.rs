//! Records every AWS call of every function, as the functions' own clients make it.
//!
//! What must stay true: each S3 call names the expected owner of its bucket. `tests/static/calls.json` lists every call
//! of the functions, so that `tests/static/roles.py` can check their roles. `LANDFALL_UPDATE=1` writes the list again.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use aws_config::SdkConfig;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use landfall::{
    clock::Clock,
    config::Config,
    error::Error,
    invocation::{Deployment, Invocation},
    job::{Job, Kind, Status},
    poll::{PollInput, poll},
    service::JobService,
    start::{Received, start},
    store::{Condition, Written},
};
use landfall_batch::{plan::plan, summary::summarise};
use landfall_cli::kinds::in_template;
use landfall_customer_profiles::SegmentSnapshots;
use landfall_local::{
    functions::functions,
    kinds::KINDS,
    simulated::{
        SimulatedService, Sink,
        customer_profiles::{self, CustomerProfiles},
        pinpoint::{self, Pinpoint},
        quicksight::{self, QuickSight},
        simulator::{Asked, Simulator},
    },
};
use landfall_output::{
    seal::seal,
    step::{verify_job_within, verify_slice_within},
    verify::{Item, Limits},
};
use landfall_pinpoint::{EndpointExports, EndpointImports, Surroundings};
use landfall_quicksight::DashboardSnapshots;
use landfall_tests::{
    clock::ManualClock,
    each_kind,
    harness::{EXPORTS, LEDGER, SESSION_ROLE, config},
    in_process::{Faults, sdk},
    kinds::Subject,
    memory_store::MemoryStore,
    s3_http::{self, S3Http, Target},
    wire::{self, Exchange, Recorder},
};
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const OWNER: &str = "111122223333";
const REGION: &str = "eu-central-1";
/// A destination besides the stack's own bucket.
const FURTHER: &str = "landfall-further";
/// The rows that a job writes or reads.
const ROWS: u64 = 20;
const COMMITTED: &str = "static/calls.json";

/// A call in the terms of IAM.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Call {
    /// The function's logical id in the template.
    function: String,
    action: String,
    resource: String,
    /// Condition keys that the request determines.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    context: BTreeMap<String, String>,
}

/// S3 and the clock, with a record of the requests of each function.
struct World {
    store: Arc<MemoryStore>,
    s3: Arc<S3Http>,
    clock: ManualClock,
    recorders: RefCell<Vec<(String, &'static str, Arc<Recorder>)>>,
    invocations: RefCell<usize>,
}

impl World {
    fn new() -> Result<Self> {
        let clock = ManualClock::at("2026-11-01T05:00:02Z".parse()?);
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        for bucket in [EXPORTS, LEDGER, FURTHER] {
            store.create_bucket(bucket);
        }
        Ok(Self {
            s3: Arc::new(S3Http::new(Arc::clone(&store))),
            store,
            clock,
            recorders: RefCell::default(),
            invocations: RefCell::default(),
        })
    }

    /// The configuration of a client whose requests are recorded under the function's name. `models` is the service's
    /// name in botocore.
    fn client(&self, function: &str, models: &'static str, service: Arc<dyn SimulatedService>) -> SdkConfig {
        let recorder = Recorder::new(service);
        self.recorders
            .borrow_mut()
            .push((function.to_owned(), models, Arc::clone(&recorder)));
        sdk(recorder, &Faults::none())
    }

    fn deployment(&self, function: &str, change: impl FnOnce(&mut Config)) -> Result<Deployment> {
        let s3 = self.client(function, "s3", Arc::clone(&self.s3) as Arc<_>);
        let mut config = config()?;
        config.bucket_owner = Some(OWNER.to_owned());
        config
            .allowed
            .destinations
            .push(format!("s3://{FURTHER}/x/").parse().unwrap());
        change(&mut config);
        Ok(Deployment {
            config,
            store: Arc::new(s3_http::store(&s3, OWNER)),
            clock: Arc::new(self.clock.clone()),
        })
    }

    fn invoke(&self) -> Invocation {
        *self.invocations.borrow_mut() += 1;
        Invocation {
            request_id: format!("request-{}", self.invocations.borrow()),
            deadline: self.clock.now() + TimeDelta::minutes(15),
        }
    }

    /// All exchanges so far, by function and service.
    fn exchanges(&self) -> Vec<(String, &'static str, Vec<Exchange>)> {
        let recorders = self.recorders.borrow();
        recorders
            .iter()
            .map(|(function, models, recorder)| (function.clone(), *models, recorder.exchanges()))
            .collect()
    }
}

/// The functions of a kind, each with its own clients.
struct Machine<'a, S, M> {
    world: &'a World,
    simulated: Arc<M>,
    start: (Deployment, S),
    poll: (Deployment, S),
    verify: Deployment,
    seal: Deployment,
    limits: Limits,
}

impl<'a, S: JobService, M: SimulatedService + 'static> Machine<'a, S, M> {
    fn new(
        world: &'a World,
        prefix: &str,
        models: &'static str,
        simulated: M,
        connect: impl Fn(&SdkConfig) -> S,
    ) -> Result<Self> {
        let simulated = Arc::new(simulated);
        let function = |name: &str| -> Result<(Deployment, S)> {
            let name = format!("{prefix}{name}Function");
            let service = connect(&world.client(&name, models, Arc::clone(&simulated) as Arc<_>));
            let limit = |config: &mut Config| (config.max_running, config.max_starts_per_day) = (5, 100);
            Ok((world.deployment(&name, limit)?, service))
        };
        Ok(Self {
            start: function("Start")?,
            poll: function("Poll")?,
            verify: world.deployment("VerifyOutputFunction", |_| ())?,
            seal: world.deployment("SealReceiptFunction", |_| ())?,
            limits: Limits::default(),
            world,
            simulated,
        })
    }

    async fn pass(&self, seconds: u32) {
        self.world.clock.advance(Duration::from_secs(seconds.into()));
        self.simulated.advance().await;
    }

    fn received(&self, execution: &str, event: &Value) -> Received {
        Received {
            kind: S::kind(),
            execution: format!("arn:aws:states:{REGION}:{OWNER}:execution:{}:{execution}", S::KIND),
            event: event.clone(),
            error: None,
            unreadable: None,
        }
    }

    /// The job after its start.
    async fn started(&self, event: &Value) -> Result<Job> {
        let received = self.received("started", event);
        Ok(start(&self.start.0, &self.start.1, &received, &self.world.invoke()).await?)
    }

    /// Runs an execution as the definition does. Returns the sealed job.
    async fn run(&self, execution: &str, event: &Value) -> Result<Value> {
        let world = self.world;
        let mut received = self.received(execution, event);
        let mut started = Err(Error::internal("it was not tried"));
        for _ in 0..8 {
            started = start(&self.start.0, &self.start.1, &received, &world.invoke()).await;
            if !started.as_ref().is_err_and(|error| error.kind.is_transient()) {
                break;
            }
            self.pass(120).await;
        }
        let mut job = match started {
            Ok(job) => job,
            Err(error) => {
                received.error = Some(error.into());
                return Ok(json!(seal(&self.seal, json!(received), &world.invoke()).await?));
            }
        };
        while job.status == Status::Running {
            self.pass(job.wait_seconds).await;
            let event = Some(event.clone());
            job = Box::pin(poll(&self.poll.0, &self.poll.1, PollInput { job, event })).await?;
        }
        if job.status == Status::Succeeded {
            job = self.verified(job).await?;
        }
        Ok(json!(seal(&self.seal, json!(job), &world.invoke()).await?))
    }

    async fn verified(&self, mut job: Job) -> Result<Job> {
        loop {
            job = verify_job_within(&self.verify, job, &self.world.invoke(), &self.limits).await?;
            let Some(verifying) = &job.verifying else {
                return Ok(job);
            };
            let manifest = self
                .world
                .store
                .body(&verifying.manifest.bucket, &verifying.manifest.key);
            let items: Vec<Item> = serde_json::from_slice(&manifest.context("no manifest")?)?;
            for item in items {
                while !verify_slice_within(&self.verify, &item, &self.world.invoke(), &self.limits).await? {}
            }
        }
    }
}

fn sample(name: &str) -> Result<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../events/{name}.json"));
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// The sample event as another trigger, with its detail changed.
fn event(name: &str, id: &str, change: impl FnOnce(&mut Value)) -> Result<Value> {
    let mut event = sample(name)?;
    event["id"] = json!(id);
    event["detail"]["Landfall"] = json!({});
    change(&mut event["detail"]);
    Ok(event)
}

fn assert_ended(sealed: &Value, verdict: &str) {
    assert_eq!(sealed["outcome"]["verdict"], verdict, "{:#}", sealed["outcome"]);
}

/// The calls of every kind: for a job that succeeds, and for one whose start call got no answer.
async fn of_kind<S: Subject>(world: &World) -> Result<()> {
    S::prepare(&world.store, ROWS)?;
    for scenario in ["success", "lost-answer"] {
        let asked = Asked {
            rows: Some(ROWS),
            ..Asked::default()
        };
        let clock: Arc<dyn Clock> = Arc::new(world.clock.clone());
        let settings = S::Simulated::settings(&asked, scenario.parse()?);
        let simulated = S::Simulated::simulate(Arc::clone(&world.store) as _, Arc::clone(&clock), settings);
        let connect = |sdk: &SdkConfig| S::connect(sdk, Arc::clone(&clock));
        let machine = Machine::new(world, &in_template(S::KIND), S::START_CALL.0, simulated, connect)?;
        let mut event = S::sample()?;
        event["id"] = json!(format!("{scenario} of {}", S::KIND));
        event["detail"]["Landfall"] = json!({});
        assert_ended(&machine.run(scenario, &event).await?, "succeeded");
    }
    Ok(())
}

async fn of_each_kind(world: &World) -> Result<()> {
    macro_rules! run {
        ($($name:ident: $kind:ty),* $(,)?) => {
            $(Box::pin(of_kind::<$kind>(world)).await.context(stringify!($name))?;)*
        };
    }
    each_kind!(run);
    Ok(())
}

async fn segment_snapshots(world: &World) -> Result<()> {
    let with = |settings| {
        let store = Arc::clone(&world.store) as Arc<dyn Sink>;
        let simulated = CustomerProfiles::new(store, Arc::new(world.clock.clone()), settings);
        let prefix = "SegmentSnapshot";
        Machine::new(world, prefix, "customer-profiles", simulated, SegmentSnapshots::new)
    };
    let of = |scenario| {
        with(customer_profiles::Settings {
            profiles: 20,
            scenario,
            ..Default::default()
        })
    };
    use customer_profiles::Scenario;
    let plain = |id: &str| event("segment-snapshot", id, |_| ());
    let machine = of(Scenario::Success)?;
    assert_ended(&machine.run("1", &plain("1")?).await?, "succeeded");
    assert_ended(&machine.run("2", &plain("1")?).await?, "succeeded");
    let compared = event("segment-snapshot", "2", |detail| {
        detail["Landfall"] = json!({"Verification": {"Expect": {"Change": {"MaxPercent": 90}}}});
    })?;
    assert_ended(&machine.run("3", &compared).await?, "succeeded");
    // Below an allowed folder, directly in it, and in the own bucket, each twice so that there is a pointer to move.
    let places = [
        format!("s3://{FURTHER}/x/segments/"),
        format!("s3://{FURTHER}/x/"),
        format!("s3://{EXPORTS}/"),
    ];
    for (number, place) in places.iter().chain(&places).enumerate() {
        let id = format!("further-{number}");
        let further = event("segment-snapshot", &id, |detail| {
            detail["DestinationUri"] = json!(place);
            detail["RoleArn"] = json!("arn:aws:iam::111122223333:role/landfall-other");
        })?;
        for delivery in ["a", "b"] {
            assert_ended(&machine.run(&format!("{id}{delivery}"), &further).await?, "succeeded");
        }
    }
    let estimated = |id: &str| {
        event("segment-snapshot-estimate", id, |detail| {
            detail["Landfall"] = json!({"Verification": {"Expect": {"SegmentEstimate": {"Within": "5%"}}}});
        })
    };
    assert_ended(&machine.run("estimated", &estimated("estimated")?).await?, "succeeded");
    // The execution that adopts a job has not asked for an estimate yet.
    let adopted = estimated("adopted")?;
    machine.started(&adopted).await?;
    assert_ended(&machine.run("adopted", &adopted).await?, "succeeded");
    let malformed = event("segment-snapshot", "4", |detail| detail["DataFormat"] = json!("XML"))?;
    assert_ended(&machine.run("5", &malformed).await?, "failed");
    let mut machine = of(Scenario::LostAnswer)?;
    machine.limits.slice_objects = 1;
    assert_ended(&machine.run("6", &plain("5")?).await?, "succeeded");
    // A list of more objects than a report holds is written as a file of its own.
    let many = customer_profiles::Settings {
        profiles: 1_001,
        files: 1_001,
        ..Default::default()
    };
    let machine = with(many)?;
    for (id, destination) in [
        ("8", format!("s3://{EXPORTS}/many/")),
        ("9", format!("s3://{FURTHER}/x/many/")),
    ] {
        let listed = event("segment-snapshot", id, |detail| {
            detail["DestinationUri"] = json!(destination);
            detail["Landfall"] = json!({"Verification": {"Level": "listing"}});
        })?;
        world.s3.lose_once(".objects.jsonl");
        let sealed = machine.run(&format!("{id}a"), &listed).await?;
        assert_ended(&sealed, "succeeded");
        // A seal that stopped after it wrote the file is repeated.
        let receipt = sealed["outcome"]["receipt"].as_str().context("no receipt")?;
        let (bucket, key) = receipt.trim_start_matches("s3://").split_once('/').context("no key")?;
        world.store.remove(bucket, key);
        assert_ended(&machine.run(&format!("{id}b"), &listed).await?, "succeeded");
    }
    // A job that was given up is picked up.
    let machine = of(Scenario::Stuck)?;
    let short = event("segment-snapshot", "6", |detail| {
        detail["Landfall"] = json!({"DeadlineSeconds": 60})
    })?;
    let failed = machine.run("7", &short).await?;
    assert_ended(&failed, "failed");
    let again = event("segment-snapshot", "7", |detail| {
        detail["Landfall"] = json!({"PickUp": failed["job_key"], "DeadlineSeconds": 60})
    })?;
    assert_ended(&machine.run("8", &again).await?, "failed");
    Ok(())
}

fn supported(world: &World) -> Surroundings {
    Surroundings {
        end_of_support: DateTime::<Utc>::MAX_UTC,
        clock: Arc::new(world.clock.clone()),
    }
}

fn simulated_pinpoint(world: &World, scenario: pinpoint::Scenario) -> Pinpoint {
    let settings = pinpoint::Settings {
        endpoints: 20,
        scenario,
        ..Default::default()
    };
    let store = || Arc::clone(&world.store);
    Pinpoint::new(store(), store(), Arc::new(world.clock.clone()), settings)
}

const PINPOINT: [pinpoint::Scenario; 3] = [
    pinpoint::Scenario::Success,
    pinpoint::Scenario::LostAnswer,
    pinpoint::Scenario::SparseLists,
];

/// Polls a job that Pinpoint does not know, after its end of support, when the function checks whether Pinpoint still
/// answers.
async fn poll_after_the_end<S: JobService>(
    world: &World,
    function: &str,
    job: Job,
    connect: impl Fn(&SdkConfig, Surroundings) -> S,
) -> Result<()> {
    let pinpoint = Arc::new(simulated_pinpoint(world, pinpoint::Scenario::Success));
    let ended = Surroundings {
        end_of_support: DateTime::<Utc>::MIN_UTC,
        ..supported(world)
    };
    let service = connect(&world.client(function, "pinpoint", pinpoint), ended);
    poll(&world.deployment(function, |_| ())?, &service, job).await.ok();
    Ok(())
}

async fn endpoint_exports(world: &World) -> Result<()> {
    let connect = |sdk: &SdkConfig| EndpointExports::within(sdk, supported(world));
    let of = |scenario| {
        Machine::new(
            world,
            "EndpointExport",
            "pinpoint",
            simulated_pinpoint(world, scenario),
            connect,
        )
    };
    let plain = event("endpoint-export", "plain", |_| ())?;
    let of_segment = event("endpoint-export", "segment", |detail| {
        detail["ExportJobRequest"]["SegmentId"] = json!("98765432109876543210987654321098");
        detail["ExportJobRequest"]["RoleArn"] = json!("arn:aws:iam::111122223333:role/landfall-other");
    })?;
    for scenario in PINPOINT {
        for event in [&plain, &of_segment] {
            let event = again(event, scenario);
            assert_ended(&of(scenario)?.run(&format!("{scenario:?}"), &event).await?, "succeeded");
        }
    }
    let job = of(pinpoint::Scenario::Success)?.started(&plain).await?;
    poll_after_the_end(world, "EndpointExportPollFunction", job, EndpointExports::within).await
}

/// The event as another trigger.
fn again(event: &Value, scenario: pinpoint::Scenario) -> Value {
    let mut event = event.clone();
    event["id"] = json!(format!("{} {scenario:?}", event["id"]));
    event
}

async fn endpoint_imports(world: &World) -> Result<()> {
    for (key, body) in pinpoint::samples(0, 20)? {
        world.store.insert(FURTHER, &format!("x/{key}"), body.clone());
        world.store.insert(EXPORTS, key, body);
    }
    let connect = |sdk: &SdkConfig| EndpointImports::within(sdk, supported(world));
    let of = |scenario| {
        Machine::new(
            world,
            "EndpointImport",
            "pinpoint",
            simulated_pinpoint(world, scenario),
            connect,
        )
    };
    let plain = event("endpoint-import", "plain", |_| ())?;
    let further = event("endpoint-import", "further", |detail| {
        detail["ImportJobRequest"]["S3Url"] = json!(format!("s3://{FURTHER}/x/imports/endpoints.csv"));
        detail["ImportJobRequest"]["SegmentId"] = json!("98765432109876543210987654321098");
        detail["ImportJobRequest"]["RoleArn"] = json!("arn:aws:iam::111122223333:role/landfall-other");
    })?;
    for scenario in PINPOINT {
        for event in [&plain, &further] {
            let event = again(event, scenario);
            assert_ended(&of(scenario)?.run(&format!("{scenario:?}"), &event).await?, "succeeded");
        }
    }
    let job = of(pinpoint::Scenario::Success)?.started(&plain).await?;
    poll_after_the_end(world, "EndpointImportPollFunction", job, EndpointImports::within).await
}

async fn dashboard_snapshots(world: &World) -> Result<()> {
    use quicksight::Scenario;
    for (number, scenario) in [Scenario::Success, Scenario::LostAnswer].into_iter().enumerate() {
        let settings = quicksight::Settings {
            scenario,
            ..Default::default()
        };
        let store = Arc::clone(&world.store);
        let simulated = QuickSight::new(store, Arc::new(world.clock.clone()), settings);
        let connect = |sdk: &SdkConfig| DashboardSnapshots::new(sdk, Some(SESSION_ROLE.to_owned()));
        let machine = Machine::new(world, "DashboardSnapshot", "quicksight", simulated, connect)?;
        let plain = event("dashboard-snapshot", &format!("plain-{number}"), |_| ())?;
        assert_ended(&machine.run(&format!("plain-{number}"), &plain).await?, "succeeded");
        let of_user = event(
            "dashboard-snapshot-registered-user",
            &format!("user-{number}"),
            |detail| {
                detail["Landfall"] = json!({"RegisteredUser": {
                    "Email": "anna@example.com", "Namespace": "default", "IdentityRegion": "us-east-1",
                }});
            },
        )?;
        assert_ended(&machine.run(&format!("user-{number}"), &of_user).await?, "succeeded");
    }
    Ok(())
}

async fn batches(world: &World) -> Result<()> {
    let with_machines = |config: &mut Config| {
        let machine = (
            Kind::new("segment-snapshot"),
            "arn:aws:states:::stateMachine:x".to_owned(),
        );
        config.machines = BTreeMap::from([machine]);
    };
    let planner = world.deployment("BatchPlanFunction", with_machines)?;
    let summer = world.deployment("BatchSummaryFunction", with_machines)?;
    let list = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/batch-requests.jsonl"))?;
    world.store.insert(EXPORTS, "lists/requests.jsonl", list.clone());
    world.store.insert(FURTHER, "x/requests.jsonl", list);
    let by_pointer = |id: &str, uri: &str| event("batch-by-pointer", id, |detail| detail["RequestsUri"] = json!(uri));
    let malformed = event("batch", "malformed", |detail| detail["Nothing"] = json!(1))?;
    for (name, event) in [
        ("inline", event("batch", "inline", |_| ())?),
        (
            "pointer",
            by_pointer("pointer", &format!("s3://{EXPORTS}/lists/requests.jsonl"))?,
        ),
        (
            "further",
            by_pointer("further", &format!("s3://{FURTHER}/x/requests.jsonl"))?,
        ),
        (
            "absent",
            by_pointer("absent", &format!("s3://{EXPORTS}/lists/nothing.jsonl"))?,
        ),
        ("gone", by_pointer("gone", &format!("s3://{FURTHER}/x/nothing.jsonl"))?),
        ("malformed", malformed),
    ] {
        let mut received = json!({
            "kind": "export-batch", "event": event,
            "execution": format!("arn:aws:states:{REGION}:{OWNER}:execution:batch:{name}"),
        });
        // Twice, because the second delivery finds what the first one wrote.
        for _ in 0..2 {
            match plan(&planner, received.clone(), &world.invoke()).await {
                Ok(batch) => {
                    let mut batch = batch;
                    while batch.outcome.is_none() {
                        batch = summarise(&summer, json!(batch), &world.invoke()).await?;
                    }
                }
                Err(error) => {
                    received["error"] = json!(landfall::job::TaskError::from(error));
                    summarise(&summer, received.clone(), &world.invoke()).await?;
                }
            }
        }
    }
    Ok(())
}

async fn all() -> Result<World> {
    let world = World::new()?;
    Box::pin(of_each_kind(&world)).await?;
    Box::pin(segment_snapshots(&world)).await.context("segment snapshots")?;
    Box::pin(endpoint_exports(&world)).await.context("endpoint exports")?;
    Box::pin(endpoint_imports(&world)).await.context("endpoint imports")?;
    Box::pin(dashboard_snapshots(&world))
        .await
        .context("dashboard snapshots")?;
    Box::pin(batches(&world)).await.context("batches")?;
    Ok(world)
}

fn assert_names_owner(function: &str, exchange: &Exchange) {
    let owner = exchange
        .headers
        .iter()
        .find(|(name, _)| name == "x-amz-expected-bucket-owner");
    assert_eq!(
        owner.map(|(_, owner)| owner.as_str()),
        Some(OWNER),
        "{function}: {} {}",
        exchange.method,
        exchange.target
    );
}

/// What IAM is asked about a request to S3.
fn s3_calls(function: &str, exchange: &Exchange) -> Vec<Call> {
    let target = Target::read(&exchange.target);
    let bucket = format!("arn:aws:s3:::{}", target.bucket);
    let call = |action: &str, resource: String| Call {
        function: function.to_owned(),
        action: action.to_owned(),
        resource,
        context: BTreeMap::new(),
    };
    let object = || format!("{bucket}/{}", target.key);
    let mut calls = vec![match exchange.method.as_str() {
        "GET" if target.key.is_empty() => call("s3:ListBucket", bucket.clone()),
        "GET" | "HEAD" => call("s3:GetObject", object()),
        "PUT" | "POST" => call("s3:PutObject", object()),
        "DELETE" => call("s3:AbortMultipartUpload", object()),
        other => panic!("this test knows no operation of S3 with the method {other}"),
    }];
    // S3 answers 403 for a missing key if the caller may not list the bucket.
    if exchange.status == 404 && !target.key.is_empty() {
        calls.push(call("s3:ListBucket", bucket));
    }
    calls
}

/// The name of the session role in the template, whose calls are made with the credentials that STS gave.
const SESSION: &str = "DashboardSnapshotSessionRole";

/// The role that makes a call: the function's, or the session role.
fn caller<'a>(function: &'a str, exchange: &Exchange) -> &'a str {
    let is_of_session = |(name, value): &(String, String)| name == "authorization" && value.contains("=ASIALANDFALL");
    match exchange.headers.iter().any(is_of_session) {
        true => SESSION,
        false => function,
    }
}

/// What IAM needs to know about the calls of a kind.
struct Asks {
    /// The beginning of its functions' names in the template.
    prefix: String,
    /// The name of the service in actions and ARNs.
    api: &'static str,
    /// The end of an ARN, from the path of a request.
    resource: fn(&[&str]) -> Option<String>,
    passes_role_to: Option<&'static str>,
}

impl Asks {
    fn of<S: Subject>() -> Self {
        Self {
            prefix: in_template(S::KIND),
            api: S::Simulated::SIGNING_NAME,
            resource: S::resource,
            passes_role_to: S::PASSES_ROLE_TO,
        }
    }
}

macro_rules! asks {
    ($($name:ident: $kind:ty),* $(,)?) => { [$(Asks::of::<$kind>()),*] };
}

/// The questions to IAM for a request to the service of a kind.
fn service_calls(function: &str, operation: &str, exchange: &Exchange) -> Vec<Call> {
    let kinds = each_kind!(asks);
    let kind = kinds.iter().find(|kind| function.starts_with(&kind.prefix));
    let kind = kind.expect("the functions of kinds alone call services");
    let function = caller(function, exchange);
    let of_users = |action: &str, resource: &str| Call {
        function: function.to_owned(),
        action: action.to_owned(),
        resource: resource.to_owned(),
        context: BTreeMap::new(),
    };
    match operation {
        // The service authorization reference lists no resource for this action.
        "GetIdentityContext" => return vec![of_users("quicksight:GetIdentityContext", "*")],
        // Passing a context needs sts:SetContext as well.
        "AssumeRole" => {
            return ["sts:AssumeRole", "sts:SetContext"]
                .map(|action| of_users(action, SESSION_ROLE))
                .into();
        }
        _ => {}
    }
    let path = exchange.target.split('?').next().unwrap_or_default();
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    // Actions and ARNs are named as in the service authorization reference.
    let api = kind.api;
    let resource = (kind.resource)(&parts).unwrap_or_else(|| panic!("{function} asks {api} for {path}"));
    let call = |action: String, resource: String, context| Call {
        function: function.to_owned(),
        action,
        resource,
        context,
    };
    let mut calls = vec![call(
        format!("{api}:{operation}"),
        format!("arn:aws:{api}:{REGION}:{OWNER}:{resource}"),
        BTreeMap::new(),
    )];
    let body: Value = serde_json::from_str(&exchange.body).unwrap_or_default();
    if let Some(role) = body["RoleArn"].as_str() {
        let passed_to = kind.passes_role_to.unwrap_or_default().to_owned();
        let context = BTreeMap::from([("iam:PassedToService".to_owned(), passed_to)]);
        calls.push(call("iam:PassRole".to_owned(), role.to_owned(), context));
    }
    calls
}

/// The name of a function in the template: `SealReceiptFunction` for `seal-receipt`.
fn logical(function: &str) -> String {
    in_template(function) + "Function"
}

/// The calls without the parts that differ from run to run and do not matter to IAM.
fn plain(calls: BTreeSet<Call>) -> Result<BTreeSet<Call>> {
    let patterns = [
        (r"\d{8}T\d{6}Z-[0-9a-f]{8}(-\d+(-[0-9a-f]{8})?)?", "JOB"),
        (r"rejected-[0-9a-f]{16}(-[0-9a-f]{8})?", "REJECTED"),
        (r"request-\d+", "REQUEST"),
        (
            r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{16}",
            "ID",
        ),
        (r"\d{4}[-/]\d{2}[-/]\d{2}", "DAY"),
        (r"\b\d{5}\b", "NUMBER"),
    ];
    let patterns = patterns.map(|(pattern, name)| Regex::new(pattern).map(|pattern| (pattern, name)));
    let patterns = patterns.into_iter().collect::<Result<Vec<_>, _>>()?;
    let plain = |mut call: Call| {
        for (pattern, name) in &patterns {
            call.resource = pattern.replace_all(&call.resource, *name).into_owned();
        }
        call
    };
    Ok(calls.into_iter().map(plain).collect())
}

/// In a debug build the calls need more stack than a test thread has.
const STACK: usize = 16 << 20;

#[test]
fn every_call_is_listed_and_names_the_owner_of_its_bucket() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let test = move || runtime.block_on(every_call());
    let deep = std::thread::Builder::new().stack_size(STACK).spawn(test)?;
    deep.join().expect("the test panicked")
}

async fn every_call() -> Result<()> {
    let world = all().await?;
    let mut calls = BTreeSet::new();
    let mut of_s3 = BTreeSet::new();
    let mut of_services: BTreeMap<&str, Vec<(String, Exchange)>> = BTreeMap::new();
    for (function, models, exchanges) in world.exchanges() {
        for exchange in exchanges {
            assert_ne!(
                exchange.status, 501,
                "{function}: {} {}",
                exchange.method, exchange.target
            );
            if models == "s3" {
                assert_names_owner(&function, &exchange);
                of_s3.insert(function.clone());
                calls.extend(s3_calls(&function, &exchange));
            } else {
                of_services
                    .entry(models)
                    .or_default()
                    .push((function.clone(), exchange));
            }
        }
    }
    // Every function calls S3, polls too: a poll reads the job's entry to see whether it was cancelled.
    let functions: BTreeSet<String> = functions(&KINDS, true).iter().map(|name| logical(name)).collect();
    assert_eq!(of_s3, functions);
    for (models, exchanges) in of_services {
        let requests: Vec<Exchange> = exchanges.iter().map(|(_, exchange)| exchange.clone()).collect();
        let operations = wire::operations(models, &requests)?;
        for ((function, exchange), operation) in exchanges.iter().zip(operations) {
            calls.extend(service_calls(function, &operation, exchange));
        }
    }
    let calls = plain(calls)?;
    let lines: Vec<String> = calls.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    let found = format!("[\n{}\n]\n", lines.join(",\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(COMMITTED);
    if std::env::var_os("LANDFALL_UPDATE").is_some() {
        fs::write(&path, &found)?;
    }
    let committed: BTreeSet<Call> = serde_json::from_str(&fs::read_to_string(&path)?)?;
    let missing: Vec<_> = calls.difference(&committed).collect();
    let unused: Vec<_> = committed.difference(&calls).collect();
    assert!(
        missing.is_empty() && unused.is_empty(),
        "{COMMITTED} is not what the functions call; see what changed, and write it anew with LANDFALL_UPDATE=1:\n\
         not listed: {missing:#?}\nnot called: {unused:#?}"
    );
    Ok(())
}

/// Calls each method of the store, uploads in parts included.
#[tokio::test]
async fn every_call_of_the_store_names_the_owner_of_its_bucket() -> Result<()> {
    let world = World::new()?;
    let store = world.deployment("Store", |_| ())?.store;
    assert!(matches!(
        store
            .put("landfall-exports", "a", "1".into(), Condition::Absent)
            .await?,
        Written::Done { .. }
    ));
    let stored = store.get(EXPORTS, "a").await?.context("nothing")?;
    let changed = store
        .put(EXPORTS, "a", "22".into(), Condition::Unchanged(stored.etag))
        .await?;
    let Written::Done { etag } = changed else {
        panic!("refused")
    };
    assert_eq!(store.get(EXPORTS, "b").await?, None);
    assert_eq!(store.head(EXPORTS, "a").await?.context("nothing")?.size, 2);
    assert_eq!(store.read(EXPORTS, "a", &etag, 1, 2).await?, Bytes::from("2"));
    let mut frames = store.stream(EXPORTS, "a", &etag, 0, 2).await?;
    assert_eq!(
        futures::StreamExt::next(&mut frames).await.context("nothing")??,
        Bytes::from("22")
    );
    for number in 0..1_001 {
        world.store.insert(EXPORTS, &format!("many/{number}"), "x");
    }
    assert_eq!(store.list(EXPORTS, "many/", 2_000).await?.len(), 1_001);
    let upload = store.begin_upload(EXPORTS, "large").await?;
    let parts = [store.upload_part(EXPORTS, "large", &upload, 1, "part".into()).await?];
    assert!(matches!(
        store.complete_upload(EXPORTS, "large", &upload, &parts).await?,
        Written::Done { .. }
    ));
    let upload = store.begin_upload(EXPORTS, "other").await?;
    store.abort_upload(EXPORTS, "other", &upload).await?;
    assert_eq!(world.store.uploads_open(), 0);
    assert_eq!(world.store.body(EXPORTS, "large"), Some("part".into()));

    let exchanges = world.exchanges().remove(0).2;
    assert_eq!(exchanges.len(), 14, "{exchanges:#?}");
    for exchange in &exchanges {
        assert_names_owner("the store", exchange);
    }
    Ok(())
}
