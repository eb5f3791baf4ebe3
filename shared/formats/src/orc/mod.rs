//! ORC, decoded stream by stream while its bytes pass once, in order.
//!
//! What must stay true: every value of every column of every stripe is decoded, and the streams of each column are held
//! against each other and against the rows that stripes and footer say: see [`stripe`]. The tail is read first, because
//! it says where the stripes lie; all else is taken in the order of the file, so that one download serves decoding and
//! the checksum. Corrupt bytes can ask for no memory, and a panic of a decompressor is a defect.
//!
//! Memory does not depend on the size of stripes or columns: a stripe of at most [`SMALL_STRIPE`] bytes is collected,
//! since its footer, which says what its bytes are, comes last; the footers of larger ones are asked for beforehand
//! ([`OrcDecoder::wanted`]), so that their bytes are decoded as they come. To that come one compression block, stored
//! and inflated, and what the tail says. Values are not gathered into arrays: what is kept of a stream is how many it
//! has and what they add up to.
//!
//! What this cannot see: ORC has no checksums, so a flipped bit in a value may decode to another value. Texts are held
//! against UTF-8 by the stream, not by the value: one that ends within a character which the next one goes on with is
//! not found. Indexes, Bloom filters and the statistics of stripes are inflated, and not held against the values; those
//! of the file are passed over. A file with encrypted columns, a compression or a type that this does not know is a
//! defect that says so.

use std::{collections::BTreeMap, ops::Range};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use self::{
    blocks::{Inflater, Splitter},
    stripe::{MAX_STRIPE_FOOTER, Stripe},
    tail::{Span, Tail},
};
use super::{Decoded, Decoder, Defect, Framed, Opened, panics::caught};

mod blocks;
mod proto;
mod records;
mod stripe;
mod tail;
mod values;

#[cfg(test)]
mod tests;

/// The largest stripe that is collected before it is decoded, in bytes as stored.
pub const SMALL_STRIPE: u64 = 4 * 1024 * 1024;
/// The largest footer with its postscript, as stored, that is taken. The metadata before it, which is statistics of the
/// stripes, may be of any length: it is read with all else, and nothing of it is held.
pub const MAX_TAIL: u64 = 16 * 1024 * 1024;
/// How much of the end of a file to read first; most tails are shorter.
pub const TAIL_GUESS: u64 = 64 * 1024;
/// The most stripe footers that are asked for, and held, at once. They are of stripes of more than [`SMALL_STRIPE`].
const PORTION: usize = 16;
/// The most bytes of stripe footers that are held; one is taken whatever its length.
const PORTION_BYTES: u64 = 2 * 1024 * 1024;
/// The footers of stripes that begin within so many bytes are asked for before they are reached.
const AHEAD: u64 = 32 * 1024 * 1024;
/// Numbers that stripes may have beside those that their length allows.
const NUMBERS: u64 = 1 << 34;
/// Numbers that a stripe may have for each of its bytes; what it leaves of them the next one may have. Four bytes may
/// stand for 512 equal numbers and inflate from next to nothing, so that without a bound 4 MiB of stripes could keep
/// the processor busy for many minutes. Real rows, which differ in something, have far fewer.
const NUMBERS_PER_BYTE: u64 = 1 << 12;
pub(super) const MAGIC: &[u8] = b"ORC";
pub(super) const NO_MAGIC: &str = "does not begin with ORC's magic number";

/// What is wrong, in words of our own.
type Fault = &'static str;

