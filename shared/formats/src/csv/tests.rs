//! What must stay true: a text is read as csv-core reads it, with one of the two ways to write quotes within quotes. A
//! scanner of values that shares no code with the automaton says where a text is not CSV.

use proptest::prelude::*;

use super::{automaton::Quotes, records::MAX_HEADER, *};
use crate::{
    content::Head,
    decoded::{Decoded, Framed, MAX_COLUMNS},
    decoder::Decoder,
    defect::Defect,
    state::MAX_STATE,
    testing::resumed,
    text::BOM,
};

/// A reference decoder in which csv-core parses every byte.
mod oracle {
    use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

    use super::super::records::MAX_HEADER;
    use crate::{
        decoded::{Decoded, MAX_COLUMNS, column_name},
        defect::Defect,
        text::{BOM, Text},
    };

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
        /// Where the parser writes unquoted values. Only those of the header are read.
        output: Vec<u8>,
        ends: Vec<usize>,
        header: Option<Header>,
        /// The header as far as it was read.
        header_bytes: Vec<u8>,
        header_ends: Vec<usize>,
        /// Fields of the current record that have ended.
        fields: u64,
        rows: u64,
        /// Whether the current record has no byte yet.
        fresh: bool,
        /// Line breaks between records, which the parser does not see.
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

    impl CsvDecoder {
        /// Reads quotes that are escaped by backslashes instead of doubled.
        pub(super) fn escaped() -> Self {
            let reader = ReaderBuilder::new().escape(Some(b'\\')).double_quote(false).build();
            Self {
                records: Records {
                    reader,
                    ..Records::default()
                },
                ..Self::default()
            }
        }

        /// Adds the current record to a defect.
        pub(super) fn placed(&self, defect: Defect) -> Defect {
            self.records.placed(defect)
        }

        pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), Defect> {
            let records = &mut self.records;
            let result = self.text.push(chunk, |bytes| records.push(bytes));
            result.map_err(|defect| records.placed(defect))
        }

