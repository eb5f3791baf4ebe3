//! The words of PDF.
//!
//! What must stay true: reading a value takes time in proportion to its length, without recursion. Values borrow from
//! the document. ISO 32000-2, 7.2 and 7.3.

use std::borrow::Cow;

/// The deepest nesting of arrays and dictionaries that is accepted.
const MAX_DEPTH: usize = 1024;

/// Reads words from an offset on.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A value. Inner values are read when they are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Null,
    Integer(u64),
    Name(Cow<'a, [u8]>),
    Ref(u32),
    Array(Array<'a>),
    Dict(Dict<'a>),
    /// A text, a truth value, or a number that is not a count.
    Other,
}

/// The bytes between the brackets of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Array<'a>(&'a [u8]);

/// The bytes between the brackets of a dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dict<'a>(&'a [u8]);

pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, 0 | b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

const fn is_regular(byte: u8) -> bool {
    !is_space(byte) && !matches!(byte, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'/' | b'%')
}

impl<'a> Lexer<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at: at.min(bytes.len()),
        }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Skips white space and comments.
    pub(super) fn space(&mut self) {
        loop {
            let rest = self.rest();
            let space = rest.iter().take_while(|byte| is_space(**byte)).count();
            self.at += space;
            if rest.get(space) != Some(&b'%') {
                return;
            }
            let comment = &rest[space..];
            self.at += memchr::memchr2(b'\r', b'\n', comment).unwrap_or(comment.len());
        }
    }

    /// Takes exactly these bytes.
    pub(super) fn tag(&mut self, tag: &[u8]) -> bool {
        let is_there = self.rest().starts_with(tag);
        if is_there {
            self.at += tag.len();
        }
        is_there
    }

    /// Takes the end of a line, and blanks before it, which should not be there.
    pub(super) fn line_end(&mut self) {
        let rest = self.rest();
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        self.at += match rest[blanks..] {
            [b'\r', b'\n', ..] => blanks + 2,
            [b'\r' | b'\n', ..] => blanks + 1,
            _ => 0,
        };
    }

    /// Takes a keyword after white space.
    pub(super) fn keyword(&mut self, keyword: &[u8]) -> bool {
        let mut after = self.clone();
        after.space();
        let is_there = after.regular() == keyword;
        if is_there {
            *self = after;
        }
        is_there
    }

    /// Takes a count after white space.
    pub(super) fn count(&mut self) -> Option<u64> {
        let mut after = self.clone();
        after.space();
        let count = count_of(after.regular())?;
        *self = after;
        Some(count)
    }

    /// Takes the number of an object or a generation after white space.
    pub(super) fn number(&mut self) -> Option<u32> {
        let mut after = self.clone();
        let number = after.count().and_then(|count| u32::try_from(count).ok())?;
        *self = after;
        Some(number)
    }

    fn regular(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let word = &rest[..rest.iter().take_while(|byte| is_regular(**byte)).count()];
        self.at += word.len();
        word
    }

    /// Takes a value after white space; `None` if there is no complete one.
    pub(super) fn value(&mut self) -> Option<Value<'a>> {
        self.space();
        let rest = self.rest();
        match rest {
            [b'<', b'<', ..] => {
                let inner = self.nested()?;
                Some(Value::Dict(Dict(&inner[2..inner.len() - 2])))
            }
            [b'[', ..] => {
                let inner = self.nested()?;
                Some(Value::Array(Array(&inner[1..inner.len() - 1])))
            }
            [b'/', ..] => {
                self.at += 1;
                Some(Value::Name(name(self.regular())))
            }
            [b'(', ..] => self.text().map(|()| Value::Other),
            [b'<', ..] => self.hexadecimal().map(|()| Value::Other),
            _ => self.word(),
        }
    }

    /// Takes a number, a reference, a truth value or null.
    fn word(&mut self) -> Option<Value<'a>> {
        let mut after = self.clone();
        let word = after.regular();
        let value = match word {
            b"null" => Value::Null,
            b"true" | b"false" => Value::Other,
            _ if !word.is_empty() && word.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.')) => {
                let mut reference = after.clone();
                let count = count_of(word);
                if let Some(number) = count.and_then(|count| u32::try_from(count).ok())
                    && reference.number().is_some()
                    && reference.keyword(b"R")
                {
                    *self = reference;
                    return Some(Value::Ref(number));
                }
                count.map_or(Value::Other, Value::Integer)
            }
            _ => return None,
        };
        *self = after;
        Some(value)
    }

    /// Takes an array or a dictionary to its end, and answers all of it.
    fn nested(&mut self) -> Option<&'a [u8]> {
        let begin = self.at;
        // For each open one, whether it is a dictionary.
        let mut open: Vec<bool> = Vec::new();
        loop {
            self.space();
            match self.rest() {
                [b'<', b'<', ..] => {
                    open.push(true);
                    self.at += 2;
                }
                [b'[', ..] => {
                    open.push(false);
                    self.at += 1;
                }
                [b'>', b'>', ..] if open.pop()? => self.at += 2,
                [b']', ..] if !open.pop()? => self.at += 1,
                [b'(', ..] => self.text()?,
                [b'<', ..] => self.hexadecimal()?,
                [b'/', ..] => {
                    self.at += 1;
                    self.regular();
                }
                _ => {
                    let word = self.regular();
                    // An array or a dictionary without an end runs into the next object.
                    if word.is_empty() || matches!(word, b"obj" | b"endobj" | b"stream" | b"endstream" | b"xref") {
                        return None;
                    }
                }
            }
            if open.is_empty() {
                return Some(&self.bytes[begin..self.at]);
            }
            if open.len() > MAX_DEPTH {
                return None;
            }
        }
    }

    fn text(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        let mut at = self.at;
        loop {
            at += memchr::memchr3(b'(', b')', b'\\', &self.bytes[at..])?;
            match self.bytes[at] {
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => at += 1,
            }
            at += 1;
            if at > self.bytes.len() {
                return None;
            }
            if depth == 0 {
                self.at = at;
                return Some(());
            }
        }
    }

    fn hexadecimal(&mut self) -> Option<()> {
        let length = memchr::memchr(b'>', self.rest())?;
        self.at += length + 1;
        Some(())
    }
}

