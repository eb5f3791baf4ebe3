//! JSON lines within gzip.
//!
//! What must stay true: the lines are what all members inflate to, one after another, as one text; every member's end is
//! there, and its checksum and length are those of what was inflated; what follows the last member is zero padding or
//! nothing. What inflates before a faulty byte is decoded before the fault is reported, so that the first fault of an object
//! does not depend on how it was cut into chunks. A file that was cut off exactly behind a member cannot be told from a
//! whole one: only a count reported elsewhere finds that.
//!
//! Members are inflated one after another (`members`), and what they inflate to goes to the decoder of JSON lines
//! (`decoder`). zlib-rs reads headers and trailers and checks them. What an inflater knows cannot be given away, so another
//! process goes on where a member begins.
//!
//! Memory: a scratch of 64 KiB, the inflater's window of 32 KiB, what the inner decoder holds, and twice that for the
//! place to go on at. However much a few bytes inflate to, it passes through the scratch.

mod decoder;
mod ends;
mod members;
#[cfg(test)]
mod tests;

pub use self::decoder::GzipDecoder;
pub(crate) use self::{ends::frame, members::MAGIC};
