//! Compression blocks.
//!
//! What must stay true: nothing is allocated because a block says so before that was compared with the file's block
//! size. No block inflates to more than the block size, as the specification requires. Buffers are made once for a
//! file, not once for a block.
//!
//! LZO is an exception, because its crate allocates by itself. So its blocks are limited to [`MAX_LZO`].

use std::{borrow::Cow, fmt};

use flate2::{Decompress, FlushDecompress, Status};

use super::{
    fault::Fault,
    proto::{self, CompressionKind},
};
use crate::defect::Defect;

/// The largest compression block: the most that a block's three-byte header can say.
const MAX_BLOCK: u64 = 1 << 23;
/// The largest block of LZO. Each of its bytes stands for at most 255.
const MAX_LZO: u64 = 1 << 19;
/// The specification's block size, if a file does not say one.
const DEFAULT_BLOCK: u64 = 256 * 1024;
const HEADER: usize = 3;

/// How the sections of a file are compressed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    kind: CompressionKind,
    size: usize,
}

impl Blocks {
    pub(super) fn new(postscript: &proto::PostScript) -> Result<Self, Defect> {
        let kind = CompressionKind::try_from(postscript.compression.unwrap_or_default())
            .map_err(|_| Defect::new("has ORC blocks of a compression that is not supported"))?;
        let size = postscript.compression_block_size.unwrap_or(DEFAULT_BLOCK);
        let most = if kind == CompressionKind::Lzo {
            MAX_LZO
        } else {
            MAX_BLOCK
        };
        if kind != CompressionKind::None && size > most {
            return Err(Defect::new(format!(
                "has ORC compression blocks of {size} bytes; {most} is the most that is taken"
            )));
        }
        Ok(Self {
            kind,
            size: size as usize,
        })
    }

    /// How many bytes an [`Inflater`] and a [`Splitter`] hold at most.
    pub(super) fn needs(self) -> u64 {
        match self.kind {
            CompressionKind::None => 0,
            _ => 2 * self.size as u64 + HEADER as u64,
        }
    }

    /// The length of the block with this header, and whether it is stored without compression.
    fn header(self, header: [u8; HEADER]) -> Result<(usize, bool), Fault> {
        let [a, b, c] = header;
        let header = u32::from_le_bytes([a, b, c, 0]);
        let length = (header >> 1) as usize;
        if length > self.size {
            return Err("a compression block is longer than the file's block size");
        }
        Ok((length, header & 1 == 1))
    }

    /// Inflates a whole section. More than `most` bytes are a defect.
    pub(super) fn section<'a>(self, section: &'a [u8], most: usize) -> Result<Cow<'a, [u8]>, Fault> {
        if self.kind == CompressionKind::None {
            return Ok(Cow::Borrowed(section));
        }
        let mut plain = Vec::new();
        let mut splitter = Splitter::default();
        splitter.push(&mut Inflater::new(self), section, |bytes| {
            if plain.len() + bytes.len() > most {
                return Err("it inflates to more than is taken");
            }
            plain.extend_from_slice(bytes);
            Ok(())
        })?;
        splitter.end()?;
        Ok(Cow::Owned(plain))
    }
}

/// Inflates blocks, one at a time.
pub(super) struct Inflater {
    blocks: Blocks,
    /// The last block that was inflated.
    plain: Vec<u8>,
    deflate: Option<Decompress>,
    zstd: Option<zstd::bulk::Decompressor<'static>>,
}

impl Inflater {
    pub(super) const fn new(blocks: Blocks) -> Self {
        Self {
            blocks,
            plain: Vec::new(),
            deflate: None,
            zstd: None,
        }
    }

    /// How many bytes are held.
    pub(super) const fn held(&self) -> usize {
        self.plain.capacity()
    }

    fn inflate(&mut self, block: &[u8]) -> Result<&[u8], Fault> {
        const CORRUPT: Fault = "a compression block is corrupt";
        let size = self.blocks.size;
        if self.plain.len() != size {
            // Exactly as long as needed.
            self.plain = vec![0; size];
        }
        let length = match self.blocks.kind {
            CompressionKind::None => return Err(CORRUPT),
            CompressionKind::Zlib => {
                let inflate = self.deflate.get_or_insert_with(|| Decompress::new(false));
                inflate.reset(false);
                let status = inflate.decompress(block, &mut self.plain, FlushDecompress::Finish);
                if !matches!(status, Ok(Status::StreamEnd)) || inflate.total_in() != block.len() as u64 {
                    return Err(CORRUPT);
                }
                inflate.total_out() as usize
            }
            CompressionKind::Snappy => {
                let length = snap::raw::decompress_len(block).map_err(|_| CORRUPT)?;
                let plain = self.plain.get_mut(..length).ok_or(CORRUPT)?;
                snap::raw::Decoder::new()
                    .decompress(block, plain)
                    .map_err(|_| CORRUPT)?
            }
            CompressionKind::Lzo => {
                self.plain = lzokay_native::decompress_all(block, None).map_err(|_| CORRUPT)?;
                if self.plain.len() > size {
                    return Err(CORRUPT);
                }
                return Ok(&self.plain);
            }
            CompressionKind::Lz4 => lz4_flex::block::decompress_into(block, &mut self.plain).map_err(|_| CORRUPT)?,
            CompressionKind::Zstd => {
                let zstd = match &mut self.zstd {
                    Some(zstd) => zstd,
                    none => none.insert(zstd::bulk::Decompressor::new().map_err(|_| CORRUPT)?),
                };
                zstd.decompress_to_buffer(block, self.plain.as_mut_slice())
                    .map_err(|_| CORRUPT)?
            }
        };
        self.plain.get(..length).ok_or(CORRUPT)
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("blocks", &self.blocks)
            .finish_non_exhaustive()
    }
}

