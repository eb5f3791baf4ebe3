//! The ways to choose the waits that are compared.

use std::time::Duration;

use landfall_polling::{Bounds, MAX_HISTORY, Ran, SoFar, next_wait};

/// A way to choose the waits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Contestant {
    /// Always the same number of seconds.
    Fixed(u32),
    /// A share of the job's age.
    Growing(f64),
    /// Landfall, with the history of the request.
    Landfall,
    /// Landfall, with a history that cannot be read.
    WithoutHistory,
}

impl Contestant {
    /// All contestants, the yardstick included.
    pub const ALL: [Self; 7] = [
        Self::Fixed(30),
        Self::Fixed(60),
        Self::Growing(1.0),
        Self::Growing(0.2),
        Self::YARDSTICK,
        Self::WithoutHistory,
        Self::Landfall,
    ];

    /// What the others are compared with.
    pub const YARDSTICK: Self = Self::Growing(0.1);

    /// The name that people read.
    #[must_use]
    pub fn title(self) -> String {
        match self {
            Self::Fixed(seconds) => format!("every {seconds} s"),
            Self::Growing(share) if share >= 1.0 => "doubling".to_owned(),
            Self::Growing(share) => format!("growing by {:.0} %", share * 100.0),
            Self::Landfall => "Landfall".to_owned(),
            Self::WithoutHistory => "Landfall, no history".to_owned(),
        }
    }

    /// Seconds to wait before the next poll of a run with this age, in seconds.
    #[must_use]
    pub fn wait(self, bounds: Bounds, look: &Look<'_>) -> u32 {
        match self {
            Self::Fixed(seconds) => seconds,
            Self::Growing(share) => {
                let (min, max) = (bounds.min.as_secs_f64(), bounds.max.as_secs_f64());
                (look.age * share).clamp(min, max).ceil() as u32
            }
            Self::Landfall | Self::WithoutHistory => {
                let newest = &look.history[look.history.len().saturating_sub(MAX_HISTORY)..];
                let so_far = SoFar {
                    elapsed: Duration::from_secs_f64(look.age),
                    remaining: Duration::from_secs_f64((look.deadline - look.age).max(0.0)),
                    is_first: look.age == 0.0,
                    progress: None,
                    quiet_polls: 0,
                    spread: look.spread,
                    history: if self == Self::Landfall { newest } else { &[] },
                };
                next_wait(bounds, so_far)
            }
        }
    }
}

/// What is known when a wait is chosen.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Age of the run, in seconds.
    pub age: f64,
    /// The age at which the run is given up, in seconds.
    pub deadline: f64,
    /// A random number from 0 to 1.
    pub spread: f64,
    /// What the polls of earlier runs showed, newest last.
    pub history: &'a [Ran],
}
