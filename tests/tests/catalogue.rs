//! The catalogue of faults, `tests/data/catalogue.toml`. Every line spoils a good output in one way, and the check
//! that the line names must find it.
//!
//! What must stay true: exactly the checks that a line names fail. A reason names the object and says what is wrong. No
//! value of a cell gets into the report, and the report does not depend on the ranges that were read.

// A panic with its message is how these tests fail.
#![allow(clippy::expect_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use arrow::array::{Int64Array, RecordBatch, StringArray};
use chrono::{DateTime, TimeDelta, Utc};
use flate2::{Compression, GzBuilder, write::DeflateEncoder};
use landfall::{
    clock::Clock,
    error::{ErrorKind, Result},
    expect::{EmptyLines, Expectations, ExpectedAge, ExpectedChange, ExpectedColumns, ExpectedRows, OnViolation},
    job::{Level, NamedFile},
    store::checksum::StoredChecksum,
};
use landfall_local::python;
use landfall_output::verify::{CheckVerdict, Expectation, Format, Limits, Previous, Report, Verdict, verify_within};
use landfall_tests::{
    clock::ManualClock,
    memory_store::{MemoryStore, Op},
};
use orc_rust::{ArrowWriterBuilder, compression::CompressionType};
use serde::Deserialize;

const BUCKET: &str = "exports";
const PREFIX: &str = "segments/run=20261101T050000Z-0a1b2c3d/";
const KEY: &str = "arn:aws:kms:eu-central-1:111122223333:key/0a1b2c3d-0000-4000-8000-000000000001";
/// A value in cells of every good output and many spoiled ones. No report may contain it.
const SECRET: &str = "s3cr3t@example.com";
const FORMATS: [Format; 6] = Format::ALL;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    faults: Vec<Fault>,
}

/// A line of the catalogue; the head of the file explains its members.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    fault: String,
    format: Format,
    #[serde(default)]
    level: Level,
    spoil: Vec<Vec<String>>,
    #[serde(default)]
    check: Vec<String>,
    #[serde(default)]
    says: String,
    names: Option<String>,
    verdict: Option<Worst>,
    error: Option<ErrorKind>,
    /// Other readers, each with a part of its message.
    #[serde(default)]
    reads: Vec<(String, String)>,
    passes: Option<String>,
    #[serde(default)]
    pending: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Worst {
    Warn,
}

fn catalogue() -> Vec<Fault> {
    let text = std::fs::read_to_string(data("catalogue.toml")).expect("it is there");
    toml::from_str::<Catalogue>(&text)
        .expect("it is a table of faults")
        .faults
}

fn data(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(path)
}

#[derive(Clone)]
struct File {
    body: Vec<u8>,
    /// By how many seconds the object is older than the job.
    old: Option<i64>,
    encryption: (String, Option<String>),
    /// The checksum that S3 keeps instead of the one that it computes.
    checksum: Option<StoredChecksum>,
}

impl File {
    fn new(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            old: None,
            encryption: ("aws:kms".to_owned(), Some(KEY.to_owned())),
            checksum: None,
        }
    }
}

type Act = Arc<dyn Fn(&MemoryStore) + Send + Sync>;

/// An output: its files, what happens to it during the verification, and what the event asks for.
#[derive(Clone)]
struct Output {
    files: BTreeMap<String, File>,
    beside: Vec<String>,
    /// The object that the steps of the line change.
    target: String,
    acts: Vec<(Op, usize, Act)>,
    /// A call that fails; `None` is the last one.
    answer: Option<(ErrorKind, Option<usize>)>,
    format: Option<Format>,
    level: Level,
    bucket: String,
    kms_key: Option<String>,
    rows: Option<u64>,
    strict: bool,
    failed_rows: Option<u64>,
    named: Option<Vec<NamedFile>>,
    expect: Expectations,
    previous: Option<Previous>,
    deadline: i64,
}

const STARTED_AT: &str = "2026-11-01T05:00:07.900Z";

impl Output {
    fn good(format: Format) -> Self {
        let name = |number: usize| format!("part-{number}.{}", suffix(format));
        Self {
            files: BTreeMap::from([
                (name(0), File::new(good(format, 0))),
                (name(1), File::new(good(format, 1))),
                ("test-file".to_owned(), File::new("test")),
            ]),
            beside: Vec::new(),
            target: name(1),
            acts: Vec::new(),
            answer: None,
            format: Some(format),
            level: Level::Full,
            bucket: BUCKET.to_owned(),
            kms_key: None,
            rows: None,
            strict: false,
            failed_rows: None,
            named: None,
            expect: Expectations::default(),
            previous: None,
            deadline: 600,
        }
    }

    fn target(&mut self) -> &mut File {
        self.files.get_mut(&self.target).expect("the object is there")
    }

