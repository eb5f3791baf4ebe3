//! Takes the bytes of a document, and looks through it when all of them have come.
//!
//! What must stay true: the file must end where the document ends, so that a file that was cut off is refused before it
//! is read. White space and zeros may be before its header or after its end; anything else gets a remark or is a
//! defect.

use std::fmt;

use bytes::Bytes;
use memchr::memmem;

use super::{lexer::is_space, look::look};
use crate::{
    decoded::{Decoded, Document, Framed},
    decoder::{Begin, Decoder, Opened, bytes_before_header},
    defect::Defect,
    panics::caught,
    remark::{Remark, Remarks},
};

/// The largest document that is looked through as a whole.
pub(super) const MAX_DOCUMENT: u64 = 64 * 1024 * 1024;
/// How much white space or zeros may follow the end.
const MAX_PADDING: u64 = 16 * 1024 * 1024;
/// How many bytes before that are needed to read the end.
const END: u64 = 4 * 1024;
/// Readers look for the header within this many bytes.
pub(crate) const HEADER_WITHIN: u64 = 1024;

pub(crate) const HEADER: &[u8] = b"%PDF-";
const NO_HEADER: &str = "does not begin with a PDF header";
const EOF: &[u8] = b"%%EOF";
const STARTXREF: &[u8] = b"startxref";
/// How many bytes are used to recognise a cross-reference section.
const SECTION: u64 = 64;

/// Decodes PDF.
pub struct PdfDecoder {
    size: u64,
    /// Where the last cross-reference section begins.
    section_at: u64,
    /// The section's first bytes, and as many more as may come before the header.
    section: Vec<u8>,
    header: Vec<u8>,
    /// The document; `None` if it is too large.
    whole: Option<Vec<u8>>,
    offset: u64,
    remarks: Remarks,
}

impl PdfDecoder {
    /// Opens a file of `size` bytes from its last bytes, those from `tail_start` on.
    pub fn open(size: u64, tail_start: u64, tail: &Bytes) -> Result<Opened<Self>, Defect> {
        let is_padding = |byte: &u8| is_space(*byte);
        let used = tail
            .iter()
            .rposition(|byte| !is_padding(byte))
            .map_or(0, |last| last + 1);
        let held = tail.len() as u64;
        if tail_start > 0 && (used as u64) < END.min(held) {
            if held >= MAX_PADDING {
                return Err(Defect::new(format!(
                    "has more than {} MiB of white space or zeros at its end",
                    MAX_PADDING >> 20
                )));
            }
            return Ok(Opened::Needs(size.saturating_sub((16 * held).clamp(END, MAX_PADDING))));
        }
        let mut remarks = Remarks::default();
        let end = Self::end(size, &tail[..used])?;
        if end.marks > 1 {
            remarks.add(Remark::new(format!("has {} marks of its end", end.marks)));
        }
        if tail[used..].contains(&0) {
            let zeros = tail.len() - used;
            remarks.add(Remark::new(format!("has {zeros} bytes of zeros behind its end")).at(tail_start + used as u64));
        }
        Ok(Opened::Ready(Box::new(Self {
            size,
            section_at: end.section_at,
            section: Vec::new(),
            header: Vec::new(),
            whole: (size <= MAX_DOCUMENT).then(Vec::new),
            offset: 0,
            remarks,
        })))
    }

    /// Reads the end of a document. Nothing may follow it in `tail`.
    fn end(size: u64, tail: &[u8]) -> Result<End, Defect> {
        let mut rest = tail;
        let mut marks = 0;
        while let Some(before) = rest.strip_suffix(EOF) {
            marks += 1;
            rest = trim_end(before);
        }
        if marks == 0 {
            return Err(match memmem::rfind(tail, EOF) {
                Some(end) => Defect::new("has something behind its last %%EOF: it is cut off, or was appended to")
                    .at(size - (tail.len() - end - EOF.len()) as u64),
                None => Defect::new("has no %%EOF at its end: it is cut off, or not PDF").at(size),
            });
        }
        let unreadable = || Defect::new("has no readable startxref before its last %%EOF").at(size);
        let start = memmem::rfind(rest, STARTXREF).ok_or_else(unreadable)?;
        let number = rest[start + STARTXREF.len()..].trim_ascii();
        let section_at: u64 = std::str::from_utf8(number)
            .ok()
            .and_then(|number| number.parse().ok())
            .ok_or_else(unreadable)?;
        if section_at >= size {
            return Err(Defect::new("has a startxref that leads beyond its end").at(size));
        }
        Ok(End { section_at, marks })
    }
}

