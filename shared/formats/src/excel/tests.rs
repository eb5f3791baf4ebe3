//! What must stay true: the rows of every valid workbook are counted, a missing or broken part is a defect, and neither
//! the size of chunks nor a hostile file changes the result or the memory. Workbooks of another writer and fragments of
//! XML show it.

use std::io::Write;

use bytes::Bytes;
use proptest::prelude::*;
use rawzip::CompressionMethod;
use rust_xlsxwriter::Workbook;

use super::{
    book::{LINK, MAX_LINKED},
    decoder::SCRATCH,
    *,
};
use crate::{
    decoded::{Decoded, Framed},
    decoder::{Decoder as _, Opened},
    defect::Defect,
};

/// A workbook of another writer: two sheets with a heading and `rows` rows, and one without a cell.
fn workbook(rows: u32) -> Vec<u8> {
    let mut book = Workbook::new();
    for name in ["A", "B & C"] {
        let sheet = book.add_worksheet();
        sheet.set_name(name).unwrap();
        sheet.write_string(0, 0, "name <a>").unwrap();
        sheet.write_string(0, 1, "value").unwrap();
        for row in 1..=rows {
            sheet.write_string(row, 0, format!("Zoë & {row}\n>")).unwrap();
            sheet.write_number(row, 1, f64::from(row)).unwrap();
        }
        // A row for which only the height is set holds nothing.
        sheet.set_row_height(rows + 5, 40).unwrap();
    }
    book.add_worksheet();
    book.save_to_buffer().unwrap()
}

