//! Lambda's Invoke API over real function binaries.
//!
//! What must stay true: an execution environment, that is one child process, serves one invocation at a time; a second
//! concurrent invocation starts another one. Whatever becomes of the process, its caller gets the answer that Lambda
//! would give: a function's error is a 200 with `X-Amz-Function-Error`, an exit is `Runtime.ExitError`, a timeout ends
//! the environment and is `Sandbox.Timedout`. An invocation runs to its end even if its caller hangs up.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fs::{File, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use percent_encoding::percent_decode_str;
use serde_json::json;
use tokio::{
    process::Command,
    sync::{Notify, oneshot},
    task::JoinSet,
};

use super::new_id;
use crate::children::Guard;

/// How long a new environment may take to ask for its first invocation. Lambda gives 10 s; a busy machine that also
/// compiles needs more.
const INIT_LIMIT: Duration = Duration::from_secs(60);

/// How long an answer is held back until its environment asks for the next invocation or ends. It does so at once, but on
/// a busy machine that takes its time.
const RETURN_LIMIT: Duration = Duration::from_secs(2);

/// The most that a synchronous invocation may carry, in and out.
const PAYLOAD_LIMIT: usize = 6 << 20;

/// The one version that each function has.
const VERSION: &str = "1";

/// A function to run.
#[derive(Clone, Debug)]
pub struct FunctionConfig {
    /// Its name, by which it is invoked.
    pub name: String,
    /// The program that speaks the Runtime API.
    pub program: PathBuf,
    /// Arguments of the program; a function's own binary has none.
    pub arguments: Vec<OsString>,
    /// Configured environment variables, added to those that Lambda sets.
    pub variables: BTreeMap<String, String>,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// Configured memory in MB: told to the function, not enforced.
    pub memory_mb: u32,
    /// Reserved concurrency: how many invocations may run at once before callers are throttled.
    pub concurrency: Option<usize>,
}

impl FunctionConfig {
    /// A function with a timeout of 60 s, 256 MB and no variables.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            arguments: Vec::new(),
            variables: BTreeMap::new(),
            timeout: Duration::from_secs(60),
            memory_mb: 256,
            concurrency: None,
        }
    }
}

/// What goes wrong with an invocation on purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The environment dies before the handler sees the event.
    DieBefore,
    /// The handler runs to its end, then the environment dies and the answer with it.
    DieAfter,
    /// Lambda throttles: 429 `TooManyRequestsException`. The handler does not run.
    Throttle,
    /// Lambda fails: 500 `ServiceException`. The handler does not run.
    ServiceError,
    /// The caller gets this function error instead of the handler's answer. The handler does not run.
    Error {
        /// `errorType`
        error_type: String,
        /// `errorMessage`
        message: String,
    },
}

impl Fault {
    /// A function error, such as `Landfall.Busy`.
    pub fn error(error_type: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Error {
            error_type: error_type.into(),
            message: message.into(),
        }
    }
}

/// The functions and their running environments.
#[derive(Debug)]
pub struct Lambda {
    settings: Settings,
    functions: Mutex<BTreeMap<String, Arc<Function>>>,
    environments: Mutex<HashMap<String, Arc<Environment>>>,
    tasks: Mutex<JoinSet<()>>,
    itself: Weak<Self>,
}

/// Where and as whom functions run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The edge, to which every AWS client of a function is pointed.
    pub endpoint: SocketAddr,
    /// The region.
    pub region: String,
    /// The account.
    pub account: String,
    /// Each function's output goes to `<name>.log` in this folder.
    pub logs: PathBuf,
    /// Ends the processes with this one.
    pub guard: Guard,
}

#[derive(Debug)]
struct Function {
    config: FunctionConfig,
    arn: String,
    log: File,
    idle: Mutex<Vec<Arc<Environment>>>,
    running: AtomicUsize,
    invocations: AtomicU64,
    faults: Mutex<HashMap<u64, Fault>>,
    /// What goes wrong with every invocation that has no fault of its own.
    broken: Mutex<Option<Fault>>,
}

/// One child process and the invocation that it has.
#[derive(Debug)]
pub(super) struct Environment {
    id: String,
    function: Arc<Function>,
    state: Mutex<State>,
    wake: Notify,
    kill: Notify,
    /// It is idle again, or gone.
    settled: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Handed over, not yet fetched by the process.
    waiting: Option<Invocation>,
    /// Fetched and not yet answered.
    running: Option<Invocation>,
    idle: bool,
    dead: bool,
}

