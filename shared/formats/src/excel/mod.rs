//! Excel workbooks (XLSX): a zip archive of XML parts, decoded while its bytes pass once, in order.
//!
//! What must stay true: each entry of the archive is inflated to its end and has its checksum and length. Each XML part
//! is well-formed to its end. The content types, the workbook, each of its sheets and the shared strings that its cells
//! name exist. Rows are counted in the XML of the sheets.
//!
//! The archive's directory is read first, because it says where the entries are. Everything else is read in the order
//! of the file, so that one download serves decoding and the checksum. The bytes of a part become text (`text`), the
//! text is checked as XML (`xml`), and its elements are noted as far as they matter (`notes`). At the end, the notes of
//! all parts are compared (`book`).
//!
//! A row is a `row` element, in any sheet, with at least one cell that has a value or a formula. Rows of headings are
//! counted too, because a workbook does not say which they are.
//!
//! Memory: the directory, of at most 16 MiB and 10,000 entries; one piece of markup of at most 1 MiB; at most 8 MiB of
//! links from the workbook to its parts; 64 KiB of namespaces; and a scratch of 64 KiB. However much a few bytes
//! inflate to, it passes through the scratch.
//!
//! This does not check values against their types or styles.

mod attributes;
mod book;
mod decoder;
mod directory;
mod elements;
mod names;
mod notes;
#[cfg(test)]
mod tests;
mod text;
mod xml;

pub use self::decoder::ExcelDecoder;
pub(crate) use self::decoder::{END_MAGIC, LOCAL_MAGIC};
