use std::{fs, path::PathBuf, sync::Arc};

use arrow::array::{BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use orc_rust::{ArrowWriterBuilder, compression::CompressionType, proto};

use super::*;

const KINDS: [Option<CompressionType>; 5] = [
    None,
    Some(CompressionType::Zlib),
    Some(CompressionType::Snappy),
    Some(CompressionType::Lz4),
    Some(CompressionType::Zstd),
];

/// How a file is read.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// Bytes of its end that are read first.
    guess: usize,
    /// Bytes that are pushed at once.
    size: usize,
    /// The largest stripe that is collected.
    small: u64,
}

const COLLECTED: Way = Way {
    guess: 1 << 16,
    size: 100,
    small: u64::MAX,
};
const STREAMED: Way = Way { small: 0, ..COLLECTED };

fn batch(rows: i64) -> RecordBatch {
    let names = StringArray::from_iter((0..rows).map(|n| (n % 7 != 0).then(|| format!("Zoë, \"{n}\""))));
    let member = BooleanArray::from_iter((0..rows).map(|n| Some(n % 3 == 0)));
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from_iter_values(0..rows)) as _, true),
        ("name", Arc::new(names) as _, true),
        (
            "score",
            Arc::new(Float64Array::from_iter_values((0..rows).map(|n| n as f64))) as _,
            true,
        ),
        ("member", Arc::new(member) as _, true),
    ])
    .unwrap()
}

fn file(batches: &[RecordBatch], kind: Option<CompressionType>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriterBuilder::new(&mut bytes, batches[0].schema());
    if let Some(kind) = kind {
        writer = writer.with_compression(kind);
    }
    // Every batch becomes a stripe.
    let mut writer = writer.with_stripe_byte_size(1).try_build().unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.close().unwrap();
    bytes
}

/// The files by pyarrow, with what it reads in each.
fn corpus() -> Vec<(String, Vec<u8>, serde_json::Value)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/orc");
    let expected = fs::read(folder.join("expected.json")).unwrap();
    let expected: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&expected).unwrap();
    expected
        .into_iter()
        .map(|(name, expected)| {
            let bytes = fs::read(folder.join(&name)).unwrap();
            (name, bytes, expected)
        })
        .collect()
}

fn by_pyarrow(name: &str) -> Vec<u8> {
    let (_, bytes, _) = corpus().into_iter().find(|(file, ..)| file == name).unwrap();
    bytes
}

fn open(bytes: &[u8], way: Way) -> Result<Box<OrcDecoder>, Defect> {
    let mut start = bytes.len() - way.guess.min(bytes.len());
    loop {
        let tail = Bytes::copy_from_slice(&bytes[start..]);
        match OrcDecoder::open(bytes.len() as u64, start as u64, &tail)? {
            Opened::Ready(mut decoder) => {
                decoder.small = way.small;
                return Ok(decoder);
            }
            Opened::Needs(earlier) => {
                assert!(earlier < start as u64);
                start = earlier as usize;
            }
        }
    }
}

fn push(decoder: &mut OrcDecoder, bytes: &[u8], range: Range<usize>) -> Result<(), Defect> {
    for wanted in decoder.wanted() {
        let part = Bytes::copy_from_slice(&bytes[wanted.start as usize..wanted.end as usize]);
        decoder.supply(wanted, part)?;
    }
    let needs = decoder.needs();
    decoder.push(&bytes[range])?;
    assert!(decoder.held() as u64 <= needs, "{} of {needs}", decoder.held());
    Ok(())
}

fn run(bytes: &[u8], way: Way) -> Result<Decoded, Defect> {
    let mut decoder = open(bytes, way)?;
    for start in (0..bytes.len()).step_by(way.size) {
        push(&mut decoder, bytes, start..bytes.len().min(start + way.size))?;
    }
    decoder.finish()
}

#[test]
fn all_stripes_of_all_compressions_are_decoded() {
    for kind in KINDS {
        let bytes = file(&[batch(1_500), batch(10), batch(1)], kind);
        for small in [0, 200, u64::MAX] {
            for (guess, size) in [(1 << 16, 1 << 20), (1 << 16, 7), (300, 1_000), (300, 1)] {
                let decoded = run(&bytes, Way { guess, size, small }).unwrap();
                assert_eq!(decoded.rows, 1_511, "{kind:?}");
                assert_eq!(decoded.columns, ["id", "name", "score", "member"]);
                assert_eq!(decoded.column_count, 4);
            }
        }
    }
}

#[test]
fn files_by_pyarrow_are_decoded_to_what_it_reads() {
    let files = corpus();
    assert!(files.len() > 15);
    for (name, bytes, expected) in files {
        for way in [COLLECTED, STREAMED] {
            for size in [1 << 20, 977, 1] {
                let decoded = run(&bytes, Way { size, ..way }).unwrap_or_else(|defect| panic!("{name}: {defect}"));
                assert_eq!(decoded.rows, expected["rows"], "{name}");
                assert_eq!(serde_json::json!(decoded.columns), expected["columns"], "{name}");
            }
        }
        let decoder = open(&bytes, COLLECTED).unwrap();
        let rows: Vec<u64> = decoder.tail.stripes.iter().map(|span| span.rows).collect();
        assert_eq!(serde_json::json!(rows), expected["stripe_rows"], "{name}");
    }
}

