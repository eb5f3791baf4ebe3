//! JSON lines within gzip.
//!
//! What must stay true:
//! * What all members inflate to, one after another, is one text.
//! * Every member is there to its end, with the checksum and the length that it says. Behind the last one there is
//!   nothing, or zero padding.
//! * What inflates before a faulty byte is decoded before the fault is reported, so that the first fault of an object
//!   does not depend on how it was cut into chunks.
//!
//! A file that was cut off right behind a member cannot be told from a whole one: only a count that is reported
//! elsewhere finds that.
//!
//! zlib-rs reads a member's header, inflates it, and checks its trailer (`members`). What it inflates to goes to the
//! decoder of JSON lines (`decoder`). The state of an inflater cannot be stored, so another process goes on at the
//! begin of a member.
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
