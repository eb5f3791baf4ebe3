//! The tail of a file: postscript and footer.
//!
//! What must stay true: nothing in the tail is trusted before it was compared with the file's size and the limits of
//! this module. The types form a tree, numbered in preorder. The length of lists is checked while they are decoded, and
//! fields that are not needed are not decoded.

use std::ops::Range;

use bytes::Bytes;
use prost::{DecodeError, Message};

use super::{
    blocks::Blocks,
    proto::{self, TypeKind},
    records,
};
use crate::{
    decoded::{MAX_COLUMNS, column_name},
    decoder::Opened,
    defect::Defect,
};

pub(crate) const MAGIC: &[u8] = b"ORC";
/// The largest footer with its postscript that is accepted, in stored bytes. The metadata before it, which are
/// statistics of the stripes, may have any length: they are read with everything else, and nothing of them is held.
pub(super) const MAX_TAIL: u64 = 16 * 1024 * 1024;

/// The largest inflated footer that is accepted.
const MAX_FOOTER: usize = 32 << 20;
/// Most types that are accepted, with nested ones.
const MAX_TYPES: usize = 1 << 16;
/// How many bytes of a footer types may take. Two bytes may be a name, which takes 24 bytes in memory.
const MAX_TYPE_BYTES: usize = 8 << 20;
/// Most stripes that are accepted: as many as a file of 10 TiB has if each has 10 MiB.
const MAX_STRIPES: usize = 1 << 20;
/// How deep types may be nested.
const MAX_DEPTH: usize = 64;
/// The version that stores short decimals as integers.
const UNSTABLE: [u32; 2] = [1, 9999];
/// Most digits of a decimal that such a file stores as an integer.
const SHORT_DECIMAL: u32 = 18;

/// What the tail of a file says.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) blocks: Blocks,
    /// Where the statistics of the stripes are, with which the tail begins.
    pub(super) metadata: Range<u64>,
    pub(super) types: Vec<Type>,
    /// In the order of the file.
    pub(super) stripes: Vec<Span>,
    pub(super) rows: u64,
    pub(super) columns: Vec<String>,
}

/// A type of the file's tree.
#[derive(Debug)]
pub(super) struct Type {
    pub(super) kind: TypeKind,
    pub(super) children: Vec<u32>,
    /// The top-level column, from 1, that it belongs to; 0 for the root.
    pub(super) column: u32,
    /// Whether it is a decimal that is stored as an integer.
    pub(super) short: bool,
}

/// The place of a stripe.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) footer: u64,
    pub(super) end: u64,
    pub(super) rows: u64,
}

impl Span {
    fn new(stripe: &proto::StripeInformation) -> Option<Self> {
        let start = stripe.offset();
        let footer = start
            .checked_add(stripe.index_length())?
            .checked_add(stripe.data_length())?;
        Some(Self {
            start,
            footer,
            end: footer.checked_add(stripe.footer_length())?,
            rows: stripe.number_of_rows(),
        })
    }

    pub(super) const fn length(&self) -> u64 {
        self.end - self.start
    }

    pub(super) const fn footer(&self) -> Range<u64> {
        self.footer..self.end
    }
}

