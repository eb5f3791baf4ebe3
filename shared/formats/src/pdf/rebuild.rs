//! Finds the objects of a document whose table cannot be read or leads elsewhere, as viewers do.
//!
//! What must stay true: the document is searched once. If several objects have the same number, the last one counts,
//! which is the newest.

use memchr::memmem;

use super::{
    lexer::{Lexer, Value, is_space},
    object::{Account, object_at},
    table::{Entry, Place, Table, root_of},
};
use crate::defect::Defect;

/// The number, the generation and the offset of an object.
pub(super) type Found = (u32, u32, u32);

/// Everything that looks like an object, sorted by number, generation and offset.
pub(super) fn scan(bytes: &[u8], account: &Account) -> Result<Vec<Found>, Defect> {
    account.pay(bytes.len());
    account.check()?;
    let mut found = Vec::new();
    for at in memmem::find_iter(bytes, b"obj") {
        if let Some((number, generation, begin)) = header(&bytes[..at])
            && let Ok(begin) = u32::try_from(begin)
        {
            found.push((number, generation, begin));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The offset of the last object with this number that no later one has replaced, with this generation if possible.
pub(super) fn last(found: &[Found], older: &[(u32, u32)], number: u32, generation: u32) -> Option<u32> {
    let begin = found.partition_point(|(of, ..)| *of < number);
    let of_number = found[begin..].iter().take_while(|(of, ..)| *of == number);
    of_number
        .filter(|(.., at)| older.binary_search(&(number, *at)).is_err())
        .max_by_key(|(_, of, at)| (*of == generation, *at))
        .map(|(.., at)| *at)
}

/// The number and the generation at the end of these bytes, and where they begin.
fn header(bytes: &[u8]) -> Option<(u32, u32, usize)> {
    let (generation, rest) = last_number(bytes, false)?;
    let (number, rest) = last_number(rest, true)?;
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'+');
    (!rest.last().is_some_and(is_word)).then_some((number, generation, rest.len()))
}

/// The number at the end of these bytes, and the bytes before it. White space may follow the number, or must if
/// `spaced`.
fn last_number(bytes: &[u8], spaced: bool) -> Option<(u32, &[u8])> {
    // No header has more bytes than these.
    let near = &bytes[bytes.len().saturating_sub(32)..];
    let space = near.iter().rev().take_while(|byte| is_space(**byte)).count();
    let digits = near
        .iter()
        .rev()
        .skip(space)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == 0 || digits > 10 || (spaced && space == 0) {
        return None;
    }
    let (rest, _) = bytes.split_at(bytes.len() - space);
    let (rest, number) = rest.split_at(rest.len() - digits);
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

/// A table of the objects that were found, with the root that the last trailer names.
pub(super) fn table(bytes: &[u8], account: &Account) -> Result<Table, Defect> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut table = Table::default();
    for (number, generation, at) in scan(bytes, account)? {
        let object = object_at(bytes, at as usize, account);
        account.check()?;
        let Some(object) = object else {
            continue;
        };
        if let Value::Dict(dict) = object.value
            && dict.get(b"Type").is_name(b"XRef")
        {
            table.root = root_of(dict).or(table.root);
            table.encrypted |= dict.get(b"Encrypt") != Value::Null;
        }
        let entry = Entry {
            number,
            generation,
            place: Place::At(at),
        };
        match entries.last_mut() {
            Some(before) if before.number == number => *before = entry,
            _ => entries.push(entry),
        }
    }
    for at in memmem::find_iter(bytes, b"trailer") {
        let mut lexer = Lexer::new(bytes, at + b"trailer".len());
        let value = lexer.value();
        account.pay(if value.is_some() { lexer.at() } else { bytes.len() } - at);
        account.check()?;
        if let Some(Value::Dict(dict)) = value {
            table.root = root_of(dict).or(table.root);
            table.encrypted |= dict.get(b"Encrypt") != Value::Null;
        }
    }
    table.entries = entries;
    table.mended = true;
    Ok(table)
}
