//! Runs work that keeps a processor busy for a while.
//!
//! What must stay true: in a runtime with several threads, other tasks go on meanwhile. In a runtime with one thread,
//! the work runs at once, so that tests repeat the same order each time. A panic in the work is an error.

use std::{
    error, fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use tokio::runtime::{Handle, RuntimeFlavor};
use tracing::Span;

/// The error if the work panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the work panicked")
    }
}

impl error::Error for Panicked {}

/// Runs `work` so that other tasks go on. Must be called on a tokio runtime.
pub async fn heavy<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Panicked> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked);
    }
    let span = Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
        .await
        .map_err(|_| Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn heavy_work_runs_in_place_on_a_runtime_of_one_thread() {
        let here = std::thread::current().id();
        assert_eq!(heavy(|| std::thread::current().id()).await, Ok(here));
        assert_eq!(heavy(|| panic!("as meant")).await, Err::<(), _>(Panicked));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn heavy_work_runs_on_another_thread_of_a_larger_runtime() {
        let here = std::thread::current().id();
        assert_ne!(heavy(|| std::thread::current().id()).await, Ok(here));
        assert_eq!(heavy(|| panic!("as meant")).await, Err::<(), _>(Panicked));
    }
}