/// Cuts a section, whose bytes come in pieces, into its blocks.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// The beginning of an unfinished block.
    carry: Vec<u8>,
}

impl Splitter {
    /// Hands on the blocks that are complete with the next bytes.
    pub(super) fn push(
        &mut self,
        inflater: &mut Inflater,
        mut bytes: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if inflater.blocks.kind == CompressionKind::None {
            return sink(bytes);
        }
        while !bytes.is_empty() {
            if self.carry.is_empty()
                && let Some((header, rest)) = bytes.split_first_chunk()
            {
                let (length, original) = inflater.blocks.header(*header)?;
                if let Some((block, rest)) = rest.split_at_checked(length) {
                    sink(if original { block } else { inflater.inflate(block)? })?;
                    bytes = rest;
                    continue;
                }
            }
            let whole = match self.carry.first_chunk() {
                Some(header) => HEADER + inflater.blocks.header(*header)?.0,
                None => HEADER,
            };
            let taken = bytes.len().min(whole - self.carry.len());
            self.carry.reserve_exact(whole - self.carry.len());
            self.carry.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if let Some((header, block)) = self.carry.split_first_chunk() {
                let (length, original) = inflater.blocks.header(*header)?;
                if block.len() == length {
                    sink(if original { block } else { inflater.inflate(block)? })?;
                    self.carry.clear();
                }
            }
        }
        Ok(())
    }

    /// Must be called at the end of the section.
    pub(super) fn end(&self) -> Result<(), Fault> {
        if self.carry.is_empty() {
            return Ok(());
        }
        Err("a compression block is cut off")
    }

    /// How many bytes are held.
    pub(super) const fn held(&self) -> usize {
        self.carry.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(kind: CompressionKind) -> Blocks {
        Blocks { kind, size: 16 }
    }

    #[test]
    fn sections_are_cut_into_blocks() {
        let stored = [[5, 0, 0].as_slice(), b"ab", &[1, 0, 0], &[3, 0, 0], b"c"].concat();
        for size in 1..=stored.len() {
            let mut inflater = Inflater::new(blocks(CompressionKind::Zlib));
            let (mut splitter, mut plain) = (Splitter::default(), Vec::new());
            for piece in stored.chunks(size) {
                let sink = |bytes: &[u8]| {
                    plain.extend_from_slice(bytes);
                    Ok(())
                };
                splitter.push(&mut inflater, piece, sink).unwrap();
            }
            splitter.end().unwrap();
            assert_eq!(plain, b"abc");
        }
        assert_eq!(
            blocks(CompressionKind::Zlib).section(&stored, 2),
            Err("it inflates to more than is taken")
        );
    }

    #[test]
    fn a_cut_oversized_or_corrupt_block_is_a_fault() {
        let section = |kind, bytes: &[u8]| blocks(kind).section(bytes, 100).map(Cow::into_owned);
        assert_eq!(section(CompressionKind::Zlib, &[]), Ok(vec![]));
        for (bytes, fault) in [
            (&[3, 0][..], "a compression block is cut off"),
            (&[5, 0, 0, 1], "a compression block is cut off"),
            (
                &[[35, 0, 0].as_slice(), &[0; 17]].concat(),
                "a compression block is longer than the file's block size",
            ),
            (&[4, 0, 0, 0xff, 0xff], "a compression block is corrupt"),
        ] {
            assert_eq!(section(CompressionKind::Zlib, bytes), Err(fault));
        }
        // A block that says that it inflates to 17 bytes.
        let long = [8, 0, 0, 17, 0, b'a', 0];
        assert_eq!(
            section(CompressionKind::Snappy, &long),
            Err("a compression block is corrupt")
        );
    }

    #[test]
    fn no_block_inflates_to_more_than_the_block_size() {
        use std::io::Write;
        for (length, fits) in [(16, true), (17, false)] {
            let plain = vec![b'a'; length];
            let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            deflate.write_all(&plain).unwrap();
            let zstd = zstd::bulk::compress(&plain, 1).unwrap();
            let snappy = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
            for (kind, block) in [
                (CompressionKind::Zlib, deflate.finish().unwrap()),
                (CompressionKind::Zstd, zstd),
                (CompressionKind::Snappy, snappy),
                // A literal, a match, and a last literal.
                (
                    CompressionKind::Lz4,
                    [&[0x11 + length as u8 - 13][..], b"a", &[1, 0, 0x70], b"aaaaaaa"].concat(),
                ),
                (CompressionKind::Lzo, lzokay_native::compress(&plain).unwrap()),
            ] {
                // The block size of the file bounds stored blocks, too.
                let blocks = Blocks { kind, size: 16 };
                let result = Inflater::new(blocks).inflate(&block).map(<[u8]>::to_vec);
                assert_eq!(result.is_ok(), fits, "{kind:?} {length}: {result:?}");
                if fits {
                    assert_eq!(result.unwrap(), plain, "{kind:?}");
                }
            }
        }
    }
}
