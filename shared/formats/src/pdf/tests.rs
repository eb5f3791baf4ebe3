//! What must stay true: the pages of every valid document are counted, missing objects and broken streams are defects,
//! faults that viewers repair warn, and every document takes bounded time.

use bytes::Bytes;
use lopdf::{Object as Item, SaveOptions, dictionary};
use memchr::memmem;
use proptest::prelude::*;

use super::*;
use crate::{
    decoded::{Decoded, Document},
    decoder::{Decoder as _, Opened},
    defect::Defect,
};

const EOF: &[u8] = b"%%EOF";

/// A document of another writer.
fn document(pages: usize, modern: bool) -> Vec<u8> {
    let mut document = lopdf::Document::with_version("1.7");
    let tree = document.new_object_id();
    let kids: Vec<Item> = (0..pages)
        .map(|number| {
            let text = format!("BT /F1 12 Tf 72 720 Td (Page {number}) Tj ET ").repeat(20);
            let mut stream = lopdf::Stream::new(dictionary! {}, text.into_bytes());
            stream.compress().unwrap();
            let content = document.add_object(stream);
            let page = dictionary! {
                "Type" => "Page", "Parent" => tree, "Contents" => content,
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
    if !modern {
        document.reference_table.cross_reference_type = lopdf::xref::XrefType::CrossReferenceTable;
        document.save_to(&mut bytes).unwrap();
        return bytes;
    }
    let options = SaveOptions::builder()
        .use_object_streams(true)
        .use_xref_streams(true)
        .build();
    document.save_with_options(&mut bytes, options).unwrap();
    bytes
}

fn open(bytes: &[u8], tail: usize) -> Result<Box<PdfDecoder>, Defect> {
    let whole = Bytes::copy_from_slice(bytes);
    let mut start = bytes.len() - tail.min(bytes.len());
    loop {
        match PdfDecoder::open(bytes.len() as u64, start as u64, &whole.slice(start..))? {
            Opened::Ready(decoder) => return Ok(decoder),
            Opened::Needs(earlier) => {
                assert!((earlier as usize) < start);
                start = earlier as usize;
            }
        }
    }
}

fn in_chunks(bytes: &[u8], size: usize) -> Result<Decoded, Defect> {
    let mut decoder = open(bytes, 64 * 1024)?;
    for chunk in bytes.chunks(size) {
        decoder.push(chunk)?;
    }
    decoder.finish()
}

fn run(bytes: &[u8]) -> Result<Decoded, Defect> {
    in_chunks(bytes, usize::MAX)
}

#[test]
fn a_document_read_at_its_end_has_no_page_count() {
    let decoder = open(b"%PDF-1.7 startxref\n9\n%%EOF\n", 100).unwrap();
    assert_eq!(decoder.frame().document, Some(Document { pages: None }));
    assert_eq!(decoder.frame().rows, None);
}

fn pages(bytes: &[u8]) -> Option<u64> {
    run(bytes).unwrap().document.unwrap().pages
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at =
        memmem::rfind(bytes, from).unwrap_or_else(|| panic!("{} in {}", from.escape_ascii(), bytes.escape_ascii()));
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn pages_are_counted() {
    for modern in [false, true] {
        assert_eq!(pages(&document(1, modern)), Some(1));
        assert_eq!(pages(&document(40, modern)), Some(40));
        assert!(run(&document(0, modern)).is_err());
    }
    assert_eq!(run(&document(2, false)).unwrap().rows, 0);
}

#[test]
fn a_file_cut_off_anywhere_is_found() {
    for modern in [false, true] {
        let bytes = document(2, modern);
        let eof = memmem::rfind(&bytes, EOF).unwrap() + EOF.len();
        for end in 0..bytes.len() {
            // Only the line break after the end of the file may be missing.
            assert_eq!(run(&bytes[..end]).is_err(), end < eof, "{end}");
        }
    }
}

#[test]
fn defects_say_what_is_wrong() {
    let bytes = document(2, false);
    for (from, to, what) in [
        (&b"startxref"[..], &b"startxxxx"[..], "no readable startxref"),
        (b"startxref\n", b"startxref\n9", "beyond its end"),
        (b"xref\n0 ", b"xxxx\n0 ", "leads to no cross-reference"),
        (b"/Count 2", b"/Count 3", "its page tree says 3"),
        (b"%PDF-", b"%PDX-", "does not begin with a PDF header"),
    ] {
        let found = run(&replaced(&bytes, from, to)).unwrap_err().to_string();
        assert!(found.contains(what), "{found}");
    }
    let appended = [bytes.as_slice(), b"x"].concat();
    assert!(run(&appended).unwrap_err().what.contains("behind its last %%EOF"));
    assert!(run(b"id,name\n").unwrap_err().what.contains("no %%EOF"));
    assert!(run(b"").is_err());
}

#[test]
fn a_flipped_byte_of_a_stream_is_found() {
    let bytes = document(1, false);
    let begin = memmem::find(&bytes, b"stream\n").unwrap() + 7;
    let end = memmem::find(&bytes, b"\nendstream").unwrap();
    for at in begin..end {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        assert!(run(&flipped).is_err(), "{at}");
    }
}

#[test]
fn a_large_document_is_checked_at_its_ends_only() {
    let (bytes, middle) = (document(1, false), vec![b' '; 1 << 20]);
    let eof = memmem::rfind(&bytes, b"startxref").unwrap();
    let size = bytes.len() as u64 + 65 * middle.len() as u64;
    // Padding before the end, so that no offset changes.
    let tail = Bytes::from([&[b'%'; 4096][..], &bytes[eof..]].concat());
    let Opened::Ready(mut decoder) = PdfDecoder::open(size, size - tail.len() as u64, &tail).unwrap() else {
        panic!("the tail must be enough");
    };
    decoder.push(&bytes[..eof]).unwrap();
    for _ in 0..65 {
        decoder.push(&middle).unwrap();
        assert!(decoder.held() < 4096);
    }
    decoder.push(&bytes[eof..]).unwrap();
    assert_eq!(decoder.finish().unwrap().document, Some(Document { pages: None }));
}

#[test]
fn deep_nesting_does_not_overflow() {
    let bytes = document(1, false);
    for open in ["[", "<</a "] {
        let nested = format!("/Kids{}", open.repeat(200_000));
        let _ = run(&replaced(&bytes, b"/Kids", nested.as_bytes()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_size_of_chunks_does_not_matter(
        size in 1usize..700,
        modern in any::<bool>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = document(3, modern);
        for (index, byte) in flips {
            let index = index.index(bytes.len());
            bytes[index] ^= byte;
        }
        prop_assert_eq!(in_chunks(&bytes, size), run(&bytes));
    }
}

/// A document with these objects, numbered from 1, and more entries for its trailer.
fn of(objects: &[&[u8]], trailer: &str) -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (number, object) in (1..).zip(objects) {
        table += &format!("{:010} 00000 n \n", bytes.len());
        bytes.extend([format!("{number} 0 obj\n").as_bytes(), object, b"\nendobj\n"].concat());
    }
    let at = bytes.len();
    let size = objects.len() + 1;
    bytes.extend(format!("{table}trailer\n<</Size {size}{trailer}>>\nstartxref\n{at}\n%%EOF\n").into_bytes());
    bytes
}

const CATALOG: &[u8] = b"<</Type/Catalog/Pages 2 0 R>>";
const ONE: &[u8] = b"<</Type/Pages/Kids[3 0 R]/Count 1>>";
const ROOT: &str = "/Root 1 0 R";

fn stream(entries: &str, data: &[u8]) -> Vec<u8> {
    let head = format!("<</Length {}{entries}>>\nstream\n", data.len());
    [head.as_bytes(), data, b"\nendstream"].concat()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, data).unwrap();
    encoder.finish().unwrap()
}

/// A document of one page with this object as its content.
fn with_content(content: &[u8]) -> Vec<u8> {
    of(
        &[CATALOG, ONE, b"<</Type/Page/Parent 2 0 R/Contents 4 0 R>>", content],
        ROOT,
    )
}

fn fault(bytes: &[u8]) -> String {
    run(bytes).unwrap_err().to_string()
}

/// The number of pages, and the remarks.
fn remarked(bytes: &[u8]) -> (Option<u64>, String) {
    let decoded = run(bytes).unwrap_or_else(|defect| panic!("{defect}: {}", bytes.escape_ascii()));
    (decoded.document.unwrap().pages, decoded.remarks.to_string())
}

fn holds(bytes: &[u8], pages: u64, remark: &str) {
    let (counted, remarks) = remarked(bytes);
    assert_eq!(counted, Some(pages));
    assert!(
        remarks.contains(remark) && remarks.is_empty() == remark.is_empty(),
        "{remarks}"
    );
}

#[test]
fn faults_that_viewers_repair_warn() {
    for modern in [false, true] {
        let bytes = document(2, modern);
        holds(&bytes, 2, "");
        let zeros = |count: usize| [bytes.as_slice(), &vec![0; count]].concat();
        holds(&zeros(100), 2, "has 100 bytes of zeros behind its end");
        holds(&zeros(80_508), 2, "has 80508 bytes of zeros");
        holds(&zeros(1_200_000), 2, "bytes of zeros");
        assert!(fault(&zeros(17 << 20)).contains("more than 16 MiB of white space"));
        holds(&[bytes.as_slice(), &[b'\n'; 3_000]].concat(), 2, "");
        holds(
            &[bytes.as_slice(), b"\n%%EOF\r\n%%EOF"].concat(),
            2,
            "has 3 marks of its end",
        );
        for before in [
            b"\n".as_slice(),
            b"\xef\xbb\xbf",
            b"HTTP/1.1 200 OK\r\n\r\n",
            &[b' '; 1_000],
        ] {
            let remark = format!("has {} bytes before its header", before.len());
            holds(&[before, &bytes].concat(), 2, &remark);
        }
        assert!(fault(&[&[b' '; 1_025], bytes.as_slice()].concat()).contains("does not begin with a PDF header"));
    }
    // Offsets from the start of the file, instead of from the header.
    let bytes = replaced(&with_content(&stream("", b"BT")), b"%\xe2\xe3\xcf\xd3", b"%PDF-");
    let moved = [b"     ", &bytes[5..]].concat();
    holds(&moved, 1, "has 9 bytes before its header");
}

#[test]
fn a_table_with_wrong_offsets_is_rebuilt() {
    let content = stream("", b"BT ET");
    let bytes = with_content(&content);
    let at = |what: &[u8]| memmem::find(&bytes, what).unwrap();
    let entry = |number: &[u8]| format!("{:010} 00000 n", at(number)).into_bytes();
    let one_off = replaced(&bytes, &entry(b"3 0 obj"), b"0000000005 00000 n");
    holds(&one_off, 1, "wrong offsets");
    let other = replaced(&bytes, &entry(b"3 0 obj"), &entry(b"4 0 obj"));
    holds(&other, 1, "wrong offsets");
    let broken = replaced(&bytes, b"65535 f", b"65535 x");
    holds(&broken, 1, "wrong offsets");
    let cyclic = replaced(&bytes, b"/Size 5", format!("/Prev {}", at(b"xref\n")).as_bytes());
    holds(&cyclic, 1, "wrong offsets");
    // The object is nowhere else.
    let gone = replaced(&bytes, b"4 0 obj", b"\0\0\0\0\0\0\0");
    assert!(
        fault(&gone).contains("has no object 4, which is in use"),
        "{}",
        fault(&gone)
    );
    let other_generation = format!("{:010} 00001 n", at(b"4 0 obj"));
    let other_generation = replaced(&bytes, &entry(b"4 0 obj"), other_generation.as_bytes());
    holds(&other_generation, 1, "wrong offsets");
    holds(&replaced(&bytes, b"xref\n0 5", b"xref\n1 5"), 1, "wrong offsets");
    let cut = replaced(&bytes, b"/Contents 4 0 R>>", b"/Contents 4 0 R  ");
    assert!(fault(&cut).contains("has no object 3"));
    // Objects that are free or were never written are not missed.
    for free in [b"0000000000 00000 f", b"0000000000 00000 n"] {
        let pages = replaced(&bytes, b"/Contents 4 0 R", b"               ");
        holds(&replaced(&pages, &entry(b"4 0 obj"), free), 1, "");
        assert!(fault(&replaced(&bytes, &entry(b"4 0 obj"), free)).contains("lacks the content of page 1"));
    }
}

/// If an update is lost, the object that it replaced is not used in its place.
#[test]
fn a_lost_update_is_not_replaced_by_the_older_object() {
    let bytes = with_content(&stream("", b"BT"));
    let at = memmem::find(&bytes, b"xref\n").unwrap();
    let page = "3 0 obj\n<</Type/Page/Rotate 90>>\nendobj\n";
    let (begin, table) = (bytes.len(), bytes.len() + page.len());
    let update = format!(
        "{page}xref\n3 1\n{begin:010} 00000 n \ntrailer\n<</Size 5/Root 1 0 R/Prev {at}>>\n\
         startxref\n{table}\n%%EOF\n"
    );
    let updated = [bytes.as_slice(), update.as_bytes()].concat();
    holds(&updated, 1, "");
    let lost = replaced(&updated, b"3 0 obj", b"\0\0\0\0\0\0\0");
    assert!(fault(&lost).contains("has no object 3"));
}

#[test]
fn a_document_needs_its_root_and_page_tree() {
    let page: &[u8] = b"<</Type/Page/Parent 2 0 R>>";
    for (bytes, what) in [
        (of(&[CATALOG, ONE, page], ""), "names no root"),
        (
            of(&[CATALOG, ONE, page], "/Root 9 0 R"),
            "names a root that is not there",
        ),
        (of(&[b"[]", ONE, page], ROOT), "names a root that is not there"),
        (of(&[b"<</Type/Catalog>>", ONE, page], ROOT), "has no page tree"),
        (
            of(&[b"<</Type/Catalog/Pages 9 0 R>>", ONE, page], ROOT),
            "has no page tree",
        ),
        (
            of(&[CATALOG, b"<</Type/Pages/Kids[3 0 R]>>", page], ROOT),
            "has no page tree",
        ),
        (
            of(&[CATALOG, b"<</Type/Pages/Kids[3 0 R]/Count 2>>", page], ROOT),
            "its page tree says 2",
        ),
        (of(&[CATALOG, b"<</Type/Pages/Kids[]/Count 0>>"], ROOT), "has no page"),
        (of(&[CATALOG, ONE], ROOT), "lacks its node 3"),
        (of(&[CATALOG, ONE, b"null"], ROOT), "lacks its node 3"),
        (
            of(&[CATALOG, b"<</Type/Pages/Kids[(x)]/Count 1>>"], ROOT),
            "something else for a node",
        ),
        (
            of(&[CATALOG, b"<</Type/Pages/Kids[2 0 R]/Count 1>>"], ROOT),
            "leads to its node 2 again",
        ),
        (
            of(&[CATALOG, ONE, b"<</Kids[2 0 R]/Count 1>>"], ROOT),
            "leads to its node 2 again",
        ),
        (
            of(&[CATALOG, ONE, b"<</Type/Pages/Count 1>>"], ROOT),
            "leads to no page",
        ),
        (
            of(&[CATALOG, b"<</Kids[<</Kids[3 0 R]>>]/Count 1>>", page], ROOT),
            "no object of its own",
        ),
        (
            of(
                &[
                    CATALOG,
                    b"<</Kids[3 0 R 3 0 R]/Count 2>>",
                    b"<</Kids[4 0 R]/Count 1>>",
                    page,
                ],
                ROOT,
            ),
            "leads to its node 3 again",
        ),
    ] {
        assert!(fault(&bytes).contains(what), "{what}: {}", fault(&bytes));
    }
    // Readers accept a page that is listed twice, and branches with a wrong count.
    let twice = of(&[CATALOG, b"<</Kids[3 0 R 3 0 R]/Count 2>>", page], ROOT);
    holds(&twice, 2, "1 pages that stand in its page tree again");
    let branch: &[u8] = b"<</Type/Pages/Kids[4 0 R 5 0 R]/Count 3>>";
    let branches = of(&[CATALOG, b"<</Kids[3 0 R]/Count 2>>", branch, page, page], ROOT);
    holds(&branches, 2, "another number of pages");
    let deep: Vec<Vec<u8>> = (4..2_000)
        .map(|next| format!("<</Kids[{next} 0 R]/Count 1>>").into_bytes())
        .collect();
    let deep: Vec<&[u8]> = deep.iter().map(Vec::as_slice).collect();
    holds(&of(&[&[CATALOG, ONE], deep.as_slice(), &[page]].concat(), ROOT), 1, "");
}

#[test]
fn a_page_with_missing_content_is_a_defect() {
    let (first, second) = (stream("", b"BT"), stream("/Filter/FlateDecode", &zlib(b"ET")));
    let page = |contents: &str| {
        let page = format!("<</Type/Page/Parent 2 0 R{contents}>>");
        of(
            &[
                CATALOG,
                ONE,
                page.as_bytes(),
                &first,
                &second,
                b"[4 0 R 5 0 R]",
                b"<<>>",
                b"null",
            ],
            ROOT,
        )
    };
    for good in [
        "",
        "/Contents null",
        "/Contents 4 0 R",
        "/Contents[]",
        "/Contents[4 0 R 5 0 R 4 0 R]",
        "/Contents 6 0 R",
        "/Contents 8 0 R",
        "/Resources<</XObject<</A 4 0 R>>/Font<</B 7 0 R>>>>",
    ] {
        holds(&page(good), 1, "");
    }
    for bad in [
        "/Contents 9 0 R",
        "/Contents 7 0 R",
        "/Contents[4 0 R 9 0 R]",
        "/Contents(BT)",
        "/Contents[(BT)]",
    ] {
        assert!(fault(&page(bad)).contains("lacks the content of page 1"), "{bad}");
    }
    assert!(fault(&page("/Resources<</XObject<</A 9 0 R>>>>")).contains("lacks object 9"));
    holds(&page("/Resources<</Font<</A 9 0 R>>>>"), 1, "lacks a font");
    assert!(fault(&with_content(&stream("/Filter/Foo", b"x"))).contains("a filter that is none of PDF's"));
    assert!(fault(&with_content(&stream("/Filter/FlateDecode", b"BT ET"))).contains("corrupt stream in object 4"));
    holds(&with_content(&stream("/Filter/FlateDecode", b"")), 1, "");
    holds(&replaced(&with_content(&first), b"stream\nBT", b"stream \nBT"), 1, "");
    let longer = replaced(&with_content(&first), b"/Length 2", b"/Length 9");
    holds(&longer, 1, "whose length is not the one they say");
    let endless = replaced(&with_content(&first), b"endstream", b"endstreem");
    assert!(
        fault(&endless).contains("a stream without an end in object 4"),
        "{}",
        fault(&endless)
    );
}

fn ascii85(data: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for group in data.chunks(4) {
        let mut word = [0; 4];
        word[..group.len()].copy_from_slice(group);
        let mut value = u32::from_be_bytes(word);
        let mut digits = [0; 5];
        for digit in digits.iter_mut().rev() {
            *digit = b'!' + (value % 85) as u8;
            value /= 85;
        }
        text.extend(&digits[..=group.len()]);
        text.push(b'\n');
    }
    text.extend(b"~>");
    text
}

fn hexadecimal(data: &[u8]) -> Vec<u8> {
    let text: String = data.iter().map(|byte| format!("{byte:02x} ")).collect();
    (text + ">").into_bytes()
}

fn runs(data: &[u8]) -> Vec<u8> {
    let mut text: Vec<u8> = data
        .chunks(100)
        .flat_map(|run| [&[run.len() as u8 - 1], run].concat())
        .collect();
    text.extend([0x81, b' ', 128]);
    text
}

/// LZW as in the specification, with codes of 9 bits only.
fn lzw(data: &[u8]) -> Vec<u8> {
    let mut bits = String::new();
    for run in data.chunks(200) {
        bits += &format!("{:09b}", 256);
        for byte in run {
            bits += &format!("{byte:09b}");
        }
    }
    bits += &format!("{:09b}", 257);
    while !bits.len().is_multiple_of(8) {
        bits.push('0');
    }
    (0..bits.len() / 8)
        .map(|at| u8::from_str_radix(&bits[at * 8..at * 8 + 8], 2).unwrap())
        .collect()
}

#[test]
fn checksums_of_deflate_are_checked_within_other_filters() {
    let text: Vec<u8> = (0..2_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    let deflated = zlib(&text);
    let mut flipped = deflated.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 0x40;
    type Encode = fn(&[u8]) -> Vec<u8>;
    let filters: [(&str, Encode); 5] = [
        ("/ASCII85Decode", ascii85),
        ("/AHx", hexadecimal),
        ("/RunLengthDecode", runs),
        ("/LZW", lzw),
        ("/Fl", zlib),
    ];
    for (name, encode) in filters {
        let of = |data: &[u8]| with_content(&stream(&format!("/Filter[{name}/FlateDecode]"), &encode(data)));
        holds(&of(&deflated), 1, "");
        assert!(fault(&of(&flipped)).contains("corrupt stream in object 4"), "{name}");
        assert!(
            fault(&of(&deflated[..last / 2])).contains("corrupt stream in object 4"),
            "{name}"
        );
        // Also within all other filters at once.
        let chain: String = filters.iter().rev().map(|(name, _)| *name).collect();
        let all = |data: &[u8]| filters.iter().fold(data.to_vec(), |data, (_, encode)| encode(&data));
        let of = |data: &[u8]| with_content(&stream(&format!("/Filter[{chain}/FlateDecode/DCTDecode]"), &all(data)));
        holds(&of(&deflated), 1, "");
        assert!(fault(&of(&flipped)).contains("corrupt stream in object 4"), "{name}");
    }
    // The example of the specification: LZW with strings of its table.
    let example = [0x80, 0x0b, 0x60, 0x50, 0x22, 0x0c, 0x0c, 0x85, 0x01];
    holds(&with_content(&stream("/Filter/LZWDecode", &example)), 1, "");
    for (filter, data) in [
        ("A85", b"!~>".as_slice()),
        ("A85", b"vwx~>"),
        ("AHx", b"4g>"),
        ("RL", b"\x05a"),
        ("LZW", b"\x80\x7f\xff"),
    ] {
        let bytes = with_content(&stream(&format!("/Filter/{filter}"), data));
        assert!(fault(&bytes).contains("corrupt stream"), "{filter}");
    }
}

#[test]
fn a_deflated_stream_with_a_cut_checksum_warns() {
    let text = "BT 000 ET";
    let whole = zlib(text.as_bytes());
    assert!(whole.ends_with(&[0]));
    for left in 1..=4 {
        let bytes = with_content(&stream("/Filter/FlateDecode", &whole[..whole.len() - left]));
        holds(&bytes, 1, "1 deflated streams whose checksum is cut off");
    }
    assert!(fault(&with_content(&stream("/Filter/FlateDecode", &whole[..whole.len() - 5]))).contains("corrupt"));
    let spaced = [&whole[..whole.len() - 1], b"\n"].concat();
    holds(
        &with_content(&stream("/Filter/FlateDecode", &spaced)),
        1,
        "checksum is cut off",
    );
    let wrong = [&whole[..whole.len() - 2], b"\x01\0"].concat();
    assert!(fault(&with_content(&stream("/Filter/FlateDecode", &wrong))).contains("corrupt"));
}

#[test]
fn objects_within_object_streams_are_checked() {
    let bytes = document(3, true);
    holds(&bytes, 3, "");
    let pack = |members: &[(u32, &str)], data: &str, more: &str| {
        let index: String = members.iter().map(|(number, at)| format!("{number} {at} ")).collect();
        let entries = format!("/Type/ObjStm/N {}/First {}{more}", members.len(), index.len());
        stream(&entries, (index + data).as_bytes())
    };
    // Object 3, the page, is in object 4. The table is a stream, object 5.
    let with = |packed: &[u8], index: u8| {
        let bytes = of(&[CATALOG, ONE, b"null", packed], ROOT);
        let mut bytes = replaced(&bytes, b"3 0 obj", b"9 0 obj");
        let at = |what: &[u8]| memmem::find(&bytes, what).unwrap() as u8;
        let mut rows = vec![[0, 0, 0]];
        rows.extend([
            [1, at(b"1 0 obj"), 0],
            [1, at(b"2 0 obj"), 0],
            [2, 4, index],
            [1, at(b"4 0 obj"), 0],
        ]);
        bytes.truncate(memmem::find(&bytes, b"xref").unwrap());
        let section = bytes.len();
        let table = stream("/Type/XRef/W[1 1 1]/Size 5/Root 1 0 R", rows.as_flattened());
        bytes.extend([b"5 0 obj\n", table.as_slice(), b"\nendobj\n"].concat());
        bytes.extend(format!("startxref\n{section}\n%%EOF\n").into_bytes());
        bytes
    };
    let (page, null) = ("<</Type/Page>>", "null");
    let good = pack(&[(3, "0"), (7, "15")], &format!("{page} {null}"), "");
    holds(&with(&good, 0), 1, "");
    holds(&with(&good, 1), 1, "wrong offsets");
    for bad in [
        pack(&[(7, "0")], page, ""),
        pack(&[(3, "99")], page, ""),
        pack(&[(3, "0")], "<</Type/Page", ""),
    ] {
        assert!(
            fault(&with(&bad, 0)).contains("has no object 3 in its object stream 4"),
            "{}",
            fault(&with(&bad, 0))
        );
    }
    for bad in [
        pack(&[(3, "x")], page, ""),
        stream("", page.as_bytes()),
        b"<<>>".to_vec(),
    ] {
        assert!(
            fault(&with(&bad, 0)).contains("has no object stream 4"),
            "{}",
            fault(&with(&bad, 0))
        );
    }
    assert!(fault(&with(&pack(&[(3, "0")], page, "/Filter/FlateDecode"), 0)).contains("corrupt stream in object 4"));
    // A stream that is shared by objects that lie within each other.
    let members: Vec<String> = (0..6_000).map(|n| (n * 2).to_string()).collect();
    let members: Vec<(u32, &str)> = (3..).zip(members.iter().map(String::as_str)).collect();
    let nested = pack(&members, &"( ".repeat(6_000), "");
    let _ = run(&with(&nested, 0));
    // Without a readable table the objects are still found.
    let lost = replaced(&with(&good, 0), b"/Type/XRef/W[1 1 1]", b"/Type/XRef/W[1 1 9]");
    holds(&lost, 1, "wrong offsets");
}

/// Each document takes a moment at most, although it could take hours.
#[test]
fn malicious_documents_are_refused_in_bounded_time() {
    let begun = std::time::Instant::now();
    let spent = "within each other or are shared too often";
    // Objects within objects.
    let count = 40_000;
    let mut bytes = b"%PDF-1.7\n".to_vec();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", count + 1);
    for number in 1..=count {
        table += &format!("{:010} 00000 n \n", bytes.len());
        bytes.extend(format!("{number} 0 obj(").into_bytes());
    }
    bytes.extend(b")".repeat(count));
    let at = bytes.len();
    bytes.extend(format!("\n{table}trailer<</Root 1 0 R>>\nstartxref\n{}\n%%EOF", at + 1).into_bytes());
    assert!(fault(&bytes).contains(spent), "{}", fault(&bytes));
    let no_table = replaced(&bytes, b"65535 f", b"65535 x");
    assert!(fault(&no_table).contains(spent), "{}", fault(&no_table));
    // Pages that share a large array of contents.
    let kids: String = (4..10_000).map(|number| format!("{number} 0 R ")).collect();
    let top = format!("<</Kids[{kids}]/Count 9996>>");
    let contents = format!("[{}]", "1 0 R ".repeat(50_000));
    let page: &[u8] = b"<</Contents 3 0 R>>";
    let shared = of(
        &[
            &[CATALOG, top.as_bytes(), contents.as_bytes()],
            vec![page; 9_996].as_slice(),
        ]
        .concat(),
        ROOT,
    );
    assert!(run(&shared).is_err());
    // Streams without an end, for each of which the end must be looked for.
    let endless = b"<</Length 9>>stream\n".as_slice();
    let many = of(&[&[CATALOG, ONE], vec![endless; 50_000].as_slice()].concat(), ROOT);
    assert!(run(&many).is_err());
    // Deflated twice.
    let bomb = zlib(&zlib(&vec![0; 8 << 20]));
    let bomb = with_content(&stream("/Filter[/Fl/Fl]", &bomb));
    assert!(
        fault(&bomb).contains("inflate to more than is taken"),
        "{}",
        fault(&bomb)
    );
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(20),
        "{:?}",
        begun.elapsed()
    );
}
