//! Escapes that name half of a surrogate pair without the other half. JSON's grammar allows them, but they are not
//! characters.

use serde::{Deserialize, Serialize};

use crate::remark::Remark;

/// How many such escapes there are, and the line of the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Halves {
    pub(super) count: u64,
    /// The line of the first.
    pub(super) line: u64,
}

impl Halves {
    pub(super) fn remark(self) -> Remark {
        let Self { count, line } = self;
        let what = format!(
            "has {count} escape{} that name{} half of a surrogate pair alone, which is no character and which many \
             readers refuse",
            if count == 1 { "" } else { "s" },
            if count == 1 { "s" } else { "" },
        );
        Remark::new(what).on_line(line)
    }
}

/// What part of a surrogate pair a `\u` escape names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    None,
    First,
    Second,
}

/// What the digits of an escape name.
pub(super) fn half(digits: &[u8]) -> Half {
    match digits {
        [b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..] => Half::First,
        [b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', ..] => Half::Second,
        _ => Half::None,
    }
}

/// How many escapes in a line name half of a surrogate pair alone. The line must be JSON.
pub(super) fn count(mut line: &[u8]) -> u64 {
    let mut alone = 0;
    // Whether the first half of a pair comes right before.
    let mut begun = false;
    while let Some(at) = memchr::memchr(b'\\', line) {
        // In a pair, the two escapes follow each other directly.
        alone += u64::from(begun && at > 0);
        begun &= at == 0;
        let escape = &line[at + 1..];
        let (half, length) = match escape.first() {
            Some(b'u') => (half(&escape[1..]), 5),
            _ => (Half::None, 1),
        };
        match half {
            Half::Second => alone += u64::from(!begun),
            Half::None | Half::First => alone += u64::from(begun),
        }
        begun = half == Half::First;
        line = escape.get(length..).unwrap_or_default();
    }
    alone + u64::from(begun)
}
