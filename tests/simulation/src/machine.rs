//! An interpreter of the deployed definition.
//!
//! What must stay true: the order of steps is read from `statemachine/export-job.asl.json` and is nowhere in this code.
//! Features of the Amazon States Language that the definition does not use are refused when the definition is read, and
//! not ignored. A test compares this interpreter with that of the local world.

mod definition;
mod paths;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::{StreamExt as _, future::BoxFuture, stream};
use landfall::job::TaskError;
use serde_json::{Value, json};

pub use self::definition::Machine;
use self::{
    definition::{Catcher, Distributed, Retrier, Rule, State},
    paths::{failure, fill, find, look_up, put, runtime},
};

/// The largest input or output of a state, in bytes.
const MOST_DATA: usize = 256 * 1024;

/// The work of a task.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Invoke a function with a payload.
    Invoke { function: String, payload: Value },
    /// Put events on a bus.
    PutEvents(Value),
}

/// Something that happened in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Its work failed and is retried.
    Retried { state: String, error: String },
    /// Its work failed, and a catcher leads to another state.
    Caught { state: String, error: String },
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// In a Succeed state, with its output.
    Succeeded(Value),
    /// In a Fail state, with its input.
    Failed { error: TaskError, input: Value },
    /// A state failed and nothing caught the error. A redrive enters the state again with the same input.
    Broken {
        state: String,
        input: Value,
        error: TaskError,
    },
}

/// What an execution needs from the world around it.
#[async_trait]
pub trait Surroundings: Send + Sync {
    /// Does the work of a task within its time-out. After that, the error is `States.Timeout`.
    async fn work(&self, state: &str, work: Work, timeout: Duration) -> Result<Value, TaskError>;

    /// Reads the items of a map.
    async fn items(&self, bucket: &str, key: &str) -> Result<Vec<Value>, TaskError>;

    /// Lets time pass.
    async fn wait(&self, duration: Duration);

    /// The time since the simulation began.
    fn elapsed(&self) -> Duration;

    /// The time by the clock of Step Functions.
    fn now(&self) -> DateTime<Utc>;

    /// A number from 0 to 1, for jitter.
    fn jitter(&self) -> f64;

    /// Is told of each state that is entered.
    fn entered(&self, state: &str, input: &Value);

    /// Is told of each retry and each caught error.
    fn happened(&self, happening: Happening);

    /// The ARN of the execution.
    fn execution(&self) -> &str;

    /// The input of the execution.
    fn input(&self) -> &Value;
}

/// Where a state leads.
enum Passed {
    On { next: String, data: Value },
    Ended(End),
}

impl Machine {
    /// Runs an execution from its start.
    pub async fn run(&self, surroundings: &dyn Surroundings, input: Value) -> End {
        self.go_on(surroundings, self.start_at.clone(), input).await
    }

    /// Runs an execution from a given state, as a redrive does.
    pub async fn go_on(&self, surroundings: &dyn Surroundings, state: String, input: Value) -> End {
        let begun = surroundings.elapsed();
        let (mut name, mut data) = (state, input);
        loop {
            let late = self
                .timeout_seconds
                .is_some_and(|limit| (surroundings.elapsed() - begun).as_secs() >= limit);
            if late {
                return End::Broken {
                    state: name,
                    input: data,
                    error: failure("States.Timeout", "the execution is over its time"),
                };
            }
            surroundings.entered(&name, &data);
            match self.enter(surroundings, &name, &data).await {
                Ok(Passed::On { next, data: output }) => {
                    (name, data) = (next, output);
                }
                Ok(Passed::Ended(end)) => return end,
                Err(error) => {
                    return End::Broken {
                        state: name,
                        input: data,
                        error,
                    };
                }
            }
        }
    }

