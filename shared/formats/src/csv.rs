//! CSV as RFC 4180 has it, and as it comes in real life.
//!
//! What must stay true: the first record is the header, and every other has as many fields; a quote that is never
//! closed is a defect, since otherwise a file cut off in the middle of a value would pass. Quoted line breaks, CRLF,
//! LF or CR, a byte order mark, blank lines, and a last record without a line break are fine. A file that was cut off
//! exactly behind a record, or within the unquoted last value of one, cannot be told from a whole one: only a count
//! reported elsewhere finds the first, and nothing the second.
//!
//! Two more things are defects: a record that repeats the header byte by byte, unless all names are empty, since files
//! were glued together then; and a text of one column whose first records all have the same number of semicolons, tabs
//! or bars, as many as the header, since its fields are delimited by those.
//!
//! Records are read by one automaton, [`step`], which is that of csv-core. Most bytes never reach it: [`scan`] takes
//! 64 bytes at a time as bit masks, and leaves any block in which something is unusual or wrong to the automaton, so
//! that only the automaton says what is wrong.
//!
//! Memory: the header, at most 128 KiB; records are never held.

use fearless_simd::{Level, Simd, dispatch, prelude::*, u8x64};
use serde::{Deserialize, Serialize};

use super::{
    Decoded, Decoder, Defect, Framed, Head, MAX_COLUMNS, Remedy, column_name,
    text::{BOM, Text, TextState, text_tail},
};

/// Bytes of the header that are kept for its names.
const MAX_HEADER: usize = 128 * 1024;
/// Bytes that [`scan`] takes at once.
const BLOCK: usize = 64;
/// Records that must agree before a text is said to be delimited by another character than the comma.
const DIALECT_RECORDS: u64 = 10;
/// Records after which no other delimiter is looked for any more.
const DIALECT_END: u64 = 64;
/// The other delimiters there are, and what they are called.
const DELIMITERS: [(u8, &str); 3] = [(b';', "semicolons"), (b'\t', "tabs"), (b'|', "vertical bars")];
/// The largest state of a decoder that is given away, in bytes of JSON.
const MAX_STATE: usize = 256 * 1024;

/// Decodes CSV.
#[derive(Debug, Default)]
pub struct CsvDecoder {
    text: Text,
    records: Records,
}

/// Where a [`CsvDecoder`] goes on, at any byte of the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CsvState {
    text: TextState,
    records: Records,
}

/// Where in a record the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// Before a record: line breaks are blank lines.
    #[default]
    Fresh,
    /// At the begin of a field that is not the first.
    Field,
    /// In a value without quotes, where quotes mean nothing.
    Plain,
    /// In a value in quotes.
    Quoted,
    /// Behind a quote that closes the value, unless it is one of two.
    Closed,
}

/// What a byte ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Nothing,
    Field,
    Record,
}

/// The automaton.
#[inline]
fn step(place: Place, byte: u8, delimiter: u8) -> (Place, End) {
    match (place, byte) {
        (Place::Quoted, b'"') => (Place::Closed, End::Nothing),
        (Place::Quoted, _) | (Place::Fresh | Place::Field | Place::Closed, b'"') => (Place::Quoted, End::Nothing),
        (Place::Fresh, b'\r' | b'\n') => (Place::Fresh, End::Nothing),
        (_, b'\r' | b'\n') => (Place::Fresh, End::Record),
        (_, byte) if byte == delimiter => (Place::Field, End::Field),
        _ => (Place::Plain, End::Nothing),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Records {
    place: Place,
    /// Delimiters in the current record.
    delimiters: u64,
    rows: u64,
    /// LF bytes so far.
    breaks: u64,
    /// Line at which the current record begins.
    line: u64,
    /// If all that earlier pushes held of the current record is a begin of the header: how much.
    same: Option<usize>,
    /// The header's bytes, as far as they came and are kept.
    heading: String,
    /// Once the header is complete.
    header: Option<Header>,
    /// As long as another delimiter than the comma is possible: what each of [`DELIMITERS`] makes of the text.
    dialects: Option<[Dialect; DELIMITERS.len()]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    fields: u64,
    line: u64,
    /// Whether all of it was kept.
    kept: bool,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            place: Place::Fresh,
            delimiters: 0,
            rows: 0,
            breaks: 0,
            line: 1,
            same: None,
            heading: String::new(),
            header: None,
            dialects: Some(Default::default()),
        }
    }
}

/// What a delimiter makes of a text, as far as it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Dialect {
    place: Place,
    /// Delimiters in the current record.
    delimiters: u64,
    /// Of the header, once it is complete.
    header: Option<u64>,
    /// Records that have as many as the header.
    records: u64,
    /// Whether the header has none, or a record another number.
    excluded: bool,
}

impl Dialect {
    fn take(&mut self, byte: u8, delimiter: u8) {
        if self.excluded {
            return;
        }
        let (place, end) = step(self.place, byte, delimiter);
        self.place = place;
        match end {
            End::Nothing => {}
            End::Field => self.delimiters += 1,
            End::Record => match (self.header, std::mem::take(&mut self.delimiters)) {
                (_, 0) => self.excluded = true,
                (None, delimiters) => self.header = Some(delimiters),
                (Some(header), delimiters) if header == delimiters => self.records += 1,
                (Some(_), _) => self.excluded = true,
            },
        }
    }
}

