//! Executions of the state machines, as far as this program needs them.
//!
//! What must stay true: an execution that does not exist (any more) is `None`, not an error. A state machine that does
//! not exist has no executions.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use landfall::error::Result;
use serde_json::Value;

/// The state of an execution, in the words of Step Functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// `RUNNING`, or about to be redriven.
    Running,
    /// `SUCCEEDED`.
    Succeeded,
    /// `FAILED`.
    Failed,
    /// `TIMED_OUT`.
    TimedOut,
    /// `ABORTED`.
    Aborted,
}

impl State {
    /// The word of Step Functions.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Aborted => "ABORTED",
        }
    }

    /// The state that a word of Step Functions means. An unknown word counts as running.
    pub fn of(word: &str) -> Self {
        match word {
            "SUCCEEDED" => Self::Succeeded,
            "FAILED" => Self::Failed,
            "TIMED_OUT" => Self::TimedOut,
            "ABORTED" => Self::Aborted,
            _ => Self::Running,
        }
    }
}

/// One row of a list of executions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its ARN.
    pub arn: String,
    /// Its state.
    pub state: State,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub stopped_at: Option<DateTime<Utc>>,
}

/// An execution with its input.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// The same as in a list.
    pub listed: Listed,
    /// Its input.
    pub input: Value,
    /// The error's name, if it failed.
    pub error: Option<String>,
    /// The error's cause, if it failed.
    pub cause: Option<String>,
}

/// What is asked of Step Functions. The account's client implements it, and in tests a list does.
///
/// Every method fails with `NotFound`, `Forbidden`, `Throttled`, `Unavailable` or `Internal`.
#[async_trait]
pub trait Executions: Send + Sync {
    /// The executions of a state machine that are in a state and were started at `since` or later, newest first.
    async fn list(&self, machine: &str, state: State, since: DateTime<Utc>) -> Result<Vec<Listed>>;

    /// One execution.
    async fn describe(&self, execution: &str) -> Result<Option<Described>>;

    /// The events of an execution so far, oldest first, in the form of GetExecutionHistory.
    async fn history(&self, execution: &str) -> Result<Vec<Value>>;
}

/// The ARN of an execution's state machine. `None` if the text is not the ARN of an execution.
pub fn machine_of(execution: &str) -> Option<String> {
    let parts: Vec<&str> = execution.split(':').collect();
    match parts.as_slice() {
        [arn, partition, "states", region, account, "execution", machine, _name] => Some(format!(
            "{arn}:{partition}:states:{region}:{account}:stateMachine:{machine}"
        )),
        _ => None,
    }
}

/// The kind of a state machine by its ARN. The template names each machine `<stack>-<kind>`.
pub fn kind_of<'a>(machine: &str, kinds: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = machine.rsplit(':').next().unwrap_or_default();
    kinds
        .into_iter()
        .find(|kind| name.strip_suffix(kind).is_some_and(|stack| stack.ends_with('-')))
}

/// The execution that owns an attempt or an entry. It stands before the invocation in the owner's name.
pub fn of_owner(owner: &str) -> &str {
    owner.rsplit_once('/').map_or(owner, |(execution, _)| execution)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::KINDS;

    #[test]
    fn the_machine_and_kind_follow_from_the_arn_of_an_execution() {
        let execution = "arn:aws:states:eu-central-1:111122223333:execution:landfall-segment-snapshot:a1";
        let machine = machine_of(execution).unwrap();
        assert_eq!(
            machine,
            "arn:aws:states:eu-central-1:111122223333:stateMachine:landfall-segment-snapshot"
        );
        assert_eq!(kind_of(&machine, KINDS), Some("segment-snapshot"));
        assert_eq!(kind_of("arn:aws:states:r:a:stateMachine:other", KINDS), None);
        assert_eq!(machine_of("s3://bucket/key"), None);
        assert_eq!(of_owner(&format!("{execution}/request")), execution);
    }
}
