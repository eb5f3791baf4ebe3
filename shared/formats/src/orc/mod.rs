//! ORC, decoded stream by stream while its bytes pass once, in order.
//!
//! What must stay true: every value of every column of every stripe is decoded. The streams of each column are held
//! against each other, and against the rows that stripes and footer say: see [`stripe`]. Corrupt bytes can ask for no
//! memory, and a panic of a decompressor is a defect.
//!
//! The tail is read first, because it says where the stripes lie (`tail`). All else is taken in the order of the
//! file, so that one download serves decoding and the checksum (`decoder`). Streams are cut into compression blocks
//! and inflated (`blocks`), and their values are decoded (`values`, `runs`). Values are not gathered into arrays: of
//! a stream it is kept how many values it has and what they add up to.
//!
//! Memory does not depend on the size of stripes or columns. A stripe of at most 4 MiB is collected, because its
//! footer, which says what its bytes are, comes last. The footer of a larger stripe is asked for beforehand
//! ([`wanted`](crate::Decoder::wanted)), so that its bytes are decoded as they come. Beside that, one compression
//! block is held, stored and inflated, and what the tail says.
//!
//! What this cannot see: ORC has no checksums, so a flipped bit in a value may decode to another value. Texts are
//! held against UTF-8 by the stream, not by the value, so a value that ends within a character is not found if the
//! next value goes on with it. Indexes, Bloom filters and the statistics of stripes are inflated, and not held
//! against the values; the statistics of the file are passed over. A file with encrypted columns, or with a
//! compression or a type that is not known here, is a defect that says so.

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