/// What the end of a document says.
struct End {
    section_at: u64,
    marks: usize,
}

/// Keeps the bytes of `chunk`, which begins at `offset`, that are within `length` bytes from `start` on.
fn keep(kept: &mut Vec<u8>, start: u64, length: u64, offset: u64, chunk: &[u8]) {
    let from = start.clamp(offset, offset + chunk.len() as u64) - offset;
    let to = (start.saturating_add(length)).clamp(offset, offset + chunk.len() as u64) - offset;
    kept.extend_from_slice(&chunk[from as usize..to as usize]);
}

impl Decoder for PdfDecoder {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Defect> {
        let header = HEADER_WITHIN + HEADER.len() as u64;
        keep(&mut self.header, 0, header, self.offset, chunk);
        keep(&mut self.section, self.section_at, SECTION + header, self.offset, chunk);
        if let Some(whole) = &mut self.whole {
            if whole.capacity() == 0 {
                whole.reserve_exact(self.size as usize);
            }
            whole.extend_from_slice(chunk);
        }
        self.offset += chunk.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Decoded, Defect> {
        if self.offset != self.size {
            return Err(Defect::new("ended before the size that it was opened with").at(self.offset));
        }
        let before = memmem::find(&self.header, HEADER).ok_or_else(|| Defect::new(NO_HEADER).at(0))?;
        let mut remarks = self.remarks;
        if before > 0 {
            remarks.add(bytes_before_header(before));
        }
        // Offsets count from the header or from the beginning of the file.
        let from_header = self.section.get(before..).is_some_and(is_section);
        if !from_header && !is_section(&self.section) {
            return Err(
                Defect::new("has a startxref that leads to no cross-reference table or stream").at(self.section_at),
            );
        }
        let begin = if from_header { before } else { 0 };
        let mut pages = None;
        if let Some(whole) = self.whole {
            let looked = caught(|| look(&whole[begin..], self.section_at));
            let (counted, mended) =
                looked.unwrap_or_else(|| Err(Defect::new("has PDF objects that cannot be read")))?;
            pages = counted;
            for what in mended {
                remarks.add(Remark::new(what));
            }
        }
        Ok(Decoded {
            document: Some(Document { pages }),
            remarks,
            ..Decoded::default()
        })
    }

    fn held(&self) -> usize {
        self.whole.as_ref().map_or(0, Vec::capacity) + self.section.capacity() + self.header.capacity()
    }

    /// With what is made of the document.
    fn needs(&self, size: u64) -> u64 {
        if self.whole.is_some() { 2 * size } else { 0 }
    }

    fn deferred(&self) -> u64 {
        if self.whole.is_some() { self.size } else { 0 }
    }

    fn begin(&self) -> Option<Begin> {
        Some(Begin {
            within: 0..self.size.min(HEADER_WITHIN + HEADER.len() as u64),
            magic: HEADER,
            lacking: NO_HEADER,
        })
    }

    /// What the end of the file shows: that it is a document. Its pages are not counted.
    fn frame(&self) -> Framed {
        Framed {
            document: Some(Document { pages: None }),
            remarks: self.remarks.clone(),
            ..Framed::default()
        }
    }
}

/// Whether these are the first bytes of a cross-reference table, or of an object, which may be a cross-reference
/// stream.
fn is_section(bytes: &[u8]) -> bool {
    let bytes = trim_start(bytes);
    let bytes = &bytes[..bytes.len().min(SECTION as usize)];
    if let Some(rest) = bytes.strip_prefix(b"xref") {
        return rest.first().is_some_and(u8::is_ascii_whitespace);
    }
    let mut words = bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let number = |word: Option<&[u8]>| word.is_some_and(|word| word.iter().all(u8::is_ascii_digit));
    number(words.next()) && number(words.next()) && words.next().is_some_and(|word| word.starts_with(b"obj"))
}

fn trim_start(bytes: &[u8]) -> &[u8] {
    let space = bytes
        .iter()
        .take(SECTION as usize)
        .take_while(|byte| is_space(**byte))
        .count();
    &bytes[space..]
}

fn trim_end(bytes: &[u8]) -> &[u8] {
    let space = bytes.iter().rev().take_while(|byte| is_space(**byte)).count();
    &bytes[..bytes.len() - space]
}

impl fmt::Debug for PdfDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PdfDecoder")
            .field("size", &self.size)
            .field("section_at", &self.section_at)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}
