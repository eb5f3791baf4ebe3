//! Recognises a format from the first bytes.
//!
//! What must stay true: a magic number decides before any guess. CSV has none and is only ever probable; content that
//! is recognised as something else is never taken for CSV.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use crate::{
    content::{Content, Head},
    csv::CsvDecoder,
    decoder::Decoder,
    format::Format,
};

/// The magic numbers of content that no decoder reads.
const FOREIGN: [(&[u8], Content); 2] = [
    (b"PAR1", Content::Parquet),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Content::OldOffice),
];
/// How many inflated bytes of a gzip file are used to recognise its content.
const INFLATED: u64 = 64 * 1024;

/// What an object seems to hold, from its first bytes. A few KiB are enough.
#[must_use]
pub fn sniff(head: Head<'_>) -> Option<Content> {
    let bytes = head.bytes;
    let ours = Format::ALL.iter().flat_map(|format| {
        let row = format.row();
        row.magic.iter().map(|magic| (*magic, row.content))
    });
    let mut magic = ours.chain(FOREIGN);
    if let Some((_, content)) = magic.find(|(magic, _)| bytes.starts_with(magic)) {
        // The name of a CSV's first and only column may begin with the letters ORC or PAR1.
        if !matches!(content, Content::Orc | Content::Parquet) || !(is_text(head) || is_csv(head)) {
            return Some(content);
        }
    }
    if is_markup(head.bytes) {
        return Some(Content::Markup);
    }
    if let Some(content) = json(head) {
        return Some(content);
    }
    is_csv(head).then_some(Content::Csv)
}

/// Whether the bytes are UTF-8 without control characters. Binary formats have control characters within their first
/// bytes.
fn is_text(head: Head<'_>) -> bool {
    let is_utf8 = match std::str::from_utf8(head.bytes) {
        Ok(_) => true,
        // The bytes may end within a character.
        Err(error) => !head.whole && error.error_len().is_none(),
    };
    let is_control = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\t' | b'\r' | b'\n');
    is_utf8 && !head.bytes.iter().any(is_control)
}

/// Whether the bytes begin as HTML, XML or an error of AWS does. Any other `<` may be the beginning of a CSV column's
/// name.
fn is_markup(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let begins = |with: &str, ignore_case: bool| {
        let Some((begin, rest)) = bytes.split_at_checked(with.len()) else {
            return false;
        };
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b':');
        let begin_is_right = begin == with.as_bytes() || (ignore_case && begin.eq_ignore_ascii_case(with.as_bytes()));
        begin_is_right && !rest.first().is_some_and(is_name)
    };
    ["<!DOCTYPE html", "<html"].iter().any(|with| begins(with, true))
        || ["<?xml", "<Error", "<ErrorResponse"]
            .iter()
            .any(|with| begins(with, false))
}

/// What a gzip file holds, from its first bytes; `None` if they do not show it, or if it is JSON lines.
#[must_use]
pub fn sniff_gzip(head: Head<'_>) -> Option<Content> {
    let mut inflated = Vec::new();
    // The bytes may end anywhere. What was inflated before the end is used.
    let ended = MultiGzDecoder::new(head.bytes)
        .take(INFLATED)
        .read_to_end(&mut inflated);
    let whole = head.whole && ended.is_ok() && (inflated.len() as u64) < INFLATED;
    let bytes = &inflated;
    sniff(Head { bytes, whole }).filter(|content| *content != Content::Json)
}

/// A JSON object, or an array of objects.
fn json(head: Head<'_>) -> Option<Content> {
    let bytes = head.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head.bytes);
    let bytes = bytes.trim_ascii_start();
    if let Some(rest) = bytes.strip_prefix(b"[") {
        let rest = rest.trim_ascii_start();
        let is_array = rest.starts_with(b"]") || begins_object(rest, false);
        return is_array.then_some(Content::JsonArray);
    }
    begins_object(bytes, !head.whole).then_some(Content::Json)
}

