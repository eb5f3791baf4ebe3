//! Virtual time.
//!
//! What must stay true: time moves only when nothing else can happen, from one event to the next. Of two events at the
//! same instant, the one that was scheduled first comes first. No thread takes part. So a run is the same every time,
//! and a day passes as fast as its work is done.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, SystemTime},
};

use anyhow::{Result, anyhow, bail};
use async_trait::async_trait;
use aws_smithy_async::{
    rt::sleep::{AsyncSleep, Sleep as SdkSleep},
    time::TimeSource,
};
use chrono::{DateTime, TimeDelta, Utc};
use landfall::clock::Clock;

/// After this many events, a run of a seed is taken for one that does not end.
pub const MOST_EVENTS: u64 = 1_000_000;

/// When a run begins: at 2026-10-01T05:00:02.25Z, when every service is still supported.
pub const BEGINNING: DateTime<Utc> = match DateTime::from_timestamp(1_790_830_802, 250_000_000) {
    Some(time) => time,
    None => DateTime::UNIX_EPOCH,
};

thread_local! {
    /// The timeline of the current run of this thread, for clients that outlive runs.
    static CURRENT: RefCell<Option<Timeline>> = const { RefCell::new(None) };
}

/// The timeline of one run. Clones share it.
#[derive(Clone, Default)]
pub struct Timeline(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    now: Duration,
    asked: u64,
    events: u64,
    most_events: u64,
    waiting: BTreeMap<(Duration, u64), Waker>,
    root: Option<Waker>,
    /// Why the run cannot continue.
    stopped: Option<&'static str>,
}

impl fmt::Debug for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Timeline").field(&self.elapsed()).finish()
    }
}

impl Timeline {
    /// Runs a future to its end on a timeline of its own. Fails if everything waits for something that never happens,
    /// or if the run does not end.
    pub fn run<F: Future>(most_events: u64, build: impl FnOnce(Self) -> F) -> Result<F::Output> {
        let timeline = Self::default();
        timeline.state().most_events = most_events;
        let idle = timeline.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .on_thread_park(move || idle.advance())
            .build()?;
        let outer = CURRENT.with(|current| current.replace(Some(timeline.clone())));
        let result = runtime.block_on(async {
            let mut future = pin!(build(timeline.clone()));
            poll_fn(|context| {
                let stopped = {
                    let mut state = timeline.state();
                    state.root = Some(context.waker().clone());
                    state.stopped
                };
                match stopped {
                    Some(why) => Poll::Ready(Err(anyhow!("{why} at {:?}", timeline.elapsed()))),
                    None => future.as_mut().poll(context).map(Ok),
                }
            })
            .await
        });
        // Tasks that still wait are dropped with the runtime, and may read the time once more.
        drop(runtime);
        CURRENT.with(|current| *current.borrow_mut() = outer);
        result
    }

    /// The timeline of the current run of this thread. Fails outside of a run.
    pub fn current() -> Result<Self> {
        match CURRENT.with(|current| current.borrow().clone()) {
            Some(timeline) => Ok(timeline),
            None => bail!("this thread runs no simulation"),
        }
    }

    /// The time since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.state().now
    }

    pub fn now(&self) -> DateTime<Utc> {
        BEGINNING + TimeDelta::from_std(self.elapsed()).unwrap_or(TimeDelta::MAX)
    }

    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep {
            at: self.elapsed().saturating_add(duration),
            timeline: self.clone(),
            key: None,
        }
    }

    /// Moves on to the next event. Called when nothing else can happen.
    fn advance(&self) {
        let mut state = self.state();
        state.events += 1;
        let next = state.waiting.pop_first();
        let woken = match next {
            Some(_) if state.events > state.most_events => {
                state.stopped = Some("it does not end; it was given up");
                state.root.take()
            }
            Some(((at, _), waker)) => {
                state.now = at;
                Some(waker)
            }
            None => {
                state.stopped = Some("everything waits for what never happens");
                state.root.take()
            }
        };
        drop(state);
        if let Some(waker) = woken {
            waker.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub struct Sleep {
    timeline: Timeline,
    at: Duration,
    key: Option<(Duration, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.timeline.state();
        if let Some(key) = this.key {
            if let Some(waker) = state.waiting.get_mut(&key) {
                waker.clone_from(context.waker());
                return Poll::Pending;
            }
            drop(state);
            this.key = None;
            return Poll::Ready(());
        }
        // Even a sleep of zero lets others go first.
        state.asked += 1;
        let key = (this.at, state.asked);
        state.waiting.insert(key, context.waker().clone());
        drop(state);
        this.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.timeline.state().waiting.remove(&key);
        }
    }
}

/// The clock of one machine, which may be off.
#[derive(Clone, Debug)]
pub struct MachineClock {
    pub timeline: Timeline,
    /// How far the machine's clock is ahead.
    pub skew: TimeDelta,
}

#[async_trait]
impl Clock for MachineClock {
    fn now(&self) -> DateTime<Utc> {
        self.timeline.now() + self.skew
    }

    async fn sleep(&self, duration: Duration) {
        self.timeline.sleep(duration).await;
    }
}

/// The time as the SDK reads it: that of the current run of the thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct SdkTime;

impl AsyncSleep for SdkTime {
    fn sleep(&self, duration: Duration) -> SdkSleep {
        match Timeline::current() {
            Ok(timeline) => SdkSleep::new(timeline.sleep(duration)),
            Err(_) => SdkSleep::new(std::future::pending()),
        }
    }
}

impl TimeSource for SdkTime {
    fn now(&self) -> SystemTime {
        Timeline::current().map_or(SystemTime::UNIX_EPOCH, |timeline| timeline.now().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_moves_from_event_to_event() {
        let order = Timeline::run(MOST_EVENTS, |timeline| async move {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let tasks = [3, 1, 2, 1].into_iter().enumerate().map(|(number, seconds)| {
                let (timeline, seen) = (timeline.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    timeline.sleep(Duration::from_secs(seconds * 3600)).await;
                    seen.lock().unwrap().push((number, timeline.elapsed().as_secs() / 3600));
                })
            });
            for task in tasks.collect::<Vec<_>>() {
                task.await.unwrap();
            }
            seen.lock().unwrap().clone()
        });
        assert_eq!(order.unwrap(), [(1, 1), (3, 1), (2, 2), (0, 3)]);
    }

    #[test]
    fn a_run_in_which_everything_waits_forever_is_an_error() {
        let error = Timeline::run(MOST_EVENTS, |timeline| async move {
            timeline.sleep(Duration::from_secs(5)).await;
            std::future::pending::<()>().await;
        });
        assert_eq!(
            error.unwrap_err().to_string(),
            "everything waits for what never happens at 5s"
        );
    }

    #[test]
    fn a_run_of_too_many_events_is_an_error() {
        let error = Timeline::run(MOST_EVENTS, |timeline| async move {
            loop {
                timeline.sleep(Duration::from_secs(1)).await;
            }
        });
        let () = match error {
            Ok(never) => never,
            Err(error) => assert!(error.to_string().starts_with("it does not end"), "{error}"),
        };
    }
}
