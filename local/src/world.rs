//! The whole local world: edge, moto, functions and what is deployed.
//!
//! What must stay true: a world shares only the built binaries and the Python environment with another world. When it
//! is dropped or shut down, all its processes end.

use std::{
    any::Any,
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use async_trait::async_trait;
use aws_sdk_s3::{
    Client as S3,
    primitives::ByteStream,
    types::{ChecksumAlgorithm, ServerSideEncryption},
};
use bytes::Bytes;
use landfall::clock::SystemClock;
use serde_json::Value;

use crate::{
    account::{ACCOUNT, EXPORTS, REGION},
    aws::{Aws, Description},
    children::Guard,
    deploy::{self, Retries},
    edge::{
        Edge,
        lambda::{FunctionConfig, Lambda, Settings as LambdaSettings},
    },
    event,
    functions::{self, BATCH, Binaries},
    kinds::{self, KINDS, Kind},
    moto::Moto,
    places, python, rules,
    simulated::{
        SimulatedService, Sink, Source,
        simulator::{Asked, Recipe, Simulator, Storage},
    },
    stack,
    template::template,
    watch::{Jobs, Step, Watcher, What},
};

/// The pause between two readings of an execution's history. A reading costs moto some milliseconds.
const PAUSE: Duration = Duration::from_millis(150);

/// How many executions may be followed at once before the pauses grow. Longer pauses leave moto time to run the
/// executions.
const UNHURRIED: u32 = 4;

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// The kinds of jobs to deploy.
    pub kinds: Vec<Kind>,
    /// Whether batches of them are deployed too.
    pub batches: bool,
    /// Binaries to use. `None` builds them.
    pub binaries: Option<Binaries>,
    /// Environment variables for every function, in place of the default ones. An empty value removes a variable.
    pub variables: BTreeMap<String, String>,
    /// Environment variables by function, in place of all others. An empty value removes a variable.
    pub function_variables: BTreeMap<String, BTreeMap<String, String>>,
    /// Timeouts by function.
    pub timeouts: BTreeMap<String, Duration>,
    /// Pauses of the state machine.
    pub retries: Retries,
    /// How simulated services behave. A service that is not named here behaves as usual.
    pub services: Vec<Recipe>,
    /// The edge's port. 0 takes a free one.
    pub port: u16,
    /// The folder of the logs. `None` makes a new folder in the build folder.
    pub folder: Option<PathBuf>,
    /// Whether whole requests to simulated services are kept.
    pub capture: bool,
}

impl Options {
    /// The usual world for one kind, such as `segment-snapshot`.
    pub fn for_kind(name: &str) -> Result<Self> {
        Ok(Self::for_kinds(vec![Kind::named(name)?]))
    }

    /// The usual world for some kinds.
    pub fn for_kinds(kinds: Vec<Kind>) -> Self {
        Self {
            kinds,
            batches: false,
            binaries: None,
            variables: BTreeMap::new(),
            function_variables: BTreeMap::new(),
            timeouts: BTreeMap::new(),
            retries: Retries::default(),
            services: Vec::new(),
            port: 0,
            folder: None,
            capture: false,
        }
    }
}

/// A running world. Dropping it ends all its processes.
pub struct World {
    // In the order in which they end: the functions with the edge, then moto, then the rest.
    edge: Edge,
    moto: Moto,
    aws: Aws,
    s3: S3,
    services: BTreeMap<&'static str, Arc<dyn SimulatedService>>,
    machines: BTreeMap<&'static str, String>,
    announcements: String,
    folder: PathBuf,
    _run: Option<places::RunFolder>,
    followed: AtomicU32,
    _guard: Guard,
}

/// One delivery of an event.
#[derive(Clone, Debug)]
pub struct Execution {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// The kind of job, or [`BATCH`].
    pub kind: &'static str,
    /// When it was started.
    pub begun: Instant,
}

/// How an execution ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// `SUCCEEDED`, `FAILED`, `TIMED_OUT` or `ABORTED`.
    pub status: String,
    /// The output, if it succeeded.
    pub output: Option<Value>,
    /// The error's name, if it failed.
    pub error: Option<String>,
    /// The error's cause, if it failed.
    pub cause: Option<String>,
    /// All events, oldest first.
    pub history: Vec<Value>,
}

impl Finished {
    /// Whether it succeeded.
    pub fn is_success(&self) -> bool {
        self.status == "SUCCEEDED"
    }

