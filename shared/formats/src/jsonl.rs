//! JSON lines: one JSON object a line.
//!
//! What must stay true: every line is parsed to its end and is one object, nothing more; blank lines come only at the
//! end; a last line without a line break must be whole. A file that was cut off exactly behind a line cannot be told
//! from a whole one.
//!
//! serde_json alone says what is JSON: [`filter`] only passes lines that serde_json is sure to accept, and leaves any
//! other line to it. So a line is strict JSON (RFC 8259), and values may nest as deep as a line allows. `\u` escapes in
//! values may name half of a surrogate pair, as RFC 8259 has it; since that is no character, and other readers refuse it,
//! it is remarked on. In keys it is a defect.
//!
//! Memory: one line, and that only if it lies across chunks: at most [`MAX_LINE`] bytes.

use std::fmt;

use fearless_simd::{Level, Simd, dispatch, prelude::*, u8x64};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::error::Category;

use super::{
    Decoded, Decoder, Defect, Framed, Head, MAX_COLUMNS, Remark, column_name,
    csv::json_size,
    text::{Text, TextState, text_tail},
};

/// The longest line that is taken, in bytes.
pub const MAX_LINE: usize = 16 * 1024 * 1024;
/// The largest state of a decoder that is given away, in bytes of JSON.
const MAX_STATE: usize = 256 * 1024;

/// Decodes JSON lines.
#[derive(Debug, Default)]
pub struct JsonlDecoder {
    text: Text,
    lines: Lines,
}

/// Where a [`JsonlDecoder`] goes on: at the begin of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonlState {
    text: TextState,
    ended: u64,
    blank: Option<u64>,
    rows: u64,
    columns: Vec<String>,
    column_count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    halves: Option<Halves>,
}

/// Escapes that name half of a surrogate pair without the other half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Halves {
    count: u64,
    /// The line of the first.
    line: u64,
}

#[derive(Debug, Default)]
struct Lines {
    /// The begin of a line whose end has not come.
    carry: Vec<u8>,
    /// Lines that ended.
    ended: u64,
    /// The first of the blank lines that came last.
    blank: Option<u64>,
    halves: Option<Halves>,
    decoded: Decoded,
}

impl JsonlDecoder {
    /// A decoder at the begin of an object.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A decoder that goes on where another one was, once the object's bytes from the offset on are pushed that came
    /// with the state.
    #[must_use]
    pub fn resume(state: JsonlState) -> Self {
        Self {
            text: Text::resume(state.text),
            lines: Lines {
                ended: state.ended,
                blank: state.blank,
                halves: state.halves,
                decoded: Decoded {
                    rows: state.rows,
                    columns: state.columns,
                    column_count: state.column_count,
                    ..Decoded::default()
                },
                ..Lines::default()
            },
        }
    }

    /// The offset in the object of the first byte that must be pushed again, which begins a line, and what is needed
    /// to go on there. `None` if the names of the columns would take more than 256 KiB as JSON.
    #[must_use]
    pub fn checkpoint(&self) -> Option<(u64, JsonlState)> {
        let lines = &self.lines;
        let names: usize = lines.decoded.columns.iter().map(|name| json_size(name) + 3).sum();
        if names > MAX_STATE - 1024 {
            return None;
        }
        let mut text = self.text.checkpoint();
        text.offset -= lines.carry.len() as u64;
        let state = JsonlState {
            text,
            ended: lines.ended,
            blank: lines.blank,
            rows: lines.decoded.rows,
            columns: lines.decoded.columns.clone(),
            column_count: lines.decoded.column_count,
            halves: lines.halves,
        };
        Some((text.offset, state))
    }

    /// The bytes that were pushed and lie behind the offset of a checkpoint: those of a line, and those of a character
    /// that is not complete.
    pub(super) fn pending(&self) -> (&[u8], &[u8]) {
        (&self.lines.carry, self.text.pending())
    }

    /// Rows decoded so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.lines.decoded.rows
    }
}

impl Decoder for JsonlDecoder {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Defect> {
        let lines = &mut self.lines;
        let result = self.text.push(chunk, |bytes| lines.push(bytes));
        result.map_err(|defect| lines.placed(defect))
    }

    fn finish(self) -> Result<Decoded, Defect> {
        let Self { text, mut lines } = self;
        text.finish(|bytes| lines.push(bytes))
            .map_err(|defect| lines.placed(defect))?;
        if !lines.carry.is_empty() {
            let last = std::mem::take(&mut lines.carry);
            lines.decoded.unterminated = true;
            lines.line(&last, true)?;
        }
        Ok(lines.decoded())
    }

    fn held(&self) -> usize {
        let names: usize = self.lines.decoded.columns.iter().map(String::capacity).sum();
        self.lines.carry.capacity() + names
    }
}

impl Lines {
    fn push(&mut self, mut bytes: &[u8]) -> Result<(), Defect> {
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
            // The first line is asked for its keys, and blank lines must be the last ones.
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
        // Room is asked for as needed and not doubled beyond the bound.
        if self.carry.capacity() - self.carry.len() < bytes.len() {
            let wanted = (self.carry.len() + bytes.len()).next_power_of_two().min(MAX_LINE);
            self.carry.reserve_exact(wanted - self.carry.len());
        }
        self.carry.extend_from_slice(bytes);
        Ok(())
    }

