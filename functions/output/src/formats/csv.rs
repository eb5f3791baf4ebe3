//! CSV as RFC 4180 has it, and as it comes in real life.
//!
//! What must stay true: the first record is the header, and every other has as many fields; a quote that is never
//! closed is a defect, since otherwise a file cut off in the middle of a value would pass. Quoted line breaks, CRLF,
//! LF or CR, a byte order mark, blank lines, and a last record without a line break are fine. A file that was cut off
//! exactly behind a record, or within the unquoted last value of one, cannot be told from a whole one: only a count
//! reported elsewhere finds the first, and nothing the second.
//!
//! Memory: the header, at most 128 KiB, and a fixed scratch of 32 KiB; records are never held.

use csv_core::{ReadRecordResult, Reader};

use super::{Decoded, Decoder, Defect, MAX_COLUMNS, column_name, text::Text};

/// Bytes of the header that are kept for its names.
const MAX_HEADER: usize = 128 * 1024;
const SCRATCH: usize = 16 * 1024;
const SCRATCH_ENDS: usize = 2 * 1024;

/// Decodes CSV.
#[derive(Debug, Default)]
pub struct CsvDecoder {
    text: Text,
    records: Records,
}

#[derive(Debug)]
struct Records {
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

impl CsvDecoder {
    /// A decoder at the begin of an object.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
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
        let records = &self.records;
        let names: usize = records
            .header
            .iter()
            .flat_map(|header| &header.columns)
            .map(String::capacity)
            .sum();
        records.output.capacity() + records.header_bytes.capacity() + names
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
            input = &input[read..];
            if result == ReadRecordResult::Record {
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
        let Some(header) = &self.header else {
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
        if !self.fresh {
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
        self.decoded()
    }

    fn decoded(self) -> Result<Decoded, Defect> {
        let Some(header) = self.header else {
            return Err(Defect::new("has no header row"));
        };
        Ok(Decoded {
            rows: self.rows,
            columns: header.columns,
            column_count: header.fields,
            document: None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
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
}
