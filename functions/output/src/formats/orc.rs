//! ORC, decoded stripe by stripe while its bytes pass once, in order.
//!
//! What must stay true: every column of every stripe is decoded to its last row, and the rows are compared with what
//! stripes and footer say. The tail is read first, because it says where the stripes lie; all else is taken in the
//! order of the file, so that one download serves decoding and the checksum. Lengths that corrupt bytes could blow up
//! are checked before anything is allocated by them, and a panic of the decoder is a defect.
//!
//! Memory: one stripe, at most [`MAX_STRIPE`] bytes as stored, a copy of its largest column as stored, and one batch
//! of [`BATCH`] rows of one column, decoded. Columns are decoded one after the other for that reason. A string
//! dictionary is held decoded while its column is.
//!
//! What this cannot see: ORC has no checksums, so a flipped bit in a value may decode to another value; and list or map
//! lengths that were corrupted to a huge number could still ask for more memory than there is.

use std::{io, ops::Range, sync::Arc};

use bytes::{Buf, Bytes};
use orc_rust::{
    ArrowSchemaOptions, TimestampPrecision,
    array_decoder::NaiveStripeDecoder,
    compression::{Compression, Decompressor},
    error::OrcError,
    projection::ProjectionMask,
    proto::{self, CompressionKind},
    reader::{
        ChunkReader,
        metadata::{FileMetadata, read_metadata},
    },
    stripe::{Stripe, StripeMetadata},
};
use prost::Message;

use super::{Decoded, Decoder, Defect, MAX_COLUMNS, Opened, column_name, panics::caught};

/// The largest stripe that is decoded, in stored bytes. Writers aim at 64 MiB before compression.
pub const MAX_STRIPE: u64 = 128 * 1024 * 1024;
/// The largest file tail (metadata, footer and postscript) that is decoded.
pub const MAX_TAIL: u64 = 16 * 1024 * 1024;
/// How much of the end of a file to read first; most tails are shorter.
pub const TAIL_GUESS: u64 = 64 * 1024;
/// Rows decoded at a time. Small, since a row may hold long texts.
const BATCH: usize = 1_024;
/// The largest compression block: what the three-byte header of a block can say.
const MAX_BLOCK: u64 = 1 << 23;
/// What the ORC crate reads of the end of a file, whatever the postscript says.
const CRATE_TAIL: u64 = 16 * 1024;
/// How deep types may be nested: the crate follows them by recursion.
const MAX_DEPTH: usize = 64;
const MAGIC: &[u8; 3] = b"ORC";

/// Decodes ORC.
#[derive(Debug)]
pub struct OrcDecoder {
    metadata: Arc<FileMetadata>,
    guard: BlockGuard,
    columns: Vec<String>,
    /// The stripes in the order of the file.
    stripes: Vec<StripeMetadata>,
    /// The stripe that is awaited or being collected.
    current: usize,
    /// Its bytes so far.
    collected: Vec<u8>,
    /// Offset of the next byte to be pushed.
    offset: u64,
    size: u64,
    rows: u64,
}

