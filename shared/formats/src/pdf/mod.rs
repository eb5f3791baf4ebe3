//! PDF: the structure of the file and the number of its pages.
//!
//! What must stay true:
//! * The file has a header and ends with `%%EOF`. The last `startxref` before that leads to a cross-reference table or
//!   stream.
//! * The trailer names a root that exists. Its page tree is a tree with as many pages as it says, at least one.
//! * Each entry of the table that is in use leads to an object, and the content of each page exists.
//! * Each deflated stream inflates to its end and has its checksum, even after other filters.
//! * Defects that viewers mend are accepted with a remark.
//!
//! The document is held until all of it has come (`decoder`). Then it is looked through (`look`): its table is read
//! (`table`) or, if it cannot be read, rebuilt (`rebuild`); each object is found and skipped over (`lexer`, `object`,
//! `document`); object streams are unpacked (`packed`), streams are inflated (`filters`), and the pages are walked
//! (`pages`). The PDF crate only decrypts (`encrypted`): it silently mends what must be reported here, and its time is
//! not limited by the size of the document.
//!
//! Time: each byte that is looked at is paid for from an account of sixteen times the file's size. So objects that are
//! within each other, or are shared, cannot take more.
//!
//! Memory: the document, at most 64 MiB; as much again for its table; and at most 128 MiB of object streams. For a
//! larger document only the ends are looked at, and its pages are not counted.
//!
//! What this cannot see: PDF has no checksum of the whole file, so a flipped bit outside of a deflated stream may
//! change what a page shows. Pictures and fonts that pages name are only looked up in the table.

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
