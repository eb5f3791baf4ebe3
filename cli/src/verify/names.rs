//! Names of objects: which of them are not data, and how they are shown.
//!
//! What must stay true: no name that is shown can move the cursor of a terminal or turn the direction of a line.

use landfall_output::verify::classify::{self, Plan};

/// Whether a part of a key beneath a prefix begins with `_` or `.`. Such a key is not data, by the verification's own
/// rule.
pub(super) fn is_hidden(beneath: &str) -> bool {
    classify::plan("", beneath, 0, None, None) == Plan::Ignore
}

/// A key that is safe to show: without control characters and characters that turn the direction of text.
pub fn escaped(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for c in key.chars() {
        match c {
            '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                text.extend(c.escape_unicode());
            }
            c if c.is_control() => text.extend(c.escape_unicode()),
            c => text.push(c),
        }
    }
    text
}

/// A text that is safe to show, as [`escaped`], with its line breaks.
pub fn printable(text: &str) -> String {
    text.lines().map(escaped).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_names_begin_with_an_underscore_or_a_dot() {
        for (key, hidden) in [
            ("_a", true),
            ("a/.b", true),
            ("_a/b", true),
            ("a_b/c", false),
            ("a/", false),
        ] {
            assert_eq!(is_hidden(key), hidden, "{key}");
        }
    }

    #[test]
    fn keys_are_printed_without_control_characters() {
        assert_eq!(escaped("é a'\\.csv"), "é a'\\.csv");
        assert_eq!(escaped("a\u{1b}[31m\n\u{202e}b"), "a\\u{1b}[31m\\u{a}\\u{202e}b");
    }
}