#[test]
fn the_ends_of_a_file_show_its_columns_and_rows() {
    let frame = open(&file(&[batch(5), batch(6)], None), COLLECTED).unwrap().frame();
    assert_eq!(frame.columns, ["id", "name", "score", "member"]);
    assert_eq!((frame.column_count, frame.rows), (4, Some(11)));
}

#[test]
fn a_file_without_rows_is_whole() {
    assert_eq!(run(&file(&[batch(0)], None), COLLECTED).unwrap().rows, 0);
}

#[test]
fn every_truncation_is_found() {
    let mut files: Vec<_> = KINDS.map(|kind| file(&[batch(20), batch(3)], kind)).into();
    files.push(by_pyarrow("nested-zlib.orc"));
    for bytes in files {
        for end in 0..bytes.len() {
            run(&bytes[..end], COLLECTED).unwrap_err();
        }
    }
}

#[test]
fn no_corrupt_byte_brings_the_process_down() {
    let mut files: Vec<_> = KINDS
        .map(|kind| (format!("{kind:?}"), file(&[batch(20), batch(3)], kind)))
        .into();
    for name in [
        "nested-uncompressed.orc",
        "nested-zlib.orc",
        "nested-0.11.orc",
        "union.orc",
    ] {
        files.push((name.to_owned(), by_pyarrow(name)));
    }
    for (name, bytes) in files {
        let mut found = 0;
        for index in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[index] ^= flip;
                let size = 1_000;
                let collected = run(&bytes, Way { size, ..COLLECTED });
                if flip == 0x01 {
                    let streamed = run(&bytes, Way { size, ..STREAMED });
                    assert_eq!(collected.is_err(), streamed.is_err(), "{name}: byte {index}");
                }
                found += usize::from(collected.is_err());
            }
        }
        assert!(
            found > bytes.len() / 2,
            "{name}: only {found} of {} found",
            bytes.len() * 3
        );
    }
}

#[test]
fn a_footer_that_promises_other_rows_is_a_defect() {
    let bytes = file(&[batch(5)], None);
    let mut decoder = open(&bytes, COLLECTED).unwrap();
    decoder.push(&bytes).unwrap();
    decoder.rows -= 1;
    assert!(
        decoder
            .finish()
            .unwrap_err()
            .what
            .contains("has 4 rows in its stripes, its footer says 5")
    );
    // One whose footer and stripes agree, and whose columns have other rows.
    let mut decoder = open(&bytes, COLLECTED).unwrap();
    decoder.tail.stripes[0].rows = 6;
    let defect = decoder.push(&bytes).unwrap_err().to_string();
    assert_eq!(
        defect,
        "stripe 1, byte 3: cannot be decoded: column 1 of 4: it has 5 values, its rows take 6"
    );
}

#[test]
fn bytes_that_no_footer_accounts_for_are_a_defect() {
    for kind in KINDS {
        let bytes = file(&[batch(300), batch(10)], kind);
        for way in [
            COLLECTED,
            STREAMED,
            Way {
                guess: 300,
                ..COLLECTED
            },
        ] {
            let defect = run(&bytes.repeat(2), way).unwrap_err();
            assert!(defect.what.contains("files were put together"), "{defect}");
        }
    }
    let glued = [by_pyarrow("stripes.orc"), by_pyarrow("stripes.orc")].concat();
    run(&glued, COLLECTED).unwrap_err();
}

#[test]
fn contents_end_where_the_tail_begins() {
    let ends = |content: Option<u64>, header: Option<u64>| {
        let footer = proto::Footer {
            content_length: content,
            header_length: header,
            ..proto::Footer::default()
        };
        let stripe = Span {
            start: 3,
            footer: 90,
            end: 100,
            rows: 1,
        };
        let at = |begin| tail::contents_end(&footer, &[stripe], begin).map_err(|defect| defect.offset);
        // Behind the stripe lies nothing, or something.
        (at(100), at(110))
    };
    let found = Err(Some(100));
    assert_eq!(ends(None, None), (Ok(()), found));
    assert_eq!(ends(Some(100), Some(3)), (Ok(()), found));
    assert_eq!(ends(Some(97), Some(3)), (Ok(()), found));
    // A writer may leave room there if it says so, whether it counts the header or not.
    assert_eq!(ends(Some(110), Some(3)), (Ok(()), Ok(())));
    assert_eq!(ends(Some(107), Some(3)), (Ok(()), Ok(())));
    assert_eq!(ends(Some(u64::MAX), Some(3)), (Ok(()), found));
}