    fn line(&mut self, line: &[u8], last: bool) -> Result<(), Defect> {
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
        let count = halves(line);
        if count > 0 {
            let line = self.ended;
            self.halves.get_or_insert(Halves { count: 0, line }).count += count;
        }
        Ok(())
    }

    /// What was decoded, with what is to be said of it.
    fn decoded(mut self) -> Decoded {
        if let Some(Halves { count, line }) = self.halves {
            let what = format!(
                "has {count} escape{} that name{} half of a surrogate pair alone, which is no character and which many \
                 readers refuse",
                if count == 1 { "" } else { "s" },
                if count == 1 { "s" } else { "" },
            );
            self.decoded.remarks.add(Remark::new(what).on_line(line));
        }
        self.decoded
    }

    fn too_long(&self) -> Defect {
        self.placed(Defect::new(format!(
            "is longer than {} MiB, the most that is taken for one line",
            MAX_LINE >> 20
        )))
    }

    fn placed(&self, defect: Defect) -> Defect {
        if defect.line.is_some() {
            return defect;
        }
        defect.on_line(self.ended + 1).in_record(self.decoded.rows + 1)
    }
}

/// Says what is wrong in our own words: the parser's own text may quote a value.
fn fault(error: &serde_json::Error, line: &[u8], last: bool) -> Defect {
    let column = error.column();
    let category = match error.classify() {
        Category::Syntax if last && ends_within_number(error, line) => Category::Eof,
        category => category,
    };
    Defect::new(match category {
        Category::Data => "is not a JSON object".to_owned(),
        Category::Eof if last => format!("ends within a value at column {column} without a line break: it is cut off"),
        Category::Eof => format!("ends within a value at column {column}"),
        Category::Syntax | Category::Io => format!("is not JSON from column {column} on"),
    })
}

/// Whether a line would be a whole value's begin with one more digit: the parser takes `12.` for wrong, not for cut off.
fn ends_within_number(error: &serde_json::Error, line: &[u8]) -> bool {
    error.column() >= line.len()
        && matches!(line.last(), Some(b'-' | b'+' | b'.' | b'e' | b'E'))
        && serde_json::from_slice::<Object>(&[line, b"0"].concat())
            .is_err_and(|error| error.classify() == Category::Eof)
}

