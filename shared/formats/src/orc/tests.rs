//! What must stay true: files of other writers are decoded as those read them, every cut and every contradiction is a
//! defect, and decoding can resume from any byte in bounded memory.

use std::{fs, io::Write, ops::Range, path::PathBuf, sync::Arc};

use arrow::array::{BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use orc_rust::{ArrowWriterBuilder, compression::CompressionType};
use prost::Message;

use super::{
    blocks::{Blocks, Inflater},
    decoder::*,
    stripe::{NUMBERS_PER_BYTE, Stripe},
    tail::{MAX_TAIL, Span},
    *,
};
use crate::{
    decoded::Decoded,
    decoder::{Checkpoint, Decoder, Opened},
    defect::Defect,
    testing::resumed,
};

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
    /// How many bytes of its end are read first.
    guess: usize,
    /// How many bytes are pushed at once.
    size: usize,
    /// The largest stripe that is collected in memory.
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

/// The files of pyarrow, with what it reads in each.
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

/// The place of a file's footer, and its postscript.
fn footer_of(bytes: &[u8]) -> (Range<usize>, proto::PostScript) {
    let (length, front) = bytes.split_last().unwrap();
    let end = front.len() - usize::from(*length);
    let postscript = proto::PostScript::decode(&front[end..]).unwrap();
    (end - postscript.footer_length() as usize..end, postscript)
}

/// The file with other metadata and another footer, both given as they are stored.
fn with_tail(bytes: &[u8], metadata: &[u8], footer: &[u8]) -> Vec<u8> {
    let (range, mut postscript) = footer_of(bytes);
    let stripes = &bytes[..range.start - postscript.metadata_length() as usize];
    postscript.metadata_length = Some(metadata.len() as u64);
    postscript.footer_length = Some(footer.len() as u64);
    let postscript = postscript.encode_to_vec();
    [stripes, metadata, footer, &postscript, &[postscript.len() as u8]].concat()
}

/// A section that inflates to these bytes `times` times, from one block each.
fn deflated(plain: &[u8], times: usize) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).unwrap();
    let block = encoder.finish().unwrap();
    let header = (2 * block.len() as u32).to_le_bytes();
    [&header[..3], &block].concat().repeat(times)
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

fn push(decoder: &mut dyn Decoder, bytes: &[u8], range: Range<usize>) -> Result<(), Defect> {
    for wanted in decoder.wanted() {
        let part = Bytes::copy_from_slice(&bytes[wanted.start as usize..wanted.end as usize]);
        decoder.supply(wanted, part)?;
    }
    let needs = decoder.needs(bytes.len() as u64);
    decoder.push(&bytes[range])?;
    assert!(decoder.held() as u64 <= needs, "{} of {needs}", decoder.held());
    Ok(())
}