impl CsvDecoder {
    /// A decoder at the begin of an object.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder that goes on where another one was, once the object's bytes from the offset on are pushed that came
    /// with the state.
    #[must_use]
    pub fn resume(state: CsvState) -> Self {
        Self {
            text: Text::resume(state.text),
            records: state.records,
        }
    }

    /// The offset in the object of the first byte that must be pushed again, at most three before those that were
    /// pushed, and what is needed to go on there. `None` if the header is so large that this would take more than
    /// 256 KiB as JSON.
    #[must_use]
    pub fn checkpoint(&self) -> Option<(u64, CsvState)> {
        let records = &self.records;
        if json_size(&records.heading) > MAX_STATE - 2048 {
            return None;
        }
        let text = self.text.checkpoint();
        let records = records.clone();
        Some((text.offset, CsvState { text, records }))
    }

    /// The bytes that were pushed and lie behind the offset of a checkpoint.
    pub(super) fn pending(&self) -> &[u8] {
        self.text.pending()
    }

    /// Rows decoded so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.records.rows
    }

    /// Fields of the header; `None` while it is not complete.
    #[must_use]
    pub fn width(&self) -> Option<u64> {
        self.records.header.as_ref().map(|header| header.fields)
    }
}

/// The bytes that a text takes as a JSON string.
pub(super) fn json_size(text: &str) -> usize {
    let escapes = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(escapes).sum()
}

impl Decoder for CsvDecoder {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Defect> {
        let records = &mut self.records;
        let result = self.text.push(chunk, |bytes| records.push(bytes));
        result.map_err(|defect| records.placed(defect))
    }

    fn finish(self) -> Result<Decoded, Defect> {
        let Self { text, mut records } = self;
        text.finish(|bytes| records.push(bytes))
            .map_err(|defect| records.placed(defect))?;
        records.finish()
    }

    fn held(&self) -> usize {
        self.records.heading.capacity() + self.text.pending().len()
    }
}

/// What ended the work of [`scan`].
struct Scanned {
    /// Where the first block begins that was not taken.
    at: usize,
    /// Whether that is because the automaton must look at it.
    unusual: bool,
}

impl Records {
    fn push(&mut self, bytes: &[u8]) -> Result<(), Defect> {
        // Where the current record begins, if in these bytes.
        let mut begin = None;
        let mut at = 0;
        while at < bytes.len() {
            let mut to = bytes.len();
            if let (Some(header), None) = (self.header, self.dialects) {
                let level = Level::new();
                let Scanned { at: stopped, unusual } =
                    dispatch!(level, simd => scan(simd, self, header, bytes, at, &mut begin));
                at = stopped;
                if unusual {
                    to = at + BLOCK;
                }
            }
            at = self.walk(bytes, at, to, &mut begin)?;
        }
        if self.place != Place::Fresh {
            let part = &bytes[begin.unwrap_or(0)..];
            if self.header.is_none() {
                self.keep_heading(part);
            } else {
                let so_far = if begin.is_some() { Some(0) } else { self.same };
                self.same = so_far.and_then(|at| self.matches(at, part));
            }
        }
        Ok(())
    }

