//! The records of a text, by one way to read its quotes.
//!
//! What must stay true: what is found depends on the bytes alone, not on how they come; the automaton alone says what is
//! wrong.

use fearless_simd::{Level, dispatch};
use serde::{Deserialize, Serialize};

use super::{
    automaton::{End, Place, Quotes, step},
    delimiters::{Suspects, looks_delimited, may_delimit},
    scan::{BLOCK, Scanned, scan},
};
use crate::{Decoded, Defect, MAX_COLUMNS, Remark, column_name, text::BOM};

/// Bytes of the header that are kept for its names.
pub(super) const MAX_HEADER: usize = 128 * 1024;

/// The records so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Records {
    pub(super) quotes: Quotes,
    /// Whether a backslash before a quote within quotes has to be told, since it can be read in another way: not any
    /// more behind the first such, nor behind two quotes for one, which the other way knows nothing of.
    pub(super) watch: bool,
    pub(super) place: Place,
    /// Delimiters in the current record.
    pub(super) delimiters: u64,
    pub(super) rows: u64,
    /// LF bytes so far.
    pub(super) breaks: u64,
    /// Line at which the current record begins.
    pub(super) line: u64,
    /// Whether the byte before was a CR outside quotes.
    pub(super) after_cr: bool,
    /// CR outside quotes that no LF followed.
    pub(super) lone_crs: u64,
    /// Of one column: lines behind the header that are empty.
    pub(super) empty_lines: u64,
    /// If all that earlier pushes held of the current record is a begin of the header: how much.
    same: Option<usize>,
    /// The header's bytes, as far as they came and are kept.
    pub(super) heading: String,
    /// Once the header is complete.
    pub(super) header: Option<Header>,
    /// Of one column: what else may delimit fields.
    suspects: Suspects,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) fields: u64,
    line: u64,
    /// Whether all of it was kept.
    pub(super) kept: bool,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            quotes: Quotes::Doubled,
            watch: true,
            place: Place::Fresh,
            delimiters: 0,
            rows: 0,
            breaks: 0,
            line: 1,
            after_cr: false,
            lone_crs: 0,
            empty_lines: 0,
            same: None,
            heading: String::new(),
            header: None,
            suspects: Suspects::default(),
        }
    }
}

impl Records {
    /// What comes next, read in the other way; this reading goes on without watching for it.
    pub(super) fn fork(&mut self) -> Self {
        self.watch = false;
        Self {
            quotes: Quotes::Escaped,
            ..self.clone()
        }
    }

    /// Takes bytes. Gives how many if it stops early: before a quote that may be escaped by the backslash before it, as
    /// long as it watches for one.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Option<usize>, Defect> {
        // Where the current record begins, if in these bytes.
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

    /// Shows the automaton the bytes from `at` to `to`, or fewer if a record ends that may change how the next is to
    /// be read, or if there is another way to read the next byte; gives where it stopped, and whether for that.
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
                // A second byte order mark, before the header, is as little a part of it as the first.
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

    /// Takes note of how lines end.
    fn line_end(&mut self, byte: u8, before: Place, after: Place) {
        let ends_crlf = self.after_cr && byte == b'\n';
        self.breaks += u64::from(byte == b'\n');
        self.lone_crs += u64::from(self.after_cr && !ends_crlf);
        self.after_cr = byte == b'\r' && after == Place::Fresh;
        let is_empty = before == Place::Fresh && after == Place::Fresh && !ends_crlf;
        self.empty_lines += u64::from(is_empty && self.header.is_some_and(|header| header.fields == 1));
    }

    /// The defect of a byte behind a quote that closes a value.
    fn text_behind(&self, byte: u8) -> Defect {
        let has_columns = self.header.is_some_and(|header| header.fields > 1) || self.delimiters > 0;
        if !has_columns && may_delimit(byte) {
            return looks_delimited(byte);
        }
        let how = match self.quotes {
            Quotes::Doubled => "a quote within quotes has to be two",
            Quotes::Escaped => "a quote within quotes has to stand behind a backslash",
        };
        Defect::new(format!(
            "has more behind a quote that closes a value than a comma or a line break: {how}"
        ))
    }

