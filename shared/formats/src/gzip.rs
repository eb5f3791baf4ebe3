//! gzip around another format.
//!
//! What must stay true: the inner decoder gets what all members inflate to, one after another, as one text; every
//! member's end is there, and its checksum and length are those of what was inflated; what follows the last member is
//! zero padding or nothing. What inflates before a faulty byte reaches the inner decoder before the fault is reported,
//! so that the first fault of an object does not depend on how it was cut into chunks. A file that was cut off exactly
//! behind a member cannot be told from a whole one: only a count reported elsewhere finds that.
//!
//! Another process can go on only where a member begins, since what an inflater knows cannot be given away.
//!
//! Memory: a scratch of 64 KiB, the inflater's window of 32 KiB, what the inner decoder holds, and twice that for the
//! place to go on at. However much a few bytes inflate to, it passes through the scratch.

use std::fmt;

use flate2::{Crc, Decompress, FlushDecompress, Status};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{CsvDecoder, CsvState, Decoded, Decoder, Defect, Framed, Head, JsonlDecoder, JsonlState};

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
/// The shortest member: ten bytes of header, checksum and length; the body is never empty.
const MIN_MEMBER: usize = 18;
/// The longest part of a line that is kept for another process to go on, in bytes.
const MAX_PENDING: usize = 256 * 1024;
const TWICE: &str = "holds gzip within gzip: it was compressed twice";
/// How much of the inflated text [`frame`] looks at.
const SAMPLE: usize = 64 * 1024;

/// A decoder of inflated text in whose place another one can go on.
pub trait Resumable: Decoder + Sized {
    /// What is needed to go on.
    type State: Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned;

    /// What is needed to go on, and the bytes that must be pushed again then, some characters and less than one.
    /// `None` if the state is too large.
    fn state(&self) -> Option<(Self::State, &[u8], &[u8])>;

    /// A decoder that goes on where another one was.
    fn restored(state: Self::State) -> Self;
}

impl Resumable for CsvDecoder {
    type State = CsvState;

    fn state(&self) -> Option<(CsvState, &[u8], &[u8])> {
        let (_, state) = self.checkpoint()?;
        Some((state, &[], self.pending()))
    }

    fn restored(state: CsvState) -> Self {
        Self::resume(state)
    }
}

impl Resumable for JsonlDecoder {
    type State = JsonlState;

    fn state(&self) -> Option<(JsonlState, &[u8], &[u8])> {
        let (_, state) = self.checkpoint()?;
        let (line, character) = self.pending();
        Some((state, line, character))
    }

    fn restored(state: JsonlState) -> Self {
        Self::resume(state)
    }
}

/// Where a [`GzipDecoder`] goes on: at the begin of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GzipState<S> {
    /// Where the member begins.
    offset: u64,
    /// Members before it.
    members: u64,
    inner: S,
    /// Inflated characters that the inner decoder must get again, at most 256 KiB, and the begin of one behind them.
    text: String,
    character: Vec<u8>,
}

/// Inflates gzip and decodes what it holds.
pub struct GzipDecoder<D: Resumable> {
    inner: D,
    /// What the inner decoder must get before all else.
    again: Vec<u8>,
    /// Where another process could go on: at one of the last members.
    place: Option<GzipState<D::State>>,
    state: State,
    inflate: Decompress,
    /// Of the member that is being inflated: checksum and length.
    crc: Crc,
    scratch: Box<[u8]>,
    /// The first bytes that the first member inflates to.
    first: [u8; MAGIC.len()],
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

impl<D: Resumable> GzipDecoder<D> {
    /// A decoder at the begin of an object, around the decoder of what it inflates to.
    pub fn new(inner: D) -> Self {
        Self {
            inner,
            again: Vec::new(),
            place: None,
            state: State::Between,
            inflate: Decompress::new(false),
            crc: Crc::new(),
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            first: [0; MAGIC.len()],
            offset: 0,
            members: 0,
            began: 0,
        }
    }

    /// A decoder that goes on where another one was, once the object's bytes from the offset on are pushed that came
    /// with the state.
    #[must_use]
    pub fn resume(state: GzipState<D::State>) -> Self {
        Self {
            again: [state.text.as_bytes(), &state.character].concat(),
            offset: state.offset,
            members: state.members,
            place: Some(state.clone()),
            ..Self::new(D::restored(state.inner))
        }
    }