fn count_of(word: &[u8]) -> Option<u64> {
    let digits = word.strip_prefix(b"+").unwrap_or(word);
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A name with its escapes replaced.
fn name(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'#') {
        return Cow::Borrowed(raw);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut plain = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if let (b'#', [high, low, behind @ ..]) = (byte, tail)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            plain.push((high * 16 + low) as u8);
            rest = behind;
        } else {
            plain.push(*byte);
        }
    }
    Cow::Owned(plain)
}

impl<'a> Array<'a> {
    /// The values, up to the first that cannot be read.
    pub(super) fn values(self) -> impl Iterator<Item = Value<'a>> {
        let mut lexer = Lexer::new(self.0, 0);
        std::iter::from_fn(move || lexer.value())
    }
}

impl<'a> Dict<'a> {
    /// The value of a key; [`Value::Null`] if there is none.
    pub(super) fn get(self, key: &[u8]) -> Value<'a> {
        // If a key occurs twice, readers use the last one.
        let named = self.entries().filter(|(name, _)| **name == *key);
        named.last().map_or(Value::Null, |(_, value)| value)
    }

    pub(super) fn entries(self) -> impl Iterator<Item = (Cow<'a, [u8]>, Value<'a>)> {
        let mut lexer = Lexer::new(self.0, 0);
        std::iter::from_fn(move || match lexer.value()? {
            Value::Name(name) => Some((name, lexer.value()?)),
            _ => None,
        })
    }
}

impl Value<'_> {
    pub(super) fn is_name(&self, wanted: &[u8]) -> bool {
        matches!(self, Self::Name(name) if **name == *wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &[u8]) -> Option<Value<'_>> {
        Lexer::new(text, 0).value()
    }

    #[test]
    fn pdf_values_are_read() {
        for (text, expected) in [
            (b" null ".as_slice(), Some(Value::Null)),
            (b"%c\r12", Some(Value::Integer(12))),
            (b"12 0 R", Some(Value::Ref(12))),
            (b"12 0%c\nR", Some(Value::Ref(12))),
            (b"12 0 Rx", Some(Value::Integer(12))),
            (b"-1", Some(Value::Other)),
            (b"1.5", Some(Value::Other)),
            (b"(a(b\\)c)d)", Some(Value::Other)),
            (b"<aF >", Some(Value::Other)),
            (b"/a#20b", Some(Value::Name(Cow::Borrowed(b"a b")))),
            (b"/a#2", Some(Value::Name(Cow::Borrowed(b"a#2")))),
            (b"[1[2]]", Some(Value::Array(Array(b"1[2]")))),
            (b"<</a<</b 1>>>>", Some(Value::Dict(Dict(b"/a<</b 1>>")))),
            (b"[1 endobj]", None),
            (b"<</a [1>>]", None),
            (b"(a", None),
            (b"(a\\", None),
            (b"<a", None),
            (b"[", None),
            (b"endobj", None),
            (b"", None),
        ] {
            assert_eq!(value(text), expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn values_in_dictionaries_and_arrays_are_found() {
        let Some(Value::Dict(dict)) = value(b"<</A 1/B[/x 2 0 R(]) <>]%/C 3\n/A 4 /D>>") else {
            panic!("a dictionary");
        };
        assert_eq!(dict.get(b"A"), Value::Integer(4));
        assert_eq!(dict.get(b"C"), Value::Null);
        assert_eq!(dict.get(b"D"), Value::Null);
        let Value::Array(array) = dict.get(b"B") else {
            panic!("an array");
        };
        let values: Vec<_> = array.values().collect();
        assert_eq!(values.len(), 4);
        assert!(values[0].is_name(b"x") && values[1] == Value::Ref(2));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
        assert!(value(&nested(MAX_DEPTH)).is_some());
        assert!(value(&nested(MAX_DEPTH + 1)).is_none());
    }
}
