//! Cuts a text into lines and counts them.
//!
//! What must stay true: at most one line is held, of at most [`MAX_LINE`] bytes. The first line gives the names of the
//! columns. A blank line before another line is a defect.

use fearless_simd::{Level, dispatch};

use super::{
    filter::filter,
    halves::{self, Halves},
    parse::{Keys, Object, fault},
};
use crate::{decoded::Decoded, defect::Defect};

/// The longest line that is accepted, in bytes.
pub const MAX_LINE: usize = 16 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The beginning of a line that has not ended yet.
    pub(super) carry: Vec<u8>,
    /// How many lines have ended.
    pub(super) ended: u64,
    /// The first of the blank lines at the end so far.
    pub(super) blank: Option<u64>,
    pub(super) halves: Option<Halves>,
    pub(super) decoded: Decoded,
}

impl Lines {
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), Defect> {
        if !self.carry.is_empty() {
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                return self.keep(bytes);
            };
            self.keep(&bytes[..end])?;
            let mut line = std::mem::take(&mut self.carry);
            line.reserve_exact(1);
            line.push(b'\n');
            self.whole(&line)?;
            line.clear();
            self.carry = line;
            bytes = &bytes[end + 1..];
        }
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1);
        self.whole(&bytes[..whole])?;
        self.keep(&bytes[whole..])
    }

    /// Takes lines that all end with a line break.
    fn whole(&mut self, mut lines: &[u8]) -> Result<(), Defect> {
        while !lines.is_empty() {
            // The first line must be parsed for its keys, and after a blank line any line is a defect.
            if self.decoded.rows > 0 && self.blank.is_none() && lines.len() <= MAX_LINE {
                let level = Level::new();
                let (rows, taken) = dispatch!(level, simd => filter(simd, lines));
                self.ended += rows;
                self.decoded.rows += rows;
                lines = &lines[taken..];
            }
            let Some(end) = memchr::memchr(b'\n', lines) else {
                break;
            };
            self.line(&lines[..end], false)?;
            lines = &lines[end + 1..];
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Defect> {
        if bytes.len() > MAX_LINE - self.carry.len() {
            return Err(self.too_long());
        }
        // Ask for room as it is needed, and never double it beyond the limit.
        if self.carry.capacity() - self.carry.len() < bytes.len() {
            let wanted = (self.carry.len() + bytes.len()).next_power_of_two().min(MAX_LINE);
            self.carry.reserve_exact(wanted - self.carry.len());
        }
        self.carry.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn line(&mut self, line: &[u8], last: bool) -> Result<(), Defect> {
        if line.len() > MAX_LINE {
            return Err(self.too_long());
        }
        if line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            self.ended += 1;
            self.blank.get_or_insert(self.ended);
            return Ok(());
        }
        if let Some(blank) = self.blank {
            return Err(Defect::new("is blank, and further lines follow").on_line(blank));
        }
        let first = self.decoded.rows == 0;
        let parsed = if first {
            serde_json::from_slice::<Keys>(line).map(|keys| {
                self.decoded.columns = keys.names;
                self.decoded.column_count = keys.count;
            })
        } else {
            serde_json::from_slice::<Object>(line).map(drop)
        };
        parsed.map_err(|error| self.placed(fault(&error, line, last)))?;
        self.ended += 1;
        self.decoded.rows += 1;
        let count = halves::count(line);
        if count > 0 {
            let line = self.ended;
            self.halves.get_or_insert(Halves { count: 0, line }).count += count;
        }
        Ok(())
    }

    /// What was decoded, with the remarks on it.
    pub(super) fn decoded(mut self) -> Decoded {
        if let Some(halves) = self.halves {
            self.decoded.remarks.add(halves.remark());
        }
        self.decoded
    }

    fn too_long(&self) -> Defect {
        self.placed(Defect::new(format!(
            "is longer than {} MiB, the most that is taken for one line",
            MAX_LINE >> 20
        )))
    }

    pub(super) fn placed(&self, defect: Defect) -> Defect {
        if defect.line.is_some() {
            return defect;
        }
        defect.on_line(self.ended + 1).in_record(self.decoded.rows + 1)
    }
}