    /// The offset in the object of the first byte that must be pushed again, which begins a member, and what is needed
    /// to go on there. `None` before the end of the first member, and if the inner decoder would have to get more than
    /// 256 KiB again.
    #[must_use]
    pub fn checkpoint(&self) -> Option<(u64, GzipState<D::State>)> {
        let here = match self.state {
            State::Between if self.members > 0 && self.again.is_empty() => self.here(),
            _ => None,
        };
        let place = here.or_else(|| self.place.clone())?;
        Some((place.offset, place))
    }

    /// The place between two members at which the decoder is.
    fn here(&self) -> Option<GzipState<D::State>> {
        let (inner, text, character) = self.inner.state()?;
        if text.len() > MAX_PENDING {
            return None;
        }
        Some(GzipState {
            offset: self.offset,
            members: self.members,
            inner,
            text: String::from_utf8(text.to_vec()).ok()?,
            character: character.to_vec(),
        })
    }

    /// Gives the inner decoder what it had already got when its state was taken.
    fn catch_up(&mut self) -> Result<(), Defect> {
        let again = std::mem::take(&mut self.again);
        self.inner.push(&again).map_err(inflated_defect)
    }

    /// The name of the member that is being read.
    fn member(&self) -> String {
        format!("gzip member {}", self.members + 1)
    }

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
            if self.members == 0 {
                let before = (self.inflate.total_out() - written as u64).min(MAGIC.len() as u64) as usize;
                for (first, byte) in self.first[before..].iter_mut().zip(inflated) {
                    *first = *byte;
                }
            }
            self.inner.push(inflated).map_err(|defect| {
                // No text begins with that, so it was refused at these bytes.
                if self.members == 0 && self.first == MAGIC {
                    return Defect::new(TWICE).at(self.began);
                }
                inflated_defect(defect)
            })?;
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
        // A copy for each member would cost more than the member if many are shorter than what is copied.
        let last = self.place.as_ref().map_or(0, |place| place.offset);
        if self.offset - last >= self.inner.held() as u64
            && let Some(place) = self.here()
        {
            self.place = Some(place);
        }
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

impl<D: Resumable> Decoder for GzipDecoder<D> {
    fn push(&mut self, mut chunk: &[u8]) -> Result<(), Defect> {
        if !self.again.is_empty() {
            self.catch_up()?;
        }
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

    fn finish(mut self) -> Result<Decoded, Defect> {
        self.catch_up()?;
        match self.state {
            State::Between if self.members == 0 => Err(Defect::new("holds no gzip member")),
            State::Between | State::Padding => self.inner.finish().map_err(inflated_defect),
            _ => Err(Defect::new(format!("ends within {}: it is cut off", self.member())).at(self.offset)),
        }
    }

    fn held(&self) -> usize {
        let place = self.place.as_ref().map_or(0, |place| place.text.capacity());
        self.scratch.len() + self.inner.held() + self.again.capacity() + place
    }
}

impl<D: Resumable + fmt::Debug> fmt::Debug for GzipDecoder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GzipDecoder")
            .field("inner", &self.inner)
            .field("state", &self.state)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// The first inflated bytes of an object.
#[derive(Debug, Default)]
struct Sample {
    bytes: Vec<u8>,
    more: bool,
}

impl Decoder for Sample {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Defect> {
        let room = SAMPLE - self.bytes.len();
        self.more |= chunk.len() > room;
        self.bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        Ok(())
    }

    fn finish(self) -> Result<Decoded, Defect> {
        Ok(Decoded::default())
    }