impl OrcDecoder {
    /// Opens a file of `size` bytes by its last bytes, those from `tail_start` on.
    pub fn open(size: u64, tail_start: u64, tail: &Bytes) -> Result<Opened<Self>, Defect> {
        let shorter = || Defect::new("is too short for an ORC file: it is cut off, or not ORC");
        let [.., postscript_length] = tail.as_ref() else {
            return Err(shorter());
        };
        let postscript_length = usize::from(*postscript_length);
        let postscript = tail
            .len()
            .checked_sub(1 + postscript_length)
            .and_then(|start| tail.get(start..tail.len() - 1))
            .ok_or_else(shorter)?;
        let unreadable =
            || Defect::new("has no readable ORC postscript at its end: it is cut off, or not ORC").at(size - 1);
        let postscript = proto::PostScript::decode(postscript).map_err(|_| unreadable())?;
        if postscript
            .magic
            .as_deref()
            .is_some_and(|magic| magic.as_bytes() != MAGIC)
        {
            return Err(unreadable());
        }
        let (Some(footer), Some(metadata)) = (postscript.footer_length, postscript.metadata_length) else {
            return Err(unreadable());
        };
        let length = footer
            .checked_add(metadata)
            .and_then(|length| length.checked_add(1 + postscript_length as u64))
            .filter(|length| length.saturating_add(MAGIC.len() as u64) <= size)
            .ok_or_else(|| Defect::new("has an ORC footer longer than the file: it is cut off").at(size - 1))?;
        if length > MAX_TAIL {
            return Err(Defect::new(format!(
                "has an ORC footer of more than {} MiB, the most that is taken",
                MAX_TAIL >> 20
            )));
        }
        let start = size - length;
        let needed = start.min(size.saturating_sub(CRATE_TAIL));
        if needed < tail_start {
            return Ok(Opened::Needs(needed));
        }

        let guard = BlockGuard::new(&postscript)?;
        let sections = tail.slice((start - tail_start) as usize..);
        guard.check(&sections[..metadata as usize])?;
        let footer = sections.slice(metadata as usize..(metadata + footer) as usize);
        guard.check(&footer)?;
        check_types(&postscript, footer)?;
        let mut window = Window {
            size,
            start: tail_start,
            bytes: tail.clone(),
        };
        let metadata = caught(|| read_metadata(&mut window))
            .ok_or_else(|| Defect::new("has a corrupt ORC footer"))?
            .map_err(|error| Defect::new(format!("has an unreadable ORC footer: {}", reason(&error))))?;
        Self::over(metadata, guard, size, start).map(|decoder| Opened::Ready(Box::new(decoder)))
    }

    fn over(metadata: FileMetadata, guard: BlockGuard, size: u64, stripes_end: u64) -> Result<Self, Defect> {
        let mut end = MAGIC.len() as u64;
        for (number, stripe) in (1..).zip(metadata.stripe_metadatas()) {
            let span = span(stripe)
                .filter(|span| end <= span.start && span.end <= stripes_end)
                .ok_or_else(|| {
                    Defect::new("lies, by the footer, outside the file or over another stripe").in_stripe(number)
                })?;
            if span.end - span.start > MAX_STRIPE {
                return Err(Defect::new(format!(
                    "is longer than {} MiB, the largest stripe that is decoded",
                    MAX_STRIPE >> 20
                ))
                .in_stripe(number));
            }
            if span.is_empty() {
                return Err(Defect::new("is empty").at(span.start).in_stripe(number));
            }
            end = span.end;
        }
        let columns = metadata.root_data_type().children();
        Ok(Self {
            guard,
            columns: columns
                .iter()
                .take(MAX_COLUMNS)
                .map(|column| column_name(column.name()))
                .collect(),
            stripes: metadata.stripe_metadatas().to_vec(),
            metadata: Arc::new(metadata),
            current: 0,
            collected: Vec::new(),
            offset: 0,
            size,
            rows: 0,
        })
    }

    /// The most bytes that one stripe makes this decoder hold, the copy of a column included.
    #[must_use]
    pub fn needs(&self) -> u64 {
        let stripe = |stripe| span(stripe).map_or(0, |span| span.end - span.start);
        2 * self.stripes.iter().map(stripe).max().unwrap_or_default()
    }

    fn stripe(&mut self) -> Result<(), Defect> {
        let number = self.current as u64 + 1;
        let bytes = Bytes::from(std::mem::take(&mut self.collected));
        let Some(stripe) = self.stripes.get(self.current) else {
            return Ok(());
        };
        let window = Window {
            size: self.size,
            start: stripe.offset(),
            bytes,
        };
        let rows = caught(|| decode_stripe(&self.metadata, self.guard, stripe, window))
            .unwrap_or_else(|| Err(Defect::new("is corrupt: its decoder gave up")))
            .map_err(|defect| defect.in_stripe(number).at(stripe.offset()))?;
        self.rows += rows;
        self.current += 1;
        Ok(())
    }
}

