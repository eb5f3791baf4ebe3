//! The time, and waiting.
//!
//! What must stay true: a function takes the time from a [`Clock`], so that a test can let days pass in no time.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

/// How far apart the clocks of functions and of S3 may be. In fact they are much closer.
pub const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(5);

/// Only [`SystemClock`] and clocks of tests implement it.
#[async_trait]
pub trait Clock: Send + Sync {
    fn now(&self) -> DateTime<Utc>;

    async fn sleep(&self, duration: Duration);

    /// Waits until a time, beside other work. A test's clock moves on by `sleep`, but not by this.
    async fn until(&self, time: DateTime<Utc>) {
        if let Ok(left) = (time - self.now()).to_std() {
            self.sleep(left).await;
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
