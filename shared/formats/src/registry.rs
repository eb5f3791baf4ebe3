//! The formats: one row for each, with everything that code outside of its decoder needs to know.
//!
//! What must stay true: no other code compares suffixes or first bytes, opens a decoder by name, or asks which format
//! it is to decide what to do. A new format is a decoder, a variant of [`Format`] and a row.
//!
//! To read an object, the caller takes the row of its format, opens the decoder as [`Access`] says, pushes all bytes,
//! and finishes it. The checks ask the row what the rows and the columns of such a file are.

use bytes::Bytes;

use crate::{
    content::{Content, Head},
    csv::{self, CsvDecoder},
    decoded::Framed,
    decoder::{Decoder, Opened},
    defect::Defect,
    excel::{self, ExcelDecoder},
    format::Format,
    gzip::{self, GzipDecoder},
    jsonl::{self, JsonlDecoder},
    orc::{self, OrcDecoder},
    pdf::{self, PdfDecoder},
};

/// What is known of a format outside of its decoder.
#[derive(Debug)]
pub struct Row {
    pub format: Format,
    /// The suffixes of file names, in lower case. Compressed files have gzip's suffix after one of these.
    pub suffixes: &'static [&'static str],
    /// What the first bytes look like.
    pub content: Content,
    /// What files begin with; empty for texts, which need more than that to be recognised.
    pub magic: &'static [&'static [u8]],
    /// Within how many first bytes the magic number may be. Readers skip what comes before it.
    pub begins_within: u64,
    pub access: Access,
    pub columns: Columns,
    /// Whether it is text, compressed or not, so that its last row may or may not end with a line break.
    pub is_text: bool,
}

/// Opens a decoder from the last bytes of a file. Gets the file's size, the offset of these bytes, and the bytes.
pub type OpenByTail = fn(u64, u64, &Bytes) -> Result<Opened<dyn Decoder>, Defect>;

/// How a decoder is opened.
#[derive(Debug)]
pub enum Access {
    /// From the first byte.
    Stream {
        new: fn() -> Box<dyn Decoder>,
        frame: Frame,
    },
    /// From the last bytes.
    Tail(OpenByTail),
}

/// Checks what the beginning and the end of a text show.
#[derive(Debug)]
pub enum Frame {
    /// Gets the first bytes and the last ones, at most 64 KiB each. Both are the whole text if it is not larger.
    Ends(fn(Head<'_>, &[u8]) -> Result<Framed, Defect>),
    /// Gets only the first bytes, because the last ones show nothing.
    Begin(fn(Head<'_>) -> Result<Framed, Defect>),
}

/// What is known of a file's columns, and so of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// The first line names the columns and is not a row. Nothing proves that it is a line of headings.
    Headings,
    /// The file itself has a schema.
    Schema,
    /// Each row has keys of its own.
    Keys,
    /// The rows are in tables and include lines of headings; nothing says which rows those are.
    Tables,
    /// There are pages, and no rows.
    Pages,
}

static ROWS: [Row; Format::ALL.len()] = [
    Row {
        format: Format::Csv,
        suffixes: &["csv"],
        content: Content::Csv,
        magic: &[],
        begins_within: 0,
        access: Access::Stream {
            new: || Box::new(CsvDecoder::new()),
            frame: Frame::Ends(csv::frame),
        },
        columns: Columns::Headings,
        is_text: true,
    },
    Row {
        format: Format::Jsonl,
        suffixes: &["jsonl", "json", "ndjson"],
        content: Content::Json,
        magic: &[],
        begins_within: 0,
        access: Access::Stream {
            new: || Box::new(JsonlDecoder::new()),
            frame: Frame::Ends(jsonl::frame),
        },
        columns: Columns::Keys,
        is_text: true,
    },
    Row {
        format: Format::Orc,
        suffixes: &["orc"],
        content: Content::Orc,
        magic: &[orc::MAGIC],
        begins_within: 0,
        access: Access::Tail(|size, start, tail| OrcDecoder::open(size, start, tail).map(any)),
        columns: Columns::Schema,
        is_text: false,
    },
    Row {
        format: Format::JsonlGzip,
        suffixes: &[],
        content: Content::Gzip,
        magic: &[&gzip::MAGIC],
        begins_within: 0,
        access: Access::Stream {
            new: || Box::new(GzipDecoder::new()),
            frame: Frame::Begin(gzip::frame),
        },
        columns: Columns::Keys,
        is_text: true,
    },
    Row {
        format: Format::Pdf,
        suffixes: &["pdf"],
        content: Content::Pdf,
        magic: &[pdf::HEADER],
        begins_within: pdf::HEADER_WITHIN,
        access: Access::Tail(|size, start, tail| PdfDecoder::open(size, start, tail).map(any)),
        columns: Columns::Pages,
        is_text: false,
    },
    Row {
        format: Format::Excel,
        suffixes: &["xlsx"],
        content: Content::Zip,
        magic: &[excel::LOCAL_MAGIC, excel::END_MAGIC],
        begins_within: 0,
        access: Access::Tail(|size, start, tail| ExcelDecoder::open(size, start, tail).map(any)),
        columns: Columns::Tables,
        is_text: false,
    },
];

fn any<D: Decoder + 'static>(opened: Opened<D>) -> Opened<dyn Decoder> {
    match opened {
        Opened::Needs(earlier) => Opened::Needs(earlier),
        Opened::Ready(decoder) => Opened::Ready(decoder),
    }
}

impl Format {
    #[must_use]
    pub fn row(self) -> &'static Row {
        // A test checks the order.
        &ROWS[self as usize]
    }

    /// The format whose file names have this suffix, in lower case and without its dot.
    #[must_use]
    pub fn of_suffix(suffix: &str) -> Option<Self> {
        let row = ROWS.iter().find(|row| row.suffixes.contains(&suffix));
        row.map(|row| row.format)
    }
}

impl Content {
    /// The export format of this content, as far as first bytes show; `None` if there is none.
    #[must_use]
    pub fn format(self) -> Option<Format> {
        let row = ROWS.iter().find(|row| row.content == self);
        row.map(|row| row.format)
    }
}

impl Row {
    /// Whether files are compressed as a whole.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.content == Content::Gzip
    }