fn open(bytes: &[u8], tail: usize) -> Result<Box<ExcelDecoder>, Defect> {
    let whole = Bytes::copy_from_slice(bytes);
    let mut start = bytes.len() - tail.min(bytes.len());
    loop {
        match ExcelDecoder::open(bytes.len() as u64, start as u64, &whole.slice(start..))? {
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

/// An archive with these parts.
fn archive(parts: &[(&str, &str)]) -> Vec<u8> {
    let parts: Vec<_> = parts.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
    archive_of_bytes(&parts)
}

fn archive_of_bytes(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
    for (name, text) in parts {
        let file = archive.new_file(name).compression_method(CompressionMethod::DEFLATE);
        let (mut entry, config) = file.start().unwrap();
        let encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::best());
        let mut writer = config.wrap(encoder);
        writer.write_all(text).unwrap();
        let (encoder, descriptor) = writer.finish().unwrap();
        encoder.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    bytes
}

const TYPES: &str = r#"<Types><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>"#;
const ROOT: &str =
    r#"<Relationships><Relationship Id="r" Type="http://x/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const BOOK: &str = r#"<workbook xmlns:r="r"><sheets><sheet name="S" sheetId="1" r:id="a"/></sheets></workbook>"#;
const BOOK_LINKS: &str =
    r#"<Relationships><Relationship Id="a" Type="http://x/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;
const SHEET: &str = "<x:worksheet xmlns:x='m'><x:sheetData><x:row><x:c/><x:c><x:v>1</x:v></x:c></x:row>\
    <x:row><x:c s='1'/></x:row></x:sheetData></x:worksheet>\n";

/// The parts of the smallest workbook.
const fn parts() -> [(&'static str, &'static str); 5] {
    [
        ("[Content_Types].xml", TYPES),
        ("_rels/.rels", ROOT),
        ("xl/workbook.xml", BOOK),
        ("xl/_rels/workbook.xml.rels", BOOK_LINKS),
        ("xl/worksheets/sheet1.xml", SHEET),
    ]
}

/// The smallest workbook, with one part left out or replaced.
fn small(changed: &str, to: Option<&str>) -> Vec<u8> {
    let parts: Vec<_> = parts()
        .into_iter()
        .filter_map(|(name, text)| Some((name, if name == changed { to? } else { text })))
        .collect();
    archive(&parts)
}

#[test]
fn rows_of_all_sheets_are_counted() {
    assert_eq!(run(&workbook(3)).unwrap().rows, 8);
    assert_eq!(run(&workbook(3_000)).unwrap().rows, 6_002);
    assert_eq!(run(&small("", None)).unwrap().rows, 1);
    assert_eq!(run(&workbook(3)).unwrap().document, None);
}

/// Some writers give the type of a workbook to its extension, and types of their own to all other parts.
#[test]
fn a_workbook_may_have_the_type_of_its_extension() {
    let main = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml";
    let default = |extension: &str| format!(r#"<Default Extension="{extension}" ContentType="{main}"/>"#);
    let sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml";
    let own = |part: &str, of: &str| format!(r#"<Override PartName="/xl/{part}" ContentType="{of}"/>"#);
    let types = |inner: &[String]| {
        small(
            "[Content_Types].xml",
            Some(&format!("<Types>{}</Types>", inner.concat())),
        )
    };
    for good in [
        types(&[default("xml"), own("worksheets/sheet1.xml", sheet)]),
        types(&[own("worksheets/sheet1.xml", sheet), default("XML")]),
        types(&[default("xml"), own("workbook.xml", main)]),
    ] {
        assert_eq!(run(&good).unwrap().rows, 1);
    }
    for bad in [
        types(&[default("rels")]),
        types(&[default("")]),
        types(&[default("xml"), own("workbook.xml", sheet)]),
    ] {
        assert!(run(&bad).unwrap_err().what.contains("no workbook part"));
    }
}

/// Excel allows 65,530 hyperlinks in a sheet, and each is a relationship.
#[test]
fn a_sheet_may_have_many_links() {
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    for row in 0..12_000 {
        sheet
            .write_url(row, 0, format!("https://example.com/{row}").as_str())
            .unwrap();
    }
    assert_eq!(run(&book.save_to_buffer().unwrap()).unwrap().rows, 12_000);
    // Relationships within the package that lead to no sheet do not count, either.
    let image = r#"<Relationship Id="i" Type="http://x/image" Target="../media/a.png"/>"#;
    let links = format!("<Relationships>{}</Relationships>", image.repeat(12_000));
    let parts = [
        ("xl/drawings/_rels/drawing1.xml.rels", links.as_str()),
        ("[Content_Types].xml", TYPES),
        ("xl/worksheets/sheet1.xml", SHEET),
        ("xl/_rels/workbook.xml.rels", BOOK_LINKS),
        ("xl/workbook.xml", BOOK),
        ("_rels/.rels", ROOT),
    ];
    assert_eq!(run(&archive(&parts)).unwrap().rows, 1);
    // The number of relationships to keep is bounded.
    let sheets = r#"<sheet name="S" sheetId="1" r:id="a"/>"#.repeat(MAX_LINKED / LINK);
    let book = format!("<workbook xmlns:r='r'><sheets>{sheets}</sheets></workbook>");
    let found = run(&small("xl/workbook.xml", Some(&book))).unwrap_err().to_string();
    assert!(found.contains("more parts than are taken"), "{found}");
}

#[test]
fn a_workbook_opens_with_a_tail_of_any_length() {
    let bytes = workbook(3);
    for tail in [22, 30, 100, 1_000, 4_000] {
        let mut decoder = open(&bytes, tail).unwrap();
        decoder.push(&bytes).unwrap();
        assert_eq!(decoder.finish().unwrap().rows, 8, "{tail}");
    }
}

#[test]
fn a_file_cut_off_anywhere_is_found() {
    let bytes = workbook(1);
    for end in 1..bytes.len() {
        assert!(run(&bytes[..end]).is_err(), "{end}");
    }
    let longer = [bytes, b"x".to_vec()].concat();
    assert!(run(&longer).is_err());
}

#[test]
fn a_flipped_byte_changes_nothing_or_is_found() {
    let bytes = small("", None);
    let whole = run(&bytes).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x55;
        // Times, versions and attributes of entries mean nothing to us. The fields around an entry are in the
        // directory, too.
        if let Ok(decoded) = run(&flipped) {
            assert_eq!(decoded, whole, "{at}");
        }
    }
}

#[test]
fn a_workbook_without_a_needed_part_is_refused() {
    for (part, to, what) in [
        ("[Content_Types].xml", None, "no part [Content_Types].xml"),
        ("[Content_Types].xml", Some("<Types/>"), "no workbook part"),
        ("_rels/.rels", None, "no workbook part"),
        ("xl/workbook.xml", None, "no workbook part"),
        ("xl/workbook.xml", Some("<workbook/>"), "has no sheet"),
        ("xl/_rels/workbook.xml.rels", None, "lacks sheet 1 of 1"),
        ("xl/worksheets/sheet1.xml", None, "lacks sheet 1 of 1"),
        (
            "xl/worksheets/sheet1.xml",
            Some("<chartsheet/>"),
            "something else for sheet 1",
        ),
        ("xl/worksheets/sheet1.xml", Some("<worksheet>"), "ends within its XML"),
        (
            "xl/worksheets/sheet1.xml",
            Some("<worksheet><a></b></worksheet>"),
            "closes another",
        ),
        (
            "xl/worksheets/sheet1.xml",
            Some("<worksheet/><worksheet/>"),
            "more than one outermost",
        ),
        (
            "xl/worksheets/sheet1.xml",
            Some("<worksheet><secret a='"),
            "ends within its XML",
        ),
        ("xl/worksheets/sheet1.xml", Some(""), "holds no XML"),
    ] {
        let found = run(&small(part, to)).unwrap_err().to_string();
        assert!(found.contains(what), "{part}: {found}");
        assert!(!found.contains("secret"), "{found}");
    }
    assert!(run(&archive(&[])).unwrap_err().what.contains("[Content_Types].xml"));
    assert!(run(b"id,name\n1,2\n").unwrap_err().what.contains("no zip directory"));
}

#[test]
fn the_directory_shows_whether_it_can_be_a_workbook() {
    let frame = open(&workbook(3), 64 * 1024).unwrap().frame();
    assert_eq!(frame, Framed::default());
    for part in ["[Content_Types].xml", "_rels/.rels"] {
        open(&small(part, None), 64 * 1024).unwrap_err();
    }
    open(
        &archive(&[("[Content_Types].xml", "<Types/>"), ("_rels/.rels", "<R/>")]),
        64 * 1024,
    )
    .unwrap_err();
}

/// A part is longer than the directory says, and its XML breaks before or after that length.
#[test]
fn the_first_fault_of_a_part_is_the_same_for_all_chunks() {
    for (text, length, what) in [
        ("<worksheet><a></b></worksheet>", 20, "closes another"),
        ("<worksheet><a></a></b>", 18, "longer than the zip directory says"),
    ] {
        let mut bytes = small("xl/worksheets/sheet1.xml", Some(text));
        // The uncompressed size, in the directory.
        let entry = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
        bytes[entry + 24] = length;
        for size in 1..bytes.len() {
            let found = in_chunks(&bytes, size).unwrap_err().to_string();
            assert!(found.contains(what), "{size}: {found}");
        }
    }
}

/// Inputs that fuzzing found.
#[test]
fn inputs_found_by_fuzzing_give_the_same_for_all_chunks() {
    for found in [
        include_bytes!("../../../../tests/data/seeds/excel-mended/longer-than-directory-or-unclosed").as_slice(),
        include_bytes!("../../../../tests/data/seeds/excel-mended/reference-cut-at-a-bracket"),
    ] {
        for size in 1..300 {
            assert_eq!(in_chunks(found, size), run(found), "{size}");
        }
    }
}

/// A reference that a chunk cuts is not broken yet. One that never ends is.
#[test]
fn xml_references_are_read_across_chunks() {
    for (text, what) in [
        ("<worksheet>a &amp; > b &gt;></worksheet>", ""),
        ("<worksheet>&a>b;</worksheet><c>", "not well-formed"),
        ("<worksheet>&#x3e;>&#62;</worksheet><c>", "more than one outermost"),
        ("<worksheet>&a>b</worksheet>", "not well-formed"),
        ("<worksheet>&a>&b></worksheet>", "not well-formed"),
        ("<worksheet>&a>", "ends within its XML"),
    ] {
        let bytes = small("xl/worksheets/sheet1.xml", Some(text));
        for size in 1..bytes.len() {
            let found = in_chunks(&bytes, size).map_or_else(|defect| defect.to_string(), |_| String::new());
            assert!(
                found.contains(what) && found.is_empty() == what.is_empty(),
                "{text} {size}: {found}"
            );
        }
    }
}

#[test]
fn a_decompression_bomb_takes_no_memory() {
    let rows = "<row><c><f/></c></row>".repeat(1 << 16);
    let sheet = format!("<worksheet><sheetData>{rows}</sheetData></worksheet>");
    let bytes = small("xl/worksheets/sheet1.xml", Some(&sheet));
    assert!(bytes.len() < 1 << 15);
    let mut decoder = open(&bytes, 64 * 1024).unwrap();
    for chunk in bytes.chunks(512) {
        decoder.push(chunk).unwrap();
        assert!(decoder.held() <= 5 * SCRATCH, "{}", decoder.held());
    }
    assert_eq!(decoder.finish().unwrap().rows, 1 << 16);

    let comment = format!("<worksheet><!--{}--></worksheet>", ">".repeat(2 << 20));
    let bytes = small("xl/worksheets/sheet1.xml", Some(&comment));
    assert!(run(&bytes).unwrap_err().what.contains("longer than 1 MiB"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_size_of_chunks_does_not_matter(
        size in 1usize..3_000,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut bytes = small("", None);
        for (index, byte) in flips {
            let index = index.index(bytes.len());
            bytes[index] ^= byte;
        }
        prop_assert_eq!(in_chunks(&bytes, size), run(&bytes));
    }

    /// The first fault of a part is the same however its archive is split. Each fragment stands for one kind of fault.
    #[test]
    fn the_size_of_chunks_does_not_matter_to_xml(
        size in 1usize..60,
        utf16 in any::<bool>(),
        pieces in prop::collection::vec(prop::sample::select(vec![
            "<row>", "</row>", "<c t='s'><v>0</v></c>", "<a x='1' x='2'/>", "<a>", "</a>", "&amp;", "&nbsp;", "&a>b;", "&",
            "text", "a > b", "]]>", "<![CDATA[<>]]>", "<!-- > -->", "<!-- -- -->", "<?a b?>", "<?xml version='1.0'?>",
            "<!DOCTYPE a>", "<p:a/>", "<a xmlns:p='n'><p:b/></a>", "\u{1f980}", "\u{b}", "<", ">", "'", "<a x='>'/>",
        ]), 0..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut text = format!("<worksheet><sheetData>{}</sheetData></worksheet>", pieces.concat());
        text.truncate(text.floor_char_boundary(cut.index(4 * text.len())));
        let part: Vec<u8> = if utf16 {
            text.encode_utf16().flat_map(u16::to_le_bytes).collect()
        } else {
            text.into_bytes()
        };
        let bytes = archive_of("xl/worksheets/sheet1.xml", &part);
        prop_assert_eq!(in_chunks(&bytes, size), run(&bytes));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 1..300)) {
        let _ = run(&bytes);
    }
}

/// The sheet of the smallest workbook.
fn sheet(text: &str) -> Result<Decoded, Defect> {
    run(&small("xl/worksheets/sheet1.xml", Some(text)))
}

#[test]
fn rows_without_a_value_do_not_count() {
    for (row, rows) in [
        ("<row r='1' s='4' customFormat='1'/>", 0),
        ("<row><c r='A1' s='4'/><c r='B1' s='4'></c></row>", 0),
        ("<row><c s='4'><v/></c><c><v></v></c><c><v> </v></c></row>", 0),
        ("<row><c><extLst><ext><v>1</v></ext></extLst></c></row>", 0),
        ("<row><c><v>0</v></c><c><v>1</v></c></row>", 1),
        ("<row><c><v>&#48;</v></c></row>", 1),
        ("<row><c><v><![CDATA[0]]></v></c></row>", 1),
        ("<row><c t='inlineStr'><is><t/></is></c></row>", 1),
        ("<row><c><f>A1+1</f><v/></c></row>", 1),
        ("<row><c/></row><row><c><v>1</v></c></row><row><c/></row>", 1),
    ] {
        let text = format!("<worksheet><sheetData>{row}</sheetData></worksheet>");
        assert_eq!(sheet(&text).unwrap().rows, rows, "{row}");
    }
}

/// Compared with what other XML parsers refuse, expat among them.
#[test]
fn invalid_xml_is_refused() {
    for (text, what) in [
        ("<worksheet>a\u{b}b</worksheet>", "a control character"),
        ("<worksheet a='\u{1}'/>", "a control character"),
        ("<worksheet><!--\0--></worksheet>", "a control character"),
        ("<worksheet>\u{ffff}</worksheet>", "a control character"),
        ("<worksheet>&#11;</worksheet>", "a character that XML does not allow"),
        ("<worksheet>&#xD800;</worksheet>", "a character that XML does not allow"),
        (
            "<worksheet>&#99999999999;</worksheet>",
            "a character that XML does not allow",
        ),
        ("<worksheet a='&#0;'/>", "a character that XML does not allow"),
        ("<worksheet>R&nbsp;D</worksheet>", "an entity that XML does not know"),
        ("<worksheet a='&nbsp;'/>", "an entity that XML does not know"),
        ("<worksheet>R & D</worksheet>", "not well-formed"),
        ("<worksheet a='R & D'/>", "not well-formed"),
        ("<worksheet a='R &amp D'/>", "not well-formed"),
        ("<!DOCTYPE w [<!ENTITY a 'b'>]><worksheet>&a;</worksheet>", "a DTD"),
        ("<!DOCTYPE worksheet><worksheet/>", "a DTD"),
        ("<worksheet a='1' a='1'/>", "an attribute twice"),
        ("<worksheet a='1' b='2' a='3'></worksheet>", "an attribute twice"),
        (
            "<worksheet xmlns:p='n' xmlns:q='n' p:a='1' q:a='2'/>",
            "an attribute twice",
        ),
        ("<worksheet p:a='1'/>", "a prefix that no namespace"),
        ("<p:worksheet xmlns:q='n'/>", "a prefix that no namespace"),
        (
            "<worksheet><a xmlns:p='n'/><p:b/></worksheet>",
            "a prefix that no namespace",
        ),
        ("<worksheet xmlns:p=''/>", "not well-formed"),
        ("<worksheet/>text", "text outside of its outermost"),
        ("text<worksheet/>", "text outside of its outermost"),
        ("<worksheet/>&amp;<!---->", "text outside of its outermost"),
        ("<worksheet/><![CDATA[]]>", "text outside of its outermost"),
        ("<worksheet a=1/>", "not well-formed"),
        ("<worksheet a/>", "not well-formed"),
        ("<worksheet a='1'b='2'/>", "not well-formed"),
        ("<worksheet a='<'/>", "not well-formed"),
        ("<worksheet 1a='1'/>", "not well-formed"),
        ("<worksheet a:='1'/>", "not well-formed"),
        ("<worksheet><1/></worksheet>", "not well-formed"),
        ("<worksheet>< a/></worksheet>", "not well-formed"),
        ("<worksheet>a ]]> b</worksheet>", "not well-formed"),
        ("<worksheet><!-- a -- b --></worksheet>", "not well-formed"),
        (
            "<worksheet><?xml?></worksheet>",
            "declaration does not stand at its begin",
        ),
        ("<worksheet><?XML a?></worksheet>", "not well-formed"),
        (
            "\n<?xml version='1.0'?><worksheet/>",
            "declaration does not stand at its begin",
        ),
        ("<?xml version='1.1'?><worksheet/>", "its declaration is none"),
        ("<?xml encoding='UTF-8'?><worksheet/>", "its declaration is none"),
        (
            "<?xml version='1.0' standalone='perhaps'?><worksheet/>",
            "its declaration is none",
        ),
        (
            "<?xml version='1.0' encoding='utf-16'?><worksheet/>",
            "another encoding than it declares",
        ),
        (
            "<?xml version='1.0' encoding='EBCDIC'?><worksheet/>",
            "declares an encoding",
        ),
        ("<worksheet></Worksheet>", "closes another"),
        ("<worksheet></worksheet></a>", "closes an element that was not opened"),
    ] {
        let bytes = small("xl/worksheets/sheet1.xml", Some(text));
        for size in [1, 7, 60, bytes.len()] {
            let found = in_chunks(&bytes, size).unwrap_err().to_string();
            assert!(found.contains(what), "{text}: {found}");
        }
    }
}

#[test]
fn unusual_but_valid_xml_is_accepted() {
    for text in [
        "\u{feff}<?xml version='1.0' encoding='utf-8' standalone='no' ?>\r\n<!-- a - b --><worksheet/>\n<?a b?>",
        "<worksheet\n a = '1'\t\u{f6}-._1=\"2>'\" ></worksheet >",
        "<p:worksheet xmlns:p='n' xmlns:q='m' p:a='1' q:a='2' a='3' xml:space='preserve'><p:a/></p:worksheet>",
        "<worksheet xmlns='n'><a xmlns='m' xmlns:p='o'><p:b p:c=''/></a>]] &gt; &#x10FFFF;&apos;&quot;</worksheet>",
        "<worksheet><![CDATA[<&>]]></worksheet>",
        "<?xml version='1.0' encoding='ISO-8859-1'?><worksheet/>",
    ] {
        assert_eq!(sheet(text).unwrap().rows, 0, "{text}");
    }
}

#[test]
fn the_memory_for_namespaces_is_bounded() {
    let with = |prefix: usize| format!("<a xmlns:p{prefix}='{}'>", "n".repeat(1_000));
    let side_by_side: String = (0..200).map(|prefix| with(prefix) + "</a>").collect();
    assert_eq!(
        sheet(&format!("<worksheet>{side_by_side}</worksheet>")).unwrap().rows,
        0
    );
    let nested: String = (0..200).map(with).collect();
    assert!(
        sheet(&format!("<worksheet>{nested}"))
            .unwrap_err()
            .what
            .contains("64 KiB of namespaces")
    );
    // Attributes are compared with each other, so their number is bounded, too.
    let attributes = |last: usize| {
        let all: String = (0..1_000).map(|number| format!(" a{number}='1'")).collect();
        format!("<worksheet{all} a{last}='1'/>")
    };
    assert_eq!(sheet(&attributes(1_000)).unwrap().rows, 0);
    assert!(sheet(&attributes(500)).unwrap_err().what.contains("an attribute twice"));
}

#[test]
fn parts_in_utf16_are_read() {
    let sheet = "<worksheet a='\u{f6}\u{1f980}'><sheetData><row><c><v>1</v></c></row></sheetData></worksheet>";
    for declaration in ["", "<?xml version='1.0' encoding='UTF-16'?>", "<?xml version='1.0'?>"] {
        for (mark, big) in [("\u{feff}", false), ("\u{feff}", true), ("", false), ("", true)] {
            let text = format!("{mark}{declaration}{sheet}");
            let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
            let part: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
            let whole = archive_of("xl/worksheets/sheet1.xml", &part);
            assert_eq!(run(&whole).unwrap().rows, 1, "{declaration} {big}");
            let cut = archive_of("xl/worksheets/sheet1.xml", &part[..part.len() - 1]);
            assert!(run(&cut).unwrap_err().what.contains("ends within its XML"));
        }
    }
    let wrong: Vec<u8> = "\u{feff}<?xml version='1.0' encoding='UTF-8'?><worksheet/>"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let found = run(&archive_of("xl/worksheets/sheet1.xml", &wrong)).unwrap_err().what;
    assert!(found.contains("another encoding than it declares"), "{found}");
}

/// The smallest workbook, with these bytes as one part.
fn archive_of(changed: &str, to: &[u8]) -> Vec<u8> {
    let parts = parts();
    let parts: Vec<_> = parts
        .iter()
        .map(|(name, text)| (*name, if *name == changed { to } else { text.as_bytes() }))
        .collect();
    archive_of_bytes(&parts)
}

/// A workbook with this sheet and these shared strings.
fn shared(cells: &str, strings: Option<&str>, links: &str) -> Result<Decoded, Defect> {
    let sheet = format!("<worksheet><sheetData><row>{cells}</row></sheetData></worksheet>");
    let links = BOOK_LINKS.replace("</Relationships>", &format!("{links}</Relationships>"));
    let mut parts = vec![
        ("[Content_Types].xml", TYPES),
        ("_rels/.rels", ROOT),
        ("xl/workbook.xml", BOOK),
        ("xl/_rels/workbook.xml.rels", &links),
        ("xl/worksheets/sheet1.xml", &sheet),
    ];
    let first = run(&archive(
        &[
            parts.as_slice(),
            strings.map(|text| ("xl/sharedStrings.xml", text)).as_slice(),
        ]
        .concat(),
    ));
    // Shared strings may come before the sheets, too.
    parts.splice(0..0, strings.map(|text| ("xl/sharedStrings.xml", text)));
    assert_eq!(
        run(&archive(&parts)).map_err(|defect| defect.what),
        first.clone().map_err(|defect| defect.what)
    );
    first
}

#[test]
fn a_cell_that_names_a_missing_shared_string_is_a_defect() {
    let link = "<Relationship Id='s' Type='http://x/sharedStrings' Target='sharedStrings.xml'/>";
    let two = Some("<sst><si><t>a</t></si><si/><x><si/></x></sst>");
    let cell = |number: &str| format!("<c t='s'><v>{number}</v></c>");
    for good in [
        cell("0"),
        cell("1"),
        cell(" 1 "),
        cell("&#49;"),
        cell("") + "<c><v>7</v></c>",
        "<c t='s'/><c><v>9</v></c>".into(),
    ] {
        assert_eq!(shared(&good, two, link).unwrap().rows, 1, "{good}");
    }
    assert_eq!(shared("<c t='n'><v>2</v></c>", None, "").unwrap().rows, 1);
    for bad in [
        cell("2"),
        cell("0") + &cell("2") + &cell("1"),
        cell("18446744073709551615"),
    ] {
        let found = shared(&bad, two, link).unwrap_err().what;
        assert!(found.contains("sheet 1 that is not there: there are 2"), "{found}");
    }
    for bad in [cell("-1"), cell("a"), cell("1.0"), cell("184467440737095516160")] {
        let found = shared(&bad, two, link).unwrap_err().what;
        assert!(found.contains("not named by its number"), "{found}");
    }
    assert!(shared(&cell("0"), two, "").unwrap_err().what.contains("there are 0"));
    for strings in [None, Some("<worksheet/>")] {
        for cells in [cell("0"), "<c><v>1</v></c>".to_owned()] {
            let found = shared(&cells, strings, link).unwrap_err().what;
            assert!(found.contains("lacks the shared strings"), "{found}");
        }
    }
}

/// ECMA-376 part 2: names are compared without regard to case, and targets are references that must be resolved.
#[test]
fn parts_are_found_in_every_spelling_of_their_name() {
    for (name, target) in [
        ("xl/worksheets/Sheet1.xml", "worksheets/sheet1.xml"),
        ("XL/WORKSHEETS/SHEET1.XML", "/xl/worksheets/sheet1.xml"),
        ("xl/R&D.xml", "R&amp;D.xml"),
        ("xl/R&D.xml", "R&#38;D.xml"),
        ("xl/R&D.xml", "R%26D.xml"),
        ("xl/a b.xml", "a%20b.xml"),
        ("xl/a%20b.xml", "a b.xml"),
        ("xl/gr\u{f6}\u{df}e.xml", "gr%C3%B6%c3%9fe.xml"),
        ("xl/sheet.xml", "./x/../sheet.xml#A1"),
    ] {
        let links = BOOK_LINKS.replace("worksheets/sheet1.xml", target);
        let parts = [
            ("[content_types].XML", TYPES.replace("/xl/workbook", "/XL/Work%62ook")),
            ("_Rels/.Rels", ROOT.replace("xl/workbook", "xl/WORKBOOK")),
            ("Xl/Workbook.xml", BOOK.to_owned()),
            ("xl/_rels/workbook.XML.rels", links),
            (name, SHEET.to_owned()),
        ];
        let parts: Vec<_> = parts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        assert_eq!(run(&archive(&parts)).unwrap().rows, 1, "{name} {target}");
    }
    let twice = [("[Content_Types].xml", TYPES), ("[content_types].xml", TYPES)];
    assert!(
        run(&archive(&twice))
            .unwrap_err()
            .what
            .contains("two parts of the same name")
    );
}

/// A zip directory of the first parts of a workbook, with nothing before it. Each part is said to begin at `offset`.
fn directory(offset: u64) -> Bytes {
    let mut bytes = Vec::new();
    for name in ["[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"] {
        bytes.extend_from_slice(b"PK\x01\x02");
        // Versions, flags, method, time and checksum; then the stored and inflated lengths.
        bytes.extend_from_slice(&[0; 16]);
        bytes.extend_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0]);
        // The lengths of the name, the extra field and the comment; then the disk and the attributes.
        bytes.extend_from_slice(&[name.len() as u8, 0, 12, 0, 0, 0]);
        bytes.extend_from_slice(&[0; 8]);
        // The offset is in the zip64 extra field.
        bytes.extend_from_slice(&[0xff; 4]);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&[1, 0, 8, 0]);
        bytes.extend_from_slice(&offset.to_le_bytes());
    }
    let size = bytes.len() as u32;
    bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0\x03\0\x03\0");
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&[0; 6]);
    bytes.into()
}

#[test]
fn a_part_offset_near_u64_max_does_not_overflow() {
    for offset in [0, u64::MAX - 4, u64::MAX - 1, u64::MAX] {
        let begin = open(&directory(offset), 64 * 1024).unwrap().begin().unwrap();
        assert_eq!(begin.within, offset..offset.saturating_add(4));
        assert_eq!(begin.look(b"").unwrap_err().offset, Some(offset));
    }
}
