//! What the fuzz targets check about the decoders and the report.
//!
//! What must stay true: a target checks more than that nothing crashes. The result does not depend on how the bytes are
//! split, memory stays below the bound that the decoder states, a defect quotes nothing of the input, and another
//! reader of the format, if there is one, agrees.

#![forbid(unsafe_code)]

use std::io::Read;

use arbitrary::Unstructured;
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use landfall_formats::{
    Access, Content, Decoded, Decoder, Defect, Format, Head, MAX_COLUMN_NAME, MAX_COLUMNS, Opened, sniff,
};
use landfall_output::verify::{
    Check, Expectation, Reading, Verdict,
    judge::{Circumstances, Judged, Tally},
    settle::Stability,
};
use memchr::memmem;
use serde_json::{Map, Value, json, value::RawValue};

/// Memory besides the content: column names, scratch space and the header.
const FIXED: usize = 4 * MAX_COLUMNS * MAX_COLUMN_NAME + (512 << 10);
/// The shortest piece of the input that must not be in a defect.
const QUOTED: usize = 16;

type Result = std::result::Result<Decoded, Defect>;

/// Two sizes of chunks that depend on the input, a small one and a larger one.
fn sizes(data: &[u8]) -> [usize; 2] {
    let hash = data.iter().fold(data.len(), |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(usize::from(*byte))
    });
    [1 + hash % 13, 14 + (hash >> 8) % 4_000]
}

/// Decodes in chunks. Memory must stay within the decoder's bound.
fn decode(mut decoder: Box<dyn Decoder>, data: &[u8], size: usize) -> Result {
    let bound = usize::try_from(decoder.needs(data.len() as u64))
        .unwrap_or(usize::MAX)
        .saturating_mul(2)
        .saturating_add(FIXED);
    for chunk in data.chunks(size) {
        decoder.push(chunk)?;
        assert!(
            decoder.held() <= bound,
            "holds {} bytes, but may hold {bound}",
            decoder.held()
        );
    }
    decoder.finish()
}

/// Opens a decoder. A file is opened by its tail, of which `guess` bytes are given first.
fn open(format: Format, data: &[u8], guess: usize) -> std::result::Result<Box<dyn Decoder>, Defect> {
    let open = match format.row().access {
        Access::Stream { new, .. } => return Ok(new()),
        Access::Tail(open) => open,
    };
    let mut start = data.len() - guess.min(data.len());
    loop {
        let tail = Bytes::copy_from_slice(&data[start..]);
        match open(data.len() as u64, start as u64, &tail)? {
            Opened::Ready(decoder) => return Ok(decoder),
            Opened::Needs(earlier) => {
                assert!(earlier < start as u64, "asks for bytes that it has");
                start = earlier as usize;
            }
        }
    }
}

/// Decodes as a whole and in chunks of two sizes. All must give the same.
fn decode_all(format: Format, data: &[u8]) -> Result {
    let run = |size: usize| {
        let guess = match format {
            // The guess depends on the size, so that it must not matter either.
            Format::Orc => size.max(64) * 16,
            // The text about a broken end depends on how much of it is read. Readers begin with this much.
            _ => 64 << 10,
        };
        decode(open(format, data, guess)?, data, size)
    };
    let whole = run(data.len().max(1));
    for size in sizes(data) {
        assert_eq!(run(size), whole, "in chunks of {size}");
    }
    if let Ok(decoded) = &whole {
        assert!(decoded.columns.len() <= MAX_COLUMNS);
        let short = |name: &String| name.chars().count() <= MAX_COLUMN_NAME && !name.contains(char::is_control);
        assert!(decoded.columns.iter().all(short), "{:?}", decoded.columns);
    }
    whole
}

/// Checks that a defect quotes nothing of the content and has a short text.
fn quotes_nothing(result: &Result, content: &[u8]) {
    let Err(defect) = result else { return };
    let text = defect.to_string();
    assert!(text.len() <= 2_000 && !text.contains(char::is_control), "{text:?}");
    for window in text.as_bytes().windows(QUOTED) {
        assert!(memmem::find(content, window).is_none(), "quotes the input: {text}");
    }
}

