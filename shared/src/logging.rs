//! What the functions write to the log.
//!
//! What must stay true: no personal data, no link and no credential is logged, at any level. A line holds our own words,
//! identifiers, numbers, and the names of errors with the codes of services. The message of an error is not logged: it may
//! quote what a service said, or what an event or an object holds. It goes to the execution instead.
//!
//! Only crates of Landfall log. The Lambda runtime would write inputs at TRACE and messages of errors at ERROR, and the SDK
//! would write requests at DEBUG. Of a panic only the place is logged, since its message may quote data.

use std::panic::{self, PanicHookInfo};

use tracing::Dispatch;
use tracing_subscriber::{filter::Targets, fmt::MakeWriter, layer::SubscriberExt as _};

use crate::{
    config::Logging,
    error::{Error, ErrorKind},
};

/// What the targets of our own crates begin with.
const OURS: &str = "landfall";

/// What writes the log, as Lambda's own settings ask for. Filters of single modules, which would bring regular expressions
/// into every function, are not read.
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

/// Has panics logged, by their places alone.
pub fn log_panics() {
    panic::set_hook(Box::new(log_panic));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    tracing::error!(place, "a panic: this is a defect of Landfall");
}

/// Logs that a step raises an error. What is raised for a passing reason is no failure: the state machine tries it again.
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
