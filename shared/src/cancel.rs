//! Cancelling a job.
//!
//! What must stay true: a cancel is a member of the job's ledger entry and is written by compare-and-set. Once it is
//! there, no attempt is claimed any more, and the job can only end as `Landfall.Cancelled`. A job that has an outcome
//! cannot be cancelled. A cancel does not seal a job while a start call may be under way.
//!
//! To cancel a job, an execution of its kind's state machine is started with `{"cancel": {"job_key": …}}` instead of an
//! event. The machine leads it to Seal, which writes the cancel and the outcome in one change of the entry. If a start
//! call may be under way, Seal writes only the cancel and is retried; meanwhile the job's own execution may seal it.
//! Start looks for a cancel before each claim, and Poll after it has asked the service, so the job's executions end by
//! themselves.

use serde::Deserialize;
use serde_json::Value;

use crate::{
    error::{Error, ErrorKind, Result, moment},
    ledger::{Attempt, AttemptState, Cancel, Entry},
    trigger::STARTED_BY,
};

/// The member of an execution's input that asks for a cancel; the definition has the same name. A sender of events
/// cannot set it, because EventBridge puts each event into an envelope of its own.
pub const MEMBER: &str = "cancel";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    cancel: Named,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    job_key: String,
}

/// Whether the input of an execution asks to cancel a job.
pub fn is_asked(input: &Value) -> bool {
    input.get(MEMBER).is_some()
}

/// The key of the job that an input asks to cancel. Fails with `InvalidEvent` if the input has anything else.
pub fn job_key_of(input: &Value) -> Result<String> {
    let mut input = input.clone();
    if let Some(members) = input.as_object_mut() {
        members.remove(STARTED_BY);
    }
    let asked: Asked = serde_json::from_value(input).map_err(|error| {
        Error::new(
            ErrorKind::InvalidEvent,
            format!("a cancel is {{\"{MEMBER}\": {{\"job_key\": \"…\"}}}} and nothing else: {error}"),
        )
    })?;
    Ok(asked.cancel.job_key)
}

/// The error of a cancelled job.
pub fn cancelled(entry: &Entry, cancel: &Cancel) -> Error {
    let last = entry.attempts.last();
    let started = last.filter(|attempt| attempt.state == AttemptState::Started);
    let may_have_started = |attempt: &Attempt| matches!(attempt.state, AttemptState::Claimed | AttemptState::Uncertain);
    let what = match started.and_then(|attempt| attempt.service_id.as_deref()) {
        Some(service_id) => format!(
            "The service has no call that stops {service_id}, so it works on, and what it makes is not sealed. To wait for it, \
             verify it and seal it without another export, send the same event with \"Landfall\": {{\"PickUp\": \"{}\"}}",
            entry.trigger.job_key
        ),
        None if entry.attempts.iter().any(may_have_started) => {
            "A start call got no answer, so the service may be working on a job whose id is unknown. Look there before you \
             rerun it"
                .to_owned()
        }
        None => "Nothing was started at the service".to_owned(),
    };
    let (at, by) = (moment(cancel.at), &cancel.by);
    Error::new(
        ErrorKind::Cancelled,
        format!("it was cancelled at {at} by {by}. {what}"),
    )
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use serde_json::json;

    use super::*;
    use crate::{job::Kind, trigger::rejected_trigger};

    #[test]
    fn a_cancel_names_one_job_and_nothing_else() {
        let asked = json!({"cancel": {"job_key": "20261101T050000Z-1a2b3c4d"}});
        assert_eq!(job_key_of(&asked), Ok("20261101T050000Z-1a2b3c4d".to_owned()));
        let mut by_another = asked;
        by_another[STARTED_BY] = json!("arn:aws:states:…");
        assert!(job_key_of(&by_another).is_ok());
        for wrong in [
            json!({"cancel": null}),
            json!({"cancel": {}}),
            json!({"cancel": {"job_key": 1}}),
            json!({"cancel": {"job_key": "a", "kind": "b"}}),
            json!({"cancel": {"job_key": "a"}, "detail-type": "Segment Snapshot Requested"}),
        ] {
            assert!(is_asked(&wrong), "{wrong}");
            assert_eq!(job_key_of(&wrong).unwrap_err().kind, ErrorKind::InvalidEvent, "{wrong}");
        }
        for event in [
            json!({"detail": {"cancel": {"job_key": "a"}}}),
            json!("cancel"),
            json!(null),
        ] {
            assert!(!is_asked(&event), "{event}");
        }
    }

    #[test]
    fn the_message_says_whether_the_job_goes_on_at_the_service() {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let attempt = |state, service_id: Option<&str>| Attempt {
            number: 1,
            key: "k".into(),
            prefix: "s3://exports/run=k/".parse().unwrap(),
            state,
            owner: "execution/request".into(),
            claimed_at: now,
            lease_until: now,
            service_id: service_id.map(str::to_owned),
            started_at: None,
            error: None,
            unreachable_since: None,
        };
        let cancel = Cancel {
            at: now,
            by: "an execution".into(),
        };
        for (attempts, said) in [
            (
                vec![attempt(AttemptState::Started, Some("s-1"))],
                "no call that stops s-1",
            ),
            (vec![attempt(AttemptState::Waiting, None)], "Nothing was started"),
            (vec![], "Nothing was started"),
            (vec![attempt(AttemptState::Uncertain, None)], "got no answer"),
            (
                vec![
                    attempt(AttemptState::Uncertain, None),
                    attempt(AttemptState::Waiting, None),
                ],
                "got no answer",
            ),
        ] {
            let kind = Kind::new("segment-snapshot");
            let trigger = rejected_trigger(&kind, &json!({}), now).unwrap();
            let mut entry = Entry::new(kind, trigger, now);
            entry.attempts = attempts;
            let error = cancelled(&entry, &cancel);
            assert_eq!(error.kind, ErrorKind::Cancelled);
            assert!(error.message.contains(said), "{said}: {error}");
        }
    }
}