    /// The job as the execution last had it: the newest output of a state that is a job.
    pub fn job(&self) -> Option<Value> {
        let outputs = self.history.iter().rev().filter_map(|event| {
            let text = event["stateExitedEventDetails"]["output"].as_str()?;
            serde_json::from_str::<Value>(text).ok()
        });
        let mut jobs = outputs.filter(|output| output["job_key"].is_string() || output["outcome"].is_object());
        jobs.next()
    }

    /// The names of the states in the order in which they were entered.
    pub fn states(&self) -> Vec<String> {
        self.history
            .iter()
            .filter_map(|event| event["stateEnteredEventDetails"]["name"].as_str())
            .map(str::to_owned)
            .collect()
    }
}

impl World {
    /// Builds, installs and starts whatever is needed.
    pub async fn start(options: Options) -> Result<Self> {
        let workspace = places::workspace()?;
        // Both may take minutes the first time, and neither is async.
        let (kinds, batches) = (options.kinds.clone(), options.batches);
        let (binaries, python) = tokio::task::spawn_blocking({
            let (workspace, given) = (workspace.clone(), options.binaries.clone());
            move || -> Result<_> {
                let python = python::ensure(&workspace)?;
                let binaries = match given {
                    Some(binaries) => binaries,
                    None => functions::build(&workspace, &kinds, batches)?,
                };
                Ok((binaries, python))
            }
        })
        .await
        .context("the preparation broke off")??;
        Self::with(options, &workspace, &binaries, &python).await
    }

