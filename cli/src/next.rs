//! What to do about a job.
//!
//! What must stay true: the advice is a pure function of the job. What it says about an error stands in
//! [`landfall::remedy`]. The runbook is written from the same place.

use landfall::{
    error::ErrorKind,
    remedy::{Advice, Ended, Next as Step, remedy},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::jobs::{Row, Status};

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Next {
    /// In words.
    pub what: String,
    /// The commands, the most likely one first. `EVENT` stands for the file of the job's event.
    pub commands: Vec<String>,
}

/// Whether an execution that ended in this state left an outcome that is not sealed and announced.
pub fn is_left_unsealed(ended_in: Option<&str>) -> bool {
    matches!(ended_in, Some("Seal" | "Announce"))
}

/// What to do about a job. `ended_in` is the state in which its execution failed. `target` holds the arguments that
/// name the deployment.
pub fn next(job: &Row, ended_in: Option<&str>, target: &str) -> Next {
    if is_left_unsealed(ended_in) {
        return advised(Ended::InSeal.advice(), job, target);
    }
    let plain = |what: &str, command: Option<String>| Next {
        what: what.to_owned(),
        commands: command.into_iter().collect(),
    };
    match job.status {
        Status::Succeeded => plain("Nothing: the output is sealed.", None),
        Status::Queued | Status::Starting | Status::Running => plain(
            "Nothing: it goes on by itself, until its deadline at the latest.",
            Some(format!("landfall watch {} {target}", job.reference())),
        ),
        Status::Aborted => advised(Ended::Stopped.advice(), job, target),
        Status::Unsealed => advised(Ended::Unsealed.advice(), job, target),
        Status::Failed => match job.picked_up_by.last() {
            Some(by) => plain(
                "Another job has taken over its start call: look at that one.",
                Some(format!("landfall show {by} {target}")),
            ),
            None if job.job_key.starts_with("rejected-") => advised(Ended::Rejected.advice(), job, target),
            None => {
                let name = job.error.as_ref().map_or("", |error| error.name.as_str());
                let kind = ErrorKind::from_name(name).unwrap_or(ErrorKind::Internal);
                advised(remedy(kind).advice(job.service_id.is_some()), job, target)
            }
        },
    }
}

fn advised(advice: Advice, job: &Row, target: &str) -> Next {
    let command = |step: &Step| {
        let command = step
            .command()
            .replace("{job}", job.reference())
            .replace("{event}", "EVENT");
        match step {
            Step::Check => command,
            Step::Send | Step::Rerun | Step::PickUp | Step::Redrive => {
                format!("{command} {target}").trim_end().to_owned()
            }
        }
    };
    Next {
        what: advice.what.to_owned(),
        commands: advice.next.iter().map(command).collect(),
    }
}