#[derive(Debug)]
struct Invocation {
    id: String,
    payload: Bytes,
    trace: String,
    dies_before: bool,
    dies_after: bool,
    fetched: Option<oneshot::Sender<()>>,
    reply: oneshot::Sender<Reply>,
}

/// The handler's answer, or the error document.
type Reply = Result<Bytes, Bytes>;

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

    /// The ARN of a function's version, which definitions name: an execution goes on with the code it was started with.
    /// Here each function has one version.
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

    /// Lets the `nth` invocation of a function, counted from 1, go wrong.
    pub fn inject(&self, name: &str, nth: u64, fault: Fault) -> Result<()> {
        lock(&self.faulty(name)?.faults).insert(nth, fault);
        Ok(())
    }

    /// Lets every invocation of a function go wrong until it is [mended](Self::mend).
    pub fn break_down(&self, name: &str, fault: Fault) -> Result<()> {
        *lock(&self.faulty(name)?.broken) = Some(fault);
        Ok(())
    }

    /// Ends what [`Self::break_down`] began.
    pub fn mend(&self, name: &str) -> Result<()> {
        *lock(&self.faulty(name)?.broken) = None;
        Ok(())
    }

    /// Kills the environments that a function has now, whatever they are at.
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
            // Without a fetch it is the reply that says what happened.
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
        // A caller that comes again at once then finds this environment idle, and not in need of another one.
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
            // Only at shutdown.
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
        // Before the process can ask for it.
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
        // Those that ended are only kept for their results.
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

    /// The process of an environment, with what Lambda would give it and nothing else.
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
            // With its scheme: without one, an address that has a path is not a URI.
            .env(
                "AWS_LAMBDA_RUNTIME_API",
                format!("http://{endpoint}/environment/{}", environment.id),
            )
            .envs(&config.variables);
        Ok(command)
    }
}

/// Counts an invocation as running while it lives.
struct Busy {
    function: Arc<Function>,
    count: usize,
}