/// Any JSON object, parsed and forgotten.
struct Object;

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Object, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Object)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// The keys of an object.
struct Keys {
    names: Vec<String>,
    count: u64,
}

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Keys, A::Error> {
                let (mut names, mut count) = (Vec::new(), 0);
                while let Some((name, IgnoredAny)) = members.next_entry::<String, IgnoredAny>()? {
                    count += 1;
                    if names.len() < MAX_COLUMNS {
                        names.push(column_name(&name));
                    }
                }
                Ok(Keys { names, count })
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Bytes that [`filter`] takes at once.
const BLOCK: usize = 64;
/// Values that the filter follows into one another; deeper ones are left to the parser.
const MAX_DEPTH: u32 = 64;

/// What stands right behind a token of a kind: of 64 bytes, and whether one ended at the last byte or only spaces
/// followed it, so that the next block has what stands behind it.
#[derive(Clone, Copy, Default)]
struct Behind(u64);

impl Behind {
    /// The first byte behind each of `ends`, spaces left out. `and` are bytes that stand behind such tokens already.
    #[inline(always)]
    fn next(&mut self, ends: u64, and: u64, spaces: u64) -> u64 {
        let behind = (ends << 1) | self.0 | and;
        if spaces == 0 {
            self.0 = ends >> 63;
            return behind;
        }
        // Adding to the lowest bit of a run of spaces carries to the bit behind the run.
        let (sum, over) = (behind & spaces).overflowing_add(spaces);
        self.0 = (ends >> 63) | u64::from(over);
        (behind | sum) & !spaces
    }
}

/// Goes over lines that all end with a line break. Gives how many from the first on are sure to be one JSON object each,
/// and how many bytes they take; the line behind them may be anything.
///
/// As simdjson does it, bit masks of 64 bytes tell which quotes begin and end strings, and so which brackets, colons,
/// commas, numbers and words stand outside strings. The rules of JSON say what may come behind what, and masks are
/// enough to check them; only brackets, which say whether a comma is one of an object or of an array, and numbers and
/// words are gone through one by one.
#[inline(always)]
fn filter<S: Simd>(simd: S, lines: &[u8]) -> (u64, usize) {
    let (mut rows, mut line, mut at) = (0, 0, 0);
    // Of the values that are open, the innermost in the lowest bit: whether it is an array.
    let (mut arrays, mut depth) = (0_u64, 0_u32);
    // What the block before this one ended with: all bits if in a string; and in the lowest bit whether in a string
    // that is a key, behind a backslash, or in a number or a word.
    let (mut within, mut in_key, mut escaped, mut in_scalar) = (0_u64, 0_u64, 0_u64, 0_u64);
    let (mut value, mut key, mut wants_value) = (Behind::default(), Behind::default(), Behind::default());
    let (mut wants_key, mut object, mut array) = (Behind::default(), Behind::default(), Behind::default());
    let mut line_break = Behind(1);
    // Where the `u` of the escape stands that names the second half of a surrogate pair whose first half was seen.
    let mut second_half = None;
    let all = |byte| u8x64::splat(simd, byte);
    let mut padded = [b' '; BLOCK];
    while at < lines.len() {
        let block = if let Some(block) = lines.get(at..at + BLOCK) {
            u8x64::from_slice(simd, block)
        } else {
            padded[..lines.len() - at].copy_from_slice(&lines[at..]);
            u8x64::from_slice(simd, &padded)
        };
        let backslashes = block.simd_eq(all(b'\\')).to_bitmask();
        let mut escapes = escaped;
        escaped = 0;
        if backslashes != 0 {
            // A backslash that is escaped itself escapes nothing: this goes over those that are not.
            let mut left = backslashes & !escapes;
            while left != 0 {
                let behind = (left & left.wrapping_neg()) << 1;
                escapes |= behind;
                left &= (left - 1) & !behind;
            }
            escaped = (backslashes & !escapes) >> 63;
        }
        let quotes = block.simd_eq(all(b'"')).to_bitmask() & !escapes;
        // From each opening quote on, up to before the closing one.
        let inside = parity(quotes) ^ within;
        let controls = block.simd_lt(all(b' ')).to_bitmask();
        if controls & inside != 0 || (escapes != 0 && !escapes_are_right(lines, at, escapes, inside, &mut second_half))
        {
            break;
        }
        let feeds = block.simd_eq(all(b'\n')).to_bitmask();
        let spaces = (block.simd_eq(all(b' ')) | block.simd_eq(all(b'\t')) | block.simd_eq(all(b'\r'))).to_bitmask();
        let spaces = spaces & !inside;
        let colons = block.simd_eq(all(b':')).to_bitmask() & !inside;
        let commas = block.simd_eq(all(b',')).to_bitmask() & !inside;
        let (objects, object_ends) = (
            block.simd_eq(all(b'{')).to_bitmask(),
            block.simd_eq(all(b'}')).to_bitmask(),
        );
        let (arrays_begin, array_ends) = (
            block.simd_eq(all(b'[')).to_bitmask(),
            block.simd_eq(all(b']')).to_bitmask(),
        );
        let (objects, object_ends) = (objects & !inside, object_ends & !inside);
        let (arrays_begin, array_ends) = (arrays_begin & !inside, array_ends & !inside);
        let begins = objects | arrays_begin;
        let ends = object_ends | array_ends;
        let scalars = !(colons | commas | begins | ends | feeds | spaces | quotes | inside);
        let shifted = (scalars << 1) | in_scalar;
        let (scalar_begins, behind_scalars) = (scalars & !shifted, shifted & !scalars);

        // The brackets, for what lies between them: which bytes stand in an array, and which outside all values.
        let (mut in_array, mut outside) = (0, 0);
        let mut rest = u64::MAX;
        let mut wrong = false;
        let mut left = begins | ends | feeds;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            let before = rest & (bit - 1);
            in_array |= before & (arrays & 1).wrapping_neg();
            outside |= before & u64::from(depth == 0).wrapping_neg();
            rest = !(bit - 1);
            if bit & begins != 0 {
                wrong |= depth >= MAX_DEPTH;
                depth = depth.wrapping_add(1);
                arrays = (arrays << 1) | u64::from(bit & arrays_begin != 0);
            } else if bit & ends != 0 {
                wrong |= depth == 0 || (arrays & 1 != 0) != (bit & array_ends != 0);
                depth = depth.wrapping_sub(1);
                arrays >>= 1;
            } else {
                wrong |= depth != 0;
            }
            left ^= bit;
        }
        in_array |= rest & (arrays & 1).wrapping_neg();
        outside |= rest & u64::from(depth == 0).wrapping_neg();

        let strings = quotes & inside;
        let values = strings | scalar_begins | begins;
        let behind_comma = wants_key.next(commas & !in_array, 0, spaces);
        let behind_object = object.next(objects, 0, spaces);
        let keys = strings & (behind_comma | behind_object);
        // Adding to the first bit of a string carries to its closing quote.
        let (sum, over) = inside.overflowing_add(keys);
        let (sum, over_too) = sum.overflowing_add(in_key);
        in_key = u64::from(over | over_too);
        let closing = quotes & !inside;
        let key_ends = closing & sum;
        let misplaced = (commas & outside)
            | (behind_comma & !strings)
            | (behind_object & !(strings | object_ends))
            | (key.next(key_ends, 0, spaces) & !colons)
            | (wants_value.next(colons | (commas & in_array), 0, spaces) & !values)
            | (array.next(arrays_begin, 0, spaces) & !(values | array_ends))
            | (value.next((closing & !key_ends) | ends, behind_scalars, spaces) & !(commas | ends | feeds))
            | (line_break.next(feeds, 0, spaces) & !objects);
        // The carries have cleared the strings that are keys.
        let in_keys = inside & !sum;
        if wrong || misplaced != 0 || (escapes & in_keys != 0 && names_surrogates(lines, at, escapes & in_keys)) {
            break;
        }
        let mut left = scalar_begins;
        while left != 0 {
            wrong |= !scalar(&lines[at + left.trailing_zeros() as usize..]);
            left &= left - 1;
        }
        if wrong {
            break;
        }
        if feeds != 0 {
            rows += u64::from(feeds.count_ones());
            line = at + BLOCK - feeds.leading_zeros() as usize;
        }
        within = ((inside as i64) >> 63) as u64;
        in_scalar = scalars >> 63;
        at += BLOCK;
    }
    (rows, line)
}

