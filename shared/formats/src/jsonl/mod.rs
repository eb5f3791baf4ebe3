//! JSON lines: one JSON object a line.
//!
//! What must stay true: every line is parsed to its end and is one object, nothing more; blank lines come only at the
//! end; a last line without a line break must be whole. A file that was cut off exactly behind a line cannot be told
//! from a whole one.
//!
//! The decoder (`decoder`) checks that the bytes are text and hands them on. They are cut into lines (`lines`). Whole lines
//! go through a filter (`filter`), which takes 64 bytes at a time and only passes lines that serde_json is sure to accept.
//! Any other line is parsed by serde_json (`parse`), which alone says what is JSON. So a line is strict JSON (RFC 8259), and
//! values may nest as deep as a line allows.
//!
//! A `\u` escape in a value may name half of a surrogate pair, as RFC 8259 has it. Since that is no character, and other
//! readers refuse it, it is remarked on (`halves`). In a key it is a defect.
//!
//! Memory: one line, and that only if it lies across chunks: at most [`MAX_LINE`] bytes.

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
