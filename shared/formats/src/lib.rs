//! Decoders that read one object to its last byte: bytes in, rows and defects out.
//!
//! What must stay true:
//! * Rows are counted by decoding them, never taken from a size, a line count or a footer alone.
//! * What a decoder holds does not grow with the object: see [`Decoder::held`] and the limit in each module's text.
//! * The result does not depend on how the bytes are cut into chunks.
//! * A [`Defect`] never quotes a value, because exports hold personal data and messages end up in logs and receipts.
//! * Corrupt input is a [`Defect`], never a panic that leaves this crate.
//! * If an object decodes, but not every reader would read it in the same way, it gets a [`Remark`]; the check `format`
//!   then warns.
//!
//! The registry has one row for each format. The row says how to open the decoder; the decoder takes the bytes in order
//! and says at the end how many rows there are. The modules are in layers: at the bottom `defect`, `decoded` and
//! `decoder`, above them a module for each format, then `registry` and `sniff`.

mod bits;
mod content;
mod csv;
mod decoded;
mod decoder;
mod defect;
mod excel;
mod format;
mod gzip;
mod jsonl;
mod orc;
mod panics;
mod pdf;
mod registry;
mod remark;
mod sniff;
mod state;
#[cfg(test)]
mod testing;
mod text;

pub use self::{
    content::{Content, Head},
    csv::CsvDecoder,
    decoded::{Decoded, Document, Framed, MAX_COLUMN_NAME, MAX_COLUMNS},
    decoder::{Begin, Checkpoint, Decoder, Opened},
    defect::{Defect, Remedy},
    excel::ExcelDecoder,
    format::Format,
    gzip::GzipDecoder,
    jsonl::{JsonlDecoder, MAX_LINE},
    orc::{OrcDecoder, TAIL_GUESS},
    pdf::PdfDecoder,
    registry::{Access, Columns, Frame, OpenByTail, Row},
    remark::{Remark, Remarks},
    sniff::{begins_as_csv, sniff, sniff_gzip},
};
