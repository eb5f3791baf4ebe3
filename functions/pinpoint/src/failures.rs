//! Decides what may be shown of the failures that a job names.
//!
//! What must stay true: Pinpoint documents that `Failures` holds the entries that failed, which contain addresses,
//! names and attributes of people. A text that begins like an entry is not shown at all. Of any other text only words
//! of [`VOCABULARY`] and numbers of lines are kept; everything else becomes `…`.

/// How many failures are kept.
const KEPT: usize = 10;
/// The longest failure that is kept, in characters.
const LONGEST: usize = 200;

/// Technical words that say what is wrong, and names of an endpoint's members. No word is a value of a person.
#[rustfmt::skip]
const VOCABULARY: &[&str] = &[
    "a", "address", "addresses", "allowed", "already", "an", "and", "application", "are", "at", "attribute", "attributes",
    "bad", "be", "bucket", "by", "cannot", "channel", "channeltype", "character", "characters", "city", "cohortid", "column",
    "columns", "contains", "could", "country", "creationdate", "csv", "data", "date", "definition", "demographic",
    "denied", "does", "duplicate", "effectivedate", "empty", "encoding", "endpoint", "endpoints", "endpointstatus",
    "entry", "error", "exceeded", "exceeds", "exist", "expected", "export", "failed", "failure", "field", "fields", "file",
    "for", "format", "found", "from", "had", "has", "header", "id", "import", "in", "input", "internal", "invalid", "is",
    "json", "key", "latitude", "length", "less", "limit", "line", "locale", "location", "long", "longer", "longitude",
    "make", "malformed", "map", "match", "maximum", "member", "metric", "metrics", "missing", "model", "modelversion",
    "more", "must", "name", "no", "not", "null", "number", "object", "of", "optout", "or", "parse", "parsing", "piece",
    "platform", "platformversion", "postalcode", "process", "processed", "read", "record", "region", "required", "row",
    "s3", "segment", "server", "size", "string", "support", "supported", "syntax", "than", "the", "timezone", "to", "too",
    "type", "unable", "unexpected", "unknown", "unsupported", "user", "userattributes", "userid", "users", "valid",
    "validation", "value", "values", "was", "while", "with", "write",
];

/// A number after one of these words is a position, not a value.
const BEFORE_NUMBERS: &[&str] = &["column", "entry", "line", "number", "piece", "record", "row"];

/// What is kept of all failures.
pub(crate) fn kept(failures: &[String]) -> Vec<String> {
    failures.iter().take(KEPT).map(|failure| safe(failure)).collect()
}

/// What is kept of one failure.
fn safe(failure: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in failure.split_whitespace() {
        let core = word.trim_matches(|c: char| matches!(c, '.' | ',' | ':' | ';' | '(' | ')' | '[' | ']' | '"' | '\''));
        let is_place = (1..=7).contains(&core.len())
            && core.bytes().all(|c| c.is_ascii_digit())
            && words
                .last()
                .is_some_and(|before| BEFORE_NUMBERS.contains(&before.to_ascii_lowercase().as_str()));
        let is_known = |part: &str| VOCABULARY.binary_search(&part.to_ascii_lowercase().as_str()).is_ok();
        if is_place || core.split('.').all(is_known) {
            words.push(core);
        } else if words.last() != Some(&"…") {
            words.push("…");
        }
    }
    // The service's sentences begin with a known word; an entry does not.
    if words.first().is_none_or(|word| *word == "…") {
        return "an entry, which is not shown".to_owned();
    }
    words.join(" ").chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vocabulary_is_sorted() {
        assert!(VOCABULARY.is_sorted(), "{VOCABULARY:?}");
        assert!(BEFORE_NUMBERS.iter().all(|word| VOCABULARY.contains(word)));
    }

    #[test]
    fn failures_are_logged_without_names_and_addresses() {
        for (failure, kept) in [
            (
                "Invalid value for Address: anna.miller@example.com at line 12",
                "Invalid value for Address … at line 12",
            ),
            (
                "Missing required field ChannelType (row 7)",
                "Missing required field ChannelType row 7",
            ),
            ("Location.Country is too long", "Location.Country is too long"),
            (
                "{\"Address\":\"+15550100\",\"User\":{\"UserId\":\"anna\"}}",
                "an entry, which is not shown",
            ),
            ("+1 555 0100", "an entry, which is not shown"),
            ("number 15550100999", "number …"),
            ("anna and line 7 of the file", "an entry, which is not shown"),
            ("", "an entry, which is not shown"),
        ] {
            assert_eq!(safe(failure), kept);
        }
        assert_eq!(kept(&vec!["x".to_owned(); 100]).len(), KEPT);
        assert_eq!(safe(&"invalid ".repeat(100)).chars().count(), LONGEST);
    }

    proptest! {
        #[test]
        fn only_known_words_and_short_numbers_pass(text in "([a-zA-Z]{1,9}|[0-9]{1,9}|\\PC{1,6}|line|[a-z]{2,5}@example.com| ){0,12}") {
            for word in safe(&text).split(' ') {
                let known = word.split('.').all(|part| VOCABULARY.contains(&part.to_ascii_lowercase().as_str()));
                let place = word.len() <= 7 && word.bytes().all(|c| c.is_ascii_digit());
                prop_assert!(known || place || word == "…" || "an entry, which is not shown".contains(word), "{word}");
            }
        }
    }
}
