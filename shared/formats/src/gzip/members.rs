//! The members of a gzip file.
//!
//! What must stay true: a byte between two members is a defect; zeros may stand behind the last one. All that a
//! member inflates to before a fault is handed on before the fault is reported.

use std::fmt;

use flate2::{Decompress, DecompressError, FlushDecompress, Status};

use crate::defect::Defect;

/// Inflated bytes that are passed on at once; not less than the inflater's window.
pub(super) const SCRATCH: usize = 64 * 1024;
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The size of the inflater's window as a power of two: the largest there is.
const WINDOW: u8 = 15;

/// Inflates members one after another.
pub(super) struct Members {
    state: State,
    inflate: Decompress,
    scratch: Box<[u8]>,
    /// Offset of the next byte to be pushed.
    offset: u64,
    /// Members that ended.
    ended: u64,
    /// Where the member begins that is being read.
    began: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a member, or behind the last one.
    Between,
    Within,
    /// In zero bytes behind the last member.
    Padding,
}

/// Takes what members inflate to.
pub(super) trait Sink {
    /// Takes the next bytes, which are of a member that begins at this offset.
    fn take(&mut self, inflated: &[u8], began: u64) -> Result<(), Defect>;

    /// Says that a member has ended: how many have, and where it did.
    fn member(&mut self, ended: u64, offset: u64);
}

impl Members {
    /// Those that begin at an offset, with so many before them.
    pub(super) fn new(offset: u64, ended: u64) -> Self {
        Self {
            state: State::Between,
            inflate: Decompress::new_gzip(WINDOW),
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            offset,
            ended,
            began: offset,
        }
    }

    pub(super) fn push(&mut self, mut chunk: &[u8], sink: &mut impl Sink) -> Result<(), Defect> {
        while let [first, ..] = chunk {
            let taken = match self.state {
                State::Between if self.ended > 0 && *first == 0 => {
                    self.state = State::Padding;
                    0
                }
                State::Between if self.ended > 0 && *first != MAGIC[0] => {
                    return Err(Defect::new("is followed by bytes that are no gzip member").at(self.offset));
                }
                State::Between => {
                    if self.offset != self.began {
                        self.inflate.reset(true);
                    }
                    self.began = self.offset;
                    self.state = State::Within;
                    0
                }
                State::Within => self.inflate(chunk, sink)?,
                State::Padding => match chunk.iter().position(|byte| *byte != 0) {
                    Some(other) => {
                        return Err(Defect::new("has something behind its zero padding").at(self.offset + other as u64));
                    }
                    None => {
                        self.offset += chunk.len() as u64;
                        chunk.len()
                    }
                },
            };
            chunk = &chunk[taken..];
        }
        Ok(())
    }

    /// Inflates what has come of a member; gives how much of it was taken.
    fn inflate(&mut self, chunk: &[u8], sink: &mut impl Sink) -> Result<usize, Defect> {
        let mut taken = 0;
        loop {
            let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
            let result = self
                .inflate
                .decompress(&chunk[taken..], &mut self.scratch, FlushDecompress::None);
            let read = (self.inflate.total_in() - read) as usize;
            let written = (self.inflate.total_out() - written) as usize;
            taken += read;
            self.offset += read as u64;
            sink.take(&self.scratch[..written], self.began)?;
            match result {
                Ok(Status::StreamEnd) => {
                    self.state = State::Between;
                    self.ended += 1;
                    sink.member(self.ended, self.offset);
                    return Ok(taken);
                }
                // A full scratch may leave some in the inflater.
                Ok(_) if taken == chunk.len() && written < self.scratch.len() => return Ok(taken),
                Ok(_) if read > 0 || written > 0 => {}
                Ok(_) => return Err(self.defect("cannot be inflated", self.began)),
                Err(error) => return Err(self.fault(&error)),
            }
        }
    }

    /// What is wrong with the member that is being read, by what the inflater says.
    fn fault(&self, error: &DecompressError) -> Defect {
        let (what, at) = match error.message().unwrap_or_default() {
            "incorrect header check" => ("does not begin with gzip's magic number", self.began),
            "unknown compression method" => ("is compressed by an unknown method", self.began),
            "unknown header flags set" => ("has a header with unknown flags", self.began),
            "header crc mismatch" => ("has a header that is not of its checksum", self.began),
            // The four bytes before tell.
            "incorrect data check" => ("is not of its checksum (CRC-32)", self.offset - 4),
            "incorrect length check" => ("is not of its length", self.offset - 4),
            _ => ("cannot be inflated", self.began),
        };
        self.defect(what, at)
    }

    fn defect(&self, what: &str, at: u64) -> Defect {
        Defect::new(format!("gzip member {} {what}", self.ended + 1)).at(at)
    }

    /// Says that all bytes were pushed.
    pub(super) fn finish(&self) -> Result<(), Defect> {
        match self.state {
            State::Between if self.ended == 0 => Err(Defect::new("holds no gzip member")),
            State::Between | State::Padding => Ok(()),
            State::Within => {
                let what = format!("ends within gzip member {}: it is cut off", self.ended + 1);
                Err(Defect::new(what).at(self.offset))
            }
        }
    }

    /// How many members have ended, and where the last one did, if no other has begun and none is missing before.
    pub(super) fn between(&self) -> Option<(u64, u64)> {
        (self.state == State::Between && self.ended > 0).then_some((self.ended, self.offset))
    }

    /// Bytes that are held beside the inflater's window.
    pub(super) fn held(&self) -> usize {
        self.scratch.len()
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members")
            .field("state", &self.state)
            .field("offset", &self.offset)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