fn run(bytes: &[u8], way: Way) -> Result<Decoded, Defect> {
    let mut decoder = open(bytes, way)?;
    for start in (0..bytes.len()).step_by(way.size) {
        push(&mut *decoder, bytes, start..bytes.len().min(start + way.size))?;
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
fn files_of_pyarrow_are_decoded_as_pyarrow_reads_them() {
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
fn a_file_without_rows_is_valid() {
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
fn no_corrupt_byte_makes_the_decoder_panic() {
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
fn a_footer_with_another_number_of_rows_is_a_defect() {
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
    // The footer and the stripes agree, but the columns have another number of rows.
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
        // After the stripe there is nothing, or something.
        (at(100), at(110))
    };
    let found = Err(Some(100));
    assert_eq!(ends(None, None), (Ok(()), found));
    assert_eq!(ends(Some(100), Some(3)), (Ok(()), found));
    assert_eq!(ends(Some(97), Some(3)), (Ok(()), found));
    // A writer may leave padding if it says so, whether or not it counts the header.
    assert_eq!(ends(Some(110), Some(3)), (Ok(()), Ok(())));
    assert_eq!(ends(Some(107), Some(3)), (Ok(()), Ok(())));
    assert_eq!(ends(Some(u64::MAX), Some(3)), (Ok(()), found));
}

#[test]
fn the_statistics_of_stripes_may_have_any_length() {
    let bytes = file(&[batch(300), batch(10)], Some(CompressionType::Zlib));
    let footer = &bytes[footer_of(&bytes).0];
    // One inflates to twice the limit of a footer, and one is stored in more than that limit.
    let inflated = deflated(&[0; 1 << 16], 1 << 10);
    let stored = [&[1_u8, 0, 2][..], &[0; 1 << 16]].concat().repeat(300);
    assert!(stored.len() as u64 > MAX_TAIL);
    for metadata in [inflated, stored] {
        let bytes = with_tail(&bytes, &metadata, footer);
        for way in [COLLECTED, STREAMED] {
            let size = 10_000;
            assert_eq!(run(&bytes, Way { size, ..way }).unwrap().rows, 310);
        }
        // Nothing but the footer is read beforehand.
        let range = footer_of(&bytes).0;
        let tail = Bytes::copy_from_slice(&bytes[range.end..]);
        let opened = OrcDecoder::open(bytes.len() as u64, range.end as u64, &tail).unwrap();
        assert!(matches!(opened, Opened::Needs(start) if start == range.start as u64));
        // A block that is cut off is still found.
        let cut = with_tail(&bytes, &metadata[..metadata.len() - 1], footer);
        for way in [COLLECTED, STREAMED] {
            let size = 10_000;
            let defect = run(&cut, Way { size, ..way }).unwrap_err().to_string();
            assert!(defect.contains("corrupt ORC metadata"), "{defect}");
        }
    }
}

#[test]
fn the_lists_of_a_footer_are_bounded() {
    let bytes = file(&[batch(5)], None);
    let footer = &bytes[footer_of(&bytes).0];
    let with = |records: &[u8]| run(&with_tail(&bytes, &[], &[footer, records].concat()), COLLECTED);
    let what = |records: &[u8]| with(records).unwrap_err().what;
    // Statistics and user metadata are not needed, and would each take many times their bytes in memory.
    let unused = [0x3a_u8, 0, 0x2a, 0];
    assert_eq!(with(&unused.repeat(1 << 20)).unwrap().rows, 5);
    let (decoded, _) = tail::decode(&unused, u64::MAX).unwrap();
    assert_eq!(decoded, proto::Footer::default());
    // Types, and the names of one type's fields.
    assert!(what(&[0x22_u8, 0].repeat(1 << 16)).contains("more than 65536 ORC types"));
    let names = [&[0x22_u8, 0x80, 0x80, 0x80, 0x04][..], &[0x1a, 0].repeat(4 << 20)].concat();
    assert!(what(&names).contains("more than 8 MiB of ORC types"));
    // Stripes of one byte each.
    let stripe = |offset| proto::StripeInformation {
        offset: Some(offset),
        data_length: Some(1),
        ..proto::StripeInformation::default()
    };
    let stripes = |count: u64| {
        let stripes = (3..3 + count).map(stripe).collect();
        let footer = proto::Footer {
            stripes,
            ..proto::Footer::default()
        };
        tail::decode(&footer.encode_to_vec(), u64::MAX)
    };
    assert_eq!(stripes(1 << 20).unwrap().1.len(), 1 << 20);
    let defect = stripes((1 << 20) + 1).unwrap_err().to_string();
    assert!(defect.contains("more than 1048576 stripes"), "{defect}");
    assert!(what(&[0x52, 0]).contains("encrypted columns"));
    assert!(what(&[0x3a, 1]).contains("unreadable ORC footer"));
}

#[test]
fn the_lists_of_a_stripe_footer_are_bounded() {
    let decode = |records: &[u8]| stripe::decode(records, 2);
    assert_eq!(decode(&[0x0a_u8, 0].repeat(32)).unwrap().streams.len(), 32);
    assert!(
        decode(&[0x0a_u8, 0].repeat(33))
            .unwrap_err()
            .what
            .contains("more streams")
    );
    assert_eq!(decode(&[0x12_u8, 0].repeat(1_000)).unwrap().columns.len(), 2);
    assert!(decode(&[0x22, 0]).unwrap_err().what.contains("encrypted columns"));
    assert!(decode(&[0x0a, 1]).unwrap_err().what.contains("unreadable footer"));
}

#[test]
fn the_memory_for_numbers_is_bounded_by_their_stored_bytes() {
    let of = |kind, children: &[u32], column| tail::Type {
        kind,
        children: children.to_vec(),
        column,
        short: false,
    };
    let types = [of(proto::TypeKind::Struct, &[1], 0), of(proto::TypeKind::Long, &[], 1)];
    let blocks = Blocks::new(&proto::PostScript {
        compression: Some(proto::CompressionKind::Zlib.into()),
        ..proto::PostScript::default()
    })
    .unwrap();
    // Runs of 512 zeros.
    let (runs, rows) = (1 << 14, 512 << 14);
    let streams = deflated(&[0xc1_u8, 0xff, 0, 0].repeat(runs), 1);
    let encoding = proto::ColumnEncoding {
        kind: Some(proto::EncodingKind::DirectV2.into()),
        ..proto::ColumnEncoding::default()
    };
    let footer = proto::StripeFooter {
        streams: vec![proto::Stream {
            kind: Some(proto::StreamKind::Data.into()),
            column: Some(1),
            length: Some(streams.len() as u64),
        }],
        columns: vec![encoding; 2],
    };
    let footer = deflated(&footer.encode_to_vec(), 1);
    let end = 3 + streams.len() as u64;
    let span = Span {
        start: 3,
        footer: end,
        end: end + footer.len() as u64,
        rows,
    };
    let decode = |room| {
        let mut stripe = Stripe::new(span, &footer, blocks, &types, room)?;
        stripe.push(&mut Inflater::new(blocks), &types, &streams)?;
        assert_eq!(stripe.end(&types)?, rows);
        Ok::<_, Defect>(stripe.room())
    };
    let allowed = span.length() * NUMBERS_PER_BYTE;
    assert!(allowed < rows);
    assert_eq!(decode(NUMBERS).unwrap(), NUMBERS + allowed - rows);
    let defect = decode(0).unwrap_err();
    assert!(defect.what.contains("more numbers than are taken"), "{defect}");

    // Bytes that one stripe leaves belong to the next.
    let bytes = file(&[batch(5), batch(6)], None);
    let mut decoder = open(&bytes, COLLECTED).unwrap();
    decoder.room = 0;
    decoder.push(&bytes).unwrap();
    let length: u64 = decoder.tail.stripes.iter().map(Span::length).sum();
    assert!((1..length * NUMBERS_PER_BYTE).contains(&decoder.room));
    assert_eq!(decoder.finish().unwrap().rows, 11);
}

#[test]
fn text_is_not_orc() {
    let text = b"id,name\n1,secret secret secret secret\n";
    let defect = run(text, COLLECTED).unwrap_err().to_string();
    assert!(defect.contains("not ORC") && !defect.contains("secret"), "{defect}");
    run(b"", COLLECTED).unwrap_err();
    run(b"ORC", COLLECTED).unwrap_err();
}

#[test]
fn decoding_an_orc_file_can_resume_from_any_byte() {
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
                push(&mut *first, &bytes, 0..cut).unwrap();
                let (offset, mut second) = resumed(&*first, open(&bytes, way).unwrap()).unwrap();
                assert!(offset <= cut as u64);
                stripes.insert(offset);
                for start in (offset as usize..bytes.len()).step_by(500) {
                    push(&mut *second, &bytes, start..bytes.len().min(start + 500)).unwrap();
                }
                assert_eq!(second.finish().unwrap(), whole);
            }
            assert!(stripes.len() > 3);
        }
    }
    let other = OrcState { stripe: 1, rows: 9 };
    let decoder = open(&file(&[batch(5), batch(6)], None), COLLECTED).unwrap();
    assert!(
        decoder
            .resume(Checkpoint::new("orc", 0, &other).unwrap())
            .unwrap_err()
            .what
            .contains("not the file")
    );
    let other = OrcState { stripe: 9, rows: 0 };
    let decoder = open(&file(&[batch(5), batch(6)], None), COLLECTED).unwrap();
    assert!(decoder.resume(Checkpoint::new("orc", 0, &other).unwrap()).is_err());
}

#[test]
fn footers_of_stripes_are_requested_in_portions_ahead_of_time() {
    let batches: Vec<_> = (0..40).map(|_| batch(3)).collect();
    let bytes = file(&batches, None);
    let mut decoder = open(&bytes, STREAMED).unwrap();
    let spans = decoder.tail.stripes.clone();
    assert_eq!(
        decoder.wanted(),
        spans[..PORTION].iter().map(Span::footer).collect::<Vec<_>>()
    );
    // If the caller supplies nothing, the result is the same.
    decoder.push(&bytes).unwrap();
    assert!(decoder.wanted().is_empty());
    assert_eq!(decoder.finish().unwrap().rows, 120);

    let mut decoder = open(&bytes, STREAMED).unwrap();
    push(&mut *decoder, &bytes, 0..spans[0].start as usize + 1).unwrap();
    assert!(matches!(decoder.stage, Stage::Decoding(..)));
    assert_eq!(decoder.wanted(), [spans[PORTION].footer()]);
    let other = decoder.supply(0..3, Bytes::from_static(b"ORC")).unwrap_err();
    assert!(other.what.contains("nobody wanted"));

    // Small stripes need no footer in advance, and neither does a stripe whose footer is in the tail that was read.
    assert!(open(&bytes, COLLECTED).unwrap().wanted().is_empty());
}

#[test]
fn a_stripe_that_changed_after_its_footer_was_read_is_a_defect() {
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

/// The memory does not grow with the size of a stripe.
#[test]
fn memory_does_not_grow_with_a_stripe() {
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
    assert!(
        decoder.needs(bytes.len() as u64) < 64 * 1024,
        "{}",
        decoder.needs(bytes.len() as u64)
    );
    for start in (0..bytes.len()).step_by(1 << 20) {
        push(&mut *decoder, &bytes, start..bytes.len().min(start + (1 << 20))).unwrap();
    }
    assert_eq!(decoder.finish().unwrap().rows, rows as u64);
}
