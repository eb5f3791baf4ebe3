//! Takes the bytes of a file in order, stripe by stripe.
//!
//! What must stay true: the result is the same whether or not the caller supplies the wanted parts. If the footer of a
//! stripe was supplied, the stripe is decoded as its bytes come. Otherwise it is decoded when all of its bytes have
//! come.

use std::{collections::BTreeMap, ops::Range};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    blocks::{Inflater, Splitter},
    fault::Fault,
    stripe::{MAX_STRIPE_FOOTER, Stripe},
    tail::{MAGIC, Span, Tail},
    values,
};
use crate::{
    decoded::{Decoded, Framed},
    decoder::{Begin, Checkpoint, Decoder, Opened, not_wanted},
    defect::Defect,
    panics::caught,
};

/// The largest stripe that is collected before it is decoded, in stored bytes.
pub(super) const SMALL_STRIPE: u64 = 4 * 1024 * 1024;
/// How much of the end of a file to read first. Most tails are shorter.
pub const TAIL_GUESS: u64 = 64 * 1024;
/// How many stripe footers are wanted and held at a time, at most. They belong to stripes of more than
/// [`SMALL_STRIPE`].
pub(super) const PORTION: usize = 16;
/// How many bytes of stripe footers are held, at most. One footer is taken whatever its length.
pub(super) const PORTION_BYTES: u64 = 2 * 1024 * 1024;
/// A footer is wanted when its stripe begins within this many bytes.
pub(super) const AHEAD: u64 = 32 * 1024 * 1024;
/// How many numbers stripes may have in addition to those that their length allows.
pub(super) const NUMBERS: u64 = 1 << 34;
const NO_MAGIC: &str = "does not begin with ORC's magic number";
/// The name in its checkpoints.
const NAME: &str = "orc";

/// Decodes ORC.
///
/// How to call it:
/// 1. [`OrcDecoder::open`] with the last [`TAIL_GUESS`] bytes, and again with more if it answers [`Opened::Needs`].
/// 2. [`Decoder::resume`] to continue where another decoder stopped. The next byte to push is then at the checkpoint's
///    offset.
/// 3. Before each push, [`Decoder::wanted`]. Read each of the ranges and give it to [`Decoder::supply`]. For small
///    stripes there are none; for others there are some once in several stripes.
/// 4. [`Decoder::push`] with the next bytes, at most 32 MiB at a time.
/// 5. [`Decoder::finish`].
///
/// Without step 3 the result is the same, but each stripe is held as a whole while it is decoded.
#[derive(Debug)]
pub struct OrcDecoder {
    pub(super) tail: Tail,
    inflater: Inflater,
    /// The stripe that comes next or is being decoded.
    current: usize,
    pub(super) stage: Stage,
    /// The largest stripe that is collected.
    pub(super) small: u64,
    /// Stored footers of later stripes, by the stripe's index.
    footers: BTreeMap<usize, Bytes>,
    /// Cuts the metadata into blocks.
    metadata: Splitter,
    /// How many numbers the next stripe may have in addition to those that its length allows.
    pub(super) room: u64,
    /// Offset of the next byte to push.
    offset: u64,
    size: u64,
    pub(super) rows: u64,
}

/// Where in a stripe the next byte is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Before the stripe.
    Between,
    /// In a stripe whose footer is not known; the stripe's bytes so far.
    Collecting(Vec<u8>),
    /// In a stripe whose footer is known.
    Decoding(Box<Stripe>, Bytes),
}

/// What another process needs to continue: how many stripes were decoded, and their rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OrcState {
    /// Index of the next stripe, from 0.
    pub(super) stripe: u64,
    /// Rows of the stripes before it.
    pub(super) rows: u64,
}

