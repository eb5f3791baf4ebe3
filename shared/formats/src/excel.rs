//! Excel workbooks (XLSX): a zip archive of XML parts, decoded while its bytes pass once, in order.
//!
//! What must stay true: every entry of the archive is inflated to its end and is of its checksum and length; every XML
//! part is well-formed to its end; the content types, the workbook and each of its sheets are there; rows are counted
//! in the XML of the sheets. The archive's directory is read first, because it says where the entries lie; all else is
//! taken in the order of the file, so that one download serves decoding and the checksum.
//!
//! A row is a `row` element with at least one cell, in any sheet. Rows of headings are counted like all others: a
//! workbook does not say which they are.
//!
//! Memory: the directory, of which at most [`MAX_DIRECTORY`] bytes and [`MAX_ENTRIES`] entries are taken, one piece of
//! markup of at most [`MAX_MARKUP`] bytes, at most 8 MiB of links from the workbook to its sheets, and a scratch of
//! 64 KiB. However much a few bytes inflate to, it passes through the scratch.
//!
//! What this cannot see: values are not held against their types, and shared strings not against their table.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fmt, io,
};

use bytes::Bytes;
use flate2::{Crc, Decompress, FlushDecompress, Status};
use quick_xml::{
    Reader,
    errors::IllFormedError,
    events::{BytesStart, Event},
};
use rawzip::{CompressionMethod, ReaderAt, ZipLocator};

use super::{Decoded, Decoder, Defect, Framed, Opened, panics::caught};

/// The largest directory of an archive that is taken, in bytes.
pub const MAX_DIRECTORY: u64 = 16 * 1024 * 1024;
/// The most entries of an archive that are taken.
pub const MAX_ENTRIES: usize = 10_000;
/// The longest piece of markup or text that is taken, in bytes. A cell holds at most 32,767 characters.
pub const MAX_MARKUP: usize = 1024 * 1024;

/// Inflated bytes that are passed on at once.
const SCRATCH: usize = 64 * 1024;
/// The fixed part of an entry's own header.
const LOCAL_HEADER: usize = 30;
pub(super) const LOCAL_MAGIC: &[u8] = b"PK\x03\x04";
pub(super) const NO_HEADER: &str = "does not begin with the header of a zip entry";
/// The deepest nesting of elements that is taken.
const MAX_DEPTH: usize = 256;
/// The longest name of an element or entry that is taken, in bytes.
const MAX_NAME: usize = 1024;
/// The most that is kept of sheets, relations to them and types of parts, in bytes: with usual names more than enough
/// for [`MAX_ENTRIES`] of each.
const MAX_LINKED: usize = 8 * 1024 * 1024;
/// What one of them takes beside its texts.
const LINK: usize = 96;
const CONTENT_TYPES: &str = "[Content_Types].xml";
const ROOT_RELATIONS: &str = "_rels/.rels";

/// Decodes XLSX.
pub struct ExcelDecoder {
    entries: Vec<Entry>,
    /// The entry that is awaited or being read.
    current: usize,
    state: State,
    scratch: Box<[u8]>,
    book: Book,
    /// Offset of the next byte to be pushed.
    offset: u64,
    size: u64,
}

#[derive(Debug)]
struct Entry {
    name: String,
    header: u64,
    compressed: u64,
    size: u64,
    crc: u32,
    deflated: bool,
}

enum State {
    /// Until the header of the current entry.
    Between,
    Header(Vec<u8>),
    /// Bytes of the name and the extra fields that are left.
    Names(u64),
    Data(Box<Part>),
}

/// An entry whose data are being read.
struct Part {
    left: u64,
    inflate: Option<Decompress>,
    ended: bool,
    crc: Crc,
    length: u64,
    xml: Option<Xml>,
}

impl ExcelDecoder {
    /// Opens a file of `size` bytes by its last bytes, those from `tail_start` on.
    pub fn open(size: u64, tail_start: u64, tail: &Bytes) -> Result<Opened<Self>, Defect> {
        let window = Window {
            start: tail_start,
            bytes: tail.clone(),
            missed: Cell::new(u64::MAX),
        };
        let result =
            caught(|| read_directory(size, &window)).unwrap_or_else(|| Err(Defect::new("has a corrupt zip directory")));
        let missed = window.missed.get();
        if missed < tail_start {
            if size - missed > MAX_DIRECTORY {
                return Err(Defect::new(format!(
                    "has a zip directory of more than {} MiB, the most that is taken, or one that is corrupt",
                    MAX_DIRECTORY >> 20
                )));
            }
            return Ok(Opened::Needs(missed));
        }
        let entries = result?;
        check_parts(&entries)?;
        Ok(Opened::Ready(Box::new(Self {
            entries,
            current: 0,
            state: State::Between,
            scratch: vec![0; SCRATCH].into_boxed_slice(),
            book: Book::default(),
            offset: 0,
            size,
        })))
    }

    /// What the directory shows: nothing but that the parts of a workbook are there, without which it does not open.
    #[must_use]
    pub fn frame(&self) -> Framed {
        Framed::default()
    }

