//! ORC, decoded stream by stream while its bytes pass once, in order.
//!
//! What must stay true: every value of every column of every stripe is decoded, and the streams of each column are held
//! against each other and against the rows that stripes and footer say: see [`stripe`]. The tail is read first, because
//! it says where the stripes lie; all else is taken in the order of the file, so that one download serves decoding and
//! the checksum. Corrupt bytes can ask for no memory, and a panic of a decompressor is a defect.
//!
//! Memory does not depend on the size of stripes or columns: a stripe of at most 4 MiB is collected,
//! since its footer, which says what its bytes are, comes last; the footers of larger ones are asked for beforehand
//! ([`wanted`](crate::Decoder::wanted)), so that their bytes are decoded as they come. To that come one compression block, stored
//! and inflated, and what the tail says. Values are not gathered into arrays: what is kept of a stream is how many it
//! has and what they add up to.
//!
//! What this cannot see: ORC has no checksums, so a flipped bit in a value may decode to another value. Texts are held
//! against UTF-8 by the stream, not by the value: one that ends within a character which the next one goes on with is
//! not found. Indexes, Bloom filters and the statistics of stripes are inflated, and not held against the values; those
//! of the file are passed over. A file with encrypted columns, a compression or a type that this does not know is a
//! defect that says so.

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
