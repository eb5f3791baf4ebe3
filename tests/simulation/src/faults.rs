//! The faults that hit a function's calls and invocations.
//!
//! What must stay true: which faults a run can meet, how many and until when, depends only on the seed. A run with few
//! kinds of faults is as likely as one with all kinds, because some rare combinations only occur if the other faults
//! stay away.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::dice::Dice;

/// What happens to one call of S3 or of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The call is lost, without an effect.
    LostBefore,
    /// Only for a call of a service: the connection fails.
    NeverLeft,
    /// The answer is lost.
    LostAfter,
    /// The call is throttled, without an effect.
    Throttled,
    /// The call is throttled, although it had its effect.
    ThrottledButDone,
    /// The call fails with a server error, without an effect.
    Failed,
    /// The call fails with a server error, although it had its effect.
    FailedButDone,
    /// The function dies before the call.
    CrashBefore,
    /// The function dies after the call.
    CrashAfter,
    /// The function stands still before the call, and may go on long after its time-out.
    PauseBefore,
    /// The function stands still after the call, and may go on long after its time-out.
    PauseAfter,
    /// The answer takes long.
    Slow,
    /// Only for a conditional write: the answer was lost, and the client's retry met the result of its first try.
    OwnSuccess,
    /// Only for a conditional write: others write at the same moment, until the client gives up.
    Conflict,
    /// Only for a start call: it has its effect, but the answer holds no id.
    Nameless,
    /// Only for a poll, and only in a [`Stall`]: the service refuses it.
    Refused,
}

impl Fault {
    /// Every kind of fault that is drawn for a single call.
    pub const ALL: [Self; 15] = [
        Self::LostBefore,
        Self::NeverLeft,
        Self::LostAfter,
        Self::Throttled,
        Self::ThrottledButDone,
        Self::Failed,
        Self::FailedButDone,
        Self::CrashBefore,
        Self::CrashAfter,
        Self::PauseBefore,
        Self::PauseAfter,
        Self::Slow,
        Self::OwnSuccess,
        Self::Conflict,
        Self::Nameless,
    ];

    /// Whether it can happen to a call of this kind.
    fn fits(self, boundary: Boundary) -> bool {
        match self {
            Self::OwnSuccess | Self::Conflict => boundary == Boundary::Write,
            Self::Nameless => boundary == Boundary::Start,
            Self::NeverLeft => matches!(boundary, Boundary::Start | Boundary::Look),
            _ => true,
        }
    }

    /// Whether the function stands still and may outlast its time-out.
    pub fn is_pause(self) -> bool {
        matches!(self, Self::PauseBefore | Self::PauseAfter)
    }
}

/// What happens to one invocation as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Lambda refuses it: `Lambda.TooManyRequestsException`.
    Refused,
    /// Lambda fails before it runs the function: `Lambda.ServiceException`.
    FailedBefore,
    /// The function runs, and its answer is lost: `Lambda.ServiceException`.
    FailedAfter,
    /// The function dies before its first call: `Runtime.ExitError`.
    Stillborn,
    /// The function runs twice at the same time, because the call to Lambda was retried.
    Twice,
}

impl Mishap {
    const ALL: [Self; 5] = [
        Self::Refused,
        Self::FailedBefore,
        Self::FailedAfter,
        Self::Stillborn,
        Self::Twice,
    ];
}

/// The kind of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// A read of S3.
    Read,
    /// A conditional write to S3.
    Write,
    /// A start call of a service.
    Start,
    /// Another call of a service.
    Look,
}

#[derive(Clone, Debug)]
pub struct Weather {
    /// The kinds of faults that happen.
    pub faults: Vec<Fault>,
    /// The kinds of mishaps that happen.
    pub mishaps: Vec<Mishap>,
    /// The probability that a call meets a fault.
    pub rate: f64,
    /// The probability that an invocation meets a mishap.
    pub mishap_rate: f64,
    /// The most faults and mishaps that happen.
    pub budget: u32,
    /// The numbers of faults and mishaps that are left out.
    pub spared: BTreeSet<u32>,
    pub until: Duration,
    /// The usual upper bound of a call's latency, in each direction.
    pub latency: Duration,
    /// The largest error of an invocation's clock, in either direction.
    pub skew: Duration,
    /// A time in which every call to S3, or every call to the service, fails.
    pub outage: Option<Outage>,
    /// A time in which no poll brings news.
    pub stall: Option<Stall>,
}

/// Numbers the faults and mishaps of a run in the order of their draws.
#[derive(Debug)]
pub struct Budget {
    drawn: AtomicU32,
    most: u32,
    spared: BTreeSet<u32>,
}

impl Budget {
    /// The budget of a run in this weather.
    pub fn of(weather: &Weather) -> Self {
        Self {
            drawn: AtomicU32::new(0),
            most: weather.budget,
            spared: weather.spared.clone(),
        }
    }

    /// Whether the fault or mishap that was just drawn happens.
    pub fn spend(&self) -> bool {
        let number = self.drawn.fetch_add(1, Ordering::SeqCst);
        number < self.most && !self.spared.contains(&number)
    }
}

/// A time, mostly hours, in which no poll brings news.
#[derive(Clone, Debug)]
pub struct Stall {
    pub by: StalledBy,
    pub from: Duration,
    pub until: Duration,
}