    /// Applies one step of a line.
    fn step(&mut self, step: &[&str]) {
        let key = format!("{PREFIX}{}", self.target);
        let number = |text: &str| text.parse::<u64>().expect("a number");
        match *step {
            // The files
            ["nothing"] => self.files.clear(),
            ["only", name] => {
                self.files.retain(|of, _| of == name);
                name.clone_into(&mut self.target);
            }
            ["remove", name] => drop(self.files.remove(name).expect("it was there")),
            ["add", name, body] => {
                self.files.insert(name.to_owned(), File::new(bytes(body)));
                name.clone_into(&mut self.target);
            }
            ["beside", key] => self.beside.push(key.to_owned()),
            ["rename", name] => {
                let file = self.files.remove(&self.target).expect("it was there");
                self.files.insert(name.to_owned(), file);
                name.clone_into(&mut self.target);
            }
            ["of", name] => name.clone_into(&mut self.target),

            // Their metadata
            ["old", seconds] => self.target().old = Some(number(seconds) as i64),
            ["encrypted", how, key] => {
                self.target().encryption = (how.to_owned(), (!key.is_empty()).then(|| key.to_owned()));
            }
            ["checksum", algorithm, value] => {
                self.target().checksum = StoredChecksum::choose([(algorithm, value)], false);
            }
            ["bucket", bucket] => bucket.clone_into(&mut self.bucket),

            // What the event asks for
            ["ask key"] => self.kms_key = Some(KEY.to_owned()),
            ["ask alias"] => self.kms_key = Some("alias/exports".to_owned()),
            ["of any format"] => self.format = None,
            ["count", rows] => self.rows = Some(number(rows)),
            ["strict"] => self.strict = true,
            ["failed", rows] => self.failed_rows = Some(number(rows)),
            ["deadline", seconds] => self.deadline = number(seconds) as i64,
            ["named"] => {
                let format = self.format.expect("a format");
                let parts = self.files.keys().filter(|name| name.starts_with("part-"));
                let named = parts.map(|name| NamedFile {
                    label: format!("label of {name}"),
                    format,
                    uri: Some(format!("s3://{BUCKET}/{PREFIX}{name}").parse().expect("a URI")),
                    error: None,
                });
                self.named = Some(named.collect());
                // A service that names every file writes no others.
                self.files.remove("test-file");
            }
            ["named with error", name, error] => self.name(name).error = Some(error.to_owned()),
            ["named at", name, uri] => self.name(name).uri = Some(uri.parse().expect("a URI")),
            ["named nowhere", name] => self.name(name).uri = None,
            ["unnamed", name] => {
                let label = format!("label of {name}");
                self.named.as_mut().expect("named").retain(|file| file.label != label);
            }

            ["expect columns", names, how] => {
                self.expect.columns = Some(ExpectedColumns {
                    required: names.split(',').map(str::to_owned).collect(),
                    on_violation: on_violation(how),
                });
            }
            ["expect rows", min, max, how] => {
                self.expect.rows = Some(ExpectedRows {
                    min: Some(number(min)),
                    max: Some(number(max)),
                    empty_lines: None,
                    on_violation: on_violation(how),
                });
            }
            ["empty lines", what] => {
                self.expect.rows.as_mut().expect("rows are expected").empty_lines = Some(match what {
                    "count" => EmptyLines::Count,
                    "skip" => EmptyLines::Skip,
                    other => panic!("{other} is neither"),
                });
            }
            ["expect change", percent, how] => {
                self.expect.change = Some(ExpectedChange {
                    max_percent: percent.parse().expect("a number"),
                    on_violation: on_violation(how),
                });
            }
            ["expect age", seconds, how] => {
                self.expect.age = Some(ExpectedAge {
                    max_seconds: number(seconds),
                    on_violation: on_violation(how),
                });
            }
            ["previous", rows, request] => {
                self.previous = Some(Previous {
                    job_key: "the former job".to_owned(),
                    same_request: request == "same",
                    rows: number(rows),
                });
            }

            // What happens meanwhile
            ["overwritten", op, n] => {
                let body = good(self.format.expect("a format"), 0);
                self.at(op, n, move |store| drop(store.insert(BUCKET, &key, body.clone())));
            }
            ["vanished", op, n] => self.at(op, n, move |store| store.remove(BUCKET, &key)),
            ["late", name, body] => {
                let (key, body) = (format!("{PREFIX}{name}"), bytes(body));
                name.clone_into(&mut self.target);
                self.at("list", "1", move |store| drop(store.insert(BUCKET, &key, body.clone())));
            }
            ["appearing"] | ["growing"] => {
                let (format, appears) = (self.format.expect("a format"), step == ["appearing"]);
                for round in 1..20_usize {
                    let key = match appears {
                        true => format!("{PREFIX}late-{round}.{}", suffix(format)),
                        false => key.clone(),
                    };
                    let mut body = good(format, 0);
                    body.extend((0..round).flat_map(|_| good(format, 1).split_off(b"id,name,note\r\n".len())));
                    if format != Format::Csv {
                        body = good(format, 0).repeat(round);
                    }
                    self.at("list", &round.to_string(), move |store| {
                        drop(store.insert(BUCKET, &key, body.clone()));
                    });
                }
            }
            ["answers", kind, call] => {
                let kind = ErrorKind::from_name(&format!("Landfall.{kind}")).expect("a kind");
                self.answer = Some((kind, call.parse().ok()));
            }

            _ => {
                let format = self.format;
                let mut body = std::mem::take(&mut self.target().body);
                content(&mut body, format, step);
                self.target().body = body;
            }
        }
    }

