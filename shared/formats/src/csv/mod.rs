//! CSV as RFC 4180 has it, and as it comes in real life.
//!
//! What must stay true:
//! * The first record is the header, and every other has as many fields. A quote that is never closed is a defect, since
//!   otherwise a file cut off in the middle of a value would pass; so is anything but a delimiter or a line break behind
//!   a quote that closes a value. Quoted line breaks, CRLF, LF or CR, a byte order mark, blank lines, a quote within a
//!   value that does not begin with one, and a last record without a line break are fine.
//! * Quotes within quotes are doubled, or escaped by a backslash, as Spark, Hive and Glue write them. No count is given
//!   that one of these two readings denies while it holds.
//! * A record that repeats the header byte by byte is a defect, unless all names are empty: files were glued together.
//! * A text of one column that other characters delimit is a defect or a remark: see `delimiters`.
//!
//! A file that was cut off exactly behind a record, or within the unquoted last value of one, cannot be told from a whole
//! one: only a count reported elsewhere finds the first, and nothing the second.
//!
//! One reading goes over the text until a backslash stands before a quote within quotes: see `readings`. Its records are
//! read by one automaton, but most bytes never reach it: `scan` takes 64 bytes at a time as bit masks, and leaves any
//! block in which something is unusual or wrong to the automaton, so that only the automaton says what is wrong.
//!
//! Memory: the header, at most 128 KiB, once for each reading; records are never held.

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
