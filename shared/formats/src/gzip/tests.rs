//! What must stay true: all members are read as one text, every cut and every flipped bit is found, and decoding can
//! resume at a member, whatever the size of chunks.

use std::io::Write;

use flate2::{Compression, GzBuilder, write::GzEncoder};
use proptest::prelude::*;

use super::{decoder::MAX_PENDING, members::SCRATCH, *};
use crate::{
    content::Head,
    decoded::{Decoded, Framed},
    decoder::Decoder,
    defect::Defect,
    testing::resumed,
};

fn zipped(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn with_header(text: &[u8]) -> Vec<u8> {
    let builder = GzBuilder::new().extra([1, 2, 3]).filename("n").comment("c").mtime(1);
    let mut encoder = builder.write(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn in_chunks(bytes: &[u8], size: usize) -> Result<Decoded, Defect> {
    let mut decoder = Box::new(GzipDecoder::new());
    for chunk in bytes.chunks(size) {
        decoder.push(chunk)?;
    }
    decoder.finish()
}

/// Found by the fuzzer.
#[test]
fn data_behind_zero_padding_is_reported_at_its_offset() {
    let text = zipped(b"{}\n");
    let bytes = [text.as_slice(), &[0; 100], b"x"].concat();
    for size in [1, 5, 64, usize::MAX] {
        let found = in_chunks(&bytes, size).unwrap_err();
        assert_eq!(
            found.offset,
            Some(text.len() as u64 + 100),
            "in chunks of {size}: {found}"
        );
    }
}

fn run(bytes: &[u8]) -> Result<Decoded, Defect> {
    in_chunks(bytes, usize::MAX)
}

fn defect(bytes: &[u8]) -> String {
    run(bytes).unwrap_err().to_string()
}

#[test]
fn gzip_members_are_joined_to_one_text() {
    let one = zipped(b"{\"a\":1}\n{\"a\":2}\n");
    assert_eq!(run(&one).unwrap().rows, 2);
    assert_eq!(run(&one).unwrap().columns, ["a"]);
    // A line may span members, and a member may be empty.
    let many = [zipped(b"{\"a\":"), zipped(b""), with_header(b"1}\n{}\n"), zipped(b"{}")].concat();
    assert_eq!(run(&many).unwrap().rows, 3);
    assert_eq!(run(&zipped(b"")).unwrap().rows, 0);
}

#[test]
fn zero_padding_is_skipped() {
    let padded = [zipped(b"{}\n"), vec![0; 1000]].concat();
    assert_eq!(run(&padded).unwrap().rows, 1);
    let length = zipped(b"{}\n").len() as u64;
    let found = run(&[padded, zipped(b"{}\n")].concat()).unwrap_err();
    assert_eq!(found.offset, Some(length + 1000));
    let found = run(&[zipped(b"{}\n"), b"junk".to_vec()].concat()).unwrap_err();
    assert_eq!(found.offset, Some(length));
    assert!(found.what.contains("no gzip member"));
}

#[test]
fn a_file_cut_off_anywhere_is_found() {
    let first = with_header(b"{\"a\":1}\n");
    let whole = [first.clone(), zipped(b"{\"a\":2}\n{\"a\":3}\n")].concat();
    assert_eq!(run(&whole).unwrap().rows, 3);
    for end in 0..whole.len() {
        let found = run(&whole[..end]);
        // Nothing shows that another member is missing after a whole one.
        if end == first.len() {
            assert_eq!(found.unwrap().rows, 1);
        } else if end == 0 {
            assert!(found.unwrap_err().what.contains("no gzip member"));
        } else {
            assert!(found.unwrap_err().what.contains("cut off"), "{end}");
        }
    }
}

#[test]
fn every_flipped_bit_of_body_and_trailer_is_found() {
    let whole = zipped("{\"a\":\"ö\",\"b\":[1,2,3]}\n".repeat(30).as_bytes());
    for bit in 10 * 8..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // The bits that fill up the last byte of the body mean nothing.
        if bit / 8 != whole.len() - 9 {
            assert!(run(&flipped).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn defects_say_what_is_wrong() {
    let whole = zipped(b"{}\n");
    let end = whole.len();
    let mut wrong = whole.clone();
    wrong[end - 8] ^= 1;
    assert_eq!(
        defect(&wrong),
        format!("byte {}: gzip member 1 is not of its checksum (CRC-32)", end - 8)
    );
    let mut wrong = whole.clone();
    wrong[end - 1] ^= 1;
    assert_eq!(
        defect(&wrong),
        format!("byte {}: gzip member 1 is not of its length", end - 4)
    );
    let mut wrong = whole.clone();
    wrong[2] = 7;
    assert!(defect(&wrong).contains("unknown method"));
    assert!(defect(b"{}\n").contains("magic number"));
    let found = run(&zipped(b"{}\n{\"a\":\"\0\"}\n")).unwrap_err();
    assert_eq!((found.line, found.offset), (Some(2), None));
    assert!(found.what.contains("byte 9 of the inflated text"), "{found}");
}

#[test]
fn a_decompression_bomb_takes_no_memory() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let line = [b"{\"a\":\"".as_slice(), &[b'x'; 1 << 20], b"\"}\n"].concat();
    for _ in 0..64 {
        encoder.write_all(&line).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 1 << 18);
    let mut decoder = Box::new(GzipDecoder::new());
    for chunk in bomb.chunks(4096) {
        decoder.push(chunk).unwrap();
        assert!(decoder.held() <= SCRATCH + (2 << 20) + 1024);
    }
    assert_eq!(decoder.finish().unwrap().rows, 64);
}

/// Stops after the first `cut` bytes and resumes in another decoder, if there is a checkpoint.
fn cut(bytes: &[u8], cut: usize, size: usize) -> Option<Result<Decoded, Defect>> {
    let mut first = GzipDecoder::new();
    if let Err(defect) = whole(&mut first, &bytes[..cut], size) {
        return Some(Err(defect));
    }
    let (offset, mut second) = resumed(&first, Box::new(GzipDecoder::new()))?;
    Some(whole(&mut *second, &bytes[offset as usize..], size).and_then(|()| second.finish()))
}

fn whole(decoder: &mut dyn Decoder, bytes: &[u8], size: usize) -> Result<(), Defect> {
    bytes.chunks(size).try_for_each(|chunk| decoder.push(chunk))
}

#[test]
fn gzip_within_gzip_is_a_defect() {
    let found = |bytes: &[u8], size| whole(&mut GzipDecoder::new(), bytes, size).unwrap_err();
    let mut bytes = Vec::new();
    for level in [0, 1, 9] {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(&zipped(b"{\"a\":1}\n")).unwrap();
        bytes = encoder.finish().unwrap();
        for size in 1..=bytes.len() {
            let defect = found(&bytes, size);
            assert!(defect.what.contains("gzip within gzip"), "{defect}");
            assert_eq!(defect.offset, Some(0));
        }
    }
    // After another member, it is reported as text that is not UTF-8.
    let later = [zipped(b"{\"a\":1}\n"), bytes].concat();
    assert!(found(&later, later.len()).what.contains("UTF-8"));
    let short = zipped(b"\x1f\xff");
    assert!(found(&short, 1).what.contains("UTF-8"));
}

#[test]
fn decoding_resumes_at_the_start_of_the_last_member() {
    let members: Vec<Vec<u8>> = ["{\"a\":1}\n{\"", "ö\":[", "1]}\n", "{}\n"]
        .map(|text| zipped(text.as_bytes()))
        .into();
    let bytes = members.concat();
    let mut decoder = Box::new(GzipDecoder::new());
    let mut offset = 0;
    for member in &members {
        decoder.push(&member[..8]).unwrap();
        let place = decoder.checkpoint().map(|place| place.offset);
        assert_eq!(place, (offset > 0).then_some(offset));
        decoder.push(&member[8..]).unwrap();
        offset += member.len() as u64;
        assert_eq!(decoder.checkpoint().unwrap().offset, offset);
    }
    // The bytes that the inner decoder must get again are bounded.
    let long = [b"{\"a\":\"".to_vec(), vec![b'x'; MAX_PENDING]].concat();
    let mut decoder = Box::new(GzipDecoder::new());
    decoder.push(&zipped(&long)).unwrap();
    assert_eq!(decoder.checkpoint(), None);
    decoder.push(&zipped(b"\"}\n")).unwrap();
    assert!(decoder.checkpoint().is_some());
    assert_eq!(cut(&bytes, 0, 1), None);
}

#[test]
fn a_look_at_the_ends_of_gzip_shows_columns_and_defects() {
    let framed = |bytes: &[u8]| -> Result<Framed, Defect> {
        let head = &bytes[..bytes.len().min(64 << 10)];
        let whole = head.len() == bytes.len();
        frame(Head { bytes: head, whole })
    };
    let small = zipped(b"{\"a\":1}\n");
    assert_eq!(framed(&small).unwrap().columns, ["a"]);
    let csv = zipped(b"a,b\n1,2\n");
    assert!(framed(&csv).unwrap_err().what.contains("not JSON"));
    assert!(framed(&zipped(&small)).unwrap_err().what.contains("gzip within gzip"));
    // A small object is checked to its end.
    assert!(
        framed(&zipped(b"{\"a\":1}\n{\"a\":"))
            .unwrap_err()
            .what
            .contains("cut off")
    );
    for end in 0..small.len() {
        assert!(framed(&small[..end]).is_err(), "{end}");
    }
    let mut text = String::from("{\"a\":1,\"b\":2}\n");
    let mut number = 1_u64;
    while text.len() < 1 << 20 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        text.push_str(&format!("{{\"a\":\"{number:x}\"}}\n"));
    }
    let large = zipped(text.as_bytes());
    assert!(large.len() > 128 << 10);
    assert_eq!(framed(&large).unwrap().column_count, 2);
    let mut wrong = large.clone();
    wrong[3] = 0b1110_0000;
    assert!(framed(&wrong).unwrap_err().what.contains("unknown flags"));
    let mut wrong = large;
    wrong[10..5000].fill(0xff);
    assert!(framed(&wrong).unwrap_err().what.contains("cannot be inflated"));
}

proptest! {
    #[test]
    fn the_size_of_chunks_does_not_matter(
        rows in prop::collection::vec("[a-zé]{0,40}", 0..40),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        members in 1usize..3,
        size in 1usize..40,
    ) {
        let text: String = rows.iter().map(|row| format!("{{\"a\":\"{row}\"}}\n")).collect();
        let mut bytes = zipped(text.as_bytes()).repeat(members);
        for (index, byte) in &flips {
            let index = index.index(bytes.len());
            bytes[index] ^= byte;
        }
        let whole = run(&bytes);
        prop_assert_eq!(in_chunks(&bytes, size), whole.clone());
        if flips.is_empty() {
            prop_assert_eq!(whole.unwrap().rows, (rows.len() * members) as u64);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = run(&[&[0x1f, 0x8b, 8][..], &bytes].concat());
    }
}
proptest! {
    // Each case decodes the text once for each of its bytes.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn decoding_can_resume_at_any_member(
        parts in prop::collection::vec("(\\{\"é\":\"[a-zé]{0,9}\"\\}\n){0,6}|[a-zé\",\n]{0,3}", 1..12),
        flip in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        split in any::<bool>(),
        size in 1usize..100,
    ) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for part in &parts {
            // A member may end within a character.
            let (one, two) = part.as_bytes().split_at(if split { part.len() / 2 } else { 0 });
            for member in [one, two] {
                bytes.extend(zipped(member));
                ends.push(bytes.len());
            }
        }
        if let Some((index, byte)) = flip {
            let index = index.index(bytes.len());
            bytes[index] ^= byte;
        }
        let mut places = 0;
        let expected = run(&bytes);
            for at in (0..=bytes.len()).step_by(7).chain(ends) {
                if let Some(found) = cut(&bytes, at, size) {
                    places += 1;
                    prop_assert_eq!(&found, &expected, "cut at {}", at);
                }
            }
        prop_assert!(places > 0 || flip.is_some());
    }
}