    /// Where the first part begins.
    #[must_use]
    pub fn begin(&self) -> u64 {
        self.entries.first().map_or(0, |entry| entry.header)
    }

    /// The most bytes that this decoder holds beside the directory.
    #[must_use]
    pub const fn needs(&self) -> u64 {
        // The markup may lie at the end of a buffer that doubles.
        (2 * MAX_MARKUP + MAX_LINKED + SCRATCH) as u64
    }

    /// Takes the header of the current entry.
    fn header(&mut self, header: &[u8]) -> Result<State, Defect> {
        let entry = &self.entries[self.current];
        let number = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
        let method = if entry.deflated { 8 } else { 0 };
        if !header.starts_with(LOCAL_MAGIC) || number(8) != method {
            return Err(entry
                .defect("has another header than the zip directory says")
                .at(entry.header));
        }
        let names = u64::from(number(26)) + u64::from(number(28));
        let end = entry.header + LOCAL_HEADER as u64 + names;
        let next = self.entries.get(self.current + 1).map_or(self.size, |next| next.header);
        if end.checked_add(entry.compressed).is_none_or(|end| end > next) {
            return Err(entry.defect("lies over what follows it").at(entry.header));
        }
        Ok(if names > 0 {
            State::Names(names)
        } else {
            self.begin_data()
        })
    }

    fn begin_data(&self) -> State {
        let entry = &self.entries[self.current];
        let name = entry.name.to_ascii_lowercase();
        State::Data(Box::new(Part {
            left: entry.compressed,
            inflate: entry.deflated.then(|| Decompress::new(false)),
            ended: false,
            crc: Crc::new(),
            length: 0,
            xml: (name.ends_with(".xml") || name.ends_with(".rels")).then(Xml::default),
        }))
    }

    fn data(&mut self, part: &mut Part, mut bytes: &[u8]) -> Result<(), Defect> {
        let entry = &self.entries[self.current];
        part.left -= bytes.len() as u64;
        let Some(inflate) = &mut part.inflate else {
            return part_bytes(&mut self.book, entry, part_of(part), bytes);
        };
        while !part.ended {
            let (read, written) = (inflate.total_in(), inflate.total_out());
            let result = inflate.decompress(bytes, &mut self.scratch, FlushDecompress::None);
            let read = (inflate.total_in() - read) as usize;
            let written = (inflate.total_out() - written) as usize;
            bytes = &bytes[read..];
            let sink = Sink {
                crc: &mut part.crc,
                length: &mut part.length,
                xml: &mut part.xml,
            };
            part_bytes(&mut self.book, entry, sink, &self.scratch[..written])?;
            match result {
                Ok(Status::StreamEnd) => part.ended = true,
                // A full scratch may leave some in the inflater.
                Ok(_) if bytes.is_empty() && written < self.scratch.len() => return Ok(()),
                Ok(_) if read > 0 || written > 0 => {}
                Ok(_) | Err(_) => return Err(entry.defect("cannot be inflated").at(entry.header)),
            }
        }
        if bytes.is_empty() {
            return Ok(());
        }
        Err(entry
            .defect("ends before the length that the zip directory says")
            .at(entry.header))
    }

    fn end_data(&mut self, part: Part) -> Result<(), Defect> {
        let entry = &self.entries[self.current];
        if part.inflate.is_some() && !part.ended {
            return Err(entry.defect("does not inflate to an end").at(entry.header));
        }
        if part.length != entry.size {
            return Err(entry.defect("is not of its length").at(entry.header));
        }
        if part.crc.sum() != entry.crc {
            return Err(entry.defect("is not of its checksum (CRC-32)").at(entry.header));
        }
        if let Some(xml) = part.xml {
            let root = xml.finish().map_err(|what| entry.defect(what).at(entry.header))?;
            self.book.parts.insert(entry.name.clone(), root);
        }
        self.current += 1;
        Ok(())
    }
}

/// Where the bytes of an entry go.
struct Sink<'a> {
    crc: &'a mut Crc,
    length: &'a mut u64,
    xml: &'a mut Option<Xml>,
}

fn part_of(part: &mut Part) -> Sink<'_> {
    Sink {
        crc: &mut part.crc,
        length: &mut part.length,
        xml: &mut part.xml,
    }
}

fn part_bytes(book: &mut Book, entry: &Entry, sink: Sink<'_>, bytes: &[u8]) -> Result<(), Defect> {
    // What is within its length goes first: what comes of it may not depend on where the bytes behind it begin.
    let within = (bytes.len() as u64).min(entry.size - *sink.length) as usize;
    let (bytes, beyond) = bytes.split_at(within);
    *sink.length += within as u64;
    sink.crc.update(bytes);
    if let Some(xml) = sink.xml {
        xml.push(bytes, &entry.name, book)
            .map_err(|what| entry.defect(what).at(entry.header))?;
    }
    if !beyond.is_empty() {
        return Err(entry.defect("is longer than the zip directory says").at(entry.header));
    }
    Ok(())
}

impl Entry {
    fn defect(&self, what: impl fmt::Display) -> Defect {
        Defect::new(format!("the part {} {what}", self.name.escape_debug()))
    }
}

