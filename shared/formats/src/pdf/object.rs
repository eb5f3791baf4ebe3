//! One object of the document.
//!
//! What must stay true: each look at bytes is paid for, so that no structure takes more time than the document's size
//! allows.

use std::{cell::Cell, ops::Range};

use memchr::memmem;

use super::lexer::{Dict, Lexer, Value, is_space};
use crate::defect::Defect;

/// How many bytes the object streams of a document may inflate to together.
pub(super) const MAX_OBJECTS: u64 = 128 * 1024 * 1024;
/// How many times each byte may be looked at, on average.
pub(super) const WORK: u64 = 16;
/// What a look costs at least, in bytes.
const LOOK: usize = 16;

/// How many bytes may still be looked at.
#[derive(Debug)]
pub(super) struct Account(Cell<u64>);

impl Account {
    pub(super) fn of(bytes: usize) -> Self {
        Self(Cell::new(1024 * 1024 + WORK * bytes as u64))
    }

    pub(super) fn pay(&self, bytes: usize) {
        self.0.set(self.0.get().saturating_sub(bytes.max(LOOK) as u64));
    }

    /// Adds bytes that were found and may be looked at.
    pub(super) fn add(&self, bytes: usize) {
        self.0.set(self.0.get().saturating_add(WORK * bytes as u64));
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0.get() == 0
    }

    pub(super) fn check(&self) -> Result<(), Defect> {
        if self.is_spent() {
            return Err(Defect::new(
                "has objects that lie within each other or are shared too often to be looked through",
            ));
        }
        Ok(())
    }
}

/// An object in the document or in an object stream.
#[derive(Clone, Debug)]
pub(super) struct Object<'a> {
    pub(super) number: u32,
    pub(super) generation: u32,
    pub(super) value: Value<'a>,
    /// Where its data begin, if it is a stream.
    pub(super) data: Option<usize>,
    /// How many bytes it takes, without its data.
    pub(super) length: usize,
}

/// The object at an offset; `None` if there is no complete one, or if the account is empty.
pub(super) fn object_at<'a>(bytes: &'a [u8], at: usize, account: &Account) -> Option<Object<'a>> {
    if account.is_spent() || at >= bytes.len() {
        return None;
    }
    let mut lexer = Lexer::new(bytes, at);
    let (number, generation) = (lexer.number()?, lexer.number()?);
    lexer.space();
    if !lexer.tag(b"obj") {
        account.pay(lexer.at() - at);
        return None;
    }
    let value = if lexer.clone().keyword(b"endobj") {
        Value::Null
    } else if let Some(value) = lexer.value() {
        value
    } else {
        // It is not known how far the lexer looked.
        account.pay(bytes.len() - at);
        return None;
    };
    let length = lexer.at() - at;
    account.pay(length);
    lexer.space();
    let is_stream = matches!(value, Value::Dict(_)) && lexer.tag(b"stream");
    let data = is_stream.then(|| {
        lexer.line_end();
        lexer.at()
    });
    Some(Object {
        number,
        generation,
        value,
        data,
        length,
    })
}

/// The data of a stream whose length is in its dictionary.
pub(super) fn plain_extent(bytes: &[u8], dict: Dict<'_>, begin: usize, account: &Account) -> Option<Range<usize>> {
    let length = match dict.get(b"Length") {
        Value::Integer(length) => Some(length),
        _ => None,
    };
    extent(bytes, length, begin, account).map(|(range, _)| range)
}

/// The data of a stream, and whether its length is right; `None` if it has no end.
pub(super) fn extent(
    bytes: &[u8],
    length: Option<u64>,
    begin: usize,
    account: &Account,
) -> Option<(Range<usize>, bool)> {
    if let Some(length) = length.and_then(|length| usize::try_from(length).ok())
        && let Some(end) = begin.checked_add(length)
        && end <= bytes.len()
    {
        let behind = &bytes[end..];
        let space = behind.iter().take_while(|byte| is_space(**byte)).count();
        account.pay(space);
        if behind[space..].starts_with(b"endstream") {
            return Some((begin..end, true));
        }
    }
    let length = memmem::find(&bytes[begin..], b"endstream");
    account.pay(length.unwrap_or(bytes.len() - begin));
    length.map(|length| (begin..begin + length, false))
}
