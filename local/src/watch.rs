//! Follows executions of the local world.
//!
//! What must stay true: each event of the history is told once and in order.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::Utc;
pub use landfall_cli::steps::{Reader, Step, What, message_of};
use serde_json::Value;

use crate::aws::Aws;

/// Follows one execution.
#[derive(Clone, Debug)]
pub struct Watcher {
    aws: Aws,
    execution: String,
    reader: Reader,
}

impl Watcher {
    /// A watcher of an execution from its beginning.
    pub fn new(aws: Aws, execution: impl Into<String>) -> Self {
        Self {
            aws,
            execution: execution.into(),
            reader: Reader::default(),
        }
    }

    /// What happened since the last call, and the whole history so far.
    pub async fn news(&mut self) -> Result<(Vec<Step>, Vec<Value>)> {
        let history = self.aws.execution_history(&self.execution).await?;
        Ok((self.reader.read(&history), history))
    }
}

/// Follows the executions that another execution started: the jobs of a batch. The batch's own history does not tell
/// about them.
#[derive(Clone, Debug)]
pub struct Jobs {
    aws: Aws,
    machines: Vec<String>,
    parent: String,
    /// Whether the parent started an execution.
    is_own: BTreeMap<String, bool>,
    told: (u64, u64, u64),
}

impl Jobs {
    /// A follower of the executions of any of these machines that `parent` started.
    pub fn new(aws: &Aws, machines: &BTreeMap<&'static str, String>, parent: &str) -> Self {
        Self {
            aws: aws.clone(),
            machines: machines.values().cloned().collect(),
            parent: parent.to_owned(),
            is_own: BTreeMap::new(),
            told: (0, 0, 0),
        }
    }

    /// How far they are, if that has changed.
    pub async fn news(&mut self) -> Result<Option<Step>> {
        let (mut running, mut succeeded, mut failed) = (0, 0, 0);
        for machine in self.machines.clone() {
            for (execution, status) in self.aws.executions(&machine).await? {
                if !self.is_own(&execution).await? {
                    continue;
                }
                match status.as_str() {
                    "RUNNING" => running += 1,
                    "SUCCEEDED" => succeeded += 1,
                    _ => failed += 1,
                }
            }
        }
        let now = (running, succeeded, failed);
        if std::mem::replace(&mut self.told, now) == now {
            return Ok(None);
        }
        Ok(Some(Step {
            at: Utc::now(),
            state: String::new(),
            what: What::Jobs {
                running,
                succeeded,
                failed,
            },
        }))
    }

    async fn is_own(&mut self, execution: &str) -> Result<bool> {
        if let Some(known) = self.is_own.get(execution) {
            return Ok(*known);
        }
        let input = self.aws.describe_execution(execution).await?.input;
        let is_own = input["AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"] == self.parent.as_str();
        self.is_own.insert(execution.to_owned(), is_own);
        Ok(is_own)
    }
}
