//! Whether the listing of an output has stopped changing.
//!
//! What must stay true: two listings are equal only if they have the same keys with the same sizes and ETags. AWS does
//! not say that all files are visible when a job is done, so files that come late are read, and everything is listed
//! again. An object that was replaced or removed while it was read is never harmless. Only a limited number of changed
//! keys is kept.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// How many keys are kept of each kind of change. Further keys are only counted.
pub const KEPT: usize = 20;

/// A number of keys, and the first of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    pub count: u64,
    /// The first ones in key order, at most [`KEPT`].
    pub first: BTreeSet<String>,
}

impl Keys {
    pub fn add(&mut self, key: &str) {
        self.count += 1;
        self.keep(key);
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn keep(&mut self, key: &str) {
        self.first.insert(key.to_owned());
        if self.first.len() > KEPT {
            self.first.pop_last();
        }
    }

    /// Adds the keys of `other`.
    pub fn append(&mut self, other: &Self) {
        self.count += other.count;
        for key in &other.first {
            self.keep(key);
        }
    }
}

/// What differs between two listings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Keys that are only in the later listing.
    pub added: Keys,
    /// Keys in both listings, with another size or ETag.
    pub replaced: Keys,
    /// Keys that are only in the earlier listing.
    pub removed: Keys,
}

impl Changes {
    /// Whether the listings are equal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.replaced.is_empty() && self.removed.is_empty()
    }

    /// Adds the changes of `other`.
    pub fn add(&mut self, other: &Self) {
        self.added.append(&other.added);
        self.replaced.append(&other.replaced);
        self.removed.append(&other.removed);
    }
}

/// Whether and how the listing stopped changing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stability {
    /// How many listings were taken.
    pub listings: u32,
    /// Whether the last two listings were equal, and all that they list was read.
    pub settled: bool,
    /// Changes between the last two listings.
    pub last: Changes,
    /// Changes between earlier listings.
    pub earlier: Changes,
    /// Data objects that were replaced or removed while they were read.
    pub disturbed: Keys,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_few_changed_keys_are_kept() {
        let mut changes = Changes::default();
        assert!(changes.is_empty());
        for number in (0..1_000).rev() {
            changes.removed.add(&format!("{number:04}"));
        }
        let mut all = Changes::default();
        all.add(&changes);
        all.add(&changes);
        assert!(!all.is_empty());
        assert_eq!((all.removed.count, all.removed.first.len()), (2_000, KEPT));
        assert_eq!(all.removed.first.first().map(String::as_str), Some("0000"));
    }
}