/// Why no poll brings news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StalledBy {
    /// Lambda has no concurrency left for the function.
    Lambda,
    /// The service refuses the polls: a permission is missing, or it does not know the job.
    Refusal,
}

/// A time in which every call to S3, or every call to the service, fails.
#[derive(Clone, Debug)]
pub struct Outage {
    /// Whether S3 fails; otherwise the service does.
    pub of_s3: bool,
    /// How each call fails: with a server error, or without a connection.
    pub fault: Fault,
    pub from: Duration,
    pub until: Duration,
}

impl Weather {
    pub fn calm() -> Self {
        Self {
            faults: Vec::new(),
            mishaps: Vec::new(),
            rate: 0.0,
            mishap_rate: 0.0,
            budget: 0,
            spared: BTreeSet::new(),
            until: Duration::ZERO,
            latency: Duration::from_millis(40),
            skew: Duration::ZERO,
            outage: None,
            stall: None,
        }
    }

    /// The weather of a seed with a stall of its polls, drawn with dice of its own. In some seeds nothing else happens.
    pub fn stalled(self, dice: &Dice) -> Self {
        let weather = if dice.chance(0.3) { Self::calm() } else { self };
        let from = dice.between(Duration::ZERO, Duration::from_secs(*dice.pick(&[5, 60, 600])));
        Self {
            stall: Some(Stall {
                by: *dice.pick(&[StalledBy::Lambda, StalledBy::Refusal]),
                from,
                until: from + dice.between(Duration::from_secs(60), Duration::from_secs(5 * 3600)),
            }),
            ..weather
        }
    }

    /// The weather of a seed. Functions stand still beyond their time-out only if `stale` allows it.
    pub fn of(dice: &Dice, stale: bool) -> Self {
        if dice.chance(0.06) {
            return Self::calm();
        }
        let share = *dice.pick(&[0.15, 0.3, 0.5, 1.0]);
        let mut faults: Vec<Fault> = Fault::ALL.into_iter().filter(|_| dice.chance(share)).collect();
        faults.retain(|fault| stale || !fault.is_pause());
        if stale && !faults.iter().any(|fault| fault.is_pause()) {
            faults.push(*dice.pick(&[Fault::PauseBefore, Fault::PauseAfter]));
        }
        let share = *dice.pick(&[0.0, 0.3, 1.0]);
        let mishaps: Vec<Mishap> = Mishap::ALL.into_iter().filter(|_| dice.chance(share)).collect();
        let outage = dice.chance(0.08).then(|| {
            let from = dice.between(Duration::ZERO, Duration::from_secs(*dice.pick(&[0, 300])));
            let of_s3 = dice.chance(0.5);
            let fault = match of_s3 {
                true => Fault::Failed,
                false => *dice.pick(&[Fault::Failed, Fault::NeverLeft]),
            };
            // Long enough for a job to be given up because its service cannot be reached.
            let longest = if fault == Fault::NeverLeft { 1800 } else { 600 };
            Outage {
                of_s3,
                fault,
                from,
                until: from + dice.between(Duration::from_secs(1), Duration::from_secs(longest)),
            }
        });
        Self {
            faults,
            mishaps,
            rate: *dice.pick(&[0.02, 0.05, 0.1, 0.25, 0.5]),
            mishap_rate: *dice.pick(&[0.05, 0.15, 0.4]),
            budget: *dice.pick(&[1, 2, 3, 5, 10, 40]),
            spared: BTreeSet::new(),
            until: dice.between(Duration::from_secs(60), Duration::from_secs(3600)),
            latency: Duration::from_millis(*dice.pick(&[5, 40, 400, 3000])),
            skew: Duration::from_millis(*dice.pick(&[0, 0, 200, 2400])),
            outage,
            stall: None,
        }
    }

    /// Draws the fault of the next call, with the dice of its invocation.
    pub fn fault(&self, dice: &Dice, boundary: Boundary, now: Duration) -> Option<Fault> {
        if now > self.until || !dice.chance(self.rate) {
            return None;
        }
        let fitting: Vec<Fault> = self
            .faults
            .iter()
            .copied()
            .filter(|fault| fault.fits(boundary))
            .collect();
        (!fitting.is_empty()).then(|| *dice.pick(&fitting))
    }

    /// Draws the mishap of the next invocation.
    pub fn mishap(&self, dice: &Dice, now: Duration) -> Option<Mishap> {
        let happens = now <= self.until && !self.mishaps.is_empty() && dice.chance(self.mishap_rate);
        happens.then(|| *dice.pick(&self.mishaps))
    }

    /// How a call fails in an outage, if there is one now.
    pub fn outage(&self, boundary: Boundary, now: Duration) -> Option<Fault> {
        let of_s3 = matches!(boundary, Boundary::Read | Boundary::Write);
        let outage = self.outage.as_ref()?;
        (outage.of_s3 == of_s3 && (outage.from..=outage.until).contains(&now)).then_some(outage.fault)
    }

    /// Why a poll function brings no news at this time, if it does not.
    pub fn stalled_by(&self, function: &str, now: Duration) -> Option<StalledBy> {
        let stall = self.stall.as_ref().filter(|_| function.ends_with("-poll"))?;
        (stall.from..=stall.until).contains(&now).then_some(stall.by)
    }
}
