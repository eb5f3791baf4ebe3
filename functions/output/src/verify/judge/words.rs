//! The words of reasons.
//!
//! What must stay true: each text is limited in length and printable, whatever keys and names an output has.

use std::fmt;

use chrono::{DateTime, Utc};

use crate::verify::{
    report::{Finding, Reading},
    settle::{Changes, Keys},
};

/// How many objects a reason names.
pub(super) const NAMED: usize = 5;
/// The longest key in a reason, in characters.
pub(super) const KEY_LENGTH: usize = 200;
/// The longest reason, in characters.
pub(super) const REASON_LENGTH: usize = 2_000;

/// A number of things, and the first few in words.
#[derive(Clone, Debug, Default)]
pub(super) struct Examples {
    pub(super) count: u64,
    first: Vec<String>,
}

impl Examples {
    /// Adds one. `words` is called only if there is room for it.
    pub(super) fn add(&mut self, words: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(cut(&words(), REASON_LENGTH));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds `count` more, beginning with `first`.
    pub(super) fn append(&mut self, count: u64, first: impl IntoIterator<Item = String>) {
        self.count += count;
        let room = NAMED.saturating_sub(self.first.len());
        self.first.extend(first.into_iter().take(room));
    }

    pub(super) fn first(&self) -> impl Iterator<Item = String> {
        self.first.iter().cloned()
    }
}

impl fmt::Display for Examples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // If an example contains a comma, a comma between examples would be misread.
        let between = if self.first.iter().any(|words| words.contains(", ")) {
            "; "
        } else {
            ", "
        };
        f.write_str(&self.first.join(between))?;
        match self.count.saturating_sub(self.first.len() as u64) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl FromIterator<String> for Examples {
    fn from_iter<I: IntoIterator<Item = String>>(items: I) -> Self {
        let mut examples = Self::default();
        for item in items {
            examples.add(|| item);
        }
        examples
    }
}

pub(super) fn objects(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The verb that goes with a count.
pub(super) fn verb(count: u64, one: &'static str, many: &'static str) -> &'static str {
    if count == 1 { one } else { many }
}

pub(super) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(super) fn key(reading: &Reading) -> String {
    shown(&reading.object.key)
}

pub(super) fn extra(reading: &Reading) -> String {
    let size = objects(reading.object.size, "byte");
    match &reading.finding {
        Finding::Extra(Some(content)) => {
            format!("{} ({size}, looks like {content})", key(reading))
        }
        _ => format!("{} ({size})", key(reading)),
    }
}

/// A key in printable form.
pub(super) fn shown(key: &str) -> String {
    cut(&key.escape_debug().to_string(), KEY_LENGTH)
}

/// A text in which control characters are escaped. Everything else stays as it is.
pub(super) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            printable.extend(c.escape_debug());
        } else {
            printable.push(c);
        }
    }
    printable
}

pub(super) fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(length - 1).collect();
    cut.push('…');
    cut
}

/// The first keys, as examples.
pub(super) fn kept(keys: &Keys) -> Examples {
    Examples {
        count: keys.count,
        first: keys.first.iter().take(NAMED).map(|key| shown(key)).collect(),
    }
}

pub(super) fn changed(changes: &Changes) -> String {
    [
        ("added", &changes.added),
        ("replaced", &changes.replaced),
        ("removed", &changes.removed),
    ]
    .into_iter()
    .filter(|(_, keys)| !keys.is_empty())
    .map(|(what, keys)| format!("{what} {}", kept(keys)))
    .collect::<Vec<_>>()
    .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_made_printable() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(shown("a\nb"), "a\\nb");
        assert_eq!(printable("ä \"b\\\n\u{7f}"), "ä \"b\\\\n\\u{7f}");
        let items = |count: usize| (0..count).map(|n| n.to_string()).collect::<Examples>().to_string();
        assert_eq!(items(0), "");
        assert_eq!(items(2), "0, 1");
        assert_eq!(items(7), "0, 1, 2, 3, 4 and 2 more");
        let places: Examples = ["a: line 1, byte 2", "b"].map(str::to_owned).into_iter().collect();
        assert_eq!(places.to_string(), "a: line 1, byte 2; b");
    }

    #[test]
    fn only_a_few_short_examples_are_kept() {
        let mut examples = Examples::default();
        for _ in 0..10_000 {
            examples.add(|| "ß".repeat(10_000));
        }
        assert_eq!((examples.count, examples.first.len()), (10_000, NAMED));
        assert!(examples.first.iter().all(|text| text.chars().count() == REASON_LENGTH));
    }
}