    /// Whether these first bytes have the magic number after others, which readers skip.
    #[must_use]
    pub fn begins_behind_others(&self, bytes: &[u8]) -> bool {
        let begins = |magic: &&[u8]| {
            let within = bytes.len().min(self.begins_within as usize + magic.len());
            memchr::memmem::find(&bytes[..within], magic).is_some_and(|before| before > 0)
        };
        self.begins_within > 0 && self.magic.iter().any(begins)
    }

    /// Whether an empty file is of this format: a text without rows.
    #[must_use]
    pub const fn may_be_empty(&self) -> bool {
        self.magic.is_empty()
    }

    /// Whether a file holds a table whose columns have names.
    #[must_use]
    pub const fn has_columns(&self) -> bool {
        matches!(self.columns, Columns::Headings | Columns::Schema | Columns::Keys)
    }

    /// Whether the last bytes show anything.
    #[must_use]
    pub const fn shows_its_end(&self) -> bool {
        !matches!(
            self.access,
            Access::Stream {
                frame: Frame::Begin(_),
                ..
            }
        )
    }

    /// Opens a decoder for a whole object.
    pub fn open(&self, bytes: &Bytes) -> Result<Box<dyn Decoder>, Defect> {
        match self.access {
            Access::Stream { new, .. } => Ok(new()),
            Access::Tail(open) => match open(bytes.len() as u64, 0, bytes)? {
                Opened::Ready(decoder) => Ok(decoder),
                Opened::Needs(_) => Err(Defect::new("has a tail whose begin cannot be found")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_has_one_row() {
        for (format, row) in Format::ALL.into_iter().zip(&ROWS) {
            assert_eq!((format.row().format, row.format), (format, format));
            assert_eq!(row.content.format(), Some(format));
            for suffix in row.suffixes {
                assert_eq!(Format::of_suffix(suffix), Some(format));
            }
        }
        assert_eq!(Format::of_suffix("gz"), None);
        assert_eq!(Content::Parquet.format(), None);
    }

    #[test]
    fn an_empty_tail_opens_only_the_formats_that_are_streamed() {
        for row in &ROWS {
            let nothing = row.open(&Bytes::new());
            match row.access {
                Access::Stream { .. } => assert!(nothing.is_ok()),
                Access::Tail(_) => assert!(nothing.is_err(), "{:?}", row.format),
            }
        }
    }
}
