//! The text of an XML part.
//!
//! What must stay true: what is handed on is UTF-8 and holds only characters that XML 1.0 allows. If a byte is anything
//! else, the text before it is handed on first, and then the part ends with a defect.
//!
//! A part is UTF-16 if a byte order mark or its first two bytes say so, and otherwise UTF-8. ECMA-376 allows no other
//! encoding.

use std::borrow::Cow;

/// Turns the bytes of a part into text, in pieces.
#[derive(Debug, Default)]
pub(super) struct Text {
    encoding: Option<Encoding>,
    /// The beginning of an unfinished character, or of the part while its encoding is not known.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16 { big: bool },
}

/// Text, and the defect that ends it, if there is one.
pub(super) struct Piece<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) fault: Option<&'static str>,
}

const NOT_UTF8: &str = "is not well-formed XML: it holds bytes that are no UTF-8";
const NOT_UTF16: &str = "is not well-formed XML: it holds half a character of UTF-16";
const CONTROL: &str = "is not well-formed XML: it holds a control character";

impl Text {
    pub(super) fn encoding(&self) -> Option<Encoding> {
        self.encoding
    }

    /// Whether no character is unfinished.
    pub(super) fn is_whole(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn push<'a>(&mut self, bytes: &'a [u8]) -> Piece<'a> {
        let bytes = if self.held.is_empty() {
            Cow::Borrowed(bytes)
        } else {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(bytes);
            Cow::Owned(joined)
        };
        let Some((encoding, mark)) = self.encoding.map(|encoding| (encoding, 0)).or_else(|| begin(&bytes)) else {
            self.held = bytes.into_owned();
            return Piece {
                text: Cow::Borrowed(""),
                fault: None,
            };
        };
        self.encoding = Some(encoding);
        let (text, rest, mut fault) = match (encoding, bytes) {
            (Encoding::Utf16 { big }, bytes) => {
                let (text, taken, fault) = utf16(&bytes[mark..], big);
                (Cow::Owned(text), bytes[mark + taken..].to_vec(), fault)
            }
            (Encoding::Utf8, Cow::Borrowed(bytes)) => {
                let (text, rest, fault) = utf8(&bytes[mark..]);
                (Cow::Borrowed(text), rest.to_vec(), fault)
            }
            (Encoding::Utf8, Cow::Owned(bytes)) => {
                let (text, rest, fault) = utf8(&bytes[mark..]);
                (Cow::Owned(text.to_owned()), rest.to_vec(), fault)
            }
        };
        self.held = rest;
        let allowed = first_forbidden(text.as_bytes());
        if allowed.is_some() {
            fault = Some(CONTROL);
        }
        Piece {
            text: match (allowed, text) {
                (None, text) => text,
                (Some(end), Cow::Borrowed(text)) => Cow::Borrowed(&text[..end]),
                (Some(end), Cow::Owned(mut text)) => {
                    text.truncate(end);
                    Cow::Owned(text)
                }
            },
            fault,
        }
    }
}

/// The encoding by the first bytes, and the length of its mark; `None` until there are enough bytes.
fn begin(bytes: &[u8]) -> Option<(Encoding, usize)> {
    let utf16 = |big| Encoding::Utf16 { big };
    match bytes {
        [0xff, 0xfe, ..] => Some((utf16(false), 2)),
        [0xfe, 0xff, ..] => Some((utf16(true), 2)),
        [b'<', 0, ..] => Some((utf16(false), 0)),
        [0, b'<', ..] => Some((utf16(true), 0)),
        [0xef, 0xbb, 0xbf, ..] => Some((Encoding::Utf8, 3)),
        [] | [0xff | 0xfe | 0xef | 0 | b'<'] | [0xef, 0xbb] => None,
        _ => Some((Encoding::Utf8, 0)),
    }
}

/// The text, the bytes of an unfinished character after it, and what is wrong there.
fn utf8(bytes: &[u8]) -> (&str, &[u8], Option<&'static str>) {
    let (valid, fault) = match simdutf8::compat::from_utf8(bytes) {
        Ok(text) => return (text, &[], None),
        Err(error) => (error.valid_up_to(), error.error_len().map(|_| NOT_UTF8)),
    };
    let (text, rest) = bytes.split_at(valid);
    (std::str::from_utf8(text).unwrap_or_default(), rest, fault)
}

