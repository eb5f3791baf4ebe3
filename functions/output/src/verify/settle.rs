//! Whether a listing stands still.
//!
//! What must stay true: two listings are equal only if they have the same keys with the same sizes and ETags. AWS does
//! not say that all files are visible once a job is done, so files that come late are read and listed again; an object
//! that was replaced or removed while it was read is never harmless.

use std::collections::{BTreeMap, BTreeSet};

use landfall::store::Listed;
use serde::{Deserialize, Serialize};

/// What differs between two listings: keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// Only in the later one.
    pub added: BTreeSet<String>,
    /// In both, with another size or ETag.
    pub replaced: BTreeSet<String>,
    /// Only in the earlier one.
    pub removed: BTreeSet<String>,
}

impl Changes {
    /// Whether the listings are equal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.replaced.is_empty() && self.removed.is_empty()
    }

    /// Takes up further changes.
    pub fn add(&mut self, other: Self) {
        self.added.extend(other.added);
        self.replaced.extend(other.replaced);
        self.removed.extend(other.removed);
    }
}

/// Compares two listings.
pub fn compare<'a>(
    earlier: impl IntoIterator<Item = &'a Listed>,
    later: impl IntoIterator<Item = &'a Listed>,
) -> Changes {
    let mut before: BTreeMap<&str, &Listed> = earlier
        .into_iter()
        .map(|object| (object.key.as_str(), object))
        .collect();
    let mut changes = Changes::default();
    for object in later {
        match before.remove(object.key.as_str()) {
            None => {
                changes.added.insert(object.key.clone());
            }
            Some(old) if (old.size, &old.etag) != (object.size, &object.etag) => {
                changes.replaced.insert(object.key.clone());
            }
            Some(_) => {}
        }
    }
    changes.removed = before.into_keys().map(str::to_owned).collect();
    changes
}

/// How the listing came to a rest, or did not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settling {
    /// Listings taken.
    pub listings: u32,
    /// Whether the last two were equal and all that they list was read.
    pub settled: bool,
    /// Changes between the last two.
    pub last: Changes,
    /// Changes before those.
    pub earlier: Changes,
    /// Data objects that were replaced or removed while they were read.
    pub disturbed: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn listed(key: &str, size: u64, etag: &str) -> Listed {
        Listed {
            key: key.to_owned(),
            size,
            etag: etag.to_owned(),
            last_modified: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn keys_sizes_and_etags_count() {
        let earlier = [
            listed("a", 1, "x"),
            listed("b", 1, "x"),
            listed("c", 1, "x"),
            listed("d", 1, "x"),
        ];
        let later = [
            listed("a", 1, "x"),
            listed("b", 2, "x"),
            listed("c", 1, "y"),
            listed("e", 1, "x"),
        ];
        let changes = compare(&earlier, &later);
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(changes.added, keys(&["e"]));
        assert_eq!(changes.replaced, keys(&["b", "c"]));
        assert_eq!(changes.removed, keys(&["d"]));
        assert!(compare(&earlier, &earlier).is_empty());
        assert!(compare([], []).is_empty());
        assert!(!compare([], &later).is_empty());
    }
}
