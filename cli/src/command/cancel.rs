//! `landfall cancel`.
//!
//! What must stay true: the command says that the service goes on with the job, because nobody can stop it there, and
//! what can be done afterwards. A sealed job is not cancelled.

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use landfall::{
    cancel::MEMBER,
    error::ErrorKind,
    ledger::{AttemptState, Entry},
};
use landfall_cli::{
    account::Deployment,
    act::quoted,
    jobs::{Row, Status},
    show::{Job, Target},
};
use serde_json::json;

use super::{
    arguments::{Cancel, Common},
    deed::{Deed, Step},
    outcome::Outcome,
    show::{find, print_job},
    watch::ended,
};

/// What the execution that cancels costs, in words for people.
const COST: &str = "7 state transitions (0.02 US cents)";

/// When the job's own executions notice.
const BY_THEMSELVES: &str = "Its executions end by themselves: within five minutes if they wait in line, else at their next poll, or \
                             after a verification that has begun.";

/// When a job is sealed whose start call is claimed and not answered yet.
const UNDER_WAY: &str = "when the start call that may be under way is over, after 15 minutes at most";

pub(super) async fn cancel(common: &Common, options: &Cancel) -> Result<Outcome> {
    let deployment = Deployment::find(&common.access(), common.named()).await?;
    let job = find(&deployment, &Target::of(&options.job)?).await?;
    let row = &job.row;
    let Some(entry) = &job.entry else {
        bail!(
            "{} {} has no entry in the ledger, so there is nothing to cancel: `landfall show {}` says what became of it",
            row.kind,
            row.job_key,
            row.reference()
        );
    };
    if let Some(outcome) = &entry.outcome {
        let how = if is_cancelled(&job) {
            "cancelled already"
        } else {
            outcome.verdict.name()
        };
        bail!(
            "{} {} is sealed as {how}, and what is sealed does not change. `landfall show {}` says what can be done",
            row.kind,
            row.job_key,
            row.job_key
        );
    }
    let input = json!({ MEMBER: { "job_key": row.job_key } });
    let machine = deployment.machine(&row.kind)?;
    let deed = Deed {
        common,
        deployment: &deployment,
        kind: &row.kind,
        job_key: &row.job_key,
        commands: vec![format!(
            "aws stepfunctions start-execution --state-machine-arn {} --input {}{}",
            quoted(machine),
            quoted(&input.to_string()),
            common.for_aws()
        )],
    };
    let what = what_it_does(row, entry, Utc::now());
    let step = Step::Start { machine, input: &input };
    let execution = deed.done(&what, step, options.act.consent).await?;
    match execution {
        Some(execution) if options.act.follow => {
            let job = ended(common, &deployment, &execution, options.act.detail).await?;
            print_job(common, &job)?;
            Ok(Outcome::good_if(is_cancelled(&job)))
        }
        execution => deed.say(execution),
    }
}

fn is_cancelled(job: &Job) -> bool {
    let error = job.row.error.as_ref();
    error.is_some_and(|error| error.name == ErrorKind::Cancelled.name())
}

/// What a cancel does with a job in its present state, and what that costs.
fn what_it_does(row: &Row, entry: &Entry, now: DateTime<Utc>) -> String {
    let last = entry.attempts.last();
    let service_id = last.and_then(|attempt| attempt.service_id.as_deref());
    let is_in_flight = entry.in_flight_until(now).is_some();
    let at_the_service = match (service_id, last.map(|attempt| attempt.state)) {
        (Some(service_id), _) => format!(
            "The service has no call that stops {service_id}: it works on and costs what it costs. What it makes is not \
             sealed. `landfall pick-up {}` goes on with it afterwards, without another export.\n{BY_THEMSELVES}",
            row.job_key
        ),
        (None, Some(AttemptState::Claimed | AttemptState::Uncertain)) => {
            format!("If a start call made a job, the service works on. {BY_THEMSELVES}")
        }
        (None, _) => format!("Nothing is started at the service. {BY_THEMSELVES}"),
    };
    let unsealed = match row.status {
        Status::Aborted | Status::Unsealed => format!(
            "\nNo execution works on it any more, and its export may be good: `landfall redrive {}` goes on with it instead.",
            row.job_key
        ),
        _ => String::new(),
    };
    format!(
        "Cancels {} {}, which is {}: it is sealed as Landfall.Cancelled and announced as failed, and its slot is free, {}.\n\
         {at_the_service}{unsealed}\nIt costs {COST}.",
        row.kind,
        row.job_key,
        row.status.name(),
        if is_in_flight { UNDER_WAY } else { "at once" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(state: &str, service_id: Option<&str>, seconds: i64) -> String {
        let created: DateTime<Utc> = "2026-11-08T05:00:00Z".parse().unwrap();
        let entry: Entry = serde_json::from_value(json!({
            "schema": "landfall.ledger/1", "kind": "segment-snapshot", "request": {}, "created_at": created,
            "deadline_at": "2026-11-08T11:00:00Z", "written_by": "w",
            "trigger": {"job_key": "key", "source": "com.example", "time": created, "request_sha256": "aa"},
            "attempts": [{"number": 1, "key": "key", "prefix": "s3://exports/run=key/", "state": state, "owner": "e/r",
                          "claimed_at": created, "lease_until": "2026-11-08T05:01:00Z", "service_id": service_id}],
        }))
        .unwrap();
        let now = created + chrono::TimeDelta::seconds(seconds);
        what_it_does(&Row::of_entry(&entry, None, now), &entry, now)
    }

    /// Only a start call whose lease is not over yet delays the seal.
    #[test]
    fn the_text_says_when_the_job_is_sealed_and_what_goes_on() {
        for (state, service_id, seconds, sealed, goes_on) in [
            ("claimed", None, 30, UNDER_WAY, "If a start call made a job"),
            ("claimed", None, 90, "at once", "If a start call made a job"),
            ("uncertain", None, 30, "at once", "If a start call made a job"),
            ("waiting", None, 30, "at once", "Nothing is started"),
            ("refused", None, 30, "at once", "Nothing is started"),
            (
                "started",
                Some("snapshot-1"),
                30,
                "at once",
                "no call that stops snapshot-1",
            ),
        ] {
            let said = said(state, service_id, seconds);
            assert!(
                said.contains(&format!("its slot is free, {sealed}.")),
                "{state}: {said}"
            );
            assert!(said.contains(goes_on), "{state}: {said}");
        }
    }
}
