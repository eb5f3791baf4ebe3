//! A stripe, decoded stream by stream in the order of the file.
//!
//! What must stay true: each stream is inflated and decoded to its end, in whatever order the writer put the streams.
//! When all have been decoded, the streams of each column are compared with each other and with the rows that the
//! footer says. A column has as many rows as its parent has values, so any wrong count is found.

use prost::{DecodeError, Message};

use super::{
    blocks::{Blocks, Inflater, Splitter},
    proto::{self, EncodingKind, StreamKind, TypeKind},
    records,
    tail::{Span, Type},
    values::{Kind, Meaning, Tally, Values},
};
use crate::defect::Defect;

/// How many numbers a stripe may have for each of its bytes. What a stripe does not use, the next one may use. Four
/// bytes may stand for 512 equal numbers, and may inflate from almost nothing, so without a limit 4 MiB of stripes
/// could keep the processor busy for many minutes. Real rows, which differ from each other, have far fewer.
pub(super) const NUMBERS_PER_BYTE: u64 = 1 << 12;
/// The largest stripe footer that is accepted, both stored and inflated.
pub(super) const MAX_STRIPE_FOOTER: u64 = 4 << 20;
/// Most streams of a column. There are 13 kinds.
const MAX_STREAMS: usize = 16;

/// What a column's streams were found to hold; `None` for a stream that the column does not have.
#[derive(Debug, Default)]
struct Column {
    present: Option<Tally>,
    data: Option<Tally>,
    length: Option<Tally>,
    dictionary: Option<Tally>,
    secondary: Option<Tally>,
}

/// What a stream is for its column.
#[derive(Clone, Copy, Debug)]
enum Role {
    Present,
    Data,
    Length,
    Dictionary,
    Secondary,
    /// An index or a Bloom filter, which has no part in the rows.
    Aside,
}

#[derive(Debug)]
struct Stream {
    end: u64,
    column: usize,
    role: Role,
    kind: Kind,
}

/// How the values of a column are stored.
#[derive(Clone, Copy, Debug)]
struct Encoding {
    v2: bool,
    dictionary: Option<u32>,
}

/// A stripe that is being decoded.
#[derive(Debug)]
pub(super) struct Stripe {
    span: Span,
    streams: std::vec::IntoIter<Stream>,
    encodings: Vec<Encoding>,
    columns: Vec<Column>,
    /// The stream that is being decoded.
    open: Option<(Stream, Splitter, Values)>,
    /// Offset in the file of the next byte.
    offset: u64,
    /// How many more numbers the stripe may have.
    room: u64,
}

