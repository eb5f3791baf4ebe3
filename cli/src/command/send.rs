//! `landfall send`.
//!
//! What must stay true: an event with a fault is not sent. An event that was sent is looked for by the id that
//! EventBridge gave it, so an event that no rule matches is noticed.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, bail};
use chrono::{SubsecRound as _, TimeDelta, Utc};
use landfall_cli::{
    account::Deployment,
    act::quoted,
    check::faults,
    document::{ACTED_SCHEMA, Acted},
    event,
    executions::{Executions as _, State},
    kinds::BATCH,
    screen::print,
};
use serde_json::Value;

use super::{
    arguments::{Common, Send},
    consent::agreed,
    outcome::Outcome,
    watch::followed,
};

/// How long an event may take to start an execution.
const TO_START: Duration = Duration::from_secs(60);

pub(super) async fn send(common: &Common, options: &Send) -> Result<Outcome> {
    let mut event = event::read(&options.event)?;
    let found = faults(&event)?;
    if !found.is_empty() {
        let lines: Vec<String> = found.iter().map(|fault| format!("\n  {fault}")).collect();
        bail!(
            "{} is not sent, because something is wrong with it:{}",
            options.event.display(),
            lines.concat()
        );
    }
    let kind = event::kind(&event)?;
    let deployment = Deployment::find(&common.access(), common.named()).await?;
    if let Some(members) = event.as_object_mut() {
        members.remove("$schema");
    }
    if options.direct {
        return direct(common, &deployment, &kind, event, options).await;
    }
    // Known before anything is sent, so that nothing is sent that cannot be followed.
    let machine = deployment.machine(&kind)?;
    let bus = match &options.bus {
        Some(bus) => bus.clone(),
        None => deployment
            .parameters
            .get("EventBusName")
            .cloned()
            .unwrap_or_else(|| "default".to_owned()),
    };
    let at = Utc::now().trunc_subsecs(0);
    let detail = event["detail"].to_string();
    let source = event["source"].as_str().context("the event has no source")?;
    let detail_type = event["detail-type"].as_str().context("the event has no detail-type")?;
    // The command shows a filter, because the event may hold something that must not be shown.
    let entry = format!(
        "[{{EventBusName: \"{bus}\", Source: .source, DetailType: .\"detail-type\", Detail: (.detail | tostring)}}]"
    );
    let file = quoted(&options.event.display().to_string());
    let command = format!(
        "aws events put-events --entries \"$(jq -c '{entry}' {file})\"{}",
        common.for_aws()
    );
    let id_of_file = if event.get("id").is_some() || event.get("time").is_some() {
        "\nEventBridge gives it an id and a time of its own, so it is another job than the one with those of the file (--direct keeps \
         them)."
    } else {
        ""
    };
    let what = format!(
        "Puts {} on the bus {bus}: a new job of {kind}.{id_of_file}\n\n  {command}\n",
        options.event.display()
    );
    if !agreed(&what, options.consent)? {
        return acted(common, false, &kind, None, command);
    }
    let client = aws_sdk_eventbridge::Client::new(&deployment.sdk);
    let sent = aws_sdk_eventbridge::types::PutEventsRequestEntry::builder()
        .event_bus_name(&bus)
        .source(source)
        .detail_type(detail_type)
        .detail(detail)
        .build();
    let answer = client.put_events().entries(sent).send().await;
    let answer = answer.map_err(|error| landfall_cli::account::refused("PutEvents", &error))?;
    let result = answer.entries().first().context("EventBridge's answer has no result")?;
    let Some(id) = result.event_id() else {
        bail!(
            "EventBridge did not take the event: {}: {}",
            result.error_code().unwrap_or("no code"),
            result.error_message().unwrap_or("no message")
        );
    };
    let execution = started(&deployment, machine, id, at).await.with_context(|| {
        format!(
            "EventBridge took the event {id}, so do not send it again before you have looked: what it starts is an execution \
             of {machine}"
        )
    })?;
    if options.no_follow || kind == BATCH {
        return acted(common, true, &kind, Some(execution), command);
    }
    followed(common, &deployment, &execution, options.detail).await
}

/// Starts an execution with the event as its input.
async fn direct(
    common: &Common,
    deployment: &Deployment,
    kind: &str,
    mut event: Value,
    options: &Send,
) -> Result<Outcome> {
    let machine = deployment.machine(kind)?;
    let mut parts = machine.split(':').skip(3);
    let (region, account) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let filled = event::fill_in(&mut event, Utc::now(), &event::new_id(), account, region);
    let command = format!(
        "aws stepfunctions start-execution --state-machine-arn {} --input file://{}{}",
        quoted(machine),
        quoted(&options.event.display().to_string()),
        common.for_aws()
    );
    let filled = match filled.is_empty() {
        true => String::new(),
        false => format!("\nFilled in, as EventBridge does: {}.", filled.join(", ")),
    };
    let what = format!(
        "Starts an execution of {machine} with {}.{filled}\n\n  {command}\n",
        options.event.display()
    );
    if !agreed(&what, options.consent)? {
        return acted(common, false, kind, None, command);
    }
    let execution = deployment.steps.start(machine, &event).await?;
    if options.no_follow || kind == BATCH {
        return acted(common, true, kind, Some(execution), command);
    }
    followed(common, deployment, &execution, options.detail).await
}

/// The execution that an event started.
async fn started(deployment: &Deployment, machine: &str, id: &str, at: chrono::DateTime<Utc>) -> Result<String> {
    let begun = tokio::time::Instant::now();
    let (mut others, mut failed) = (BTreeSet::new(), None);
    while begun.elapsed() < TO_START {
        failed = match look(deployment, machine, id, at, &mut others).await {
            Ok(Some(execution)) => return Ok(execution),
            Ok(None) => None,
            Err(error) if error.kind.is_transient() => Some(error),
            Err(error) => return Err(error.into()),
        };
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    bail!(
        "no execution of it was found within {} s. Look whether the machine's rule exists, is enabled and belongs to that \
         bus (`landfall doctor`), and into the dead-letter queue of the stack",
        TO_START.as_secs()
    )
}

/// Looks once. `others` are executions that were started by something else.
async fn look(
    deployment: &Deployment,
    machine: &str,
    id: &str,
    at: chrono::DateTime<Utc>,
    others: &mut BTreeSet<String>,
) -> landfall::error::Result<Option<String>> {
    let since = at - TimeDelta::seconds(5);
    for state in [
        State::Running,
        State::Succeeded,
        State::Failed,
        State::Aborted,
        State::TimedOut,
    ] {
        for listed in deployment.steps.list(machine, state, since).await? {
            if others.contains(&listed.arn) {
                continue;
            }
            match deployment.steps.describe(&listed.arn).await? {
                Some(described) if described.input["id"] == id => return Ok(Some(listed.arn)),
                Some(_) => _ = others.insert(listed.arn),
                None => {}
            }
        }
    }
    Ok(None)
}

fn acted(common: &Common, done: bool, kind: &str, execution: Option<String>, command: String) -> Result<Outcome> {
    let text = match (&execution, done) {
        (Some(execution), _) => format!("started {execution}"),
        (None, true) => "sent".to_owned(),
        (None, false) => "nothing was done".to_owned(),
    };
    let document = Acted {
        schema: ACTED_SCHEMA,
        landfall: env!("CARGO_PKG_VERSION"),
        done,
        kind: kind.to_owned(),
        job_key: None,
        execution,
        commands: vec![command],
    };
    print(&if common.json {
        serde_json::to_string_pretty(&document)?
    } else {
        text
    })?;
    Ok(Outcome::good_if(done))
}
