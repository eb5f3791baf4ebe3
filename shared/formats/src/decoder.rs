//! What each decoder can do, whatever its format.
//!
//! What must stay true: a decoder knows nothing of its caller, and its caller knows nothing of the format.
//!
//! The caller opens a decoder as its row in the registry says, pushes the bytes in order, and asks it to finish. A
//! decoder that can continue in another process gives a checkpoint. A decoder that needs bytes out of order says which.

use std::{fmt, ops::Range};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    decoded::{Decoded, Framed},
    defect::Defect,
    remark::Remark,
};

/// Decodes one object from bytes that are pushed in order.
pub trait Decoder: fmt::Debug + Send {
    /// Takes the next bytes. After a defect, the other methods give no meaningful answer.
    fn push(&mut self, chunk: &[u8]) -> Result<(), Defect>;

    /// Must be called after all bytes were pushed. Answers what the object holds.
    fn finish(self: Box<Self>) -> Result<Decoded, Defect>;

    /// How many bytes of the object's content are held between two pushes.
    fn held(&self) -> usize;

    /// How many bytes the decoder holds of an object of this size at most.
    fn needs(&self, size: u64) -> u64;

    /// Where another process can continue; `None` if only at the beginning.
    fn checkpoint(&self) -> Option<Checkpoint> {
        None
    }

    /// Continues from a checkpoint of the same object. `self` must have just been opened.
    fn resume(self: Box<Self>, _checkpoint: Checkpoint) -> Result<Box<dyn Decoder>, Defect> {
        Err(Checkpoint::of_another_format())
    }

    /// Parts of the object that must be read out of order and [supplied](Self::supply) before more is pushed.
    fn wanted(&self) -> Vec<Range<u64>> {
        Vec::new()
    }

    /// Takes a part that was [wanted](Self::wanted). Any other part is a defect.
    fn supply(&mut self, range: Range<u64>, _bytes: Bytes) -> Result<(), Defect> {
        Err(not_wanted(&range))
    }

    /// How many bytes are decoded only when it finishes.
    fn deferred(&self) -> u64 {
        0
    }

    /// What a file that was opened from its end must have at its beginning; `None` for a text.
    fn begin(&self) -> Option<Begin> {
        None
    }

    /// What opening the object from its end has shown.
    fn frame(&self) -> Framed {
        Framed::default()
    }
}

/// The defect if bytes are supplied that were not wanted.
pub(crate) fn not_wanted(range: &Range<u64>) -> Defect {
    Defect::new("was supplied with bytes that nobody wanted").at(range.start)
}

/// The result of opening a file from its tail.
#[derive(Debug)]
pub enum Opened<D: ?Sized> {
    /// The tail begins earlier, at this offset. Read from there to the end, and open again.
    Needs(u64),
    /// The bytes of the file can be pushed now, from the first one.
    Ready(Box<D>),
}

/// What must be at the beginning of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// The bytes in which it must be.
    pub within: Range<u64>,
    pub(crate) magic: &'static [u8],
    /// The defect if it is not there.
    pub(crate) lacking: &'static str,
}

impl Begin {
    /// Exactly at an offset.
    pub(crate) fn at(offset: u64, magic: &'static [u8], lacking: &'static str) -> Self {
        Self {
            // A workbook's directory may name any offset; nobody has compared it with the file's size.
            within: offset..offset.saturating_add(magic.len() as u64),
            magic,
            lacking,
        }
    }

    /// Checks the bytes that are there.
    pub fn look(&self, found: &[u8]) -> Result<Option<Remark>, Defect> {
        match memchr::memmem::find(found, self.magic) {
            None => Err(Defect::new(self.lacking).at(self.within.start)),
            Some(0) => Ok(None),
            Some(before) => Ok(Some(bytes_before_header(before))),
        }
    }
}

/// The remark on bytes before the header.
pub(crate) fn bytes_before_header(count: usize) -> Remark {
    Remark::new(format!("has {count} bytes before its header"))
}

/// Where another process can continue to decode an object.
///
/// A checkpoint is stored between two invocations, and a later version of this program may read it. So the names of
/// decoders and the members of their states must not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Offset of the next byte to push.
    pub offset: u64,
    /// The state that the decoder needs, under the decoder's name.
    state: Map<String, Value>,
}

impl Checkpoint {
    /// A checkpoint of the decoder with this name; `None` if its state cannot be serialised.
    pub(crate) fn new(decoder: &str, offset: u64, state: &impl Serialize) -> Option<Self> {
        let state = serde_json::to_value(state).ok()?;
        Some(Self {
            offset,
            state: Map::from_iter([(decoder.to_owned(), state)]),
        })
    }

    /// The state of the decoder with this name.
    pub(crate) fn state<S: DeserializeOwned>(mut self, decoder: &str) -> Result<S, Defect> {
        let state = self.state.remove(decoder).ok_or_else(Self::of_another_format)?;
        serde_json::from_value(state).map_err(|_| Defect::new("cannot be read on from where it stopped"))
    }

    fn of_another_format() -> Defect {
        Defect::new("cannot be read on from where it stopped: that was in another format")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_belongs_to_one_decoder_and_keeps_its_json() {
        let checkpoint = Checkpoint::new("orc", 7, &("a", 1)).unwrap();
        let json = r#"{"offset":7,"state":{"orc":["a",1]}}"#;
        assert_eq!(serde_json::to_string(&checkpoint).unwrap(), json);
        assert_eq!(serde_json::from_str::<Checkpoint>(json).unwrap(), checkpoint);
        assert_eq!(checkpoint.clone().state("orc"), Ok(("a".to_owned(), 1)));
        let of_csv = checkpoint.clone().state::<(String, u64)>("csv").unwrap_err();
        assert!(of_csv.what.contains("another format"), "{of_csv}");
        assert!(checkpoint.state::<u64>("orc").is_err());
    }

    #[test]
    fn magic_bytes_are_looked_for_only_where_they_may_stand() {
        for offset in [0, u64::MAX - 4, u64::MAX - 1, u64::MAX] {
            let begin = Begin::at(offset, b"PK", "has none");
            assert_eq!(begin.within, offset..offset.saturating_add(2));
            assert_eq!(begin.look(b"").unwrap_err().offset, Some(offset));
        }
        let begin = Begin {
            within: 0..9,
            magic: b"%PDF",
            lacking: "has none",
        };
        assert_eq!(begin.look(b"%PDF-1.7"), Ok(None));
        let remark = begin.look(b"\n\n%PDF-1.7").unwrap().unwrap();
        assert_eq!(remark.to_string(), "has 2 bytes before its header");
    }
}
