//! Work that takes the processor for a while.
//!
//! What must stay true: where a runtime has several threads, other tasks do not wait for it; a runtime of one thread does
//! it on the spot, so that the order of everything there stays the same every time; and a panic in it is an error.

use std::{
    error, fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use tokio::runtime::{Handle, RuntimeFlavor};
use tracing::Span;

/// The work panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the work panicked")
    }
}

impl error::Error for Panicked {}

/// Does `work` where other tasks do not wait for it. To be called on a tokio runtime.
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
    async fn one_thread_works_on_the_spot() {
        let here = std::thread::current().id();
        assert_eq!(heavy(|| std::thread::current().id()).await, Ok(here));
        assert_eq!(heavy(|| panic!("as meant")).await, Err::<(), _>(Panicked));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn several_threads_work_elsewhere() {
        let here = std::thread::current().id();
        assert_ne!(heavy(|| std::thread::current().id()).await, Ok(here));
        assert_eq!(heavy(|| panic!("as meant")).await, Err::<(), _>(Panicked));
    }
}