    fn held(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Resumable for Sample {
    type State = ();

    fn state(&self) -> Option<((), &[u8], &[u8])> {
        None
    }

    fn restored((): ()) -> Self {
        Self::default()
    }
}

/// Looks at the first bytes of an object, at most 64 KiB: what they inflate to is looked at by `inner`, as far as it goes.
/// The last bytes of a larger object tell nothing: neither a checksum nor a length can be held against anything.
pub fn frame(head: Head<'_>, inner: fn(Head<'_>, &[u8]) -> Result<Framed, Defect>) -> Result<Framed, Defect> {
    if head.bytes.len() < MIN_MEMBER {
        return Err(Defect::new(format!(
            "has {} bytes, and a gzip member has at least {MIN_MEMBER}",
            head.bytes.len()
        )));
    }
    let mut decoder = GzipDecoder::new(Sample::default());
    decoder.push(head.bytes)?;
    let sample = std::mem::take(&mut decoder.inner);
    if head.whole {
        decoder.finish()?;
    }
    let inflated = Head {
        bytes: &sample.bytes,
        whole: head.whole && !sample.more,
    };
    if sample.bytes.starts_with(&MAGIC) {
        return Err(Defect::new(TWICE).at(0));
    }
    // Of a longer text the end is not at hand; an empty one fits anything.
    inner(inflated, if inflated.whole { &sample.bytes } else { &[] }).map_err(inflated_defect)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, GzBuilder, write::GzEncoder};
    use proptest::prelude::*;

    use super::*;

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

    /// Stops behind the first `cut` bytes, and goes on in another decoder, if there is a place to go on at.
    fn cut<D: Resumable>(new: fn() -> D, bytes: &[u8], cut: usize, size: usize) -> Option<Result<Decoded, Defect>> {
        let mut first = GzipDecoder::new(new());
        for chunk in bytes[..cut].chunks(size) {
            if let Err(defect) = first.push(chunk) {
                return Some(Err(defect));
            }
        }
        let (offset, state) = first.checkpoint()?;
        let json = serde_json::to_string(&state).unwrap();
        let read: GzipState<D::State> = serde_json::from_str(&json).unwrap();
        assert_eq!(read, state);
        let mut second = GzipDecoder::<D>::resume(read);
        assert_eq!(second.checkpoint().unwrap(), (offset, state));
        Some(whole(&mut second, &bytes[offset as usize..], size).and_then(|()| second.finish()))
    }

    fn whole<D: Resumable>(decoder: &mut GzipDecoder<D>, bytes: &[u8], size: usize) -> Result<(), Defect> {
        bytes.chunks(size).try_for_each(|chunk| decoder.push(chunk))
    }

    #[test]
    fn csv_may_be_inside() {
        let bytes = [zipped("a,b\n1,\"ö".as_bytes()), zipped("\n\"\n2,3".as_bytes())].concat();
        let mut decoder = GzipDecoder::new(CsvDecoder::new());
        whole(&mut decoder, &bytes, 5).unwrap();
        let decoded = decoder.finish().unwrap();
        assert_eq!((decoded.rows, decoded.unterminated), (2, true));
        assert_eq!(decoded.columns, ["a", "b"]);
        let mut decoder = GzipDecoder::new(CsvDecoder::new());
        decoder.push(&zipped(b"a,b\n1,2\n3\n")).unwrap_err();
    }

    #[test]
    fn gzip_within_gzip_is_said() {
        fn found<D: Resumable>(decoder: D, bytes: &[u8], size: usize) -> Defect {
            whole(&mut GzipDecoder::new(decoder), bytes, size).unwrap_err()
        }
        let mut bytes = Vec::new();
        for level in [0, 1, 9] {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
            encoder.write_all(&zipped(b"{\"a\":1}\n")).unwrap();
            bytes = encoder.finish().unwrap();
            for size in 1..=bytes.len() {
                for defect in [
                    found(JsonlDecoder::new(), &bytes, size),
                    found(CsvDecoder::new(), &bytes, size),
                ] {
                    assert!(defect.what.contains("gzip within gzip"), "{defect}");
                    assert_eq!(defect.offset, Some(0));
                }
            }
        }
        // Behind other text it is what it always was.
        let later = [zipped(b"{\"a\":1}\n"), bytes].concat();
        assert!(found(JsonlDecoder::new(), &later, later.len()).what.contains("UTF-8"));
        let short = zipped(b"\x1f\xff");
        assert!(found(JsonlDecoder::new(), &short, 1).what.contains("UTF-8"));
    }