        pub(super) fn finish(self) -> Result<Decoded, Defect> {
            let Self { text, mut records } = self;
            text.finish(|bytes| records.push(bytes))
                .map_err(|defect| records.placed(defect))?;
            records.finish()
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

        /// Calls the parser once. `OutputFull` and `OutputEndsFull` only mean that it must be called again: the scratch
        /// buffers are reused each time.
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
                // The parser takes the end of the input for the end of a quoted value. A line break tells the two
                // apart: it ends every record, but within quotes it is part of the value.
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

        /// Adds the current record to a defect.
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
    let mut decoder = Box::new(CsvDecoder::new());
    for chunk in bytes.chunks(size) {
        decoder.push(chunk)?;
    }
    decoder.finish()
}

const BEHIND: &str = "has more behind a quote that closes a value";

/// Where a byte follows a closing quote that must not, and where a backslash before a quote first allows two readings.
fn values(bytes: &[u8], quotes: Quotes) -> (Option<usize>, Option<usize>) {
    let mut at = 0;
    while let Some(rest) = bytes.get(at..) {
        match rest {
            [b'\r' | b'\n', ..] => at += 1,
            rest if rest.starts_with(&BOM) => at += BOM.len(),
            _ => break,
        }
    }
    let mut fork = None;
    while at < bytes.len() {
        if bytes[at] != b'"' {
            let length = bytes[at..].iter().position(|byte| matches!(byte, b',' | b'\r' | b'\n'));
            at += length.unwrap_or(bytes.len()) + 1;
            continue;
        }
        at += 1;
        loop {
            match (bytes.get(at), bytes.get(at + 1), quotes) {
                (None, _, _) => return (None, fork),
                (Some(b'\\'), Some(b'\\'), _) => at += 2,
                (Some(b'\\'), Some(b'"'), Quotes::Doubled) => {
                    fork.get_or_insert(at + 1);
                    at += 1;
                }
                (Some(b'\\'), _, Quotes::Escaped) => at += 2,
                (Some(b'"'), Some(b'"'), Quotes::Doubled) => at += 2,
                (Some(b'"'), _, _) => break,
                _ => at += 1,
            }
        }
        at += 1;
        match bytes.get(at) {
            None => return (None, fork),
            Some(b',' | b'\r' | b'\n') => at += 1,
            Some(_) => return (Some(at), fork),
        }
    }
    (None, fork)
}

/// What csv-core makes of a text, as far as its values allow it.
fn reading(bytes: &[u8], quotes: Quotes) -> Result<Decoded, Defect> {
    let mut decoder = match quotes {
        Quotes::Doubled => oracle::CsvDecoder::default(),
        Quotes::Escaped => oracle::CsvDecoder::escaped(),
    };
    let (broken, _) = values(bytes, quotes);
    decoder.push(&bytes[..broken.unwrap_or(bytes.len())])?;
    match broken {
        Some(_) => Err(decoder.placed(Defect::new(BEHIND))),
        None => decoder.finish(),
    }
}

fn expected(bytes: &[u8]) -> Result<Decoded, Defect> {
    let doubled = reading(bytes, Quotes::Doubled);
    let (_, fork) = values(bytes, Quotes::Doubled);
    let Some(fork) = fork else { return doubled };
    // A fault before the fork is a fault in both readings.
    oracle::CsvDecoder::default().push(&bytes[..fork])?;
    match (doubled, reading(bytes, Quotes::Escaped)) {
        (Ok(doubled), Ok(escaped)) if (doubled.rows, doubled.column_count) != (escaped.rows, escaped.column_count) => {
            Err(Defect::new("can be read in two ways"))
        }
        (Ok(doubled), _) => Ok(doubled),
        (Err(_), Ok(escaped)) => Ok(escaped),
        // The text is not UTF-8 in either reading. The first reading gives the record, if it holds up to there.
        (Err(doubled), Err(escaped)) if doubled.offset.is_none() && escaped.offset.is_some() => {
            let (broken, _) = values(bytes, Quotes::Doubled);
            let holds = broken.is_some_and(|at| escaped.offset == Some(at as u64));
            let (line, record) = if holds {
                (doubled.line, doubled.record)
            } else {
                (escaped.line, escaped.record)
            };
            Err(Defect {
                line,
                record,
                ..escaped
            })
        }
        (Err(doubled), Err(_)) => Err(doubled),
    }
}

/// Found by chance: both readings are valid up to the byte, but give it different records.
#[test]
fn invalid_utf8_is_located_by_doubled_quotes_if_both_readings_hold() {
    let found = run(b"a,b\n1,\"\\\"\"\n2,\"\xc3\"\n").unwrap_err();
    assert_eq!(
        (found.offset, found.line, found.record),
        (Some(14), Some(2), Some(1)),
        "{found}"
    );
}

/// Leaves out what csv-core does not know: which lines are empty or end with CR, and the words of a defect.
fn comparable(result: Result<Decoded, Defect>) -> Result<(u64, u64, bool, Vec<String>), Defect> {
    match result {
        Ok(decoded) => {
            // csv-core drops a backslash before a letter within quotes; we keep it.
            let name = |name: &String| name.chars().filter(|c| *c != '\\').take(64).collect();
            let columns = decoded.columns.iter().map(name).collect();
            Ok((decoded.rows, decoded.column_count, decoded.unterminated, columns))
        }
        Err(mut defect) => {
            let end = defect.what.find(" (nor can").unwrap_or(defect.what.len());
            defect.what.truncate(end);
            for kind in [BEHIND, "can be read in two ways"] {
                if defect.what.starts_with(kind) {
                    defect.what = kind.to_owned();
                }
            }
            if defect.what.starts_with("can be") {
                defect.line = None;
            }
            Err(defect)
        }
    }
}

/// Whether it is a defect that csv-core does not know.
fn is_delimited(result: &Result<Decoded, Defect>) -> bool {
    matches!(result, Err(defect) if defect.what.starts_with("looks delimited"))
}

/// Pushes chunks of these sizes, again and again.
fn in_sizes(bytes: &[u8], sizes: &[usize]) -> Result<Decoded, Defect> {
    let mut decoder = Box::new(CsvDecoder::new());
    push_in_sizes(&mut *decoder, bytes, sizes)?;
    decoder.finish()
}

fn push_in_sizes(decoder: &mut dyn Decoder, mut bytes: &[u8], sizes: &[usize]) -> Result<(), Defect> {
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

/// Stops after the first `cut` bytes and resumes in another decoder.
fn cut(bytes: &[u8], cut: usize, sizes: &[usize]) -> Result<Decoded, Defect> {
    let mut first = CsvDecoder::new();
    push_in_sizes(&mut first, &bytes[..cut], sizes)?;
    assert!(serde_json::to_string(&first.checkpoint()).unwrap().len() <= MAX_STATE);
    let (offset, mut second) = resumed(&first, Box::new(CsvDecoder::new())).unwrap();
    assert!(offset as usize + 3 >= cut && offset as usize <= cut);
    push_in_sizes(&mut *second, &bytes[offset as usize..], sizes)?;
    second.finish()
}

fn defect(text: impl AsRef<[u8]>) -> String {
    run(text).unwrap_err().to_string()
}

#[test]
fn records_are_counted_and_not_lines() {
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
fn a_ragged_record_is_reported_at_its_first_line() {
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
fn invalid_utf8_and_nul_are_reported_with_their_place() {
    assert!(defect(b"a,b\n1,2\n3,\xff\n").starts_with("record 2, line 3, byte 10: is not UTF-8"));
    assert!(defect("a,b\n1,\0\n").starts_with("record 1, line 2, byte 6: is a NUL byte"));
    assert!(defect(b"a\n\xc3").contains("ends within a UTF-8 character"));
}

#[test]
fn an_empty_file_has_no_header() {
    assert!(defect("").contains("no header row"));
    assert!(defect("\n\n").contains("no header row"));
    assert!(defect("\u{feff}").contains("no header row"));
}

#[test]
fn the_kept_column_names_are_bounded() {
    let names: Vec<String> = (0..3_000).map(|n| format!("{n:0>200}")).collect();
    let row = vec!["1"; names.len()].join(",");
    let decoded = run(format!("{}\n{row}\n{row}\n", names.join(","))).unwrap();
    assert_eq!((decoded.rows, decoded.column_count), (2, 3_000));
    assert_eq!(decoded.columns.len(), MAX_COLUMNS);
    assert!(
        decoded
            .columns
            .iter()
            .all(|name| name.len() <= crate::decoded::MAX_COLUMN_NAME)
    );
}

#[test]
fn memory_does_not_grow_with_the_rows() {
    let mut decoder = Box::new(CsvDecoder::new());
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
    // The repeated header may have its file's byte order mark, lie across chunks, or be the last bytes.
    let text = format!("\u{feff}\"id, n\",b\r\n{}\u{feff}\"id, n\",b", "1,2\r\n".repeat(50));
    for size in 1..text.len() {
        let found = in_chunks(text.as_bytes(), size).unwrap_err();
        assert_eq!((found.line, found.record), (Some(52), Some(51)), "{size}");
    }
    assert_eq!(run(",\"\"\n,\"\"\n").unwrap().rows, 1);
    // With one column a repeated header is no evidence, and neither is a record that only begins like the header.
    assert_eq!(run("a\na\na\n").unwrap().rows, 2);
    assert_eq!(run("a,b\na,bc\na,\na,c\n").unwrap().rows, 3);
}

/// The rows or the defect, and the remarks. They are the same for all chunks.
fn looks(text: &str) -> (String, String) {
    let result = run(text);
    for size in 1..9 {
        assert_eq!(in_chunks(text.as_bytes(), size), result, "{text:?}");
    }
    for at in 0..=text.len().min(200) {
        assert_eq!(cut_at(text.as_bytes(), at), result, "{text:?} cut at {at}");
    }
    match result {
        Ok(decoded) => (decoded.rows.to_string(), decoded.remarks.to_string()),
        Err(defect) => (defect.to_string(), String::new()),
    }
}

fn cut_at(bytes: &[u8], at: usize) -> Result<Decoded, Defect> {
    let mut first = CsvDecoder::new();
    first.push(&bytes[..at])?;
    let (offset, mut second) = resumed(&first, Box::new(CsvDecoder::new())).unwrap();
    second.push(&bytes[offset as usize..])?;
    second.finish()
}

#[track_caller]
fn refused(text: &str, what: &str) {
    let (found, _) = looks(text);
    assert!(found.contains(what), "{text:?}: {found}");
}

#[track_caller]
fn counted(text: &str, rows: u64, remark: &str) {
    let (found, remarks) = looks(text);
    assert_eq!(found, rows.to_string(), "{text:?}");
    assert!(
        remarks.contains(remark) && (remarks.is_empty() == remark.is_empty()),
        "{text:?}: {remarks}"
    );
}

#[test]
fn another_delimiter_is_a_defect() {
    refused("a;b;c\n1;2;3\n", "line 1: looks delimited by semicolons, not by commas");
    refused("a\tb\tc\n1\t2\t3\n3\t4\t5", "tabs");
    refused("a|b|c\n1|2|3\n", "bars");
    refused(
        &format!("\na;b;c\n{}7\n", "1;2;\"x;\ny\"\n".repeat(10)),
        "line 2: looks",
    );
    // Decimal commas make other records ragged.
    refused("a;b\n1,5;2\n2,5;3\n", "semicolons");
    refused("a;b\n1;2\n2,5;3\n", "semicolons");
    refused("a\u{1f}b\n1\u{1f}2\n2,5\u{1f}3\n", "the control character 0x1f");
    // Quotes show the delimiter.
    refused("\"a\";\"b\"\n\"1\";\"2\"\n", "line 1: looks delimited by semicolons");
    refused("\"a\"\t\"b\"\n\"1\"\t\"2\"\n", "tabs");
    refused("\"a\"\u{1}\"b\"\n\"1\"\u{1}\"2\"\n", "0x01");
    refused("a;b\n1;\"2\"\n", "semicolons");
    refused("a|b\n1|\"x\ny\"\n2|z\n", "bars");
    refused("a\u{1f}b\n1\u{1f}\"x\ny\"\n2\u{1f}z\n", "0x1f");
}

#[test]
fn one_column_may_hold_any_character() {
    const MAY: &str = "in its header, by which its fields may be delimited; by commas it has one column (line 1)";
    counted("a;b\n", 0, "");
    counted("a\n1;2\n3;4\n", 2, "");
    counted("a\n1|2|3\n3|4|5\n", 2, "");
    counted("a;b\n1;2\n3\n", 2, "");
    counted(&format!("a;b\n{}3\n", "1;2\n".repeat(9)), 10, "");
    // The header or a quote shows that there is one column.
    counted("\"a;b;c\"\n\"1;2;3\"\n", 1, "");
    counted("\"a|b|c\"\n1|2|3\n", 1, "");
    counted("a;b,c\n1;2,3\n", 1, "");
    // Two fields, or a value with two parts, in every row.
    counted(&format!("region|product\n{}", "EU|Soap\n".repeat(200)), 200, MAY);
    counted(&format!("region|product\n{}EU\n", "EU|Soap\n".repeat(200)), 201, "");
    counted("a;b\r\n1;2\r\n", 1, MAY);
    counted("a\tb\n1\t2\n", 1, MAY);
    // No column name holds a control character.
    for control in ['\u{1}', '\u{1f}', '\u{b}', '\u{7f}'] {
        let rows = format!("1{control}2{control}3\n").repeat(70);
        counted(&format!("a{control}b{control}c\n{rows}"), 70, MAY);
        counted(&format!("a{control}b\n{rows}"), 70, MAY);
        counted(&format!("\"a{control}b\"\n{rows}"), 70, "");
    }
}

#[test]
fn lines_that_end_with_cr_are_counted_and_warn() {
    counted("id,n\r1,2\r3,4\r", 2, "ends 2 of its lines with CR alone");
    counted("id,n\r\n1,2\r3,4\r\n", 2, "ends 1 of its lines with CR alone");
    // A CR within quotes is part of the value, and the LF of the last line may be missing.
    counted("id,n\r\n1,\"a\rb\"\r\n3,4\r", 2, "");
    let long = format!(
        "id,n\r{}",
        format!("{},{}\r", "x".repeat(40), "y".repeat(30)).repeat(50)
    );
    counted(&long, 50, "ends 50 of its lines with CR alone");
}

#[test]
fn empty_lines_of_one_column_are_counted_separately() {
    let of = |text: &str| {
        let decoded = run(text).unwrap();
        for size in 1..9 {
            assert_eq!(in_chunks(text.as_bytes(), size), Ok(decoded.clone()), "{text:?}");
        }
        (decoded.rows, decoded.empty_lines)
    };
    assert_eq!(of("\"HEADER_NAME\"\n\n\n\n\n\n\n\n\n\n"), (0, 9));
    assert_eq!(of("\"v\"\n\"a\"\n\n\"b\"\n\n\"c\"\n"), (3, 2));
    assert_eq!(of("v\r\na\r\n\r\nb\r\n\r\n"), (2, 2));
    assert_eq!(of("v\ra\r\rb\r\r"), (2, 2));
    assert_eq!(of("v\na\n\r\n\n\rb"), (2, 3));
    // An empty text in quotes is a row. Empty lines before the header are not.
    assert_eq!(of("\n\nv\na\n\"\"\nb"), (3, 0));
    assert_eq!(of("v,w\na,b\n\n"), (1, 0));
    for end in ["\n", "\r\n", "\r"] {
        let text = format!(
            "v{end}{}",
            format!("{}{end}{end}{end}a{end}", "x".repeat(61)).repeat(99)
        );
        assert_eq!(of(&text), (198, 198), "{end:?}");
    }
}

const ESCAPED: &str = "escapes quotes by a backslash";

#[test]
fn escaped_quotes_are_read_and_warn() {
    // As Spark, Hive and Glue write them.
    counted(
        "id,size\n1,\"5\\\"\"\n2,large\n3,\"6\\\"\"\n4,small\n",
        4,
        "RFC 4180 has it: make sure",
    );
    counted("a,b\r\n1,\"say \\\"ok\\\", he said\"\r\n2,x\r\n", 2, "(line 2)");
    counted("a,b\n1,\"27\\\" monitor\"\n", 1, ESCAPED);
    counted("a,b\n1,\"C:\\\\\"\n2,\"x\\\"\\\\\"\n", 2, ESCAPED);
    counted("a,b\n1,\"line 1\nline \\\"2\\\"\"\n\"\",\"\\\"\"\n", 2, ESCAPED);
    counted("\"a \\\"x\\\"\",b\n1,2\n3,4", 2, "(line 1)");
    assert_eq!(
        run("\"a \\\"x\\\" \\\\y \\z\",b\n1,2\n").unwrap().columns,
        ["a \"x\" \\y \\z", "b"]
    );
    let rows = "1,\"7 1/2\\\"\",z\n2,x,z\n3,\"He said \\\"ok\\\"\",z\n".repeat(300);
    counted(&format!("id,name,z\n{rows}"), 900, ESCAPED);
    // The other reading fails late, because its quotes match for a while.
    let rows = "1,\"a\\\"\"\n2,b\n".repeat(300);
    counted(&format!("id,name\n{rows}"), 600, ESCAPED);
}

#[test]
fn backslashes_that_escape_nothing_do_not_warn() {
    // RFC 4180 has no escapes.
    counted("a,b\n1,\"C:\\\"\n2,x\n", 2, "");
    counted("a,b\n1,\"C:\\\"\n2,\"D:\\\"\n3,\"x\"\n", 3, "");
    counted("a,b\n1,\"C:\\\"\n2,\"\"\n", 2, "");
    counted("a,b\n\"C:\\\",1\n\"say \\\"\"hi\\\"\"\",2\n", 2, "");
    counted("a,b\nC:\\,5\" x 3\"\n\\\"x\\\",2\n", 2, "");
    counted("a,b\n\"\\\\\",\"\\\\\\\\\"\n", 1, "");
    let rows = "\"C:\\\",\"a \"\"b\"\"\"\n".repeat(300);
    counted(&format!("a,b\n{rows}"), 300, "");
}

#[test]
fn text_with_different_counts_in_both_readings_is_refused() {
    // A value that ends with a backslash and one of three lines, or one value of three lines and two more rows.
    refused(
        "a\n\"\\\"\n\"\nx\n\\\"\n",
        "line 2: can be read in two ways, with 2 rows of 1 fields if its quotes",
    );
    counted("a\n\"\\\"\n\"\n\\\"\n", 2, "has as many rows with quotes doubled");
    // Without a valid reading there is no count either.
    refused(
        "a,b\n1,\"5\\\"\"\n2,\"6\\\"\"\n3,\"6\"x\"\n",
        "(nor can its quotes be escaped by backslashes",
    );
    refused("a,b\n1,\"5\\\"\"\n2,\"C:\\\"\n", "record 1, line 2: has more behind");
    refused(
        "a,b\n1,\"5\\\"\"\n2,\"6\\\"\"\n3,4,5\n",
        "line 4: has 3 fields, the header has 2)",
    );
}

#[test]
fn text_after_a_closing_quote_is_a_defect() {
    refused(
        "a,b\n1,\"5\" x 3\"\n",
        "record 1, line 2: has more behind a quote that closes a value",
    );
    refused("a,b\n1,\"5\" \n", "has more behind");
    refused("\"a\" ,b\n1,2\n", "line 1: has more behind");
    refused("a,b\n1,2\n\"x\"y,2\n", "record 2, line 3: has more behind");
    refused("a\n\"x\"y\n", "has more behind");
    // At every place in blocks of 64 bytes.
    for before in 0..130 {
        let text = format!("a,b\n{},\"5\" x\n{}", "x".repeat(before), "1,2\n".repeat(40));
        let found = run(text).unwrap_err();
        assert_eq!((found.line, found.record), (Some(2), Some(1)), "{before}");
    }
}

#[test]
fn a_missing_last_line_break_is_reported() {
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
fn a_second_byte_order_mark_is_skipped() {
    for text in ["\u{feff}\u{feff}\"a\",b\n1,2\n", "\u{feff}\n\u{feff}\"a\",b\n1,2\n"] {
        assert_eq!(run(text).unwrap().columns, ["a", "b"]);
        assert_eq!(in_chunks(text.as_bytes(), 1), run(text));
    }
    assert!(defect("\u{feff}\u{feff}").contains("no header row"));
}

/// All short texts of the bytes that matter, at different distances from the borders of blocks.
#[test]
fn the_automaton_reads_all_short_texts_like_csv_core() {
    const BYTES: [u8; 6] = *b"a,\"\r\n\\";
    for length in 0..=6_u32 {
        for number in 0..6_usize.pow(length) {
            let middle = (0..length).map(|place| BYTES[number / 6_usize.pow(place) % 6]);
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
            let found = comparable(run(&text));
            assert_eq!(
                found,
                comparable(expected(&text)),
                "{:?}",
                String::from_utf8_lossy(&text)
            );
        }
    }
}

/// Values that are hard for both ways to write quotes.
fn hard_value() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,6}",
        "[\\\\\",\n a]{0,5}",
        Just("5\"".to_owned()),
        Just("C:\\".to_owned()),
        Just("\\\"".to_owned()),
    ]
}

/// A value as a writer with this way of quoting writes it: quoted where needed, or always.
fn written(value: &str, quotes: Quotes, always: bool) -> String {
    if !always && !value.is_empty() && !value.contains(['"', ',', '\n', '\r']) {
        return value.to_owned();
    }
    match quotes {
        Quotes::Doubled => format!("\"{}\"", value.replace('"', "\"\"")),
        Quotes::Escaped => format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

proptest! {
    #[test]
    fn written_rows_are_counted_right_or_the_text_is_refused(
        rows in prop::collection::vec(prop::collection::vec(hard_value(), 2), 0..8),
        one in any::<bool>(),
        escaped in any::<bool>(),
        always in any::<bool>(),
        crlf in any::<bool>(),
        size in 1usize..90,
    ) {
        let quotes = if escaped { Quotes::Escaped } else { Quotes::Doubled };
        let end = if crlf { "\r\n" } else { "\n" };
        let mut text = if one { format!("a{end}") } else { format!("a,b{end}") };
        for row in &rows {
            let row: Vec<String> = row.iter().take(if one { 1 } else { 2 }).map(|v| written(v, quotes, always)).collect();
            text.push_str(&row.join(","));
            text.push_str(end);
        }
        match in_chunks(text.as_bytes(), size) {
            Ok(decoded) => prop_assert_eq!(decoded.rows, rows.len() as u64, "{:?}", text),
            Err(defect) => prop_assert!(defect.what.starts_with("can be read in two ways"), "{text:?}: {defect}"),
        }
    }
}

#[test]
fn the_checkpoint_state_is_bounded() {
    let large = format!("{}\n", "\u{1},".repeat(MAX_HEADER));
    let mut decoder = Box::new(CsvDecoder::new());
    decoder.push(large.as_bytes()).unwrap();
    assert_eq!(decoder.checkpoint(), None);
    let large = format!("{}\n1", "\u{e9}\",".repeat(MAX_HEADER));
    let mut decoder = Box::new(CsvDecoder::new());
    decoder.push(large.as_bytes()).unwrap();
    assert!(serde_json::to_string(&decoder.checkpoint()).unwrap().len() <= MAX_STATE);
    let (offset, mut resumed) = resumed(&*decoder, Box::new(CsvDecoder::new())).unwrap();
    assert_eq!(offset as usize, large.len());
    let more = vec![","; MAX_HEADER].concat();
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
fn a_look_at_the_ends_finds_a_cut_within_a_row() {
    let text = format!("a,\"b\"\n{}", "1,\"x\né, \"\"\"\n".repeat(10_000));
    let whole = framed(text.as_bytes()).unwrap();
    assert_eq!(
        (whole.columns, whole.column_count),
        (vec!["a".to_owned(), "b".to_owned()], 2)
    );
    for cut in 1..14 {
        let text = &text.as_bytes()[..text.len() - cut];
        // Nothing shows that the line break is missing, or the second and third of three quotes, or a whole value.
        assert_eq!(
            framed(text).is_ok(),
            matches!(cut, 1 | 3 | 11 | 13),
            "{cut}: {:?}",
            framed(text)
        );
    }
    // The first bytes of a larger object may end anywhere, but must not hold a fault.
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
        // Backslashes and quotes.
        2 => "[a-z]{0,3}".prop_map(|v| format!("\"{v}\\\"\"")),
        1 => "[a-z,\\\\]{0,3}".prop_map(|v| format!("\"{v}\"")),
        // Quotes where none may be.
        1 => "[a-z]{1,3}\"[a-z\"]{0,3}",
        1 => "\"[a-z]{0,3}\"[a-z]{1,3}[a-z\"]{0,3}",
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let ends = prop::sample::select(vec!["\n", "\n", "\n", "\r\n", "\r", "\n\n", ""]);
    let records = prop::collection::vec((prop::collection::vec(value(), 3), ends), 1..24);
    let other = prop::sample::select(b"a,\"\r\n;|\0\xc3\\".to_vec());
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
    fn the_automaton_reads_any_text_like_csv_core(text in text(), sizes in prop::collection::vec(1usize..200, 1..6)) {
        let found = in_sizes(&text, &sizes);
        prop_assert_eq!(&found, &run(&text));
        let expected = expected(&text);
        let (broken, fork) = values(&text, Quotes::Doubled);
        let no_text = std::str::from_utf8(&text).err().map(|error| error.valid_up_to());
        if text.contains(&0) || no_text.is_some() && (fork.is_some() || no_text == broken) {
            // At a NUL byte, or where a quote meets a byte that is not UTF-8, there may be several faults.
            prop_assert_eq!(found.is_err(), expected.is_err());
        } else if !is_delimited(&found) {
            prop_assert_eq!(comparable(found), comparable(expected));
        }
    }

    #[test]
    fn the_ends_of_a_valid_text_are_accepted(text in text(), sizes in 1usize..300) {
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
    fn the_size_of_chunks_does_not_matter(text in "(\u{feff})?[ab,\"\r\né\u{0}\\\\]{0,40}", size in 1usize..9) {
        prop_assert_eq!(in_chunks(text.as_bytes(), size), run(&text));
    }

    #[test]
    fn rows_of_any_written_values_are_counted(
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
    // Each case decodes the text once for each of its bytes.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn decoding_can_resume_at_any_byte(text in text(), sizes in prop::collection::vec(1usize..200, 1..6)) {
        let whole = run(&text);
        for at in 0..=text.len() {
            prop_assert_eq!(cut(&text, at, &sizes), whole.clone(), "cut at {}", at);
        }
    }
}
proptest! {
    // Each case decodes the text once for each of its bytes.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn decoding_can_resume_with_any_delimiter(text in "(\u{feff})?[ab;\u{1f}\"\r\n]{0,60}", size in 1usize..9) {
        let whole = run(&text);
        prop_assert_eq!(in_chunks(text.as_bytes(), size), whole.clone());
        for at in 0..=text.len() {
            prop_assert_eq!(cut(text.as_bytes(), at, &[size]), whole.clone(), "cut at {}", at);
        }
    }
}
