//! The input of the first step.
//!
//! What must stay true: whatever the event is, the kind, the execution and the error can be read, because a job that could
//! not be started is sealed by them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    error::Result,
    input::{Input, Unreadable, read_value},
    invocation::Invocation,
    job::{Kind, TaskError},
    service::JobService,
    trigger::{Trigger, rejected_key, rejected_trigger},
};

/// What the state machine hands to the first step, and to the last one if the first failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// The state machine's kind.
    pub kind: Kind,
    /// ARN of the execution.
    pub execution: String,
    /// The event as it came.
    pub event: Value,
    /// Why the first step failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// What of the event could not be read.
    #[serde(skip)]
    pub unreadable: Option<Unreadable>,
}

impl Received {
    /// Reads the input of the first step of a service's kind.
    pub fn read<S: JobService>(input: impl Into<Input>, invocation: &Invocation) -> Self {
        Self::of(S::kind(), input, invocation)
    }

    /// Reads the input of a first step: what the state machine hands over, or a bare event as `cargo lambda invoke`
    /// sends it, which then stands for an execution of its own.
    pub fn of(kind: Kind, input: impl Into<Input>, invocation: &Invocation) -> Self {
        let input = input.into();
        match Self::handed_over(input.clone()) {
            Ok(received) => received,
            Err(_) => Self {
                kind,
                execution: format!("invocation:{}", invocation.request_id),
                event: input.value.clone(),
                error: None,
                unreadable: input.unreadable(),
            },
        }
    }

    /// Reads what the state machine hands over, whatever the event is. Fails with `Internal` if it is something else.
    pub fn handed_over(input: Input) -> Result<Self> {
        let received = read_value(input.value.clone())?;
        Ok(Self {
            unreadable: input.unreadable_member("event"),
            ..received
        })
    }

    /// What stands for the trigger of an event that no job is made of, or whose delivery failed for itself.
    pub fn rejected(&self, now: DateTime<Utc>) -> Result<Trigger> {
        let trigger = rejected_trigger(&self.kind, &self.event, now)?;
        let Some(unreadable) = &self.unreadable else {
            return Ok(trigger);
        };
        // Not all that tells it from others is in the value.
        let text = Value::from(unreadable.sha256.as_str());
        Ok(Trigger {
            job_key: rejected_key(&self.kind, &text)?,
            request_sha256: unreadable.sha256.clone(),
            ..trigger
        })
    }
}
