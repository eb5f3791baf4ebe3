//! Compares the decoders with other readers of the same formats, and gives them files that were cut off.

// A panic with its message is how these tests fail.
#![allow(clippy::expect_used)]

use std::sync::Arc;

use arrow::array::{BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use landfall_formats::{Decoded, Defect, Format};
use orc_rust::{ArrowWriterBuilder, compression::CompressionType};
use proptest::prelude::*;

/// The formats that are decoded.
const FORMATS: [Format; 3] = [Format::Csv, Format::Jsonl, Format::Orc];

/// Decodes with chunks of these sizes. The last size repeats until the end.
fn decode(format: Format, bytes: &[u8], sizes: &[usize]) -> Result<Decoded, Defect> {
    let mut decoder = format.row().open(&Bytes::copy_from_slice(bytes))?;
    let mut rest = bytes;
    let mut sizes = sizes.iter().copied();
    let mut size = usize::MAX;
    while !rest.is_empty() {
        size = sizes.next().unwrap_or(size);
        let (chunk, after) = rest.split_at(size.clamp(1, rest.len()));
        decoder.push(chunk)?;
        rest = after;
    }
    decoder.finish()
}

fn whole(format: Format, bytes: &[u8]) -> Result<Decoded, Defect> {
    decode(format, bytes, &[])
}

fn profiles(rows: i64) -> RecordBatch {
    let names = StringArray::from_iter((0..rows).map(|n| (n % 5 != 0).then(|| format!("Zoë \"{n}\",\nSmith"))));
    let member = BooleanArray::from_iter((0..rows).map(|n| Some(n % 3 == 0)));
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from_iter_values(0..rows)) as _, true),
        ("name", Arc::new(names) as _, true),
        (
            "score",
            Arc::new(Float64Array::from_iter_values((0..rows).map(|n| n as f64 / 3.0))) as _,
            true,
        ),
        ("member", Arc::new(member) as _, true),
    ])
    .expect("the columns fit")
}

fn orc(rows: i64, compression: Option<CompressionType>, stripe: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let batch = profiles(rows);
    let mut writer = ArrowWriterBuilder::new(&mut bytes, batch.schema()).with_stripe_byte_size(stripe);
    if let Some(compression) = compression {
        writer = writer.with_compression(compression);
    }
    let mut writer = writer.try_build().expect("the types are supported");
    writer.write(&batch).expect("memory takes it");
    writer.close().expect("memory takes it");
    bytes
}

fn csv_file(rows: &[Vec<String>], crlf: bool) -> Vec<u8> {
    let terminator = if crlf {
        csv::Terminator::CRLF
    } else {
        csv::Terminator::Any(b'\n')
    };
    let mut writer = csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).expect("memory takes it");
    }
    writer.into_inner().expect("memory takes it")
}

/// Values with everything that makes CSV hard.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-zé漢\u{1f600}]{0,6}",
        "[\",;\r\n' \t\u{feff}]{0,4}",
        "(?s).{0,6}".prop_map(|text: String| text.replace('\0', "")),
    ]
}

fn table() -> impl Strategy<Value = Vec<Vec<String>>> {
    (2..5_usize).prop_flat_map(|columns| {
        let header = (0..columns).map(|n| format!("column \"{n}\"")).collect::<Vec<_>>();
        prop::collection::vec(prop::collection::vec(value(), columns), 0..12).prop_map(move |rows| {
            let mut table = vec![header.clone()];
            table.extend(rows);
            table
        })
    })
}

fn json_line() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
    ];
    let value = leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(serde_json::Value::from),
            prop::collection::btree_map(".{0,4}", inner, 0..3)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    });
    prop::collection::btree_map(".{0,4}", value, 0..4)
        .prop_map(|map| serde_json::Value::from(map.into_iter().collect::<serde_json::Map<_, _>>()).to_string())
}

