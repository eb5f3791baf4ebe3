//! `landfall rerun`, `landfall pick-up` and `landfall redrive`.
//!
//! What must stay true: each says what it will do and what that costs, asks, does it, and shows the AWS command that does the
//! same. A job whose export may be good is not rerun without being told so.

use anyhow::{Context, Result, bail};
use landfall_cli::{
    account::Deployment,
    act::{Again, event_of, order, quoted},
    document::{ACTED_SCHEMA, Acted},
    event,
    executions::State,
    jobs::Status,
    screen::print,
    show::{Job, Target},
};
use serde_json::Value;

use super::{
    arguments::{Common, PickUp, Redrive, Rerun},
    consent::agreed,
    outcome::Outcome,
    show::find,
    watch::followed,
};

/// What a poll loop costs, for people.
const COST: &str = "about 40 to 150 state transitions (0.1 to 0.4 US cents), and a verification of what lands";

pub(super) async fn rerun(common: &Common, options: &Rerun) -> Result<Outcome> {
    let deployment = Deployment::find(&common.access(), common.named()).await?;
    let target = Target::of(&options.job)?;
    let job = find(&deployment, &target).await?;
    let row = &job.row;
    match row.status {
        Status::Queued | Status::Starting | Status::Running => bail!(
            "{} {} is {}: it has not ended. `landfall watch {}` follows it",
            row.kind,
            row.job_key,
            row.status.name(),
            row.job_key
        ),
        Status::Aborted | Status::Unsealed => bail!(
            "{} {} is open, and its export may be good: `landfall redrive {}` goes on with it",
            row.kind,
            row.job_key,
            row.job_key
        ),
        Status::Succeeded | Status::Failed => {}
    }
    let event = event_of_job(&job, &target)?;
    let order = order(
        deployment.store.as_ref(),
        &deployment.ledger,
        &row.kind,
        &event,
        &Again::Rerun,
    )
    .await?;
    let may_be_good = row.status == Status::Failed
        && row.service_id.is_some()
        && row
            .error
            .as_ref()
            .is_some_and(|error| error.name == "Landfall.TimedOut");
    let warning = if may_be_good {
        format!(
            "\nIts first export may have ended since: `landfall pick-up {}` seals that one without another.",
            row.job_key
        )
    } else {
        String::new()
    };
    let what = format!(
        "Reruns {} {} as {} (Rerun {}): another job at the service, which writes into a prefix of its own.\nIt costs what the \
         service takes for it, {COST}.{warning}",
        row.kind,
        row.job_key,
        order.job_key,
        order.rerun.unwrap_or_default()
    );
    start(
        common,
        &deployment,
        &row.kind,
        &order.event,
        &order.job_key,
        &what,
        options.yes,
        options.follow,
    )
    .await
}

pub(super) async fn pick_up(common: &Common, options: &PickUp) -> Result<Outcome> {
    let deployment = Deployment::find(&common.access(), common.named()).await?;
    let target = Target::of(&options.job)?;
    let job = find(&deployment, &target).await?;
    let row = &job.row;
    if row.status != Status::Failed || row.service_id.is_none() {
        let why = if row.status == Status::Failed {
            "the service made no job"
        } else {
            "only a job that is sealed as failed can be picked up"
        };
        bail!(
            "{} {} is {}: {why}. `landfall show {}` says what to do",
            row.kind,
            row.job_key,
            row.status.name(),
            row.job_key
        );
    }
    let event = event_of_job(&job, &target)?;
    let again = Again::PickUp {
        job_key: row.job_key.clone(),
        allow_empty: options.allow_empty,
        level: options.level,
    };
    let order = order(deployment.store.as_ref(), &deployment.ledger, &row.kind, &event, &again).await?;
    let what = format!(
        "Picks {} {} up as {}: the same job at the service ({}) is awaited, verified and sealed where its files are. Nothing is \
         exported again.\nIt costs {COST}.",
        row.kind,
        row.job_key,
        order.job_key,
        row.service_id.as_deref().unwrap_or_default()
    );
    start(
        common,
        &deployment,
        &row.kind,
        &order.event,
        &order.job_key,
        &what,
        options.yes,
        options.follow,
    )
    .await
}

