//! Failures that are sealed for one delivery alone.
//!
//! What must stay true: once an execution has decided its delivery's failure, the decision stands, however often the
//! seal is repeated. If an event is sent again and rejected for another reason, its rejection names that reason.

use landfall::{
    error::Result,
    hash::sha256_hex,
    ledger::{Cas, Entry, Ledger, Outcome},
    trigger::Trigger,
};

use super::{failure::LocalFailure, outcome::Decider};

/// The rejection that this execution has decided already, if there is one. An earlier try of the step may have died
/// after it, and what it was decided from may have changed since.
pub(super) async fn decided(ledger: &Ledger<'_>, execution: &str, failure: &LocalFailure<'_>) -> Result<Option<Entry>> {
    for key in [&failure.rejected.job_key, &own_key(execution, failure)] {
        if let Some(standing) = ledger.load(failure.kind, key).await?
            && let Some(outcome) = &standing.entry.outcome
            && outcome.sealed_by == execution
        {
            return Ok(Some(standing.entry));
        }
    }
    Ok(None)
}

/// Seals a failure for one delivery: under the key of its event or, if that holds another reason, under a key of this
/// execution.
pub(super) async fn reject(
    ledger: &Ledger<'_>,
    by: Decider<'_>,
    failure: &LocalFailure<'_>,
    draft: Outcome,
) -> Result<Entry> {
    let error = draft.error.clone();
    let entry_at = |job_key: &str| {
        let trigger = Trigger {
            job_key: job_key.to_owned(),
            ..failure.rejected.clone()
        };
        Entry {
            outcome: Some(Outcome {
                receipt: by.ledger_receipt(failure.kind, job_key),
                attempt: None,
                ..draft.clone()
            }),
            ..Entry::new(failure.kind.clone(), trigger, by.now)
        }
    };
    let shared = &failure.rejected.job_key;
    match ledger.create(entry_at(shared)).await? {
        Cas::Won(created) => return Ok(created.entry),
        Cas::Lost(standing) => {
            let outcome = standing.entry.outcome.as_ref();
            if outcome.is_some_and(|outcome| outcome.error == error) {
                return Ok(standing.entry);
            }
        }
        Cas::Vanished => return Err(ledger.deleted(failure.kind, shared)),
    }
    let own = own_key(by.execution, failure);
    match ledger.create(entry_at(&own)).await? {
        Cas::Won(current) | Cas::Lost(current) => Ok(current.entry),
        Cas::Vanished => Err(ledger.deleted(failure.kind, &own)),
    }
}

/// The trigger of a rejection that belongs to this execution alone, whatever others of the same event decide.
pub(super) fn of_execution(execution: &str, rejected: Trigger) -> Trigger {
    let execution = sha256_hex(execution.as_bytes());
    Trigger {
        job_key: format!("{}-{}", rejected.job_key, &execution[..8]),
        ..rejected
    }
}

fn own_key(execution: &str, failure: &LocalFailure<'_>) -> String {
    of_execution(execution, failure.rejected.clone()).job_key
}
