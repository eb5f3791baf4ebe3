//! The attributes of an element, names, and references to characters.
//!
//! What must stay true: each follows the grammar of XML 1.0, which the XML crate does not check.

use quick_xml::escape::unescape;

/// The longest name of an element or entry that is accepted, in bytes.
pub(super) const MAX_NAME: usize = 1024;
pub(super) const MALFORMED: &str = "is not well-formed XML";

pub(super) fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The attributes of an element in their order, each checked against the grammar.
pub(super) struct Attributes<'a>(pub(super) &'a str);

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<(&'a str, &'a str), String>;

    fn next(&mut self) -> Option<Self::Item> {
        let space = self.0.bytes().take_while(|byte| is_space(*byte)).count();
        if space == self.0.len() {
            return None;
        }
        let attribute = if space > 0 { first(&self.0[space..]) } else { None };
        Some(match attribute {
            Some((name, value, rest)) => {
                self.0 = rest;
                references(value).map(|()| (name, value))
            }
            None => Err(MALFORMED.to_owned()),
        })
    }
}

/// The name, the value, and what follows.
fn first(text: &str) -> Option<(&str, &str, &str)> {
    let trim = |text: &'_ str| text.bytes().take_while(|byte| is_space(*byte)).count();
    let (name, rest) = text.split_once('=')?;
    let name = name.trim_end_matches([' ', '\t', '\r', '\n']);
    let rest = &rest[trim(rest)..];
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let (value, rest) = rest[1..].split_once(quote)?;
    (is_name(name) && memchr::memchr(b'<', value.as_bytes()).is_none()).then_some((name, value, rest))
}

/// A value with its references replaced.
pub(super) fn plain(value: &str) -> Result<String, String> {
    unescape(value).map(Into::into).map_err(|_| unknown())
}

/// Checks the references of a value.
fn references(value: &str) -> Result<(), String> {
    let mut rest = value;
    while let Some(at) = memchr::memchr(b'&', rest.as_bytes()) {
        let (name, behind) = rest[at + 1..].split_once(';').ok_or(MALFORMED)?;
        reference(name)?;
        rest = behind;
    }
    Ok(())
}

fn unknown() -> String {
    format!("{MALFORMED}: it has an entity that XML does not know")
}

/// The character that a reference stands for.
pub(super) fn reference(name: &str) -> Result<char, String> {
    let Some(number) = name.strip_prefix('#') else {
        return match name {
            "amp" => Ok('&'),
            "lt" => Ok('<'),
            "gt" => Ok('>'),
            "quot" => Ok('"'),
            "apos" => Ok('\''),
            name if is_name(name) => Err(unknown()),
            _ => Err(MALFORMED.to_owned()),
        };
    };
    let (digits, radix) = number.strip_prefix('x').map_or((number, 10), |hex| (hex, 16));
    let is_number = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    let code = is_number.then(|| u32::from_str_radix(digits, radix).ok()).flatten();
    let c = code.and_then(char::from_u32);
    c.filter(|c| matches!(c, '\t' | '\r' | '\n' | ' '..='\u{fffd}' | '\u{10000}'..))
        .ok_or_else(|| format!("{MALFORMED}: it refers to a character that XML does not allow"))
}

/// Whether it is a name with at most one prefix.
pub(super) fn is_name(name: &str) -> bool {
    let is_part = |part: &str| {
        let mut chars = part.chars();
        chars.next().is_some_and(begins_name) && chars.all(|c| begins_name(c) || continues_name(c))
    };
    match name.split_once(':') {
        Some((prefix, local)) => is_part(prefix) && is_part(local),
        None => is_part(name),
    }
}

fn begins_name(c: char) -> bool {
    matches!(c,
        'a'..='z' | 'A'..='Z' | '_'
        | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}'
        | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
        | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
}

fn continues_name(c: char) -> bool {
    matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// The value of an attribute without a prefix, cut to [`MAX_NAME`].
pub(super) fn attribute(attributes: &str, wanted: &str) -> Result<Option<String>, String> {
    value(attributes, |name| name == wanted)
}

/// The value of the first attribute whose name is `wanted`, cut to [`MAX_NAME`].
pub(super) fn value(attributes: &str, wanted: impl Fn(&str) -> bool) -> Result<Option<String>, String> {
    for found in Attributes(attributes) {
        let (name, value) = found?;
        if wanted(name) {
            let mut value = plain(value)?;
            value.truncate(value.floor_char_boundary(MAX_NAME));
            return Ok(Some(value));
        }
    }
    Ok(None)
}
