//! What the functions log.
//!
//! What must stay true: no personal data, no link and no credential is logged, at any level. A line holds Landfall's
//! own words, identifiers, numbers, the names of errors and the codes of services. The message of an error is not
//! logged, because it may quote a service, an event or an object. The execution gets it instead.
//!
//! Only Landfall's crates log. The Lambda runtime would log inputs at TRACE and messages of errors at ERROR, and the
//! SDK would log requests at DEBUG. For a panic, only the place is logged, because its message may quote data.

use std::panic::{self, PanicHookInfo};

use tracing::Dispatch;
use tracing_subscriber::{filter::Targets, fmt::MakeWriter, layer::SubscriberExt as _};

use crate::{
    config::Logging,
    error::{Error, ErrorKind},
};

/// The targets of Landfall's crates begin with this.
const OURS: &str = "landfall";

/// Writes the log as Lambda's settings ask. Filters for single modules are not supported, because they would bring
/// regular expressions into each function.
pub fn dispatch<W>(logging: &Logging, writer: W) -> Dispatch
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let ours = Targets::new().with_target(OURS, logging.level);
    let lines = tracing_subscriber::fmt()
        .with_max_level(logging.level)
        .with_target(false)
        .without_time()
        .with_writer(writer);
    if logging.json {
        Dispatch::new(lines.json().finish().with(ours))
    } else {
        Dispatch::new(lines.finish().with(ours))
    }
}

/// Makes panics log their place, and nothing else.
pub fn log_panics() {
    panic::set_hook(Box::new(log_panic));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    tracing::error!(place, "a panic: this is a defect of Landfall");
}

/// Logs that a step fails with an error. A transient error is no failure, because the state machine retries the step.
pub fn log_error(error: &Error) {
    let (name, code) = (error.kind.name(), error.code.as_deref());
    match error.kind {
        ErrorKind::Busy => tracing::info!(decided = "waits", error = name, code, "the step is tried again later"),
        kind if kind.is_transient() => {
            tracing::warn!(decided = "again", error = name, code, "the step is tried again");
        }
        _ => tracing::error!(
            decided = "failed",
            error = name,
            code,
            "the step failed; the execution has the message"
        ),
    }
}
