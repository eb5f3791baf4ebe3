//! Lambda's Invoke API over real function binaries.
//!
//! What must stay true: an execution environment is one child process, and it serves one invocation at a time. A second
//! concurrent invocation starts another environment. Whatever becomes of the process, its caller gets the answer that
//! Lambda would give. A function's error is a 200 with `X-Amz-Function-Error`. An exit is `Runtime.ExitError`. A
//! timeout ends the environment and is `Sandbox.Timedout`. An invocation runs to its end even if its caller hangs up.

pub(super) mod api;
mod environment;

use std::{
    collections::{BTreeMap, HashMap},
    fs::OpenOptions,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::StatusCode;
use tokio::{
    process::Command,
    sync::{Notify, oneshot},
    task::JoinSet,
};

use self::environment::{Busy, Function, Invocation, State, error_document, exit_error, lock};
pub(super) use self::environment::{Environment, Next};
pub use self::environment::{Fault, FunctionConfig};
use super::ids::new_id;
use crate::children::Guard;

/// How long a new environment may take until it asks for its first invocation. Lambda gives 10 s. A busy machine that
/// also compiles needs more.
const INIT_LIMIT: Duration = Duration::from_secs(60);

/// How long an answer is held back until its environment asks for the next invocation or ends. It does so at once, but
/// this may take a moment on a busy machine.
const RETURN_LIMIT: Duration = Duration::from_secs(2);

/// How many bytes a synchronous invocation may carry at most, in and out.
const PAYLOAD_LIMIT: usize = 6 << 20;

/// The one version that each function has.
const VERSION: &str = "1";

/// The functions and their running environments.
#[derive(Debug)]
pub struct Lambda {
    settings: Settings,
    functions: Mutex<BTreeMap<String, Arc<Function>>>,
    environments: Mutex<HashMap<String, Arc<Environment>>>,
    tasks: Mutex<JoinSet<()>>,
    itself: Weak<Self>,
}

/// Where functions run, and in which account.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The edge. Every AWS client of a function calls it.
    pub endpoint: SocketAddr,
    /// The region.
    pub region: String,
    /// The account.
    pub account: String,
    /// Each function's output goes to `<name>.log` in this folder.
    pub logs: PathBuf,
    /// Ends the functions' processes when this process ends.
    pub guard: Guard,
}

/// What became of an invocation.
enum Outcome {
    Answered(Bytes),
    FunctionError(Bytes),
    Refused(StatusCode, &'static str, String),
}

impl Lambda {
    /// A Lambda without functions.
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new_cyclic(|itself| Self {
            settings,
            functions: Mutex::default(),
            environments: Mutex::default(),
            tasks: Mutex::new(JoinSet::new()),
            itself: itself.clone(),
        })
    }

    /// Creates a function, or replaces one of the same name.
    pub fn create(&self, config: FunctionConfig) -> Result<()> {
        let path = self.log_path(&config.name);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write the log of function {} to {}", config.name, path.display()))?;
        let function = Function {
            arn: self.arn(&config.name),
            log,
            idle: Mutex::default(),
            running: AtomicUsize::new(0),
            invocations: AtomicU64::new(0),
            faults: Mutex::default(),
            broken: Mutex::default(),
            config,
        };
        lock(&self.functions).insert(function.config.name.clone(), Arc::new(function));
        Ok(())
    }

    /// The ARN of a function, whether it exists or not.
    pub fn arn(&self, name: &str) -> String {
        let Settings { region, account, .. } = &self.settings;
        format!("arn:aws:lambda:{region}:{account}:function:{name}")
    }

    /// The ARN of a function's version. Definitions name versions, so that an execution goes on with the code with
    /// which it was started. Here each function has one version.
    pub fn version_arn(&self, name: &str) -> String {
        format!("{}:{VERSION}", self.arn(name))
    }

    /// Where a function's output is kept.
    pub fn log_path(&self, name: &str) -> PathBuf {
        self.settings.logs.join(format!("{name}.log"))
    }

    /// The names of all functions.
    pub fn names(&self) -> Vec<String> {
        lock(&self.functions).keys().cloned().collect()
    }

    /// How often a function was invoked; 0 for an unknown one.
    pub fn invocations(&self, name: &str) -> u64 {
        self.function(name)
            .map_or(0, |function| function.invocations.load(Ordering::SeqCst))
    }

