//! Random draws that depend on the seed.
//!
//! What must stay true: each drawer has its own dice, made from the seed and the drawer's name, so that its draws do
//! not change another drawer's.

use std::{
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// The dice of one drawer.
#[derive(Debug)]
pub struct Dice(Mutex<fastrand::Rng>);

impl Dice {
    /// The dice with this name and these numbers.
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

    /// Draws whether something with this probability happens.
    pub fn chance(&self, probability: f64) -> bool {
        self.rng().f64() < probability
    }

    /// Draws a number of a range.
    pub fn number(&self, range: Range<u64>) -> u64 {
        self.rng().u64(range)
    }

    /// Draws one of several values.
    pub fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.rng().usize(0..of.len())]
    }

    /// Draws a number from 0 to 1.
    pub fn share(&self) -> f64 {
        self.rng().f64()
    }

    /// Draws a time between two times.
    pub fn between(&self, least: Duration, most: Duration) -> Duration {
        least + (most - least).mul_f64(self.share())
    }

    /// Draws a time that is mostly short and sometimes long, up to about `most`.
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
