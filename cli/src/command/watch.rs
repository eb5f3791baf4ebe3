//! `landfall watch`, and how another command follows what it started.
//!
//! What must stay true: progress goes to stderr. The result is the job as it ended.

use anyhow::{Context, Result};
use landfall_cli::{
    account::Deployment,
    executions::State,
    follow::follow,
    screen::Screen,
    show::{Job, Target},
};

use super::{
    arguments::{Common, Detail, Watch},
    outcome::Outcome,
    show::{find, print_job},
};

pub(super) async fn watch(common: &Common, options: &Watch) -> Result<Outcome> {
    let deployment = Deployment::find(&common.access(), common.named()).await?;
    let job = find(&deployment, &Target::of(&options.job)?).await?;
    let Some(execution) = &job.execution else {
        return print_job(common, &job);
    };
    let arn = execution.listed.arn.clone();
    if execution.listed.state != State::Running {
        return print_job(common, &job);
    }
    followed(common, &deployment, &arn, options.detail).await
}

/// Follows an execution to its end, and prints its job.
pub(super) async fn followed(
    common: &Common,
    deployment: &Deployment,
    execution: &str,
    detail: Detail,
) -> Result<Outcome> {
    let job = ended(common, deployment, execution, detail).await?;
    print_job(common, &job)
}

/// Follows an execution to its end, and gives its job.
pub(super) async fn ended(common: &Common, deployment: &Deployment, execution: &str, detail: Detail) -> Result<Job> {
    let screen = Screen::new(common.json);
    let paint = screen.paint;
    follow(&deployment.steps, execution, detail.all, |lines, now| {
        for line in lines {
            screen.line(&line.render("", paint));
        }
        screen.doing(now);
    })
    .await?;
    drop(screen);
    find(deployment, &Target::Execution(execution.to_owned()))
        .await
        .context("the execution has ended, and its job cannot be shown")
}
