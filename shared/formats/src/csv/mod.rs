//! CSV as RFC 4180 has it, and as it comes in real life.
//!
//! What must stay true:
//! * The first record is the header, and every other record has as many fields.
//! * A quote that is never closed is a defect, because a file that was cut off in the middle of a value looks like
//!   that. So is anything but a delimiter or a line break behind a quote that closes a value.
//! * Quotes within quotes are doubled (RFC 4180) or escaped by a backslash (Spark, Hive, Glue). If a text can be read
//!   in both ways, and they give different counts, it is refused.
//! * A record that repeats the header byte by byte is a defect, unless all names are empty: files were glued
//!   together.
//! * A text of one column whose fields another character delimits is a defect or a remark: see `delimiters`.
//!
//! These are fine: line breaks in quotes, CRLF, LF or CR, a byte order mark, blank lines, a quote within a value that
//! does not begin with one, and a last record without a line break.
//!
//! A file that was cut off right behind a record, or within the unquoted last value of one, cannot be told from a
//! whole one. Only a count that is reported elsewhere finds the first; nothing finds the second.
//!
//! One reading goes over the text until a backslash stands before a quote within quotes; from there on there are two
//! (see `readings`). A scan takes 64 bytes at a time as bit masks. If anything in a block is unusual or wrong, it
//! leaves the block to an automaton (see `walk`), so that only the automaton says what is wrong.
//!
//! Memory: the header, at most 128 KiB, once for each reading. Records are never held.

mod automaton;
mod delimiters;
mod ends;
mod readings;
mod records;
mod scan;
#[cfg(test)]
mod tests;
mod walk;

pub(crate) use self::ends::frame;
pub use self::readings::CsvDecoder;