impl Decoder for ExcelDecoder {
    fn push(&mut self, mut chunk: &[u8]) -> Result<(), Defect> {
        while !chunk.is_empty() {
            let taken = match std::mem::replace(&mut self.state, State::Between) {
                State::Between => {
                    let until = self.entries.get(self.current).map_or(u64::MAX, |entry| entry.header);
                    let taken = (chunk.len() as u64).min(until.saturating_sub(self.offset)) as usize;
                    if taken == 0 {
                        self.state = State::Header(Vec::with_capacity(LOCAL_HEADER));
                    }
                    taken
                }
                State::Header(mut header) => {
                    let taken = chunk.len().min(LOCAL_HEADER - header.len());
                    header.extend_from_slice(&chunk[..taken]);
                    self.state = if header.len() == LOCAL_HEADER {
                        self.header(&header)?
                    } else {
                        State::Header(header)
                    };
                    taken
                }
                State::Names(left) => {
                    let taken = left.min(chunk.len() as u64);
                    self.state = if taken == left {
                        self.begin_data()
                    } else {
                        State::Names(left - taken)
                    };
                    taken as usize
                }
                State::Data(mut part) => {
                    let taken = part.left.min(chunk.len() as u64) as usize;
                    self.data(&mut part, &chunk[..taken])?;
                    self.state = State::Data(part);
                    taken
                }
            };
            chunk = &chunk[taken..];
            self.offset += taken as u64;
            if let State::Data(part) = &self.state
                && part.left == 0
                && let State::Data(part) = std::mem::replace(&mut self.state, State::Between)
            {
                self.end_data(*part)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<Decoded, Defect> {
        if self.offset != self.size || self.current != self.entries.len() {
            return Err(Defect::new("ended before the size that it was opened with").at(self.offset));
        }
        Ok(Decoded {
            rows: self.book.rows()?,
            ..Decoded::default()
        })
    }

    fn held(&self) -> usize {
        let markup = match &self.state {
            State::Data(part) => part.xml.as_ref().map_or(0, |xml| xml.carry.capacity()),
            _ => 0,
        };
        self.scratch.len() + markup
    }
}

/// The end of a file, with the place of the file at which it begins.
struct Window {
    start: u64,
    bytes: Bytes,
    /// The first byte that was asked for and lies before it.
    missed: Cell<u64>,
}

impl ReaderAt for Window {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(from) = offset.checked_sub(self.start) else {
            self.missed.set(self.missed.get().min(offset));
            return Err(io::ErrorKind::NotFound.into());
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(self.bytes.len());
        let rest = &self.bytes[from..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

/// The entries of an archive in the order of the file.
fn read_directory(size: u64, window: &Window) -> Result<Vec<Entry>, Defect> {
    let corrupt = || Defect::new("has an unreadable zip directory");
    let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE.max(1 << 16)];
    // Its search goes backwards from the end, and is not to leave what was read.
    let archive = ZipLocator::new()
        .max_search_space(window.bytes.len() as u64)
        .locate_in_reader(window, &mut buffer, size)
        .map_err(|_| Defect::new("has no zip directory at its end: it is cut off, or no workbook").at(size))?;
    if archive.end_offset() != size {
        return Err(Defect::new("has something behind the end of its zip archive").at(archive.end_offset()));
    }
    if archive.directory_offset() < window.start {
        window.missed.set(window.missed.get().min(archive.directory_offset()));
        return Err(corrupt());
    }
    let promised = archive.entries_hint();
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    let mut entries = archive.entries(&mut buffer);
    while let Some(record) = entries.next_entry().map_err(|_| corrupt())? {
        if found.len() == MAX_ENTRIES {
            return Err(Defect::new(format!(
                "has more than {MAX_ENTRIES} parts, the most that are taken"
            )));
        }
        let path = record.file_path();
        let name = std::str::from_utf8(path.as_ref())
            .ok()
            .filter(|name| name.len() <= MAX_NAME)
            .ok_or_else(corrupt)?
            .to_owned();
        let deflated = match record.compression_method() {
            CompressionMethod::STORE => false,
            CompressionMethod::DEFLATE => true,
            _ => {
                return Err(Defect::new(
                    "has a part that is compressed by a method no workbook uses",
                ));
            }
        };
        if record.flags().is_encrypted() {
            return Err(Defect::new("has an encrypted part"));
        }
        if !names.insert(name.clone()) {
            return Err(Defect::new("has two parts of the same name"));
        }
        found.push(Entry {
            name,
            header: record.local_header_offset(),
            compressed: record.compressed_size_hint(),
            size: record.uncompressed_size_hint(),
            crc: record.crc32(),
            deflated,
        });
    }
    if found.len() as u64 != promised {
        return Err(Defect::new(format!(
            "has {} parts in its zip directory, which promises {promised}",
            found.len()
        )));
    }
    found.sort_by_key(|entry| entry.header);
    Ok(found)
}

/// Checks that a directory has the parts that a workbook begins with. Which part is the workbook only these parts say.
fn check_parts(entries: &[Entry]) -> Result<(), Defect> {
    let has = |name: &str| entries.iter().any(|entry| entry.name == name && entry.size > 0);
    if !has(CONTENT_TYPES) {
        return Err(Defect::new("has no part [Content_Types].xml, so it is no workbook"));
    }
    let other = |entry: &Entry| entry.name != CONTENT_TYPES && entry.name.to_ascii_lowercase().ends_with(".xml");
    if !has(ROOT_RELATIONS) || !entries.iter().any(other) {
        return Err(Defect::new(
            "has no workbook part that its content types and relations lead to",
        ));
    }
    Ok(())
}

/// XML whose bytes come in pieces.
#[derive(Default)]
struct Xml {
    /// What came behind the last whole piece of markup.
    carry: Vec<u8>,
    /// The names of the open elements, one behind the other, and where each begins.
    open: Vec<u8>,
    begins: Vec<usize>,
    /// The local name of the outermost element.
    root: Option<String>,
    rows: u64,
    /// Whether the open row has had a cell.
    counted: bool,
}

/// What a part was found to be.
#[derive(Debug)]
struct Root {
    name: String,
    rows: u64,
}

impl Xml {
    fn push(&mut self, bytes: &[u8], part: &str, book: &mut Book) -> Result<(), String> {
        // Markup ends with a bracket; what ends with one may be text or a comment all the same.
        let Some(last) = memchr::memrchr(b'>', bytes) else {
            return self.keep(bytes);
        };
        let (now, later) = bytes.split_at(last + 1);
        let mut text = std::mem::take(&mut self.carry);
        text.extend_from_slice(now);
        let done = self.parse(&text, part, book)?;
        text.drain(..done);
        self.carry = text;
        self.keep(later)
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.carry.extend_from_slice(bytes);
        if self.carry.len() > MAX_MARKUP {
            return Err(too_long());
        }
        Ok(())
    }

    /// Parses as many whole pieces as there are; gives how many bytes they take.
    fn parse(&mut self, text: &[u8], part: &str, book: &mut Book) -> Result<usize, String> {
        let mut reader = Reader::from_reader(text);
        let config = reader.config_mut();
        // Elements are opened and closed across pieces: [`Self::close`] holds their names against each other.
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        loop {
            let before = reader.buffer_position() as usize;
            match reader.read_event() {
                Ok(Event::Eof) => return Ok(text.len()),
                Ok(Event::Start(element)) => {
                    self.element(&element, part, book)?;
                    self.open(element.name().as_ref().as_bytes())?;
                }
                Ok(Event::Empty(element)) => self.element(&element, part, book)?,
                Ok(Event::End(element)) => self.close(element.name().as_ref().as_bytes())?,
                Ok(_) => {}
                Err(error) => {
                    // Its end may be yet to come: a bracket stands in references, too, as far as the reader looks.
                    let is_open = match error {
                        quick_xml::Error::Syntax(_) => true,
                        quick_xml::Error::IllFormed(IllFormedError::UnclosedReference) => {
                            reader.buffer_position() as usize == text.len()
                        }
                        _ => false,
                    };
                    if !is_open {
                        return Err("is not well-formed XML".to_owned());
                    }
                    if text.len() - before > MAX_MARKUP {
                        return Err(too_long());
                    }
                    return Ok(before);
                }
            }
        }
    }

    fn open(&mut self, name: &[u8]) -> Result<(), String> {
        if self.begins.len() == MAX_DEPTH || name.len() > MAX_NAME {
            return Err("is nested too deep, or has too long names".to_owned());
        }
        self.begins.push(self.open.len());
        self.open.extend_from_slice(name);
        Ok(())
    }

    fn close(&mut self, name: &[u8]) -> Result<(), String> {
        let begin = self.begins.pop().ok_or("closes an element that was not opened")?;
        if self.open[begin..] != *name {
            return Err("closes another element than was opened".to_owned());
        }
        self.open.truncate(begin);
        Ok(())
    }

    /// The local name of the open element `above` levels above the innermost one.
    fn parent(&self, above: usize) -> &[u8] {
        let Some(index) = self.begins.len().checked_sub(above + 1) else {
            return b"";
        };
        let end = self.begins.get(index + 1).copied().unwrap_or(self.open.len());
        local(&self.open[self.begins[index]..end])
    }

    fn element(&mut self, element: &BytesStart<'_>, part: &str, book: &mut Book) -> Result<(), String> {
        let name = element.local_name();
        let name = name.as_ref().as_bytes();
        if self.begins.is_empty() {
            if self.root.is_some() {
                return Err("has more than one outermost element".to_owned());
            }
            let name = String::from_utf8_lossy(&name[..name.len().min(MAX_NAME)]);
            self.root = Some(name.into_owned());
        }
        match (name, self.begins.len()) {
            (b"row", 2) if self.parent(0) == b"sheetData" => self.counted = false,
            (b"c", 3) if !self.counted && self.parent(0) == b"row" && self.parent(1) == b"sheetData" => {
                self.counted = true;
                self.rows += 1;
            }
            (b"Override" | b"Default" | b"Relationship", 1) => book.link(part, name, element)?,
            (b"sheet", 2) if self.parent(0) == b"sheets" => book.link(part, name, element)?,
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<Root, String> {
        if !self.begins.is_empty() || !self.carry.trim_ascii().is_empty() {
            return Err("ends within its XML".to_owned());
        }
        let name = self.root.ok_or("holds no XML element")?;
        Ok(Root { name, rows: self.rows })
    }
}

fn too_long() -> String {
    format!(
        "has a piece of XML longer than {} MiB, the most that is taken",
        MAX_MARKUP >> 20
    )
}

fn local(name: &[u8]) -> &[u8] {
    memchr::memchr(b':', name).map_or(name, |colon| &name[colon + 1..])
}

/// What the parts of a workbook say of each other.
#[derive(Debug, Default)]
struct Book {
    /// The XML parts by name.
    parts: BTreeMap<String, Root>,
    /// Parts whose content types are given one by one, and whether it is that of a workbook.
    overrides: BTreeMap<String, bool>,
    /// Extensions, in lower case, of parts that are workbooks unless their own type says otherwise.
    defaults: BTreeSet<String>,
    /// To the workbook and to its sheets, by the part that holds it and its id: kind and target.
    relations: BTreeMap<(String, String), (String, String)>,
    /// By the part that holds it: the ids of sheets.
    sheets: BTreeMap<String, Vec<String>>,
    /// Bytes that all these take.
    linked: usize,
}

impl Book {
    /// Takes up a link from one part to another, if it may be one of those that lead to the sheets: any other part may
    /// have as many as it likes, such as a sheet one for each of its hyperlinks.
    fn link(&mut self, part: &str, name: &[u8], element: &BytesStart<'_>) -> Result<(), String> {
        let value = |wanted: &[u8]| {
            element
                .attributes()
                .with_checks(false)
                .filter_map(Result::ok)
                .find(|attribute| {
                    let name = attribute.key.as_ref().as_bytes();
                    local(name) == wanted && (wanted != b"id" || name.len() > wanted.len())
                })
                .map(|attribute| {
                    let value = attribute.value.as_bytes();
                    String::from_utf8_lossy(&value[..value.len().min(MAX_NAME)]).into_owned()
                })
                .unwrap_or_default()
        };
        let is_workbook = || value(b"ContentType").ends_with("main+xml");
        self.linked += LINK;
        match name {
            b"Override" if part == CONTENT_TYPES => {
                let name = value(b"PartName").trim_start_matches('/').to_owned();
                self.linked += name.len();
                self.overrides.insert(name, is_workbook());
            }
            b"Default" if part == CONTENT_TYPES && is_workbook() => {
                let extension = value(b"Extension").to_ascii_lowercase();
                self.linked += extension.len();
                self.defaults.insert(extension);
            }
            b"Relationship" if value(b"TargetMode") != "External" && leads_to_sheets(part, &value(b"Type")) => {
                let (id, kind, target) = (value(b"Id"), value(b"Type"), value(b"Target"));
                self.linked += part.len() + id.len() + kind.len() + target.len();
                self.relations.insert((part.to_owned(), id), (kind, target));
            }
            b"sheet" => {
                let id = value(b"id");
                self.linked += id.len();
                self.sheets.entry(part.to_owned()).or_default().push(id);
            }
            _ => self.linked -= LINK,
        }
        if self.linked > MAX_LINKED {
            return Err(format!(
                "links to more parts than are taken: {} MiB of names",
                MAX_LINKED >> 20
            ));
        }
        Ok(())
    }

    /// Whether the content types call a part a workbook: its own type decides before that of its extension.
    fn is_workbook(&self, part: &str) -> bool {
        self.overrides.get(part).copied().unwrap_or_else(|| {
            let file = part.rsplit('/').next().unwrap_or(part);
            file.rsplit_once('.')
                .is_some_and(|(_, extension)| self.defaults.contains(&extension.to_ascii_lowercase()))
        })
    }

    /// Rows of all sheets.
    fn rows(&self) -> Result<u64, Defect> {
        if !self.is(CONTENT_TYPES, "Types") {
            return Err(Defect::new("has no part [Content_Types].xml, so it is no workbook"));
        }
        let workbook = self
            .relations
            .iter()
            .filter(|((part, _), (kind, _))| part == ROOT_RELATIONS && kind.ends_with("/officeDocument"))
            .map(|(_, (_, target))| resolve("", target))
            .find(|target| self.is(target, "workbook") && self.is_workbook(target))
            .ok_or_else(|| Defect::new("has no workbook part that its content types and relations lead to"))?;
        let (folder, file) = workbook.rsplit_once('/').unwrap_or(("", &workbook));
        let relations = match folder {
            "" => format!("_rels/{file}.rels"),
            folder => format!("{folder}/_rels/{file}.rels"),
        };
        let sheets = self.sheets.get(&workbook).map(Vec::as_slice).unwrap_or_default();
        if sheets.is_empty() {
            return Err(Defect::new("has no sheet"));
        }
        let mut rows = 0;
        for (number, id) in (1..).zip(sheets) {
            let missing = || Defect::new(format!("lacks sheet {number} of {}", sheets.len()));
            let (kind, target) = self
                .relations
                .get(&(relations.clone(), id.clone()))
                .ok_or_else(missing)?;
            let sheet = self.parts.get(&resolve(folder, target)).ok_or_else(missing)?;
            if kind.ends_with("/worksheet") {
                if sheet.name != "worksheet" {
                    return Err(Defect::new(format!("has something else for sheet {number}")));
                }
                rows += sheet.rows;
            }
        }
        Ok(rows)
    }

    fn is(&self, part: &str, root: &str) -> bool {
        self.parts.get(part).is_some_and(|part| part.name == root)
    }
}

/// Whether a relation of this kind, in this part, is one on the way to the sheets. Which part holds those of the workbook
/// may be known only later, so the kind has to tell: worksheets, chart sheets, dialog sheets and macro sheets.
fn leads_to_sheets(part: &str, kind: &str) -> bool {
    match part {
        ROOT_RELATIONS => kind.ends_with("/officeDocument"),
        _ => kind
            .get(kind.len().saturating_sub(b"sheet".len())..)
            .is_some_and(|end| end.eq_ignore_ascii_case("sheet")),
    }
}

/// The part that a relation in `folder` leads to.
fn resolve(folder: &str, target: &str) -> String {
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut path: Vec<&str> = folder.split('/').filter(|segment| !segment.is_empty()).collect();
    for segment in target.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                path.pop();
            }
            segment => path.push(segment),
        }
    }
    path.join("/")
}

impl fmt::Debug for ExcelDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExcelDecoder")
            .field("entries", &self.entries)
            .field("current", &self.current)
            .field("offset", &self.offset)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use rust_xlsxwriter::Workbook;

    use super::*;

    /// A workbook by another writer: two sheets of `rows` rows below a heading, and one without a cell.
    fn workbook(rows: u32) -> Vec<u8> {
        let mut book = Workbook::new();
        for name in ["A", "B & C"] {
            let sheet = book.add_worksheet();
            sheet.set_name(name).unwrap();
            sheet.write_string(0, 0, "name <a>").unwrap();
            sheet.write_string(0, 1, "value").unwrap();
            for row in 1..=rows {
                sheet.write_string(row, 0, format!("Zoë & {row}\n>")).unwrap();
                sheet.write_number(row, 1, f64::from(row)).unwrap();
            }
            // A row of which only the height is set holds nothing.
            sheet.set_row_height(rows + 5, 40).unwrap();
        }
        book.add_worksheet();
        book.save_to_buffer().unwrap()
    }

    fn open(bytes: &[u8], tail: usize) -> Result<Box<ExcelDecoder>, Defect> {
        let whole = Bytes::copy_from_slice(bytes);
        let mut start = bytes.len() - tail.min(bytes.len());
        loop {
            match ExcelDecoder::open(bytes.len() as u64, start as u64, &whole.slice(start..))? {
                Opened::Ready(decoder) => return Ok(decoder),
                Opened::Needs(earlier) => {
                    assert!((earlier as usize) < start);
                    start = earlier as usize;
                }
            }
        }
    }

    fn in_chunks(bytes: &[u8], size: usize) -> Result<Decoded, Defect> {
        let mut decoder = open(bytes, 64 * 1024)?;
        for chunk in bytes.chunks(size) {
            decoder.push(chunk)?;
        }
        decoder.finish()
    }

    fn run(bytes: &[u8]) -> Result<Decoded, Defect> {
        in_chunks(bytes, usize::MAX)
    }

    /// An archive of these parts.
    fn archive(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut archive = rawzip::ZipArchiveWriter::new(&mut bytes);
        for (name, text) in parts {
            let file = archive.new_file(name).compression_method(CompressionMethod::DEFLATE);
            let (mut entry, config) = file.start().unwrap();
            let encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::best());
            let mut writer = config.wrap(encoder);
            writer.write_all(text.as_bytes()).unwrap();
            let (encoder, descriptor) = writer.finish().unwrap();
            encoder.finish().unwrap();
            entry.finish(descriptor).unwrap();
        }
        archive.finish().unwrap();
        bytes
    }

    const TYPES: &str = r#"<Types><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>"#;
    const ROOT: &str = r#"<Relationships><Relationship Id="r" Type="http://x/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
    const BOOK: &str = r#"<workbook xmlns:r="r"><sheets><sheet name="S" sheetId="1" r:id="a"/></sheets></workbook>"#;
    const BOOK_LINKS: &str = r#"<Relationships><Relationship Id="a" Type="http://x/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#;
    const SHEET: &str = "<x:worksheet><x:sheetData><x:row><x:c/><x:c/></x:row><x:row/></x:sheetData></x:worksheet>\n";

    /// The smallest workbook, with one part left out or replaced.
    fn small(changed: &str, to: Option<&str>) -> Vec<u8> {
        let parts = [
            ("[Content_Types].xml", TYPES),
            ("_rels/.rels", ROOT),
            ("xl/workbook.xml", BOOK),
            ("xl/_rels/workbook.xml.rels", BOOK_LINKS),
            ("xl/worksheets/sheet1.xml", SHEET),
        ];
        let parts: Vec<_> = parts
            .into_iter()
            .filter_map(|(name, text)| Some((name, if name == changed { to? } else { text })))
            .collect();
        archive(&parts)
    }

    #[test]
    fn rows_of_all_sheets_are_counted() {
        assert_eq!(run(&workbook(3)).unwrap().rows, 8);
        assert_eq!(run(&workbook(3_000)).unwrap().rows, 6_002);
        assert_eq!(run(&small("", None)).unwrap().rows, 1);
        assert_eq!(run(&workbook(3)).unwrap().document, None);
    }

    /// As packages are written that give the type of a workbook to its extension, and types of their own to all others.
    #[test]
    fn a_workbook_may_have_the_type_of_its_extension() {
        let main = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml";
        let default = |extension: &str| format!(r#"<Default Extension="{extension}" ContentType="{main}"/>"#);
        let sheet = "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml";
        let own = |part: &str, of: &str| format!(r#"<Override PartName="/xl/{part}" ContentType="{of}"/>"#);
        let types = |inner: &[String]| {
            small(
                "[Content_Types].xml",
                Some(&format!("<Types>{}</Types>", inner.concat())),
            )
        };
        for good in [
            types(&[default("xml"), own("worksheets/sheet1.xml", sheet)]),
            types(&[own("worksheets/sheet1.xml", sheet), default("XML")]),
            types(&[default("xml"), own("workbook.xml", main)]),
        ] {
            assert_eq!(run(&good).unwrap().rows, 1);
        }
        for bad in [
            types(&[default("rels")]),
            types(&[default("")]),
            types(&[default("xml"), own("workbook.xml", sheet)]),
        ] {
            assert!(run(&bad).unwrap_err().what.contains("no workbook part"));
        }
    }

    /// Excel takes 65,530 hyperlinks a sheet, each of which is a relation.
    #[test]
    fn a_sheet_may_have_many_links() {
        let mut book = Workbook::new();
        let sheet = book.add_worksheet();
        for row in 0..12_000 {
            sheet
                .write_url(row, 0, format!("https://example.com/{row}").as_str())
                .unwrap();
        }
        assert_eq!(run(&book.save_to_buffer().unwrap()).unwrap().rows, 12_000);
        // Nor do those within the package count that lead to no sheet.
        let image = r#"<Relationship Id="i" Type="http://x/image" Target="../media/a.png"/>"#;
        let links = format!("<Relationships>{}</Relationships>", image.repeat(12_000));
        let parts = [
            ("xl/drawings/_rels/drawing1.xml.rels", links.as_str()),
            ("[Content_Types].xml", TYPES),
            ("xl/worksheets/sheet1.xml", SHEET),
            ("xl/_rels/workbook.xml.rels", BOOK_LINKS),
            ("xl/workbook.xml", BOOK),
            ("_rels/.rels", ROOT),
        ];
        assert_eq!(run(&archive(&parts)).unwrap().rows, 1);
        // Those that are kept are bounded.
        let sheets = r#"<sheet name="S" sheetId="1" r:id="a"/>"#.repeat(MAX_LINKED / LINK);
        let book = format!("<workbook><sheets>{sheets}</sheets></workbook>");
        let found = run(&small("xl/workbook.xml", Some(&book))).unwrap_err().to_string();
        assert!(found.contains("more parts than are taken"), "{found}");
    }

    #[test]
    fn a_short_tail_asks_for_more() {
        let bytes = workbook(3);
        for tail in [22, 30, 100, 1_000, 4_000] {
            let mut decoder = open(&bytes, tail).unwrap();
            decoder.push(&bytes).unwrap();
            assert_eq!(decoder.finish().unwrap().rows, 8, "{tail}");
        }
    }

    #[test]
    fn a_file_cut_off_anywhere_is_found() {
        let bytes = workbook(1);
        for end in 1..bytes.len() {
            assert!(run(&bytes[..end]).is_err(), "{end}");
        }
        let longer = [bytes, b"x".to_vec()].concat();
        assert!(run(&longer).is_err());
    }

    #[test]
    fn a_flipped_byte_changes_nothing_or_is_found() {
        let bytes = small("", None);
        let whole = run(&bytes).unwrap();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x55;
            // Times, versions and attributes of entries mean nothing to us, and what stands before and behind an entry
            // stands in the directory, too.
            if let Ok(decoded) = run(&flipped) {
                assert_eq!(decoded, whole, "{at}");
            }
        }
    }

    #[test]
    fn all_parts_must_be_there() {
        for (part, to, what) in [
            ("[Content_Types].xml", None, "no part [Content_Types].xml"),
            ("[Content_Types].xml", Some("<Types/>"), "no workbook part"),
            ("_rels/.rels", None, "no workbook part"),
            ("xl/workbook.xml", None, "no workbook part"),
            ("xl/workbook.xml", Some("<workbook/>"), "has no sheet"),
            ("xl/_rels/workbook.xml.rels", None, "lacks sheet 1 of 1"),
            ("xl/worksheets/sheet1.xml", None, "lacks sheet 1 of 1"),
            (
                "xl/worksheets/sheet1.xml",
                Some("<chartsheet/>"),
                "something else for sheet 1",
            ),
            ("xl/worksheets/sheet1.xml", Some("<worksheet>"), "ends within its XML"),
            (
                "xl/worksheets/sheet1.xml",
                Some("<worksheet><a></b></worksheet>"),
                "closes another",
            ),
            (
                "xl/worksheets/sheet1.xml",
                Some("<worksheet/><worksheet/>"),
                "more than one outermost",
            ),
            (
                "xl/worksheets/sheet1.xml",
                Some("<worksheet><secret a='"),
                "ends within its XML",
            ),
            ("xl/worksheets/sheet1.xml", Some(""), "holds no XML"),
        ] {
            let found = run(&small(part, to)).unwrap_err().to_string();
            assert!(found.contains(what), "{part}: {found}");
            assert!(!found.contains("secret"), "{found}");
        }
        assert!(run(&archive(&[])).unwrap_err().what.contains("[Content_Types].xml"));
        assert!(run(b"id,name\n1,2\n").unwrap_err().what.contains("no zip directory"));
    }

    #[test]
    fn the_directory_shows_whether_it_can_be_a_workbook() {
        let frame = open(&workbook(3), 64 * 1024).unwrap().frame();
        assert_eq!(frame, Framed::default());
        for part in ["[Content_Types].xml", "_rels/.rels"] {
            open(&small(part, None), 64 * 1024).unwrap_err();
        }
        open(
            &archive(&[("[Content_Types].xml", "<Types/>"), ("_rels/.rels", "<R/>")]),
            64 * 1024,
        )
        .unwrap_err();
    }

    /// A part longer than the directory says whose XML breaks before that, or behind it.
    #[test]
    fn the_first_fault_of_a_part_is_said_however_it_is_cut() {
        for (text, length, what) in [
            ("<worksheet><a></b></worksheet>", 20, "closes another"),
            ("<worksheet><a></a></b>", 18, "longer than the zip directory says"),
        ] {
            let mut bytes = small("xl/worksheets/sheet1.xml", Some(text));
            // The uncompressed size, in the directory.
            let entry = bytes.windows(4).rposition(|window| window == b"PK\x01\x02").unwrap();
            bytes[entry + 24] = length;
            for size in 1..bytes.len() {
                let found = in_chunks(&bytes, size).unwrap_err().to_string();
                assert!(found.contains(what), "{size}: {found}");
            }
        }
    }

    /// Inputs that fuzzing found.
    #[test]
    fn what_once_depended_on_cuts_does_so_no_more() {
        for found in [
            include_bytes!("../../../tests/data/seeds/excel-mended/longer-than-directory-or-unclosed").as_slice(),
            include_bytes!("../../../tests/data/seeds/excel-mended/reference-cut-at-a-bracket"),
        ] {
            for size in 1..300 {
                assert_eq!(in_chunks(found, size), run(found), "{size}");
            }
        }
    }

    /// What is cut within a reference is not yet broken; one that never ends is.
    #[test]
    fn references_are_taken_however_they_are_cut() {
        for (text, what) in [
            ("<worksheet>a &amp; > b &gt;></worksheet>", ""),
            ("<worksheet>&a>b;</worksheet><c>", "more than one outermost"),
            ("<worksheet>&a>b</worksheet>", "not well-formed"),
            ("<worksheet>&a>&b></worksheet>", "not well-formed"),
            ("<worksheet>&a>", "ends within its XML"),
        ] {
            let bytes = small("xl/worksheets/sheet1.xml", Some(text));
            for size in 1..bytes.len() {
                let found = in_chunks(&bytes, size).map_or_else(|defect| defect.to_string(), |_| String::new());
                assert!(
                    found.contains(what) && found.is_empty() == what.is_empty(),
                    "{text} {size}: {found}"
                );
            }
        }
    }

    #[test]
    fn a_bomb_holds_no_memory() {
        let rows = "<row><c/></row>".repeat(1 << 16);
        let sheet = format!("<worksheet><sheetData>{rows}</sheetData></worksheet>");
        let bytes = small("xl/worksheets/sheet1.xml", Some(&sheet));
        assert!(bytes.len() < 1 << 15);
        let mut decoder = open(&bytes, 64 * 1024).unwrap();
        for chunk in bytes.chunks(512) {
            decoder.push(chunk).unwrap();
            assert!(decoder.held() <= 5 * SCRATCH, "{}", decoder.held());
        }
        assert_eq!(decoder.finish().unwrap().rows, 1 << 16);

        let comment = format!("<worksheet><!--{}--></worksheet>", ">".repeat(2 << 20));
        let bytes = small("xl/worksheets/sheet1.xml", Some(&comment));
        assert!(run(&bytes).unwrap_err().what.contains("longer than 1 MiB"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn chunks_do_not_matter(
            size in 1usize..3_000,
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        ) {
            let mut bytes = small("", None);
            for (index, byte) in flips {
                let index = index.index(bytes.len());
                bytes[index] ^= byte;
            }
            prop_assert_eq!(in_chunks(&bytes, size), run(&bytes));
        }

        #[test]
        fn any_bytes_are_taken(bytes in prop::collection::vec(any::<u8>(), 1..300)) {
            let _ = run(&bytes);
        }
    }
}