#[test]
fn text_is_no_orc() {
    let text = b"id,name\n1,secret secret secret secret\n";
    let defect = run(text, COLLECTED).unwrap_err().to_string();
    assert!(defect.contains("not ORC") && !defect.contains("secret"), "{defect}");
    run(b"", COLLECTED).unwrap_err();
    run(b"ORC", COLLECTED).unwrap_err();
}

#[test]
fn it_goes_on_from_any_cut() {
    for (bytes, rows) in [
        (
            file(&[batch(300), batch(10), batch(1)], Some(CompressionType::Zlib)),
            311,
        ),
        (by_pyarrow("stripes.orc"), 3_000),
    ] {
        for way in [COLLECTED, STREAMED] {
            let whole = run(&bytes, way).unwrap();
            assert_eq!(whole.rows, rows);
            let mut stripes = std::collections::BTreeSet::new();
            for cut in (0..bytes.len()).step_by(13).chain([bytes.len()]) {
                let mut first = open(&bytes, way).unwrap();
                push(&mut first, &bytes, 0..cut).unwrap();
                let (offset, state) = first.checkpoint().unwrap();
                assert!(offset <= cut as u64);
                let state: OrcState = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
                stripes.insert(state.stripe);
                let mut second = open(&bytes, way).unwrap().resume(&state).unwrap();
                assert_eq!(second.checkpoint(), Some((offset, state)));
                for start in (offset as usize..bytes.len()).step_by(500) {
                    push(&mut second, &bytes, start..bytes.len().min(start + 500)).unwrap();
                }
                assert_eq!(second.finish().unwrap(), whole);
            }
            assert!(stripes.len() > 3);
        }
    }
    let other = OrcState { stripe: 1, rows: 9 };
    let decoder = open(&file(&[batch(5), batch(6)], None), COLLECTED).unwrap();
    assert!(decoder.resume(&other).unwrap_err().what.contains("not the file"));
    let other = OrcState { stripe: 9, rows: 0 };
    let decoder = open(&file(&[batch(5), batch(6)], None), COLLECTED).unwrap();
    assert!(decoder.resume(&other).is_err());
}

#[test]
fn footers_are_wanted_in_portions_before_they_are_reached() {
    let batches: Vec<_> = (0..40).map(|_| batch(3)).collect();
    let bytes = file(&batches, None);
    let mut decoder = open(&bytes, STREAMED).unwrap();
    let spans = decoder.tail.stripes.clone();
    assert_eq!(
        decoder.wanted(),
        spans[..PORTION].iter().map(Span::footer).collect::<Vec<_>>()
    );
    // Who supplies nothing is asked again, and gets the same.
    decoder.push(&bytes).unwrap();
    assert!(decoder.wanted().is_empty());
    assert_eq!(decoder.finish().unwrap().rows, 120);

    let mut decoder = open(&bytes, STREAMED).unwrap();
    push(&mut decoder, &bytes, 0..spans[0].start as usize + 1).unwrap();
    assert!(matches!(decoder.stage, Stage::Decoding(..)));
    assert_eq!(decoder.wanted(), [spans[PORTION].footer()]);
    let other = decoder.supply(0..3, Bytes::from_static(b"ORC")).unwrap_err();
    assert!(other.what.contains("nobody wanted"));

    // Small stripes want nothing, and a stripe whose footer lies in the tail that was read neither.
    assert!(open(&bytes, COLLECTED).unwrap().wanted().is_empty());
}

#[test]
fn a_stripe_that_is_another_than_its_footer_said_is_a_defect() {
    let bytes = file(&[batch(5)], None);
    let mut decoder = open(&bytes, STREAMED).unwrap();
    let footer = decoder.wanted()[0].clone();
    decoder
        .supply(
            footer.clone(),
            bytes[footer.start as usize..footer.end as usize].to_vec().into(),
        )
        .unwrap();
    let mut other = bytes.clone();
    other[footer.start as usize] ^= 1;
    let defect = decoder.push(&other).unwrap_err();
    assert!(defect.what.contains("another footer"), "{defect}");
}

/// What is held does not grow with a stripe.
#[test]
fn a_large_stripe_is_held_nowhere() {
    let mut bytes = Vec::new();
    let rows = 250_000;
    let mut writer = ArrowWriterBuilder::new(&mut bytes, batch(0).schema())
        .try_build()
        .unwrap();
    writer.write(&batch(rows)).unwrap();
    writer.close().unwrap();
    let mut decoder = open(
        &bytes,
        Way {
            guess: 1_000,
            small: SMALL_STRIPE,
            ..COLLECTED
        },
    )
    .unwrap();
    assert_eq!(decoder.tail.stripes.len(), 1);
    assert!(decoder.tail.stripes[0].length() > SMALL_STRIPE, "{}", bytes.len());
    assert!(decoder.needs() < 64 * 1024, "{}", decoder.needs());
    for start in (0..bytes.len()).step_by(1 << 20) {
        push(&mut decoder, &bytes, start..bytes.len().min(start + (1 << 20))).unwrap();
    }
    assert_eq!(decoder.finish().unwrap().rows, rows as u64);
}