    async fn enter(&self, surroundings: &dyn Surroundings, name: &str, input: &Value) -> Result<Passed, TaskError> {
        let state = self
            .states
            .get(name)
            .ok_or_else(|| runtime(format!("there is no state {name}")))?;
        let entered = surroundings.now();
        let context = |item: Option<Value>| context(surroundings, name, entered, item);
        let on = |next: &str, data: Value| {
            Ok(Passed::On {
                next: next.to_owned(),
                data,
            })
        };
        match state {
            State::Pass {
                parameters,
                result,
                result_path,
                next,
                ..
            } => {
                let output = match (result, parameters) {
                    (Some(result), _) => result.clone(),
                    (None, Some(parameters)) => fill(parameters, input, &context(None))?,
                    (None, None) => input.clone(),
                };
                let output = put(result_path.as_deref().unwrap_or("$"), input, output)?;
                match next {
                    Some(next) => on(next, output),
                    None => Ok(Passed::Ended(End::Succeeded(output))),
                }
            }
            State::Choice { choices, default, .. } => {
                for rule in choices {
                    if rule.holds(input, &context(None))?
                        && let Some(next) = &rule.next
                    {
                        return on(next, input.clone());
                    }
                }
                on(default, input.clone())
            }
            State::Wait { seconds_path, next, .. } => {
                let seconds = find(seconds_path, input)?
                    .as_u64()
                    .ok_or_else(|| runtime(format!("{seconds_path} is no number of seconds")))?;
                surroundings.wait(Duration::from_secs(seconds)).await;
                on(next, input.clone())
            }
            State::Succeed { .. } => Ok(Passed::Ended(End::Succeeded(input.clone()))),
            State::Fail {
                error_path, cause_path, ..
            } => {
                let text = |path: &str| {
                    let found = find(path, input)?.as_str();
                    found
                        .map(str::to_owned)
                        .ok_or_else(|| runtime(format!("{path} is no text")))
                };
                Ok(Passed::Ended(End::Failed {
                    error: TaskError {
                        error: text(error_path)?,
                        cause: text(cause_path)?,
                    },
                    input: input.clone(),
                }))
            }
            State::Task {
                resource,
                parameters,
                result_selector,
                result_path,
                output_path,
                timeout_seconds,
                retry,
                catch,
                next,
                ..
            } => {
                let timeout = Duration::from_secs(*timeout_seconds);
                let again = || async {
                    let filled = fill(parameters, input, &context(None))?;
                    let work = work(resource, filled)?;
                    let result = surroundings.work(name, work, timeout).await?;
                    let result = match result_selector {
                        Some(selector) => fill(selector, &result, &context(None))?,
                        None => result,
                    };
                    let output = match result_path {
                        None => result,
                        Some(Value::Null) => input.clone(),
                        Some(path) => put(path.as_str().unwrap_or_default(), input, result)?,
                    };
                    let output = match output_path {
                        Some(path) => find(path, &output)?.clone(),
                        None => output,
                    };
                    // The other states pass on their input.
                    if output.to_string().len() > MOST_DATA {
                        let cause = format!("{name} gave more than 256 KiB");
                        return Err(failure("States.DataLimitExceeded", cause));
                    }
                    Ok(output)
                };
                match retried(surroundings, name, retry, again).await {
                    Ok(output) => on(next, output),
                    Err(error) => caught(surroundings, name, catch, input, error),
                }
            }
            State::Map(map) => {
                let again = || self.map(surroundings, map, input, &context);
                match retried(surroundings, name, &map.retry, again).await {
                    Ok(()) => on(&map.next, input.clone()),
                    Err(error) => caught(surroundings, name, &map.catch, input, error),
                }
            }
        }
    }

    fn map<'a>(
        &'a self,
        surroundings: &'a dyn Surroundings,
        map: &'a Distributed,
        input: &'a Value,
        context: &'a (dyn Fn(Option<Value>) -> Value + Send + Sync),
    ) -> BoxFuture<'a, Result<(), TaskError>> {
        Box::pin(async move {
            let place = fill(&map.item_reader.parameters, input, &context(None))?;
            let text = |name: &str| place[name].as_str().unwrap_or_default().to_owned();
            let items = surroundings.items(&text("Bucket"), &text("Key")).await?;
            let concurrency = find(&map.max_concurrency_path, input)?.as_u64().unwrap_or_default();
            let concurrency = usize::try_from(concurrency).unwrap_or(usize::MAX).max(1);
            let children = items.into_iter().map(|item| async move {
                let item = fill(&map.item_selector, input, &context(Some(item)))?;
                match map.item_processor.run(surroundings, item).await {
                    End::Succeeded(_) => Ok(()),
                    End::Failed { error, .. } | End::Broken { error, .. } => Err(error),
                }
            });
            let ended: Vec<Result<(), TaskError>> = stream::iter(children).buffered(concurrency).collect().await;
            let failed = ended.iter().filter(|end| end.is_err()).count();
            if failed > map.tolerated_failure_count {
                return Err(failure(
                    "States.ExceedToleratedFailureThreshold",
                    format!("{failed} items failed"),
                ));
            }
            Ok(())
        })
    }
}

