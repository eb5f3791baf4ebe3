//! gzip around another format.
//!
//! What must stay true: the inner decoder gets what all members inflate to, one after another, as one text; every
//! member's end is there, and its checksum and length are those of what was inflated; what follows the last member is
//! zero padding or nothing. What inflates before a faulty byte reaches the inner decoder before the fault is reported,
//! so that the first fault of an object does not depend on how it was cut into chunks. A file that was cut off exactly
//! behind a member cannot be told from a whole one: only a count reported elsewhere finds that.
//!
//! Memory: a scratch of 64 KiB, the inflater's window of 32 KiB, and what the inner decoder holds. However much a few
//! bytes inflate to, it passes through the scratch.

use std::fmt;

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Decoded, Decoder, Defect};

/// Inflated bytes that are passed on at once; not less than the inflater's window.
const SCRATCH: usize = 64 * 1024;
const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The only compression method there is.
const DEFLATE: u8 = 8;
const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;
const FLAGS_RESERVED: u8 = 0b1110_0000;

/// Inflates gzip and decodes what it holds.
pub struct GzipDecoder<D> {
    inner: D,
    state: State,
    inflate: Decompress,
    /// Of the member that is being inflated: checksum and length.
    crc: Crc,
    scratch: Box<[u8]>,
    /// Offset of the next byte to be pushed.
    offset: u64,
    /// Members that ended.
    members: u64,
    /// Where the member begins that is being read.
    began: u64,
}

#[derive(Debug)]
enum State {
    /// Before a member, or behind the last one.
    Between,
    Header(Header),
    Body,
    /// Checksum and length, as far as they came.
    Trailer(Vec<u8>),
    /// Zero bytes behind the last member.
    Padding,
}

#[derive(Debug)]
struct Header {
    awaited: Part,
    flags: u8,
    crc: Crc,
}

/// What of a header comes next.
#[derive(Clone, Copy, Debug)]
enum Part {
    /// The byte of that index of the ten that every header has.
    Fixed(u8),
    ExtraLow,
    ExtraHigh(u8),
    Extra(u16),
    Name,
    Comment,
    CrcLow,
    CrcHigh(u8),
    End,
}

impl Header {
    fn new() -> Self {
        Self {
            awaited: Part::Fixed(0),
            flags: 0,
            crc: Crc::new(),
        }
    }

    /// Takes a byte. The texts of its errors begin where the name of the member ends.
    fn take(&mut self, byte: u8) -> Result<(), &'static str> {
        let sum = self.crc.sum();
        self.crc.update(&[byte]);
        self.awaited = match self.awaited {
            Part::Fixed(index) => {
                match index {
                    0 | 1 if byte != MAGIC[usize::from(index)] => {
                        return Err("does not begin with gzip's magic number");
                    }
                    2 if byte != DEFLATE => return Err("is compressed by an unknown method"),
                    3 if byte & FLAGS_RESERVED != 0 => return Err("has a header with unknown flags"),
                    3 => self.flags = byte,
                    _ => {}
                }
                if index < 9 {
                    Part::Fixed(index + 1)
                } else {
                    self.from(FLAG_EXTRA)
                }
            }
            Part::ExtraLow => Part::ExtraHigh(byte),
            Part::ExtraHigh(low) => match u16::from_le_bytes([low, byte]) {
                0 => self.from(FLAG_NAME),
                length => Part::Extra(length),
            },
            Part::Extra(1) => self.from(FLAG_NAME),
            Part::Extra(left) => Part::Extra(left - 1),
            Part::Name if byte == 0 => self.from(FLAG_COMMENT),
            Part::Comment if byte == 0 => self.from(FLAG_HEADER_CRC),
            Part::Name => Part::Name,
            Part::Comment => Part::Comment,
            // The checksum covers the header before it.
            Part::CrcLow if byte != sum.to_le_bytes()[0] => return Err("has a header that is not of its checksum"),
            Part::CrcLow => Part::CrcHigh(sum.to_le_bytes()[1]),
            Part::CrcHigh(expected) if byte != expected => return Err("has a header that is not of its checksum"),
            Part::CrcHigh(_) | Part::End => Part::End,
        };
        Ok(())
    }

    /// The first part that the flags announce, of those from `flag` on.
    fn from(&self, flag: u8) -> Part {
        [
            (FLAG_EXTRA, Part::ExtraLow),
            (FLAG_NAME, Part::Name),
            (FLAG_COMMENT, Part::Comment),
            (FLAG_HEADER_CRC, Part::CrcLow),
        ]
        .into_iter()
        .skip_while(|(of, _)| *of != flag)
        .find(|(of, _)| self.flags & of != 0)
        .map_or(Part::End, |(_, part)| part)
    }
}

impl<D> GzipDecoder<D> {
    /// A decoder at the begin of an object, around the decoder of what it inflates to.
    pub fn new(inner: D) -> Self {
        Self {
            inner,
            state: State::Between,
            inflate: Decompress::new(false),
            crc: Crc::new(),
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            offset: 0,
            members: 0,
            began: 0,
        }
    }

