//! PDF: the structure of the file and the number of its pages.
//!
//! What must stay true: the file has a header and ends with `%%EOF`; the last `startxref` before that leads to a
//! cross-reference table or stream; the trailer names a root that is there, whose page tree is a tree with as many pages
//! as it says, at least one; every entry in use of the table leads to an object; the content of each page is there; and
//! every deflated stream inflates to its end, by its own checksum, behind whatever other filters. What viewers mend is
//! taken with a remark. Of a document of more than 64 MiB only the ends are looked at, and its pages stay
//! uncounted.
//!
//! The document is held until all of it has come (`decoder`). Then its table is read (`table`), or rebuilt if it cannot
//! be (`rebuild`), each object is found and skipped over (`lexer`, `document`), object streams are unpacked (`packed`),
//! streams are inflated (`filters`), and the pages are walked (`pages`). The PDF crate only decrypts (`encrypted`): it
//! mends silently what is to be told of here, and what it does while it opens a document is not bounded by its size.
//!
//! Time: every byte that is looked at is paid for from an account of sixteen times what the file holds, so that objects
//! within objects, shared or cyclic ones cannot take more.
//!
//! Memory: the document, at most 64 MiB, as much again for its table, and at most 128 MiB of
//! object streams.
//!
//! What this cannot see: PDF has no checksum of the whole, so a flipped bit outside of a deflated stream may change
//! what a page shows. What pages name beside their content, their pictures and their fonts is looked for by the table alone.

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