impl OrcDecoder {
    /// Opens a file of `size` bytes from its last bytes, those from `tail_start` on.
    pub fn open(size: u64, tail_start: u64, tail: &Bytes) -> Result<Opened<Self>, Defect> {
        let opened = caught(|| Tail::read(size, tail_start, tail))
            .unwrap_or_else(|| Err(Defect::new("has a corrupt ORC footer")))?;
        let tail_read = match opened {
            Opened::Needs(earlier) => return Ok(Opened::Needs(earlier)),
            Opened::Ready(tail) => *tail,
        };
        let mut decoder = Self {
            inflater: Inflater::new(tail_read.blocks),
            tail: tail_read,
            current: 0,
            stage: Stage::Between,
            small: SMALL_STRIPE,
            footers: BTreeMap::new(),
            metadata: Splitter::default(),
            room: NUMBERS,
            offset: 0,
            size,
            rows: 0,
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
        // The parts that are wanted first may be in the tail.
        for range in decoder.wanted() {
            if range.start >= tail_start {
                let bytes = &tail[(range.start - tail_start) as usize..(range.end - tail_start) as usize];
                decoder.supply(range, Bytes::copy_from_slice(bytes))?;
            }
        }
        Ok(Opened::Ready(Box::new(decoder)))
    }

    /// The offset of the current stripe's first byte: the end of the stripe before.
    fn begin_of_stripe(&self) -> u64 {
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

    /// Takes bytes after the last stripe and answers how many. Checks that the metadata can be inflated.
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

    /// Takes bytes of the current stripe and answers how many.
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
                // Exactly as much as needed, because doubling would hold up to twice of it.
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

/// How many bytes of `chunk`, which begins at `offset`, are before `end`.
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

    fn finish(self: Box<Self>) -> Result<Decoded, Defect> {
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

    /// If all wanted parts are supplied.
    fn needs(&self, _size: u64) -> u64 {
        let stripes = || self.tail.stripes.iter();
        let collected = stripes().filter(|span| self.is_small(span)).map(Span::length).max();
        let footers = stripes()
            .filter(|span| !self.is_small(span))
            .map(|span| span.end - span.footer);
        let longest = footers.clone().max().unwrap_or_default();
        let footers = footers.sum::<u64>().min(PORTION_BYTES.max(longest));
        collected.unwrap_or_default() + footers + longest + self.tail.blocks.needs() + values::HELD
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        let state = OrcState {
            stripe: self.current as u64,
            rows: self.rows,
        };
        Checkpoint::new(NAME, self.begin_of_stripe(), &state)
    }

    fn resume(mut self: Box<Self>, checkpoint: Checkpoint) -> Result<Box<dyn Decoder>, Defect> {
        let state: OrcState = checkpoint.state(NAME)?;
        let before = usize::try_from(state.stripe)
            .ok()
            .and_then(|stripe| self.tail.stripes.get(..stripe))
            .filter(|before| before.iter().map(|span| span.rows).sum::<u64>() == state.rows)
            .ok_or_else(|| Defect::new("is not the file that was begun: its stripes have other rows"))?;
        self.current = before.len();
        self.rows = state.rows;
        self.offset = self.begin_of_stripe();
        self.stage = Stage::Between;
        self.footers.retain(|index, _| *index >= self.current);
        Ok(self)
    }

    /// Footers of stripes in the order of the file, at most 16.
    fn wanted(&self) -> Vec<Range<u64>> {
        let near = self.offset.saturating_add(AHEAD);
        let begun = usize::from(!matches!(self.stage, Stage::Between));
        let mut wanted = Vec::new();
        let (mut count, mut bytes, mut due) = (0, 0, false);
        for (index, span) in self.tail.stripes.iter().enumerate().skip(self.current + begun) {
            // Small stripes want nothing, however many there are.
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

    fn supply(&mut self, range: Range<u64>, bytes: Bytes) -> Result<(), Defect> {
        let index = self.tail.stripes.partition_point(|span| span.start < range.start);
        let index = index.checked_sub(1).filter(|index| {
            let span = &self.tail.stripes[*index];
            !self.is_small(span) && span.footer() == range && bytes.len() as u64 == range.end - range.start
        });
        let Some(index) = index else {
            return Err(not_wanted(&range));
        };
        if index >= self.current {
            self.footers.insert(index, bytes);
        }
        Ok(())
    }

    fn begin(&self) -> Option<Begin> {
        Some(Begin::at(0, MAGIC, NO_MAGIC))
    }

    /// What the ends of the file show: its columns, and the rows that its footer says.
    fn frame(&self) -> Framed {
        Framed {
            columns: self.tail.columns.clone(),
            column_count: self.tail.column_count(),
            rows: Some(self.tail.rows),
            ..Framed::default()
        }
    }
}
