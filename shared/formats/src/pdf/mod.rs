//! PDF: the structure of the file and the number of its pages.
//!
//! What must stay true:
//! * The file has a header and ends with `%%EOF`. The last `startxref` before that leads to a cross-reference table
//!   or stream.
//! * The trailer names a root that is there. Its page tree is a tree with as many pages as it says, at least one.
//! * Every entry of the table that is in use leads to an object, and the content of each page is there.
//! * Every deflated stream inflates to its end and has its checksum, behind whatever other filters.
//! * What viewers mend is accepted with a remark.
//!
//! The document is held until all of it has come (`decoder`). Then it is looked through (`look`): its table is read
//! (`table`) or, if it cannot be read, rebuilt (`rebuild`); each object is found and skipped over (`lexer`, `object`,
//! `document`); object streams are unpacked (`packed`), streams are inflated (`filters`), and the pages are walked
//! (`pages`). The PDF crate only decrypts (`encrypted`): it mends silently what has to be told of here, and its time
//! is not bounded by the size of the document.
//!
//! Time: every byte that is looked at is paid for from an account of sixteen times what the file holds. So objects
//! that lie within each other, or are shared, cannot take more.
//!
//! Memory: the document, at most 64 MiB, as much again for its table, and at most 128 MiB of object streams. Of a
//! larger document only the ends are looked at, and its pages stay uncounted.
//!
//! What this cannot see: PDF has no checksum of the whole, so a flipped bit outside of a deflated stream may change
//! what a page shows. Pictures and fonts that pages name are looked for in the table alone.

mod decoder;
mod document;
mod encrypted;
mod filters;
mod lexer;
mod look;
mod mended;
mod object;
mod packed;
mod pages;
mod rebuild;
mod table;
#[cfg(test)]
mod tests;

pub use self::decoder::PdfDecoder;
pub(crate) use self::decoder::{HEADER, HEADER_WITHIN};
