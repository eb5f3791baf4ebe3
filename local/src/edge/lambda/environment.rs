//! Execution environments: each is one child process and the invocation that it works on.
//!
//! What must stay true: whatever becomes of the process, whoever waits for its invocation is told exactly once.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fs::File,
    path::PathBuf,
    process::ExitStatus,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use serde_json::json;
use tokio::sync::{Notify, oneshot};

/// A function to run.
#[derive(Clone, Debug)]
pub struct FunctionConfig {
    /// Its name. Invocations name it.
    pub name: String,
    /// The program that speaks the Runtime API.
    pub program: PathBuf,
    /// Arguments of the program. A function's own binary has none.
    pub arguments: Vec<OsString>,
    /// Configured environment variables, added to those that Lambda sets.
    pub variables: BTreeMap<String, String>,
    /// How long one invocation may take.
    pub timeout: Duration,
    /// Configured memory in MB. The function is told it, but it is not enforced.
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

/// A fault that is injected into an invocation.
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

#[derive(Debug)]
pub(super) struct Function {
    pub(super) config: FunctionConfig,
    pub(super) arn: String,
    pub(super) log: File,
    pub(super) idle: Mutex<Vec<Arc<Environment>>>,
    pub(super) running: AtomicUsize,
    pub(super) invocations: AtomicU64,
    pub(super) faults: Mutex<HashMap<u64, Fault>>,
    /// The fault of every invocation that has none of its own.
    pub(super) broken: Mutex<Option<Fault>>,
}

/// One child process and the invocation that it works on.
#[derive(Debug)]
pub(in crate::edge) struct Environment {
    pub(super) id: String,
    pub(super) function: Arc<Function>,
    pub(super) state: Mutex<State>,
    pub(super) wake: Notify,
    pub(super) kill: Notify,
    /// Told when it is idle again, or gone.
    pub(super) settled: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Handed over, not yet fetched by the process.
    pub(super) waiting: Option<Invocation>,
    /// Fetched and not yet answered.
    pub(super) running: Option<Invocation>,
    pub(super) idle: bool,
    pub(super) dead: bool,
}

#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) id: String,
    pub(super) payload: Bytes,
    pub(super) trace: String,
    pub(super) dies_before: bool,
    pub(super) dies_after: bool,
    pub(super) fetched: Option<oneshot::Sender<()>>,
    pub(super) reply: oneshot::Sender<Reply>,
}

/// The handler's answer, or the error document.
pub(in crate::edge) type Reply = Result<Bytes, Bytes>;

/// Counts an invocation as running while it lives.
pub(super) struct Busy {
    function: Arc<Function>,
    pub(super) count: usize,
}

impl Busy {
    pub(super) fn new(function: &Arc<Function>) -> Self {
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

/// What a process is told about its next invocation.
pub(in crate::edge) struct Next {
    pub(in crate::edge) id: String,
    pub(in crate::edge) payload: Bytes,
    pub(in crate::edge) trace: String,
    pub(in crate::edge) arn: String,
    pub(in crate::edge) deadline_ms: u128,
}

impl Environment {
    /// Waits for the next invocation. `None` if the environment is about to end.
    pub(in crate::edge) async fn next(self: &Arc<Self>) -> Option<Next> {
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

    /// Takes the process's answer to an invocation. Gives `false` if the environment has no such invocation.
    pub(in crate::edge) fn answered(&self, id: &str, reply: Reply) -> bool {
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

    /// The process reports that it cannot start.
    pub(in crate::edge) fn init_failed(&self, error: Bytes) {
        if let Some(invocation) = lock(&self.state).waiting.take() {
            let _ = invocation.reply.send(Err(error));
        }
        self.end();
    }

    /// Hands an invocation to this idle environment. Gives it back if the environment has ended.
    pub(super) fn give(&self, invocation: Invocation) -> Result<(), Box<Invocation>> {
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
    pub(super) fn end(&self) {
        lock(&self.state).dead = true;
        self.kill.notify_one();
        self.wake.notify_one();
    }

    /// The process has ended: tells whoever waits for it.
    pub(super) fn ended(&self, status: Option<ExitStatus>) {
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

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn error_document(error_type: &str, message: &str) -> Bytes {
    json!({"errorType": error_type, "errorMessage": message})
        .to_string()
        .into()
}

/// The error document of Lambda for the end of a process.
pub(super) fn exit_error(id: &str, status: Option<ExitStatus>) -> Bytes {
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

#[cfg(test)]
mod tests {
    use super::*;

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
