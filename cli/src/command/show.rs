//! `landfall show`.
//!
//! What must stay true: the status is 0 for a job that is well, and 1 for a job that somebody has to look at.

use anyhow::Result;
use chrono::Utc;
use landfall_cli::{
    account::Deployment,
    executions::Executions,
    screen::{layout, print},
    show::{Finder, Job, Shown, Target, shown},
};

use super::{
    arguments::{Common, Show},
    outcome::Outcome,
};

pub(super) async fn show(common: &Common, options: &Show) -> Result<Outcome> {
    let target = Target::of(&options.job)?;
    let deployment = Deployment::find(&common.access(), common.named()).await?;
    let job = find(&deployment, &target).await?;
    print_job(common, &job)
}

/// Finds a job of a deployment.
pub(super) async fn find(deployment: &Deployment, target: &Target) -> Result<Job> {
    let finder = Finder {
        store: &deployment.store,
        ledger: &deployment.ledger,
        executions: Some(&deployment.steps as &dyn Executions),
        machines: &deployment.machines,
        now: Utc::now(),
    };
    Ok(finder.find(target).await?)
}

/// Prints a job, and says whether it is well.
pub(super) fn print_job(common: &Common, job: &Job) -> Result<Outcome> {
    let document = Shown::of(job, &common.target());
    if common.json {
        print(&serde_json::to_string_pretty(&document)?)?;
    } else {
        print(&shown(&document, layout(false)))?;
    }
    Ok(Outcome::good_if(!document.job.status.is_bad()))
}
