//! Goes over the bytes of a text in one reading.
//!
//! What must stay true: the result depends on the bytes alone, not on how they are cut into chunks. Only the automaton
//! says what is wrong.
//!
//! The scan takes whole blocks as long as nothing in them is unusual. An unusual block goes to the automaton, byte by
//! byte, and then the scan goes on. The automaton takes all bytes before the end of the header, and while another
//! character than the comma is suspected to delimit fields.

use fearless_simd::{Level, dispatch};

use super::{
    automaton::{End, Place, step},
    records::Records,
    scan::{BLOCK, Scanned, scan},
};
use crate::{defect::Defect, text::BOM};

impl Records {
    /// Takes bytes. If it watches for a backslash before a quote within quotes, it stops before such a quote and
    /// answers how many bytes it took.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Option<usize>, Defect> {
        // Where the current record begins, if it begins in these bytes.
        let mut begin = None;
        let (mut at, mut forks) = (0, false);
        while at < bytes.len() && !forks {
            let mut to = bytes.len();
            if let Some(header) = self.header
                && self.suspects.is_empty()
            {
                let level = Level::new();
                let Scanned { at: stopped, unusual } =
                    dispatch!(level, simd => scan(simd, self, header, bytes, at, &mut begin));
                at = stopped;
                if unusual {
                    to = at + BLOCK;
                }
            }
            (at, forks) = self.walk(bytes, at, to, &mut begin)?;
        }
        if self.place != Place::Fresh {
            let part = &bytes[begin.unwrap_or(0)..at];
            if self.header.is_none() {
                self.keep_heading(part);
            } else {
                let so_far = if begin.is_some() { Some(0) } else { self.same };
                self.same = so_far.and_then(|at| self.matches(at, part));
            }
        }
        Ok(forks.then_some(at))
    }

    /// Shows the automaton the bytes from `at` to `to`. Stops earlier if a record ends that may change how the next one
    /// is read, or if the next byte can be read in another way. Answers where it stopped, and whether for the second
    /// reason.
    fn walk(
        &mut self,
        bytes: &[u8],
        mut at: usize,
        to: usize,
        begin: &mut Option<usize>,
    ) -> Result<(usize, bool), Defect> {
        while at < to {
            let byte = bytes[at];
            if self.place == Place::Fresh && !matches!(byte, b'\r' | b'\n') {
                // A second byte order mark before the header is not part of it either.
                if self.header.is_none() && bytes[at..].starts_with(&BOM) {
                    at += BOM.len();
                    continue;
                }
                self.line = self.breaks + 1;
                *begin = Some(at);
            }
            if self.watch && self.place == Place::Backslash && byte == b'"' {
                return Ok((at, true));
            }
            let before = self.place;
            let (place, end) = step(before, byte, b',', self.quotes);
            self.line_end(byte, before, place);
            self.place = place;
            self.watch &= !(before == Place::Closed && place == Place::Quoted);
            let watchful = self.header.is_none() || !self.suspects.is_empty();
            self.suspects.take(byte, self.quotes);
            match end {
                End::Nothing => {}
                End::Field => self.delimiters += 1,
                End::Text => return Err(self.text_behind(byte)),
                End::Record => {
                    self.record(&bytes[begin.unwrap_or(0)..at], begin.is_none())?;
                    if watchful {
                        return Ok((at + 1, false));
                    }
                }
            }
            at += 1;
        }
        Ok((at, false))
    }
}
