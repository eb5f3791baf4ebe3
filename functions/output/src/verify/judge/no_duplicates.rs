//! `no_duplicates`: whether two data objects hold the same bytes.
//!
//! What must stay true: memory is limited to the keys of the first [`MAX_KEYS`] data objects with rows, at most some 10
//! MiB, and 8 bytes of the SHA-256 of the first [`MAX_COMPARED`] of them, which take 18 MiB. If objects were not
//! compared, the reason says so.
//!
//! Two objects count as equal if their SHA-256 begin with the same 8 bytes. Of a million different objects, two do so
//! with a probability of 3 in 100 million, and the check only warns.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use super::{
    judgement::{Judgement, pass, skipped, warn},
    words::{Examples, key, objects, verb},
};
use crate::verify::report::Reading;

/// Of how many data objects the keys are kept.
const MAX_KEYS: usize = 10_000;
/// How many data objects are compared with each other.
const MAX_COMPARED: usize = 1_000_000;
/// How many hex digits of a SHA-256 a reason shows, enough to find it in a list.
const SHOWN: usize = 16;

/// The contents of the data objects, as far as they are known.
#[derive(Clone, Default)]
pub(super) struct Duplicates {
    /// Keys, by the first 8 bytes of SHA-256.
    keys: HashMap<u64, String>,
    /// The first 8 bytes of SHA-256 of further objects.
    further: HashSet<u64>,
    compared: u64,
    left_out: u64,
    /// Data objects that hold the bytes of an earlier one.
    found: Examples,
}

impl fmt::Debug for Duplicates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duplicates")
            .field("compared", &self.compared)
            .field("left_out", &self.left_out)
            .field("found", &self.found)
            .finish_non_exhaustive()
    }
}

impl Duplicates {
    /// Adds a data object. Objects without rows do not matter, because no row counts twice.
    pub(super) fn add(&mut self, reading: &Reading) {
        let (Some(1..), Some(sha256)) = (reading.object.rows, &reading.object.sha256) else {
            return;
        };
        let Some(print) = sha256.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()) else {
            return;
        };
        if let Some(first) = self.keys.get(&print) {
            self.found.add(|| format!("{first} and {}", key(reading)));
        } else if self.further.contains(&print) {
            let digits = sha256.get(..SHOWN).unwrap_or_default();
            self.found
                .add(|| format!("{} and another one of SHA-256 {digits}…", key(reading)));
        } else if self.keys.len() < MAX_KEYS {
            self.keys.insert(print, key(reading));
        } else if self.keys.len() + self.further.len() < MAX_COMPARED {
            self.further.insert(print);
        } else {
            self.left_out += 1;
            return;
        }
        self.compared += 1;
    }

    /// `not_read` says why the objects were not read, if they were not.
    pub(super) fn judge(&self, not_read: Option<String>) -> Judgement {
        let limit = match self.left_out {
            0 => String::new(),
            more => format!("; {more} more were not compared, since at most {MAX_COMPARED} are"),
        };
        if !self.found.is_empty() {
            return warn(format!(
                "{} {} the same bytes as another one, so the same rows count more than once: {}. Find out whether a part \
                 was written or copied twice{limit}",
                objects(self.found.count, "data object"),
                verb(self.found.count, "has", "have"),
                self.found
            ));
        }
        match self.compared {
            0 => skipped(not_read.unwrap_or_else(|| "there is no data object with rows".to_owned())),
            1 => pass("there is 1 data object with rows"),
            compared => pass(format!("no two of {compared} data objects hold the same bytes{limit}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::{
        CheckVerdict,
        judge::tests::{reading, whole},
    };

    fn of(name: &str, print: u64, rows: u64) -> Reading {
        let mut reading = reading(name, 9, whole(rows));
        reading.object.sha256 = Some(format!("{print:016x}{}", "0".repeat(48)));
        reading
    }

    #[test]
    fn objects_with_the_same_bytes_are_named() {
        let mut duplicates = Duplicates::default();
        assert_eq!(duplicates.judge(None).0, CheckVerdict::Skipped);
        for (name, print, rows) in [("a", 1, 3), ("b", 2, 3), ("c", 1, 3), ("d", 3, 0), ("e", 3, 0)] {
            duplicates.add(&of(name, print, rows));
        }
        let (verdict, reason) = duplicates.judge(None);
        assert_eq!(verdict, CheckVerdict::Warn);
        assert!(reason.starts_with("1 data object has the same bytes"), "{reason}");
        assert!(reason.contains(": run=1/a and run=1/c."), "{reason}");
        assert_eq!(duplicates.compared, 3);
    }

    /// With more objects than are compared, the memory is bounded, and the reason says how many were left out.
    #[test]
    fn the_memory_for_a_million_objects_is_bounded() {
        let mut duplicates = Duplicates::default();
        let mut reading = of("a", 0, 1);
        for print in 0..MAX_COMPARED as u64 + 7 {
            reading.object.sha256 = Some(format!("{print:016x}"));
            duplicates.add(&reading);
        }
        assert_eq!(
            (duplicates.keys.len(), duplicates.further.len()),
            (MAX_KEYS, MAX_COMPARED - MAX_KEYS)
        );
        // A table with 8 bytes and one more for each place.
        assert!(duplicates.further.capacity().next_power_of_two() * 9 < 19 << 20);
        let (verdict, reason) = duplicates.judge(None);
        assert_eq!(verdict, CheckVerdict::Pass);
        assert!(reason.contains("; 7 more were not compared"), "{reason}");
        // For objects beyond the kept keys, the list of objects shows the first copy.
        duplicates.add(&of("b", 999_999, 1));
        let (verdict, reason) = duplicates.judge(None);
        assert_eq!(verdict, CheckVerdict::Warn);
        assert!(
            reason.contains("run=1/b and another one of SHA-256 00000000000f423f…"),
            "{reason}"
        );
    }
}
