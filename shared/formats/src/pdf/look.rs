//! Looks through a complete document.
//!
//! What must stay true: each object in use is found, each stream is inflated, and each page is counted; anything
//! missing is a defect.
//!
//! First the cross-reference table is read or, if it cannot be read, rebuilt from the objects. Then each entry is
//! followed to its object, object streams are unpacked, and all streams are compared with their checksums. Last, the
//! page tree is walked.

use std::collections::BTreeMap;

use super::{
    document::Document,
    mended::Mended,
    object::Account,
    pages, rebuild,
    table::{self, Table},
};
use crate::defect::Defect;

/// Looks through a document whose last section should begin at `section_at`. Answers its number of pages, if they can
/// be counted, and what viewers mend.
pub(super) fn look(bytes: &[u8], section_at: u64) -> Result<(Option<u64>, Vec<String>), Defect> {
    let account = Account::of(bytes.len());
    let read = table::read(bytes, section_at, &account);
    account.check()?;
    let is_rebuilt = read.is_none();
    let Table {
        entries,
        older,
        mended,
        root,
        encrypted,
    } = match read {
        Some(table) => table,
        None => rebuild::table(bytes, &account)?,
    };
    let mut document = Document {
        bytes,
        entries,
        packed: BTreeMap::new(),
        account,
        mended: Mended {
            table: mended,
            ..Mended::default()
        },
    };
    let largest = document.find_objects(&older)?;
    let decryption = if encrypted {
        match document.decrypt(largest)? {
            Some(decryption) => Some(decryption),
            None => return Ok((None, document.mended.remarks())),
        }
    } else {
        document.unpack_objects(is_rebuilt)?;
        None
    };
    document.check_streams(decryption.as_ref())?;
    let root = root.ok_or_else(|| Defect::new("has a trailer that names no root"))?;
    let pages = match &decryption {
        // Only the PDF crate reads objects in encrypted object streams.
        Some(decryption) if document.has_packed() => decryption.pages(),
        _ => pages::count(&mut document, root),
    };
    document.account.check()?;
    Ok((Some(pages?), document.mended.remarks()))
}