/// Decodes ORC.
///
/// How it is called:
/// 1. [`OrcDecoder::open`] with the last [`TAIL_GUESS`] bytes, and again with more if it says [`Opened::Needs`].
/// 2. To go on where another decoder stopped, [`OrcDecoder::resume`]; bytes are then pushed from the offset on that
///    [`OrcDecoder::checkpoint`] gave.
/// 3. Before each push, [`OrcDecoder::wanted`]: read each of the ranges and hand it to [`OrcDecoder::supply`]. It is
///    mostly empty: always where stripes are small, and else once in several stripes.
/// 4. [`Decoder::push`] with the next bytes, at most 32 MiB at a time.
/// 5. [`Decoder::finish`].
///
/// Who leaves out step 3 gets the same result, but a stripe is then held whole while it is decoded.
#[derive(Debug)]
pub struct OrcDecoder {
    tail: Tail,
    inflater: Inflater,
    /// The stripe that is awaited or being decoded.
    current: usize,
    stage: Stage,
    /// The largest stripe that is collected.
    small: u64,
    /// Footers of stripes to come, as stored, by the stripe's index.
    footers: BTreeMap<usize, Bytes>,
    /// Cuts the metadata.
    metadata: Splitter,
    /// How many numbers the next stripe may have, beside those that its length allows.
    room: u64,
    /// Offset of the next byte to be pushed.
    offset: u64,
    size: u64,
    rows: u64,
}

/// Where in a stripe the next byte lies.
#[derive(Debug)]
enum Stage {
    /// Before it.
    Between,
    /// In one whose footer is not known. Its bytes so far.
    Collecting(Vec<u8>),
    /// In one whose footer is known.
    Decoding(Box<Stripe>, Bytes),
}

/// What [`OrcDecoder::resume`] needs to go on: the stripes before were decoded, and had so many rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrcState {
    /// Index of the next stripe, from 0.
    pub stripe: u64,
    /// Rows of the stripes before it.
    pub rows: u64,
}

impl OrcDecoder {
    /// Opens a file of `size` bytes by its last bytes, those from `tail_start` on.
    pub fn open(size: u64, tail_start: u64, tail: &Bytes) -> Result<Opened<Self>, Defect> {
        let opened = caught(|| Tail::read(size, tail_start, tail))
            .unwrap_or_else(|| Err(Err(Defect::new("has a corrupt ORC footer"))));
        let mut decoder = match opened {
            Ok(tail) => Self {
                inflater: Inflater::new(tail.blocks),
                tail,
                current: 0,
                stage: Stage::Between,
                small: SMALL_STRIPE,
                footers: BTreeMap::new(),
                metadata: Splitter::default(),
                room: NUMBERS,
                offset: 0,
                size,
                rows: 0,
            },
            Err(Ok(earlier)) => return Ok(Opened::Needs(earlier)),
            Err(Err(defect)) => return Err(defect),
        };
        for (number, span) in (1..).zip(&decoder.tail.stripes) {
            if !decoder.is_small(span) && span.end - span.footer > MAX_STRIPE_FOOTER {
                return Err(Defect::new(format!(
                    "has a footer of more than {} MiB, the most that is taken",
                    MAX_STRIPE_FOOTER >> 20
                ))
                .in_stripe(number));
            }
        }
        // What is needed first may have come already.
        for range in decoder.wanted() {
            if range.start >= tail_start {
                let bytes = &tail[(range.start - tail_start) as usize..(range.end - tail_start) as usize];
                decoder.supply(range, Bytes::copy_from_slice(bytes))?;
            }
        }
        Ok(Opened::Ready(Box::new(decoder)))
    }

    /// What the ends of the file show: its columns and the rows that its footer says.
    #[must_use]
    pub fn frame(&self) -> Framed {
        Framed {
            columns: self.tail.columns.clone(),
            column_count: self.tail.column_count(),
            rows: Some(self.tail.rows),
            ..Framed::default()
        }
    }

    /// The most bytes that this decoder holds, whatever is pushed, if it is given what it wants.
    #[must_use]
    pub fn needs(&self) -> u64 {
        let stripes = || self.tail.stripes.iter();
        let collected = stripes().filter(|span| self.is_small(span)).map(Span::length).max();
        let footers = stripes()
            .filter(|span| !self.is_small(span))
            .map(|span| span.end - span.footer);
        let longest = footers.clone().max().unwrap_or_default();
        let footers = footers.sum::<u64>().min(PORTION_BYTES.max(longest));
        collected.unwrap_or_default() + footers + longest + self.tail.blocks.needs() + values::HELD
    }