    #[test]
    fn another_process_goes_on_at_the_last_member() {
        let members: Vec<Vec<u8>> = ["{\"a\":1}\n{\"", "ö\":[", "1]}\n", "{}\n"]
            .map(|text| zipped(text.as_bytes()))
            .into();
        let bytes = members.concat();
        let mut decoder = GzipDecoder::new(JsonlDecoder::new());
        let mut offset = 0;
        for member in &members {
            decoder.push(&member[..8]).unwrap();
            let place = decoder.checkpoint().map(|(offset, _)| offset);
            assert_eq!(place, (offset > 0).then_some(offset));
            decoder.push(&member[8..]).unwrap();
            offset += member.len() as u64;
            assert_eq!(decoder.checkpoint().unwrap().0, offset);
        }
        // What the inner decoder must get again is bounded.
        let long = [b"{\"a\":\"".to_vec(), vec![b'x'; MAX_PENDING]].concat();
        let mut decoder = GzipDecoder::new(JsonlDecoder::new());
        decoder.push(&zipped(&long)).unwrap();
        assert_eq!(decoder.checkpoint(), None);
        decoder.push(&zipped(b"\"}\n")).unwrap();
        assert!(decoder.checkpoint().is_some());
        assert_eq!(cut(JsonlDecoder::new, &bytes, 0, 1), None);
    }

    #[test]
    fn the_ends_show_what_they_can() {
        type Inner = fn(Head<'_>, &[u8]) -> Result<Framed, Defect>;
        let framed_as = |bytes: &[u8], inner: Inner| {
            let head = &bytes[..bytes.len().min(64 << 10)];
            let whole = head.len() == bytes.len();
            frame(Head { bytes: head, whole }, inner)
        };
        let framed = |bytes: &[u8]| framed_as(bytes, super::super::jsonl::frame);
        let small = zipped(b"{\"a\":1}\n");
        assert_eq!(framed(&small).unwrap().columns, ["a"]);
        let csv = zipped(b"a,b\n1,2\n");
        assert_eq!(framed_as(&csv, super::super::csv::frame).unwrap().columns, ["a", "b"]);
        assert!(framed(&csv).unwrap_err().what.contains("not JSON"));
        assert!(framed(&zipped(&small)).unwrap_err().what.contains("gzip within gzip"));
        // What is small enough is looked at to its end.
        assert!(
            framed(&zipped(b"{\"a\":1}\n{\"a\":"))
                .unwrap_err()
                .what
                .contains("cut off")
        );
        for end in 0..small.len() {
            assert!(framed(&small[..end]).is_err(), "{end}");
        }
        let mut text = String::from("{\"a\":1,\"b\":2}\n");
        let mut number = 1_u64;
        while text.len() < 1 << 20 {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push_str(&format!("{{\"a\":\"{number:x}\"}}\n"));
        }
        let large = zipped(text.as_bytes());
        assert!(large.len() > 128 << 10);
        assert_eq!(framed(&large).unwrap().column_count, 2);
        let mut wrong = large.clone();
        wrong[3] = FLAGS_RESERVED;
        assert!(framed(&wrong).unwrap_err().what.contains("unknown flags"));
        let mut wrong = large;
        wrong[10..5000].fill(0xff);
        assert!(framed(&wrong).unwrap_err().what.contains("cannot be inflated"));
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
    proptest! {
        // Each case goes through a text once for each of its bytes.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn another_process_goes_on_at_a_member(
            parts in prop::collection::vec("([a-zé\"]{0,9},[a-z]{0,9}\n|\\{\"é\":\"[a-z]{0,9}\"\\}\n|[a-zé\",\n]{0,3}){0,6}", 1..12),
            flip in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
            split in any::<bool>(),
            size in 1usize..100,
        ) {
            let mut bytes = Vec::new();
            for part in &parts {
                // A member may end within a character.
                let (one, two) = part.as_bytes().split_at(if split { part.len() / 2 } else { 0 });
                bytes.extend([zipped(one), zipped(two)].concat());
            }
            if let Some((index, byte)) = flip {
                let index = index.index(bytes.len());
                bytes[index] ^= byte;
            }
            let mut places = 0;
            let json = run(&bytes);
            let mut decoder = GzipDecoder::new(CsvDecoder::new());
            let csv = whole(&mut decoder, &bytes, usize::MAX).and_then(|()| decoder.finish());
            for at in (0..=bytes.len()).step_by(7) {
                for (found, expected) in [(cut(JsonlDecoder::new, &bytes, at, size), &json), (cut(CsvDecoder::new, &bytes, at, size), &csv)] {
                    if let Some(found) = found {
                        places += 1;
                        prop_assert_eq!(&found, expected, "cut at {}", at);
                    }
                }
            }
            prop_assert!(places > 0 || flip.is_some());
        }
    }
}
