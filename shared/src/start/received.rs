//! The input of the first step.
//!
//! What must stay true: whatever the event is, its kind, its execution and its error can be read, because a job that
//! could not be started is sealed with these.

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

/// What the state machine hands to the first step. If that step fails, the last step gets it too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Received {
    /// The kind of the state machine.
    pub kind: Kind,
    pub execution: String,
    /// The event as it was sent.
    pub event: Value,
    /// Why the first step failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// The parts of the event that could not be read.
    #[serde(skip)]
    pub unreadable: Option<Unreadable>,
}

impl Received {
    /// Reads the input of the first step of a service's kind.
    pub fn read<S: JobService>(input: impl Into<Input>, invocation: &Invocation) -> Self {
        Self::of(S::kind(), input, invocation)
    }

    /// Reads the input of a first step: what the state machine hands over, or the event alone, as `cargo lambda invoke`
    /// sends it. An event alone gets the name of its invocation as its execution.
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

    /// Reads what the state machine hands over, whatever the event is. Fails with `Internal` if the input is something
    /// else.
    pub fn handed_over(input: Input) -> Result<Self> {
        let received = read_value(input.value.clone())?;
        Ok(Self {
            unreadable: input.unreadable_member("event"),
            ..received
        })
    }

    /// Stands in for the trigger if no job can be made of the event, or if the failure belongs to this delivery alone.
    pub fn rejected(&self, now: DateTime<Utc>) -> Result<Trigger> {
        let trigger = rejected_trigger(&self.kind, &self.event, now)?;
        let Some(unreadable) = &self.unreadable else {
            return Ok(trigger);
        };
        // The value lacks the parts that could not be read, so the key is made of the hash of the whole text.
        let text = Value::from(unreadable.sha256.as_str());
        Ok(Trigger {
            job_key: rejected_key(&self.kind, &text)?,
            request_sha256: unreadable.sha256.clone(),
            ..trigger
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two events that differ only in their unreadable parts are two events.
    #[test]
    fn the_rejection_key_of_an_unreadable_event_follows_from_its_text() {
        let rejected = |text: &str| {
            let text = format!(r#"{{"kind": "segment-snapshot", "execution": "arn", "event": {text}}}"#);
            let received = Received::handed_over(Input::read(text.as_bytes()).unwrap()).unwrap();
            received.rejected(DateTime::UNIX_EPOCH).unwrap()
        };
        let (one, other) = (rejected(r#"{"version": 1e400}"#), rejected(r#"{"version": 1e401}"#));
        assert_eq!(one, rejected(r#"{"version": 1e400}"#));
        assert_ne!(one.job_key, other.job_key);
        assert_ne!(one.request_sha256, other.request_sha256);
        assert!(one.job_key.starts_with("rejected-"), "{}", one.job_key);
    }
}