impl Busy {
    fn new(function: &Arc<Function>) -> Self {
        Self {
            count: function.running.fetch_add(1, Ordering::SeqCst) + 1,
            function: Arc::clone(function),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.function.running.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What the process is told of its next invocation.
pub(super) struct Next {
    pub(super) id: String,
    pub(super) payload: Bytes,
    pub(super) trace: String,
    pub(super) arn: String,
    pub(super) deadline_ms: u128,
}

impl Environment {
    /// Waits for the next invocation. `None` if the environment is about to end.
    pub(super) async fn next(self: &Arc<Self>) -> Option<Next> {
        loop {
            {
                let mut state = lock(&self.state);
                if state.dead {
                    return None;
                }
                if let Some(mut invocation) = state.waiting.take() {
                    if invocation.dies_before {
                        state.running = Some(invocation);
                        drop(state);
                        self.end();
                        return None;
                    }
                    if let Some(fetched) = invocation.fetched.take() {
                        let _ = fetched.send(());
                    }
                    let deadline = SystemTime::now() + self.function.config.timeout;
                    let next = Next {
                        id: invocation.id.clone(),
                        payload: invocation.payload.clone(),
                        trace: invocation.trace.clone(),
                        arn: self.function.arn.clone(),
                        deadline_ms: deadline.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis()),
                    };
                    state.running = Some(invocation);
                    return Some(next);
                }
                if !state.idle {
                    state.idle = true;
                    lock(&self.function.idle).push(Arc::clone(self));
                    self.settled.notify_one();
                }
            }
            self.wake.notified().await;
        }
    }

    /// Takes the process's answer to an invocation. `false` if it has no such invocation.
    pub(super) fn answered(&self, id: &str, reply: Reply) -> bool {
        let invocation = {
            let mut state = lock(&self.state);
            if state.running.as_ref().is_none_or(|running| running.id != id) {
                return false;
            }
            if state.running.as_ref().is_some_and(|running| running.dies_after) {
                drop(state);
                self.end();
                return true;
            }
            state.running.take()
        };
        if let Some(invocation) = invocation {
            let _ = invocation.reply.send(reply);
        }
        true
    }

    /// The process says that it cannot begin.
    pub(super) fn init_failed(&self, error: Bytes) {
        if let Some(invocation) = lock(&self.state).waiting.take() {
            let _ = invocation.reply.send(Err(error));
        }
        self.end();
    }

    /// Hands an invocation to this idle environment; gives it back if the environment is no longer there.
    fn give(&self, invocation: Invocation) -> Result<(), Box<Invocation>> {
        let mut state = lock(&self.state);
        if state.dead {
            return Err(Box::new(invocation));
        }
        state.idle = false;
        state.waiting = Some(invocation);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// Kills the process.
    fn end(&self) {
        lock(&self.state).dead = true;
        self.kill.notify_one();
        self.wake.notify_one();
    }

    /// The process is gone: whoever waits for it is told.
    fn ended(&self, status: Option<ExitStatus>) {
        let invocations = {
            let mut state = lock(&self.state);
            state.dead = true;
            [state.waiting.take(), state.running.take()]
        };
        lock(&self.function.idle).retain(|environment| environment.id != self.id);
        self.wake.notify_one();
        self.settled.notify_one();
        for invocation in invocations.into_iter().flatten() {
            let error = exit_error(&invocation.id, status);
            let _ = invocation.reply.send(Err(error));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn error_document(error_type: &str, message: &str) -> Bytes {
    json!({"errorType": error_type, "errorMessage": message})
        .to_string()
        .into()
}

/// How Lambda words the end of a process.
fn exit_error(id: &str, status: Option<ExitStatus>) -> Bytes {
    #[cfg(unix)]
    let signal = status.and_then(|status| std::os::unix::process::ExitStatusExt::signal(&status));
    #[cfg(not(unix))]
    let signal: Option<i32> = None;
    let reason = match (status.and_then(|status| status.code()), signal) {
        (Some(0), _) => "Runtime exited without providing a reason".to_owned(),
        (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
        (None, Some(9)) => "Runtime exited with error: signal: killed".to_owned(),
        (None, Some(6)) => "Runtime exited with error: signal: aborted".to_owned(),
        (None, Some(11)) => "Runtime exited with error: signal: segmentation fault".to_owned(),
        (None, Some(signal)) => format!("Runtime exited with error: signal: {signal}"),
        (None, None) => "Runtime exited with error: signal: killed".to_owned(),
    };
    error_document("Runtime.ExitError", &format!("RequestId: {id} Error: {reason}"))
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

/// Answers the Lambda API: invocations, and the list of functions for whoever looks around.
pub(super) async fn answer(lambda: &Arc<Lambda>, parts: &Parts, body: Bytes) -> Response<Body> {
    let path = parts.uri.path();
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    match (&parts.method, segments.as_slice()) {
        (&Method::POST, ["2015-03-31", "functions", name, "invocations"]) => {
            invocation(lambda, parts, name, body).await
        }
        (&Method::GET, ["2015-03-31", "functions"] | ["2015-03-31", "functions", ""]) => {
            let functions: Vec<_> = lambda
                .names()
                .into_iter()
                .map(|name| json!({"FunctionName": name, "FunctionArn": lambda.arn(&name), "Runtime": "provided.al2023"}))
                .collect();
            document(StatusCode::OK, &json!({"Functions": functions}))
        }
        _ => refused(
            StatusCode::NOT_FOUND,
            "UnknownOperationException",
            &format!(
                "{} {path} is not something that this Lambda does: it only invokes and lists",
                parts.method
            ),
        ),
    }
}

async fn invocation(lambda: &Arc<Lambda>, parts: &Parts, name: &str, body: Bytes) -> Response<Body> {
    let asked = percent_decode_str(name).decode_utf8_lossy();
    let (function, qualifier) = name_and_qualifier(&asked);
    let version = match qualifier {
        None => Some("$LATEST"),
        Some(known) => ["$LATEST", VERSION].into_iter().find(|version| *version == known),
    };
    let (Some(function), Some(version)) = (lambda.function(function), version) else {
        let qualifier = qualifier.map_or_else(String::new, |qualifier| format!(":{qualifier}"));
        return refused(
            StatusCode::NOT_FOUND,
            "ResourceNotFoundException",
            &format!("Function not found: {}{qualifier}", lambda.arn(function)),
        );
    };
    if body.len() > PAYLOAD_LIMIT {
        return refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestTooLargeException",
            &format!("Request must be smaller than {PAYLOAD_LIMIT} bytes for the InvokeFunction operation"),
        );
    }
    let payload = if body.is_empty() {
        Bytes::from_static(b"{}")
    } else {
        body
    };
    if let Err(error) = serde_json::from_slice::<&serde_json::value::RawValue>(&payload) {
        return refused(
            StatusCode::BAD_REQUEST,
            "InvalidRequestContentException",
            &format!("Could not parse request body into json: {error}"),
        );
    }
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let id = new_id();
    let trace = header("x-amzn-trace-id").map_or_else(new_trace, str::to_owned);
    let run = {
        let (lambda, id) = (Arc::clone(lambda), id.clone());
        async move { lambda.invoke(function, id, payload, trace).await }
    };
    let mut response = match header("x-amz-invocation-type").unwrap_or("RequestResponse") {
        "DryRun" => empty(StatusCode::NO_CONTENT),
        "Event" => {
            tokio::spawn(run);
            empty(StatusCode::ACCEPTED)
        }
        "RequestResponse" => match tokio::spawn(run).await {
            Ok(Outcome::Answered(body)) => executed(body, version, false),
            Ok(Outcome::FunctionError(body)) => executed(body, version, true),
            Ok(Outcome::Refused(status, code, message)) => refused(status, code, &message),
            Err(error) => refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                "ServiceException",
                &format!("the invocation failed: {error}"),
            ),
        },
        other => refused(
            StatusCode::BAD_REQUEST,
            "InvalidParameterValueException",
            &format!("{other} is not an invocation type: RequestResponse, Event or DryRun"),
        ),
    };
    if let Ok(id) = HeaderValue::try_from(id) {
        response.headers_mut().insert(super::REQUEST_ID, id);
    }
    response
}

/// The function's name, and its version if there is one, in a name, a partial ARN or an ARN.
fn name_and_qualifier(asked: &str) -> (&str, Option<&str>) {
    let rest = asked.split_once(":function:").map_or(asked, |(_, name)| name);
    match rest.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (rest, None),
    }
}

fn new_trace() -> String {
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let digits: [u8; 20] = rand::random();
    let (root, parent) = digits.split_at(12);
    format!(
        "Root=1-{seconds:08x}-{};Parent={};Sampled=0",
        hex::encode(root),
        hex::encode(parent)
    )
}

fn executed(body: Bytes, version: &'static str, is_error: bool) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        HeaderName::from_static("x-amz-executed-version"),
        HeaderValue::from_static(version),
    );
    if is_error {
        headers.insert(
            HeaderName::from_static("x-amz-function-error"),
            HeaderValue::from_static("Unhandled"),
        );
    }
    response
}

fn refused(status: StatusCode, code: &'static str, message: &str) -> Response<Body> {
    let kind = if status.is_server_error() { "Service" } else { "User" };
    let mut response = document(status, &json!({"Type": kind, "Message": message, "message": message}));
    response.headers_mut().insert(
        HeaderName::from_static("x-amzn-errortype"),
        HeaderValue::from_static(code),
    );
    response
}

pub(super) fn document(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_found_by_name_and_by_arn() {
        for (asked, qualifier) in [
            ("verify-output", None),
            ("verify-output:$LATEST", Some("$LATEST")),
            ("111122223333:function:verify-output", None),
            ("arn:aws:lambda:eu-central-1:111122223333:function:verify-output", None),
            (
                "arn:aws:lambda:eu-central-1:111122223333:function:verify-output:12",
                Some("12"),
            ),
        ] {
            assert_eq!(name_and_qualifier(asked), ("verify-output", qualifier), "{asked}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_end_of_a_process_is_worded_as_lambda_does() {
        use std::os::unix::process::ExitStatusExt;
        let message = |raw| {
            let document: serde_json::Value =
                serde_json::from_slice(&exit_error("i", Some(ExitStatus::from_raw(raw)))).unwrap();
            assert_eq!(document["errorType"], "Runtime.ExitError");
            document["errorMessage"].as_str().unwrap().to_owned()
        };
        assert_eq!(
            message(3 << 8),
            "RequestId: i Error: Runtime exited with error: exit status 3"
        );
        assert_eq!(
            message(9),
            "RequestId: i Error: Runtime exited with error: signal: killed"
        );
        assert_eq!(
            message(0),
            "RequestId: i Error: Runtime exited without providing a reason"
        );
    }
}
