//! ORC, decoded stream by stream while its bytes pass once, in order.
//!
//! What must stay true: each value of each column of each stripe is decoded. The streams of a column are compared with
//! each other, and with the rows that stripes and footer say: see [`stripe`]. Corrupt bytes cannot make the decoder
//! allocate memory, and a panic of a decompressor is a defect.
//!
//! The tail is read first, because it says where the stripes are (`tail`). Everything else is read in the order of the
//! file, so that one download serves decoding and the checksum (`decoder`). Streams are cut into compression blocks and
//! inflated (`blocks`), and their values are decoded (`values`, `runs`). Values are not collected into arrays: for a
//! stream, only the number of its values and their sum are kept.
//!
//! Memory does not depend on the size of stripes or columns. A stripe of at most 4 MiB is collected, because its
//! footer, which says what its bytes are, comes last. The footer of a larger stripe is wanted in advance
//! ([`wanted`](crate::Decoder::wanted)), so that its bytes are decoded as they come. In addition, one compression block
//! is held, stored and inflated, and the contents of the tail.
//!
//! What this cannot see: ORC has no checksums, so a flipped bit in a value may decode to another value. Texts are
//! checked as UTF-8 by the stream, not by the value, so a value that ends within a character is not found if the next
//! value continues the character. Indexes, Bloom filters and the statistics of stripes are inflated, but not compared
//! with the values. The statistics of the file are ignored. A file with encrypted columns, or with a compression or a
//! type that is not known here, is a defect that says so.

mod blocks;
mod decoder;
mod fault;
mod proto;
mod records;
mod runs;
mod stripe;
mod tail;
#[cfg(test)]
mod tests;
mod values;

pub use self::decoder::{OrcDecoder, TAIL_GUESS};
pub(crate) use self::tail::MAGIC;
