//! Decoders that read one object to its last byte.
//!
//! What must stay true:
//! * Rows are counted by decoding them, never taken from a size, a line count or a footer alone.
//! * What a decoder holds does not grow with the object: see [`Decoder::held`] and the bound that each module states.
//! * The result does not depend on how the bytes are cut into chunks.
//! * A [`Defect`] never quotes a cell value: exports hold personal data, and messages end up in logs and receipts.
//! * Corrupt input is a [`Defect`], never a panic that leaves this module.
//! * What decodes and yet is not what every reader takes the same way is a [`Remark`]; the check `format` warns of it.
//!
//! A compressed form (gzip) is one more [`Decoder`] that pushes what it inflates into an inner one.

mod csv;
mod excel;
mod format;
mod gzip;
mod jsonl;
mod orc;
mod panics;
mod pdf;
mod remark;
mod sniff;
mod text;

use std::{fmt, ops::Range};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::{
    csv::{CsvDecoder, CsvState, frame as frame_csv},
    excel::{ExcelDecoder, MAX_DIRECTORY, MAX_ENTRIES, MAX_MARKUP},
    format::Format,
    gzip::{GzipDecoder, GzipState, Resumable, frame as frame_gzip},
    jsonl::{JsonlDecoder, JsonlState, MAX_LINE, frame as frame_jsonl},
    orc::{MAX_TAIL, OrcDecoder, OrcState, SMALL_STRIPE, TAIL_GUESS},
    pdf::{MAX_DOCUMENT, MAX_OBJECTS, PdfDecoder, bytes_before_header},
    remark::{MAX_REMARKS, Remark, Remarks},
    sniff::{Content, Head, begins_as_csv, begins_as_pdf, sniff, sniff_gzip},
};

/// The most column names that are kept of an object.
pub const MAX_COLUMNS: usize = 1_024;
/// The longest column name that is kept, in characters; longer ones are cut.
pub const MAX_COLUMN_NAME: usize = 128;

/// Decodes one object from bytes that are pushed in order.
pub trait Decoder {
    /// Takes the next bytes. After a defect the decoder is spent: its other methods give no meaningful answer.
    fn push(&mut self, chunk: &[u8]) -> Result<(), Defect>;

    /// Says that all bytes were pushed.
    fn finish(self) -> Result<Decoded, Defect>
    where
        Self: Sized;

    /// Bytes of the object's content that are held between two pushes.
    fn held(&self) -> usize;
}

/// What an object that decoded to its end holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoded {
    /// Rows, without the header. Of a workbook the rows of all sheets, those of headings included.
    pub rows: u64,
    /// Names of the columns in their order: CSV's header, the keys of the first JSON line, ORC's top-level fields.
    /// Cut to [`MAX_COLUMNS`] names of [`MAX_COLUMN_NAME`] characters.
    pub columns: Vec<String>,
    /// How many columns there are, those left out of `columns` included.
    pub column_count: u64,
    /// Of a document, which has pages and no rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
    /// Of a text, whether its last line has no line break. Nothing is wrong with that, but a file cut off within its
    /// last value looks the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unterminated: bool,
    /// Empty lines behind the header of a CSV of one column. They are no rows here: some writers mean a null by one, and
    /// others nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub empty_lines: u64,
    /// What somebody should know of it, although it decodes.
    #[serde(default, skip_serializing_if = "Remarks::is_empty")]
    pub remarks: Remarks,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What the ends of an object show without decoding it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Framed {
    /// Names of the columns in their order, cut as those of [`Decoded`].
    pub columns: Vec<String>,
    /// How many columns there are, those left out of `columns` included.
    pub column_count: u64,
    /// Rows, where the object says how many it has.
    pub rows: Option<u64>,
    /// Of a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
    /// What somebody should know of it, as far as its ends show it.
    #[serde(default, skip_serializing_if = "Remarks::is_empty")]
    pub remarks: Remarks,
}

/// What a document holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Its pages, at least one; `None` if it is too large to count them, or encrypted with a password.
    pub pages: Option<u64>,
}

/// What came of opening a file by its tail.
#[derive(Debug)]
pub enum Opened<D> {
    /// The tail begins earlier, at this offset: read from there to the end and open again.
    Needs(u64),
    /// All bytes of the file can be pushed now.
    Ready(Box<D>),
}

/// What is wrong with an object, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defect {
    /// What is wrong, without any of the object's values.
    pub what: String,
    /// Byte offset in the object, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Line, from 1, at which the faulty record begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Record, from 1; CSV's header is not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<u64>,
    /// ORC stripe, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stripe: Option<u64>,
    /// What its writer has to do otherwise, where writing it once more gives the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
}

/// What the writer of an object has to do otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Put commas between the fields.
    Commas,
    /// Write UTF-8.
    Utf8,
}

impl Remedy {
    /// It in words.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Commas => "have its writer put commas between the fields",
            Self::Utf8 => {
                "if its writer uses another encoding, such as Latin-1 or Windows-1252, have it write UTF-8 (iconv -f \
                 WINDOWS-1252 -t UTF-8 converts such a file), else run the export again"
            }
        }
    }
}