/// The text, how many bytes it took, and what is wrong after it.
fn utf16(bytes: &[u8], big: bool) -> (String, usize, Option<&'static str>) {
    let mut text = String::with_capacity(bytes.len());
    let (pairs, _) = bytes.as_chunks::<2>();
    let unit = |pair: &[u8; 2]| {
        if big {
            u16::from_be_bytes(*pair)
        } else {
            u16::from_le_bytes(*pair)
        }
    };
    let mut taken = 0;
    for decoded in char::decode_utf16(pairs.iter().map(unit)) {
        match decoded {
            Ok(c) => {
                text.push(c);
                taken += 2 * c.len_utf16();
            }
            // The other half may still come.
            Err(error) if (0xd800..0xdc00).contains(&error.unpaired_surrogate()) && taken + 2 == 2 * pairs.len() => {
                break;
            }
            Err(_) => return (text, taken, Some(NOT_UTF16)),
        }
    }
    (text, taken, None)
}

/// The offset of the first character that XML 1.0 does not allow.
fn first_forbidden(text: &[u8]) -> Option<usize> {
    let is_control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\r' | b'\n');
    // The processor tests many bytes at once if it need not find which one it was.
    let control = if text.iter().fold(false, |any, byte| any | is_control(byte)) {
        text.iter().position(is_control)
    } else {
        None
    };
    let text = &text[..control.unwrap_or(text.len())];
    let nonchar = memchr::memchr_iter(0xef, text).find(|at| matches!(text[*at..], [_, 0xbf, 0xbe | 0xbf, ..]));
    nonchar.or(control)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes the bytes in chunks of a size. Returns the text and the fault.
    fn run(bytes: &[u8], size: usize) -> (String, Option<&'static str>, bool) {
        let mut text = Text::default();
        let mut all = String::new();
        for chunk in bytes.chunks(size) {
            let piece = text.push(chunk);
            all += &piece.text;
            if piece.fault.is_some() {
                return (all, piece.fault, true);
            }
        }
        (all, None, text.is_whole())
    }

    fn utf16(text: &str, mark: &str, big: bool) -> Vec<u8> {
        let units = format!("{mark}{text}");
        let bytes = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        units.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn utf8_and_utf16_are_read_across_chunks() {
        let text = "<a b='ö'>日本語 🦀\t\r\n\u{fffd}</a>";
        let marked = format!("\u{feff}{text}");
        let whole = (text.to_owned(), None, true);
        for size in 1..40 {
            for bytes in [text.as_bytes(), marked.as_bytes()] {
                assert_eq!(run(bytes, size), whole, "{size}");
            }
            for big in [false, true] {
                for mark in ["", "\u{feff}"] {
                    assert_eq!(run(&utf16(text, mark, big), size), whole, "{size}");
                }
            }
        }
    }

    #[test]
    fn text_is_kept_up_to_its_first_fault() {
        let pair: Vec<u8> = [0xfeff_u16, 0x61, 0xd83e, 0x62]
            .iter()
            .flat_map(|unit| unit.to_le_bytes())
            .collect();
        let low: Vec<u8> = [0xfeff_u16, 0x61, 0xdd80, 0x62]
            .iter()
            .flat_map(|unit| unit.to_le_bytes())
            .collect();
        for (bytes, fault) in [
            (b"a\x0bb".as_slice(), CONTROL),
            (b"a\0", CONTROL),
            (b"a\x1f\xff", CONTROL),
            (b"a\xff\x1f", NOT_UTF8),
            (b"a\xc3(", NOT_UTF8),
            (b"a\xed\xa0\x80", NOT_UTF8),
            ("a\u{fffe}".as_bytes(), CONTROL),
            ("a\u{ffff}\u{b}".as_bytes(), CONTROL),
            (&pair, NOT_UTF16),
            (&low, NOT_UTF16),
        ] {
            for size in 1..9 {
                assert_eq!(
                    run(bytes, size),
                    ("a".to_owned(), Some(fault), true),
                    "{} {size}",
                    bytes.escape_ascii()
                );
            }
        }
        assert_eq!(run(b"a\xc3", 1), ("a".to_owned(), None, false));
        assert_eq!(run(&utf16("a", "\u{feff}", true)[..3], 2), (String::new(), None, false));
    }
}
