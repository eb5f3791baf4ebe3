//! `service_failures`: whether the service reports rows that failed.
//!
//! What must stay true: one failed row fails the job. If the service reports nothing, that proves nothing.

use super::{
    asker::Words,
    judgement::{Judgement, fail, pass, skipped},
    words::objects,
};

pub(super) fn judge(failed: Option<u64>, words: &Words) -> Judgement {
    match failed {
        None => skipped(words.no_failures),
        Some(0) => pass("the service reports no failed row"),
        Some(failed) => fail(format!(
            "the job completed with failures: the service reports {}. The receipt names the first of them, if the service \
             does; correct them and run it again",
            objects(failed, "failed row")
        )),
    }
}
