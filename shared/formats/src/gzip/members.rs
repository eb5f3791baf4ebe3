//! The members of a gzip file.
//!
//! What must stay true: any byte between two members is a defect; zeros may follow the last one. Everything that a
//! member inflates to before a wrong byte is handed on before the defect is reported.

use std::fmt;

use flate2::{Decompress, DecompressError, FlushDecompress, Status};

use crate::defect::Defect;

/// How many inflated bytes are handed on at a time. Not less than the inflater's window.
pub(super) const SCRATCH: usize = 64 * 1024;
pub(crate) const MAGIC: [u8; 2] = [0x1f, 0x8b];
/// The size of the inflater's window as a power of two: the largest that exists.
const WINDOW: u8 = 15;

/// Inflates members one after another.
pub(super) struct Members {
    state: State,
    inflate: Decompress,
    scratch: Box<[u8]>,
    /// Offset of the next byte to push.
    offset: u64,
    /// How many members have ended.
    ended: u64,
    /// Offset of the current member.
    began: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before a member, or after the last one.
    Between,
    Within,
    /// In zero bytes after the last member.
    Padding,
}

/// Takes the bytes that members inflate to.
pub(super) trait Sink {
    /// Takes the next bytes. Their member begins at offset `began`.
    fn take(&mut self, inflated: &[u8], began: u64) -> Result<(), Defect>;

    /// Called when a member has ended: how many have ended, and at which offset.
    fn member(&mut self, ended: u64, offset: u64);
}

impl Members {
    /// Begins at an offset, with `ended` members before it.
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

    /// Inflates bytes of a member, and answers how many were taken.
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
                // If the scratch is full, the inflater may hold more.
                Ok(_) if taken == chunk.len() && written < self.scratch.len() => return Ok(taken),
                Ok(_) if read > 0 || written > 0 => {}
                Ok(_) => return Err(self.defect("cannot be inflated", self.began)),
                Err(error) => return Err(self.fault(&error)),
            }
        }
    }

    /// The defect of the current member, from the inflater's error.
    fn fault(&self, error: &DecompressError) -> Defect {
        let (what, at) = match error.message().unwrap_or_default() {
            "incorrect header check" => ("does not begin with gzip's magic number", self.began),
            "unknown compression method" => ("is compressed by an unknown method", self.began),
            "unknown header flags set" => ("has a header with unknown flags", self.began),
            "header crc mismatch" => ("has a header that is not of its checksum", self.began),
            // The four bytes before this one are wrong.
            "incorrect data check" => ("is not of its checksum (CRC-32)", self.offset - 4),
            "incorrect length check" => ("is not of its length", self.offset - 4),
            _ => ("cannot be inflated", self.began),
        };
        self.defect(what, at)
    }

    fn defect(&self, what: &str, at: u64) -> Defect {
        Defect::new(format!("gzip member {} {what}", self.ended + 1)).at(at)
    }

    /// Must be called after all bytes were pushed.
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

    /// How many members have ended, and where the last one did. `None` if another one has begun, or if members before
    /// were skipped.
    pub(super) fn between(&self) -> Option<(u64, u64)> {
        (self.state == State::Between && self.ended > 0).then_some((self.ended, self.offset))
    }

    /// How many bytes are held in addition to the inflater's window.
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
