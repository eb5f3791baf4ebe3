//! JSON lines in gzip.
//!
//! What must stay true:
//! * Everything that the members inflate to, one after another, is one text.
//! * Each member is complete, and matches its own checksum and length. Nothing follows the last one, except zero
//!   padding.
//! * Everything that inflates before a wrong byte is decoded before the defect is reported, so that the first defect
//!   does not depend on how the object is cut into chunks.
//!
//! A file that was cut off exactly after a member cannot be told from a complete one. Only a count from elsewhere shows
//! it.
//!
//! zlib-rs reads a member's header, inflates the member, and checks its trailer (`members`). The inflated bytes go to
//! the decoder of JSON lines (`decoder`). The state of an inflater cannot be stored, so another process continues at
//! the beginning of a member.
//!
//! Memory: a scratch of 64 KiB, the inflater's window of 32 KiB, what the inner decoder holds, and twice that for the
//! place to continue at. However much a few bytes inflate to, it passes through the scratch.

mod decoder;
mod ends;
mod members;
#[cfg(test)]
mod tests;

pub use self::decoder::GzipDecoder;
pub(crate) use self::{ends::frame, members::MAGIC};
