//! The formats: one row for each, with all that anybody outside of its decoder has to know.
//!
//! What must stay true: nobody else compares names or first bytes of a format, opens its decoder, or asks which format it
//! is to know how to treat it. A new format is a decoder, a variant of [`Format`] and a row.
//!
//! A reader of objects looks up the row of the format that it was asked for, opens the decoder as [`Access`] says, pushes
//! all bytes, and finishes it. The checks ask the row what the rows and the columns of such a file are.

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

/// All that has to be known of a format.
#[derive(Debug)]
pub struct Row {
    pub format: Format,
    /// The suffixes of its files' names, in lower case. What is compressed has that of gzip behind one of these.
    pub suffixes: &'static [&'static str],
    /// What its first bytes show.
    pub content: Content,
    /// What its files begin with; none of a text, which has to be recognised by more.
    pub magic: &'static [&'static [u8]],
    pub access: Access,
    pub columns: Columns,
    /// Whether it is text once nothing is compressed, so that its last row may or may not end with a line break.
    pub is_text: bool,
}

/// How a decoder is opened.
#[derive(Debug)]
pub enum Access {
    /// At the first byte.
    Stream {
        new: fn() -> Box<dyn Decoder>,
        frame: Frame,
    },
    /// By the last bytes, to be called as [`open_by_tail`](Row::open_by_tail) says.
    Tail(fn(u64, u64, &Bytes) -> Result<Opened<dyn Decoder>, Defect>),
}

/// Looks at what the ends of a text show.
#[derive(Debug)]
pub enum Frame {
    /// At the first bytes and the last ones, at most 64 KiB each; both are the whole text if it is not larger.
    Ends(fn(Head<'_>, &[u8]) -> Result<Framed, Defect>),
    /// At the first bytes alone, since the last ones tell nothing.
    Begin(fn(Head<'_>) -> Result<Framed, Defect>),
}

/// What is known of the columns of a file, and so of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// A first line names them, which is no row. Nothing proves that it is a line of headings.
    Headings,
    /// The file itself says which they are.
    Schema,
    /// Each row has its own.
    Keys,
    /// There are rows in tables, lines of headings among them; nothing says which row is one.
    Tables,
    /// There are pages, and no rows.
    Pages,
}

/// Every format.
static ROWS: [Row; Format::ALL.len()] = [
    Row {
        format: Format::Csv,
        suffixes: &["csv"],
        content: Content::Csv,
        magic: &[],
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
        access: Access::Tail(|size, start, tail| OrcDecoder::open(size, start, tail).map(any)),
        columns: Columns::Schema,
        is_text: false,
    },
    Row {
        format: Format::JsonlGzip,
        suffixes: &[],
        content: Content::Gzip,
        magic: &[&gzip::MAGIC],
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
        access: Access::Tail(|size, start, tail| PdfDecoder::open(size, start, tail).map(any)),
        columns: Columns::Pages,
        is_text: false,
    },
    Row {
        format: Format::Excel,
        suffixes: &["xlsx"],
        content: Content::Zip,
        magic: &[excel::LOCAL_MAGIC, excel::END_MAGIC],
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
    /// All that has to be known of it.
    #[must_use]
    pub fn row(self) -> &'static Row {
        // A test holds the order.
        &ROWS[self as usize]
    }

    /// The format whose files' names have this suffix, in lower case and without its dot.
    #[must_use]
    pub fn of_suffix(suffix: &str) -> Option<Self> {
        let row = ROWS.iter().find(|row| row.suffixes.contains(&suffix));
        row.map(|row| row.format)
    }
}

impl Content {
    /// The export format that this content fits, as far as first bytes tell; `None` if it fits none.
    #[must_use]
    pub fn format(self) -> Option<Format> {
        let row = ROWS.iter().find(|row| row.content == self);
        row.map(|row| row.format)
    }
}

impl Row {
    /// Whether its files are compressed as a whole.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.content == Content::Gzip
    }

    /// Whether a file without a single byte is one of it: a text without a row.
    #[must_use]
    pub const fn may_be_empty(&self) -> bool {
        self.magic.is_empty()
    }

    /// Whether a file holds a table with columns that can be named.
    #[must_use]
    pub const fn has_columns(&self) -> bool {
        matches!(self.columns, Columns::Headings | Columns::Schema | Columns::Keys)
    }

    /// Whether its last bytes show something.
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

    /// A decoder of the whole object, given all its bytes.
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
    fn each_format_has_its_row() {
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
    fn what_is_not_to_be_opened_is_a_defect_and_what_begins_it_is_looked_at_first() {
        for row in &ROWS {
            let nothing = row.open(&Bytes::new());
            match row.access {
                Access::Stream { .. } => assert!(nothing.is_ok()),
                Access::Tail(_) => assert!(nothing.is_err(), "{:?}", row.format),
            }
        }
    }
}
