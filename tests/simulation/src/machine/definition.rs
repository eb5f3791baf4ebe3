//! Reads the definition.
//!
//! What must stay true: everything that is not interpreted is refused here, before anything runs.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Machine {
    #[serde(default, rename = "Comment")]
    _comment: String,
    pub(super) start_at: String,
    #[serde(default)]
    pub(super) timeout_seconds: Option<u64>,
    #[serde(default)]
    pub(super) processor_config: Option<ProcessorConfig>,
    pub(super) states: BTreeMap<String, State>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ProcessorConfig {
    pub(super) mode: String,
    #[serde(rename = "ExecutionType")]
    _execution_type: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "Type", rename_all_fields = "PascalCase", deny_unknown_fields)]
pub(super) enum State {
    Pass {
        #[serde(default, rename = "Comment")]
        _comment: String,
        parameters: Option<Value>,
        result: Option<Value>,
        result_path: Option<String>,
        next: Option<String>,
        #[serde(default)]
        end: bool,
    },
    Task {
        #[serde(default, rename = "Comment")]
        _comment: String,
        resource: String,
        parameters: Value,
        result_selector: Option<Value>,
        #[serde(default, deserialize_with = "given")]
        result_path: Option<Value>,
        #[serde(default)]
        output_path: Option<String>,
        timeout_seconds: u64,
        #[serde(default)]
        retry: Vec<Retrier>,
        #[serde(default)]
        catch: Vec<Catcher>,
        next: String,
    },
    Choice {
        #[serde(default, rename = "Comment")]
        _comment: String,
        choices: Vec<Rule>,
        default: String,
    },
    Wait {
        #[serde(default, rename = "Comment")]
        _comment: String,
        seconds_path: String,
        next: String,
    },
    Map(Box<Distributed>),
    Succeed {
        #[serde(default, rename = "Comment")]
        _comment: String,
    },
    Fail {
        #[serde(default, rename = "Comment")]
        _comment: String,
        error_path: String,
        cause_path: String,
    },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Distributed {
    #[serde(default, rename = "Comment")]
    _comment: String,
    #[serde(rename = "Label")]
    _label: String,
    pub(super) item_reader: ItemReader,
    pub(super) item_selector: Value,
    pub(super) max_concurrency_path: String,
    pub(super) tolerated_failure_count: usize,
    pub(super) item_processor: Machine,
    /// Always null in this definition: the result is dropped.
    #[serde(deserialize_with = "given")]
    pub(super) result_path: Option<Value>,
    #[serde(default)]
    pub(super) retry: Vec<Retrier>,
    #[serde(default)]
    pub(super) catch: Vec<Catcher>,
    pub(super) next: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ItemReader {
    pub(super) resource: String,
    pub(super) reader_config: BTreeMap<String, String>,
    pub(super) parameters: Value,
}

/// Tells null from a missing member.
fn given<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Retrier {
    pub(super) error_equals: Vec<String>,
    pub(super) interval_seconds: f64,
    pub(super) backoff_rate: f64,
    pub(super) max_delay_seconds: f64,
    pub(super) max_attempts: u32,
    pub(super) jitter_strategy: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Catcher {
    pub(super) error_equals: Vec<String>,
    pub(super) result_path: String,
    pub(super) next: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Rule {
    /// Tests that all must match. Each is a rule without a next state.
    pub(super) and: Option<Vec<Rule>>,
    pub(super) variable: Option<String>,
    pub(super) string_equals: Option<String>,
    pub(super) string_greater_than_equals_path: Option<String>,
    pub(super) numeric_equals: Option<f64>,
    pub(super) boolean_equals: Option<bool>,
    pub(super) is_present: Option<bool>,
    pub(super) next: Option<String>,
}

impl Machine {
    /// Reads a definition after replacing each `${Name}` by its value. Fails on everything that is not interpreted
    /// here.
    pub fn read(text: &str, substitutions: &[(&str, &str)]) -> Result<Self> {
        let mut text = text.to_owned();
        for (name, value) in substitutions {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        if let Some(at) = text.find("${") {
            bail!(
                "a substitution is left: {}",
                text[at..].chars().take(40).collect::<String>()
            );
        }
        let machine: Self = serde_json::from_str(&text).context("the definition uses what is not interpreted")?;
        machine.check()?;
        Ok(machine)
    }

    fn check(&self) -> Result<()> {
        let is_state = |name: &String| self.states.contains_key(name);
        if !is_state(&self.start_at) {
            bail!("there is no state {} to start at", self.start_at);
        }
        for (name, state) in &self.states {
            let (retry, catch, next): (&[Retrier], &[Catcher], Vec<&String>) = match state {
                State::Pass { next, end, .. } => {
                    if next.is_some() == *end {
                        bail!("{name} has to go on or to end");
                    }
                    (&[], &[], next.iter().collect())
                }
                State::Task { retry, catch, next, .. } => (retry, catch, vec![next]),
                State::Choice { choices, default, .. } => {
                    let mut next = vec![default];
                    for rule in choices {
                        let tests = rule.and.iter().flatten();
                        match &rule.next {
                            Some(name) if tests.clone().all(|test| test.next.is_none()) => next.push(name),
                            _ => bail!("{name}: a rule leads to one state, and a part of it to none"),
                        }
                    }
                    (&[], &[], next)
                }
                State::Wait { next, .. } => (&[], &[], vec![next]),
                State::Map(map) => {
                    let reader = &map.item_reader;
                    let mode = map
                        .item_processor
                        .processor_config
                        .as_ref()
                        .map(|config| config.mode.as_str());
                    if mode != Some("DISTRIBUTED")
                        || map.result_path != Some(Value::Null)
                        || reader.resource != "arn:aws:states:::s3:getObject"
                        || reader.reader_config.get("InputType").map(String::as_str) != Some("JSON")
                    {
                        bail!("{name} is a map of a form that is not interpreted");
                    }
                    map.item_processor.check()?;
                    (&map.retry, &map.catch, vec![&map.next])
                }
                State::Succeed { .. } | State::Fail { .. } => (&[], &[], Vec::new()),
            };
            if let Some(other) = retry.iter().find(|retrier| retrier.jitter_strategy != "FULL") {
                bail!("{name} has jitter {}, which is not interpreted", other.jitter_strategy);
            }
            let caught = catch.iter().map(|catcher| &catcher.next);
            if let Some(lost) = next.into_iter().chain(caught).find(|next| !is_state(next)) {
                bail!("{name} leads to {lost}, which is no state");
            }
        }
        Ok(())
    }
}
