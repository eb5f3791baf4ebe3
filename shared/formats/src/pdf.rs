//! PDF: the structure of the file and the number of its pages.
//!
//! What must stay true: the file begins with a header and ends with `%%EOF`; the last `startxref` before that leads to
//! a cross-reference table or stream; the page tree has as many pages as its root says, at least one; and every
//! deflated stream inflates to its end, by its own checksum. Whatever a document of more than [`MAX_DOCUMENT`] bytes
//! holds between its ends is not looked at, and its pages stay uncounted.
//!
//! Memory: the document, at most [`MAX_DOCUMENT`] bytes, and of its object streams what the PDF crate inflates, which
//! is bounded by [`MAX_OBJECTS`] as far as these streams name themselves as the specification says.
//!
//! What this cannot see: PDF has no checksum of the whole, so a flipped bit outside of a deflated stream may change
//! what a page shows.

use std::{fmt, sync::Arc};

use flate2::{Decompress, FlushDecompress, Status};
use hayro_syntax::{
    DecryptionError, LoadPdfError, Pdf,
    object::{Dict, Object, Stream},
};
use memchr::memmem;

use super::{Decoded, Decoder, Defect, Document, Framed, panics::caught};

/// The largest document that is looked at as a whole.
pub const MAX_DOCUMENT: u64 = 64 * 1024 * 1024;
/// The most that the object streams of a document may inflate to together.
pub const MAX_OBJECTS: u64 = 128 * 1024 * 1024;
/// How much of the end of a file is needed to open it.
pub const PDF_TAIL: u64 = 4 * 1024;

pub(super) const HEADER: &[u8] = b"%PDF-";
pub(super) const NO_HEADER: &str = "does not begin with a PDF header";
const EOF: &[u8] = b"%%EOF";
const STARTXREF: &[u8] = b"startxref";
/// Bytes by which a cross-reference section is recognised.
const SECTION: u64 = 64;
/// How far behind its name an object stream's data begin, at the most.
const DICTIONARY: usize = 4 * 1024;

/// Decodes PDF.
pub struct PdfDecoder {
    size: u64,
    /// Where the last cross-reference section begins.
    section_at: u64,
    section: Vec<u8>,
    header: Vec<u8>,
    /// The document; `None` if it is too large.
    whole: Option<Vec<u8>>,
    offset: u64,
}

impl PdfDecoder {
    /// Opens a file of `size` bytes by its last bytes, at least [`PDF_TAIL`] of them if there are so many.
    pub fn open(size: u64, tail: &[u8]) -> Result<Box<Self>, Defect> {
        let end = memmem::rfind(tail, EOF)
            .ok_or_else(|| Defect::new("has no %%EOF at its end: it is cut off, or not PDF").at(size))?;
        let padding = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
        if !tail[end + EOF.len()..].iter().all(padding) {
            return Err(
                Defect::new("has something behind its last %%EOF: it is cut off, or was appended to")
                    .at(size - (tail.len() - end - EOF.len()) as u64),
            );
        }
        let unreadable = || Defect::new("has no readable startxref before its last %%EOF").at(size);
        let start = memmem::rfind(&tail[..end], STARTXREF).ok_or_else(unreadable)?;
        let number = tail[start + STARTXREF.len()..end].trim_ascii();
        let section_at: u64 = std::str::from_utf8(number)
            .ok()
            .and_then(|number| number.parse().ok())
            .ok_or_else(unreadable)?;
        if section_at >= size {
            return Err(Defect::new("has a startxref that leads beyond its end").at(size));
        }
        Ok(Box::new(Self {
            size,
            section_at,
            section: Vec::new(),
            header: Vec::new(),
            whole: (size <= MAX_DOCUMENT).then(Vec::new),
            offset: 0,
        }))
    }

    /// What the end of the file shows: that it is a document, whose pages were not counted.
    #[must_use]
    pub fn frame(&self) -> Framed {
        Framed {
            document: Some(Document { pages: None }),
            ..Framed::default()
        }
    }

    /// Bytes that are looked at only when it finishes.
    #[must_use]
    pub fn deferred(&self) -> u64 {
        if self.whole.is_some() { self.size } else { 0 }
    }

    /// The most bytes that this decoder holds, what the PDF crate makes of the document included.
    #[must_use]
    pub fn needs(&self) -> u64 {
        if self.whole.is_some() { 2 * self.size } else { 0 }
    }
}

