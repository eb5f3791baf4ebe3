//! The records of a text in one reading: what is known of them, and what the end of one means.
//!
//! What must stay true: only the header is kept, at most 128 KiB of it, and no other record.

use serde::{Deserialize, Serialize};

use super::{
    automaton::{End, Place, Quotes, step},
    delimiters::{Suspects, looks_delimited, may_delimit},
};
use crate::{
    decoded::{Decoded, MAX_COLUMNS, column_name},
    defect::Defect,
    remark::Remark,
    text::BOM,
};

/// How many bytes of the header are kept for its names.
pub(super) const MAX_HEADER: usize = 128 * 1024;

/// The records so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Records {
    pub(super) quotes: Quotes,
    /// Whether to stop at a backslash before a quote within quotes, because it can be read in another way. Not after
    /// the first one, and not after a doubled quote, which the other way does not know.
    pub(super) watch: bool,
    pub(super) place: Place,
    /// Delimiters in the current record.
    pub(super) delimiters: u64,
    pub(super) rows: u64,
    /// LF bytes so far.
    pub(super) breaks: u64,
    /// The line at which the current record begins.
    pub(super) line: u64,
    /// Whether the byte before was a CR outside of quotes.
    pub(super) after_cr: bool,
    /// CRs outside of quotes that no LF follows.
    pub(super) lone_crs: u64,
    /// Empty lines after the header, if there is one column.
    pub(super) empty_lines: u64,
    /// If the current record equals a beginning of the header so far: how many bytes of it.
    pub(super) same: Option<usize>,
    /// The bytes of the header that came and are kept.
    pub(super) heading: String,
    /// Set once the header is complete.
    pub(super) header: Option<Header>,
    /// Other characters that may delimit fields, if there is one column.
    pub(super) suspects: Suspects,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) fields: u64,
    line: u64,
    /// Whether all of the header was kept.
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
    /// Begins the other reading at this point. This reading goes on, and does not stop again.
    pub(super) fn fork(&mut self) -> Self {
        self.watch = false;
        Self {
            quotes: Quotes::Escaped,
            ..self.clone()
        }
    }

    /// Notes how lines end.
    pub(super) fn line_end(&mut self, byte: u8, before: Place, after: Place) {
        let ends_crlf = self.after_cr && byte == b'\n';
        self.breaks += u64::from(byte == b'\n');
        self.lone_crs += u64::from(self.after_cr && !ends_crlf);
        self.after_cr = byte == b'\r' && after == Place::Fresh;
        let is_empty = before == Place::Fresh && after == Place::Fresh && !ends_crlf;
        self.empty_lines += u64::from(is_empty && self.header.is_some_and(|header| header.fields == 1));
    }

    /// The defect of a byte after a quote that closes a value.
    pub(super) fn text_behind(&self, byte: u8) -> Defect {
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

    /// Ends the current record. `part` holds its bytes, or only its end if it began in `earlier` bytes.
    pub(super) fn record(&mut self, part: &[u8], earlier: bool) -> Result<(), Defect> {
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

    /// Keeps bytes of the header as long as there is room.
    pub(super) fn keep_heading(&mut self, part: &[u8]) {
        let part = String::from_utf8_lossy(part);
        let room = part.floor_char_boundary(MAX_HEADER - self.heading.len());
        self.heading.push_str(&part[..room]);
        if room < part.len() {
            // Nothing may follow the bytes that were left out. The full length shows that some were.
            let missing = MAX_HEADER - self.heading.len();
            self.heading.extend(std::iter::repeat_n(' ', missing));
        }
    }

    /// If the header continues with `part` after its first `at` bytes, how many bytes match then. If a file with a byte
    /// order mark was appended to another, the mark is skipped.
    pub(super) fn matches(&self, at: usize, mut part: &[u8]) -> Option<usize> {
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

    /// The names in the header, as far as it was kept. The other names are empty.
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
                // The backslash is not part of the name.
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

    /// Adds the record to a defect.
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
