//! What all text formats share: the byte order mark, UTF-8 and NUL bytes.
//!
//! What must stay true: the sink gets whole characters, in order, without the byte order mark. It gets everything
//! before a wrong byte before the defect is reported, so that the first defect does not depend on how the object is cut
//! into chunks. At most three bytes are held.
//!
//! A chunk is handled in pieces that stay in the processor's cache, so that the check and the sink read memory only
//! once.

use serde::{Deserialize, Serialize};

use crate::defect::{Defect, Remedy};

/// The byte order mark of UTF-8.
pub(super) const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];
/// How many bytes are checked and handed on at a time.
const SLICE: usize = 32 * 1024;

/// Checks the bytes of a text and hands them on.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// How much of a byte order mark was seen.
    start: Start,
    /// The bytes of an unfinished character.
    carry: Vec<u8>,
    /// Offset of the first byte that the sink has not got.
    offset: u64,
}

/// Where a text continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TextState {
    /// Offset of the next byte to push.
    pub(super) offset: u64,
    /// Whether the byte order mark is settled: it was there, or it can no longer come.
    settled: bool,
}

#[derive(Clone, Copy, Debug)]
enum Start {
    /// This many bytes of the mark were seen.
    Matched(usize),
    Settled,
}

impl Default for Start {
    fn default() -> Self {
        Self::Matched(0)
    }
}

impl Text {
    /// The state after the bytes that the sink has got.
    pub(super) fn checkpoint(&self) -> TextState {
        TextState {
            offset: self.offset,
            settled: matches!(self.start, Start::Settled),
        }
    }

    /// Continues at the byte at the state's offset.
    pub(super) fn resume(state: TextState) -> Self {
        Self {
            start: if state.settled {
                Start::Settled
            } else {
                Start::default()
            },
            carry: Vec::new(),
            offset: state.offset,
        }
    }

    /// Bytes that were pushed, but that the sink has not got.
    pub(super) fn pending(&self) -> &[u8] {
        match self.start {
            Start::Matched(matched) => &BOM[..matched],
            Start::Settled => &self.carry,
        }
    }

    /// Checks bytes and hands them on.
    pub(super) fn push(
        &mut self,
        mut chunk: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), Defect>,
    ) -> Result<(), Defect> {
        while let (Start::Matched(matched), [first, rest @ ..]) = (self.start, chunk) {
            if *first != BOM[matched] {
                self.start = Start::Settled;
                // The bytes were not a mark, but the beginning of another character.
                self.checked(&BOM[..matched], &mut sink)?;
            } else if matched + 1 == BOM.len() {
                self.start = Start::Settled;
                self.offset = BOM.len() as u64;
                chunk = rest;
            } else {
                self.start = Start::Matched(matched + 1);
                chunk = rest;
            }
        }
        self.checked(chunk, &mut sink)
    }

    /// Must be called after all bytes were pushed.
    pub(super) fn finish(mut self, mut sink: impl FnMut(&[u8]) -> Result<(), Defect>) -> Result<(), Defect> {
        if let Start::Matched(matched) = self.start {
            self.checked(&BOM[..matched], &mut sink)?;
        }
        if self.carry.is_empty() {
            Ok(())
        } else {
            Err(
                Defect::new("ends within a UTF-8 character: the text is cut off or of another encoding")
                    .at(self.offset),
            )
        }
    }

    fn checked(&mut self, mut chunk: &[u8], sink: &mut impl FnMut(&[u8]) -> Result<(), Defect>) -> Result<(), Defect> {
        while let (false, [first, rest @ ..]) = (self.carry.is_empty(), chunk) {
            self.carry.push(*first);
            match std::str::from_utf8(&self.carry) {
                Ok(_) => {
                    let whole = std::mem::take(&mut self.carry);
                    sink(&whole)?;
                    self.offset += whole.len() as u64;
                }
                Err(error) if error.error_len().is_some() => return Err(not_utf8(&self.carry, self.offset)),
                Err(_) => {}
            }
            chunk = rest;
        }
        while !chunk.is_empty() {
            let slice = &chunk[..chunk.len().min(SLICE)];
            let (valid, fault) = match simdutf8::compat::from_utf8(slice) {
                Ok(text) => (text.len(), None),
                Err(error) => (error.valid_up_to(), error.error_len()),
            };
            let valid = &slice[..valid];
            if let Some(nul) = memchr::memchr(0, valid) {
                sink(&valid[..nul])?;
                let at = self.offset + nul as u64;
                return Err(Defect::new("is a NUL byte: the object is not text, or storage was lost").at(at));
            }
            if !valid.is_empty() {
                sink(valid)?;
                self.offset += valid.len() as u64;
            }
            if fault.is_some() {
                return Err(not_utf8(&chunk[valid.len()..], self.offset));
            }
            let last = slice.len() == chunk.len();
            chunk = &chunk[valid.len()..];
            if last {
                self.carry.extend_from_slice(chunk);
                break;
            }
        }
        Ok(())
    }
}