    /// Makes the `nth` invocation of a function, counted from 1, go wrong.
    pub fn inject(&self, name: &str, nth: u64, fault: Fault) -> Result<()> {
        lock(&self.faulty(name)?.faults).insert(nth, fault);
        Ok(())
    }

    /// Makes every invocation of a function go wrong until it is [mended](Self::mend).
    pub fn break_down(&self, name: &str, fault: Fault) -> Result<()> {
        *lock(&self.faulty(name)?.broken) = Some(fault);
        Ok(())
    }

    /// Ends what [`Self::break_down`] began.
    pub fn mend(&self, name: &str) -> Result<()> {
        *lock(&self.faulty(name)?.broken) = None;
        Ok(())
    }

    /// Kills the environments that a function has now, whatever they are doing.
    pub fn kill(&self, name: &str) {
        let environments: Vec<_> = lock(&self.environments).values().cloned().collect();
        for environment in environments {
            if environment.function.config.name == name {
                environment.end();
            }
        }
    }

    fn faulty(&self, name: &str) -> Result<Arc<Function>> {
        self.function(name)
            .with_context(|| format!("there is no function {name} to inject a fault into"))
    }

    /// Ends every environment and waits until their processes are gone.
    pub async fn shutdown(&self) {
        let environments: Vec<_> = lock(&self.environments).values().cloned().collect();
        for environment in environments {
            environment.end();
        }
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        while tasks.join_next().await.is_some() {}
    }

    fn function(&self, name: &str) -> Option<Arc<Function>> {
        lock(&self.functions).get(name).cloned()
    }

    pub(super) fn environment(&self, id: &str) -> Option<Arc<Environment>> {
        lock(&self.environments).get(id).cloned()
    }

