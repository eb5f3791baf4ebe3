//! Draws that follow from the seed.
//!
//! What must stay true: who draws has dice of its own, made of the seed and its name, so that one's draws do not shift
//! another's.

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Dice of one drawer.
#[derive(Debug)]
pub struct Dice(Mutex<fastrand::Rng>);

impl Dice {
    /// The dice that go by a name.
    pub fn of(seed: u64, name: &str, numbers: &[u64]) -> Self {
        let mut state = mix(seed);
        for byte in name.bytes() {
            state = mix(state ^ u64::from(byte));
        }
        for number in numbers {
            state = mix(state.rotate_left(17) ^ number);
        }
        Self(Mutex::new(fastrand::Rng::with_seed(state)))
    }

    /// Whether what has this probability happens.
    pub fn chance(&self, probability: f64) -> bool {
        self.rng().f64() < probability
    }

    /// One of a range.
    pub fn number(&self, range: Range<u64>) -> u64 {
        self.rng().u64(range)
    }

    /// One of a few.
    pub fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.rng().usize(0..of.len())]
    }

    /// From 0 to 1.
    pub fn share(&self) -> f64 {
        self.rng().f64()
    }

    /// A time between two.
    pub fn between(&self, least: Duration, most: Duration) -> Duration {
        least + (most - least).mul_f64(self.share())
    }

    /// Mostly short, at times long: a time of up to about `most`.
    pub fn latency(&self, most: Duration) -> Duration {
        let share = self.share();
        most.mul_f64(share * share * share * share)
    }

    fn rng(&self) -> MutexGuard<'_, fastrand::Rng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The finalizer of SplitMix64.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dice_depend_on_seed_name_and_numbers() {
        let draws = |seed, name, numbers: &[u64]| {
            let dice = Dice::of(seed, name, numbers);
            [(); 4].map(|()| dice.number(0..1_000_000))
        };
        assert_eq!(draws(1, "a", &[2, 3]), draws(1, "a", &[2, 3]));
        let all = [
            draws(1, "a", &[2, 3]),
            draws(2, "a", &[2, 3]),
            draws(1, "b", &[2, 3]),
            draws(1, "a", &[3, 2]),
            draws(1, "a", &[2]),
        ];
        for (i, one) in all.iter().enumerate() {
            assert!(!all[..i].contains(one));
        }
    }
}
