//! Something that is done to a job.
//!
//! What must stay true: nothing is done without a yes. The AWS commands that do the same are shown first.

use anyhow::Result;
use landfall_cli::{
    account::Deployment,
    document::{ACTED_SCHEMA, Acted},
    screen::print,
};
use serde_json::Value;

use super::{
    arguments::{Act, Common, Consent},
    consent::agreed,
    outcome::Outcome,
    watch::followed,
};

/// Something that is done to a job.
pub(super) struct Deed<'a> {
    pub(super) common: &'a Common,
    pub(super) deployment: &'a Deployment,
    pub(super) kind: &'a str,
    /// The job that it is done to, or the job that comes of it.
    pub(super) job_key: &'a str,
    /// The AWS commands that do the same.
    pub(super) commands: Vec<String>,
}

/// The call that does it.
pub(super) enum Step<'a> {
    /// Starts an execution with this input.
    Start { machine: &'a str, input: &'a Value },
    /// Redrives this execution.
    Redrive(&'a str),
}

impl Deed<'_> {
    /// Says `what` will be done, and does it if somebody agrees. Gives the execution that goes on, or `None` if nobody
    /// agreed.
    pub(super) async fn done(&self, what: &str, step: Step<'_>, consent: Consent) -> Result<Option<String>> {
        let commands: Vec<String> = self.commands.iter().map(|command| format!("  {command}\n")).collect();
        if !agreed(&format!("{what}\n\n{}", commands.concat()), consent)? {
            return Ok(None);
        }
        let steps = &self.deployment.steps;
        Ok(Some(match step {
            Step::Start { machine, input } => steps.start(machine, input).await?,
            Step::Redrive(execution) => {
                steps.redrive(execution).await?;
                execution.to_owned()
            }
        }))
    }

    /// Does it. Then follows the execution, or says which one it is.
    pub(super) async fn follow_or_say(self, what: &str, step: Step<'_>, act: Act) -> Result<Outcome> {
        let execution = self.done(what, step, act.consent).await?;
        match execution {
            Some(execution) if act.follow => followed(self.common, self.deployment, &execution, act.detail).await,
            execution => self.say(execution),
        }
    }

    /// Says which execution goes on, or that nothing was done.
    pub(super) fn say(self, execution: Option<String>) -> Result<Outcome> {
        let text = match &execution {
            Some(execution) => format!(
                "started {execution}\n`landfall watch {} {}` follows it.",
                self.job_key,
                self.common.target()
            ),
            None => "nothing was done".to_owned(),
        };
        let is_done = execution.is_some();
        let document = Acted {
            schema: ACTED_SCHEMA,
            landfall: env!("CARGO_PKG_VERSION"),
            done: is_done,
            kind: self.kind.to_owned(),
            job_key: Some(self.job_key.to_owned()),
            execution,
            commands: self.commands,
        };
        print(&if self.common.json {
            serde_json::to_string_pretty(&document)?
        } else {
            text
        })?;
        Ok(Outcome::good_if(is_done))
    }
}
