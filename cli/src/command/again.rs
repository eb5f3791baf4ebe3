//! `landfall rerun`, `landfall pick-up` and `landfall redrive`.
//!
//! What must stay true: each command says what it will do and what that costs, asks, does it, and shows the AWS command
//! that does the same. A rerun of a job whose export may be good is only done after a warning.

use anyhow::{Context, Result, bail};
use landfall::{
    cancel::is_asked,
    error::ErrorKind,
    remedy::{Next, remedy},
};
use landfall_cli::{
    account::Deployment,
    act::{Again, Order, event_of, order, quoted},
    event,
    executions::State,
    jobs::Status,
    show::{Job, Target},
};
use serde_json::Value;

use super::{
    arguments::{Act, Common, PickUp, Redrive, Rerun},
    deed::{Deed, Step},
    outcome::Outcome,
    show::find,
};

/// What awaiting and verifying an export costs, in words for people.
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
    let kind = row.error.as_ref().and_then(|error| ErrorKind::from_name(&error.name));
    let is_picked_up = |kind| remedy(kind).started.next.first() == Some(&Next::PickUp);
    let warning = if row.service_id.is_some() && kind.is_some_and(is_picked_up) {
        format!(
            "\nThe service made a job, whose files may be good: `landfall pick-up {}` seals them without another export.",
            row.job_key
        )
    } else {
        String::new()
    };
    let what = format!(
        "Reruns {} {} as {} (Rerun {}): the service makes another job, which writes into a prefix of its own.\nIt costs what the \
         service takes for it, {COST}.{warning}",
        row.kind,
        row.job_key,
        order.job_key,
        order.rerun.unwrap_or_default()
    );
    let found = Found {
        common,
        deployment: &deployment,
        job: &job,
        target: &target,
    };
    found.deliver(&order, &what, options.act).await
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
    let found = Found {
        common,
        deployment: &deployment,
        job: &job,
        target: &target,
    };
    found.deliver(&order, &what, options.act).await
}

pub(super) async fn redrive(common: &Common, options: &Redrive) -> Result<Outcome> {
    let deployment = Deployment::find(&common.access(), common.named()).await?;
    let job = find(&deployment, &Target::of(&options.job)?).await?;
    let row = &job.row;
    let Some(execution) = &job.execution else {
        bail!(
            "Step Functions has no execution of {} {} any more: it keeps them 90 days",
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
    let deed = Deed {
        common,
        deployment: &deployment,
        kind: &row.kind,
        job_key: &row.job_key,
        commands: vec![command],
    };
    deed.follow_or_say(&what, Step::Redrive(arn), options.act).await
}

/// The event of a job: the file that was named, or the input of its execution.
fn event_of_job(job: &Job, target: &Target) -> Result<Value> {
    if let Target::Event(path) = target {
        return event::read(path);
    }
    let execution = job.execution.as_ref().with_context(|| {
        format!(
            "Step Functions has no execution of {} {} any more (it keeps them 90 days): name the file of its event instead",
            job.row.kind, job.row.job_key
        )
    })?;
    if is_asked(&execution.input) {
        bail!(
            "that execution cancelled {} {} and does not have its event: name the job by its key",
            job.row.kind,
            job.row.job_key
        );
    }
    Ok(event_of(&execution.input))
}

/// A job that is run again.
struct Found<'a> {
    common: &'a Common,
    deployment: &'a Deployment,
    job: &'a Job,
    target: &'a Target,
}

impl Found<'_> {
    /// Starts an execution with the order's event, if somebody agrees.
    async fn deliver(&self, order: &Order, what: &str, act: Act) -> Result<Outcome> {
        let machine = self.deployment.machine(&self.job.row.kind)?;
        let deed = Deed {
            common: self.common,
            deployment: self.deployment,
            kind: &self.job.row.kind,
            job_key: &order.job_key,
            commands: self.commands(order, machine),
        };
        let input = &order.event;
        deed.follow_or_say(what, Step::Start { machine, input }, act).await
    }

    /// The AWS commands that do the same. They fetch the event, because it may hold something that must not be shown.
    fn commands(&self, order: &Order, machine: &str) -> Vec<String> {
        let aws = self.common.for_aws();
        let file = match self.target {
            Target::Event(path) => path.display().to_string(),
            _ => "event.json".to_owned(),
        };
        let fetch = self
            .job
            .execution
            .as_ref()
            .filter(|_| !matches!(self.target, Target::Event(_)))
            .map(|execution| {
                let arn = quoted(&execution.listed.arn);
                format!(
                    "aws stepfunctions describe-execution --execution-arn {arn} --query input --output text{aws} > {file}"
                )
            });
        let machine = quoted(machine);
        let own = [
            format!("jq {} {} > again.json", quoted(&order.filter), quoted(&file)),
            format!("aws stepfunctions start-execution --state-machine-arn {machine} --input file://again.json{aws}"),
        ];
        fetch.into_iter().chain(own).collect()
    }
}