/// Whether an object begins here. A column in the header of a CSV could begin with a brace, so it is an object only if
/// a key in quotes or the end of an empty object follows. `if_open` is the answer if nothing follows the brace.
fn begins_object(bytes: &[u8], if_open: bool) -> bool {
    let Some(rest) = bytes.strip_prefix(b"{") else {
        return false;
    };
    match rest.trim_ascii_start().first() {
        Some(b'"' | b'}') => true,
        Some(_) => false,
        None => if_open,
    }
}

/// Whether the bytes begin with a table of at least two columns, whatever follows.
#[must_use]
pub fn begins_as_csv(bytes: &[u8]) -> bool {
    let mut decoder = CsvDecoder::new();
    // A defect can only come after the records that were counted.
    let _ = decoder.push(bytes);
    decoder.rows() >= 1 && decoder.width() >= Some(2)
}

fn is_csv(head: Head<'_>) -> bool {
    let mut decoder = Box::new(CsvDecoder::new());
    let decoded = decoder.push(head.bytes);
    let (rows, width) = (decoder.rows(), decoder.width());
    let rows = match (decoded, head.whole) {
        (Err(_), _) => return false,
        (Ok(()), true) => match decoder.finish() {
            Ok(decoded) if decoded.column_count >= 2 => return decoded.rows >= 1,
            _ => return false,
        },
        (Ok(()), false) => rows,
    };
    rows >= 1 && width >= Some(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> Option<Content> {
        sniff(Head { bytes, whole: true })
    }

    #[test]
    fn magic_numbers_decide_the_format() {
        assert_eq!(whole(b"ORC\x0a\x04\x00\x01"), Some(Content::Orc));
        assert_eq!(whole(b"\x1f\x8b\x08\x00"), Some(Content::Gzip));
        assert_eq!(whole(b"%PDF-1.7\n"), Some(Content::Pdf));
        assert_eq!(whole(b"PK\x03\x04xl/workbook.xml"), Some(Content::Zip));
        assert_eq!(whole(b"ORCID,Name\n1,2\n"), Some(Content::Csv));
    }

    #[test]
    fn a_text_that_begins_with_the_letters_orc_is_not_orc() {
        let head = |bytes| sniff(Head { bytes, whole: false });
        for text in [
            &b"ORC"[..],
            b"ORCID\n0001\n",
            b"ORCID,Name\n",
            b"ORC\tName\r\n1\t2\r\n",
            "ORCID Zoë\n1\n".as_bytes(),
        ] {
            assert_eq!(whole(text), None, "{}", text.escape_ascii());
            assert_eq!(head(text), None, "{}", text.escape_ascii());
        }
        // A cut within a character is only allowed in a head.
        let cut = b"ORCID Zo\xc3";
        assert_eq!((head(cut), whole(cut)), (None, Some(Content::Orc)));
        for binary in [
            &b"ORC\x0a\x04"[..],
            b"ORC\x00",
            b"ORC\x7f",
            b"ORC\xff\n1\n",
            b"ORC\xc3a",
        ] {
            assert_eq!(whole(binary), Some(Content::Orc), "{}", binary.escape_ascii());
            assert_eq!(head(binary), Some(Content::Orc), "{}", binary.escape_ascii());
        }
    }

    #[test]
    fn unsupported_formats_are_recognised() {
        for (bytes, content) in [
            (&b"PAR1\x15\x04\x15"[..], Content::Parquet),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", Content::OldOffice),
            (b"[{\"a\":1},{\"a\":2}]\n", Content::JsonArray),
            (b"\xef\xbb\xbf [\n  {\n    \"a\": 1\n  }\n]\n", Content::JsonArray),
            (b"[]", Content::JsonArray),
        ] {
            assert_eq!(whole(bytes), Some(content), "{}", bytes.escape_ascii());
            assert_eq!(content.format(), None);
            assert!(content.remedy().is_some());
        }
        // A column of CSV may have such a name.
        for table in [&b"PAR1,b\n1,2\n"[..], b"[a],b\n1,2\n", b"[,b\n1,2\n"] {
            assert_eq!(whole(table), Some(Content::Csv), "{}", table.escape_ascii());
        }
        assert_eq!(whole(b"PAR1\n1\n"), None);
    }

    #[test]
    fn the_content_of_gzip_is_recognised() {
        let gzip = |bytes: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, bytes).unwrap();
            encoder.finish().unwrap()
        };
        let of = |bytes: &[u8], whole| sniff_gzip(Head { bytes, whole });
        let table = gzip(b"a,b\n1,2\n3,4\n");
        assert_eq!(of(&table, true), Some(Content::Csv));
        // The head is cut off, but what came before the cut is enough.
        let rows: String = (0..9_000_u64)
            .map(|n| format!("{n},{}\n", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            .collect();
        let long = gzip(rows.as_bytes());
        assert_eq!(of(&long[..long.len() / 4], false), Some(Content::Csv));
        assert_eq!(of(&gzip(b"[{\"a\":1}]"), true), Some(Content::JsonArray));
        assert_eq!(of(&gzip(b"{\"a\":1}\n"), true), None);
        assert_eq!(of(b"\x1f\x8b", true), None);
        // A small file may inflate to much data.
        let much = gzip(format!("a,b\n{}", "1,2\n".repeat(1_000_000)).as_bytes());
        assert_eq!(of(&much, true), Some(Content::Csv));
    }

    #[test]
    fn a_broken_table_looks_like_csv() {
        for table in [
            &b"a,b\n1,2\n3"[..],
            b"a,b\n1,2\n\"",
            b"a,b\n1,2\n3,4,5\n6",
            b"a,b\n1,2\n",
        ] {
            assert!(begins_as_csv(table), "{}", table.escape_ascii());
        }
        for text in [
            &b""[..],
            b"a test",
            b"a,b\n",
            b"a,b\n1",
            b"Well, this\nis a test\n",
            b"a\n1\n2\n",
        ] {
            assert!(!begins_as_csv(text), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn json_is_not_taken_for_csv() {
        assert_eq!(whole(b"{\"a\":1,\"b\":2}\n{\"a\":1,\"b\":2}\n"), Some(Content::Json));
        assert_eq!(whole(b"{}\n"), Some(Content::Json));
        assert_eq!(whole(b" { \"a\": 1 }"), Some(Content::Json));
        assert_eq!(whole(b"{id},name\n1,2\n"), Some(Content::Csv));
    }

    #[test]
    fn error_pages_are_recognised_as_markup() {
        for page in [
            "<!DOCTYPE html>\n<html>a,b\n1,2\n",
            "<!doctype HTML PUBLIC \"x\">",
            "\u{feff}\r\n  <HTML>\n<body>",
            "<html",
            "<?xml version=\"1.0\"?>\n<x a=\"1,2\"/>,\n",
            "<Error><Code>AccessDenied</Code></Error>",
            "<ErrorResponse xmlns=\"x\">a,b\n1,2\n",
        ] {
            assert_eq!(whole(page.as_bytes()), Some(Content::Markup), "{page}");
            let head = sniff(Head {
                bytes: page.as_bytes(),
                whole: false,
            });
            assert_eq!(head, Some(Content::Markup), "{page}");
        }
        for table in [
            "<id>,name\n1,2\n",
            "<htmlcode>,b\n1,2\n",
            "<error>,b\n1,2\n",
            "<Errors>,b\n1,2\n",
            "<,b\n1,2\n",
        ] {
            assert_eq!(whole(table.as_bytes()), Some(Content::Csv), "{table}");
        }
        assert_eq!(whole(b"<!DOCTYPE"), None);
        assert_eq!(Content::Markup.format(), None);
    }

    #[test]
    fn csv_needs_two_columns_and_a_record() {
        assert_eq!(whole(b"a,b\n1,2\n"), Some(Content::Csv));
        assert_eq!(whole(b"a,b\n"), None);
        assert_eq!(whole(b"a\n1\n"), None);
        assert_eq!(whole(b"a,b\n1,2\n3\n"), None);
        assert_eq!(whole(b"test"), None);
        assert_eq!(whole(b""), None);
        assert_eq!(whole(b"a,b\n1,\"2"), None);
        // The head of a longer object may end anywhere.
        let head = |bytes| sniff(Head { bytes, whole: false });
        assert_eq!(head(b"a,b\n1,2\n3,\"x"), Some(Content::Csv));
        assert_eq!(head(b"a,b\n1,"), None);
    }
}