    /// Ends the current record. `part` is what these bytes hold of it, its end if it began in `earlier` ones.
    fn record(&mut self, part: &[u8], earlier: bool) -> Result<(), Defect> {
        let fields = std::mem::take(&mut self.delimiters) + 1;
        let Some(header) = self.header else {
            self.keep_heading(part);
            let header = Header {
                fields,
                line: self.line,
                kept: self.heading.len() < MAX_HEADER,
            };
            self.header = Some(header);
            if fields == 1 && header.kept {
                self.suspects = Suspects::of(self.heading.as_bytes(), self.quotes);
            }
            return Ok(());
        };
        self.suspects.sift(self.rows + 1);
        self.suspects
            .refuse(fields != header.fields)
            .map_err(|defect| defect.on_line(header.line))?;
        let defect = |what: String| Err(Defect::new(what).on_line(self.line).in_record(self.rows + 1));
        if fields != header.fields {
            return defect(format!(
                "has {fields} field{}, the header has {}",
                if fields == 1 { "" } else { "s" },
                header.fields
            ));
        }
        let so_far = if earlier { self.same } else { Some(0) };
        if let Some(at) = so_far
            && header.fields > 1
            && self.matches(at, part) == Some(self.heading.len())
            && self.heading.bytes().any(|byte| !matches!(byte, b',' | b'"'))
        {
            return defect("repeats the header: files were put together".to_owned());
        }
        self.rows += 1;
        Ok(())
    }

    /// Keeps the header's bytes as far as there is room.
    fn keep_heading(&mut self, part: &[u8]) {
        let part = String::from_utf8_lossy(part);
        let room = part.floor_char_boundary(MAX_HEADER - self.heading.len());
        self.heading.push_str(&part[..room]);
        if room < part.len() {
            // Nothing may follow what was left out, and the length tells that something was.
            let missing = MAX_HEADER - self.heading.len();
            self.heading.extend(std::iter::repeat_n(' ', missing));
        }
    }

    /// Whether the header goes on with `part` behind its first `at` bytes; if so, how much of it is matched then.
    /// The byte order mark of a file that was put behind another one is no part of its header.
    fn matches(&self, at: usize, mut part: &[u8]) -> Option<usize> {
        if !self.header.is_some_and(|header| header.kept) {
            return None;
        }
        while let (0, Some(rest)) = (at, part.strip_prefix(&BOM)) {
            part = rest;
        }
        let rest = self.heading.as_bytes().get(at..)?;
        rest.starts_with(part).then_some(at + part.len())
    }

    pub(super) fn finish(mut self) -> Result<Decoded, Defect> {
        let unterminated = self.place != Place::Fresh;
        if matches!(self.place, Place::Quoted | Place::Backslash) {
            return Err(self.placed(Defect::new(
                "ends within a quoted value: the file is cut off, or a quote is never closed",
            )));
        }
        if unterminated {
            self.suspects.take(b'\n', self.quotes);
            self.place = Place::Fresh;
            self.record(&[], true)?;
        }
        let Some(header) = self.header else {
            return Err(Defect::new("has no header row"));
        };
        let mut decoded = Decoded {
            rows: self.rows,
            columns: self.columns(header),
            column_count: header.fields,
            unterminated,
            empty_lines: self.empty_lines,
            ..Decoded::default()
        };
        let suspected = self.suspects.conclude(self.rows);
        if let Some(remark) = suspected.map_err(|defect| defect.on_line(header.line))? {
            decoded.remarks.add(remark.on_line(header.line));
        }
        if self.lone_crs > 0 {
            let what = format!(
                "ends {} of its lines with CR alone, which many readers do not take for the end of a line",
                self.lone_crs
            );
            decoded.remarks.add(Remark::new(what));
        }
        Ok(decoded)
    }

    /// The names in the header, as far as it was kept; what lies behind that has an empty name.
    pub(super) fn columns(&self, header: Header) -> Vec<String> {
        let kept = header.fields.min(MAX_COLUMNS as u64) as usize;
        let mut columns = Vec::with_capacity(kept);
        let (mut place, mut name) = (Place::Fresh, Vec::new());
        for byte in self.heading.bytes().chain([b'\n']) {
            let before = place;
            let end;
            (place, end) = step(place, byte, b',', self.quotes);
            if matches!(end, End::Field | End::Record) {
                columns.push(column_name(&String::from_utf8_lossy(&name)));
                name.clear();
                continue;
            }
            if before == Place::Backslash && self.quotes == Quotes::Escaped && matches!(byte, b'"' | b'\\') {
                // The backslash was no part of the name.
                name.pop();
            }
            let is_in_quotes = matches!(place, Place::Quoted | Place::Backslash);
            let is_opening = matches!(before, Place::Fresh | Place::Field) && byte == b'"';
            if place == Place::Plain || (is_in_quotes && !is_opening) {
                name.push(byte);
            }
        }
        columns.resize(kept, String::new());
        columns
    }

    /// The defect with the record in which it lies.
    pub(super) fn placed(&self, defect: Defect) -> Defect {
        if defect.line.is_some() {
            return defect;
        }
        let line = if self.place == Place::Fresh {
            self.breaks + 1
        } else {
            self.line
        };
        let defect = defect.on_line(line);
        if self.header.is_some() {
            defect.in_record(self.rows + 1)
        } else {
            defect
        }
    }
}
