//! CSV, by RFC 4180 and as it is written in practice.
//!
//! What must stay true:
//! * The first record is the header, and each other record has as many fields.
//! * A quote that is never closed is a defect, because a file that was cut off in the middle of a value looks like
//!   that. Anything but a delimiter or a line break after a quote that closes a value is a defect too.
//! * Quotes within quotes are doubled (RFC 4180) or escaped by a backslash (Spark, Hive, Glue). If a text can be read
//!   in both ways and the counts differ, it is refused.
//! * A record that repeats the header byte by byte is a defect, unless all names are empty, because it shows that files
//!   were put together.
//! * If another character delimits the fields of a text with one column, that is a defect or a remark: see
//!   `delimiters`.
//!
//! These are right: line breaks in quotes; CRLF, LF or CR; a byte order mark; blank lines; a quote within a value that
//! does not begin with one; and a last record without a line break.
//!
//! A file that was cut off right after a record, or within an unquoted value at the end of one, cannot be told from a
//! complete one. Only a count from elsewhere shows the first; nothing shows the second.
//!
//! One reading goes over the text until a backslash precedes a quote within quotes; from there on there are two (see
//! `readings`). A scan takes 64 bytes at a time as bit masks. If anything in a block is unusual or wrong, an automaton
//! reads the block (see `walk`), so that only the automaton says what is wrong.
//!
//! Memory: the header, at most 128 KiB, once for each reading. Other records are never held.

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
