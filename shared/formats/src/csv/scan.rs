//! The fast path over records: 64 bytes at a time.
//!
//! What must stay true: it counts what the automaton would count. It leaves a block to the automaton if anything in it
//! is unusual: quotes that do not enclose a whole value, a quote that may be escaped by a backslash, a record with
//! another number of fields than the header, or a record that looks like the header.

use fearless_simd::{Simd, prelude::*, u8x64};

use super::{
    automaton::{Place, Quotes},
    records::{Header, Records},
};
use crate::{
    bits::{escaped, parity},
    text::BOM,
};

/// How many bytes [`scan`] takes at a time.
pub(super) const BLOCK: usize = 64;

/// Why [`scan`] stopped.
pub(super) struct Scanned {
    /// Offset of the first block that was not taken.
    pub(super) at: usize,
    /// Whether the automaton must read that block.
    pub(super) unusual: bool,
}

/// Counts the records of whole blocks from `at` on, up to the first unusual block.
#[inline(always)]
pub(super) fn scan<S: Simd>(
    simd: S,
    records: &mut Records,
    header: Header,
    bytes: &[u8],
    mut at: usize,
    begin: &mut Option<usize>,
) -> Scanned {
    let wanted = header.fields - 1;
    // Only records that are as long as the header, or that begin with a byte order mark, are compared with it.
    let length = if header.kept && wanted > 0 {
        records.heading.len()
    } else {
        usize::MAX
    };
    // Values that rarely change are not copied, because processors have few registers.
    let Records {
        place,
        mut delimiters,
        mut rows,
        mut breaks,
        mut line,
        ..
    } = *records;
    let is_escaped = records.quotes == Quotes::Escaped;
    let start = at;
    // What the block before this one ended with: all bits or none, or the lowest bit.
    let is_quoted = matches!(place, Place::Quoted | Place::Backslash);
    let mut within = if is_quoted { u64::MAX } else { 0 };
    let mut closed = u64::from(place == Place::Closed);
    let mut separated = u64::from(matches!(place, Place::Fresh | Place::Field));
    let mut broken = u64::from(place == Place::Fresh);
    let mut returned = u64::from(records.after_cr);
    let mut unusual = false;
    // Modulo 2^64. A record that began before these bytes then seems too long to be compared in the loop.
    let mut from = begin.unwrap_or(usize::MAX / 2);
    let (quote, comma) = (u8x64::splat(simd, b'"'), u8x64::splat(simd, b','));
    let (lf, cr) = (u8x64::splat(simd, b'\n'), u8x64::splat(simd, b'\r'));

    'blocks: while let Some(block) = bytes.get(at..at + BLOCK) {
        let block = u8x64::from_slice(simd, block);
        let mut quotes = block.simd_eq(quote).to_bitmask();
        let feeds = block.simd_eq(lf).to_bitmask();
        let returns = block.simd_eq(cr).to_bitmask();
        let commas = block.simd_eq(comma).to_bitmask();
        let mut suspect = false;
        if quotes != 0 && (records.watch || is_escaped) {
            let backslashes = block.simd_eq(u8x64::splat(simd, b'\\')).to_bitmask();
            let before = bytes[..at]
                .last()
                .map_or(place == Place::Backslash, |byte| *byte == b'\\');
            if quotes & ((backslashes << 1) | u64::from(before)) != 0 {
                // Outside of quotes a backslash has no meaning, nor has a quote after it, which opens no value.
                let escaped = quotes & escaped(backslashes, ends_escaping(&bytes[start..at], place));
                suspect = escaped != 0 && !is_escaped;
                if is_escaped {
                    quotes &= !escaped;
                }
            }
        }
        // From each opening quote up to the byte before the closing one.
        let inside = if quotes == 0 { within } else { parity(quotes) ^ within };
        let commas = commas & !inside;
        let ends = (feeds | returns) & !inside;
        let separators = commas | ends;
        let mut doubled = 0;
        if quotes | closed != 0 {
            let behind_quote = ((quotes & !inside) << 1) | closed;
            doubled = quotes & inside & behind_quote;
            // A quote opens a value only at its beginning, or is the second of two. Elsewhere it has no meaning, which
            // the masks cannot show. Nothing else may follow a closing quote.
            let misplaced = quotes & inside & !((separators << 1) | separated | behind_quote);
            let behind_closed = behind_quote & !(separators | quotes);
            // Only one of the two ways knows doubled quotes.
            suspect |= misplaced | behind_closed != 0 || (is_escaped && doubled != 0);
        }
        // A line break after a line break is a blank line.
        let behind_end = (ends << 1) | broken;
        let begins = behind_end & !ends;
        let mut left = ends & !behind_end;
        let mut counted = commas;
        let mut fields = delimiters;
        let ended = u64::from(left.count_ones());
        while left != 0 {
            let end = left.trailing_zeros() as usize;
            let before = (1_u64 << end) - 1;
            fields += u64::from((counted & before).count_ones());
            let started = begins & before;
            let start = if started == 0 { from } else { at + last(started) };
            suspect |= fields != wanted;
            suspect |= (at + end).wrapping_sub(start) == length || start >= bytes.len() || bytes[start] == BOM[0];
            counted &= !before;
            fields = 0;
            left &= left - 1;
        }
        if suspect {
            unusual = true;
            break 'blocks;
        }
        delimiters = fields + u64::from(counted.count_ones());
        rows += ended;
        if begins != 0 {
            let start = last(begins);
            from = at + start;
            line = breaks + u64::from((feeds & ((1 << start) - 1)).count_ones()) + 1;
        }
        breaks += u64::from(feeds.count_ones());
        if doubled != 0 {
            records.watch = false;
        }
        if returns | returned != 0 || wanted == 0 {
            let behind_cr = ((returns & !inside) << 1) | returned;
            let lone = behind_cr & !feeds;
            if lone != 0 {
                records.lone_crs += u64::from(lone.count_ones());
            }
            let empty = ends & behind_end & !(feeds & behind_cr);
            if empty != 0 && wanted == 0 {
                records.empty_lines += u64::from(empty.count_ones());
            }
            returned = (returns & !inside) >> 63;
        }
        within = ((inside as i64) >> 63) as u64;
        closed = (quotes & !inside) >> 63;
        separated = separators >> 63;
        broken = ends >> 63;
        at += BLOCK;
    }

    if from != usize::MAX / 2 {
        *begin = Some(from);
    }
    records.place = if within != 0 {
        if ends_escaping(&bytes[start..at], place) {
            Place::Backslash
        } else {
            Place::Quoted
        }
    } else if closed != 0 {
        Place::Closed
    } else if broken != 0 {
        Place::Fresh
    } else if separated != 0 {
        Place::Field
    } else {
        Place::Plain
    };
    records.delimiters = delimiters;
    records.rows = rows;
    records.breaks = breaks;
    records.line = line;
    records.after_cr = returned != 0;
    Scanned { at, unusual }
}

/// Whether the bytes, which begin at `place`, end with a backslash within quotes that is not escaped itself.
fn ends_escaping(bytes: &[u8], place: Place) -> bool {
    let run = bytes.iter().rev().take_while(|byte| **byte == b'\\').count();
    (run % 2 == 1) ^ (run == bytes.len() && place == Place::Backslash)
}

/// The index of the highest set bit.
#[inline(always)]
fn last(bits: u64) -> usize {
    63 - bits.leading_zeros() as usize
}