impl Decoder for OrcDecoder {
    fn push(&mut self, mut chunk: &[u8]) -> Result<(), Defect> {
        while let [first, ..] = chunk {
            if let Some(expected) = usize::try_from(self.offset).ok().and_then(|offset| MAGIC.get(offset)) {
                if first != expected {
                    return Err(Defect::new("does not begin with ORC's magic number").at(0));
                }
                chunk.advance(1);
                self.offset += 1;
                continue;
            }
            let Some(span) = self.stripes.get(self.current).and_then(span) else {
                self.offset += chunk.len() as u64;
                break;
            };
            let (until, inside) = if self.offset < span.start {
                (span.start, false)
            } else {
                (span.end, true)
            };
            let taken = chunk.len().min((until - self.offset) as usize);
            if inside {
                // Exactly what is needed: growing by doubling would hold up to twice of it.
                let missing = (span.end - span.start) as usize - self.collected.len();
                self.collected.reserve_exact(missing);
                self.collected.extend_from_slice(&chunk[..taken]);
            }
            chunk.advance(taken);
            self.offset += taken as u64;
            if self.offset == span.end {
                self.stripe()?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Decoded, Defect> {
        if self.offset != self.size {
            return Err(Defect::new("ended before the size that it was opened with").at(self.offset));
        }
        let promised = self.metadata.number_of_rows();
        if promised != self.rows {
            return Err(Defect::new(format!(
                "has {} rows in its stripes, its footer says {promised}",
                self.rows
            )));
        }
        Ok(Decoded {
            rows: self.rows,
            columns: self.columns,
            column_count: self.metadata.root_data_type().children().len() as u64,
            document: None,
        })
    }

    fn held(&self) -> usize {
        self.collected.capacity()
    }
}

/// Where a stripe lies; `None` if its numbers overflow.
fn span(stripe: &StripeMetadata) -> Option<Range<u64>> {
    let end = stripe
        .offset()
        .checked_add(stripe.index_length())?
        .checked_add(stripe.data_length())?
        .checked_add(stripe.footer_length())?;
    Some(stripe.offset()..end)
}

fn decode_stripe(
    metadata: &FileMetadata,
    guard: BlockGuard,
    stripe: &StripeMetadata,
    mut window: Window,
) -> Result<u64, Defect> {
    guard.check_streams(metadata, stripe, &window)?;
    let root = metadata.root_data_type();
    for (number, column) in (1..).zip(root.children()) {
        let failed = |error: OrcError| {
            Defect::new(format!(
                "cannot be decoded: column {number} of {}: {}",
                root.children().len(),
                reason(&error)
            ))
        };
        let only = root.project(&ProjectionMask::roots(root, [column.data_type().column_index()]));
        // Microseconds reach years that nanoseconds, the crate's default, do not.
        let schema = only.create_arrow_schema_with_options(
            &Default::default(),
            ArrowSchemaOptions::new().with_timestamp_precision(TimestampPrecision::Microsecond),
        );
        let streams = Stripe::new(&mut window, metadata, &only, stripe).map_err(failed)?;
        let mut rows = 0;
        for batch in NaiveStripeDecoder::new(streams, Arc::new(schema), BATCH).map_err(failed)? {
            rows += batch.map_err(failed)?.num_rows() as u64;
        }
        if rows != stripe.number_of_rows() {
            return Err(Defect::new(format!(
                "has {rows} rows in column {number}, the footer says {}",
                stripe.number_of_rows()
            )));
        }
    }
    Ok(stripe.number_of_rows())
}

/// Checks that the types of a footer are a tree: the ORC crate follows them without end if they are not.
fn check_types(postscript: &proto::PostScript, footer: Bytes) -> Result<(), Defect> {
    let unreadable = || Defect::new("has an unreadable ORC footer");
    let footer = caught(|| {
        let mut plain = Vec::new();
        io::Read::read_to_end(
            &mut Decompressor::new(footer, compression(postscript)?, Vec::new()),
            &mut plain,
        )
        .ok()?;
        proto::Footer::decode(plain.as_slice()).ok()
    });
    let types = footer.flatten().ok_or_else(unreadable)?.types;
    // Types are numbered in preorder, so a child comes after its parent, and has but one.
    let mut depths = vec![None; types.len()];
    if let Some(root) = depths.first_mut() {
        *root = Some(0);
    }
    for (index, parent) in types.iter().enumerate() {
        for child in &parent.subtypes {
            let child = *child as usize;
            let depth = depths.get(index).copied().flatten().map(|depth: usize| depth + 1);
            match depths.get_mut(child) {
                Some(slot @ None) if child > index && depth.is_some_and(|depth| depth <= MAX_DEPTH) => *slot = depth,
                _ => return Err(Defect::new("has ORC types that are not a tree, or nested too deep")),
            }
        }
    }
    Ok(())
}

/// The crate's compression of a postscript. It gives one only with the metadata of a file, so it is shown the smallest
/// file with the same postscript.
fn compression(postscript: &proto::PostScript) -> Option<Option<Compression>> {
    let root = proto::Type {
        kind: Some(proto::r#type::Kind::Struct.into()),
        ..Default::default()
    };
    let footer = proto::Footer {
        types: vec![root],
        ..Default::default()
    }
    .encode_to_vec();
    let mut bytes = Vec::new();
    if postscript.compression() != CompressionKind::None {
        // The header of a block that is stored as it is.
        bytes.extend([(footer.len() as u8) << 1 | 1, 0, 0]);
    }
    bytes.extend(footer);
    let postscript = proto::PostScript {
        footer_length: Some(bytes.len() as u64),
        metadata_length: Some(0),
        compression: postscript.compression,
        compression_block_size: postscript.compression_block_size,
        ..Default::default()
    }
    .encode_to_vec();
    let length = u8::try_from(postscript.len()).ok()?;
    bytes.extend(postscript);
    bytes.push(length);
    read_metadata(&mut Bytes::from(bytes))
        .ok()
        .map(|metadata| metadata.compression())
}

/// Checks the compression blocks of a section before the ORC crate allocates by what they say.
#[derive(Clone, Copy, Debug)]
struct BlockGuard {
    kind: CompressionKind,
    block: u64,
}

impl BlockGuard {
    fn new(postscript: &proto::PostScript) -> Result<Self, Defect> {
        // The specification's default, which the crate takes too.
        let block = postscript.compression_block_size.unwrap_or(256 * 1024);
        if block > MAX_BLOCK {
            return Err(Defect::new(format!(
                "has ORC compression blocks of {block} bytes; {MAX_BLOCK} is the most that the format allows"
            )));
        }
        Ok(Self {
            kind: postscript.compression(),
            block,
        })
    }

    fn check(self, mut section: &[u8]) -> Result<(), Defect> {
        if self.kind == CompressionKind::None {
            return Ok(());
        }
        let corrupt = |what| Defect::new(format!("has a corrupt compression block: {what}"));
        while !section.is_empty() {
            let [a, b, c, rest @ ..] = section else {
                return Err(corrupt("its header is cut off"));
            };
            let header = u32::from_le_bytes([*a, *b, *c, 0]);
            let (length, original) = ((header >> 1) as usize, header & 1 == 1);
            let (block, rest) = rest
                .split_at_checked(length)
                .ok_or_else(|| corrupt("it is longer than its section"))?;
            if length as u64 > self.block {
                return Err(corrupt("it is longer than the file's block size"));
            }
            if !original && self.kind == CompressionKind::Snappy && varint(block).is_none_or(|n| n > self.block) {
                return Err(corrupt("it would decompress to more than the file's block size"));
            }
            section = rest;
        }
        Ok(())
    }

    fn check_streams(self, metadata: &FileMetadata, stripe: &StripeMetadata, window: &Window) -> Result<(), Defect> {
        let inside = |_| Defect::new("is corrupt: its footer lies outside it");
        let footer = window
            .get_bytes(stripe.footer_offset(), stripe.footer_length())
            .map_err(inside)?;
        self.check(&footer)?;
        let mut plain = Vec::new();
        io::Read::read_to_end(
            &mut Decompressor::new(footer, metadata.compression(), Vec::new()),
            &mut plain,
        )
        .map_err(|_| Defect::new("has a footer that cannot be decompressed"))?;
        let footer =
            proto::StripeFooter::decode(plain.as_slice()).map_err(|_| Defect::new("has an unreadable footer"))?;
        let mut offset = stripe.offset();
        for stream in &footer.streams {
            let end = offset
                .checked_add(stream.length())
                .filter(|end| *end <= stripe.footer_offset())
                .ok_or_else(|| Defect::new("has a stream that runs over the stripe's footer"))?;
            let bytes = window
                .get_bytes(offset, stream.length())
                .map_err(|_| Defect::new("has a stream outside of it"))?;
            self.check(&bytes)?;
            offset = end;
        }
        Ok(())
    }
}

/// The number that a Snappy block begins with: its decompressed length.
fn varint(bytes: &[u8]) -> Option<u64> {
    let mut number = 0;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// What the ORC crate found, in our own words: texts of its own could quote a value.
fn reason(error: &OrcError) -> &'static str {
    match error {
        OrcError::IoError { .. } => "its bytes end early or do not decompress",
        OrcError::EmptyFile { .. } => "it is empty",
        OrcError::OutOfSpec { .. } => "it breaks the ORC specification",
        OrcError::DecodeFloat { .. } => "a number ends early",
        OrcError::DecodeTimestamp { .. } => "a timestamp is out of range",
        OrcError::OffsetOverflow { .. } => "its texts are longer than 2 GiB",
        OrcError::DecodeProto { .. } => "its structure is unreadable",
        OrcError::NoTypes { .. } => "it has no columns",
        OrcError::UnsupportedTypeVariant { .. } | OrcError::MismatchedSchema { .. } => {
            "it has a type that is not supported"
        }
        OrcError::VarintTooLarge { .. } => "a number is too long",
        OrcError::BuildZstdDecoder { .. }
        | OrcError::BuildSnappyDecoder { .. }
        | OrcError::BuildLzoDecoder { .. }
        | OrcError::BuildLz4Decoder { .. } => "a compression block is corrupt",
        OrcError::Arrow { .. } | OrcError::ConvertRecordBatch { .. } => "its values do not fit together",
        _ => "it is corrupt",
    }
}

/// A part of the file that is in memory, for the ORC crate to read from.
struct Window {
    size: u64,
    start: u64,
    bytes: Bytes,
}

impl Window {
    fn slice(&self, offset: u64, length: Option<u64>) -> io::Result<Bytes> {
        let outside = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let start = offset.checked_sub(self.start).ok_or_else(outside)?;
        let end = match length {
            Some(length) => start.checked_add(length).ok_or_else(outside)?,
            None => self.bytes.len() as u64,
        };
        if start > end || end > self.bytes.len() as u64 {
            return Err(outside());
        }
        Ok(self.bytes.slice(start as usize..end as usize))
    }
}

impl ChunkReader for Window {
    type T = bytes::buf::Reader<Bytes>;

    fn len(&self) -> u64 {
        self.size
    }

    fn get_read(&self, offset: u64) -> io::Result<Self::T> {
        Ok(self.slice(offset, None)?.reader())
    }

    fn get_bytes(&self, offset: u64, length: u64) -> io::Result<Bytes> {
        self.slice(offset, Some(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
    use orc_rust::{ArrowWriterBuilder, compression::CompressionType};

    const KINDS: [Option<CompressionType>; 5] = [
        None,
        Some(CompressionType::Zlib),
        Some(CompressionType::Snappy),
        Some(CompressionType::Lz4),
        Some(CompressionType::Zstd),
    ];

    fn batch(rows: i64) -> RecordBatch {
        let names = StringArray::from_iter((0..rows).map(|n| (n % 7 != 0).then(|| format!("Zoë, \"{n}\""))));
        let member = BooleanArray::from_iter((0..rows).map(|n| Some(n % 3 == 0)));
        RecordBatch::try_from_iter_with_nullable([
            ("id", Arc::new(Int64Array::from_iter_values(0..rows)) as _, true),
            ("name", Arc::new(names) as _, true),
            (
                "score",
                Arc::new(Float64Array::from_iter_values((0..rows).map(|n| n as f64))) as _,
                true,
            ),
            ("member", Arc::new(member) as _, true),
        ])
        .unwrap()
    }

    fn file(batches: &[RecordBatch], kind: Option<CompressionType>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = ArrowWriterBuilder::new(&mut bytes, batches[0].schema());
        if let Some(kind) = kind {
            writer = writer.with_compression(kind);
        }
        // Every batch becomes a stripe.
        let mut writer = writer.with_stripe_byte_size(1).try_build().unwrap();
        for batch in batches {
            writer.write(batch).unwrap();
        }
        writer.close().unwrap();
        bytes
    }

    fn open(bytes: &[u8], guess: usize) -> Result<Box<OrcDecoder>, Defect> {
        let mut start = bytes.len() - guess.min(bytes.len());
        loop {
            let tail = Bytes::copy_from_slice(&bytes[start..]);
            match OrcDecoder::open(bytes.len() as u64, start as u64, &tail)? {
                Opened::Ready(decoder) => return Ok(decoder),
                Opened::Needs(earlier) => {
                    assert!(earlier < start as u64);
                    start = earlier as usize;
                }
            }
        }
    }

    fn run(bytes: &[u8], guess: usize, size: usize) -> Result<Decoded, Defect> {
        let mut decoder = open(bytes, guess)?;
        for chunk in bytes.chunks(size) {
            decoder.push(chunk)?;
            assert!(decoder.held() as u64 <= decoder.needs() / 2);
        }
        decoder.finish()
    }

    #[test]
    fn all_stripes_of_all_compressions_are_decoded() {
        for kind in KINDS {
            let bytes = file(&[batch(1_500), batch(10), batch(1)], kind);
            for (guess, size) in [(1 << 16, usize::MAX), (1 << 16, 7), (300, 1_000), (300, 1)] {
                let decoded = run(&bytes, guess, size).unwrap();
                assert_eq!(decoded.rows, 1_511, "{kind:?}");
                assert_eq!(decoded.columns, ["id", "name", "score", "member"]);
                assert_eq!(decoded.column_count, 4);
            }
        }
    }

    #[test]
    fn a_file_without_rows_is_whole() {
        assert_eq!(run(&file(&[batch(0)], None), 100, 10).unwrap().rows, 0);
    }

    #[test]
    fn every_truncation_is_found() {
        for kind in KINDS {
            let bytes = file(&[batch(20), batch(3)], kind);
            for end in 0..bytes.len() {
                run(&bytes[..end], 1 << 16, 100).unwrap_err();
            }
        }
    }

    #[test]
    fn no_corrupt_byte_brings_the_process_down() {
        for kind in KINDS {
            let bytes = file(&[batch(20), batch(3)], kind);
            let mut found = 0;
            for index in 0..bytes.len() {
                for flip in [0x01, 0x80, 0xff] {
                    let mut bytes = bytes.clone();
                    bytes[index] ^= flip;
                    found += usize::from(run(&bytes, 1 << 16, 100).is_err());
                }
            }
            assert!(
                found > bytes.len() / 2,
                "{kind:?}: only {found} of {} found",
                bytes.len() * 3
            );
        }
    }

    #[test]
    fn a_footer_that_promises_other_rows_is_a_defect() {
        let bytes = file(&[batch(5)], None);
        let mut decoder = open(&bytes, 1 << 16).unwrap();
        decoder.push(&bytes).unwrap();
        decoder.rows -= 1;
        assert!(
            decoder
                .finish()
                .unwrap_err()
                .what
                .contains("has 4 rows in its stripes, its footer says 5")
        );
    }

    #[test]
    fn text_is_no_orc() {
        let text = b"id,name\n1,secret secret secret secret\n";
        let defect = run(text, 1 << 16, 100).unwrap_err().to_string();
        assert!(defect.contains("not ORC") && !defect.contains("secret"), "{defect}");
        run(b"", 1 << 16, 100).unwrap_err();
        run(b"ORC", 1 << 16, 100).unwrap_err();
    }

    #[test]
    fn blocks_are_checked_before_they_are_decompressed() {
        let guard = |kind| BlockGuard { kind, block: 16 };
        let zlib = guard(CompressionKind::Zlib);
        assert!(zlib.check(&[]).is_ok());
        assert!(zlib.check(&[2 << 1, 0, 0, 1, 2, 1 << 1, 0, 0, 9]).is_ok());
        assert!(zlib.check(&[2 << 1, 0, 0, 1]).is_err());
        assert!(zlib.check(&[2 << 1, 0]).is_err());
        assert!(zlib.check(&[[17 << 1, 0, 0].as_slice(), &[0; 17]].concat()).is_err());
        let snappy = guard(CompressionKind::Snappy);
        assert!(snappy.check(&[2 << 1, 0, 0, 16, 0]).is_ok());
        assert!(snappy.check(&[2 << 1, 0, 0, 17, 0]).is_err());
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Some(u64::from(u32::MAX)));
        assert_eq!(varint(&[0x80]), None);
    }
}
