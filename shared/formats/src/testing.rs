//! What the tests of all decoders share.

use crate::decoder::{Checkpoint, Decoder};

/// Goes on from a decoder's checkpoint, as another process would, in one that was just opened. Gives the offset too.
pub(crate) fn resumed(decoder: &dyn Decoder, fresh: Box<dyn Decoder>) -> Option<(u64, Box<dyn Decoder>)> {
    let checkpoint = decoder.checkpoint()?;
    let json = serde_json::to_string(&checkpoint).unwrap();
    let read: Checkpoint = serde_json::from_str(&json).unwrap();
    assert_eq!(read, checkpoint);
    let decoder = fresh.resume(read).unwrap();
    assert_eq!(decoder.checkpoint().as_ref(), Some(&checkpoint));
    Some((checkpoint.offset, decoder))
}