pub(super) async fn redrive(common: &Common, options: &Redrive) -> Result<Outcome> {
    let deployment = Deployment::find(&common.access(), common.named()).await?;
    let job = find(&deployment, &Target::of(&options.job)?).await?;
    let row = &job.row;
    let Some(execution) = &job.execution else {
        bail!(
            "no execution of {} {} is there any more: Step Functions keeps them 90 days",
            row.kind,
            row.job_key
        );
    };
    let arn = &execution.listed.arn;
    match execution.listed.state {
        State::Running => bail!("the execution {arn} runs: `landfall watch {}` follows it", row.job_key),
        State::Succeeded => bail!("the execution {arn} succeeded: there is nothing to redrive"),
        State::Failed if job.ended_in.as_deref() == Some("Failed") => bail!(
            "the outcome of {} {} is sealed, and a redrive would change nothing. `landfall show {}` says what to do",
            row.kind,
            row.job_key,
            row.job_key
        ),
        State::Failed | State::Aborted | State::TimedOut => {}
    }
    let state = job.ended_in.as_deref().unwrap_or("the state in which it ended");
    let what = format!(
        "Redrives {arn}: it goes on in {state}. Nothing is started twice at the service.\nIt costs some state transitions."
    );
    let command = format!(
        "aws stepfunctions redrive-execution --execution-arn {}{}",
        quoted(arn),
        common.for_aws()
    );
    let agreed = agreed(&format!("{what}\n\n  {command}\n"), options.yes)?;
    if agreed {
        deployment.steps.redrive(arn).await?;
    }
    done(
        common,
        &deployment,
        agreed,
        &row.kind,
        &row.job_key,
        arn,
        command,
        options.follow,
    )
    .await
}

/// The event of a job: the file that was named, or the input of its execution.
fn event_of_job(job: &Job, target: &Target) -> Result<Value> {
    if let Target::Event(path) = target {
        return event::read(path);
    }
    let execution = job.execution.as_ref().with_context(|| {
        format!(
            "no execution of {} {} is there any more (Step Functions keeps them 90 days): name the file of its event instead",
            job.row.kind, job.row.job_key
        )
    })?;
    Ok(event_of(&execution.input))
}

#[allow(clippy::too_many_arguments)]
async fn start(
    common: &Common,
    deployment: &Deployment,
    kind: &str,
    event: &Value,
    job_key: &str,
    what: &str,
    yes: bool,
    follow: bool,
) -> Result<Outcome> {
    let machine = deployment.machine(kind)?;
    let command = format!(
        "aws stepfunctions start-execution --state-machine-arn {} --input {}{}",
        quoted(machine),
        quoted(&event.to_string()),
        common.for_aws()
    );
    let agreed = agreed(&format!("{what}\n\n  {command}\n"), yes)?;
    let execution = if agreed {
        deployment.steps.start(machine, event).await?
    } else {
        String::new()
    };
    done(common, deployment, agreed, kind, job_key, &execution, command, follow).await
}

#[allow(clippy::too_many_arguments)]
async fn done(
    common: &Common,
    deployment: &Deployment,
    agreed: bool,
    kind: &str,
    job_key: &str,
    execution: &str,
    command: String,
    follow: bool,
) -> Result<Outcome> {
    if agreed && follow {
        return followed(common, deployment, execution, false).await;
    }
    let document = Acted {
        schema: ACTED_SCHEMA,
        landfall: env!("CARGO_PKG_VERSION"),
        done: agreed,
        kind: kind.to_owned(),
        job_key: Some(job_key.to_owned()),
        execution: agreed.then(|| execution.to_owned()),
        commands: vec![command],
    };
    if common.json {
        print(&serde_json::to_string_pretty(&document)?)?;
    } else if agreed {
        print(&format!(
            "started {execution}\n`landfall watch {job_key} {}` follows it.",
            common.target()
        ))?;
    } else {
        print("nothing was done")?;
    }
    Ok(Outcome::good_if(agreed))
}