/// Adds what of `chunk`, which begins at `offset`, lies in the `length` bytes from `start` on.
fn keep(kept: &mut Vec<u8>, start: u64, length: u64, offset: u64, chunk: &[u8]) {
    let from = start.clamp(offset, offset + chunk.len() as u64) - offset;
    let to = (start.saturating_add(length)).clamp(offset, offset + chunk.len() as u64) - offset;
    kept.extend_from_slice(&chunk[from as usize..to as usize]);
}

impl Decoder for PdfDecoder {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Defect> {
        keep(&mut self.header, 0, 8, self.offset, chunk);
        keep(&mut self.section, self.section_at, SECTION, self.offset, chunk);
        if let Some(whole) = &mut self.whole {
            if whole.capacity() == 0 {
                whole.reserve_exact(self.size as usize);
            }
            whole.extend_from_slice(chunk);
        }
        self.offset += chunk.len() as u64;
        Ok(())
    }

    fn finish(self) -> Result<Decoded, Defect> {
        if self.offset != self.size {
            return Err(Defect::new("ended before the size that it was opened with").at(self.offset));
        }
        if !self.header.starts_with(HEADER) {
            return Err(Defect::new(NO_HEADER).at(0));
        }
        if !is_section(&self.section) {
            return Err(
                Defect::new("has a startxref that leads to no cross-reference table or stream").at(self.section_at),
            );
        }
        let pages = match self.whole {
            Some(whole) => caught(|| count_pages(whole)).unwrap_or_else(|| Err(unreadable()))?,
            None => None,
        };
        Ok(Decoded {
            document: Some(Document { pages }),
            ..Decoded::default()
        })
    }

    fn held(&self) -> usize {
        self.whole.as_ref().map_or(0, Vec::capacity) + self.section.capacity() + self.header.capacity()
    }
}

fn unreadable() -> Defect {
    Defect::new("has PDF objects that cannot be read")
}

/// Whether these are the first bytes of a cross-reference table, or of an object, as its stream form is.
fn is_section(bytes: &[u8]) -> bool {
    let bytes = bytes.trim_ascii_start();
    if let Some(rest) = bytes.strip_prefix(b"xref") {
        return rest.first().is_some_and(u8::is_ascii_whitespace);
    }
    let mut words = bytes.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let number = |word: Option<&[u8]>| word.is_some_and(|word| word.iter().all(u8::is_ascii_digit));
    number(words.next()) && number(words.next()) && words.next().is_some_and(|word| word.starts_with(b"obj"))
}