    fn name(&mut self, name: &str) -> &mut NamedFile {
        let label = format!("label of {name}");
        let mut named = self.named.iter_mut().flatten();
        named.find(|file| file.label == label).expect("it is named")
    }

    fn at(&mut self, op: &str, n: &str, act: impl Fn(&MemoryStore) + Send + Sync + 'static) {
        let op = match op {
            "list" => Op::List,
            "head" => Op::Head,
            "read" => Op::Read,
            other => panic!("no operation {other}"),
        };
        self.acts.push((op, n.parse().expect("a number"), Arc::new(act)));
    }

    fn expectation(&self) -> Expectation {
        Expectation {
            started_at: STARTED_AT.parse().expect("a time"),
            kms_key: self.kms_key.clone(),
            rows: self.rows,
            strict_row_count: self.strict,
            failed_rows: self.failed_rows,
            files: self.named.clone(),
            level: self.level,
            expect: self.expect.clone(),
            previous: self.previous.clone(),
            ..Expectation::of(
                format!("s3://{}/{PREFIX}", self.bucket).parse().expect("a URI"),
                self.format,
            )
        }
    }

    /// Verifies the output, one object at a time, in ranges of `range` bytes. Also returns the number of calls.
    async fn verify(&self, range: u64) -> (Result<Report>, usize) {
        let started_at: DateTime<Utc> = STARTED_AT.parse().expect("a time");
        let clock = ManualClock::at(started_at + TimeDelta::minutes(5));
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        store.create_bucket(BUCKET);
        for key in &self.beside {
            store.insert(BUCKET, key, good(Format::Csv, 0));
        }
        for (name, file) in &self.files {
            let inserted = store.insert(BUCKET, &format!("{PREFIX}{name}"), file.body.clone());
            inserted.encryption(&file.encryption.0, file.encryption.1.as_deref());
            if let Some(old) = file.old {
                inserted.last_modified(started_at - TimeDelta::seconds(old));
            }
            if file.checksum.is_some() {
                inserted.checksum(file.checksum.clone());
            }
        }
        for (op, n, act) in &self.acts {
            let act = Arc::clone(act);
            store.before(*op, *n, move |store| act(store));
        }
        match self.answer {
            Some((kind, Some(call))) => store.fail_at(call, kind),
            Some((kind, None)) => {
                let whole = Self {
                    answer: None,
                    ..self.clone()
                };
                let (_, calls) = Box::pin(whole.verify(range)).await;
                store.fail_at(calls - 1, kind);
            }
            None => {}
        }
        let limits = Limits {
            range,
            side_by_side: 1,
            ..Limits::default()
        };
        let deadline = clock.now() + TimeDelta::seconds(self.deadline);
        let asked = self.expectation();
        let result = verify_within(Arc::clone(&store) as _, Arc::new(clock), &asked, deadline, &limits).await;
        (result, store.calls().len())
    }
}

fn on_violation(how: &str) -> OnViolation {
    match how {
        "warn" => OnViolation::Warn,
        "fail" => OnViolation::Fail,
        other => panic!("no violation {other}"),
    }
}

/// Applies a step that changes content.
fn content(body: &mut Vec<u8>, format: Option<Format>, step: &[&str]) {
    let before = body.clone();
    match *step {
        ["put", text] => *body = bytes(text),
        ["like", format] => {
            let format = FORMATS.into_iter().find(|of| of.name() == format);
            *body = good(format.expect("a format"), 1);
        }
        ["append", text] => body.extend(bytes(text)),
        ["append zeros", count] => body.resize(body.len() + count.parse::<usize>().expect("a number"), 0),
        ["prepend", text] => drop(body.splice(..0, bytes(text))),
        ["fields", names] => *body = orc(&[3..5, 5..6], &names.split(',').collect::<Vec<_>>()),
        ["glue"] => body.extend(before.clone()),
        ["cut at", place] => body.truncate(place_of(body, place)),
        ["cut behind", text] => {
            let text = bytes(text);
            body.truncate(last(body, &text) + text.len());
        }
        ["cut before", text] => body.truncate(last(body, &bytes(text))),
        ["cut before first", text] => body.truncate(first(body, &bytes(text))),
        ["cut front", count] => drop(body.drain(..count.parse::<usize>().expect("a number"))),
        ["flip", place] => {
            let at = place_of(body, place);
            body[at] ^= 0x55;
        }
        ["replace", from, to] => {
            let from = bytes(from);
            let at = last(body, &from);
            body.splice(at..at + from.len(), bytes(to));
        }
        ["gzip"] => *body = gzip(&before, None),
        ["latin-1"] => {
            let text = std::str::from_utf8(&before).expect("text");
            let latin = |c: char| u8::try_from(u32::from(c)).expect("Latin-1");
            *body = text.chars().map(latin).collect();
        }
        ["utf-16", order] => {
            let text = std::str::from_utf8(&before).expect("text");
            let marked = format!("{}{text}", if order == "bare" { "" } else { "\u{feff}" });
            let units = marked.encode_utf16();
            *body = match order {
                "be" => units.flat_map(u16::to_be_bytes).collect(),
                _ => units.flat_map(u16::to_le_bytes).collect(),
            };
        }
        ["member", name, from, to] => {
            let to = String::from_utf8(bytes(to)).expect("text");
            let change = |part: &str, text: &str| {
                assert!(part != name || text.contains(from), "{name} does not hold {from}");
                Some(if part == name {
                    text.replace(from, &to)
                } else {
                    text.to_owned()
                })
            };
            *body = workbook(change);
        }
        ["without member", name] => *body = workbook(|part, text| (part != name).then(|| text.to_owned())),
        _ => panic!("no step {step:?}"),
    }
    assert_ne!(*body, before, "{format:?}: {step:?} changes nothing");
}