    /// Shows the automaton the bytes from `at` to `to`, or fewer if a record ends that may change how the next is to
    /// be read; gives where it stopped.
    fn walk(&mut self, bytes: &[u8], mut at: usize, to: usize, begin: &mut Option<usize>) -> Result<usize, Defect> {
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
            self.breaks += u64::from(byte == b'\n');
            let (place, end) = step(self.place, byte, b',');
            self.place = place;
            let watchful = self.dialects.is_some();
            if let Some(dialects) = &mut self.dialects {
                for (dialect, (delimiter, _)) in dialects.iter_mut().zip(DELIMITERS) {
                    dialect.take(byte, delimiter);
                }
            }
            match end {
                End::Nothing => {}
                End::Field => self.delimiters += 1,
                End::Record => {
                    self.record(&bytes[begin.unwrap_or(0)..at], begin.is_none())?;
                    if watchful {
                        return Ok(at + 1);
                    }
                }
            }
            at += 1;
        }
        Ok(at)
    }

    /// Ends the current record. `part` is what these bytes hold of it, its end if it began in `earlier` ones.
    fn record(&mut self, part: &[u8], earlier: bool) -> Result<(), Defect> {
        let fields = std::mem::take(&mut self.delimiters) + 1;
        let Some(header) = self.header else {
            self.keep_heading(part);
            self.header = Some(Header {
                fields,
                line: self.line,
                kept: self.heading.len() < MAX_HEADER,
            });
            if fields > 1 {
                self.dialects = None;
            }
            return Ok(());
        };
        self.dialect(header, fields != header.fields)?;
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
        if self.rows >= DIALECT_END {
            self.dialects = None;
        }
        Ok(())
    }

    /// Refuses a text of one column once another delimiter fits its header and enough records: when the record is
    /// `last` that can be looked at, one is enough.
    fn dialect(&mut self, header: Header, last: bool) -> Result<(), Defect> {
        let Some(dialects) = &self.dialects else {
            return Ok(());
        };
        let enough = if last { 1 } else { DIALECT_RECORDS };
        let mut named = dialects.iter().zip(DELIMITERS);
        if let Some((_, (_, name))) =
            named.find(|(dialect, _)| !dialect.excluded && dialect.place == Place::Fresh && dialect.records >= enough)
        {
            let what = format!("looks delimited by {name}, not by commas");
            return Err(Defect::new(what).mended_by(Remedy::Commas).on_line(header.line));
        }
        if dialects.iter().all(|dialect| dialect.excluded) {
            self.dialects = None;
        }
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

    fn finish(mut self) -> Result<Decoded, Defect> {
        let unterminated = self.place != Place::Fresh;
        if self.place == Place::Quoted {
            return Err(self.placed(Defect::new(
                "ends within a quoted value: the file is cut off, or a quote is never closed",
            )));
        }
        if unterminated {
            if let Some(dialects) = &mut self.dialects {
                for (dialect, (delimiter, _)) in dialects.iter_mut().zip(DELIMITERS) {
                    dialect.take(b'\n', delimiter);
                }
            }
            self.place = Place::Fresh;
            self.record(&[], true)?;
        }
        let Some(header) = self.header else {
            return Err(Defect::new("has no header row"));
        };
        self.dialect(header, true)?;
        Ok(Decoded {
            rows: self.rows,
            columns: self.columns(header),
            column_count: header.fields,
            unterminated,
            ..Decoded::default()
        })
    }

    /// The names in the header, as far as it was kept; what lies behind that has an empty name.
    fn columns(&self, header: Header) -> Vec<String> {
        let kept = header.fields.min(MAX_COLUMNS as u64) as usize;
        let mut columns = Vec::with_capacity(kept);
        let (mut place, mut name) = (Place::Fresh, Vec::new());
        for byte in self.heading.bytes().chain([b'\n']) {
            let before = place;
            let end;
            (place, end) = step(place, byte, b',');
            if end != End::Nothing {
                columns.push(column_name(&String::from_utf8_lossy(&name)));
                name.clear();
            } else if place == Place::Plain || (place == Place::Quoted && (byte != b'"' || before == Place::Closed)) {
                name.push(byte);
            }
        }
        columns.resize(kept, String::new());
        columns
    }

    /// The defect with the record in which it lies.
    fn placed(&self, defect: Defect) -> Defect {
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

/// Looks at the first and the last bytes of an object, at most 64 KiB each; both are the whole object if it is not
/// larger. The first are decoded. The last must be text in which every record has as many fields as the header and
/// none is cut off, whatever state they begin in.
pub fn frame(head: Head<'_>, tail: &[u8]) -> Result<Framed, Defect> {
    let mut decoder = CsvDecoder::new();
    decoder.push(head.bytes)?;
    if head.whole {
        let Decoded {
            columns,
            column_count,
            remarks,
            ..
        } = decoder.finish()?;
        return Ok(Framed {
            columns,
            column_count,
            remarks,
            ..Framed::default()
        });
    }
    let tail = text_tail(tail)?;
    let Some(header) = decoder.records.header else {
        return Ok(Framed::default());
    };
    let places = [Place::Fresh, Place::Field, Place::Plain, Place::Quoted, Place::Closed];
    if !places.into_iter().any(|place| ends_well(tail, place, header.fields)) {
        return Err(Defect::new(
            "ends with records that do not fit its header: it is cut off or damaged",
        ));
    }
    Ok(Framed {
        columns: decoder.records.columns(header),
        column_count: header.fields,
        ..Framed::default()
    })
}

/// Whether all records are whole if the first of them stands at `place` where the bytes begin.
fn ends_well(tail: &[u8], mut place: Place, fields: u64) -> bool {
    let wanted = fields - 1;
    // How many delimiters the first record had before is not known.
    let (mut first, mut delimiters) = (place != Place::Fresh, 0);
    for byte in tail.iter().chain(b"\n") {
        let end;
        (place, end) = step(place, *byte, b',');
        match end {
            End::Nothing => {}
            End::Field => delimiters += 1,
            End::Record if delimiters > wanted || (!first && delimiters < wanted) => return false,
            End::Record => (first, delimiters) = (false, 0),
        }
    }
    place == Place::Fresh
}

/// Counts the records of whole blocks from `at` on, as the automaton would, up to the first block that is unusual: one
/// in which quotes do not enclose whole values, or in which a record ends that has another number of fields or that
/// looks like the header.
#[inline(always)]
fn scan<S: Simd>(
    simd: S,
    records: &mut Records,
    header: Header,
    bytes: &[u8],
    mut at: usize,
    begin: &mut Option<usize>,
) -> Scanned {
    let wanted = header.fields - 1;
    // Only a record that is as long as the header, or that begins with a byte order mark, is compared with it.
    let length = if header.kept && wanted > 0 {
        records.heading.len()
    } else {
        usize::MAX
    };
    let Records {
        place,
        mut delimiters,
        mut rows,
        mut breaks,
        mut line,
        ..
    } = *records;
    // What the block before this one ended with: all bits or none, or the lowest bit.
    let mut within = if place == Place::Quoted { u64::MAX } else { 0 };
    let mut closed = u64::from(place == Place::Closed);
    let mut separated = u64::from(matches!(place, Place::Fresh | Place::Field));
    let mut broken = u64::from(place == Place::Fresh);
    let mut unusual = false;
    // Modulo 2^64, so that a record that began before these bytes is too long to be compared in the loop.
    let mut from = begin.unwrap_or(usize::MAX / 2);
    let (quote, comma) = (u8x64::splat(simd, b'"'), u8x64::splat(simd, b','));
    let (lf, cr) = (u8x64::splat(simd, b'\n'), u8x64::splat(simd, b'\r'));

    'blocks: while let Some(block) = bytes.get(at..at + BLOCK) {
        let block = u8x64::from_slice(simd, block);
        let quotes = block.simd_eq(quote).to_bitmask();
        let feeds = block.simd_eq(lf).to_bitmask();
        // From each opening quote on, up to before the closing one.
        let inside = parity(quotes) ^ within;
        let commas = block.simd_eq(comma).to_bitmask() & !inside;
        let ends = (feeds | block.simd_eq(cr).to_bitmask()) & !inside;
        let separators = commas | ends;
        let behind_quote = ((quotes & !inside) << 1) | closed;
        // A quote opens a value only at its begin, or is the second of two; anywhere else it means nothing, which the
        // masks cannot tell. Text behind a closing quote goes on without quotes.
        let misplaced = quotes & inside & !((separators << 1) | separated | behind_quote);
        // Line breaks behind line breaks are blank lines.
        let behind_end = (ends << 1) | broken;
        let begins = behind_end & !ends;
        let mut left = ends & !behind_end;
        let mut counted = commas;
        let mut fields = delimiters;
        let ended = u64::from(left.count_ones());
        let mut suspect = misplaced != 0;
        while left != 0 {
            let end = left.trailing_zeros() as usize;
            let before = (1_u64 << end) - 1;
            fields += u64::from((counted & before).count_ones());
            let started = begins & before;
            let start = if started == 0 { from } else { at + last(started) };
            suspect |= fields != wanted;
            suspect |= (at + end).wrapping_sub(start) == length || start >= bytes.len() || bytes[start] == BOM[0];
            counted &= !before;
            fields = 0;
            left &= left - 1;
        }
        if suspect {
            unusual = true;
            break 'blocks;
        }
        delimiters = fields + u64::from(counted.count_ones());
        rows += ended;
        if begins != 0 {
            let start = last(begins);
            from = at + start;
            line = breaks + u64::from((feeds & ((1 << start) - 1)).count_ones()) + 1;
        }
        breaks += u64::from(feeds.count_ones());
        within = ((inside as i64) >> 63) as u64;
        closed = (quotes & !inside) >> 63;
        separated = separators >> 63;
        broken = ends >> 63;
        at += BLOCK;
    }

    if from != usize::MAX / 2 {
        *begin = Some(from);
    }
    let place = if within != 0 {
        Place::Quoted
    } else if closed != 0 {
        Place::Closed
    } else if broken != 0 {
        Place::Fresh
    } else if separated != 0 {
        Place::Field
    } else {
        Place::Plain
    };
    records.place = place;
    records.delimiters = delimiters;
    records.rows = rows;
    records.breaks = breaks;
    records.line = line;
    Scanned { at, unusual }
}

/// For each bit, whether an odd number of bits is set up to it.
#[inline(always)]
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// The index of the highest bit that is set.
#[inline(always)]
fn last(bits: u64) -> usize {
    63 - bits.leading_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The decoder that every byte of a text passes through csv-core in.
    mod oracle {
        use csv_core::{ReadRecordResult, Reader};

        use super::super::{BOM, Decoded, Decoder, Defect, MAX_COLUMNS, MAX_HEADER, Text, column_name};

        const SCRATCH: usize = 16 * 1024;
        const SCRATCH_ENDS: usize = 2 * 1024;

        #[derive(Debug, Default)]
        pub(super) struct CsvDecoder {
            text: Text,
            records: Records,
        }

        #[derive(Debug)]
        struct Records {
            /// All bytes of the current record, and of the header.
            raw: Vec<u8>,
            raw_header: Vec<u8>,
            reader: Reader,
            /// Where the parser writes unquoted values; never read, apart from the header's.
            output: Vec<u8>,
            ends: Vec<usize>,
            header: Option<Header>,
            /// The header as far as it was read.
            header_bytes: Vec<u8>,
            header_ends: Vec<usize>,
            /// Fields of the current record that ended.
            fields: u64,
            rows: u64,
            /// Whether no byte of the current record was seen yet.
            fresh: bool,
            /// Line breaks between records: not shown to the parser.
            skipped_lines: u64,
            line: u64,
        }

        #[derive(Debug)]
        struct Header {
            columns: Vec<String>,
            fields: u64,
        }

        impl Default for Records {
            fn default() -> Self {
                Self {
                    raw: Vec::new(),
                    raw_header: Vec::new(),
                    reader: Reader::new(),
                    output: vec![0; SCRATCH],
                    ends: vec![0; SCRATCH_ENDS],
                    header: None,
                    header_bytes: Vec::new(),
                    header_ends: Vec::new(),
                    fields: 0,
                    rows: 0,
                    fresh: true,
                    skipped_lines: 0,
                    line: 1,
                }
            }
        }

        impl Decoder for CsvDecoder {
            fn push(&mut self, chunk: &[u8]) -> Result<(), Defect> {
                let records = &mut self.records;
                let result = self.text.push(chunk, |bytes| records.push(bytes));
                result.map_err(|defect| records.placed(defect))
            }

            fn finish(self) -> Result<Decoded, Defect> {
                let Self { text, mut records } = self;
                text.finish(|bytes| records.push(bytes))
                    .map_err(|defect| records.placed(defect))?;
                records.finish()
            }

            fn held(&self) -> usize {
                0
            }
        }

        impl Records {
            fn push(&mut self, mut input: &[u8]) -> Result<(), Defect> {
                while !input.is_empty() {
                    if self.fresh {
                        let breaks = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                        let (skipped, rest) = input.split_at(breaks);
                        self.skipped_lines += skipped.iter().filter(|byte| **byte == b'\n').count() as u64;
                        input = rest;
                        if input.is_empty() {
                            break;
                        }
                        self.fresh = false;
                        self.line = self.reader.line() + self.skipped_lines;
                    }
                    let (result, read) = self.step(input);
                    self.raw.extend_from_slice(&input[..read]);
                    input = &input[read..];
                    if result == ReadRecordResult::Record {
                        self.raw.pop();
                        self.record()?;
                    }
                }
                Ok(())
            }

            /// One call of the parser. Its results `OutputFull` and `OutputEndsFull` only mean to call again: the scratch
            /// buffers are used anew each time.
            fn step(&mut self, input: &[u8]) -> (ReadRecordResult, usize) {
                let (result, read, written, ended) = self.reader.read_record(input, &mut self.output, &mut self.ends);
                self.fields += ended as u64;
                if self.header.is_none() {
                    let room = MAX_HEADER - self.header_bytes.len();
                    self.header_bytes.extend_from_slice(&self.output[..written.min(room)]);
                    let room = MAX_COLUMNS - self.header_ends.len();
                    self.header_ends.extend_from_slice(&self.ends[..ended.min(room)]);
                }
                (result, read)
            }

            fn record(&mut self) -> Result<(), Defect> {
                let fields = std::mem::take(&mut self.fields);
                self.fresh = true;
                let mut raw = std::mem::take(&mut self.raw);
                while raw.starts_with(&BOM) {
                    raw.drain(..BOM.len());
                }
                let Some(header) = &self.header else {
                    self.raw_header = raw;
                    self.header = Some(self.take_header(fields));
                    return Ok(());
                };
                if fields != header.fields {
                    return Err(Defect::new(format!(
                        "has {fields} field{}, the header has {}",
                        if fields == 1 { "" } else { "s" },
                        header.fields
                    ))
                    .on_line(self.line)
                    .in_record(self.rows + 1));
                }
                let named = raw.iter().any(|byte| !matches!(byte, b',' | b'"'));
                if fields > 1 && named && raw == self.raw_header {
                    return Err(Defect::new("repeats the header: files were put together")
                        .on_line(self.line)
                        .in_record(self.rows + 1));
                }
                self.rows += 1;
                Ok(())
            }

            fn take_header(&mut self, fields: u64) -> Header {
                let bytes = std::mem::take(&mut self.header_bytes);
                let mut start = 0;
                let columns = std::mem::take(&mut self.header_ends)
                    .into_iter()
                    .map(|end| {
                        let name = bytes.get(start..end.min(bytes.len())).unwrap_or_default();
                        start = end;
                        column_name(&String::from_utf8_lossy(name))
                    })
                    .collect();
                Header { columns, fields }
            }

            fn finish(mut self) -> Result<Decoded, Defect> {
                let unterminated = !self.fresh;
                if unterminated {
                    // The parser takes the end of the input for the end of a quoted value. A line break tells the two apart:
                    // it ends every record, except within quotes, where it is a part of the value.
                    let (result, _) = self.step(b"\n");
                    if result != ReadRecordResult::Record {
                        return Err(self.placed(Defect::new(
                            "ends within a quoted value: the file is cut off, or a quote is never closed",
                        )));
                    }
                    self.record()?;
                }
                self.decoded(unterminated)
            }

            fn decoded(self, unterminated: bool) -> Result<Decoded, Defect> {
                let Some(header) = self.header else {
                    return Err(Defect::new("has no header row"));
                };
                Ok(Decoded {
                    rows: self.rows,
                    columns: header.columns,
                    column_count: header.fields,
                    unterminated,
                    ..Decoded::default()
                })
            }

            /// The defect with the record in which it lies.
            fn placed(&self, defect: Defect) -> Defect {
                if defect.line.is_some() {
                    return defect;
                }
                let line = if self.fresh {
                    self.reader.line() + self.skipped_lines
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
    }

    fn run(text: impl AsRef<[u8]>) -> Result<Decoded, Defect> {
        in_chunks(text.as_ref(), usize::MAX)
    }

    fn in_chunks(bytes: &[u8], size: usize) -> Result<Decoded, Defect> {
        let mut decoder = CsvDecoder::new();
        for chunk in bytes.chunks(size) {
            decoder.push(chunk)?;
        }
        decoder.finish()
    }

    fn expected(bytes: &[u8]) -> Result<Decoded, Defect> {
        let mut decoder = oracle::CsvDecoder::default();
        decoder.push(bytes)?;
        decoder.finish()
    }

    /// Pushes chunks of the sizes, over and over.
    fn in_sizes(bytes: &[u8], sizes: &[usize]) -> Result<Decoded, Defect> {
        let mut decoder = CsvDecoder::new();
        push_in_sizes(&mut decoder, bytes, sizes)?;
        decoder.finish()
    }

    fn push_in_sizes(decoder: &mut CsvDecoder, mut bytes: &[u8], sizes: &[usize]) -> Result<(), Defect> {
        for size in sizes.iter().cycle() {
            if bytes.is_empty() {
                break;
            }
            let (chunk, rest) = bytes.split_at(bytes.len().min(*size));
            decoder.push(chunk)?;
            bytes = rest;
        }
        Ok(())
    }

    /// Stops behind the first `cut` bytes, and goes on in another decoder.
    fn cut(bytes: &[u8], cut: usize, sizes: &[usize]) -> Result<Decoded, Defect> {
        let mut first = CsvDecoder::new();
        push_in_sizes(&mut first, &bytes[..cut], sizes)?;
        let (offset, state) = first.checkpoint().unwrap();
        assert!(offset as usize + 3 >= cut && offset as usize <= cut);
        let json = serde_json::to_string(&state).unwrap();
        assert!(json.len() <= MAX_STATE);
        let read: CsvState = serde_json::from_str(&json).unwrap();
        assert_eq!(read, state);
        let mut second = CsvDecoder::resume(read);
        push_in_sizes(&mut second, &bytes[offset as usize..], sizes)?;
        second.finish()
    }

    fn defect(text: impl AsRef<[u8]>) -> String {
        run(text).unwrap_err().to_string()
    }

    #[test]
    fn counts_records_and_not_lines() {
        let decoded = run("\u{feff}id,\"name, full\"\r\n1,\"a \"\"b\"\"\r\nc\"\r\n\r\n2,d\r\n3,").unwrap();
        assert_eq!(decoded.rows, 3);
        assert_eq!(decoded.columns, ["id", "name, full"]);
        assert_eq!(decoded.column_count, 2);
        assert_eq!(run("id\n1\n2").unwrap().rows, 2);
        assert_eq!(run("id\r1\r2\r").unwrap().rows, 2);
        assert_eq!(run("id,n").unwrap().rows, 0);
        assert_eq!(run("id,n").unwrap().columns, ["id", "n"]);
    }

    #[test]
    fn names_the_line_where_a_ragged_record_begins() {
        let text = "a,b\n1,\"x\ny\"\n\n2\n3,4\n";
        let found = run(text).unwrap_err();
        assert_eq!((found.line, found.record), (Some(5), Some(2)));
        assert_eq!(found.what, "has 1 field, the header has 2");
        let found = run(text.replace('\n', "\r\n")).unwrap_err();
        assert_eq!((found.line, found.record), (Some(5), Some(2)));
        assert!(defect("a,b\n1,2,3\n").contains("has 3 fields, the header has 2"));
        assert!(defect("a,b\n1,2\n3").contains("has 1 field,"));
    }

    #[test]
    fn an_open_quote_is_a_defect_and_a_closed_one_is_not() {
        assert!(defect("a,b\n1,\"x\ny,").starts_with("record 1, line 2: ends within a quoted value"));
        assert!(defect("a,b\n1,\"").contains("quoted value"));
        assert!(defect("a,\"b\n").contains("quoted value"));
        assert_eq!(run("a,b\n1,\"x\"").unwrap().rows, 1);
        assert_eq!(run("a,b\n1,\"\"\"\"").unwrap().rows, 1);
        assert_eq!(run("a,b\n1,").unwrap().rows, 1);
    }

    #[test]
    fn bytes_that_are_not_text_have_their_place() {
        assert!(defect(b"a,b\n1,2\n3,\xff\n").starts_with("record 2, line 3, byte 10: is not UTF-8"));
        assert!(defect("a,b\n1,\0\n").starts_with("record 1, line 2, byte 6: is a NUL byte"));
        assert!(defect(b"a\n\xc3").contains("ends within a UTF-8 character"));
    }

    #[test]
    fn nothing_is_not_a_header() {
        assert!(defect("").contains("no header row"));
        assert!(defect("\n\n").contains("no header row"));
        assert!(defect("\u{feff}").contains("no header row"));
    }

    #[test]
    fn headers_are_bounded() {
        let names: Vec<String> = (0..3_000).map(|n| format!("{n:0>200}")).collect();
        let row = vec!["1"; names.len()].join(",");
        let decoded = run(format!("{}\n{row}\n{row}\n", names.join(","))).unwrap();
        assert_eq!((decoded.rows, decoded.column_count), (2, 3_000));
        assert_eq!(decoded.columns.len(), MAX_COLUMNS);
        assert!(
            decoded
                .columns
                .iter()
                .all(|name| name.len() <= super::super::MAX_COLUMN_NAME)
        );
    }

    #[test]
    fn holds_no_more_for_more_rows() {
        let mut decoder = CsvDecoder::new();
        decoder.push(b"a,b\n").unwrap();
        let held = decoder.held();
        let value = "x".repeat(1 << 20);
        for _ in 0..8 {
            decoder.push(format!("1,\"{value}\n").as_bytes()).unwrap();
            decoder.push(b"\"\n").unwrap();
        }
        assert!(decoder.held() <= held);
        assert_eq!(decoder.finish().unwrap().rows, 8);
    }

    #[test]
    fn a_repeated_header_is_a_defect() {
        let found = run("a,b\n1,2\na,b\n3,4\n").unwrap_err();
        assert_eq!((found.line, found.record), (Some(3), Some(2)));
        assert!(found.what.starts_with("repeats the header"));
        // Also with the byte order mark of its file, across chunks, and as the last bytes.
        let text = format!("\u{feff}\"id, n\",b\r\n{}\u{feff}\"id, n\",b", "1,2\r\n".repeat(50));
        for size in 1..text.len() {
            let found = in_chunks(text.as_bytes(), size).unwrap_err();
            assert_eq!((found.line, found.record), (Some(52), Some(51)), "{size}");
        }
        assert_eq!(run(",\"\"\n,\"\"\n").unwrap().rows, 1);
        // One column is no evidence, nor is a record that only begins like the header.
        assert_eq!(run("a\na\na\n").unwrap().rows, 2);
        assert_eq!(run("a,b\na,bc\na,\na,c\n").unwrap().rows, 3);
    }

    #[test]
    fn another_delimiter_is_a_defect() {
        let looks = |text: &str| {
            let result = run(text);
            for size in 1..9 {
                assert_eq!(in_chunks(text.as_bytes(), size), result);
            }
            result.map_or_else(|defect| defect.to_string(), |decoded| decoded.rows.to_string())
        };
        assert_eq!(
            looks("a;b\n1;2\n"),
            "line 1: looks delimited by semicolons, not by commas"
        );
        assert!(looks("a\tb\n1\t2\n3\t4").contains("tabs"));
        assert!(looks("a|b\n1|2\n").contains("bars"));
        assert!(looks(&format!("\na;b;c\n{}7\n", "1;2;\"x;\ny\"\n".repeat(10))).starts_with("line 2: looks"));
        // Decimal commas make other records ragged.
        assert!(looks("a;b\n1,5;2\n2,5;3\n").contains("semicolons"));
        assert!(looks("a;b\n1;2\n2,5;3\n").contains("semicolons"));
        // One column, whatever is in it.
        assert_eq!(looks("a;b\n"), "0");
        assert_eq!(looks("a\n1;2\n3;4\n"), "2");
        assert_eq!(looks("a;b\n1;2\n3\n"), "2");
        assert_eq!(looks(&format!("a;b\n{}3\n", "1;2\n".repeat(9))), "10");
        assert_eq!(looks("\"a;b\"\n\"1;2\"\n"), "1");
        assert_eq!(looks("a;b,c\n1;2,3\n"), "1");
    }

    #[test]
    fn says_whether_the_last_line_ended() {
        for (text, unterminated) in [
            ("a\n1\n", false),
            ("a\n1", true),
            ("a\r1\r", false),
            ("a", true),
            ("a\n\n", false),
        ] {
            assert_eq!(run(text).unwrap().unterminated, unterminated, "{text:?}");
        }
        assert_eq!(
            serde_json::to_value(run("a\n").unwrap()).unwrap().get("unterminated"),
            None
        );
    }

    #[test]
    fn a_second_mark_is_left_out() {
        for text in ["\u{feff}\u{feff}\"a\",b\n1,2\n", "\u{feff}\n\u{feff}\"a\",b\n1,2\n"] {
            assert_eq!(run(text).unwrap().columns, ["a", "b"]);
            assert_eq!(in_chunks(text.as_bytes(), 1), run(text));
        }
        assert!(defect("\u{feff}\u{feff}").contains("no header row"));
    }

    /// All short texts of the bytes that matter, at changing distances from the borders of blocks.
    #[test]
    fn reads_like_csv_core() {
        const BYTES: [u8; 5] = *b"a,\"\r\n";
        for length in 0..=6_u32 {
            for number in 0..5_usize.pow(length) {
                let middle = (0..length).map(|place| BYTES[number / 5_usize.pow(place) % 5]);
                let before = number % 67;
                let text: Vec<u8> = b"h,h\n1,"
                    .iter()
                    .copied()
                    .chain(std::iter::repeat_n(b'x', before))
                    .chain(middle)
                    .chain(std::iter::repeat_n(b'y', 64))
                    .chain(*b",\n1,2\n")
                    .chain(std::iter::repeat_n(b'\n', 130))
                    .collect();
                assert_eq!(run(&text), expected(&text), "{:?}", String::from_utf8_lossy(&text));
            }
        }
    }

    #[test]
    fn the_state_is_bounded() {
        let large = format!("{}\n", "\u{1},".repeat(MAX_HEADER));
        let mut decoder = CsvDecoder::new();
        decoder.push(large.as_bytes()).unwrap();
        assert_eq!(decoder.checkpoint(), None);
        let large = format!("{}\n1", "\u{e9}\",".repeat(MAX_HEADER));
        let mut decoder = CsvDecoder::new();
        decoder.push(large.as_bytes()).unwrap();
        let (offset, state) = decoder.checkpoint().unwrap();
        assert_eq!(offset as usize, large.len());
        assert!(serde_json::to_string(&state).unwrap().len() <= MAX_STATE);
        let more = vec![","; MAX_HEADER].concat();
        let mut resumed = CsvDecoder::resume(state);
        resumed.push(more.as_bytes()).unwrap();
        decoder.push(more.as_bytes()).unwrap();
        assert_eq!(resumed.finish(), decoder.finish());
    }

    fn framed(bytes: &[u8]) -> Result<Framed, Defect> {
        let (head, tail) = (
            &bytes[..bytes.len().min(64 << 10)],
            &bytes[bytes.len().saturating_sub(64 << 10)..],
        );
        frame(
            Head {
                bytes: head,
                whole: head.len() == bytes.len(),
            },
            tail,
        )
    }

    #[test]
    fn the_ends_show_what_is_cut_off() {
        let text = format!("a,\"b\"\n{}", "1,\"x\né, \"\"\"\n".repeat(10_000));
        let whole = framed(text.as_bytes()).unwrap();
        assert_eq!(
            (whole.columns, whole.column_count),
            (vec!["a".to_owned(), "b".to_owned()], 2)
        );
        for cut in 1..14 {
            let text = &text.as_bytes()[..text.len() - cut];
            // Nothing tells that the line break is missing, the second and third of three quotes, or a whole value.
            assert_eq!(
                framed(text).is_ok(),
                matches!(cut, 1 | 3 | 11 | 13),
                "{cut}: {:?}",
                framed(text)
            );
        }
        // A larger object may end anywhere in its first bytes, but not with a fault in them.
        assert!(framed(text.replacen("1,", "1,,", 1).as_bytes()).is_err());
        assert_eq!(framed(b"a,b\n1,2").unwrap().column_count, 2);
        assert!(framed(b"a,b\n1").is_err());
        assert!(framed(b"").is_err());
        let mut bytes = text.into_bytes();
        let end = bytes.len() - 3;
        bytes[end] = 0;
        assert!(framed(&bytes).unwrap_err().what.contains("NUL"));
        bytes[end] = 0xff;
        assert!(framed(&bytes).unwrap_err().what.contains("UTF-8"));
    }

    fn value() -> impl Strategy<Value = String> {
        prop_oneof![
            6 => "[a-zé0-9 ]{0,12}",
            2 => "[a-z]{50,80}",
            3 => "[a-zé,\"\r\n]{0,12}".prop_map(|v| format!("\"{}\"", v.replace('"', "\"\""))),
            1 => "[a-z,\n]{50,80}".prop_map(|v| format!("\"{v}\"")),
            // Quotes where none belong.
            1 => "[a-z]{1,3}\"[a-z\"]{0,3}",
            1 => "\"[a-z]{0,3}\"[a-z]{1,3}[a-z\"]{0,3}",
        ]
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let ends = prop::sample::select(vec!["\n", "\n", "\n", "\r\n", "\r", "\n\n", ""]);
        let records = prop::collection::vec((prop::collection::vec(value(), 3), ends), 1..24);
        let other = prop::sample::select(b"a,\"\r\n;|\0\xc3".to_vec());
        let changes = prop::collection::vec((any::<prop::sample::Index>(), other, 0..3_u8), 0..3);
        let begin = prop::sample::select(vec![
            "a,b,c\n",
            "\u{feff}\"a,\",b,\"c\n\"\r\n",
            "\n\na,b,",
            "a;b,c\n",
            "",
        ]);
        (begin, records, changes, any::<bool>()).prop_map(|(begin, records, changes, changed)| {
            let mut text = begin.as_bytes().to_vec();
            for (values, end) in records {
                text.extend_from_slice(values.join(",").as_bytes());
                text.extend_from_slice(if end.is_empty() && !changed { "\n" } else { end }.as_bytes());
            }
            for (index, byte, how) in if changed { changes } else { Vec::new() } {
                let at = index.index(text.len());
                match how {
                    0 => text[at] = byte,
                    1 => text.insert(at, byte),
                    _ => drop(text.remove(at)),
                }
            }
            text
        })
    }

    proptest! {
        #[test]
        fn reads_any_text_like_csv_core(text in text(), sizes in prop::collection::vec(1usize..200, 1..6)) {
            let found = in_sizes(&text, &sizes);
            prop_assert_eq!(&found, &run(&text));
            match &found {
                // csv-core knows no such defect: that a delimiter fits is tested above.
                Err(defect) if defect.what.starts_with("looks delimited") => {}
                _ => prop_assert_eq!(found, expected(&text)),
            }
        }

        #[test]
        fn a_whole_text_has_whole_ends(text in text(), sizes in 1usize..300) {
            if let Ok(decoded) = run(&text) {
                let head = &text[..text.len().min(sizes)];
                let tail = &text[text.len().saturating_sub(sizes)..];
                let found = frame(Head { bytes: head, whole: head.len() == text.len() }, tail).unwrap();
                if found != Framed::default() {
                    prop_assert_eq!(found.columns, decoded.columns);
                }
            }
        }

        #[test]
        fn chunks_do_not_matter(text in "(\u{feff})?[ab,\"\r\né\u{0}]{0,40}", size in 1usize..9) {
            prop_assert_eq!(in_chunks(text.as_bytes(), size), run(&text));
        }

        #[test]
        fn rows_of_any_values_are_counted(
            rows in prop::collection::vec(prop::collection::vec("[^\u{0}]{0,8}", 3), 0..20),
            crlf in any::<bool>(),
            size in 1usize..32,
        ) {
            let end = if crlf { "\r\n" } else { "\n" };
            let mut text = format!("a,b,c{end}");
            for row in &rows {
                let row: Vec<String> = row.iter().map(|v| format!("\"{}\"", v.replace('"', "\"\""))).collect();
                text.push_str(&row.join(","));
                text.push_str(end);
            }
            prop_assert_eq!(in_chunks(text.as_bytes(), size).unwrap().rows, rows.len() as u64);
        }
    }
    proptest! {
        // Each case goes through a text once for each of its bytes.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn another_process_goes_on_at_any_byte(text in text(), sizes in prop::collection::vec(1usize..200, 1..6)) {
            let whole = run(&text);
            for at in 0..=text.len() {
                prop_assert_eq!(cut(&text, at, &sizes), whole.clone(), "cut at {}", at);
            }
        }
    }
    proptest! {
        // Each case goes through a text once for each of its bytes.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn another_process_goes_on_with_any_delimiter(text in "(\u{feff})?[ab;\"\r\n]{0,60}", size in 1usize..9) {
            let whole = run(&text);
            prop_assert_eq!(in_chunks(text.as_bytes(), size), whole.clone());
            for at in 0..=text.len() {
                prop_assert_eq!(cut(text.as_bytes(), at, &[size]), whole.clone(), "cut at {}", at);
            }
        }
    }
}