/// Whether what backslashes stand before is one of JSON's escapes, and no half of a surrogate pair stands alone.
/// `second_half` is where the `u` stands of the second half of a pair that was begun.
#[cold]
#[inline(never)]
fn escapes_are_right(lines: &[u8], at: usize, mut escapes: u64, inside: u64, second_half: &mut Option<usize>) -> bool {
    // Outside strings there are none.
    if escapes & !inside != 0 {
        return false;
    }
    while escapes != 0 {
        let place = at + escapes.trailing_zeros() as usize;
        let right = match lines.get(place) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
            Some(b'u') => lines.get(place + 1..).is_some_and(|digits| {
                let are_right = digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_hexdigit);
                are_right && (half(digits) == Half::None || is_of_pair(digits, place, second_half))
            }),
            _ => false,
        };
        if !right {
            return false;
        }
        escapes &= escapes - 1;
    }
    true
}

/// Whether the half of a surrogate pair that these digits name, those of the escape whose `u` stands at `place`, is of a
/// whole pair.
fn is_of_pair(digits: &[u8], place: usize, second_half: &mut Option<usize>) -> bool {
    match half(digits) {
        Half::Second => second_half.take() == Some(place),
        Half::First if matches!(digits, [_, _, _, _, b'\\', b'u', next @ ..] if half(next) == Half::Second) => {
            *second_half = Some(place + 6);
            true
        }
        Half::First | Half::None => false,
    }
}

/// What part of a surrogate pair a `\u` escape names.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    None,
    First,
    Second,
}

