//! JSON lines: one JSON object a line.
//!
//! What must stay true: every line is parsed to its end and is one object, nothing more; blank lines come only at the
//! end; a last line without a line break must be whole. A file that was cut off exactly behind a line cannot be told
//! from a whole one.
//!
//! Memory: one line, and that only if it lies across chunks: at most [`MAX_LINE`] bytes.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::error::Category;

use super::{Decoded, Decoder, Defect, MAX_COLUMNS, column_name, text::Text};

/// The longest line that is taken, in bytes.
pub const MAX_LINE: usize = 16 * 1024 * 1024;

/// Decodes JSON lines.
#[derive(Debug, Default)]
pub struct JsonlDecoder {
    text: Text,
    lines: Lines,
}

#[derive(Debug, Default)]
struct Lines {
    /// The begin of a line whose end has not come.
    carry: Vec<u8>,
    /// Lines that ended.
    ended: u64,
    /// The first of the blank lines that came last.
    blank: Option<u64>,
    decoded: Decoded,
}

impl JsonlDecoder {
    /// A decoder at the begin of an object.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
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
            lines.line(&last, true)?;
        }
        Ok(lines.decoded)
    }

    fn held(&self) -> usize {
        let names: usize = self.lines.decoded.columns.iter().map(String::capacity).sum();
        self.lines.carry.capacity() + names
    }
}

impl Lines {
    fn push(&mut self, mut bytes: &[u8]) -> Result<(), Defect> {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
            if self.carry.is_empty() {
                self.line(line, false)?;
            } else {
                self.keep(line)?;
                let mut line = std::mem::take(&mut self.carry);
                self.line(&line, false)?;
                line.clear();
                self.carry = line;
            }
            bytes = rest;
        }
        self.keep(bytes)
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
        parsed.map_err(|error| self.placed(fault(&error, last)))?;
        self.ended += 1;
        self.decoded.rows += 1;
        Ok(())
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
fn fault(error: &serde_json::Error, last: bool) -> Defect {
    let column = error.column();
    Defect::new(match error.classify() {
        Category::Data => "is not a JSON object".to_owned(),
        Category::Eof if last => format!("ends within a value at column {column} without a line break: it is cut off"),
        Category::Eof => format!("ends within a value at column {column}"),
        Category::Syntax | Category::Io => format!("is not JSON from column {column} on"),
    })
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
        assert!(defect("{}\n[1]\n").starts_with("record 2, line 2: is not a JSON object"));
        assert!(defect("{}{}\n").contains("is not JSON from column 3 on"));
        assert!(defect("{}\n\n{}\n").starts_with("line 2: is blank"));
        assert!(defect("{\"a\":\"\0\"}\n").contains("NUL"));
        assert!(defect(b"{}\n{\"a\":\"\xff\"}\n").starts_with("record 2, line 2, byte 9: is not UTF-8"));
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

    proptest! {
        #[test]
        fn chunks_do_not_matter(text in "(\u{feff})?([\\{\\}\"a:1,\r\né ]{0,10}|\\{\"a\":\"é\"\\}\n|\\{\\}\n){0,6}", size in 1usize..9) {
            prop_assert_eq!(in_chunks(text.as_bytes(), size), run(&text));
        }
    }
}
