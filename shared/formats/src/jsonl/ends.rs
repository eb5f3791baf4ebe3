//! What the beginning and the end of JSON lines show.
//!
//! What must stay true: a text that decodes to its end is never refused because of its ends.

use super::decoder::JsonlDecoder;
use crate::{content::Head, decoded::Framed, decoder::Decoder, defect::Defect, text::text_tail};

/// Checks the first and the last bytes of an object, at most 64 KiB each. Both are the whole object if it is not
/// larger. All complete lines in them are decoded.
pub(crate) fn frame(head: Head<'_>, tail: &[u8]) -> Result<Framed, Defect> {
    let mut decoder = Box::new(JsonlDecoder::new());
    decoder.push(head.bytes)?;
    if head.whole {
        return Ok(Framed::of_begin(decoder.finish()?));
    }
    let tail = text_tail(tail)?;
    if let Some(first) = memchr::memchr(b'\n', tail) {
        let mut last = Box::new(JsonlDecoder::new());
        let result = last.push(&tail[first + 1..]).and_then(|()| last.finish());
        // The number of the line is not known.
        result.map_err(|defect| Defect::new(format!("has a line near its end that {}", defect.what)))?;
    }
    Ok(Framed::of_begin(decoder.so_far()))
}