fn work(resource: &str, parameters: Value) -> Result<Work, TaskError> {
    match resource {
        "arn:aws:states:::lambda:invoke" => Ok(Work::Invoke {
            function: parameters["FunctionName"].as_str().unwrap_or_default().to_owned(),
            payload: parameters["Payload"].clone(),
        }),
        "arn:aws:states:::events:putEvents" => Ok(Work::PutEvents(parameters)),
        _ => Err(runtime(format!("{resource} is not interpreted"))),
    }
}

/// Retries as the retriers say. Each retrier counts its own tries.
async fn retried<T, F: Future<Output = Result<T, TaskError>>>(
    surroundings: &dyn Surroundings,
    state: &str,
    retriers: &[Retrier],
    again: impl Fn() -> F,
) -> Result<T, TaskError> {
    let mut counts = vec![0; retriers.len()];
    loop {
        let error = match again().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        // The first retrier that names the error decides, whether or not it has tries left.
        let retrier = retriers
            .iter()
            .zip(&mut counts)
            .find(|(retrier, _)| names(&retrier.error_equals, &error));
        let Some((retrier, count)) = retrier.filter(|(retrier, count)| **count < retrier.max_attempts) else {
            return Err(error);
        };
        let delay = retrier.interval_seconds * retrier.backoff_rate.powf(f64::from(*count));
        let delay = delay.min(retrier.max_delay_seconds) * surroundings.jitter();
        *count += 1;
        surroundings.happened(Happening::Retried {
            state: state.to_owned(),
            error: error.error,
        });
        surroundings.wait(Duration::from_secs_f64(delay)).await;
    }
}

fn names(list: &[String], error: &TaskError) -> bool {
    let name = error.error.as_str();
    list.iter().any(|listed| match listed.as_str() {
        "States.ALL" => !matches!(name, "States.DataLimitExceeded" | "States.Runtime"),
        listed => listed == name,
    })
}

fn caught(
    surroundings: &dyn Surroundings,
    state: &str,
    catchers: &[Catcher],
    input: &Value,
    error: TaskError,
) -> Result<Passed, TaskError> {
    let Some(catcher) = catchers.iter().find(|catcher| names(&catcher.error_equals, &error)) else {
        return Err(error);
    };
    surroundings.happened(Happening::Caught {
        state: state.to_owned(),
        error: error.error.clone(),
    });
    let told = json!({ "Error": error.error, "Cause": error.cause });
    Ok(Passed::On {
        next: catcher.next.clone(),
        data: put(&catcher.result_path, input, told)?,
    })
}

impl Rule {
    /// A value of another type than the comparison expects does not match. A missing value fails the state.
    fn holds(&self, input: &Value, context: &Value) -> Result<bool, TaskError> {
        if let Some(tests) = &self.and {
            for test in tests {
                if !test.holds(input, context)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        let variable = self.variable.as_deref().unwrap_or_default();
        let found = look_up(variable, input, context);
        match self {
            Self {
                is_present: Some(wanted),
                ..
            } => Ok(found.is_ok() == *wanted),
            Self {
                string_equals: Some(wanted),
                ..
            } => Ok(found?.as_str() == Some(wanted)),
            Self {
                string_greater_than_equals_path: Some(path),
                ..
            } => {
                let (one, other) = (found?.as_str(), look_up(path, input, context)?.as_str());
                Ok(one.zip(other).is_some_and(|(one, other)| one >= other))
            }
            Self {
                numeric_equals: Some(wanted),
                ..
            } => Ok(found?.as_f64() == Some(*wanted)),
            Self {
                boolean_equals: Some(wanted),
                ..
            } => Ok(found?.as_bool() == Some(*wanted)),
            _ => Err(runtime("a rule has to ask one thing")),
        }
    }
}

/// The members of the context object that the definition uses.
fn context(surroundings: &dyn Surroundings, state: &str, entered: DateTime<Utc>, item: Option<Value>) -> Value {
    let mut context = json!({
        "Execution": { "Id": surroundings.execution(), "Input": surroundings.input() },
        "State": { "Name": state, "EnteredTime": entered.to_rfc3339_opts(SecondsFormat::Millis, true) },
    });
    if let Some(item) = item {
        context["Map"] = json!({ "Item": { "Value": item } });
    }
    context
}
