//! One invocation of a function, and every call that it makes.
//!
//! What must stay true: each call takes time before and after its effect, so that others can come in between. A dead
//! invocation makes no more calls, but what it sent earlier may still arrive. A paused invocation goes on with
//! everything that it knew before.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use tokio::sync::Notify;

use crate::{
    dice::Dice,
    faults::{Boundary, Budget, Fault, StalledBy, Weather},
    log::Log,
    time::{MachineClock, Timeline},
};

tokio::task_local! {
    /// The current invocation. Clients are built once and shared by many invocations.
    static CURRENT: Arc<Call>;
}

/// The longest time that a function stands still.
const LONGEST_PAUSE: Duration = Duration::from_secs(1500);

/// The longest latency of a slow answer.
const SLOWEST: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Call {
    /// Lambda's request id.
    pub request_id: String,
    /// The number of the delivery that invoked it.
    pub delivery: usize,
    pub function: String,
    pub clock: MachineClock,
    /// When Lambda ends it.
    pub deadline: Duration,
    dice: Dice,
    weather: Arc<Weather>,
    budget: Arc<Budget>,
    log: Arc<Log>,
    dead: AtomicBool,
    died: Notify,
    paused: AtomicBool,
    met: Mutex<Vec<Fault>>,
    crossed: AtomicU32,
}

/// What an invocation needs to begin.
pub struct Birth {
    /// Lambda's request id.
    pub request_id: String,
    /// The number of the delivery that invokes it.
    pub delivery: usize,
    pub function: String,
    /// The function's time-out.
    pub timeout: Duration,
    pub dice: Dice,
    pub weather: Arc<Weather>,
    /// How many faults and mishaps may still happen.
    pub budget: Arc<Budget>,
    pub log: Arc<Log>,
    pub timeline: Timeline,
}

/// The result of a call.
#[derive(Debug)]
pub struct Crossed<T> {
    /// The answer, if the call had its effect.
    pub answer: Option<T>,
    /// The fault that hides the answer from the caller.
    pub fault: Option<Fault>,
}

impl Call {
    /// Begins an invocation now.
    pub fn begin(birth: Birth) -> Arc<Self> {
        let most = birth.weather.skew;
        let skew = birth.dice.between(Duration::ZERO, most * 2);
        let skew = TimeDelta::from_std(skew).unwrap_or_default() - TimeDelta::from_std(most).unwrap_or_default();
        Arc::new(Self {
            request_id: birth.request_id,
            delivery: birth.delivery,
            function: birth.function,
            deadline: birth.timeline.elapsed() + birth.timeout,
            clock: MachineClock {
                timeline: birth.timeline,
                skew,
            },
            dice: birth.dice,
            weather: birth.weather,
            budget: birth.budget,
            log: birth.log,
            dead: AtomicBool::new(false),
            died: Notify::new(),
            paused: AtomicBool::new(false),
            met: Mutex::default(),
            crossed: AtomicU32::new(0),
        })
    }

    /// The current invocation, if any.
    pub fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Runs code as part of this invocation.
    pub async fn scope<F: Future>(self: Arc<Self>, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// Ends it: it makes no more calls.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_one();
    }

    pub async fn death(&self) {
        while !self.is_dead() {
            self.died.notified().await;
        }
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    /// Whether it stands still or stood still, and so may outlast its time-out.
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::SeqCst)
    }

    /// How many calls it made.
    pub fn crossed(&self) -> u32 {
        self.crossed.load(Ordering::SeqCst)
    }

    /// Whether a fault or mishap may have kept it from finishing in time.
    pub fn is_harmed(&self) -> bool {
        self.is_dead() || self.is_paused() || !self.met().is_empty()
    }

    pub fn met(&self) -> Vec<Fault> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes a call: time passes, the call has its effect, time passes again, and a fault may hit it.
    pub async fn cross<T>(
        &self,
        boundary: Boundary,
        what: &(dyn Fn() -> String + Send + Sync),
        effect: impl Future<Output = T>,
    ) -> Crossed<T> {
        self.live().await;
        self.crossed.fetch_add(1, Ordering::SeqCst);
        let fault = self.fault(boundary);
        let tell = |text: &str| {
            self.log
                .tell(self.delivery, || format!("  {:<22} {} · {text}", self.function, what()));
        };
        self.clock.timeline.sleep(self.dice.latency(self.weather.latency)).await;
        match fault {
            Some(Fault::CrashBefore) => {
                tell("dies before it");
                self.kill();
                self.live().await;
            }
            Some(Fault::PauseBefore) => {
                tell("stands still before it");
                self.pause().await;
                tell("goes on");
            }
            Some(Fault::Slow) => {
                let time = self.dice.between(Duration::ZERO, SLOWEST);
                self.clock.timeline.sleep(time).await;
            }
            Some(
                fault @ (Fault::LostBefore
                | Fault::NeverLeft
                | Fault::Throttled
                | Fault::Failed
                | Fault::Conflict
                | Fault::Refused),
            ) => {
                tell(&format!("{fault:?}"));
                self.live().await;
                return Crossed {
                    answer: None,
                    fault: Some(fault),
                };
            }
            _ => {}
        }
        // A request that was sent before the function died may still arrive.
        if self.is_dead() && self.dice.chance(0.5) {
            self.live().await;
        }
        let answer = effect.await;
        self.clock.timeline.sleep(self.dice.latency(self.weather.latency)).await;
        match fault {
            Some(Fault::CrashAfter) => {
                tell("dies after it");
                self.kill();
            }
            Some(Fault::PauseAfter) => {
                tell("stands still after it");
                self.pause().await;
                tell("goes on");
            }
            Some(Fault::Slow) => {
                let time = self.dice.between(Duration::ZERO, SLOWEST);
                self.clock.timeline.sleep(time).await;
            }
            Some(fault) => tell(&format!("{fault:?}")),
            None => tell("done"),
        }
        self.live().await;
        Crossed {
            answer: Some(answer),
            fault: fault.filter(|fault| {
                matches!(
                    fault,
                    Fault::LostAfter
                        | Fault::ThrottledButDone
                        | Fault::FailedButDone
                        | Fault::OwnSuccess
                        | Fault::Nameless
                )
            }),
        }
    }

    fn fault(&self, boundary: Boundary) -> Option<Fault> {
        let now = self.clock.timeline.elapsed();
        let is_refused =
            boundary == Boundary::Look && self.weather.stalled_by(&self.function, now) == Some(StalledBy::Refusal);
        let certain = is_refused
            .then_some(Fault::Refused)
            .or(self.weather.outage(boundary, now));
        if let Some(fault) = certain {
            self.meet(fault);
            return Some(fault);
        }
        let fault = self.weather.fault(&self.dice, boundary, now)?;
        if !self.budget.spend() {
            return None;
        }
        self.meet(fault);
        Some(fault)
    }

    fn meet(&self, fault: Fault) {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
    }

    async fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
        let longest = match self.dice.chance(0.5) {
            true => LONGEST_PAUSE,
            false => LONGEST_PAUSE / 10,
        };
        let time = self.dice.between(Duration::from_secs(1), longest);
        self.clock.timeline.sleep(time).await;
    }

    /// Continues only if the invocation is alive.
    async fn live(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }
}
