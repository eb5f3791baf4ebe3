//! A clock that moves only when it is told to.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use landfall::store::Clock;

/// A clock for tests. Its clones are the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    now: DateTime<Utc>,
    slept: Vec<Duration>,
}

impl ManualClock {
    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: DateTime<Utc>) -> Self {
        Self(Arc::new(Mutex::new(State { now, slept: Vec::new() })))
    }

    /// Moves it forward.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.state();
        state.now += TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
    }

    /// Every sleep so far.
    #[must_use]
    pub fn slept(&self) -> Vec<Duration> {
        self.state().slept.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.state().now
    }

    /// Advances at once, and lets other tasks run.
    async fn sleep(&self, duration: Duration) {
        self.state().slept.push(duration);
        self.advance(duration);
        tokio::task::yield_now().await;
    }
}
