//! The fast path over JSON lines: 64 bytes at a time.
//!
//! What must stay true: it accepts no line that serde_json would refuse. It may leave any line to serde_json, such as
//! one that nests deeper than 64 values.

use fearless_simd::{Simd, prelude::*, u8x64};

use super::halves::{Half, half};
use crate::bits::{self, parity};

/// How many bytes [`filter`] takes at a time.
pub(super) const BLOCK: usize = 64;
/// How deep the filter follows nested values. Deeper lines are left to the parser.
const MAX_DEPTH: u32 = 64;

/// The bytes right after tokens of one kind, as bits of a block. Also remembers whether a token ended at the last byte,
/// or only spaces followed it, so that the next block begins with what follows.
#[derive(Clone, Copy, Default)]
struct Behind(u64);

impl Behind {
    /// The first byte after each of `ends`, not counting spaces. `and` are bytes that are known to follow such tokens.
    #[inline(always)]
    fn next(&mut self, ends: u64, and: u64, spaces: u64) -> u64 {
        let behind = (ends << 1) | self.0 | and;
        if spaces == 0 {
            self.0 = ends >> 63;
            return behind;
        }
        // Adding to the lowest bit of a run of spaces carries to the bit after the run.
        let (sum, over) = (behind & spaces).overflowing_add(spaces);
        self.0 = (ends >> 63) | u64::from(over);
        (behind | sum) & !spaces
    }
}

/// Goes over lines that all end with a line break. Answers how many lines from the first on are certainly one JSON
/// object each, and how many bytes these take. The line after them may be anything.
///
/// As in simdjson, bit masks of 64 bytes show which quotes begin and end strings, and so which brackets, colons,
/// commas, numbers and words are outside of strings. JSON's rules say what may follow what, and masks suffice to check
/// them. Only brackets, which decide whether a comma belongs to an object or an array, and numbers and words are looked
/// at one by one.
#[inline(always)]
pub(super) fn filter<S: Simd>(simd: S, lines: &[u8]) -> (u64, usize) {
    let (mut rows, mut line, mut at) = (0, 0, 0);
    // For each open value, the innermost in the lowest bit: whether it is an array.
    let (mut arrays, mut depth) = (0_u64, 0_u32);
    // What the block before this one ended with. All bits are set if in a string; the lowest bit if in a string that is
    // a key, after a backslash, or in a number or a word.
    let (mut within, mut in_key, mut escaped, mut in_scalar) = (0_u64, 0_u64, 0_u64, 0_u64);
    let (mut value, mut key, mut wants_value) = (Behind::default(), Behind::default(), Behind::default());
    let (mut wants_key, mut object, mut array) = (Behind::default(), Behind::default(), Behind::default());
    let mut line_break = Behind(1);
    // After the first half of a surrogate pair: where the `u` of the second half must be.
    let mut second_half = None;
    let all = |byte| u8x64::splat(simd, byte);
    let mut padded = [b' '; BLOCK];
    while at < lines.len() {
        let block = if let Some(block) = lines.get(at..at + BLOCK) {
            u8x64::from_slice(simd, block)
        } else {
            padded[..lines.len() - at].copy_from_slice(&lines[at..]);
            u8x64::from_slice(simd, &padded)
        };
        let backslashes = block.simd_eq(all(b'\\')).to_bitmask();
        let mut escapes = escaped;
        escaped = 0;
        if backslashes != 0 {
            escapes = bits::escaped(backslashes, escapes != 0);
            escaped = (backslashes & !escapes) >> 63;
        }
        let quotes = block.simd_eq(all(b'"')).to_bitmask() & !escapes;
        // From each opening quote up to the byte before the closing one.
        let inside = parity(quotes) ^ within;
        let controls = block.simd_lt(all(b' ')).to_bitmask();
        if controls & inside != 0 || (escapes != 0 && !escapes_are_right(lines, at, escapes, inside, &mut second_half))
        {
            break;
        }
        let feeds = block.simd_eq(all(b'\n')).to_bitmask();
        let spaces = (block.simd_eq(all(b' ')) | block.simd_eq(all(b'\t')) | block.simd_eq(all(b'\r'))).to_bitmask();
        let spaces = spaces & !inside;
        let colons = block.simd_eq(all(b':')).to_bitmask() & !inside;
        let commas = block.simd_eq(all(b',')).to_bitmask() & !inside;
        let (objects, object_ends) = (
            block.simd_eq(all(b'{')).to_bitmask(),
            block.simd_eq(all(b'}')).to_bitmask(),
        );
        let (arrays_begin, array_ends) = (
            block.simd_eq(all(b'[')).to_bitmask(),
            block.simd_eq(all(b']')).to_bitmask(),
        );
        let (objects, object_ends) = (objects & !inside, object_ends & !inside);
        let (arrays_begin, array_ends) = (arrays_begin & !inside, array_ends & !inside);
        let begins = objects | arrays_begin;
        let ends = object_ends | array_ends;
        let scalars = !(colons | commas | begins | ends | feeds | spaces | quotes | inside);
        let shifted = (scalars << 1) | in_scalar;
        let (scalar_begins, behind_scalars) = (scalars & !shifted, shifted & !scalars);

        // Which bytes are in an array, and which are outside of all values.
        let (mut in_array, mut outside) = (0, 0);
        let mut rest = u64::MAX;
        let mut wrong = false;
        let mut left = begins | ends | feeds;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            let before = rest & (bit - 1);
            in_array |= before & (arrays & 1).wrapping_neg();
            outside |= before & u64::from(depth == 0).wrapping_neg();
            rest = !(bit - 1);
            if bit & begins != 0 {
                wrong |= depth >= MAX_DEPTH;
                depth = depth.wrapping_add(1);
                arrays = (arrays << 1) | u64::from(bit & arrays_begin != 0);
            } else if bit & ends != 0 {
                wrong |= depth == 0 || (arrays & 1 != 0) != (bit & array_ends != 0);
                depth = depth.wrapping_sub(1);
                arrays >>= 1;
            } else {
                wrong |= depth != 0;
            }
            left ^= bit;
        }
        in_array |= rest & (arrays & 1).wrapping_neg();
        outside |= rest & u64::from(depth == 0).wrapping_neg();

        let strings = quotes & inside;
        let values = strings | scalar_begins | begins;
        let behind_comma = wants_key.next(commas & !in_array, 0, spaces);
        let behind_object = object.next(objects, 0, spaces);
        let keys = strings & (behind_comma | behind_object);
        // Adding to the first bit of a string carries to its closing quote.
        let (sum, over) = inside.overflowing_add(keys);
        let (sum, over_too) = sum.overflowing_add(in_key);
        in_key = u64::from(over | over_too);
        let closing = quotes & !inside;
        let key_ends = closing & sum;
        let misplaced = (commas & outside)
            | (behind_comma & !strings)
            | (behind_object & !(strings | object_ends))
            | (key.next(key_ends, 0, spaces) & !colons)
            | (wants_value.next(colons | (commas & in_array), 0, spaces) & !values)
            | (array.next(arrays_begin, 0, spaces) & !(values | array_ends))
            | (value.next((closing & !key_ends) | ends, behind_scalars, spaces) & !(commas | ends | feeds))
            | (line_break.next(feeds, 0, spaces) & !objects);
        // The carries have cleared the strings that are keys.
        let in_keys = inside & !sum;
        if wrong || misplaced != 0 || (escapes & in_keys != 0 && names_surrogates(lines, at, escapes & in_keys)) {
            break;
        }
        let mut left = scalar_begins;
        while left != 0 {
            wrong |= !scalar(&lines[at + left.trailing_zeros() as usize..]);
            left &= left - 1;
        }
        if wrong {
            break;
        }
        if feeds != 0 {
            rows += u64::from(feeds.count_ones());
            line = at + BLOCK - feeds.leading_zeros() as usize;
        }
        within = ((inside as i64) >> 63) as u64;
        in_scalar = scalars >> 63;
        at += BLOCK;
    }
    (rows, line)
}

