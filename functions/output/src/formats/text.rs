//! What all text formats share: the byte order mark, UTF-8 and NUL bytes.
//!
//! What must stay true: the sink gets whole characters only, in order, the byte order mark left out, and gets all that
//! comes before a faulty byte before the fault is reported, so that the first fault of an object does not depend on
//! how it was cut into chunks. At most three bytes are held.

use super::Defect;

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Checks the bytes of a text as they pass.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// Bytes of the byte order mark seen so far; `None` once it is settled whether there is one.
    start: Start,
    /// An unfinished character.
    carry: Vec<u8>,
    /// Offset of the first byte that the sink has not got.
    offset: u64,
}

#[derive(Clone, Copy, Debug)]
enum Start {
    Matched(usize),
    Settled,
}

impl Default for Start {
    fn default() -> Self {
        Self::Matched(0)
    }
}

impl Text {
    /// Passes checked bytes on.
    pub(super) fn push(
        &mut self,
        mut chunk: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), Defect>,
    ) -> Result<(), Defect> {
        while let (Start::Matched(matched), [first, rest @ ..]) = (self.start, chunk) {
            if *first != BOM[matched] {
                self.start = Start::Settled;
                // What looked like a mark was the begin of another character.
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

    /// Says that all bytes were pushed.
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
        let (valid, fault) = match std::str::from_utf8(chunk) {
            Ok(text) => (text.len(), None),
            Err(error) => (error.valid_up_to(), error.error_len()),
        };
        let (valid, rest) = chunk.split_at(valid);
        if let Some(nul) = memchr::memchr(0, valid) {
            sink(&valid[..nul])?;
            return Err(
                Defect::new("is a NUL byte: the object is not text, or storage was lost").at(self.offset + nul as u64),
            );
        }
        if !valid.is_empty() {
            sink(valid)?;
            self.offset += valid.len() as u64;
        }
        if fault.is_some() {
            return Err(not_utf8(rest, self.offset));
        }
        self.carry.extend_from_slice(rest);
        Ok(())
    }
}

fn not_utf8(bytes: &[u8], offset: u64) -> Defect {
    let utf16 = offset == 0 && matches!(bytes.first(), Some(0xfe | 0xff));
    Defect::new(if utf16 {
        "is not UTF-8: it begins like UTF-16"
    } else {
        "is not UTF-8"
    })
    .at(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the sink got, and how it ended.
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
    fn only_a_leading_mark_is_left_out() {
        assert_eq!(run(["\u{feff}a\u{feff}b".as_bytes()]).0, "a\u{feff}b".as_bytes());
        // EF BB 80 begins like the mark and is another character.
        assert_eq!(run(["\u{fec0}".as_bytes()]).0, "\u{fec0}".as_bytes());
    }

    #[test]
    fn faults_have_their_offset() {
        assert_eq!(run([&b"ab\0c"[..]]).1.unwrap_err().offset, Some(2));
        assert_eq!(run([&b"\xef\xbb\xbfab\xffc"[..]]).1.unwrap_err().offset, Some(5));
        assert!(run([&b"\xff\xfea\0"[..]]).1.unwrap_err().what.contains("UTF-16"));
        assert_eq!(run([&b"a\xef\xbb"[..]]).1.unwrap_err().offset, Some(1));
        assert_eq!(run([&b"\xef\xbb"[..]]).1.unwrap_err().offset, Some(0));
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(
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
