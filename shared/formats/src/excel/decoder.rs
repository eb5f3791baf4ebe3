//! Takes the bytes of a workbook in order.
//!
//! What must stay true: each byte between two entries and within each entry is accounted for. An entry ends with the
//! length and the checksum that the directory says.

use std::{cell::Cell, fmt};

use bytes::Bytes;
use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{
    book::{Book, MAX_LINKED},
    directory::{Entry, MAX_DIRECTORY, Window, check_parts, read_directory},
    elements::MAX_NAMESPACES,
    xml::{MAX_MARKUP, Xml},
};
use crate::{
    decoded::Decoded,
    decoder::{Begin, Decoder, Opened},
    defect::Defect,
    panics::caught,
};

/// How many inflated bytes are handed on at a time.
pub(super) const SCRATCH: usize = 64 * 1024;
/// The fixed part of an entry's own header.
const LOCAL_HEADER: usize = 30;
pub(crate) const LOCAL_MAGIC: &[u8] = b"PK\x03\x04";
/// An archive without entries begins with this.
pub(crate) const END_MAGIC: &[u8] = b"PK\x05\x06";
const NO_HEADER: &str = "does not begin with the header of a zip entry";

/// Decodes XLSX.
pub struct ExcelDecoder {
    entries: Vec<Entry>,
    /// The entry that is expected or being read.
    current: usize,
    state: State,
    scratch: Box<[u8]>,
    book: Book,
    /// Offset of the next byte to push.
    offset: u64,
    size: u64,
}

enum State {
    /// Before the header of the current entry.
    Between,
    Header(Vec<u8>),
    /// In the name and the extra fields, with this many bytes left.
    Names(u64),
    Data(Box<Data>),
}

/// An entry whose data are being read.
struct Data {
    left: u64,
    inflate: Option<Decompress>,
    ended: bool,
    crc: Crc,
    length: u64,
    xml: Option<Xml>,
}

impl ExcelDecoder {
    /// Opens a file of `size` bytes from its last bytes, those from `tail_start` on.
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

    /// Reads the header of the current entry.
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
        State::Data(Box::new(Data {
            left: entry.compressed,
            inflate: entry.deflated.then(|| Decompress::new(false)),
            ended: false,
            crc: Crc::new(),
            length: 0,
            xml: entry.is_xml().then(|| Xml::new(entry.key.clone())),
        }))
    }

    fn data(&mut self, part: &mut Data, mut bytes: &[u8]) -> Result<(), Defect> {
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
                // If the scratch is full, the inflater may hold more.
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

    fn end_data(&mut self, part: Data) -> Result<(), Defect> {
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
            let part = xml.finish().map_err(|what| entry.defect(what).at(entry.header))?;
            self.book.add(part);
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

fn part_of(part: &mut Data) -> Sink<'_> {
    Sink {
        crc: &mut part.crc,
        length: &mut part.length,
        xml: &mut part.xml,
    }
}

fn part_bytes(book: &mut Book, entry: &Entry, sink: Sink<'_>, bytes: &[u8]) -> Result<(), Defect> {
    // The bytes within the entry's length go first, so that the first defect does not depend on where the other bytes
    // begin.
    let within = (bytes.len() as u64).min(entry.size - *sink.length) as usize;
    let (bytes, beyond) = bytes.split_at(within);
    *sink.length += within as u64;
    sink.crc.update(bytes);
    if let Some(xml) = sink.xml {
        xml.push(bytes, book)
            .map_err(|what| entry.defect(what).at(entry.header))?;
    }
    if !beyond.is_empty() {
        return Err(entry.defect("is longer than the zip directory says").at(entry.header));
    }
    Ok(())
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

    fn finish(self: Box<Self>) -> Result<Decoded, Defect> {
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
            State::Data(part) => part.xml.as_ref().map_or(0, |xml| xml.held()),
            _ => 0,
        };
        self.scratch.len() + markup
    }

    /// In addition to the directory.
    fn needs(&self, _size: u64) -> u64 {
        // The markup may be at the end of a buffer that doubles.
        (2 * MAX_MARKUP + MAX_LINKED + MAX_NAMESPACES + SCRATCH) as u64
    }

    /// The header of the first entry.
    fn begin(&self) -> Option<Begin> {
        let first = self.entries.first().map_or(0, |entry| entry.header);
        Some(Begin::at(first, LOCAL_MAGIC, NO_HEADER))
    }
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
