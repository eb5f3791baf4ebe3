//! JSON lines: one JSON object on each line.
//!
//! What must stay true: each line is parsed to its end and is one object, nothing more. Blank lines are allowed only at
//! the end. A last line without a line break must be complete. A file that was cut off exactly after a line cannot be
//! told from a complete one.
//!
//! The decoder (`decoder`) checks that the bytes are text. They are cut into lines (`lines`). Complete lines go through
//! a filter (`filter`), which takes 64 bytes at a time and accepts only lines that serde_json certainly accepts. Any
//! other line is parsed by serde_json (`parse`), and only serde_json decides what is JSON. So a line is strict JSON
//! (RFC 8259), and values may nest as deep as a line allows.
//!
//! RFC 8259 allows a `\u` escape in a value to name half of a surrogate pair. That is not a character, and other
//! readers refuse it, so it gets a remark (`halves`). In a key it is a defect.
//!
//! Memory: one line of at most [`MAX_LINE`] bytes, if it is cut by the end of a chunk.

mod decoder;
mod ends;
mod filter;
mod halves;
mod lines;
mod parse;
#[cfg(test)]
mod tests;

pub use self::{decoder::JsonlDecoder, lines::MAX_LINE};
pub(crate) use self::{decoder::JsonlState, ends::frame};
