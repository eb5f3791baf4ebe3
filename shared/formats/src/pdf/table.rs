//! The cross-reference table: tables, streams and hybrids of both, with all their earlier sections.
//!
//! What must stay true: the newest section that names an object decides where it is. No section is read twice. The size
//! of the table in memory is limited by the size of the document. ISO 32000-2, 7.5.4 and 7.5.8.

use std::collections::BTreeSet;

use super::{
    filters,
    lexer::{Dict, Lexer, Value},
    object::{Account, MAX_OBJECTS, object_at, plain_extent},
};

/// How many entries a table may have in addition to one for each [`BYTES_PER_ENTRY`] bytes of the document.
const FEW: usize = 100_000;
/// How many bytes of a document allow one more entry.
const BYTES_PER_ENTRY: usize = 8;

/// Where an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere. Its number is free.
    Free,
    /// At this offset.
    At(u32),
    /// In an object stream, as the object with this index.
    In { stream: u32, index: u32 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) generation: u32,
    pub(super) place: Place,
}

/// What the sections say.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// By number, without free ones.
    pub(super) entries: Vec<Entry>,
    /// Numbers and offsets of objects that later sections have replaced, in this order.
    pub(super) older: Vec<(u32, u32)>,
    /// Whether the table had to be mended or rebuilt.
    pub(super) mended: bool,
    pub(super) root: Option<u32>,
    pub(super) encrypted: bool,
}

/// Reads the section at an offset and those before it; `None` if one of them cannot be read.
pub(super) fn read(bytes: &[u8], at: u64, account: &Account) -> Option<Table> {
    let mut reading = Reading {
        bytes,
        account,
        seen: BTreeSet::new(),
        entries: Vec::new(),
        trailer: None,
        shifted: false,
    };
    let mut next = Some(at);
    while let Some(at) = next {
        next = reading.section(usize::try_from(at).ok()?)?;
    }
    let (trailer, mended) = (reading.trailer?, reading.shifted);
    let mut entries = reading.entries;
    // The first entry of a number is the newest.
    entries.sort_by_key(|entry| entry.number);
    let mut older = Vec::new();
    entries.dedup_by(|entry, newer| {
        let is_older = entry.number == newer.number;
        if let (true, Place::At(at)) = (is_older && entry.place != newer.place, entry.place) {
            older.push((entry.number, at));
        }
        is_older
    });
    older.sort_unstable();
    entries.retain(|entry| entry.place != Place::Free);
    Some(Table {
        entries,
        older,
        mended,
        root: root_of(trailer),
        encrypted: trailer.get(b"Encrypt") != Value::Null,
    })
}

/// The number of the root that a trailer names.
pub(super) fn root_of(trailer: Dict<'_>) -> Option<u32> {
    match trailer.get(b"Root") {
        Value::Ref(number) => Some(number),
        _ => None,
    }
}

struct Reading<'a, 'b> {
    bytes: &'a [u8],
    account: &'b Account,
    /// The offsets of the sections that were read.
    seen: BTreeSet<usize>,
    /// The newest first.
    entries: Vec<Entry>,
    trailer: Option<Dict<'a>>,
    /// Whether a table numbers its entries wrongly.
    shifted: bool,
}