/// The offset of a place: a number, counted from the end if negative, or a named structure.
fn place_of(body: &[u8], place: &str) -> usize {
    if let Ok(at) = place.parse::<isize>() {
        return at.try_into().unwrap_or_else(|_| body.len() - at.unsigned_abs());
    }
    match place {
        "stripe data" | "stripe footer" | "second stripe" => {
            let metadata = orc_rust::reader::metadata::read_metadata(&mut bytes::Bytes::copy_from_slice(body));
            let metadata = metadata.expect("it is ORC");
            let [stripe, second] = metadata.stripe_metadatas() else {
                panic!("two stripes")
            };
            let data = stripe.offset() + stripe.index_length();
            (match place {
                "stripe data" => data + stripe.data_length() / 2,
                "stripe footer" => stripe.footer_offset() + stripe.footer_length() / 2,
                _ => second.offset(),
            }) as usize
        }
        "postscript" | "file footer" => {
            let postscript = body.len() - 1 - usize::from(body[body.len() - 1]);
            // The first member of the postscript is the length of the footer.
            assert_eq!(body[postscript], 0x08);
            assert!(body[postscript + 2] == 0x10 || body[postscript + 1] >= 0x80);
            let mut length = usize::from(body[postscript + 1] & 0x7f);
            if body[postscript + 1] >= 0x80 {
                length += usize::from(body[postscript + 2]) << 7;
            }
            postscript - if place == "file footer" { length / 2 } else { 0 }
        }
        "stream" => first(body, b"stream\n") + 30,
        // The checksum of the last part in the directory, and the content that it covers, which follows the part's
        // name.
        "zip checksum" => last(body, b"PK\x01\x02") + 16,
        "zip data" => first(body, b"xl/worksheets/sheet1.xml") + 24 + 20,
        other => panic!("no place {other}"),
    }
}

fn first(body: &[u8], text: &[u8]) -> usize {
    let at = body.windows(text.len()).position(|window| window == text);
    at.unwrap_or_else(|| panic!("no {} in it", text.escape_ascii()))
}

fn last(body: &[u8], text: &[u8]) -> usize {
    let at = body.windows(text.len()).rposition(|window| window == text);
    at.unwrap_or_else(|| panic!("no {} in {}", text.escape_ascii(), body.escape_ascii()))
}

/// The bytes of a text of the catalogue: a named body, or the text with its escapes.
fn bytes(text: &str) -> Vec<u8> {
    match text.strip_prefix('@') {
        None => {}
        Some("xml") => {
            let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AccessDenied</Code><Message>Denied";
            return format!("{xml} s3cr3t@example.com</Message></Error>\n").into();
        }
        Some("html") => {
            let html = "<!DOCTYPE html>\n<html>\n<head><title>502 Bad Gateway</title></head>\n<body>\n<h1>502</h1>\n";
            return format!("{html}<p>s3cr3t@example.com</p>\n</body>\n</html>\n").into();
        }
        Some("large") => return b"s3cr3t@example.com ".repeat(10_000),
        // CSV that stays longer than a head even when compressed.
        Some("noise") => {
            let mut number = 1_u64;
            let row = |_| {
                number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                format!("{number:016x},s3cr3t@example.com\n")
            };
            return (0..20_000).map(row).collect::<String>().into();
        }
        Some("zip") => return archive(&[("notes.txt".to_owned(), "s3cr3t@example.com".to_owned())]),
        Some("ORC") => return good(Format::Orc, 1),
        Some("CSV") => return good(Format::Csv, 0),
        Some("ORC without rows") => return orc(&[], &["id", "name"]),
        Some("PDF without pages") => return pdf(0),
        Some(file) => return std::fs::read(data(file)).expect("the file is there"),
    }
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'\\' || tail.is_empty() {
            bytes.push(*byte);
            continue;
        }
        let (value, length) = match tail[0] {
            b'x' => {
                let digits = std::str::from_utf8(&tail[1..3]).expect("two digits");
                (u8::from_str_radix(digits, 16).expect("two digits"), 3)
            }
            b'r' => (b'\r', 1),
            b'n' => (b'\n', 1),
            b't' => (b'\t', 1),
            other => {
                bytes.push(b'\\');
                (other, 1)
            }
        };
        bytes.push(value);
        rest = &tail[length..];
    }
    bytes
}