/// Whether the bytes after backslashes are JSON's escapes, and no half of a surrogate pair is alone. `second_half` is
/// where the `u` of a pair's second half must be.
#[cold]
#[inline(never)]
fn escapes_are_right(lines: &[u8], at: usize, mut escapes: u64, inside: u64, second_half: &mut Option<usize>) -> bool {
    // Outside of strings there are no escapes.
    if escapes & !inside != 0 {
        return false;
    }
    while escapes != 0 {
        let place = at + escapes.trailing_zeros() as usize;
        let right = match lines.get(place) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => true,
            Some(b'u') => lines.get(place + 1..).is_some_and(|digits| {
                let are_right = digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_hexdigit);
                are_right && (half(digits) == Half::None || is_of_pair(digits, place, second_half))
            }),
            _ => false,
        };
        if !right {
            return false;
        }
        escapes &= escapes - 1;
    }
    true
}

/// Whether these digits of an escape, whose `u` is at `place`, are not a half of a surrogate pair, or are half of a
/// complete pair.
fn is_of_pair(digits: &[u8], place: usize, second_half: &mut Option<usize>) -> bool {
    match half(digits) {
        Half::Second => second_half.take() == Some(place),
        Half::First if matches!(digits, [_, _, _, _, b'\\', b'u', next @ ..] if half(next) == Half::Second) => {
            *second_half = Some(place + 6);
            true
        }
        Half::First | Half::None => false,
    }
}

/// Whether one of these escapes is half of a surrogate pair. In keys the parser accepts only complete pairs, so it has
/// to decide.
#[cold]
#[inline(never)]
fn names_surrogates(lines: &[u8], at: usize, mut escapes: u64) -> bool {
    while escapes != 0 {
        let place = at + escapes.trailing_zeros() as usize;
        if let Some([b'u', b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', ..]) = lines.get(place..) {
            return true;
        }
        escapes &= escapes - 1;
    }
    false
}

/// Whether the text begins with a number or a word of JSON that is followed by something that may follow it.
#[inline]
fn scalar(text: &[u8]) -> bool {
    let word = match text {
        [b't', b'r', b'u', b'e', rest @ ..]
        | [b'n', b'u', b'l', b'l', rest @ ..]
        | [b'f', b'a', b'l', b's', b'e', rest @ ..] => rest,
        _ => match number(text) {
            Some(rest) => rest,
            None => return false,
        },
    };
    matches!(word, [b',' | b'}' | b']' | b' ' | b'\t' | b'\r', ..])
}

/// The rest of the text after a number.
#[inline]
fn number(text: &[u8]) -> Option<&[u8]> {
    let mut rest = match text.strip_prefix(b"-").unwrap_or(text) {
        [b'0', rest @ ..] => rest,
        [b'1'..=b'9', rest @ ..] => digits(rest),
        _ => return None,
    };
    if let [b'.', b'0'..=b'9', more @ ..] = rest {
        rest = digits(more);
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        rest = match exponent {
            [b'+' | b'-', b'0'..=b'9', more @ ..] | [b'0'..=b'9', more @ ..] => digits(more),
            _ => return None,
        };
    }
    Some(rest)
}

#[inline]
fn digits(mut text: &[u8]) -> &[u8] {
    while let [b'0'..=b'9', rest @ ..] = text {
        text = rest;
    }
    text
}
