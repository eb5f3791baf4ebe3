//! The directory of the archive.
//!
//! What must stay true: it lists as many parts as it promises, in the order of the file. No two parts have the same
//! name. A part that is encrypted, or compressed by a method that no workbook uses, is a defect.

use std::{cell::Cell, collections::BTreeSet, fmt, io};

use bytes::Bytes;
use rawzip::{CompressionMethod, ReaderAt, ZipLocator};

use super::{
    attributes::MAX_NAME,
    book::{CONTENT_TYPES, ROOT_RELATIONS},
    names::key,
};
use crate::defect::Defect;

/// The largest directory that is accepted, in bytes.
pub(super) const MAX_DIRECTORY: u64 = 16 * 1024 * 1024;
/// Most entries of an archive that is accepted.
pub(super) const MAX_ENTRIES: usize = 10_000;

/// An entry of the archive.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    /// The key by which other parts name it.
    pub(super) key: String,
    pub(super) header: u64,
    pub(super) compressed: u64,
    pub(super) size: u64,
    pub(super) crc: u32,
    pub(super) deflated: bool,
}

impl Entry {
    pub(super) fn defect(&self, what: impl fmt::Display) -> Defect {
        Defect::new(format!("the part {} {what}", self.name.escape_debug()))
    }

    /// Whether it is an XML part, by its extension.
    pub(super) fn is_xml(&self) -> bool {
        self.key.ends_with(".xml") || self.key.ends_with(".rels")
    }
}

/// The end of a file, with the offset at which it begins.
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) bytes: Bytes,
    /// The first byte that was asked for and is before the window.
    pub(super) missed: Cell<u64>,
}

impl ReaderAt for Window {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let Some(from) = offset.checked_sub(self.start) else {
            self.missed.set(self.missed.get().min(offset));
            return Err(io::ErrorKind::NotFound.into());
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(self.bytes.len());
        let rest = &self.bytes[from..];
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

/// The entries of an archive, in the order of the file.
pub(super) fn read_directory(size: u64, window: &Window) -> Result<Vec<Entry>, Defect> {
    let corrupt = || Defect::new("has an unreadable zip directory");
    let mut buffer = vec![0; rawzip::RECOMMENDED_BUFFER_SIZE.max(1 << 16)];
    // The search goes backwards from the end, and must not leave the bytes that were read.
    let archive = ZipLocator::new()
        .max_search_space(window.bytes.len() as u64)
        .locate_in_reader(window, &mut buffer, size)
        .map_err(|_| Defect::new("has no zip directory at its end: it is cut off, or no workbook").at(size))?;
    if archive.end_offset() != size {
        return Err(Defect::new("has something behind the end of its zip archive").at(archive.end_offset()));
    }
    if archive.directory_offset() < window.start {
        window.missed.set(window.missed.get().min(archive.directory_offset()));
        return Err(corrupt());
    }
    let promised = archive.entries_hint();
    let mut found = Vec::new();
    let mut names = BTreeSet::new();
    let mut entries = archive.entries(&mut buffer);
    while let Some(record) = entries.next_entry().map_err(|_| corrupt())? {
        if found.len() == MAX_ENTRIES {
            return Err(Defect::new(format!(
                "has more than {MAX_ENTRIES} parts, the most that are taken"
            )));
        }
        let path = record.file_path();
        let name = std::str::from_utf8(path.as_ref())
            .ok()
            .filter(|name| name.len() <= MAX_NAME)
            .ok_or_else(corrupt)?
            .to_owned();
        let deflated = match record.compression_method() {
            CompressionMethod::STORE => false,
            CompressionMethod::DEFLATE => true,
            _ => {
                return Err(Defect::new(
                    "has a part that is compressed by a method no workbook uses",
                ));
            }
        };
        if record.flags().is_encrypted() {
            return Err(Defect::new("has an encrypted part"));
        }
        let key = key(&name);
        if !names.insert(key.clone()) {
            return Err(Defect::new("has two parts of the same name"));
        }
        found.push(Entry {
            name,
            key,
            header: record.local_header_offset(),
            compressed: record.compressed_size_hint(),
            size: record.uncompressed_size_hint(),
            crc: record.crc32(),
            deflated,
        });
    }
    if found.len() as u64 != promised {
        return Err(Defect::new(format!(
            "has {} parts in its zip directory, which promises {promised}",
            found.len()
        )));
    }
    found.sort_by_key(|entry| entry.header);
    Ok(found)
}

/// Checks that a directory has the parts that a workbook begins with. Only these parts say which part is the workbook.
pub(super) fn check_parts(entries: &[Entry]) -> Result<(), Defect> {
    let has = |name: &str| entries.iter().any(|entry| entry.key == name && entry.size > 0);
    if !has(CONTENT_TYPES) {
        return Err(Defect::new("has no part [Content_Types].xml, so it is no workbook"));
    }
    let other = |entry: &Entry| entry.key != CONTENT_TYPES && entry.key.ends_with(".xml");
    if !has(ROOT_RELATIONS) || !entries.iter().any(other) {
        return Err(Defect::new(
            "has no workbook part that its content types and relations lead to",
        ));
    }
    Ok(())
}