fn suffix(format: Format) -> &'static str {
    match format {
        Format::Csv => "csv",
        Format::Jsonl => "jsonl",
        Format::JsonlGzip => "json.gz",
        Format::Orc => "orc",
        Format::Pdf => "pdf",
        Format::Excel => "xlsx",
    }
}

/// A good file with three rows or two pages.
fn good(format: Format, part: usize) -> Vec<u8> {
    let lines = |part| match part {
        0 => "{\"id\":1,\"name\":\"a\"}\n{\"id\":2,\"name\":null}\n{\"id\":3}\n",
        _ => {
            "{\"id\":4,\"name\":\"Zoë \\\"s3cr3t@example.com\\\"\",\"note\":\"\\u00e9\"}\n\
             {\"id\":5,\"n\":12.5,\"ok\":true,\"tags\":[\"a\",{\"b\":null}]}\n\
             {\"id\":6,\"name\":\"last\",\"tags\":[]}\n"
        }
    };
    match format {
        Format::Csv if part == 0 => b"id,name,note\r\n1,a,x\r\n2,,y\r\n3,c,z\r\n".to_vec(),
        Format::Csv => "id,name,note\r\n4,\"Zoë, \"\"s3cr3t@example.com\"\"\",n1\r\n5,\"two\r\nlines\",\
                        s3cr3t@example.com\r\n6,last row,end of all\r\n"
            .into(),
        Format::Jsonl => lines(part).into(),
        Format::JsonlGzip => {
            // Two members, with two lines and one line.
            let text = lines(part);
            let end = text.trim_end().rfind('\n').expect("lines") + 1;
            let mut bytes = gzip(&text.as_bytes()[..end], Some("part"));
            bytes.extend(gzip(&text.as_bytes()[end..], None));
            bytes
        }
        Format::Orc if part == 0 => orc(&[7..9, 9..10], &["id", "name"]),
        Format::Orc => orc(&[0..2, 2..3], &["id", "name"]),
        Format::Pdf => pdf(2),
        Format::Excel if part == 0 => workbook(|_, text| Some(text.replace("b &amp; c", "a &amp; c"))),
        Format::Excel => workbook(|_, text| Some(text.to_owned())),
    }
}

