//! The event that tells how a job ended.
//!
//! What must stay true: the event holds what people on call and consumers need to go on, and no exported data.

use landfall::{
    job::{Announcement, Verdict},
    ledger::{Entry, Outcome},
};
use serde_json::json;

pub(super) fn announcement(entry: &Entry, outcome: &Outcome) -> Announcement {
    let detail_type = match outcome.verdict {
        Verdict::Succeeded => "Export Job Succeeded",
        Verdict::Failed => "Export Job Failed",
    };
    let counted = outcome.attempt.and_then(|number| entry.attempt(number));
    Announcement {
        detail_type: detail_type.to_owned(),
        resources: Vec::new(),
        detail: json!({
            "kind": entry.kind,
            "job_key": entry.trigger.job_key,
            "name": entry.name,
            "verdict": outcome.verdict.name(),
            "receipt": outcome.receipt,
            "prefix": counted.map(|attempt| &attempt.prefix),
            "objects": outcome.report.as_ref().map(|report| report.objects),
            "rows": outcome.report.as_ref().map(|report| report.rows),
            "bytes": outcome.report.as_ref().map(|report| report.bytes),
            "error": outcome.error,
            "execution": outcome.sealed_by,
            "sealed_at": outcome.sealed_at,
        }),
    }
}
