//! How large the state of a text's decoder may be in a checkpoint.
//!
//! What must stay true: a checkpoint is stored together with those of many other objects, so its size is limited.

/// The largest state of a decoder in a checkpoint, in bytes of JSON.
pub(crate) const MAX_STATE: usize = 256 * 1024;

/// How many bytes a text takes as a JSON string.
pub(crate) fn json_size(text: &str) -> usize {
    let escapes = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(escapes).sum()
}
