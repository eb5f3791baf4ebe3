//! The automaton that says where fields and records end.
//!
//! What must stay true: it is strict about what stands behind a quote that closes a value. A quote that does not
//! stand at the begin of a value is a part of the value. Both hold in both ways to write quotes within quotes.

use serde::{Deserialize, Serialize};

/// How a quote within quotes is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Quotes {
    /// As two quotes: RFC 4180.
    Doubled,
    /// As a backslash and a quote. A backslash within quotes escapes whatever comes next.
    Escaped,
}

/// Where in a record the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Place {
    /// Before a record: line breaks are blank lines.
    #[default]
    Fresh,
    /// At the begin of a field that is not the first.
    Field,
    /// In a value without quotes, where quotes mean nothing.
    Plain,
    /// In a value in quotes.
    Quoted,
    /// In a value in quotes, behind a backslash that is not escaped itself.
    Backslash,
    /// Behind a quote that closes the value, unless it is one of two.
    Closed,
}

/// What a byte ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Nothing,
    Field,
    Record,
    /// The text is no CSV: this byte stands behind a quote that closes a value, and cannot.
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