fn is_text(data: &[u8]) -> bool {
    std::str::from_utf8(data).is_ok() && !data.contains(&0)
}

fn without_mark(data: &[u8]) -> &[u8] {
    data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data)
}

/// The rest from the header on. The crate skips only a byte order mark at the very start. The decoder also skips those
/// of files that were joined, with or without blank lines between them.
fn from_header(mut data: &[u8]) -> &[u8] {
    loop {
        let rest = without_mark(data);
        let blank = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let rest = &rest[blank..];
        if rest.len() == data.len() {
            return data;
        }
        data = rest;
    }
}

/// Compares CSV with the crate of the same name, with both ways to write quotes within quotes.
pub fn csv(data: &[u8]) {
    let result = decode_all(Format::Csv, data);
    quotes_nothing(&result, data);
    let text = from_header(data);
    let readings = [false, true].map(|escaped| widths(text, escaped).filter(|_| is_text(data)));
    match result {
        Ok(decoded) => {
            let found = readings.iter().flatten();
            let counts: Vec<(u64, u64)> = found.map(|found| (found.len() as u64 - 1, found[0])).collect();
            let ours = (decoded.rows, decoded.column_count);
            // A reading with another count fails, or its quotes do not decide.
            assert!(counts.contains(&ours), "is accepted with {ours:?}, but has {counts:?}");
            let is_escaped = memmem::find(data, br#"\""#).is_some();
            assert!(
                is_escaped || counts.iter().all(|count| *count == ours),
                "{ours:?}: {counts:?}"
            );
        }
        // Texts that are valid CSV and still refused.
        Err(defect) => assert!(
            readings[0].is_none()
                || ["delimited by", "repeats the header", "looks like", "two ways"]
                    .iter()
                    .any(|what| defect.what.contains(what)),
            "is refused: {defect}"
        ),
    }
}

/// The number of fields of each record, if all records have the same, every quote is closed, and nothing follows a
/// closing one.
fn widths(text: &[u8], escaped: bool) -> Option<Vec<u64>> {
    let read = |text: &[u8]| -> Vec<u64> {
        let mut builder = ::csv::ReaderBuilder::new();
        builder.has_headers(false).flexible(true);
        if escaped {
            builder.double_quote(false).escape(Some(b'\\'));
        }
        let mut reader = builder.from_reader(text);
        let mut record = ::csv::ByteRecord::new();
        let mut widths = Vec::new();
        while reader.read_byte_record(&mut record).is_ok_and(|more| more) {
            widths.push(record.len() as u64);
        }
        widths
    };
    let found = read(text);
    // After an open quote nothing is a record of its own.
    let is_closed = read(&[text, b"\nx"].concat()).len() == found.len() + 1;
    let is_even = found
        .first()
        .is_some_and(|first| found.iter().all(|width| width == first));
    (is_closed && is_even && ends_values(text, escaped)).then_some(found)
}

/// Whether each quoted value ends at its closing quote.
fn ends_values(mut text: &[u8], escaped: bool) -> bool {
    loop {
        let Some(quoted) = text.strip_prefix(b"\"") else {
            let Some(end) = text.iter().position(|byte| matches!(byte, b',' | b'\r' | b'\n')) else {
                return true;
            };
            text = &text[end + 1..];
            continue;
        };
        text = quoted;
        loop {
            text = match text {
                [b'\\', _, rest @ ..] if escaped => rest,
                [b'"', b'"', rest @ ..] if !escaped => rest,
                [b'"', b',' | b'\r' | b'\n', rest @ ..] => {
                    text = rest;
                    break;
                }
                [b'"'] | [] => return true,
                [b'"', ..] => return false,
                [_, rest @ ..] => rest,
            };
        }
    }
}

/// Compares JSON lines with serde_json's own values.
pub fn jsonl(data: &[u8]) {
    let result = decode_all(Format::Jsonl, data);
    quotes_nothing(&result, data);
    let text = without_mark(data);
    let blank = |line: &&[u8]| line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r'));
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    while lines.last().is_some_and(blank) {
        lines.pop();
    }
    match result {
        Ok(decoded) => {
            assert!(is_text(data));
            assert_eq!(decoded.rows, lines.len() as u64);
            for line in &lines {
                let raw = serde_json::from_slice::<&RawValue>(line);
                assert!(
                    raw.is_ok_and(|raw| raw.get().starts_with('{')),
                    "{}",
                    line.escape_ascii()
                );
            }
        }
        Err(defect) => {
            let sound = |line: &&[u8]| serde_json::from_slice::<Map<String, Value>>(line).is_ok();
            assert!(!is_text(data) || !lines.iter().all(sound), "is refused: {defect}");
        }
    }
}

/// Compares gzip of JSON lines with flate2's reader.
pub fn gzip(data: &[u8]) {
    let result = decode_all(Format::JsonlGzip, data);
    let lines = |text: &[u8]| decode(open(Format::Jsonl, text, 0)?, text, 1 << 16);
    let unpacked = gunzip(data);
    quotes_nothing(&result, unpacked.as_deref().unwrap_or_default());
    match (result, unpacked) {
        (Ok(decoded), Some(text)) => {
            assert_eq!(lines(&text).as_ref(), Ok(&decoded));
        }
        (Ok(_), None) => panic!("is taken"),
        (Err(defect), Some(text)) => {
            assert!(lines(&text).is_err(), "is refused: {defect}");
        }
        (Err(_), None) => {}
    }
}

/// The content of all members, with zero padding after them. `None` if a member is broken.
fn gunzip(data: &[u8]) -> Option<Vec<u8>> {
    let zeros = data.iter().rev().take_while(|byte| **byte == 0).count();
    // A member may end with zeros: in an empty one these are its last code, its CRC and its length.
    let ends = (0..=zeros.min(16)).map(|kept| data.len() - zeros + kept);
    let whole = |end: usize| {
        let mut text = Vec::new();
        // At the end of the input, the reader ignores an unfinished header.
        let mut reader = MultiGzDecoder::new(&data[..end]);
        reader.read_to_end(&mut text).ok().filter(|_| end > 0)?;
        Some(text)
    };
    ends.rev().chain([data.len()]).find_map(whole)
}

/// Decodes ORC.
pub fn orc(data: &[u8]) {
    if data.is_empty() {
        return;
    }
    quotes_nothing(&decode_all(Format::Orc, data), data);
}

/// Decodes workbooks.
pub fn excel(data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let _ = decode_all(Format::Excel, data);
}

/// Decodes PDF.
pub fn pdf(data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let result = decode_all(Format::Pdf, data);
    quotes_nothing(&result, data);
    if let Ok(decoded) = result {
        assert_ne!(decoded.document.map(|document| document.pages), Some(Some(0)));
        assert!(decoded.document.is_some());
    }
}

/// Content that is recognised as CSV must decode as CSV, and other content must begin with the magic bytes of its
/// format.
pub fn recognise(data: &[u8]) {
    let whole = sniff(Head {
        bytes: data,
        whole: true,
    });
    let decodes = open(Format::Csv, data, 0).and_then(|decoder| decode(decoder, data, data.len().max(1)));
    match whole {
        Some(Content::Csv) => assert!(decodes.is_ok_and(|decoded| decoded.rows > 0 && decoded.column_count > 1)),
        Some(Content::Pdf) => assert!(data.starts_with(b"%PDF-")),
        Some(Content::Gzip) => assert!(data.starts_with(b"\x1f\x8b")),
        Some(Content::Zip) => assert!(data.starts_with(b"PK")),
        Some(Content::Orc) => assert!(data.starts_with(b"ORC")),
        Some(Content::Json) => assert!(without_mark(data).trim_ascii_start().starts_with(b"{")),
        Some(Content::JsonArray) => assert!(without_mark(data).trim_ascii_start().starts_with(b"[")),
        Some(Content::Markup) => assert!(without_mark(data).trim_ascii_start().starts_with(b"<")),
        Some(Content::Parquet) => assert!(data.starts_with(b"PAR1")),
        Some(Content::OldOffice) => assert!(data.starts_with(b"\xd0\xcf\x11\xe0")),
        None => {}
    }
    // A head shows less than the whole content, but a magic number shows in both.
    let head = sniff(Head {
        bytes: data,
        whole: false,
    });
    if matches!(
        head,
        Some(Content::Pdf | Content::Gzip | Content::Zip | Content::Markup)
    ) {
        assert_eq!(head, whole);
    }
}

/// The input of the judge.
struct Case {
    expectation: Expectation,
    readings: Vec<Reading>,
    settling: Stability,
    hidden: u64,
}

impl Case {
    fn judge(&self) -> Judged {
        let mut tally = Tally::new(&self.expectation);
        for reading in &self.readings {
            tally.add(reading);
        }
        tally.judge(&Circumstances {
            settling: &self.settling,
            hidden: self.hidden,
            now: self.expectation.started_at,
        })
    }
}

/// Runs the checks over arbitrary findings.
pub fn report(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(case) = case(&mut input) else {
        return;
    };
    let faulty = case.readings.iter().any(|reading| {
        let finding = serde_json::to_value(&reading.finding).unwrap_or_default();
        finding.get("defective").is_some() || finding.get("foreign").is_some()
    });
    let disturbed = !case.settling.settled || !case.settling.disturbed.is_empty();
    let judged = case.judge();
    assert_eq!(judged, case.judge(), "must give the same result twice");
    if faulty || disturbed || case.readings.is_empty() && !case.expectation.allow_empty {
        assert_eq!(judged.verdict, Verdict::Failed, "{judged:?}");
    }
    assert_eq!(judged.verdict, Verdict::of(&judged.checks));
    for check in &judged.checks {
        assert!(
            !check.reason.is_empty() && check.reason.chars().count() <= 2_000,
            "{check:?}"
        );
        assert!(!check.reason.contains(char::is_control), "{check:?}");
    }
    let text = serde_json::to_string(&judged.checks).expect("checks are JSON");
    assert_eq!(serde_json::from_str::<Vec<Check>>(&text).ok(), Some(judged.checks));
}

/// An arbitrary expectation and findings, made from their serialised forms, so that anything may be missing that can
/// be.
fn case(input: &mut Unstructured<'_>) -> arbitrary::Result<Case> {
    const COMPARED: [Option<&str>; 5] = [
        None,
        Some("same"),
        Some("different"),
        Some("of_parts"),
        Some("not_computed"),
    ];
    const TIMES: [&str; 3] = ["2026-11-01T05:00:07Z", "2026-11-01T05:00:00Z", "2025-01-01T00:00:00Z"];
    let named: Option<Vec<(bool, String, Option<String>)>> = input.arbitrary()?;
    let files = named.map(|named| -> Vec<Value> {
        let file = |(inside, name, error): (bool, String, Option<String>)| {
            let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
            let place = if inside { "out/run=1" } else { "elsewhere" };
            json!({ "label": format!("file {name}"), "format": "CSV", "uri": format!("s3://exports/{place}/x{name}"), "error": error })
        };
        named.into_iter().map(file).collect()
    });
    let mut expectation = json!({
        "prefix": "s3://exports/out/run=1/",
        "format": if input.ratio(7, 8)? { Some(*input.choose(&Format::ALL)?) } else { None },
        "started_at": TIMES[0],
        "allow_empty": input.arbitrary::<bool>()?,
        "kms_key": input.arbitrary::<Option<String>>()?,
        "settle": { "secs": 5, "nanos": 0 },
        "rows": input.arbitrary::<Option<u64>>()?,
        "strict_row_count": input.arbitrary::<bool>()?,
        "failed_rows": input.arbitrary::<Option<u64>>()?,
        "files": files,
    });
    let mut readings: Vec<Value> = Vec::new();
    while readings.len() < 20 && input.arbitrary()? {
        let (rows, text): (u32, String) = input.arbitrary()?;
        let size = input.int_in_range(1..=1_u64 << 40)?;
        let kind = input.int_in_range(0..=5)?;
        let finding = match kind {
            0 | 1 => json!({ "whole": { "rows": rows, "columns": [text], "column_count": 1 } }),
            2 => json!({ "defective": { "what": text, "offset": input.arbitrary::<Option<u64>>()?, "line": rows } }),
            3 => json!("empty"),
            4 => json!({ "foreign": text }),
            _ => json!({ "extra": null }),
        };
        let shape = if kind < 2 {
            let (ordered, sorted): (u64, u64) = input.arbitrary()?;
            let twice: Option<(u64, u64)> = input.arbitrary()?;
            Some(json!({ "columns": 1, "ordered": ordered, "sorted": sorted, "twice": twice }))
        } else {
            None
        };
        readings.push(json!({
            "object": {
                "key": format!("out/run=1/x{}", input.arbitrary::<String>()?),
                "role": if kind == 5 { "extra" } else { "data" },
                "format": if kind == 5 { None } else { Some(*input.choose(&Format::ALL)?) },
                "size": if kind == 3 { 0 } else { size },
                "etag": "\"e\"",
                "last_modified": input.choose(&TIMES)?,
                "sha256": if kind < 2 { input.arbitrary::<Option<String>>()? } else { None },
                "rows": if kind < 2 { Some(rows) } else { None },
                "encryption": input.arbitrary::<Option<String>>()?,
                "kms_key": input.arbitrary::<Option<String>>()?,
            },
            "finding": finding,
            "compared": if kind < 2 { input.choose(&COMPARED)?.map(|name| json!({ name: "CRC32" })) } else { None },
            "shape": shape,
        }));
    }
    let keys = |keys: Vec<String>| -> Value {
        let first: Vec<String> = keys.into_iter().map(|key| format!("out/run=1/{key}")).collect();
        json!({ "count": first.len(), "first": first })
    };
    let none = || json!({ "count": 0, "first": [] });
    let changes = |added: Value, removed: Value| json!({ "added": added, "replaced": none(), "removed": removed });
    let settled: bool = input.ratio(7, 8)?;
    let (added, removed, disturbed): (Vec<String>, Vec<String>, Vec<String>) = input.arbitrary()?;
    let settling = json!({
        "listings": input.int_in_range(2..=5_u32)?,
        "settled": settled,
        "last": if settled { changes(none(), none()) } else { changes(keys(added), keys(removed)) },
        "earlier": changes(none(), none()),
        "disturbed": keys(disturbed),
    });
    let hidden = u64::from(input.arbitrary::<u16>()?);
    // Drawn last, so that inputs from before these members existed keep their meaning.
    expectation["level"] = json!(*input.choose(&["full", "full", "structure", "listing"])?);
    let on_violation = |fails: bool| if fails { "fail" } else { "warn" };
    let (columns, rows, change, age): (
        Option<(String, bool)>,
        Option<(u64, bool)>,
        Option<(u32, bool)>,
        Option<bool>,
    ) = input.arbitrary()?;
    let mut expect = Map::new();
    if let Some((name, fails)) = columns {
        expect.insert(
            "Columns".to_owned(),
            json!({ "Required": [name], "OnViolation": on_violation(fails) }),
        );
    }
    if let Some((rows, fails)) = rows {
        let bound = if rows % 2 == 0 { "Min" } else { "Max" };
        expect.insert(
            "Rows".to_owned(),
            json!({ bound: rows, "OnViolation": on_violation(fails) }),
        );
    }
    if let Some((percent, fails)) = change {
        expect.insert(
            "Change".to_owned(),
            json!({ "MaxPercent": percent, "OnViolation": on_violation(fails) }),
        );
    }
    if let Some(fails) = age {
        expect.insert(
            "Age".to_owned(),
            json!({ "MaxSeconds": 60, "OnViolation": on_violation(fails) }),
        );
    }
    expectation["expect"] = Value::Object(expect);
    expectation["previous"] = match input.arbitrary::<Option<(String, bool, u64)>>()? {
        Some((job_key, same_request, rows)) => {
            json!({ "job_key": job_key, "same_request": same_request, "rows": rows })
        }
        None => Value::Null,
    };
    let mut readings: Vec<Reading> = serde_json::from_value(readings.into()).expect("readings");
    readings.sort_by(|a, b| a.object.key.cmp(&b.object.key));
    Ok(Case {
        expectation: serde_json::from_value(expectation).expect("an expectation"),
        readings,
        settling: serde_json::from_value(settling).expect("a settling"),
        hidden,
    })
}