    /// The name of the member that is being read.
    fn member(&self) -> String {
        format!("gzip member {}", self.members + 1)
    }
}

impl<D: Decoder> GzipDecoder<D> {
    /// Inflates what has come of a member's body; gives how much of it was taken.
    fn body(&mut self, chunk: &[u8]) -> Result<usize, Defect> {
        let mut taken = 0;
        loop {
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let result = self
                .inflate
                .decompress(&chunk[taken..], &mut self.scratch, FlushDecompress::None);
            let read = (self.inflate.total_in() - read) as usize;
            let written = (self.inflate.total_out() - written) as usize;
            taken += read;
            let inflated = &self.scratch[..written];
            self.crc.update(inflated);
            self.inner.push(inflated).map_err(inflated_defect)?;
            match result {
                Ok(Status::StreamEnd) => {
                    self.state = State::Trailer(Vec::with_capacity(8));
                    return Ok(taken);
                }
                // A full scratch may leave some in the inflater.
                Ok(_) if taken == chunk.len() && written < self.scratch.len() => return Ok(taken),
                Ok(_) if read > 0 || written > 0 => {}
                Ok(_) | Err(_) => {
                    return Err(Defect::new(format!("{} cannot be inflated", self.member())).at(self.began));
                }
            }
        }
    }

    fn trailer(&mut self, trailer: &[u8]) -> Result<(), Defect> {
        let (sum, length) = (self.crc.sum().to_le_bytes(), self.crc.amount().to_le_bytes());
        let at = self.offset - trailer.len() as u64;
        if trailer[..4] != sum {
            return Err(Defect::new(format!("{} is not of its checksum (CRC-32)", self.member())).at(at));
        }
        if trailer[4..] != length {
            return Err(Defect::new(format!("{} is not of its length", self.member())).at(at + 4));
        }
        self.members += 1;
        self.state = State::Between;
        Ok(())
    }
}

/// A defect of the inflated text. Its offset is not one of the object.
fn inflated_defect(mut defect: Defect) -> Defect {
    if let Some(offset) = defect.offset.take() {
        defect.what = format!("{} (byte {offset} of the inflated text)", defect.what);
    }
    defect
}

impl<D: Decoder> Decoder for GzipDecoder<D> {
    fn push(&mut self, mut chunk: &[u8]) -> Result<(), Defect> {
        while let [first, ..] = chunk {
            let mut taken = 1;
            match &mut self.state {
                State::Between if self.members > 0 && *first == 0 => self.state = State::Padding,
                State::Between if self.members > 0 && *first != MAGIC[0] => {
                    return Err(Defect::new("is followed by bytes that are no gzip member").at(self.offset));
                }
                State::Between => {
                    self.state = State::Header(Header::new());
                    self.began = self.offset;
                    taken = 0;
                }
                State::Header(header) => {
                    let result = header.take(*first);
                    let ended = matches!(header.awaited, Part::End);
                    if let Err(what) = result {
                        return Err(Defect::new(format!("{} {what}", self.member())).at(self.began));
                    }
                    if ended {
                        self.inflate.reset(false);
                        self.crc.reset();
                        self.state = State::Body;
                    }
                }
                State::Body => taken = self.body(chunk)?,
                State::Trailer(trailer) => {
                    trailer.push(*first);
                    if trailer.len() == 8 {
                        let trailer = std::mem::take(trailer);
                        self.offset += 1;
                        self.trailer(&trailer)?;
                        chunk = &chunk[1..];
                        continue;
                    }
                }
                State::Padding => {
                    if let Some(other) = chunk.iter().position(|byte| *byte != 0) {
                        return Err(Defect::new("has something behind its zero padding").at(self.offset + other as u64));
                    }
                    taken = chunk.len();
                }
            }
            chunk = &chunk[taken..];
            self.offset += taken as u64;
        }
        Ok(())
    }

    fn finish(self) -> Result<Decoded, Defect> {
        match self.state {
            State::Between if self.members == 0 => Err(Defect::new("holds no gzip member")),
            State::Between | State::Padding => self.inner.finish().map_err(inflated_defect),
            _ => Err(Defect::new(format!("ends within {}: it is cut off", self.member())).at(self.offset)),
        }
    }

    fn held(&self) -> usize {
        self.scratch.len() + self.inner.held()
    }
}

