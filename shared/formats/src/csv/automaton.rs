//! The automaton that finds the ends of fields and records.
//!
//! What must stay true: after a quote that closes a value, only a delimiter or a line break may follow. A quote that is
//! not at the beginning of a value is part of the value. Both rules hold for both ways to write quotes within quotes.

use serde::{Deserialize, Serialize};

/// How a quote within quotes is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Quotes {
    /// As two quotes (RFC 4180).
    Doubled,
    /// As a backslash and a quote. Within quotes, a backslash escapes whatever follows it.
    Escaped,
}

/// Where in a record the next byte is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    /// Before a record. Line breaks here are blank lines.
    #[default]
    Fresh,
    /// At the beginning of a field that is not the first.
    Field,
    /// In a value without quotes, where quotes have no meaning.
    Plain,
    /// In a value in quotes.
    Quoted,
    /// In a value in quotes, after a backslash that is not escaped itself.
    Backslash,
    /// After a quote that closes the value, unless another quote follows.
    Closed,
}

/// What a byte ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Nothing,
    Field,
    Record,
    /// The text is not CSV: this byte must not follow a quote that closes a value.
    Text,
}

#[inline]
pub(super) fn step(place: Place, byte: u8, delimiter: u8, quotes: Quotes) -> (Place, End) {
    match (place, byte) {
        (Place::Quoted, b'\\') => (Place::Backslash, End::Nothing),
        (Place::Backslash, b'"') if quotes == Quotes::Escaped => (Place::Quoted, End::Nothing),
        (Place::Quoted | Place::Backslash, b'"') => (Place::Closed, End::Nothing),
        (Place::Quoted | Place::Backslash, _) => (Place::Quoted, End::Nothing),
        (Place::Closed, b'"') if quotes == Quotes::Doubled => (Place::Quoted, End::Nothing),
        (Place::Fresh | Place::Field, b'"') => (Place::Quoted, End::Nothing),
        (Place::Fresh, b'\r' | b'\n') => (Place::Fresh, End::Nothing),
        (_, b'\r' | b'\n') => (Place::Fresh, End::Record),
        (_, byte) if byte == delimiter => (Place::Field, End::Field),
        (Place::Closed, _) => (Place::Plain, End::Text),
        _ => (Place::Plain, End::Nothing),
    }
}
