//! What to do about a job.
//!
//! What must stay true: it is a pure function of the job; a job whose export may still be good is never told to be exported
//! again before it was picked up, and one that is not sealed is never told to be rerun.

use landfall::error::ErrorKind;
use schemars::JsonSchema;
use serde::Serialize;

use crate::jobs::{Row, Status};

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Next {
    /// In words.
    pub what: String,
    /// The commands, in the order in which they are run.
    pub commands: Vec<String>,
}

/// What to do about a job. `ended_in` is the state in which its execution ended, if that failed; `target` are the
/// arguments that name the deployment.
pub fn next(job: &Row, ended_in: Option<&str>, target: &str) -> Next {
    let command = |verb: &str| {
        let key = &job.job_key;
        format!("landfall {verb} {key} {target}").trim_end().to_owned()
    };
    let next = |what: &str, verbs: &[&str]| Next {
        what: what.to_owned(),
        commands: verbs.iter().map(|verb| command(verb)).collect(),
    };
    if let Some(state @ ("Seal" | "Announce")) = ended_in {
        return next(
            &format!(
                "Its execution failed in {state}. Fix what the error names (permissions of S3 or EventBridge, an outage), \
                 then redrive it within 14 days. Do not rerun it: the export may be good."
            ),
            &["redrive"],
        );
    }
    match job.status {
        Status::Succeeded => next("Nothing: the output is sealed.", &[]),
        Status::Queued | Status::Starting | Status::Running => next(
            "Nothing: it goes on by itself, until its deadline at the latest.",
            &["watch"],
        ),
        Status::Aborted => next(
            "Its execution was stopped or ran over its time, and the job is open. Redrive the execution within 14 days: it \
             adopts the job and starts nothing twice.",
            &["redrive"],
        ),
        Status::Unsealed => next(
            "Its execution failed before an outcome was sealed. Fix what the error names, then redrive it within 14 days.",
            &["redrive"],
        ),
        Status::Failed => failed(job, &next),
    }
}

fn failed(job: &Row, next: &dyn Fn(&str, &[&str]) -> Next) -> Next {
    let name = job.error.as_ref().map_or("", |error| error.name.as_str());
    let kind = ErrorKind::from_name(name).unwrap_or(ErrorKind::Internal);
    let was_started = job.service_id.is_some();
    if let Some(by) = job.picked_up_by.last() {
        return Next {
            what: "Another job went on with its start call: look at that one.".to_owned(),
            commands: vec![next("", &["show"]).commands[0].replace(&job.job_key, by)],
        };
    }
    if job.job_key.starts_with("rejected-") {
        return match kind {
            ErrorKind::InvalidEvent => next(
                "Nothing was started. Correct what the error lists in the event, look at it with `landfall check EVENT`, and \
                 send it again with `landfall send EVENT`.",
                &[],
            ),
            _ => next(
                "This delivery failed for itself. Fix what the error names, then send the same event again with \
                 `landfall send EVENT`: it adopts the job, if there is one.",
                &[],
            ),
        };
    }
    match kind {
        ErrorKind::JobFailed => next(
            "The service itself failed the job. Read its message, fix the cause (most often the export role, the bucket or \
             the key), then rerun it.",
            &["rerun"],
        ),
        ErrorKind::TimedOut if was_started => next(
            "It may have ended since. Pick it up: it is awaited, verified and sealed without another export.",
            &["pick-up"],
        ),
        ErrorKind::TimedOut => next(
            "It was never started, because it stood in line until its deadline. Rerun it, and give the next ones a longer \
             DeadlineSeconds or a higher limit.",
            &["rerun"],
        ),
        ErrorKind::OutputRejected => next(
            "Read the failed checks, and do not load the files. If the checks ask for too much (an export that is rightly \
             empty, a file beyond what Landfall decodes), pick it up with other options in Landfall.Verification. If the \
             files are broken, rerun it.",
            &["pick-up", "rerun"],
        ),
        ErrorKind::Retired => next(
            "The service no longer offers this job. The error says what to use instead.",
            &[],
        ),
        ErrorKind::InvalidEvent if !was_started => next(
            "Nothing was started. Correct what the error lists and send the event again. If what was wrong lies outside of \
             the event (a role, a key, the file of an import), fix it and rerun.",
            &["rerun"],
        ),
        ErrorKind::Forbidden | ErrorKind::NotFound | ErrorKind::Unreachable if !was_started => next(
            "Nothing was started. Fix what the error names (the allow list, a policy, a name, the region), then rerun it.",
            &["rerun"],
        ),
        _ if was_started => next(
            "The service made the job, and its files may be good. Fix what the error names, then pick it up: no second export.",
            &["pick-up"],
        ),
        _ => next("Fix what the error names, then rerun it.", &["rerun"]),
    }
}