impl<D: fmt::Debug> fmt::Debug for GzipDecoder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GzipDecoder")
            .field("inner", &self.inner)
            .field("state", &self.state)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, GzBuilder, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;
    use crate::formats::JsonlDecoder;

    fn zipped(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn with_header(text: &[u8]) -> Vec<u8> {
        let builder = GzBuilder::new().extra([1, 2, 3]).filename("n").comment("c").mtime(1);
        let mut encoder = builder.write(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn in_chunks(bytes: &[u8], size: usize) -> Result<Decoded, Defect> {
        let mut decoder = GzipDecoder::new(JsonlDecoder::new());
        for chunk in bytes.chunks(size) {
            decoder.push(chunk)?;
        }
        decoder.finish()
    }

    fn run(bytes: &[u8]) -> Result<Decoded, Defect> {
        in_chunks(bytes, usize::MAX)
    }

    fn defect(bytes: &[u8]) -> String {
        run(bytes).unwrap_err().to_string()
    }

    #[test]
    fn members_are_one_text() {
        let one = zipped(b"{\"a\":1}\n{\"a\":2}\n");
        assert_eq!(run(&one).unwrap().rows, 2);
        assert_eq!(run(&one).unwrap().columns, ["a"]);
        // A line may lie across members, and a member may be empty.
        let many = [zipped(b"{\"a\":"), zipped(b""), with_header(b"1}\n{}\n"), zipped(b"{}")].concat();
        assert_eq!(run(&many).unwrap().rows, 3);
        assert_eq!(run(&zipped(b"")).unwrap().rows, 0);
    }

    #[test]
    fn zero_padding_is_no_data() {
        let padded = [zipped(b"{}\n"), vec![0; 1000]].concat();
        assert_eq!(run(&padded).unwrap().rows, 1);
        let length = zipped(b"{}\n").len() as u64;
        let found = run(&[padded, zipped(b"{}\n")].concat()).unwrap_err();
        assert_eq!(found.offset, Some(length + 1000));
        let found = run(&[zipped(b"{}\n"), b"junk".to_vec()].concat()).unwrap_err();
        assert_eq!(found.offset, Some(length));
        assert!(found.what.contains("no gzip member"));
    }

    #[test]
    fn a_file_cut_off_anywhere_is_found() {
        let first = with_header(b"{\"a\":1}\n");
        let whole = [first.clone(), zipped(b"{\"a\":2}\n{\"a\":3}\n")].concat();
        assert_eq!(run(&whole).unwrap().rows, 3);
        for end in 0..whole.len() {
            let found = run(&whole[..end]);
            // Exactly behind a member nothing tells that another one is missing.
            if end == first.len() {
                assert_eq!(found.unwrap().rows, 1);
            } else if end == 0 {
                assert!(found.unwrap_err().what.contains("no gzip member"));
            } else {
                assert!(found.unwrap_err().what.contains("cut off"), "{end}");
            }
        }
    }

    #[test]
    fn every_flipped_bit_of_body_and_trailer_is_found() {
        let whole = zipped("{\"a\":\"ö\",\"b\":[1,2,3]}\n".repeat(30).as_bytes());
        for bit in 10 * 8..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // The bits that fill the last byte of the body mean nothing.
            if bit / 8 != whole.len() - 9 {
                assert!(run(&flipped).is_err(), "bit {bit}");
            }
        }
    }

    #[test]
    fn names_what_is_wrong() {
        let whole = zipped(b"{}\n");
        let end = whole.len();
        let mut wrong = whole.clone();
        wrong[end - 8] ^= 1;
        assert_eq!(
            defect(&wrong),
            format!("byte {}: gzip member 1 is not of its checksum (CRC-32)", end - 8)
        );
        let mut wrong = whole.clone();
        wrong[end - 1] ^= 1;
        assert_eq!(
            defect(&wrong),
            format!("byte {}: gzip member 1 is not of its length", end - 4)
        );
        let mut wrong = whole.clone();
        wrong[2] = 7;
        assert!(defect(&wrong).contains("unknown method"));
        assert!(defect(b"{}\n").contains("magic number"));
        let found = run(&zipped(b"{}\n{\"a\":\"\0\"}\n")).unwrap_err();
        assert_eq!((found.line, found.offset), (Some(2), None));
        assert!(found.what.contains("byte 9 of the inflated text"), "{found}");
    }

    #[test]
    fn a_bomb_holds_no_memory() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let line = [b"{\"a\":\"".as_slice(), &[b'x'; 1 << 20], b"\"}\n"].concat();
        for _ in 0..64 {
            encoder.write_all(&line).unwrap();
        }
        let bomb = encoder.finish().unwrap();
        assert!(bomb.len() < 1 << 18);
        let mut decoder = GzipDecoder::new(JsonlDecoder::new());
        for chunk in bomb.chunks(4096) {
            decoder.push(chunk).unwrap();
            assert!(decoder.held() <= SCRATCH + (2 << 20) + 1024);
        }
        assert_eq!(decoder.finish().unwrap().rows, 64);
    }

    proptest! {
        #[test]
        fn chunks_do_not_matter(
            rows in prop::collection::vec("[a-zé]{0,40}", 0..40),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            members in 1usize..3,
            size in 1usize..40,
        ) {
            let text: String = rows.iter().map(|row| format!("{{\"a\":\"{row}\"}}\n")).collect();
            let mut bytes = zipped(text.as_bytes()).repeat(members);
            for (index, byte) in &flips {
                let index = index.index(bytes.len());
                bytes[index] ^= byte;
            }
            let whole = run(&bytes);
            prop_assert_eq!(in_chunks(&bytes, size), whole.clone());
            if flips.is_empty() {
                prop_assert_eq!(whole.unwrap().rows, (rows.len() * members) as u64);
            }
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = run(&[&[0x1f, 0x8b, 8][..], &bytes].concat());
        }
    }
}