    /// The parts of the file that are to be [supplied](Self::supply) before more is pushed, in the order of the file:
    /// footers of stripes, at most 16.
    #[must_use]
    pub fn wanted(&self) -> Vec<Range<u64>> {
        let near = self.offset.saturating_add(AHEAD);
        let begun = usize::from(!matches!(self.stage, Stage::Between));
        let mut wanted = Vec::new();
        let (mut count, mut bytes, mut due) = (0, 0, false);
        for (index, span) in self.tail.stripes.iter().enumerate().skip(self.current + begun) {
            // Small stripes need nothing, however many they are.
            if self.is_small(span) {
                if span.start > near {
                    break;
                }
                continue;
            }
            bytes += span.end - span.footer;
            if count == PORTION || (count > 0 && bytes > PORTION_BYTES) {
                break;
            }
            count += 1;
            if !self.footers.contains_key(&index) {
                due |= span.start <= near;
                wanted.push(span.footer());
            }
        }
        if due { wanted } else { Vec::new() }
    }

    /// Takes a part that was [wanted](Self::wanted). One that was not is a defect.
    pub fn supply(&mut self, range: Range<u64>, bytes: Bytes) -> Result<(), Defect> {
        let index = self.tail.stripes.partition_point(|span| span.start < range.start);
        let index = index.checked_sub(1).filter(|index| {
            let span = &self.tail.stripes[*index];
            !self.is_small(span) && span.footer() == range && bytes.len() as u64 == range.end - range.start
        });
        let Some(index) = index else {
            return Err(Defect::new("was supplied with bytes that nobody wanted").at(range.start));
        };
        if index >= self.current {
            self.footers.insert(index, bytes);
        }
        Ok(())
    }

    /// Where to go on from in another process, an offset at which a stripe ended, or 0, and with what state.
    #[must_use]
    pub fn checkpoint(&self) -> Option<(u64, OrcState)> {
        let state = OrcState {
            stripe: self.current as u64,
            rows: self.rows,
        };
        Some((self.begin(), state))
    }

    /// Goes on from a checkpoint of the same file. Bytes are to be pushed from its offset on.
    pub fn resume(mut self, state: &OrcState) -> Result<Self, Defect> {
        let before = usize::try_from(state.stripe)
            .ok()
            .and_then(|stripe| self.tail.stripes.get(..stripe))
            .filter(|before| before.iter().map(|span| span.rows).sum::<u64>() == state.rows)
            .ok_or_else(|| Defect::new("is not the file that was begun: its stripes have other rows"))?;
        self.current = before.len();
        self.rows = state.rows;
        self.offset = self.begin();
        self.stage = Stage::Between;
        self.footers.retain(|index, _| *index >= self.current);
        Ok(self)
    }

    /// Where the bytes begin that the current stripe waits for: the end of the one before.
    fn begin(&self) -> u64 {
        let before = self
            .current
            .checked_sub(1)
            .and_then(|index| self.tail.stripes.get(index));
        before.map_or(0, |span| span.end)
    }

    const fn is_small(&self, span: &Span) -> bool {
        span.length() <= self.small
    }

    fn take(&mut self, mut chunk: &[u8]) -> Result<(), Defect> {
        while let [first, ..] = chunk {
            let expected = usize::try_from(self.offset).ok().and_then(|offset| MAGIC.get(offset));
            let taken = match (expected, self.tail.stripes.get(self.current).copied()) {
                (Some(expected), _) if first != expected => {
                    return Err(Defect::new(NO_MAGIC).at(0));
                }
                (Some(_), _) => 1,
                (None, None) => self.behind(chunk)?,
                (None, Some(span)) if self.offset < span.start => within(chunk, self.offset, span.start),
                (None, Some(span)) => self
                    .stripe(span, chunk)
                    .map_err(|defect| defect.in_stripe(self.current as u64 + 1))?,
            };
            chunk = &chunk[taken..];
            self.offset += taken as u64;
        }
        Ok(())
    }