    async fn invoke(&self, function: Arc<Function>, id: String, payload: Bytes, trace: String) -> Outcome {
        let nth = function.invocations.fetch_add(1, Ordering::SeqCst) + 1;
        let own = lock(&function.faults).remove(&nth);
        let fault = own.or_else(|| lock(&function.broken).clone());
        let busy = Busy::new(&function);
        let limit = function.config.concurrency.unwrap_or(usize::MAX);
        match &fault {
            _ if busy.count > limit => return throttled(),
            Some(Fault::Throttle) => return throttled(),
            Some(Fault::ServiceError) => {
                return Outcome::Refused(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "ServiceException",
                    "The Lambda service encountered an internal error.".to_owned(),
                );
            }
            Some(Fault::Error { error_type, message }) => {
                return Outcome::FunctionError(error_document(error_type, message));
            }
            Some(Fault::DieBefore | Fault::DieAfter) | None => {}
        }

        let (reply, mut answer) = oneshot::channel();
        let (fetched, mut was_fetched) = oneshot::channel();
        let invocation = Invocation {
            id: id.clone(),
            payload,
            trace,
            dies_before: fault == Some(Fault::DieBefore),
            dies_after: fault == Some(Fault::DieAfter),
            fetched: Some(fetched),
            reply,
        };
        let environment = match self.hand_over(&function, invocation) {
            Ok(environment) => environment,
            Err(error) => {
                return Outcome::FunctionError(error_document(
                    "Runtime.InvalidEntrypoint",
                    &format!("RequestId: {id} Error: {error:#}"),
                ));
            }
        };

        let limit = function.config.timeout;
        let fetched = async {
            // If nothing was fetched, the reply says what happened.
            if (&mut was_fetched).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let first = tokio::select! {
            biased;
            answer = &mut answer => Some(answer),
            () = fetched => None,
            () = tokio::time::sleep(INIT_LIMIT) => {
                environment.end();
                return timed_out(&id, INIT_LIMIT);
            }
        };
        let answer = match first {
            Some(answer) => answer,
            None => match tokio::time::timeout(limit, answer).await {
                Ok(answer) => answer,
                Err(_) => {
                    environment.end();
                    return timed_out(&id, limit);
                }
            },
        };
        // So that a caller that comes again at once finds this environment idle, and no new one is started.
        let _ = tokio::time::timeout(RETURN_LIMIT, environment.settled.notified()).await;
        match answer {
            Ok(Ok(body)) if body.len() > PAYLOAD_LIMIT => Outcome::FunctionError(error_document(
                "Function.ResponseSizeTooLarge",
                &format!(
                    "Response payload size ({} bytes) exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes).",
                    body.len()
                ),
            )),
            Ok(Ok(body)) => Outcome::Answered(body),
            Ok(Err(error)) => Outcome::FunctionError(error),
            // Happens only at shutdown.
            Err(_) => Outcome::FunctionError(exit_error(&id, None)),
        }
    }

    /// Gives an invocation to an idle environment, or starts one for it.
    fn hand_over(&self, function: &Arc<Function>, mut invocation: Invocation) -> Result<Arc<Environment>> {
        loop {
            let Some(environment) = lock(&function.idle).pop() else {
                break;
            };
            match environment.give(invocation) {
                Ok(()) => return Ok(environment),
                Err(back) => invocation = *back,
            }
        }
        self.start(function, invocation)
    }

    fn start(&self, function: &Arc<Function>, invocation: Invocation) -> Result<Arc<Environment>> {
        let environment = Arc::new(Environment {
            id: new_id(),
            function: Arc::clone(function),
            state: Mutex::new(State {
                waiting: Some(invocation),
                ..State::default()
            }),
            wake: Notify::new(),
            kill: Notify::new(),
            settled: Notify::new(),
        });
        let mut command = self.command(&environment)?;
        // Added before the process can ask for it.
        lock(&self.environments).insert(environment.id.clone(), Arc::clone(&environment));
        let mut process = match self.settings.guard.spawn(&mut command) {
            Ok(process) => process,
            Err(error) => {
                lock(&self.environments).remove(&environment.id);
                return Err(error);
            }
        };
        let lambda = Weak::clone(&self.itself);
        let watched = Arc::clone(&environment);
        let mut tasks = lock(&self.tasks);
        // Ended tasks stay in the set until somebody joins them.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let status = tokio::select! {
                status = process.wait() => status,
                () = watched.kill.notified() => process.kill().await,
            };
            watched.ended(status.ok());
            if let Some(lambda) = lambda.upgrade() {
                lock(&lambda.environments).remove(&watched.id);
            }
        });
        Ok(environment)
    }

    /// The process of an environment. It gets the variables that Lambda would set, and no others.
    fn command(&self, environment: &Environment) -> Result<Command> {
        let Settings { endpoint, region, .. } = &self.settings;
        let function = &environment.function;
        let config = &function.config;
        let output = || {
            function
                .log
                .try_clone()
                .with_context(|| format!("cannot open the log of function {} again", config.name))
        };
        let mut command = Command::new(&config.program);
        command
            .args(&config.arguments)
            .stdout(output()?)
            .stderr(output()?)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/opt/bin")
            .env("LANG", "en_US.UTF-8")
            .env("TZ", ":UTC")
            .env("_HANDLER", "bootstrap")
            .env("LAMBDA_TASK_ROOT", config.program.parent().unwrap_or(Path::new("/")))
            .env("AWS_REGION", region)
            .env("AWS_DEFAULT_REGION", region)
            .env("AWS_ACCESS_KEY_ID", "local")
            .env("AWS_SECRET_ACCESS_KEY", "local")
            .env("AWS_SESSION_TOKEN", "local")
            .env("AWS_ENDPOINT_URL", format!("http://{endpoint}"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_LAMBDA_FUNCTION_NAME", &config.name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", config.memory_mb.to_string())
            .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", config.name))
            .env("AWS_LAMBDA_LOG_STREAM_NAME", &environment.id)
            // With a scheme, because an address with a path but without a scheme is not a URI.
            .env(
                "AWS_LAMBDA_RUNTIME_API",
                format!("http://{endpoint}/environment/{}", environment.id),
            )
            .envs(&config.variables);
        Ok(command)
    }
}

fn timed_out(id: &str, limit: Duration) -> Outcome {
    Outcome::FunctionError(error_document(
        "Sandbox.Timedout",
        &format!(
            "RequestId: {id} Error: Task timed out after {:.2} seconds",
            limit.as_secs_f64()
        ),
    ))
}

fn throttled() -> Outcome {
    Outcome::Refused(
        StatusCode::TOO_MANY_REQUESTS,
        "TooManyRequestsException",
        "Rate Exceeded.".to_owned(),
    )
}