impl Tail {
    /// Reads the tail of a file of `size` bytes from its last bytes, those from `start` on.
    pub(super) fn read(size: u64, start: u64, bytes: &Bytes) -> Result<Opened<Self>, Defect> {
        let shorter = || Defect::new("is too short for an ORC file: it is cut off, or not ORC");
        let [front @ .., length] = bytes.as_ref() else {
            return Err(shorter());
        };
        let length = usize::from(*length);
        let postscript = front
            .len()
            .checked_sub(length)
            .map(|start| &front[start..])
            .ok_or_else(shorter)?;
        let unreadable = || {
            let what = "has no readable ORC postscript at its end: it is cut off, or not ORC";
            Defect::new(what).at(size - 1)
        };
        let postscript = proto::PostScript::decode(postscript).map_err(|_| unreadable())?;
        if postscript
            .magic
            .as_deref()
            .is_some_and(|magic| magic.as_bytes() != MAGIC)
        {
            return Err(unreadable());
        }
        // The writers of Hive 0.11 did not know metadata.
        let (Some(footer), metadata) = (postscript.footer_length, postscript.metadata_length()) else {
            return Err(unreadable());
        };
        let length = footer
            .checked_add(metadata)
            .and_then(|sections| sections.checked_add(1 + length as u64))
            .filter(|length| length.saturating_add(MAGIC.len() as u64) <= size)
            .ok_or_else(|| Defect::new("has an ORC footer longer than the file: it is cut off").at(size - 1))?;
        let begin = size - length;
        // The metadata are statistics of the stripes. They are not needed here, so they may have any length.
        let metadata = begin..begin + metadata;
        if size - metadata.end > MAX_TAIL {
            return Err(Defect::new(format!(
                "has an ORC footer of more than {} MiB, the most that is taken",
                MAX_TAIL >> 20
            )));
        }
        if metadata.end < start {
            return Ok(Opened::Needs(metadata.end));
        }
        let footer = &bytes[(metadata.end - start) as usize..][..footer as usize];
        Self::over(&postscript, metadata, footer).map(|tail| Opened::Ready(Box::new(tail)))
    }

    fn over(postscript: &proto::PostScript, metadata: Range<u64>, footer: &[u8]) -> Result<Self, Defect> {
        let blocks = Blocks::new(postscript)?;
        let plain = blocks
            .section(footer, MAX_FOOTER)
            .map_err(|fault| Defect::new(format!("has a corrupt ORC footer: {fault}")))?;
        let (footer, stripes) = decode(&plain, metadata.start)?;
        let types = types(&footer.types, postscript.version == UNSTABLE)?;
        contents_end(&footer, &stripes, metadata.start)?;
        let rows = footer.number_of_rows();
        let counted = stripes
            .iter()
            .try_fold(0_u64, |sum, stripe| sum.checked_add(stripe.rows));
        if counted != Some(rows) {
            return Err(Defect::new(format!(
                "has a footer that says {rows} rows, and other rows of its stripes"
            )));
        }
        let names = footer.types.first().map(|root| root.field_names.as_slice());
        Ok(Self {
            blocks,
            metadata,
            types,
            stripes,
            rows,
            columns: names
                .unwrap_or_default()
                .iter()
                .take(MAX_COLUMNS)
                .map(|name| column_name(name))
                .collect(),
        })
    }

    /// Number of top-level columns.
    pub(super) fn column_count(&self) -> u64 {
        self.types.first().map_or(0, |root| root.children.len()) as u64
    }
}

/// Decodes the needed parts of a footer: its stripes, which must end before `stripes_end`, and the rest.
pub(super) fn decode(mut plain: &[u8], stripes_end: u64) -> Result<(proto::Footer, Vec<Span>), Defect> {
    let unreadable = |_: DecodeError| Defect::new("has an unreadable ORC footer: its structure is corrupt");
    let (mut footer, mut stripes) = (proto::Footer::default(), Vec::<Span>::new());
    let mut type_bytes = 0;
    while let Some(record) = records::next(&mut plain).map_err(unreadable)? {
        match record.number {
            // The lengths of the header and of the content, and the rows.
            1 | 2 | 6 => footer.merge(record.bytes).map_err(unreadable)?,
            3 => {
                if stripes.len() == MAX_STRIPES {
                    return Err(Defect::new(format!(
                        "has more than {MAX_STRIPES} stripes, the most that are taken"
                    )));
                }
                // All fields except those for encryption.
                let stripe = record.decode(&[1, 2, 3, 4, 5]).map_err(unreadable)?;
                stripes.push(follow(&stripes, &stripe, stripes_end)?);
            }
            4 => {
                type_bytes += record.bytes.len();
                if footer.types.len() == MAX_TYPES {
                    return Err(Defect::new(format!(
                        "has more than {MAX_TYPES} ORC types, the most that are taken"
                    )));
                }
                if type_bytes > MAX_TYPE_BYTES {
                    return Err(Defect::new(format!(
                        "has more than {} MiB of ORC types, the most that is taken",
                        MAX_TYPE_BYTES >> 20
                    )));
                }
                // The kind, the children, their names, and a decimal's digits.
                footer.types.push(record.decode(&[1, 2, 3, 5]).map_err(unreadable)?);
            }
            10 => return Err(Defect::new("has encrypted columns, which cannot be decoded")),
            // Metadata of users, statistics, and what the writer says about itself.
            _ => {}
        }
    }
    Ok((footer, stripes))
}