    /// Takes bytes behind the last stripe; gives how many. Of the metadata it is seen that it can be inflated.
    fn behind(&mut self, chunk: &[u8]) -> Result<usize, Defect> {
        let Range { start, end } = self.tail.metadata;
        if self.offset < start {
            return Ok(within(chunk, self.offset, start));
        }
        if self.offset >= end {
            return Ok(chunk.len());
        }
        let taken = within(chunk, self.offset, end);
        let corrupt = |fault: Fault| Defect::new(format!("has corrupt ORC metadata: {fault}")).at(start);
        self.metadata
            .push(&mut self.inflater, &chunk[..taken], |_| Ok(()))
            .map_err(corrupt)?;
        if self.offset + taken as u64 == end {
            self.metadata.end().map_err(corrupt)?;
        }
        Ok(taken)
    }

    /// Takes bytes of the current stripe; gives how many.
    fn stripe(&mut self, span: Span, chunk: &[u8]) -> Result<usize, Defect> {
        let types = &self.tail.types;
        let begin = |footer: &[u8]| Stripe::new(span, footer, self.tail.blocks, types, self.room);
        if let Stage::Between = self.stage {
            self.stage = match self.footers.remove(&self.current) {
                Some(footer) => Stage::Decoding(Box::new(begin(&footer)?), footer),
                None => Stage::Collecting(Vec::new()),
            };
        }
        let taken = match &mut self.stage {
            Stage::Decoding(stripe, _) if self.offset < span.footer => {
                let taken = within(chunk, self.offset, span.footer);
                stripe.push(&mut self.inflater, types, &chunk[..taken])?;
                taken
            }
            Stage::Decoding(_, footer) => {
                let taken = within(chunk, self.offset, span.end);
                let from = (self.offset - span.footer) as usize;
                if footer.get(from..from + taken) != chunk.get(..taken) {
                    return Err(Defect::new("has another footer than was read before").at(span.footer));
                }
                taken
            }
            Stage::Collecting(collected) => {
                let taken = within(chunk, self.offset, span.end);
                // Exactly what is needed: growing by doubling would hold up to twice of it.
                collected.reserve_exact(span.length() as usize - collected.len());
                collected.extend_from_slice(&chunk[..taken]);
                taken
            }
            Stage::Between => 0,
        };
        if self.offset + taken as u64 == span.end {
            let (rows, room) = match std::mem::replace(&mut self.stage, Stage::Between) {
                Stage::Decoding(mut stripe, _) => (stripe.end(types)?, stripe.room()),
                Stage::Collecting(collected) => {
                    let (streams, footer) = collected.split_at((span.footer - span.start) as usize);
                    let mut stripe = begin(footer)?;
                    stripe.push(&mut self.inflater, types, streams)?;
                    (stripe.end(types)?, stripe.room())
                }
                Stage::Between => (0, self.room),
            };
            self.rows += rows;
            self.room = room.min(NUMBERS);
            self.current += 1;
        }
        Ok(taken)
    }
}

/// How many bytes of `chunk`, which begins at `offset`, lie before `end`.
fn within(chunk: &[u8], offset: u64, end: u64) -> usize {
    (chunk.len() as u64).min(end.saturating_sub(offset)) as usize
}

impl Decoder for OrcDecoder {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Defect> {
        caught(|| self.take(chunk)).unwrap_or_else(|| {
            let stripe = self.current as u64 + 1;
            Err(Defect::new("is corrupt: its decoder gave up").in_stripe(stripe))
        })
    }

    fn finish(self) -> Result<Decoded, Defect> {
        if self.offset != self.size {
            return Err(Defect::new("ended before the size that it was opened with").at(self.offset));
        }
        if self.tail.rows != self.rows {
            return Err(Defect::new(format!(
                "has {} rows in its stripes, its footer says {}",
                self.rows, self.tail.rows
            )));
        }
        Ok(Decoded {
            rows: self.rows,
            column_count: self.tail.column_count(),
            columns: self.tail.columns,
            ..Decoded::default()
        })
    }

    fn held(&self) -> usize {
        let stage = match &self.stage {
            Stage::Between => 0,
            Stage::Collecting(collected) => collected.capacity(),
            Stage::Decoding(stripe, footer) => stripe.held() + footer.len(),
        };
        let footers = self.footers.values().map(Bytes::len).sum::<usize>();
        stage + self.inflater.held() + self.metadata.held() + footers
    }
}