    async fn with(
        options: Options,
        workspace: &Path,
        binaries: &Binaries,
        python: &python::Environment,
    ) -> Result<Self> {
        let (folder, run) = match &options.folder {
            Some(folder) => (folder.clone(), None),
            None => {
                let own = places::own_folder(workspace)?;
                places::prune_runs(&own, 50);
                let run = places::run_folder(&own)?;
                (run.path.clone(), Some(run))
            }
        };
        let logs = folder.join("logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let guard = Guard::start()?;
        let edge = Edge::start(options.port, |address| {
            Lambda::new(LambdaSettings {
                endpoint: address,
                region: REGION.to_owned(),
                account: ACCOUNT.to_owned(),
                logs: logs.clone(),
                guard: guard.clone(),
            })
        })
        .await?;
        let moto = Moto::start(python, &guard, edge.address(), ACCOUNT, REGION, &logs.join("moto.log")).await?;
        edge.set_backend(moto.address());
        if options.capture {
            edge.log().capture();
        }

        let s3 = deploy::s3(moto.address());
        let storage: Arc<dyn Storage> = Arc::new(S3Sink(s3.clone()));
        let mut services = BTreeMap::new();
        for service in kinds::services(&KINDS) {
            let name = service.signing_name;
            let given = options.services.iter().rfind(|recipe| recipe.signing_name() == name);
            let usual = (service.recipe)(&Asked::default(), None)?;
            let made = given
                .unwrap_or(&usual)
                .make(Arc::clone(&storage), Arc::new(SystemClock));
            edge.add_service(Arc::clone(&made));
            services.insert(name, made);
        }

        let aws = Aws::new(moto.address(), REGION);
        let (buckets, announcements) = tokio::join!(deploy::buckets(&s3), deploy::bus(&aws));
        buckets?;
        for kind in &options.kinds {
            if let Some(service) = services.get(kind.service.signing_name) {
                service.prepare(kind.name, EXPORTS).await?;
            }
        }
        let announcements = announcements?;
        for name in functions::functions(&options.kinds, options.batches) {
            let program = binaries
                .get(&name)
                .with_context(|| format!("there is no binary of function {name}"))?;
            edge.lambda().create(function(&options, &name, program)?)?;
        }
        let mut machines = BTreeMap::new();
        for kind in &options.kinds {
            let machine = deploy::state_machine(&aws, edge.lambda(), workspace, *kind, options.retries).await?;
            machines.insert(kind.name, machine);
        }
        if options.batches {
            let machine = deploy::batch_state_machine(&aws, edge.lambda(), workspace, options.retries).await?;
            machines.insert(BATCH, machine);
        }
        Ok(Self {
            edge,
            moto,
            aws,
            s3,
            services,
            machines,
            announcements,
            folder,
            _run: run,
            followed: AtomicU32::new(0),
            _guard: guard,
        })
    }

    /// Deploys the template's rules, so that events on a bus start executions.
    pub async fn deploy_rules(&self) -> Result<()> {
        rules::deploy(&self.aws, &self.machines).await
    }

    /// Creates the stack, so that CloudFormation describes this world like a deployed one.
    pub async fn deploy_stack(&self) -> Result<()> {
        stack::deploy(&self.aws, &self.machines).await
    }

    /// The URL of the queue that keeps the announcements.
    pub fn announcements_url(&self) -> &str {
        &self.announcements
    }

    /// Delivers an event as EventBridge does: starts an execution of its kind's state machine with the event as input.
    pub async fn deliver(&self, event: &Value) -> Result<Execution> {
        self.deliver_text(&event::kind(event)?, &event.to_string()).await
    }

    /// Delivers the text of an event to the state machine of a kind, whatever is in it.
    pub async fn deliver_text(&self, kind: &str, event: &str) -> Result<Execution> {
        let (kind, machine) = self
            .machines
            .get_key_value(kind)
            .with_context(|| format!("kind {kind} is not deployed in this world"))?;
        let name = crate::edge::ids::new_id();
        let begun = Instant::now();
        let arn = self.aws.start_execution(machine, &name, event).await?;
        Ok(Execution { arn, name, kind, begun })
    }

    /// Waits for the end of an execution.
    pub async fn wait(&self, execution: &Execution) -> Result<Finished> {
        self.follow(execution, |_| {}).await
    }

    /// Waits for the end of an execution and tells each step as it happens.
    pub async fn follow(&self, execution: &Execution, mut tell: impl FnMut(&Step)) -> Result<Finished> {
        let mut watcher = Watcher::new(self.aws.clone(), &execution.arn);
        let mut jobs = (execution.kind == BATCH).then(|| Jobs::new(&self.aws, &self.machines, &execution.arn));
        let following = Following::new(&self.followed);
        for turn in 1_u32.. {
            let (steps, history) = watcher.news().await?;
            if let Some(jobs) = &mut jobs
                && let Some(step) = jobs.news().await?
            {
                tell(&step);
            }
            steps.iter().for_each(&mut tell);
            // After an earlier end the execution was redriven.
            let has_ended = steps.last().is_some_and(|step| matches!(step.what, What::Ended { .. }));
            // Asked only now and then. The history of a stopped execution may have no last event.
            if has_ended || turn.is_multiple_of(10) {
                let described = self.described(execution, has_ended).await?;
                if described.status != "RUNNING" {
                    let history = if has_ended {
                        history
                    } else {
                        // It ended after its history was read.
                        let (steps, history) = watcher.news().await?;
                        steps.iter().for_each(&mut tell);
                        history
                    };
                    return Ok(Finished {
                        status: described.status,
                        output: described.output,
                        error: described.error,
                        cause: described.cause,
                        history,
                    });
                }
            }
            tokio::time::sleep(following.pause()).await;
        }
        bail!("{} never ended", execution.arn)
    }

    /// The state of an execution. Its status changes a moment after the last event of the history, so this waits for
    /// it.
    async fn described(&self, execution: &Execution, has_ended: bool) -> Result<Description> {
        for _ in 0..100 {
            let described = self.aws.describe_execution(&execution.arn).await?;
            if described.status != "RUNNING" || !has_ended {
                return Ok(described);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!(
            "{} has ended by its history and still runs by its status",
            execution.arn
        )
    }

    /// Redrives an execution, as somebody on call does. It goes on in the state in which it failed or was stopped, with
    /// that state's input.
    pub async fn redrive(&self, execution: &Execution) -> Result<()> {
        self.aws.redrive_execution(&execution.arn).await
    }

    /// Stops an execution.
    pub async fn stop(&self, execution: &Execution) -> Result<()> {
        self.aws.stop_execution(&execution.arn).await
    }

    /// The content of an object; `None` if it does not exist.
    pub async fn object(&self, bucket: &str, key: &str) -> Result<Option<Bytes>> {
        match self.s3.get_object().bucket(bucket).key(key).send().await {
            Ok(found) => {
                let body = found
                    .body
                    .collect()
                    .await
                    .with_context(|| format!("cannot read s3://{bucket}/{key}"))?;
                Ok(Some(body.into_bytes()))
            }
            Err(error) if error.as_service_error().is_some_and(|error| error.is_no_such_key()) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot get s3://{bucket}/{key}")),
        }
    }

    /// The JSON document at an `s3://` URI.
    pub async fn json(&self, uri: &str) -> Result<Value> {
        let place = uri.strip_prefix("s3://").and_then(|place| place.split_once('/'));
        let (bucket, key) = place.with_context(|| format!("{uri} is not the URI of an object"))?;
        let body = self.object(bucket, key).await?;
        let body = body.with_context(|| format!("{uri} is not there"))?;
        serde_json::from_slice(&body).with_context(|| format!("{uri} is not JSON"))
    }

    /// The keys in a bucket that begin with a prefix, in order.
    pub async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        list(&self.s3, bucket, prefix).await
    }

    /// Writes an object, as somebody outside of Landfall would.
    pub async fn put(&self, bucket: &str, key: &str, body: impl Into<Bytes>) -> Result<()> {
        S3Sink(self.s3.clone()).put(bucket, key, body.into(), None).await
    }

    /// The events that the jobs have announced since the last call.
    pub async fn announcements(&self) -> Result<Vec<Value>> {
        deploy::take_messages(&self.aws, &self.announcements).await
    }

    /// The edge: its Lambda, its log, its address.
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// The Lambda: invocation counts, faults to inject.
    pub fn lambda(&self) -> &Lambda {
        self.edge.lambda()
    }

    /// A simulated service.
    pub fn simulated<S: Simulator>(&self) -> Result<Arc<S>> {
        let service = self.services.get(S::SIGNING_NAME).map(Arc::clone);
        let service: Arc<dyn Any + Send + Sync> = service.context("no kind has this service")?;
        service
            .downcast()
            .map_err(|_| anyhow!("another service is signed for as {}", S::SIGNING_NAME))
    }

    /// A caller of Step Functions, EventBridge and SQS.
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// A client of S3.
    pub fn s3(&self) -> &S3 {
        &self.s3
    }

    /// The ARN of a kind's state machine.
    pub fn state_machine(&self, kind: &str) -> Option<&str> {
        self.machines.get(kind).map(String::as_str)
    }

    /// Where this world keeps its logs: `logs/<function>.log` and `logs/moto.log`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends all processes and waits for their end.
    pub async fn shutdown(self) {
        self.edge.lambda().shutdown().await;
        self.moto.shutdown().await;
    }
}

/// Counts as following while it exists.
struct Following<'a>(&'a AtomicU32);

impl<'a> Following<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }

    fn pause(&self) -> Duration {
        PAUSE * self.0.load(Ordering::Relaxed).div_ceil(UNHURRIED).max(1)
    }
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn function(options: &Options, name: &str, program: &Path) -> Result<FunctionConfig> {
    let mut variables = deploy::variables();
    variables.extend(deploy::variables_of(name, &options.kinds)?);
    let given = [Some(&options.variables), options.function_variables.get(name)];
    for (variable, value) in given.into_iter().flatten().flatten() {
        variables.insert(variable.clone(), value.clone());
    }
    variables.retain(|_, value| !value.is_empty());
    let size = template()?.size(name)?;
    Ok(FunctionConfig {
        variables,
        timeout: options.timeouts.get(name).copied().unwrap_or(size.timeout),
        memory_mb: size.memory_mb,
        ..FunctionConfig::new(name, program)
    })
}

/// The keys in a bucket that begin with a prefix, in order.
async fn list(s3: &S3, bucket: &str, prefix: &str) -> Result<Vec<String>> {
    let mut pages = s3
        .list_objects_v2()
        .bucket(bucket)
        .prefix(prefix)
        .into_paginator()
        .send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.with_context(|| format!("cannot list s3://{bucket}/{prefix}"))?;
        keys.extend(
            page.contents()
                .iter()
                .filter_map(|object| object.key().map(str::to_owned)),
        );
    }
    Ok(keys)
}

/// Puts the files of the simulated services into S3, and gets what they read.
struct S3Sink(S3);

#[async_trait]
impl Source for S3Sink {
    async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        list(&self.0, bucket, prefix).await
    }

    async fn get(&self, bucket: &str, key: &str) -> Result<Bytes> {
        let place = || format!("cannot read s3://{bucket}/{key}");
        let found = self
            .0
            .get_object()
            .bucket(bucket)
            .key(key)
            .send()
            .await
            .with_context(place)?;
        Ok(found.body.collect().await.with_context(place)?.into_bytes())
    }
}

#[async_trait]
impl Sink for S3Sink {
    async fn put(&self, bucket: &str, key: &str, body: Bytes, kms_key: Option<&str>) -> Result<()> {
        let encryption = kms_key.map(|_| ServerSideEncryption::AwsKms);
        self.0
            .put_object()
            .bucket(bucket)
            .key(key)
            // S3 computes this checksum for every object whose writer names no other. moto keeps only what a writer
            // names.
            .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
            .body(ByteStream::from(body))
            .set_server_side_encryption(encryption)
            .set_ssekms_key_id(kms_key.map(str::to_owned))
            .send()
            .await
            .map_err(|error| anyhow::Error::new(error.into_service_error()))
            .with_context(|| format!("cannot write s3://{bucket}/{key}"))?;
        Ok(())
    }
}