impl Defect {
    /// A defect without a place.
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            offset: None,
            line: None,
            record: None,
            stripe: None,
            remedy: None,
        }
    }

    #[must_use]
    const fn mended_by(mut self, remedy: Remedy) -> Self {
        self.remedy = Some(remedy);
        self
    }

    #[must_use]
    fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    #[must_use]
    fn on_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    #[must_use]
    fn in_record(mut self, record: u64) -> Self {
        self.record = Some(record);
        self
    }

    #[must_use]
    fn in_stripe(mut self, stripe: u64) -> Self {
        self.stripe = Some(stripe);
        self
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = [
            ("stripe", self.stripe),
            ("record", self.record),
            ("line", self.line),
            ("byte", self.offset),
        ];
        let mut between = "";
        for (name, place) in places {
            if let Some(place) = place {
                write!(f, "{between}{name} {place}")?;
                between = ", ";
            }
        }
        if !between.is_empty() {
            f.write_str(": ")?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for Defect {}

/// A column name as it is kept: cut, and without control characters.
fn column_name(name: &str) -> String {
    name.chars()
        .take(MAX_COLUMN_NAME)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// The decoder of any format.
#[derive(Debug)]
pub enum AnyDecoder {
    /// CSV.
    Csv(Box<CsvDecoder>),
    /// JSON lines.
    Jsonl(Box<JsonlDecoder>),
    /// JSON lines compressed with gzip.
    JsonlGzip(Box<GzipDecoder<JsonlDecoder>>),
    /// ORC, opened with the file's tail.
    Orc(Box<OrcDecoder>),
    /// PDF, opened with the file's tail.
    Pdf(Box<PdfDecoder>),
    /// Excel, opened with the file's tail.
    Excel(Box<ExcelDecoder>),
}

impl Decoder for AnyDecoder {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Defect> {
        match self {
            Self::Csv(decoder) => decoder.push(chunk),
            Self::Jsonl(decoder) => decoder.push(chunk),
            Self::JsonlGzip(decoder) => decoder.push(chunk),
            Self::Orc(decoder) => decoder.push(chunk),
            Self::Pdf(decoder) => decoder.push(chunk),
            Self::Excel(decoder) => decoder.push(chunk),
        }
    }

    fn finish(self) -> Result<Decoded, Defect> {
        match self {
            Self::Csv(decoder) => decoder.finish(),
            Self::Jsonl(decoder) => decoder.finish(),
            Self::JsonlGzip(decoder) => decoder.finish(),
            Self::Orc(decoder) => decoder.finish(),
            Self::Pdf(decoder) => decoder.finish(),
            Self::Excel(decoder) => decoder.finish(),
        }
    }

    fn held(&self) -> usize {
        match self {
            Self::Csv(decoder) => decoder.held(),
            Self::Jsonl(decoder) => decoder.held(),
            Self::JsonlGzip(decoder) => decoder.held(),
            Self::Orc(decoder) => decoder.held(),
            Self::Pdf(decoder) => decoder.held(),
            Self::Excel(decoder) => decoder.held(),
        }
    }
}

/// Where the decoding of an object can go on in another process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Offset of the first byte that is to be pushed.
    pub offset: u64,
    state: DecoderState,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum DecoderState {
    Csv(CsvState),
    Jsonl(JsonlState),
    JsonlGzip(GzipState<JsonlState>),
    Orc(OrcState),
}

impl AnyDecoder {
    /// Where decoding can go on; `None` if only at the begin.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        let (offset, state) = match self {
            Self::Csv(decoder) => {
                let (offset, state) = decoder.checkpoint()?;
                (offset, DecoderState::Csv(state))
            }
            Self::Jsonl(decoder) => {
                let (offset, state) = decoder.checkpoint()?;
                (offset, DecoderState::Jsonl(state))
            }
            Self::JsonlGzip(decoder) => {
                let (offset, state) = decoder.checkpoint()?;
                (offset, DecoderState::JsonlGzip(state))
            }
            Self::Orc(decoder) => {
                let (offset, state) = decoder.checkpoint()?;
                (offset, DecoderState::Orc(state))
            }
            Self::Pdf(_) | Self::Excel(_) => return None,
        };
        Some(Checkpoint { offset, state })
    }

    /// A decoder that was just opened, as it was at a checkpoint. Fails if the checkpoint is of another format.
    pub fn resume(self, checkpoint: Checkpoint) -> Result<Self, Defect> {
        Ok(match (self, checkpoint.state) {
            (Self::Csv(_), DecoderState::Csv(state)) => Self::Csv(Box::new(CsvDecoder::resume(state))),
            (Self::Jsonl(_), DecoderState::Jsonl(state)) => Self::Jsonl(Box::new(JsonlDecoder::resume(state))),
            (Self::JsonlGzip(_), DecoderState::JsonlGzip(state)) => {
                Self::JsonlGzip(Box::new(GzipDecoder::resume(state)))
            }
            (Self::Orc(decoder), DecoderState::Orc(state)) => Self::Orc(Box::new(decoder.resume(&state)?)),
            _ => {
                return Err(Defect::new(
                    "cannot be read on from where it stopped: that was in another format",
                ));
            }
        })
    }

    /// Parts of the object that are to be read out of order, and to be handed to [`Self::supply`], before more is pushed.
    #[must_use]
    pub fn wanted(&self) -> Vec<Range<u64>> {
        match self {
            Self::Orc(decoder) => decoder.wanted(),
            _ => Vec::new(),
        }
    }

    /// Takes a part that was wanted.
    pub fn supply(&mut self, range: Range<u64>, bytes: Bytes) -> Result<(), Defect> {
        match self {
            Self::Orc(decoder) => decoder.supply(range, bytes),
            _ => Err(Defect::new("was read where nothing was wanted")),
        }
    }

    /// Bytes that are looked at only when it finishes.
    #[must_use]
    pub fn deferred(&self) -> u64 {
        match self {
            Self::Pdf(decoder) => decoder.deferred(),
            _ => 0,
        }
    }

    /// What a file that was opened by its end holds at its begin, within which bytes, and the defect if it does not;
    /// `None` of a text.
    #[must_use]
    pub fn begin(&self) -> Option<(Range<u64>, &'static [u8], Defect)> {
        // A workbook's directory may say any offset, which nobody has held against the size of the file.
        let of = |at: u64, magic: &[u8]| at..at.saturating_add(magic.len() as u64);
        let (within, magic, what) = match self {
            Self::Csv(_) | Self::Jsonl(_) | Self::JsonlGzip(_) => return None,
            Self::Orc(_) => (of(0, orc::MAGIC), orc::MAGIC, orc::NO_MAGIC),
            Self::Pdf(decoder) => (0..decoder.begin(), pdf::HEADER, pdf::NO_HEADER),
            Self::Excel(decoder) => (
                of(decoder.begin(), excel::LOCAL_MAGIC),
                excel::LOCAL_MAGIC,
                excel::NO_HEADER,
            ),
        };
        let at = within.start;
        Some((within, magic, Defect::new(what).at(at)))
    }

    /// What opening the object has shown.
    #[must_use]
    pub fn frame(&self) -> Framed {
        match self {
            Self::Csv(_) | Self::Jsonl(_) | Self::JsonlGzip(_) => Framed::default(),
            Self::Orc(decoder) => decoder.frame(),
            Self::Pdf(decoder) => decoder.frame(),
            Self::Excel(decoder) => decoder.frame(),
        }
    }
}

/// What the ends of a text show: its first bytes and its last ones. Fails for what is no text, too.
pub fn frame(format: Format, head: Head<'_>, tail: &[u8]) -> Result<Framed, Defect> {
    match format {
        Format::Csv => csv::frame(head, tail),
        Format::Jsonl => jsonl::frame(head, tail),
        Format::JsonlGzip => gzip::frame(head, jsonl::frame),
        Format::Orc | Format::Pdf | Format::Excel => Err(Defect::new("is opened by its end, and is no text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_defect_says_where() {
        let defect = Defect::new("has 3 fields, the header 4")
            .at(120)
            .on_line(7)
            .in_record(5);
        assert_eq!(
            defect.to_string(),
            "record 5, line 7, byte 120: has 3 fields, the header 4"
        );
        assert_eq!(Defect::new("is cut off").to_string(), "is cut off");
    }

    /// A zip directory, and nothing before it, of the parts that a workbook begins with, each said to lie at `offset`.
    fn directory(offset: u64) -> Bytes {
        let mut bytes = Vec::new();
        for name in ["[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"] {
            bytes.extend_from_slice(b"PK\x01\x02");
            // Versions, flags, method, time and checksum; the lengths as stored and inflated.
            bytes.extend_from_slice(&[0; 16]);
            bytes.extend_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0]);
            // The lengths of the name, the extra field and the comment; the disk and the attributes.
            bytes.extend_from_slice(&[name.len() as u8, 0, 12, 0, 0, 0]);
            bytes.extend_from_slice(&[0; 8]);
            // The offset lies in the extra field, which is zip64's.
            bytes.extend_from_slice(&[0xff; 4]);
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(&[1, 0, 8, 0]);
            bytes.extend_from_slice(&offset.to_le_bytes());
        }
        let size = bytes.len() as u32;
        bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0\x03\0\x03\0");
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.into()
    }

    #[test]
    fn a_begin_beyond_all_bytes_is_a_range_all_the_same() {
        for offset in [0, u64::MAX - 4, u64::MAX - 1, u64::MAX] {
            let bytes = directory(offset);
            let Opened::Ready(decoder) = ExcelDecoder::open(bytes.len() as u64, 0, &bytes).unwrap() else {
                panic!("the directory is there");
            };
            let (range, magic, defect) = AnyDecoder::Excel(decoder).begin().unwrap();
            assert_eq!(range, offset..offset.saturating_add(magic.len() as u64));
            assert_eq!(defect.offset, Some(offset));
        }
    }
}
