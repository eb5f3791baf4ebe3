//! `listing_stable`: whether the listing stopped changing.
//!
//! What must stay true: if an object changed while it was read, the check fails, and the reason says what changed.

use super::{
    judgement::{Judgement, fail, pass},
    words::{changed, kept},
};
use crate::verify::{Expectation, settle::Stability};

pub(super) fn judge(asked: &Expectation, settling: &Stability) -> Judgement {
    let seconds = asked.settle.as_secs_f64();
    if !settling.disturbed.is_empty() {
        return fail(format!(
            "{} replaced or removed while being verified: {}. Find out who writes beneath {} besides the job, and run \
             it again",
            if settling.disturbed.count == 1 {
                "a data object was"
            } else {
                "data objects were"
            },
            kept(&settling.disturbed),
            asked.prefix
        ));
    }
    if !settling.settled {
        let last = if settling.last.is_empty() {
            "an object changed between its listing and its reading".to_owned()
        } else {
            changed(&settling.last)
        };
        return fail(format!(
            "after {} listings, each at least {seconds} s after the one before, the objects still change; last: {last}. \
             Something still writes beneath {}: find out what, and verify again",
            settling.listings, asked.prefix
        ));
    }
    let before = if settling.earlier.is_empty() {
        String::new()
    } else {
        format!("; before that: {}", changed(&settling.earlier))
    };
    let apart = if asked.settle.is_zero() {
        String::new()
    } else {
        format!(", at least {seconds} s apart,")
    };
    pass(format!(
        "the last two of {} listings{apart} are equal{before}",
        settling.listings
    ))
}
