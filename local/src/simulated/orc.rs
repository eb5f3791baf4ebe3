//! ORC files of nullable texts, as Customer Profiles exports them.
//!
//! What must stay true: a file follows version 1 of Apache ORC's specification. Readers that are not ours read it back,
//! in the tests of [`super::profiles`] and of the formats. Memory holds one stripe, whatever the size of the file.
//!
//! An export of profiles has only texts, so this writes what texts need and nothing else. Each column has a stream of
//! bits that tell nulls from values, one of the values' bytes, and one of their lengths. All are deflated. A library
//! that writes every type would be a tenth of what a first run compiles.

use std::io::{self, Write};

use flate2::{Compression, write::DeflateEncoder};

/// A stripe is written after this many bytes of values.
const STRIPE_BYTES: usize = 8 << 20;

/// How many bytes are deflated together at most.
const BLOCK: usize = 256 << 10;

/// Values of the specification's enums.
const ZLIB: u64 = 1;
const STRUCT: u64 = 12;
const STRING: u64 = 7;
const PRESENT: u64 = 0;
const DATA: u64 = 1;
const LENGTH: u64 = 2;

/// Writes a file row by row.
pub(super) struct Writer<W> {
    out: W,
    /// How many bytes were written so far.
    at: u64,
    names: Vec<String>,
    columns: Vec<Column>,
    /// How many rows the stripe in memory has.
    rows: u64,
    stripes: Vec<Stripe>,
}

/// A column of the stripe in memory.
#[derive(Default)]
struct Column {
    present: Vec<bool>,
    data: Vec<u8>,
    lengths: Vec<u64>,
}

struct Stripe {
    offset: u64,
    data: u64,
    footer: u64,
    rows: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file with columns of these names.
    pub(super) fn new(mut out: W, names: Vec<String>) -> io::Result<Self> {
        out.write_all(b"ORC")?;
        let columns = names.iter().map(|_| Column::default()).collect();
        Ok(Self {
            out,
            at: 3,
            names,
            columns,
            rows: 0,
            stripes: Vec::new(),
        })
    }

    /// Adds a row: a value for each column.
    pub(super) fn row<'a>(&mut self, values: impl IntoIterator<Item = Option<&'a str>>) -> io::Result<()> {
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.present.push(value.is_some());
            if let Some(value) = value {
                column.data.extend(value.as_bytes());
                column.lengths.push(value.len() as u64);
            }
        }
        self.rows += 1;
        if self.columns.iter().map(|column| column.data.len()).sum::<usize>() >= STRIPE_BYTES {
            self.end_stripe()?;
        }
        Ok(())
    }

    /// Ends the file.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.end_stripe()?;
        let mut footer = Message::default();
        footer.number(1, 3).number(2, self.at);
        for stripe in &self.stripes {
            let mut information = Message::default();
            information
                .number(1, stripe.offset)
                .number(2, 0)
                .number(3, stripe.data)
                .number(4, stripe.footer)
                .number(5, stripe.rows);
            footer.bytes(3, &information.0);
        }
        let mut root = Message::default();
        root.number(1, STRUCT);
        let numbers: Vec<u8> = (1..=self.names.len() as u64).flat_map(varint).collect();
        root.bytes(2, &numbers);
        for name in &self.names {
            root.bytes(3, name.as_bytes());
        }
        footer.bytes(4, &root.0);
        for _ in &self.names {
            let mut text = Message::default();
            text.number(1, STRING);
            footer.bytes(4, &text.0);
        }
        footer.number(6, self.stripes.iter().map(|stripe| stripe.rows).sum());
        // No indexes.
        footer.number(8, 0);
        let footer = deflated(&footer.0)?;

        let mut postscript = Message::default();
        postscript
            .number(1, footer.len() as u64)
            .number(2, ZLIB)
            .number(3, BLOCK as u64)
            // Of the format: 0.12.
            .bytes(4, &[0, 12])
            .number(5, 0)
            .number(6, 1)
            .bytes(8000, b"ORC");
        let length = u8::try_from(postscript.0.len()).map_err(io::Error::other)?;
        self.out.write_all(&footer)?;
        self.out.write_all(&postscript.0)?;
        self.out.write_all(&[length])?;
        self.out.flush()
    }

    fn end_stripe(&mut self) -> io::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let offset = self.at;
        let mut footer = Message::default();
        for (number, column) in (1..).zip(&mut self.columns) {
            let column = std::mem::take(column);
            let mut streams = vec![(DATA, column.data), (LENGTH, lengths(&column.lengths))];
            // A column without nulls has no stream of them.
            if column.present.contains(&false) {
                streams.insert(0, (PRESENT, bits(&column.present)));
            }
            for (kind, bytes) in streams {
                let bytes = deflated(&bytes)?;
                self.out.write_all(&bytes)?;
                self.at += bytes.len() as u64;
                let mut stream = Message::default();
                stream.number(1, kind).number(2, number).number(3, bytes.len() as u64);
                footer.bytes(1, &stream.0);
            }
        }
        // Every column, and the row itself, is encoded directly.
        let mut direct = Message::default();
        direct.number(1, 0);
        for _ in 0..=self.columns.len() {
            footer.bytes(2, &direct.0);
        }
        let data = self.at - offset;
        let footer = deflated(&footer.0)?;
        self.out.write_all(&footer)?;
        self.at += footer.len() as u64;
        self.stripes.push(Stripe {
            offset,
            data,
            footer: footer.len() as u64,
            rows: std::mem::take(&mut self.rows),
        });
        Ok(())
    }
}

/// A protobuf message.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, tag: u64, value: u64) -> &mut Self {
        self.0.extend(varint(tag << 3));
        self.0.extend(varint(value));
        self
    }

    fn bytes(&mut self, tag: u64, value: &[u8]) -> &mut Self {
        self.0.extend(varint(tag << 3 | 2));
        self.0.extend(varint(value.len() as u64));
        self.0.extend(value);
        self
    }
}

/// A number in groups of 7 bits, the lowest first.
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7F) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// The first byte of a group of values that are not repeated.
fn literals(count: usize) -> u8 {
    (count as u8).wrapping_neg()
}

/// The run-length encoding of integers, version 1, all of them as literals.
fn lengths(values: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for group in values.chunks(128) {
        bytes.push(literals(group.len()));
        bytes.extend(group.iter().copied().flat_map(varint));
    }
    bytes
}

/// The run-length encoding of bits, the highest first, all bytes as literals.
fn bits(values: &[bool]) -> Vec<u8> {
    let packed: Vec<u8> = values
        .chunks(8)
        .map(|eight| {
            (0_u8..)
                .zip(eight)
                .fold(0, |byte, (place, bit)| byte | u8::from(*bit) << (7 - place))
        })
        .collect();
    let mut bytes = Vec::new();
    for group in packed.chunks(128) {
        bytes.push(literals(group.len()));
        bytes.extend(group);
    }
    bytes
}

/// The blocks of a stream. Each has its length, and says whether it is stored without compression.
fn deflated(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut blocks = Vec::new();
    for block in bytes.chunks(BLOCK) {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(block)?;
        let smaller = encoder.finish()?;
        let (kept, body) = if smaller.len() < block.len() {
            (0, smaller.as_slice())
        } else {
            (1, block)
        };
        let header = (body.len() as u32) << 1 | kept;
        blocks.extend(&header.to_le_bytes()[..3]);
        blocks.extend(body);
    }
    Ok(blocks)
}
