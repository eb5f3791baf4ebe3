//! How much a decoder of text may give away for another process to go on.
//!
//! What must stay true: a checkpoint is written between two invocations, with those of many other objects, so it is bounded.

/// The largest state of a decoder that is given away, in bytes of JSON.
pub(crate) const MAX_STATE: usize = 256 * 1024;

/// The bytes that a text takes as a JSON string.
pub(crate) fn json_size(text: &str) -> usize {
    let escapes = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(escapes).sum()
}
