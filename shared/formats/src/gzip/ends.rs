//! What the beginning of a gzip file shows. The last bytes of a larger file show nothing, because a checksum and a
//! length mean nothing without the data.

use super::{
    decoder::{TWICE, inflated_defect},
    members::{MAGIC, Members, Sink},
};
use crate::{content::Head, decoded::Framed, defect::Defect, jsonl};

/// The shortest member: ten bytes of header, a body, checksum and length. The body is never empty.
const MIN_MEMBER: usize = 18;
/// How many inflated bytes are checked.
const SAMPLE: usize = 64 * 1024;

/// The first inflated bytes of an object.
#[derive(Default)]
struct Sample {
    bytes: Vec<u8>,
    more: bool,
}

impl Sink for Sample {
    fn take(&mut self, inflated: &[u8], _began: u64) -> Result<(), Defect> {
        let room = SAMPLE - self.bytes.len();
        self.more |= inflated.len() > room;
        self.bytes.extend_from_slice(&inflated[..inflated.len().min(room)]);
        Ok(())
    }

    fn member(&mut self, _ended: u64, _offset: u64) {}
}

/// Checks the first bytes of an object, at most 64 KiB, and what they inflate to.
pub(crate) fn frame(head: Head<'_>) -> Result<Framed, Defect> {
    if head.bytes.len() < MIN_MEMBER {
        return Err(Defect::new(format!(
            "has {} bytes, and a gzip member has at least {MIN_MEMBER}",
            head.bytes.len()
        )));
    }
    let (mut members, mut sample) = (Members::new(0, 0), Sample::default());
    members.push(head.bytes, &mut sample)?;
    if head.whole {
        members.finish()?;
    }
    let inflated = Head {
        bytes: &sample.bytes,
        whole: head.whole && !sample.more,
    };
    if sample.bytes.starts_with(&MAGIC) {
        return Err(Defect::new(TWICE).at(0));
    }
    // The end of a longer text is not available. An empty end fits any text.
    jsonl::frame(inflated, if inflated.whole { &sample.bytes } else { &[] }).map_err(inflated_defect)
}