impl<'a> Reading<'a, '_> {
    /// Reads a section, and answers where the one before it is.
    fn section(&mut self, at: usize) -> Option<Option<u64>> {
        if at >= self.bytes.len() || !self.seen.insert(at) {
            return None;
        }
        let mut lexer = Lexer::new(self.bytes, at);
        let dict = if lexer.keyword(b"xref") {
            self.table(lexer)?
        } else {
            self.stream(at)?
        };
        self.trailer.get_or_insert(dict);
        match dict.get(b"Prev") {
            Value::Null => Some(None),
            Value::Integer(at) => Some(Some(at)),
            _ => None,
        }
    }

    fn add(&mut self, number: u64, generation: u64, place: Place) -> Option<()> {
        if self.entries.len() >= FEW + self.bytes.len() / BYTES_PER_ENTRY {
            return None;
        }
        self.entries.push(Entry {
            number: u32::try_from(number).ok()?,
            // The generation of a free entry may be anything.
            generation: u32::try_from(generation).unwrap_or(u32::MAX),
            place,
        });
        Some(())
    }

    /// Reads a table after its keyword, and answers its trailer.
    fn table(&mut self, mut lexer: Lexer<'a>) -> Option<Dict<'a>> {
        let begin = lexer.at();
        let mut free = Vec::new();
        while !lexer.keyword(b"trailer") {
            let (mut first, count) = (lexer.count()?, lexer.count()?);
            // Some writers begin with 1, although the first entry is for object 0, the head of the free ones.
            let mut ahead = lexer.clone();
            if first == 1 && ahead.count() == Some(0) && ahead.count() == Some(65_535) && ahead.keyword(b"f") {
                first = 0;
                self.shifted = true;
            }
            for number in first..first.checked_add(count)? {
                let (at, generation) = (lexer.count()?, lexer.count()?);
                if lexer.keyword(b"n") {
                    // Some writers leave the offset of an object that they never wrote at zero.
                    if at > 0 && number > 0 {
                        self.add(number, generation, Place::At(u32::try_from(at).ok()?))?;
                    }
                } else if lexer.keyword(b"f") {
                    free.push((number, generation));
                } else {
                    return None;
                }
            }
        }
        let Some(Value::Dict(trailer)) = lexer.value() else {
            return None;
        };
        self.account.pay(lexer.at() - begin);
        // In the table of a hybrid, objects that only its stream knows are marked free, for older readers.
        if let Value::Integer(at) = trailer.get(b"XRefStm") {
            let at = usize::try_from(at).ok()?;
            if at >= self.bytes.len() || !self.seen.insert(at) {
                return None;
            }
            self.stream(at)?;
        }
        for (number, generation) in free {
            self.add(number, generation, Place::Free)?;
        }
        Some(trailer)
    }

    /// Reads a stream, and answers its dictionary, which is also its trailer.
    fn stream(&mut self, at: usize) -> Option<Dict<'a>> {
        let object = object_at(self.bytes, at, self.account)?;
        let (Value::Dict(dict), Some(data)) = (object.value, object.data) else {
            return None;
        };
        if !dict.get(b"Type").is_name(b"XRef") {
            return None;
        }
        let data = plain_extent(self.bytes, dict, data, self.account)?;
        let steps = filters::steps(dict, &|value| value).ok()?;
        let mut room = MAX_OBJECTS;
        let unpacked = filters::unpack(&self.bytes[data], &steps, &mut room, true).ok()?;
        self.account.pay(unpacked.data.len());
        let Value::Array(widths) = dict.get(b"W") else {
            return None;
        };
        let widths: Vec<usize> = widths
            .values()
            .map_while(|value| match value {
                Value::Integer(width @ 0..=8) => Some(width as usize),
                _ => None,
            })
            .collect();
        let [kind, second, third] = widths[..] else {
            return None;
        };
        let row = kind + second + third;
        if row == 0 {
            return None;
        }
        let mut rows = unpacked.data.chunks_exact(row);
        let Value::Integer(size) = dict.get(b"Size") else {
            return None;
        };
        let sections: Vec<u64> = match dict.get(b"Index") {
            Value::Array(index) => index
                .values()
                .map_while(|value| match value {
                    Value::Integer(number) => Some(number),
                    _ => None,
                })
                .collect(),
            _ => vec![0, size],
        };
        for section in sections.chunks_exact(2) {
            for number in section[0]..section[0].checked_add(section[1])? {
                let row = rows.next()?;
                let field = |range: std::ops::Range<usize>, usual| {
                    if range.is_empty() {
                        return usual;
                    }
                    row[range]
                        .iter()
                        .fold(0, |value: u64, byte| value << 8 | u64::from(*byte))
                };
                let (kind, second, third) = (
                    field(0..kind, 1),
                    field(kind..kind + second, 0),
                    field(kind + second..row.len(), 0),
                );
                match kind {
                    0 => self.add(number, third, Place::Free)?,
                    1 if second == 0 || number == 0 => {}
                    1 => self.add(number, third, Place::At(u32::try_from(second).ok()?))?,
                    2 => {
                        let (stream, index) = (u32::try_from(second).ok()?, u32::try_from(third).ok()?);
                        self.add(number, 0, Place::In { stream, index })?;
                    }
                    // Any other type stands for null.
                    _ => {}
                }
            }
        }
        Some(dict)
    }
}
