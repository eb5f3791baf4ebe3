//! What the tests of all decoders share.

use crate::decoder::{Checkpoint, Decoder};

/// Continues from a decoder's checkpoint in a decoder that was just opened, as another process would. Also answers the
/// offset.
pub(crate) fn resumed(decoder: &dyn Decoder, fresh: Box<dyn Decoder>) -> Option<(u64, Box<dyn Decoder>)> {
    let checkpoint = decoder.checkpoint()?;
    let json = serde_json::to_string(&checkpoint).unwrap();
    let read: Checkpoint = serde_json::from_str(&json).unwrap();
    assert_eq!(read, checkpoint);
    let decoder = fresh.resume(read).unwrap();
    assert_eq!(decoder.checkpoint().as_ref(), Some(&checkpoint));
    Some((checkpoint.offset, decoder))
}