/// The pages of a whole document; `None` if it is encrypted with a password.
fn count_pages(whole: Vec<u8>) -> Result<Option<u64>, Defect> {
    check_objects(&whole, MAX_OBJECTS)?;
    let pdf = match Pdf::new(Arc::new(whole)) {
        Ok(pdf) => pdf,
        Err(LoadPdfError::Decryption(DecryptionError::PasswordProtected)) => return Ok(None),
        Err(_) => return Err(unreadable()),
    };
    for object in pdf.objects() {
        if let Object::Stream(stream) = object {
            check_stream(&stream)?;
        }
    }
    let counted = pdf.pages().len() as u64;
    let promised = pdf
        .xref()
        .get::<Dict<'_>>(pdf.xref().root_id())
        .and_then(|catalog| catalog.get::<Dict<'_>>(b"Pages"))
        .and_then(|pages| pages.get::<u32>(b"Count"));
    match promised.map(u64::from) {
        None => Err(Defect::new("has no page tree that its trailer leads to")),
        Some(promised) if promised != counted => Err(Defect::new(format!(
            "has {counted} pages that can be read, its page tree says {promised}"
        ))),
        Some(0) => Err(Defect::new("has no page")),
        Some(_) => Ok(Some(counted)),
    }
}

/// Inflates a stream whose first filter deflates.
fn check_stream(stream: &Stream<'_>) -> Result<(), Defect> {
    if stream.filters().first() != Some(&hayro_syntax::Filter::FlateDecode) {
        return Ok(());
    }
    let mut room = u64::MAX;
    match inflate(&stream.raw_data(), &mut room) {
        Inflated::Whole | Inflated::Large => Ok(()),
        Inflated::Corrupt => Err(Defect::new(format!(
            "has a corrupt stream in object {}",
            stream.obj_id().obj_number
        ))),
    }
}

/// Refuses object and cross-reference streams that inflate to more than is held: the PDF crate holds them.
fn check_objects(whole: &[u8], most: u64) -> Result<(), Defect> {
    let mut room = most;
    for name in [&b"/ObjStm"[..], b"/XRef"] {
        let mut last = None;
        for at in memmem::find_iter(whole, name) {
            let near = &whole[at..whole.len().min(at + DICTIONARY)];
            let Some(data) = memmem::find(near, b"stream") else {
                continue;
            };
            let data = at + data + b"stream".len();
            // Any number of names may stand before one stream, which is inflated but once.
            if last.replace(data) == Some(data) {
                continue;
            }
            if let Inflated::Large = inflate(whole[data..].trim_ascii_start(), &mut room) {
                return Err(Defect::new(format!(
                    "has object streams that inflate to more than {} MiB, the most that is taken",
                    most >> 20
                ))
                .at(at as u64));
            }
        }
    }
    Ok(())
}

enum Inflated {
    Whole,
    Corrupt,
    Large,
}

/// Inflates without keeping anything, as far as there is room.
fn inflate(data: &[u8], room: &mut u64) -> Inflated {
    let mut scratch = [0; 16 * 1024];
    let mut inflate = Decompress::new(true);
    loop {
        let (read, written) = (inflate.total_in(), inflate.total_out());
        let result = inflate.decompress(&data[read as usize..], &mut scratch, FlushDecompress::None);
        let new = inflate.total_out() - written;
        let Some(rest) = room.checked_sub(new) else {
            return Inflated::Large;
        };
        *room = rest;
        match result {
            Ok(Status::StreamEnd) => return Inflated::Whole,
            Ok(_) if new > 0 || inflate.total_in() > read => {}
            _ => return Inflated::Corrupt,
        }
    }
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

#[cfg(test)]
mod tests {
    use lopdf::{Object as Item, SaveOptions, dictionary};
    use proptest::prelude::*;

    use super::*;

    /// A document by another writer.
    fn document(pages: usize, modern: bool) -> Vec<u8> {
        let mut document = lopdf::Document::with_version("1.7");
        let tree = document.new_object_id();
        let kids: Vec<Item> = (0..pages)
            .map(|number| {
                let text = format!("BT /F1 12 Tf 72 720 Td (Page {number}) Tj ET ").repeat(20);
                let mut stream = lopdf::Stream::new(dictionary! {}, text.into_bytes());
                stream.compress().unwrap();
                let content = document.add_object(stream);
                let page = dictionary! {
                    "Type" => "Page", "Parent" => tree, "Contents" => content,
                    "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
                };
                document.add_object(page).into()
            })
            .collect();
        let count = kids.len() as i64;
        document.set_object(
            tree,
            dictionary! { "Type" => "Pages", "Kids" => kids, "Count" => count },
        );
        let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
        document.trailer.set("Root", catalog);
        let mut bytes = Vec::new();
        if !modern {
            document.reference_table.cross_reference_type = lopdf::xref::XrefType::CrossReferenceTable;
            document.save_to(&mut bytes).unwrap();
            return bytes;
        }
        let options = SaveOptions::builder()
            .use_object_streams(true)
            .use_xref_streams(true)
            .build();
        document.save_with_options(&mut bytes, options).unwrap();
        bytes
    }

    fn in_chunks(bytes: &[u8], size: usize) -> Result<Decoded, Defect> {
        let tail = &bytes[bytes.len() - bytes.len().min(PDF_TAIL as usize)..];
        let mut decoder = PdfDecoder::open(bytes.len() as u64, tail)?;
        for chunk in bytes.chunks(size) {
            decoder.push(chunk)?;
        }
        decoder.finish()
    }

    fn run(bytes: &[u8]) -> Result<Decoded, Defect> {
        in_chunks(bytes, usize::MAX)
    }

    #[test]
    fn the_end_shows_a_document_without_its_pages() {
        let decoder = PdfDecoder::open(30, b"%PDF-1.7 startxref\n9\n%%EOF\n").unwrap();
        assert_eq!(decoder.frame().document, Some(Document { pages: None }));
        assert_eq!(decoder.frame().rows, None);
    }

    fn pages(bytes: &[u8]) -> Option<u64> {
        run(bytes).unwrap().document.unwrap().pages
    }

    fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
        let at =
            memmem::rfind(bytes, from).unwrap_or_else(|| panic!("{} in {}", from.escape_ascii(), bytes.escape_ascii()));
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    }

    #[test]
    fn pages_are_counted() {
        for modern in [false, true] {
            assert_eq!(pages(&document(1, modern)), Some(1));
            assert_eq!(pages(&document(40, modern)), Some(40));
            assert!(run(&document(0, modern)).is_err());
        }
        assert_eq!(run(&document(2, false)).unwrap().rows, 0);
    }

    #[test]
    fn a_file_cut_off_anywhere_is_found() {
        for modern in [false, true] {
            let bytes = document(2, modern);
            let eof = memmem::rfind(&bytes, EOF).unwrap() + EOF.len();
            for end in 0..bytes.len() {
                // The line break behind the end of the file is all that may be missing.
                assert_eq!(run(&bytes[..end]).is_err(), end < eof, "{end}");
            }
        }
    }

    #[test]
    fn names_what_is_wrong() {
        let bytes = document(2, false);
        for (from, to, what) in [
            (&b"startxref"[..], &b"startxxxx"[..], "no readable startxref"),
            (b"startxref\n", b"startxref\n9", "beyond its end"),
            (b"xref\n0 ", b"xxxx\n0 ", "leads to no cross-reference"),
            (b"/Count 2", b"/Count 3", "its page tree says 3"),
            (b"%PDF-", b"%PDX-", "does not begin with a PDF header"),
        ] {
            let found = run(&replaced(&bytes, from, to)).unwrap_err().to_string();
            assert!(found.contains(what), "{found}");
        }
        let appended = [bytes.as_slice(), b"x"].concat();
        assert!(run(&appended).unwrap_err().what.contains("behind its last %%EOF"));
        assert!(run(b"id,name\n").unwrap_err().what.contains("no %%EOF"));
        assert!(run(b"").is_err());
        let padded = [bytes.as_slice(), &[0; 100]].concat();
        assert_eq!(pages(&padded), Some(2));
    }

    #[test]
    fn a_flipped_byte_of_a_stream_is_found() {
        let bytes = document(1, false);
        let begin = memmem::find(&bytes, b"stream\n").unwrap() + 7;
        let end = memmem::find(&bytes, b"\nendstream").unwrap();
        for at in begin..end {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert!(run(&flipped).is_err(), "{at}");
        }
    }

    #[test]
    fn a_large_document_is_held_to_its_structure() {
        let (bytes, middle) = (document(1, false), vec![b' '; 1 << 20]);
        let eof = memmem::rfind(&bytes, b"startxref").unwrap();
        let size = bytes.len() as u64 + 65 * middle.len() as u64;
        // Padding before the end, so that no offset changes.
        let mut decoder = PdfDecoder::open(size, &[&[b' '; 4096][..], &bytes[eof..]].concat()).unwrap();
        decoder.push(&bytes[..eof]).unwrap();
        for _ in 0..65 {
            decoder.push(&middle).unwrap();
            assert!(decoder.held() < 1024);
        }
        decoder.push(&bytes[eof..]).unwrap();
        assert_eq!(decoder.finish().unwrap().document, Some(Document { pages: None }));
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &vec![b'1'; 3 << 20]).unwrap();
        let data = encoder.finish().unwrap();
        let head = b"1 0 obj\n<</Type/ObjStm/Filter/FlateDecode>>stream\r\n";
        let bytes = [&head[..], &data, b"\nendstream"].concat();
        assert!(check_objects(&bytes, 3 << 20).is_ok());
        let found = check_objects(&bytes, 2 << 20).unwrap_err().to_string();
        assert!(found.contains("more than 2 MiB"), "{found}");
        // Two of them share the room.
        assert!(check_objects(&bytes.repeat(2), 5 << 20).is_err());
        // Many names before one stream take its room once.
        let names = [b"/ObjStm ".repeat(100).as_slice(), &bytes].concat();
        assert!(check_objects(&names, 3 << 20).is_ok());
        assert!(check_objects(&names, 2 << 20).is_err());
    }

    #[test]
    fn deep_nesting_does_not_overflow() {
        let bytes = document(1, false);
        for open in ["[", "<</a "] {
            let nested = format!("/Kids{}", open.repeat(200_000));
            let _ = run(&replaced(&bytes, b"/Kids", nested.as_bytes()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn chunks_do_not_matter(
            size in 1usize..700,
            modern in any::<bool>(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = document(3, modern);
            for (index, byte) in flips {
                let index = index.index(bytes.len());
                bytes[index] ^= byte;
            }
            prop_assert_eq!(in_chunks(&bytes, size), run(&bytes));
        }
    }
}