/// The place of a stripe that follows these.
fn follow(before: &[Span], stripe: &proto::StripeInformation, stripes_end: u64) -> Result<Span, Defect> {
    let number = before.len() as u64 + 1;
    let end = before.last().map_or(MAGIC.len() as u64, |last| last.end);
    let span = Span::new(stripe)
        .filter(|span| end <= span.start && span.end <= stripes_end)
        .ok_or_else(|| Defect::new("lies, by the footer, outside the file or over another stripe").in_stripe(number))?;
    if span.length() == 0 {
        return Err(Defect::new("is empty").at(span.start).in_stripe(number));
    }
    Ok(span)
}

/// Compares the end of the file's contents by its footer with `begin`, where the tail begins. Anything else before the
/// tail belongs to another file. There may be padding between stripes.
pub(super) fn contents_end(footer: &proto::Footer, stripes: &[Span], begin: u64) -> Result<(), Defect> {
    let last = stripes.last().map_or(MAGIC.len() as u64, |stripe| stripe.end);
    // Some writers count the header as content, some do not.
    let stated = footer
        .content_length
        .is_some_and(|content| content == begin || content.checked_add(footer.header_length()) == Some(begin));
    if last == begin || stated {
        return Ok(());
    }
    Err(Defect::new(format!(
        "has {} bytes between its last stripe and its footer that are no part of it: files were put together",
        begin.saturating_sub(last)
    ))
    .at(last))
}

fn types(types: &[proto::Type], unstable: bool) -> Result<Vec<Type>, Defect> {
    let mut found = Vec::with_capacity(types.len());
    // Types are numbered in preorder, so a child comes after its parent, and has only one.
    let mut places: Vec<Option<(usize, u32)>> = vec![None; types.len()];
    match (types.first(), places.first_mut()) {
        (Some(root), Some(place)) if root.kind == Some(TypeKind::Struct.into()) => *place = Some((0, 0)),
        (Some(_), _) => return Err(Defect::new("has ORC rows without columns, which is not supported")),
        (None, _) => return Err(Defect::new("has an unreadable ORC footer: it has no columns")),
    }
    for (index, parent) in types.iter().enumerate() {
        let broken = || Defect::new("has ORC types that are not a tree, or nested too deep");
        let (depth, column) = places[index].ok_or_else(broken)?;
        for (number, child) in (1..).zip(&parent.subtypes) {
            let child = *child as usize;
            let column = if index == 0 { number } else { column };
            match places.get_mut(child) {
                Some(place @ None) if child > index && depth < MAX_DEPTH => *place = Some((depth + 1, column)),
                _ => return Err(broken()),
            }
        }
        let kind = parent
            .kind
            .and_then(|kind| TypeKind::try_from(kind).ok())
            .ok_or_else(|| Defect::new(format!("has column {column} of a type that is not supported")))?;
        let fits = match kind {
            TypeKind::Struct => parent.field_names.len() == parent.subtypes.len(),
            TypeKind::List => parent.subtypes.len() == 1,
            TypeKind::Map => parent.subtypes.len() == 2,
            TypeKind::Union => (1..=256).contains(&parent.subtypes.len()),
            _ => parent.subtypes.is_empty(),
        };
        if !fits {
            return Err(Defect::new("has ORC types with children that do not fit them"));
        }
        found.push(Type {
            kind,
            children: parent.subtypes.clone(),
            column,
            short: unstable && kind == TypeKind::Decimal && (1..=SHORT_DECIMAL).contains(&parent.precision()),
        });
    }
    Ok(found)
}