proptest! {
    #[test]
    fn csv_rows_are_those_of_the_csv_crate(
        table in table(),
        crlf in any::<bool>(),
        bom in any::<bool>(),
        last_break in any::<bool>(),
        sizes in prop::collection::vec(1..20_usize, 1..8),
    ) {
        let mut bytes = if bom { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
        bytes.extend(csv_file(&table, crlf));
        if !last_break {
            bytes.truncate(bytes.len() - if crlf { 2 } else { 1 });
        }
        let theirs = csv::Reader::from_reader(bytes.as_slice()).into_records().map(|record| {
            assert!(record.is_ok(), "{record:?}");
        }).count() as u64;
        let ours = decode(Format::Csv, &bytes, &sizes).expect("the file is whole");
        prop_assert_eq!(ours.rows, theirs);
        prop_assert_eq!(ours.rows, table.len() as u64 - 1);
        prop_assert_eq!(ours.column_count, table[0].len() as u64);
        prop_assert_eq!(&ours.columns, &table[0]);
        prop_assert_eq!(&whole(Format::Csv, &bytes), &Ok(ours));
    }

    #[test]
    fn any_csv_is_ragged_for_both_readers_or_for_none(
        text in "[ab\",\r\n]{0,40}",
        sizes in prop::collection::vec(1..9_usize, 1..8),
    ) {
        let theirs: Result<Vec<_>, _> = csv::Reader::from_reader(text.as_bytes()).into_records().collect();
        let ours = decode(Format::Csv, text.as_bytes(), &sizes);
        match (theirs, ours) {
            (Ok(theirs), Ok(ours)) => prop_assert_eq!(theirs.len() as u64, ours.rows),
            (Err(_), Ok(ours)) => prop_assert!(false, "ragged text must be refused, but got {:?}", ours),
            // Our decoder is stricter: an open quote, text after a closing quote, a missing header and a repeated
            // header are defects.
            (Ok(_), Err(defect)) => prop_assert!(
                ["quoted value", "behind a quote", "no header", "repeats the header"]
                    .iter()
                    .any(|what| defect.what.contains(what)),
                "{}",
                defect
            ),
            (Err(_), Err(_)) => {}
        }
    }

    /// The format of Spark, Hive and Glue. The crate escapes quotes, but not the backslashes themselves.
    #[test]
    fn escaped_quotes_are_counted_as_the_csv_crate_does(
        table in table(),
        crlf in any::<bool>(),
        sizes in prop::collection::vec(1..20_usize, 1..8),
    ) {
        let table: Vec<Vec<String>> =
            table.iter().map(|row| row.iter().map(|value| value.replace('\\', "/")).collect()).collect();
        let terminator = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new()
            .terminator(terminator)
            .double_quote(false)
            .escape(b'\\')
            .from_writer(Vec::new());
        for row in &table {
            writer.write_record(row).expect("memory takes it");
        }
        let bytes = writer.into_inner().expect("memory takes it");
        let theirs = csv::ReaderBuilder::new().double_quote(false).escape(Some(b'\\')).from_reader(bytes.as_slice());
        let theirs: Vec<csv::StringRecord> =
            theirs.into_records().collect::<Result<_, _>>().expect("the crate reads what it wrote");
        match decode(Format::Csv, &bytes, &sizes) {
            Ok(ours) => {
                prop_assert_eq!(ours.rows, theirs.len() as u64);
                prop_assert_eq!(&ours.columns, &table[0]);
                let named = ours.remarks.to_string().contains("escapes quotes by a backslash");
                prop_assert_eq!(named, bytes.windows(2).any(|two| two == br#"\""#));
            }
            Err(defect) => prop_assert!(defect.what.contains("two ways"), "{}", defect),
        }
    }

    #[test]
    fn json_lines_are_counted(
        lines in prop::collection::vec(json_line(), 0..12),
        crlf in any::<bool>(),
        last_break in any::<bool>(),
        sizes in prop::collection::vec(1..20_usize, 1..8),
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let mut text = lines.join(end);
        if last_break && !lines.is_empty() {
            text.push_str(end);
        }
        let ours = decode(Format::Jsonl, text.as_bytes(), &sizes).expect("every line is an object");
        prop_assert_eq!(ours.rows, lines.len() as u64);
        prop_assert_eq!(&whole(Format::Jsonl, text.as_bytes()), &Ok(ours));
    }

    #[test]
    fn the_size_of_chunks_does_not_matter_for_any_bytes(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        sizes in prop::collection::vec(1..9_usize, 1..8),
    ) {
        for format in FORMATS {
            prop_assert_eq!(decode(format, &bytes, &sizes), whole(format, &bytes));
        }
    }

    #[test]
    fn the_size_of_chunks_does_not_matter_for_orc(rows in 0..3_000_i64, sizes in prop::collection::vec(1..5_000_usize, 1..8)) {
        let bytes = orc(rows, Some(CompressionType::Zstd), 20_000);
        let decoded = decode(Format::Orc, &bytes, &sizes).expect("the file is whole");
        prop_assert_eq!(decoded.rows, rows as u64);
    }
}

#[test]
fn a_cut_in_csv_is_found_unless_it_follows_a_whole_record() {
    let table: Vec<Vec<String>> = [
        ["id", "name, full"],
        ["1", "Zoë \"Z\"\nSmith"],
        ["22", ""],
        ["3", "x,y"],
    ]
    .map(|row| row.map(str::to_owned).to_vec())
    .to_vec();
    for crlf in [false, true] {
        let bytes = csv_file(&table, crlf);
        let mut unseen = Vec::new();
        for end in 0..bytes.len() {
            if let Ok(decoded) = whole(Format::Csv, &bytes[..end]) {
                assert!(decoded.rows < table.len() as u64, "{end}");
                unseen.push(end);
            }
        }
        // A cut that leaves records of the right width can only be found with a count from elsewhere. Such cuts are
        // those between records, within the last unquoted value of a record, and within the last name of the header,
        // but never within quotes.
        for end in unseen {
            let kept = &bytes[..end];
            let quotes = kept.iter().filter(|byte| **byte == b'"').count();
            assert_eq!(quotes % 2, 0, "a cut within quotes must be found, at {end}");
        }
    }
}

#[test]
fn a_cut_in_json_lines_is_found_unless_it_follows_a_whole_line() {
    let text = "{\"a\":1,\"b\":\"Zoë\"}\n{\"a\":2,\"b\":[1,{\"c\":null}]}\n{\"a\":3}\n";
    for end in 0..text.len() {
        let kept = &text.as_bytes()[..end];
        let whole_lines = kept.is_empty() || kept.ends_with(b"}\n") || text.as_bytes()[end] == b'\n';
        assert_eq!(whole(Format::Jsonl, kept).is_ok(), whole_lines, "{end}");
    }
}

#[test]
fn orc_cut_off_anywhere_is_found() {
    for compression in [None, Some(CompressionType::Snappy)] {
        let bytes = orc(40, compression, 100);
        for end in 0..bytes.len() {
            whole(Format::Orc, &bytes[..end]).expect_err("it is cut off");
        }
        assert_eq!(whole(Format::Orc, &bytes).map(|decoded| decoded.rows), Ok(40));
    }
}

#[test]
fn no_defect_quotes_a_value() {
    let secret = "jane.doe@example.com";
    let texts = [
        format!("a,b\n{secret}\n"),
        format!("a,b\n1,\"{secret}\n"),
        format!("{{\"a\":\"{secret}\n"),
        format!("\"{secret}\"\n"),
        format!("{{\"a\": {secret}}}\n"),
        format!("a,b\n1,{secret}\0\n"),
    ];
    for text in texts {
        for format in FORMATS {
            if let Err(defect) = whole(format, text.as_bytes()) {
                let all = format!("{defect:?} {defect}");
                assert!(!all.contains("jane") && !all.contains("example"), "{all}");
            }
        }
    }
}
