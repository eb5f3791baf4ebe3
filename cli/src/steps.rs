//! What an execution does, step by step.
//!
//! What must stay true: each event of the history is told once and in order. The end of the execution is told last,
//! unless the execution is redriven.

use chrono::{DateTime, Utc};
use serde_json::Value;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// When.
    pub at: DateTime<Utc>,
    /// In which state. It is empty if the whole execution is meant.
    pub state: String,
    /// What.
    pub what: What,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// The execution has begun.
    Started,
    /// An execution that had ended goes on in the state in which it ended.
    Redriven,
    /// A state was entered.
    Entered {
        /// `Task`, `Wait`, `Choice`, `Pass`, `Succeed`, `Fail`, …
        state_type: String,
        /// Its input.
        input: Value,
    },
    /// A task failed once. It may be tried again.
    TaskFailed {
        /// The error's name.
        error: String,
        /// The message for people.
        message: String,
    },
    /// A task that failed is tried again.
    Retried {
        /// How often it has been tried, this time included.
        attempt: u32,
    },
    /// The executions that this one started have moved on.
    Jobs {
        /// Those that run.
        running: u64,
        /// Those that succeeded.
        succeeded: u64,
        /// Those that ended otherwise.
        failed: u64,
    },
    /// A state was left.
    Exited {
        /// `Task`, `Wait`, …
        state_type: String,
        /// Its output.
        output: Value,
    },
    /// The execution has ended.
    Ended {
        /// `SUCCEEDED`, `FAILED`, `TIMED_OUT` or `ABORTED`.
        status: String,
        /// The error's name, of a failure.
        error: Option<String>,
        /// The message for people, of a failure.
        message: Option<String>,
    },
}

/// Turns a history into steps.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    seen: usize,
    state: String,
    attempts: u32,
}

impl Reader {
    /// The steps that are new in this history.
    pub fn read(&mut self, history: &[Value]) -> Vec<Step> {
        let new = history.get(self.seen..).unwrap_or_default();
        self.seen = self.seen.max(history.len());
        new.iter().filter_map(|event| self.step(event)).collect()
    }

    fn step(&mut self, event: &Value) -> Option<Step> {
        let kind = event["type"].as_str()?;
        let what = if let Some(state_type) = kind.strip_suffix("StateEntered") {
            let details = &event["stateEnteredEventDetails"];
            details["name"].as_str().unwrap_or_default().clone_into(&mut self.state);
            self.attempts = 0;
            What::Entered {
                state_type: state_type.to_owned(),
                input: document(&details["input"]),
            }
        } else if let Some(state_type) = kind.strip_suffix("StateExited") {
            let details = &event["stateExitedEventDetails"];
            details["name"].as_str().unwrap_or_default().clone_into(&mut self.state);
            What::Exited {
                state_type: state_type.to_owned(),
                output: document(&details["output"]),
            }
        } else if let Some(status) = kind.strip_prefix("Execution") {
            match status {
                "Started" => What::Started,
                "Redriven" => What::Redriven,
                _ => {
                    self.state.clear();
                    let details = details(event);
                    What::Ended {
                        status: if status == "TimedOut" {
                            "TIMED_OUT".to_owned()
                        } else {
                            status.to_uppercase()
                        },
                        error: details["error"].as_str().map(str::to_owned),
                        message: details["cause"].as_str().map(message_of),
                    }
                }
            }
        } else {
            match kind {
                "TaskScheduled" | "LambdaFunctionScheduled" => {
                    self.attempts += 1;
                    if self.attempts == 1 {
                        return None;
                    }
                    What::Retried { attempt: self.attempts }
                }
                _ if kind.ends_with("Failed") || kind.ends_with("TimedOut") => {
                    let details = details(event);
                    What::TaskFailed {
                        error: details["error"].as_str().unwrap_or(kind).to_owned(),
                        message: message_of(details["cause"].as_str().unwrap_or_default()),
                    }
                }
                _ => return None,
            }
        };
        Some(Step {
            at: time(&event["timestamp"]),
            state: self.state.clone(),
            what,
        })
    }
}

/// The message for people in a cause: the `errorMessage` of a function's error, otherwise the cause itself.
pub fn message_of(cause: &str) -> String {
    serde_json::from_str::<Value>(cause)
        .ok()
        .and_then(|document| document["errorMessage"].as_str().map(str::to_owned))
        .unwrap_or_else(|| cause.to_owned())
}

/// The one member of an event whose name ends with `EventDetails`.
fn details(event: &Value) -> &Value {
    event
        .as_object()
        .and_then(|members| members.iter().find(|(name, _)| name.ends_with("EventDetails")))
        .map_or(&Value::Null, |(_, details)| details)
}

/// A state's input or output. A history holds it as text.
fn document(text: &Value) -> Value {
    text.as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_else(|| text.clone())
}

/// AWS gives seconds with a fraction. moto may give a text.
#[allow(clippy::cast_possible_truncation)]
fn time(timestamp: &Value) -> DateTime<Utc> {
    let number = timestamp
        .as_f64()
        .and_then(|seconds| DateTime::from_timestamp_millis((seconds * 1000.0).round() as i64));
    let text = || timestamp.as_str().and_then(|text| text.parse().ok());
    number.or_else(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_steps_of_a_history_come_once_and_in_order() {
        let failed =
            json!({"error": "Landfall.Busy", "cause": r#"{"errorType":"Landfall.Busy","errorMessage":"wait"}"#});
        let history = [
            json!({"type": "ExecutionStarted", "timestamp": 1.5}),
            json!({"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "Start", "input": "{\"a\":1}"}}),
            json!({"type": "TaskScheduled"}),
            json!({"type": "TaskStarted"}),
            json!({"type": "TaskFailed", "taskFailedEventDetails": failed}),
            json!({"type": "TaskScheduled"}),
            json!({"type": "TaskSucceeded"}),
            json!({"type": "TaskStateExited", "stateExitedEventDetails": {"name": "Start", "output": "{}"}}),
            json!({"type": "ExecutionTimedOut", "executionTimedOutEventDetails": {"error": "States.Timeout"}}),
            json!({"type": "ExecutionRedriven", "executionRedrivenEventDetails": {"redriveCount": 1}}),
        ];
        let mut reader = Reader::default();
        let mut steps = reader.read(&history[..3]);
        assert_eq!(steps.len(), 2);
        steps.extend(reader.read(&history));
        assert!(reader.read(&history).is_empty());
        let whats: Vec<What> = steps.iter().map(|step| step.what.clone()).collect();
        assert_eq!(
            whats,
            [
                What::Started,
                What::Entered {
                    state_type: "Task".into(),
                    input: json!({"a": 1})
                },
                What::TaskFailed {
                    error: "Landfall.Busy".into(),
                    message: "wait".into()
                },
                What::Retried { attempt: 2 },
                What::Exited {
                    state_type: "Task".into(),
                    output: json!({})
                },
                What::Ended {
                    status: "TIMED_OUT".into(),
                    error: Some("States.Timeout".into()),
                    message: None
                },
                What::Redriven,
            ]
        );
        assert_eq!(steps[0].at.timestamp_millis(), 1500);
        assert_eq!(steps[3].state, "Start");
        assert_eq!(steps[5].state, "");
    }

    #[test]
    fn times_are_read_in_both_forms() {
        assert_eq!(time(&json!("2026-11-01T05:00:00.250Z")), time(&json!(1_793_509_200.25)));
    }
}