/// The last bytes of a larger text, from their first whole character on. They must be text.
pub(super) fn text_tail(tail: &[u8]) -> Result<&[u8], Defect> {
    let begin = tail.iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
    let tail = &tail[begin..];
    let what = match simdutf8::compat::from_utf8(tail) {
        Ok(_) if memchr::memchr(0, tail).is_some() => {
            "has a NUL byte near its end: it is not text, or storage was lost"
        }
        Ok(_) => return Ok(tail),
        Err(error) if error.error_len().is_none() => "ends within a UTF-8 character: the text is cut off",
        Err(_) => return Err(Defect::new("is not UTF-8 near its end").mended_by(Remedy::Utf8)),
    };
    Err(Defect::new(what))
}

fn not_utf8(bytes: &[u8], offset: u64) -> Defect {
    let utf16 = offset == 0 && matches!(bytes.first(), Some(0xfe | 0xff));
    Defect::new(if utf16 {
        "is not UTF-8: it begins like UTF-16"
    } else {
        "is not UTF-8"
    })
    .mended_by(Remedy::Utf8)
    .at(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The bytes that the sink got, and the result.
    fn run<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Result<(), Defect>) {
        let mut got = Vec::new();
        let mut text = Text::default();
        let mut sink = |bytes: &[u8]| {
            assert!(std::str::from_utf8(bytes).is_ok());
            got.extend_from_slice(bytes);
            Ok(())
        };
        for chunk in chunks {
            if let Err(defect) = text.push(chunk, &mut sink) {
                return (got, Err(defect));
            }
            assert!(text.carry.len() <= 3);
        }
        let end = text.finish(&mut sink);
        (got, end)
    }

    #[test]
    fn only_a_leading_byte_order_mark_is_skipped() {
        assert_eq!(run(["\u{feff}a\u{feff}b".as_bytes()]).0, "a\u{feff}b".as_bytes());
        // EF BB 80 begins like the mark but is another character.
        assert_eq!(run(["\u{fec0}".as_bytes()]).0, "\u{fec0}".as_bytes());
    }

    #[test]
    fn faults_are_reported_with_their_offset() {
        assert_eq!(run([&b"ab\0c"[..]]).1.unwrap_err().offset, Some(2));
        assert_eq!(run([&b"\xef\xbb\xbfab\xffc"[..]]).1.unwrap_err().offset, Some(5));
        assert!(run([&b"\xff\xfea\0"[..]]).1.unwrap_err().what.contains("UTF-16"));
        assert_eq!(run([&b"a\xef\xbb"[..]]).1.unwrap_err().offset, Some(1));
        assert_eq!(run([&b"\xef\xbb"[..]]).1.unwrap_err().offset, Some(0));
    }

    proptest! {
        #[test]
        fn the_size_of_chunks_does_not_matter(
            bytes in prop_oneof![
                "\u{feff}?\\PC{0,40}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..40),
                prop::collection::vec(prop::sample::select(vec![0xefu8, 0xbb, 0xbf, 0x80, 0xc3, 0xa9, 0, b'a']), 0..12),
            ],
            size in 1usize..6,
        ) {
            prop_assert_eq!(run(bytes.chunks(size)), run([bytes.as_slice()]));
        }
    }
}
