//! The verdict of one check, with its reason.
//!
//! What must stay true: each reason is limited in length and printable, whatever keys and names an output has.

use landfall::expect::OnViolation;

use super::{
    asker::Words,
    words::{REASON_LENGTH, cut, printable},
};
use crate::verify::report::{Check, CheckVerdict};

pub(super) type Judgement = (CheckVerdict, String);

pub(super) fn pass(reason: impl Into<String>) -> Judgement {
    (CheckVerdict::Pass, reason.into())
}

pub(super) fn warn(reason: impl Into<String>) -> Judgement {
    (CheckVerdict::Warn, reason.into())
}

pub(super) fn fail(reason: impl Into<String>) -> Judgement {
    (CheckVerdict::Fail, reason.into())
}

pub(super) fn skipped(reason: impl Into<String>) -> Judgement {
    (CheckVerdict::Skipped, reason.into())
}

/// Warns or fails, as the event says for this expectation. `member` is the expectation's name in the event.
pub(super) fn violated(on_violation: OnViolation, member: &str, reason: &str, words: &Words) -> Judgement {
    let reason = format!("{reason}. {}{member}", words.expect);
    match on_violation {
        OnViolation::Warn => warn(reason),
        OnViolation::Fail => fail(reason),
    }
}

/// The checks in their published form.
pub(super) fn published<const N: usize>(judged: [(&str, Judgement); N]) -> Vec<Check> {
    let check = |(name, (verdict, reason)): (&str, Judgement)| Check {
        name: name.to_owned(),
        verdict,
        reason: cut(&printable(&reason), REASON_LENGTH),
    };
    judged.into_iter().map(check).collect()
}