/// What the digits of an escape name.
fn half(digits: &[u8]) -> Half {
    match digits {
        [b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..] => Half::First,
        [b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', ..] => Half::Second,
        _ => Half::None,
    }
}

/// How many escapes of a line name half of a surrogate pair alone. The line is JSON.
fn halves(mut line: &[u8]) -> u64 {
    let mut alone = 0;
    // Whether the first half of a pair stands right before.
    let mut begun = false;
    while let Some(at) = memchr::memchr(b'\\', line) {
        // A pair is two escapes without anything between them.
        alone += u64::from(begun && at > 0);
        begun &= at == 0;
        let escape = &line[at + 1..];
        let (half, length) = match escape.first() {
            Some(b'u') => (half(&escape[1..]), 5),
            _ => (Half::None, 1),
        };
        match half {
            Half::Second => alone += u64::from(!begun),
            Half::None | Half::First => alone += u64::from(begun),
        }
        begun = half == Half::First;
        line = escape.get(length..).unwrap_or_default();
    }
    alone + u64::from(begun)
}

/// Whether one of these escapes names a half of a surrogate pair. In keys the parser takes whole pairs only, so it is asked.
#[cold]
#[inline(never)]
fn names_surrogates(lines: &[u8], at: usize, mut escapes: u64) -> bool {
    while escapes != 0 {
        let place = at + escapes.trailing_zeros() as usize;
        if let Some([b'u', b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', ..]) = lines.get(place..) {
            return true;
        }
        escapes &= escapes - 1;
    }
    false
}

/// Whether the text begins with a number or a word of JSON, and with nothing right behind it that cannot be.
#[inline]
fn scalar(text: &[u8]) -> bool {
    let word = match text {
        [b't', b'r', b'u', b'e', rest @ ..]
        | [b'n', b'u', b'l', b'l', rest @ ..]
        | [b'f', b'a', b'l', b's', b'e', rest @ ..] => rest,
        _ => match number(text) {
            Some(rest) => rest,
            None => return false,
        },
    };
    matches!(word, [b',' | b'}' | b']' | b' ' | b'\t' | b'\r', ..])
}

/// What is left behind a number.
#[inline]
fn number(text: &[u8]) -> Option<&[u8]> {
    let mut rest = match text.strip_prefix(b"-").unwrap_or(text) {
        [b'0', rest @ ..] => rest,
        [b'1'..=b'9', rest @ ..] => digits(rest),
        _ => return None,
    };
    if let [b'.', b'0'..=b'9', more @ ..] = rest {
        rest = digits(more);
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        rest = match exponent {
            [b'+' | b'-', b'0'..=b'9', more @ ..] | [b'0'..=b'9', more @ ..] => digits(more),
            _ => return None,
        };
    }
    Some(rest)
}

#[inline]
fn digits(mut text: &[u8]) -> &[u8] {
    while let [b'0'..=b'9', rest @ ..] = text {
        text = rest;
    }
    text
}

/// For each bit, whether an odd number of bits is set up to it.
#[inline(always)]
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// Looks at the first and the last bytes of an object, at most 64 KiB each; both are the whole object if it is not
/// larger. All lines that they hold whole are decoded.
pub fn frame(head: Head<'_>, tail: &[u8]) -> Result<Framed, Defect> {
    let mut decoder = JsonlDecoder::new();
    decoder.push(head.bytes)?;
    let Decoded {
        columns,
        column_count,
        remarks,
        ..
    } = if head.whole {
        decoder.finish()?
    } else {
        let tail = text_tail(tail)?;
        if let Some(first) = memchr::memchr(b'\n', tail) {
            let mut last = JsonlDecoder::new();
            let result = last.push(&tail[first + 1..]).and_then(|()| last.finish());
            // Which line it is, is not known.
            result.map_err(|defect| Defect::new(format!("has a line near its end that {}", defect.what)))?;
        }
        decoder.lines.decoded()
    };
    Ok(Framed {
        columns,
        column_count,
        remarks,
        ..Framed::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(text: impl AsRef<[u8]>) -> Result<Decoded, Defect> {
        in_chunks(text.as_ref(), usize::MAX)
    }

    fn in_chunks(bytes: &[u8], size: usize) -> Result<Decoded, Defect> {
        let mut decoder = JsonlDecoder::new();
        for chunk in bytes.chunks(size) {
            decoder.push(chunk)?;
        }
        decoder.finish()
    }

    fn defect(text: impl AsRef<[u8]>) -> String {
        run(text).unwrap_err().to_string()
    }

    #[test]
    fn counts_objects() {
        let decoded = run("\u{feff}{\"a\":1,\"b\":[{\"c\":\"x\\n\"}]}\r\n{}\n{\"z\":null}").unwrap();
        assert_eq!(decoded.rows, 3);
        assert_eq!(decoded.columns, ["a", "b"]);
        assert_eq!(run("{}\n\n \r\n").unwrap().rows, 1);
        assert_eq!(run("").unwrap().rows, 0);
    }

    #[test]
    fn each_line_is_one_whole_object() {
        assert!(defect("{}\n{\"a\":").starts_with("record 2, line 2: ends within a value at column 5 without"));
        assert!(defect("{\"a\":\n{}\n").starts_with("record 1, line 1: ends within"));
        // Wherever an object is cut, it is called that, within numbers and escapes too.
        let object = br#"{"n":-12.5e-7,"m":{"k\u00e9":[1.0,0E+1,-0]},"t":[true,false,null,"x\\\u0041"],"z":6.02e23}"#;
        run(object).unwrap();
        for end in 1..object.len() {
            for before in ["", "{}\n"] {
                let found = defect([before.as_bytes(), &object[..end]].concat());
                assert!(found.contains("it is cut off"), "{end}: {found}");
            }
        }
        // What no further byte would mend is no cut, nor is a cut in the middle of the text.
        for text in [
            r#"{"a":1.."#,
            r#"{"a":+"#,
            r#"{"a":--"#,
            r#"{"a":1.e"#,
            r#"{"a":01."#,
            r#"{"a":[1}."#,
            "{}-",
        ] {
            let found = defect(text);
            assert!(found.contains("is not JSON from column"), "{text}: {found}");
        }
        assert!(defect("{\"a\":12.\n{}\n").contains("is not JSON from column"));
        assert!(defect("{}\n[1]\n").starts_with("record 2, line 2: is not a JSON object"));
        assert!(defect("{}{}\n").contains("is not JSON from column 3 on"));
        assert!(defect("{}\n\n{}\n").starts_with("line 2: is blank"));
        assert!(defect("{\"a\":\"\0\"}\n").contains("NUL"));
        assert!(defect(b"{}\n{\"a\":\"\xff\"}\n").starts_with("record 2, line 2, byte 9: is not UTF-8"));
    }

    #[test]
    fn half_of_a_surrogate_pair_is_remarked_on() {
        for (text, remark) in [
            (r#"{"a":"\ud83d\ude00"}"#, ""),
            (r#"{"a":"\\ud83d"}"#, ""),
            (
                r#"{"a":"x\ud83d"}"#,
                "has 1 escape that names half of a surrogate pair alone",
            ),
            (r#"{"a":"\uDE00x"}"#, "has 1 escape that names"),
            (r#"{"a":"\ude00\ud83d"}"#, "has 2 escapes that name half"),
            (r#"{"a":["\ud83d","\ude00"]}"#, "has 2 escapes that name half"),
            (r#"{"a":"\ud83d\ud83d\ude00"}"#, "has 1 escape that names half"),
        ] {
            for text in [
                format!("{text}\n"),
                format!("{text}\n{{\"b\":\"\\ud83d\\ude00\"}}\n"),
                text.to_owned(),
            ] {
                let decoded = run(&text).unwrap();
                assert_eq!(in_chunks(text.as_bytes(), 1).as_ref(), Ok(&decoded));
                assert_eq!(cut(text.as_bytes(), text.len(), 3).as_ref(), Ok(&decoded));
                let remarks = decoded.remarks.to_string();
                assert!(
                    remarks.starts_with(remark) && remarks.is_empty() == remark.is_empty(),
                    "{text}: {remarks}"
                );
            }
        }
        let text = format!("{{}}\n{}", "{\"a\":\"\\udc00\"}\n".repeat(100));
        assert!(run(&text).unwrap().remarks.to_string().starts_with("has 100 escapes"));
        assert!(run(&text).unwrap().remarks.to_string().ends_with("(line 2)"));
        // A key has to be a text.
        assert!(run("{}\n{\"\\ud83d\":1}\n").is_err());
    }

    #[test]
    fn no_value_is_quoted() {
        for text in [
            "\"secret\"\n",
            "{\"secret\": secret}\n",
            "{\"a\":\"secret\n",
            "secret,secret\n",
        ] {
            assert!(!defect(text).contains("secret"), "{}", defect(text));
        }
    }

    #[test]
    fn a_line_has_a_longest_length() {
        let open = b"{\"a\":\"";
        let close = b"\"}";
        let value = vec![b'x'; MAX_LINE - open.len() - close.len()];
        let mut line = [open.as_slice(), &value, close].concat();
        assert_eq!(line.len(), MAX_LINE);
        assert_eq!(in_chunks(&line, 1 << 20).unwrap().rows, 1);
        line.push(b' ');
        assert!(run(&line).unwrap_err().what.contains("longer than 16 MiB"));
        assert_eq!(in_chunks(&line, 1 << 20), run(&line));
    }

    #[test]
    fn holds_no_more_for_more_lines() {
        let mut decoder = JsonlDecoder::new();
        for _ in 0..100_000 {
            decoder.push(b"{\"a\":1}\n{\"b\"").unwrap();
            decoder.push(b":2}\n").unwrap();
        }
        assert!(decoder.held() < 64);
        assert_eq!(decoder.finish().unwrap().rows, 200_000);
    }

    /// What serde_json alone makes of a text.
    fn expected(text: &[u8]) -> Result<Decoded, Defect> {
        let mut lines = Lines::default();
        let mut text = text;
        while let Some(end) = memchr::memchr(b'\n', text) {
            lines.line(&text[..end], false)?;
            text = &text[end + 1..];
        }
        if !text.is_empty() {
            lines.decoded.unterminated = true;
            lines.line(text, true)?;
        }
        Ok(lines.decoded())
    }

    fn cut(bytes: &[u8], cut: usize, size: usize) -> Result<Decoded, Defect> {
        let mut first = JsonlDecoder::new();
        for chunk in bytes[..cut].chunks(size) {
            first.push(chunk)?;
        }
        let (offset, state) = first.checkpoint().unwrap();
        assert!(offset == 0 || offset == 3 || bytes[offset as usize - 1] == b'\n');
        let json = serde_json::to_string(&state).unwrap();
        let read: JsonlState = serde_json::from_str(&json).unwrap();
        assert_eq!(read, state);
        let mut second = JsonlDecoder::resume(read);
        for chunk in bytes[offset as usize..].chunks(size) {
            second.push(chunk)?;
        }
        second.finish()
    }

    /// How many lines the filter takes.
    fn filtered(text: &str) -> u64 {
        let level = Level::new();
        dispatch!(level, simd => filter(simd, text.as_bytes())).0
    }

    #[test]
    fn the_filter_takes_what_is_usual() {
        let line = r#" {"a" : [1, -0.5e+3,true,{"b":[ ]}], "é\"\\\u00e9\n{,":{ } ,"c":"" ,"d":null,"":false}"#;
        for pad in 0..130 {
            let text = format!("{}{line}\r\n{{}}\n{line}\t\n", " ".repeat(pad));
            assert_eq!(filtered(&text), 3, "{pad}");
        }
        let nested = |depth: usize| format!("{}{{}}{}\n", "{\"a\":".repeat(depth - 1), "}".repeat(depth - 1));
        assert_eq!(filtered(&nested(64)), 1);
        assert_eq!(filtered(&nested(65)), 0);
        let long = format!("{{\"a\":\"{}\\\\\"}}\n", "x\\\"".repeat(4096));
        assert_eq!(filtered(&long.repeat(3)), 3);
    }

    #[test]
    fn nothing_nests_too_deep() {
        let depth = 1_000_000;
        for (open, close) in [("{\"a\":", "}"), ("[", "]")] {
            let deep = format!("{{\"a\":{}1{}}}\n", open.repeat(depth), close.repeat(depth));
            assert_eq!(run(format!("{{}}\n{deep}{{}}\n")).unwrap().rows, 3);
            assert_eq!(run(&deep).unwrap().rows, 1);
            assert!(run(format!("{{}}\n{}", deep.replacen(close, "", 1))).is_err());
        }
    }

    #[test]
    fn refuses_what_is_not_quite_json() {
        for value in [
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "0x1",
            "1_0",
            "NaN",
            "Infinity",
            "tru",
            "truee",
            "nul",
            "True",
            "'a'",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u123\"",
            "\"\t\"",
            "\"\u{1}\"",
            "\"\\\"",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" 1}",
            "{\"a\"}",
            "{1:1}",
            "[1}",
            "{\"a\":1]",
            "1]",
            "",
            "\"a\"\"b\"",
            "1\"a\"",
            "\"a\"1",
            "\\n",
            "1\\\"",
            "true\\",
            "//1",
            "1 //",
            "[1]]",
            "\u{a0}1",
            "\u{feff}1",
            "1\u{b}",
            "\"a\"\\\"b\"",
        ] {
            let line = format!("{{\"a\":{value}}}\n");
            assert_eq!(filtered(&line), 0, "{value}");
            assert!(run(format!("{{}}\n{line}")).is_err(), "{value}");
        }
        for line in [
            "{}{}",
            "{},",
            "{}]",
            "[]",
            "1",
            "\"a\"",
            "{}\u{c}",
            "{\"a\":1}}",
            "}",
            ":",
            "",
        ] {
            assert_eq!(filtered(&format!("{line}\n")), 0, "{line}");
        }
        // Halves of surrogate pairs are taken in values, as is what no number type holds.
        for value in [
            "\"\\ud800\"",
            "\"\\udc00\\ud800\"",
            "1e999",
            "-0",
            "123456789012345678901234567890",
        ] {
            assert_eq!(run(format!("{{}}\n{{\"a\":{value}}}\n")).unwrap().rows, 2, "{value}");
        }
    }

    /// Found by fuzzing: a half in a key was refused or not by where the line lay.
    #[test]
    fn halves_of_surrogate_pairs_in_keys_are_refused_wherever_they_lie() {
        for before in 0..2 * BLOCK {
            for (key, right) in [
                ("\\ud83e", false),
                ("\\uDC00", false),
                ("\\ud83e\\udd17", true),
                ("\\u00f6", true),
            ] {
                let line = format!("{{\"{}{key}\":{{\"b\":[1]}}}}\n", "x".repeat(before));
                let whole = run(format!("{{}}\n{line}{{}}\n"));
                assert_eq!(whole.is_ok(), right, "{line}");
                assert_eq!(whole, in_chunks(format!("{{}}\n{line}{{}}\n").as_bytes(), 7), "{line}");
                // Whoever is left to the parser comes to the same.
                let followed = run(format!("{{}}\n{line}{{\"a\":00}}\n"));
                assert_eq!(followed.unwrap_err().line, Some(if right { 3 } else { 2 }), "{line}");
            }
        }
    }

    #[test]
    fn says_whether_the_last_line_ended() {
        for (text, unterminated) in [
            ("{}\n", false),
            ("{}", true),
            ("{}\n\n", false),
            ("{}\n ", true),
            ("", false),
        ] {
            assert_eq!(run(text).unwrap().unterminated, unterminated, "{text:?}");
        }
    }

    #[test]
    fn the_state_is_bounded() {
        let keys: Vec<String> = (0..MAX_COLUMNS)
            .map(|n| format!("\"{n}{}\":1", "\u{10348}".repeat(128)))
            .collect();
        let mut decoder = JsonlDecoder::new();
        decoder.push(format!("{{{}}}\n", keys.join(",")).as_bytes()).unwrap();
        assert_eq!(decoder.checkpoint(), None);
        let mut decoder = JsonlDecoder::new();
        decoder
            .push(format!("{{{}}}\n{{\"", keys[..400].join(",")).as_bytes())
            .unwrap();
        let (_, state) = decoder.checkpoint().unwrap();
        let json = serde_json::to_string(&state).unwrap();
        assert!(json.len() > MAX_STATE / 2 && json.len() <= MAX_STATE);
    }

    fn framed(text: &str) -> Result<Framed, Defect> {
        let (head, tail) = (
            &text[..text.len().min(64 << 10)],
            &text[text.len().saturating_sub(64 << 10)..],
        );
        let whole = head.len() == text.len();
        frame(
            Head {
                bytes: head.as_bytes(),
                whole,
            },
            tail.as_bytes(),
        )
    }

    #[test]
    fn the_ends_show_what_is_cut_off() {
        let text = "{\"a\":1,\"b\":\"xyz\"}\n".repeat(10_000);
        assert_eq!(framed(&text).unwrap().columns, ["a", "b"]);
        assert_eq!(framed(&text[..text.len() - 1]).unwrap().column_count, 2);
        for cut in 2..18 {
            let found = framed(&text[..text.len() - cut]).unwrap_err();
            assert!(
                found
                    .what
                    .starts_with("has a line near its end that ends within a value"),
                "{found}"
            );
        }
        assert!(framed(&text.replacen(':', ";", 1)).is_err());
        assert!(framed("{").is_err());
        assert_eq!(framed("").unwrap(), Framed::default());
        // A line that is longer than the ends shows nothing.
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(200_000));
        assert_eq!(framed(&long).unwrap(), Framed::default());
    }

    /// JSON, or nearly so.
    fn line() -> impl Strategy<Value = String> {
        let scalar = prop_oneof![
            "\"([a-zé,:\\{\\}\\[\\]/ ]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fD]{4}){0,12}\"",
            "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
            "true|false|null",
            "\"[a-z]{60,70}\"",
        ];
        let value = scalar.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                (prop::collection::vec(inner.clone(), 0..5), " ?")
                    .prop_map(|(v, s)| format!("[{}]", v.join(&format!(",{s}")))),
                (prop::collection::vec(inner, 0..5), " ?")
                    .prop_map(|(v, s)| v.iter().map(|v| format!("\"k\"{s}:{s}{v}")).collect::<Vec<_>>())
                    .prop_map(|members| format!("{{{}}}", members.join(","))),
            ]
        });
        prop::collection::vec(value, 0..4)
            .prop_map(|values| values.iter().map(|value| format!("\"é\":{value}")).collect::<Vec<_>>())
            .prop_map(|members| format!("{{{}}}", members.join(",")))
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let other = prop::sample::select(b"{}[]:,\"\\ \t\r\n0-.eEu1tn/\x01\xc3".to_vec());
        let changes = prop::collection::vec((any::<prop::sample::Index>(), other, 0..4_u8), 0..3);
        let lines = prop::collection::vec((line(), prop::sample::select(vec!["\n", "\n", "\r\n", " \n"])), 0..8);
        (lines, changes, "(\u{feff})?", any::<bool>()).prop_map(|(lines, changes, begin, ended)| {
            let lines: String = lines.into_iter().map(|(line, end)| format!("{line}{end}")).collect();
            let mut text = format!("{begin}{{}}\n{lines}").into_bytes();
            for (index, byte, how) in changes {
                let at = index.index(text.len());
                match how {
                    0 => text[at] = byte,
                    1 => text.insert(at, byte),
                    2 if text.len() > 1 => drop(text.remove(at)),
                    _ => text.extend_from_within(at..),
                }
            }
            if !ended {
                text.pop();
            }
            text
        })
    }

    proptest! {
        #[test]
        fn takes_and_refuses_what_serde_json_does(text in text(), size in 1usize..300) {
            let found = run(&text);
            prop_assert_eq!(in_chunks(&text, size), found.clone());
            if let Ok(text) = std::str::from_utf8(&text) {
                prop_assert_eq!(found, expected(text.trim_start_matches('\u{feff}').as_bytes()));
            }
        }

        #[test]
        fn halves_of_pairs_are_those_that_utf_16_has_no_character_for(
            parts in prop::collection::vec(prop::sample::select(vec![
                r"\ud83d", r"\uDBFF", r"\ude00", r"\uDC00", r"\u00e9", r"\\", r"\n", r"\ud7ff", r"\ue000", "ud83d", "a",
                "\u{1f600}", "\",\"b\":\"",
            ]), 0..40),
            before in 0..70_usize,
            size in 1..90_usize,
        ) {
            let value = parts.concat();
            let mut alone = 0;
            for value in value.split("\",\"b\":\"") {
                let mut units = Vec::new();
                let mut rest = value;
                while let Some(first) = rest.chars().next() {
                    let length = match rest.get(..2) {
                        Some(r"\u") => {
                            units.push(u16::from_str_radix(&rest[2..6], 16).unwrap());
                            6
                        }
                        _ if first == '\\' => { units.push(0); 2 }
                        _ => { units.extend(first.encode_utf16(&mut [0; 2]).iter()); first.len_utf8() }
                    };
                    rest = &rest[length..];
                }
                alone += char::decode_utf16(units).filter(Result::is_err).count();
            }
            let pad = "x".repeat(before);
            let text = format!("{{\"p\":\"{pad}\"}}\n{{\"p\":\"{pad}\",\"a\":\"{value}\"}}\n{{}}\n");
            let found = in_chunks(text.as_bytes(), size).unwrap();
            prop_assert_eq!(found.rows, 3);
            prop_assert_eq!(filtered(&text[text.find('\n').unwrap() + 1..]), if alone == 0 { 2 } else { 0 });
            let remarks = found.remarks.to_string();
            match alone {
                0 => prop_assert_eq!(remarks, ""),
                alone => prop_assert!(
                    remarks.starts_with(&format!("has {alone} escape")) && remarks.ends_with("(line 2)"),
                    "{}",
                    remarks
                ),
            }
        }

        #[test]
        fn the_filter_takes_no_line_that_serde_json_refuses(line in line(), place in any::<prop::sample::Index>()) {
            // Half of a pair is left to the parser, which has no value for it.
            let is_value = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
            prop_assert_eq!(filtered(&format!("{line}\n")), u64::from(is_value(&line)));
            // Each byte in its turn, of those that mean something to JSON, in one place.
            for byte in b"{}[]:,\"\\ \t\r\n\x01019-+.eEut/x".iter() {
                let mut changed = line.clone().into_bytes();
                let at = place.index(changed.len());
                changed[at] = *byte;
                if let Ok(changed) = String::from_utf8(changed) {
                    let taken = filtered(&format!("{changed}\n"));
                    let lines: Vec<&str> = changed.split('\n').collect();
                    let right = lines.iter().take_while(|line| serde_json::from_str::<Object>(line).is_ok()).count();
                    // Of lines in one block with one that is wrong, it may leave the others too.
                    prop_assert!(taken <= right as u64, "{}", changed);
                    if right == lines.len() && lines.iter().all(|line| is_value(line)) {
                        prop_assert_eq!(taken, right as u64, "{}", changed);
                    }
                }
            }
        }

        #[test]
        fn a_whole_text_has_whole_ends(text in text(), size in 1usize..300) {
            if let Ok(decoded) = run(&text) {
                let (head, tail) = (&text[..text.len().min(size)], &text[text.len().saturating_sub(size)..]);
                let found = frame(Head { bytes: head, whole: head.len() == text.len() }, tail).unwrap();
                if found != Framed::default() {
                    prop_assert_eq!(found.columns, decoded.columns);
                }
            }
        }

        #[test]
        fn chunks_do_not_matter(text in "(\u{feff})?([\\{\\}\"a:1,\r\né ]{0,10}|\\{\"a\":\"é\"\\}\n|\\{\\}\n){0,6}", size in 1usize..9) {
            prop_assert_eq!(in_chunks(text.as_bytes(), size), run(&text));
        }
    }
    proptest! {
        // Each case goes through a text once for each of its bytes.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn another_process_goes_on_at_any_byte(text in text(), size in 1usize..300) {
            let whole = run(&text);
            for at in 0..=text.len() {
                prop_assert_eq!(cut(&text, at, size), whole.clone(), "cut at {}", at);
            }
        }
    }
}