fn gzip(bytes: &[u8], name: Option<&str>) -> Vec<u8> {
    let mut builder = GzBuilder::new();
    if let Some(name) = name {
        builder = builder.filename(name);
    }
    let mut encoder = builder.write(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

/// Writes each range as a stripe of numbers and texts, in two fields with these names.
fn orc(stripes: &[std::ops::Range<i64>], fields: &[&str]) -> Vec<u8> {
    let [id, name] = fields else { panic!("two fields") };
    let batch = |rows: std::ops::Range<i64>| {
        let names = StringArray::from_iter(rows.clone().map(|n| Some(format!("{n} {SECRET}"))));
        RecordBatch::try_from_iter_with_nullable([
            (*id, Arc::new(Int64Array::from_iter_values(rows)) as _, true),
            (*name, Arc::new(names) as _, true),
        ])
        .expect("the columns fit")
    };
    let mut bytes = Vec::new();
    let mut writer = ArrowWriterBuilder::new(&mut bytes, batch(0..0).schema())
        .with_compression(CompressionType::Zlib)
        .with_stripe_byte_size(1)
        .try_build()
        .expect("supported");
    for rows in stripes {
        writer.write(&batch(rows.clone())).expect("memory takes it");
    }
    writer.close().expect("memory takes it");
    bytes
}

fn pdf(pages: usize) -> Vec<u8> {
    use lopdf::dictionary;
    let mut document = lopdf::Document::with_version("1.7");
    document.reference_table.cross_reference_type = lopdf::xref::XrefType::CrossReferenceTable;
    let tree = document.new_object_id();
    let kids: Vec<lopdf::Object> = (0..pages)
        .map(|number| {
            let text = format!("BT /F1 12 Tf 72 720 Td (Page {number} {SECRET}) Tj ET ").repeat(20);
            let mut stream = lopdf::Stream::new(dictionary! {}, text.into_bytes());
            if number == 0 {
                stream.compress().expect("memory takes it");
            }
            let content = document.add_object(stream);
            let page = dictionary! {
                "Type" => "Page", "Parent" => tree, "Contents" => content, "Resources" => dictionary! {},
                "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
            };
            document.add_object(page).into()
        })
        .collect();
    let count = kids.len() as i64;
    document.set_object(
        tree,
        dictionary! { "Type" => "Pages", "Kids" => kids, "Count" => count },
    );
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).expect("memory takes it");
    bytes
}

/// The smallest workbook, part by part; `None` leaves a part out.
fn workbook(change: impl Fn(&str, &str) -> Option<String>) -> Vec<u8> {
    let package = "http://schemas.openxmlformats.org/package/2006";
    let (sheets, document) = (
        "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
        "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    );
    let kind = "application/vnd.openxmlformats-officedocument.spreadsheetml";
    let part = |name: &str, of: &str| format!(r#"<Override PartName="/xl/{name}.xml" ContentType="{kind}.{of}+xml"/>"#);
    let types = [
        part("workbook", "sheet.main"),
        part("worksheets/sheet1", "worksheet"),
        part("sharedStrings", "sharedStrings"),
    ];
    let link = |id: &str, of: &str, target: &str| {
        format!(r#"<Relationship Id="{id}" Type="{document}/{of}" Target="{target}"/>"#)
    };
    let links = |links: &str| format!(r#"<Relationships xmlns="{package}/relationships">{links}</Relationships>"#);
    let cell = |text: &str| format!(r#"<row><c t="inlineStr"><is><t>{text}</t></is></c></row>"#);
    let rows = [SECRET, "b &amp; c"].map(cell).concat();
    let parts = [
        (
            "[Content_Types].xml",
            format!(r#"<Types xmlns="{package}/content-types">{}</Types>"#, types.concat()),
        ),
        ("_rels/.rels", links(&link("r", "officeDocument", "xl/workbook.xml"))),
        (
            "xl/workbook.xml",
            format!(
                r#"<workbook xmlns="{sheets}" xmlns:r="{document}"><sheets><sheet name="A" sheetId="1" r:id="a"/></sheets></workbook>"#
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            links(
                &(link("a", "worksheet", "worksheets/sheet1.xml") + &link("s", "sharedStrings", "sharedStrings.xml")),
            ),
        ),
        (
            "xl/sharedStrings.xml",
            format!(r#"<sst xmlns="{sheets}"><si><t>name</t></si></sst>"#),
        ),
        (
            "xl/worksheets/sheet1.xml",
            format!(
                r#"<worksheet xmlns="{sheets}"><sheetData><row><c t="s"><v>0</v></c></row>{rows}</sheetData></worksheet>"#
            ),
        ),
    ];
    let parts = parts.into_iter();
    let parts: Vec<_> = parts
        .filter_map(|(name, text)| Some((name.to_owned(), change(name, &text)?)))
        .collect();
    archive(&parts)
}

fn archive(parts: &[(String, String)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
    for (name, text) in parts {
        let file = archive
            .new_file(name)
            .compression_method(rawzip::CompressionMethod::DEFLATE);
        let (mut entry, config) = file.start().expect("a name");
        let mut writer = config.wrap(DeflateEncoder::new(&mut entry, Compression::best()));
        writer.write_all(text.as_bytes()).expect("memory takes it");
        let (encoder, descriptor) = writer.finish().expect("memory takes it");
        encoder.finish().expect("memory takes it");
        entry.finish(descriptor).expect("memory takes it");
    }
    archive.finish().expect("memory takes it");
    bytes
}

#[test]
fn the_catalogue_is_large_and_names_every_check() {
    let catalogue = catalogue();
    let found = |fault: &&Fault| !fault.pending && fault.passes.is_none();
    let counted = catalogue.iter().filter(found).count();
    assert!(counted >= 150, "the catalogue must stay large; it has {counted} faults");
    let names: BTreeSet<&str> = catalogue.iter().map(|fault| fault.fault.as_str()).collect();
    assert_eq!(names.len(), catalogue.len(), "each line must have its own name");
    let checks: BTreeSet<&str> = catalogue
        .iter()
        .filter(found)
        .flat_map(|fault| &fault.check)
        .map(String::as_str)
        .collect();
    // Every check but `rows_counted`, which is skipped if rows cannot be counted, and those of an import's source.
    assert_eq!(
        checks,
        BTreeSet::from([
            "output_present",
            "newer_than_start",
            "listing_stable",
            "no_empty_files",
            "format",
            "row_count_matches",
            "service_failures",
            "named_files",
            "encryption",
            "checksum",
            "extra_objects",
            "text_complete",
            "columns_agree",
            "no_duplicates",
            "required_columns",
            "expected_rows",
            "row_change",
            "data_age",
        ])
    );
    for format in FORMATS {
        let lines = catalogue.iter().filter(found).filter(|fault| fault.format == format);
        assert!(lines.count() >= 12, "{format}");
    }
}

#[tokio::test]
async fn an_output_without_faults_passes() {
    for format in FORMATS {
        let mut output = Output::good(format);
        output.kms_key = Some(KEY.to_owned());
        output.failed_rows = Some(0);
        if format != Format::Pdf {
            output.rows = Some(6);
            output.strict = true;
        }
        for range in [1 << 20, 64] {
            let report = output.verify(range).await.0.expect("a verdict");
            assert_eq!(report.verdict, Verdict::Passed, "{report:#?}");
        }
        output.step(&["named"]);
        let report = output.verify(1 << 20).await.0.expect("a verdict");
        assert_eq!(report.verdict, Verdict::Passed, "{report:#?}");
    }
}

#[tokio::test]
async fn an_output_without_faults_passes_at_every_level() {
    for (format, level) in FORMATS
        .into_iter()
        .flat_map(|format| [Level::Listing, Level::Structure, Level::Full].map(|level| (format, level)))
    {
        let mut output = Output::good(format);
        output.level = level;
        let report = output.verify(1 << 20).await.0.expect("a verdict");
        assert_eq!(report.verdict, Verdict::Passed, "{report:#?}");
        assert_eq!(report.data_objects, 2, "{report:#?}");
        let format_check = report.check("format").expect("it was made");
        let proved = match (level, format) {
            (Level::Listing, _) => "was not looked at",
            (Level::Structure, Format::JsonlGzip) => "their begins are those of",
            (Level::Structure, _) => "their ends are those of",
            (Level::Full, _) => "decoded to the end as",
        };
        assert!(format_check.reason.contains(proved), "{format_check:?}");

        // Only the content shows that these objects are data.
        for part in 0..2 {
            let part = format!("part-{part}");
            let file = output
                .files
                .remove(&format!("{part}.{}", suffix(format)))
                .expect("it was there");
            output.files.insert(part, file);
        }
        let report = output.verify(1 << 20).await.0.expect("a verdict");
        assert_eq!(report.verdict, Verdict::Passed, "{report:#?}");
    }
}

#[tokio::test]
async fn every_fault_is_found_by_its_own_check() {
    let mut wrong = Vec::new();
    for fault in catalogue() {
        if let Err(what) = hold(&fault).await {
            wrong.push(format!("{}: {what}", fault.fault));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} lines do not hold:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// The messages of other readers, each about one file.
fn read_by_others(asked: &[(String, PathBuf)]) -> Vec<String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let requirements = include_str!("../python/requirements-writers.txt");
    let purpose = "openpyxl, qpdf, pypdf and others, which read the files of the catalogue of faults";
    let python = python::ensure_requirements(workspace, "corpus", requirements, purpose).expect("it can be installed");
    let mut child = Command::new(python.python())
        .arg(workspace.join("tests/python/reads.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let text = serde_json::to_vec(asked).expect("it is JSON");
    child
        .stdin
        .take()
        .expect("an input")
        .write_all(&text)
        .expect("it reads");
    let said = child.wait_with_output().expect("it ends").stdout;
    let said: Vec<String> = serde_json::from_slice(&said).expect("a list of texts");
    assert_eq!(said.len(), asked.len());
    said
}

/// A checksum that another tool computed of the same bytes passes, for every algorithm that S3 may keep.
#[tokio::test]
async fn checksums_written_by_other_tools_pass() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut output = Output::good(Format::Csv);
    let file = folder.path().join(&output.target);
    std::fs::write(&file, &output.target().body).expect("the folder takes it");
    let algorithms = ["SHA-256", "CRC64NVME", "CRC32", "CRC32C"];
    let said = read_by_others(&algorithms.map(|algorithm| (format!("checksum {algorithm}"), file.clone())));
    for (algorithm, checksum) in algorithms.into_iter().zip(said) {
        output.step(&["checksum", algorithm, &checksum]);
        assert!(output.target().checksum.is_some(), "{algorithm}: {checksum}");
        let report = output.verify(1 << 20).await.0.expect("a verdict");
        let check = report.check("checksum").expect("it was made");
        assert_eq!(check.verdict, CheckVerdict::Pass, "{algorithm}: {check:?}");
    }
}

/// Other readers say about each spoiled file what its line expects, and accept every good file.
#[test]
fn other_readers_agree_about_every_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut asked, mut expected) = (Vec::new(), Vec::new());
    let mut ask = |name: &str, fault: &str, output: &Output, reads: &[(&str, &str)]| {
        let folder = folder.path().join(name);
        std::fs::create_dir(&folder).expect("the folder takes it");
        for (name, file) in &output.files {
            std::fs::write(folder.join(name), &file.body).expect("the folder takes it");
        }
        for (reader, says) in reads {
            asked.push(((*reader).to_owned(), folder.join(&output.target)));
            expected.push((fault.to_owned(), (*reader).to_owned(), (*says).to_owned()));
        }
    };
    for (format, reads) in [
        (
            Format::Csv,
            [
                ("csv", "3 rows of 3 fields"),
                ("csv header", "id name note"),
                ("rows of part-0.csv", "other rows"),
            ]
            .as_slice(),
        ),
        (Format::Orc, &[("orc fields", "id name")]),
        (Format::Jsonl, &[("json", "3 rows")]),
        (
            Format::Excel,
            &[("openpyxl", "takes"), ("rows of part-0.xlsx", "other rows")],
        ),
        (Format::Pdf, &[("qpdf", "takes"), ("pypdf", "takes")]),
    ] {
        ask(suffix(format), "what is not spoiled", &Output::good(format), reads);
    }
    for (number, fault) in catalogue().iter().enumerate() {
        if fault.reads.is_empty() {
            continue;
        }
        let mut output = Output::good(fault.format);
        for step in &fault.spoil {
            output.step(&step.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let reads: Vec<_> = fault
            .reads
            .iter()
            .map(|(reader, says)| (reader.as_str(), says.as_str()))
            .collect();
        ask(&number.to_string(), &fault.fault, &output, &reads);
    }
    assert!(asked.len() >= 50, "{} readings", asked.len());
    let said = read_by_others(&asked);
    let wrong: Vec<_> = expected
        .iter()
        .zip(said)
        .filter(|((_, reader, says), found)| {
            // The columns must match as a whole, every other message in part.
            let whole = reader.ends_with(" header") || reader.ends_with(" fields");
            if whole {
                found != says
            } else {
                !found.contains(says.as_str())
            }
        })
        .map(|((fault, reader, says), found)| format!("{fault}: {reader} says {found:?}, not {says:?}"))
        .collect();
    assert!(wrong.is_empty(), "{} do not hold:\n{}", wrong.len(), wrong.join("\n"));
}

/// Checks one line of the catalogue; the error says what went wrong.
async fn hold(fault: &Fault) -> std::result::Result<(), String> {
    let mut output = Output::good(fault.format);
    output.level = fault.level;
    for step in &fault.spoil {
        output.step(&step.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let (result, _) = output.verify(4 << 20).await;
    let report = match (result, fault.error) {
        (Err(error), Some(kind)) => {
            return if error.kind == kind && error.message.contains(&fault.says) && !error.message.contains(SECRET) {
                Ok(())
            } else {
                Err(format!("ended in {:?}: {}", error.kind, error.message))
            };
        }
        (Ok(report), Some(_)) => return Err(format!("had a verdict, {}", report.verdict)),
        (Err(error), None) => return Err(format!("had no verdict: {error}")),
        (Ok(report), None) => report,
    };
    let by = |verdict| -> Vec<&str> {
        let checks = report.checks.iter().filter(|check| check.verdict == verdict);
        checks.map(|check| check.name.as_str()).collect()
    };
    let (failed, warned) = (by(CheckVerdict::Fail), by(CheckVerdict::Warn));
    let text = serde_json::to_string(&report).map_err(|error| error.to_string())?;
    if text.contains(SECRET) || text.contains("s3cr3t") {
        return Err(format!("a cell value is in the report: {text}"));
    }
    if fault.passes.is_some() {
        return match report.verdict {
            Verdict::Passed => Ok(()),
            _ => Err(format!(
                "is found by now, by {failed:?} and {warned:?}: say by what check"
            )),
        };
    }
    if fault.pending {
        return match report.verdict {
            Verdict::Failed => Err(format!("is found by now, by {failed:?}: take `pending` away. {text}")),
            _ => Ok(()),
        };
    }
    let (verdict, expected, others) = match fault.verdict {
        None => (Verdict::Failed, &failed, &[][..]),
        Some(Worst::Warn) => (Verdict::PassedWithWarnings, &warned, failed.as_slice()),
    };
    if report.verdict != verdict || *expected != fault.check || !others.is_empty() {
        let reasons: Vec<_> = report.checks.iter().map(|check| &check.reason).collect();
        return Err(format!(
            "{}, failed: {failed:?}, warned: {warned:?}, {reasons:?}",
            report.verdict
        ));
    }
    let reasons: Vec<&str> = fault
        .check
        .iter()
        .filter_map(|name| Some(report.check(name)?.reason.as_str()))
        .collect();
    let names = fault.names.as_deref().unwrap_or(&output.target);
    for wanted in [fault.says.as_str(), names] {
        if wanted.is_empty() || !reasons.iter().any(|reason| reason.contains(wanted)) {
            return Err(format!("does not say {wanted:?}: {reasons:?}"));
        }
    }
    if !fault.check.iter().any(|check| check == "format") {
        return Ok(());
    }
    // The findings are the same for every size of ranges.
    for range in [7, 64] {
        // Recognising an error page takes more than 16 bytes.
        if range < 16 && fault.says.ends_with("HTML or XML") {
            continue;
        }
        let again = output.verify(range).await.0.map_err(|error| error.to_string())?;
        let verdicts = |report: &Report| -> Vec<_> { report.checks.iter().map(|check| check.verdict).collect() };
        // If the first range is long enough, the reason names the format that is there instead.
        let foreign = reasons
            .iter()
            .any(|reason| reason.contains(" holds ") || reason.contains(" looks like "));
        if verdicts(&again) != verdicts(&report) || (!foreign && again.checks != report.checks) {
            let differ = report.checks.iter().zip(&again.checks).find(|(a, b)| a != b);
            return Err(format!("by ranges of {range} bytes another report: {differ:?}"));
        }
    }
    Ok(())
}