impl Stripe {
    /// Begins a stripe with its stored footer. The stripe may have `room` numbers in addition to those that its length
    /// allows.
    pub(super) fn new(span: Span, footer: &[u8], blocks: Blocks, types: &[Type], room: u64) -> Result<Self, Defect> {
        let plain = blocks
            .section(footer, MAX_STRIPE_FOOTER as usize)
            .map_err(|fault| Defect::new(format!("has a corrupt footer: {fault}")).at(span.footer))?;
        let footer = decode(&plain, types.len()).map_err(|defect| defect.at(span.footer))?;
        if footer.columns.len() < types.len() {
            return Err(Defect::new("has a footer that does not name the encodings of all columns").at(span.footer));
        }
        let encodings = types
            .iter()
            .zip(&footer.columns)
            .map(|(column, encoding)| Encoding::new(column, encoding).map_err(|fault| fault.at(span.footer)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut end = span.start;
        let mut streams = Vec::with_capacity(footer.streams.len());
        for stream in &footer.streams {
            end = end
                .checked_add(stream.length())
                .filter(|end| *end <= span.footer)
                .ok_or_else(|| Defect::new("has a stream that runs over the stripe's footer").at(span.footer))?;
            let column = stream.column() as usize;
            let (Some(of), Some(encoding)) = (types.get(column), encodings.get(column)) else {
                return Err(Defect::new("has a stream of a column that the file has not").at(span.footer));
            };
            let (role, kind) = place(of, *encoding, stream);
            streams.push(Stream {
                end,
                column,
                role,
                kind,
            });
        }
        Ok(Self {
            span,
            streams: streams.into_iter(),
            encodings,
            columns: types.iter().map(|_| Column::default()).collect(),
            open: None,
            offset: span.start,
            room: room.saturating_add(span.length().saturating_mul(NUMBERS_PER_BYTE)),
        })
    }

    /// How many bytes are held.
    pub(super) fn held(&self) -> usize {
        self.open
            .as_ref()
            .map_or(0, |(_, splitter, values)| splitter.held() + values.held())
    }

    /// How many more numbers the stripe might have had.
    pub(super) const fn room(&self) -> u64 {
        self.room
    }

    /// Takes the next bytes before the footer.
    pub(super) fn push(&mut self, inflater: &mut Inflater, types: &[Type], mut bytes: &[u8]) -> Result<(), Defect> {
        loop {
            let (stream, mut splitter, mut values) = match self.open.take() {
                Some(open) => open,
                None => match self.streams.next() {
                    Some(stream) => {
                        let values = Values::new(stream.kind, self.room);
                        (stream, Splitter::default(), values)
                    }
                    // Bytes between the last stream and the footer mean nothing.
                    None => {
                        self.offset += bytes.len() as u64;
                        return Ok(());
                    }
                },
            };
            let length = (bytes.len() as u64).min(stream.end - self.offset) as usize;
            let (now, later) = bytes.split_at(length);
            let (column, role) = (stream.column, stream.role);
            let failed = |fault| defect(types, column, fault).at(self.offset);
            splitter
                .push(inflater, now, |plain| values.push(plain))
                .map_err(failed)?;
            bytes = later;
            let end = self.offset + length as u64;
            if end < stream.end {
                self.offset = end;
                self.open = Some((stream, splitter, values));
                return Ok(());
            }
            self.room = values.room();
            let tally = splitter.end().and_then(|()| values.end()).map_err(failed)?;
            self.offset = end;
            let column = &mut self.columns[column];
            let slot = match role {
                Role::Present => &mut column.present,
                Role::Data => &mut column.data,
                Role::Length => &mut column.length,
                Role::Dictionary => &mut column.dictionary,
                Role::Secondary => &mut column.secondary,
                Role::Aside => continue,
            };
            if slot.replace(tally).is_some() {
                return Err(defect(types, stream.column, "it has a stream twice").at(end));
            }
        }
    }

    /// Must be called after all bytes before the footer were pushed. Answers the rows.
    pub(super) fn end(&mut self, types: &[Type]) -> Result<u64, Defect> {
        if self.open.is_some() || self.streams.next().is_some_and(|stream| stream.end > self.offset) {
            return Err(Defect::new("ends before its streams do").at(self.offset));
        }
        self.column(types, 0, self.span.rows)?;
        Ok(self.span.rows)
    }

    /// Compares the streams of a column with `rows` rows, and those of its children, with each other.
    fn column(&self, types: &[Type], index: usize, rows: u64) -> Result<(), Defect> {
        let (column, encoding, of) = (&self.columns[index], self.encodings[index], &types[index]);
        let none = Tally::default();
        let [data, length, dictionary, secondary] =
            [&column.data, &column.length, &column.dictionary, &column.secondary]
                .map(|stream| stream.as_ref().unwrap_or(&none));
        let failed = |fault| defect(types, index, fault).at(self.span.start);
        let differ = |what: &str, found: u64, wanted: u64| {
            let text = format!("it has {found} {what}, its rows take {wanted}");
            Err(defect(types, index, &text).at(self.span.start))
        };
        let values = match &column.present {
            None => rows,
            Some(present) => present
                .ones(rows)
                .ok_or_else(|| failed("its nulls are not as many as its rows"))?,
        };
        let equal = |what: &str, found: u64, wanted: u64| {
            if found == wanted {
                Ok(())
            } else {
                differ(what, found, wanted)
            }
        };
        let within = |bits: u32| {
            if data.wide >> (bits - 1) <= 1 {
                Ok(())
            } else {
                Err(failed("a number is too large for its type"))
            }
        };
        match of.kind {
            TypeKind::Boolean => equal("bytes of values", data.count, values.div_ceil(8))?,
            TypeKind::Byte => equal("values", data.count, values)?,
            TypeKind::Short | TypeKind::Int | TypeKind::Long | TypeKind::Date => {
                equal("values", data.count, values)?;
                within(match of.kind {
                    TypeKind::Short => 16,
                    TypeKind::Long => 64,
                    _ => 32,
                })?;
            }
            TypeKind::Float => equal("bytes of values", data.count, values.saturating_mul(4))?,
            TypeKind::Double => equal("bytes of values", data.count, values.saturating_mul(8))?,
            TypeKind::String | TypeKind::Varchar | TypeKind::Char | TypeKind::Binary => match encoding.dictionary {
                None => {
                    equal("lengths", length.count, values)?;
                    equal("bytes of values", data.count, length.sum)?;
                }
                Some(entries) => {
                    equal("values", data.count, values)?;
                    equal("lengths in its dictionary", length.count, u64::from(entries))?;
                    equal("bytes in its dictionary", dictionary.count, length.sum)?;
                    if values > 0 && data.largest >= u64::from(entries) {
                        return Err(failed("a value is not in its dictionary"));
                    }
                }
            },
            TypeKind::Timestamp | TypeKind::TimestampInstant => {
                equal("values", data.count, values)?;
                equal("nanoseconds", secondary.count, values)?;
            }
            TypeKind::Decimal => {
                equal("values", data.count, values)?;
                if !of.short {
                    equal("scales", secondary.count, values)?;
                }
            }
            TypeKind::List | TypeKind::Map => equal("lengths", length.count, values)?,
            TypeKind::Union => equal("tags", data.count, values)?,
            TypeKind::Struct => {}
        }
        if let Some(tags) = &data.tags
            && tags[of.children.len()..].iter().any(|times| *times > 0)
        {
            return Err(failed("a tag of a union has no type"));
        }
        for (number, child) in of.children.iter().enumerate() {
            let rows = match of.kind {
                TypeKind::List | TypeKind::Map => length.sum,
                TypeKind::Union => data.tags.as_ref().map_or(0, |tags| tags[number]),
                _ => values,
            };
            self.column(types, *child as usize, rows)?;
        }
        Ok(())
    }
}

/// Decodes the needed parts of a stripe's footer. The stripe has `columns` columns.
pub(super) fn decode(mut plain: &[u8], columns: usize) -> Result<proto::StripeFooter, Defect> {
    let unreadable = |_: DecodeError| Defect::new("has an unreadable footer");
    let mut footer = proto::StripeFooter::default();
    while let Some(record) = records::next(&mut plain).map_err(unreadable)? {
        match record.number {
            1 if footer.streams.len() == MAX_STREAMS * columns => {
                return Err(Defect::new("has more streams than its columns can have"));
            }
            // Encodings beyond the number of columns mean nothing.
            2 if footer.columns.len() == columns => {}
            1 | 2 => footer.merge(record.bytes).map_err(unreadable)?,
            4 => return Err(Defect::new("has encrypted columns, which cannot be decoded")),
            _ => {}
        }
    }
    Ok(footer)
}

impl Encoding {
    fn new(of: &Type, encoding: &proto::ColumnEncoding) -> Result<Self, Defect> {
        use EncodingKind::{Dictionary, DictionaryV2, Direct, DirectV2};
        let text = matches!(of.kind, TypeKind::String | TypeKind::Varchar | TypeKind::Char);
        let size = Some(encoding.dictionary_size.unwrap_or_default());
        let (v2, dictionary) = match EncodingKind::try_from(encoding.kind.unwrap_or_default()) {
            Ok(Direct) => (false, None),
            Ok(DirectV2) => (true, None),
            Ok(Dictionary) if text => (false, size),
            Ok(DictionaryV2) if text => (true, size),
            _ => {
                return Err(Defect::new(format!(
                    "has column {} in an encoding that is not supported or not of its type",
                    of.column
                )));
            }
        };
        Ok(Self { v2, dictionary })
    }
}

/// What a stream is for its column, and what it holds.
fn place(of: &Type, encoding: Encoding, stream: &proto::Stream) -> (Role, Kind) {
    use StreamKind as S;
    use TypeKind as Of;
    let aside = (Role::Aside, Kind::Raw);
    let integers = |signed, meaning| Kind::Integers {
        v2: encoding.v2,
        signed,
        meaning,
    };
    // An unknown kind is some index. It is inflated, and the column needs nothing from it.
    let Ok(kind) = S::try_from(stream.kind.unwrap_or_default()) else {
        return aside;
    };
    let numbers = integers(true, Meaning::Number);
    match kind {
        S::Present => (Role::Present, Kind::Bits),
        S::Data => {
            let kind = match of.kind {
                Of::Boolean => Kind::Bits,
                Of::Byte => Kind::Bytes,
                Of::Union => Kind::Tags,
                Of::Short | Of::Int | Of::Long | Of::Date | Of::Timestamp | Of::TimestampInstant => numbers,
                Of::Float | Of::Double | Of::Binary => Kind::Raw,
                Of::String | Of::Varchar | Of::Char if encoding.dictionary.is_some() => integers(false, Meaning::Index),
                Of::String | Of::Varchar | Of::Char => Kind::Text,
                // These files have integers of the second version in any encoding.
                Of::Decimal if of.short => Kind::Integers {
                    v2: true,
                    signed: true,
                    meaning: Meaning::Number,
                },
                Of::Decimal => Kind::Decimals,
                Of::List | Of::Map | Of::Struct => return aside,
            };
            (Role::Data, kind)
        }
        S::Length => (Role::Length, integers(false, Meaning::Length)),
        S::DictionaryData => (Role::Dictionary, Kind::Text),
        S::Secondary => match of.kind {
            Of::Timestamp | Of::TimestampInstant => (Role::Secondary, integers(false, Meaning::Nanoseconds)),
            Of::Decimal if !of.short => (Role::Secondary, numbers),
            _ => aside,
        },
        _ => aside,
    }
}

fn defect(types: &[Type], index: usize, fault: &str) -> Defect {
    let count = types.first().map_or(0, |root| root.children.len());
    match types.get(index).map_or(0, |of| of.column) {
        0 => Defect::new(format!("cannot be decoded: {fault}")),
        column => Defect::new(format!("cannot be decoded: column {column} of {count}: {fault}")),
    }
}
