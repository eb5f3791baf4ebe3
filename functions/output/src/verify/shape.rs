//! The shape of an object's columns: enough to tell whether two objects have the same columns, without any name.
//!
//! What must stay true: the shapes of two objects are equal only if both have the same number of columns, with the same
//! names in the same order, as far as decoders keep names. Invocations store shapes, so the hashes must be the same in
//! each process and each version.

use std::collections::HashMap;

use landfall_formats::MAX_COLUMN_NAME;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnShape {
    /// How many columns there are.
    pub(super) columns: u64,
    /// Hash of the names in the order of the columns.
    pub(super) ordered: u64,
    /// Hash of the names in sorted order.
    pub(super) sorted: u64,
    /// The positions, from 1, of the first two columns with the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) twice: Option<(u64, u64)>,
}

impl ColumnShape {
    /// Whether two objects have the same number of columns, with the same names in the same order.
    pub(super) const fn agrees(&self, other: &Self) -> bool {
        self.columns == other.columns && self.ordered == other.ordered
    }

    /// The shape of columns with these names. `columns` also counts columns without a name.
    pub(super) fn new(names: &[String], columns: u64) -> Self {
        let mut sorted: Vec<&String> = names.iter().collect();
        sorted.sort_unstable();
        Self {
            columns,
            ordered: hash(names.iter()),
            sorted: hash(sorted.into_iter()),
            twice: twice(names),
        }
    }
}

fn hash<'a>(names: impl Iterator<Item = &'a String>) -> u64 {
    let mut hash = Sha256::new();
    for name in names {
        hash.update((name.len() as u64).to_le_bytes());
        hash.update(name);
    }
    let bytes: [u8; 32] = hash.finalize().into();
    bytes[..8].iter().fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
}

/// The first two columns with the same name. Names that the decoder cut or did not keep are ignored, because they may
/// differ in fact.
fn twice(names: &[String]) -> Option<(u64, u64)> {
    let mut seen = HashMap::new();
    for (place, name) in (1..).zip(names) {
        let is_whole = !name.is_empty() && name.chars().count() < MAX_COLUMN_NAME && !name.contains('\u{fffd}');
        if is_whole && let Some(first) = seen.insert(name, place) {
            return Some((first, place));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(names: &[&str]) -> ColumnShape {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        ColumnShape::new(&names, names.len() as u64)
    }

    #[test]
    fn the_shape_of_columns_tells_number_names_and_order_apart() {
        let shape = of(&["id", "name"]);
        assert_eq!(of(&["id", "name"]), shape);
        let swapped = of(&["name", "id"]);
        assert_eq!((swapped.columns, swapped.sorted), (2, shape.sorted));
        assert_ne!(swapped.ordered, shape.ordered);
        for other in [&["id", "Name"][..], &["idname", ""], &["idn", "ame"], &["id"]] {
            assert_ne!(of(other).sorted, shape.sorted, "{other:?}");
        }
        // A shape that another invocation or version has written.
        let kept = serde_json::to_string(&shape).unwrap();
        assert_eq!(serde_json::from_str::<ColumnShape>(&kept).unwrap(), shape);
        assert_eq!((shape.ordered, shape.sorted), (ORDERED, ORDERED));
    }

    /// The first 8 bytes of the SHA-256 of `id` and `name`, each preceded by its length in 8 bytes.
    const ORDERED: u64 = 0x1f95_5fba_fc61_a7ce;

    #[test]
    fn a_repeated_column_name_is_found() {
        assert_eq!(of(&["a", "b", "c", "b", "a"]).twice, Some((2, 4)));
        let long = "x".repeat(MAX_COLUMN_NAME);
        for certain_of_none in [&["a", "A"][..], &["", ""], &[&long, &long], &["\u{fffd}", "\u{fffd}"]] {
            assert_eq!(of(certain_of_none).twice, None);
        }
    }
}
