//! A clock that moves only when it is told to.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use landfall::clock::Clock;
use tokio::sync::Notify;

/// A manual clock. Clones share one time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Debug)]
struct State {
    now: DateTime<Utc>,
    slept: Vec<Duration>,
}

impl ManualClock {
    /// A clock set to `now`.
    #[must_use]
    pub fn at(now: DateTime<Utc>) -> Self {
        let state = Mutex::new(State { now, slept: Vec::new() });
        Self(Arc::new(Inner {
            state,
            moved: Notify::new(),
        }))
    }

    pub fn advance(&self, duration: Duration) {
        self.state().now += TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        self.0.moved.notify_waiters();
    }

    /// Moves the clock back, as if another machine's clock were behind.
    pub fn put_back(&self, duration: Duration) {
        self.state().now -= TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
    }

    /// Every sleep so far.
    #[must_use]
    pub fn slept(&self) -> Vec<Duration> {
        self.state().slept.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        self.state().now
    }

    /// Advances the clock at once and lets other tasks run.
    async fn sleep(&self, duration: Duration) {
        self.state().slept.push(duration);
        self.advance(duration);
        tokio::task::yield_now().await;
    }

    async fn until(&self, time: DateTime<Utc>) {
        loop {
            // Subscribe before reading the time, so that no move between the two is missed.
            let moved = self.0.moved.notified();
            if self.now() >= time {
                return;
            }
            moved.await;
        }
    }
}
