//! Runs of integers, in both of ORC's run-length encodings.
//!
//! What must stay true: a run is decoded when it is complete, and never has more numbers than [`MAX_RUN`]. A number
//! that does not fit is a fault.

use super::fault::Fault;

/// Most values in a run of integers.
pub(super) const MAX_RUN: usize = 512;

/// Reads a base 128 varint: the number, and how many bytes it takes. `None` if it is not complete.
fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, Fault> {
    let mut number = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        if index == 9 && *byte > 1 {
            return Err("a number is longer than 64 bits");
        }
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((number, index + 1)));
        }
    }
    Ok(None)
}

const fn from_zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// A number in the form in which the file stores it. An unsigned number may be negative, because some writers store
/// nanoseconds before 1970 that way.
const fn stored(number: i64, signed: bool) -> u64 {
    if signed {
        ((number << 1) ^ (number >> 63)) as u64
    } else {
        number as u64
    }
}

/// The number that the file stores in this form.
const fn read(number: u64, signed: bool) -> i64 {
    if signed { from_zigzag(number) } else { number as i64 }
}

const OVERFLOW: Fault = "a number is out of range";

/// Decodes a run of the first version. Gives how many bytes and how many numbers it has, or `None` if it is not
/// complete. A negative control byte begins single numbers, another one begins a base that grows by equal steps.
pub(super) fn run_v1(
    bytes: &[u8],
    signed: bool,
    numbers: &mut [u64; MAX_RUN],
) -> Result<Option<(usize, usize)>, Fault> {
    let [control, rest @ ..] = bytes else {
        return Ok(None);
    };
    let control = *control as i8;
    if control < 0 {
        let count = usize::from(control.unsigned_abs());
        let mut used = 1;
        for slot in &mut numbers[..count] {
            let Some((number, length)) = varint(&bytes[used..])? else {
                return Ok(None);
            };
            *slot = number;
            used += length;
        }
        return Ok(Some((used, count)));
    }
    let [step, rest @ ..] = rest else {
        return Ok(None);
    };
    let Some((base, length)) = varint(rest)? else {
        return Ok(None);
    };
    let (step, mut number) = (i64::from(*step as i8), read(base, signed));
    let count = control as usize + 3;
    numbers[0] = base;
    for slot in &mut numbers[1..count] {
        number = number.checked_add(step).ok_or(OVERFLOW)?;
        *slot = stored(number, signed);
    }
    Ok(Some((2 + length, count)))
}

/// The width in bits that a code of five bits stands for.
const fn width(code: u8) -> usize {
    match code {
        0..=23 => code as usize + 1,
        24 => 26,
        25 => 28,
        26 => 30,
        27 => 32,
        28 => 40,
        29 => 48,
        30 => 56,
        _ => 64,
    }
}

/// The smallest width of at least `bits` that a code can stand for.
const fn stored_width(bits: usize) -> usize {
    match bits {
        0..=24 => bits,
        25..=26 => 26,
        27..=28 => 28,
        29..=30 => 30,
        31..=32 => 32,
        33..=40 => 40,
        41..=48 => 48,
        49..=56 => 56,
        _ => 64,
    }
}

/// Decodes a run of the second version. Gives how many bytes and how many numbers it has, or `None` if it is not
/// complete. Its first two bits say how it is stored: one repeated number, packed numbers, packed numbers with patches,
/// or differences.
pub(super) fn run_v2(
    bytes: &[u8],
    signed: bool,
    numbers: &mut [u64; MAX_RUN],
) -> Result<Option<(usize, usize)>, Fault> {
    let [first, rest @ ..] = bytes else {
        return Ok(None);
    };
    if first >> 6 == 0 {
        let length = usize::from(first >> 3 & 7) + 1;
        let count = usize::from(first & 7) + 3;
        let Some(number) = rest.get(..length) else {
            return Ok(None);
        };
        numbers[..count].fill(big_endian(number));
        return Ok(Some((1 + length, count)));
    }
    let [second, rest @ ..] = rest else {
        return Ok(None);
    };
    let code = first >> 1 & 31;
    let count = (usize::from(first & 1) << 8 | usize::from(*second)) + 1;
    match first >> 6 {
        1 => {
            let width = width(code);
            if !unpack(rest, width, &mut numbers[..count]) {
                return Ok(None);
            }
            Ok(Some((2 + (width * count).div_ceil(8), count)))
        }
        2 => {
            let used = patched(rest, signed, width(code), &mut numbers[..count])?;
            Ok(used.map(|used| (2 + used, count)))
        }
        _ => {
            let used = delta(rest, signed, code, &mut numbers[..count])?;
            Ok(used.map(|used| (2 + used, count)))
        }
    }
}

/// Decodes packed numbers above a base. The patches hold the high bits of those that are too wide to be packed, each
/// with the distance from the patch before. Gives how many bytes they take, or `None` if they are not complete.
fn patched(bytes: &[u8], signed: bool, width: usize, numbers: &mut [u64]) -> Result<Option<usize>, Fault> {
    let [third, fourth, rest @ ..] = bytes else {
        return Ok(None);
    };
    let base_length = usize::from(third >> 5) + 1;
    let patch_width = self::width(third & 31);
    let gap_width = usize::from(fourth >> 5) + 1;
    let patch_count = usize::from(fourth & 31);
    const WIDE: Fault = "a patch of a run is too wide";
    if patch_width + gap_width > 64 {
        return Err(WIDE);
    }
    let Some((base, rest)) = rest.split_at_checked(base_length) else {
        return Ok(None);
    };
    // The first bit of the base is its sign.
    let (base, sign) = (big_endian(base), 1_u64 << (8 * base_length - 1));
    let magnitude = (base & !sign) as i64;
    let base = if base & sign == 0 { magnitude } else { -magnitude };
    let packed = (width * numbers.len()).div_ceil(8);
    let entry_width = stored_width(patch_width + gap_width);
    let patched = (entry_width * patch_count).div_ceil(8);
    let mut patches = [0; 31];
    if rest.len() < packed + patched
        || !unpack(rest, width, numbers)
        || !unpack(&rest[packed..], entry_width, &mut patches[..patch_count])
    {
        return Ok(None);
    }
    let mut at = 0;
    for patch in &patches[..patch_count] {
        at += (patch >> patch_width) as usize;
        let number = numbers.get_mut(at).ok_or("a patch lies outside of its run")?;
        let bits = patch & ((1_u64 << patch_width) - 1);
        if width as u32 > bits.leading_zeros() {
            return Err(WIDE);
        }
        *number |= bits.unbounded_shl(width as u32);
    }
    for number in numbers {
        *number = stored(base.wrapping_add(*number as i64), signed);
    }
    Ok(Some(2 + base_length + packed + patched))
}

/// Decodes a base and differences. The first difference has a sign, and all others go in the same direction. They are
/// packed, or equal to the first if `code` is 0. Gives how many bytes they take, or `None` if they are not complete.
fn delta(bytes: &[u8], signed: bool, code: u8, numbers: &mut [u64]) -> Result<Option<usize>, Fault> {
    let Some((base, base_length)) = varint(bytes)? else {
        return Ok(None);
    };
    let Some((step, step_length)) = varint(&bytes[base_length..])? else {
        return Ok(None);
    };
    let (mut number, step) = (read(base, signed), from_zigzag(step));
    let mut used = base_length + step_length;
    numbers[0] = base;
    let Some((second, others)) = numbers[1..].split_first_mut() else {
        return Ok(Some(used));
    };
    if code > 0 {
        let width = width(code);
        if !unpack(&bytes[used..], width, others) {
            return Ok(None);
        }
        used += (width * others.len()).div_ceil(8);
    }
    number = number.checked_add(step).ok_or(OVERFLOW)?;
    *second = stored(number, signed);
    for slot in others {
        number = match code {
            0 => number.checked_add(step),
            _ if step < 0 => number.checked_sub_unsigned(*slot),
            _ => number.checked_add_unsigned(*slot),
        }
        .ok_or(OVERFLOW)?;
        *slot = stored(number, signed);
    }
    Ok(Some(used))
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Unpacks numbers of `width` bits, the highest bit first. Gives `false` if there are too few bytes.
fn unpack(bytes: &[u8], width: usize, numbers: &mut [u64]) -> bool {
    let packed = (width * numbers.len()).div_ceil(8);
    if bytes.len() < packed {
        return false;
    }
    match width {
        8 => whole_bytes::<1>(bytes, numbers),
        16 => whole_bytes::<2>(bytes, numbers),
        24 => whole_bytes::<3>(bytes, numbers),
        32 => whole_bytes::<4>(bytes, numbers),
        40 => whole_bytes::<5>(bytes, numbers),
        48 => whole_bytes::<6>(bytes, numbers),
        56 => whole_bytes::<7>(bytes, numbers),
        64 => whole_bytes::<8>(bytes, numbers),
        _ => {
            let mask = (1 << width) - 1;
            // So many numbers have eight bytes from their first one on. The others lie near the end of `bytes`.
            let fast = ((bytes.len() * 8).saturating_sub(64) / width).min(numbers.len());
            let (fast, slow) = numbers.split_at_mut(fast);
            let mut bit = 0;
            for number in fast {
                let word = bytes[bit / 8..]
                    .first_chunk()
                    .map_or(0, |word| u64::from_be_bytes(*word));
                *number = word >> (64 - width - bit % 8) & mask;
                bit += width;
            }
            for number in slow {
                let mut word = [0; 8];
                let rest = &bytes[bit / 8..];
                let length = rest.len().min(8);
                word[..length].copy_from_slice(&rest[..length]);
                *number = u64::from_be_bytes(word) >> (64 - width - bit % 8) & mask;
                bit += width;
            }
        }
    }
    true
}

fn whole_bytes<const BYTES: usize>(bytes: &[u8], numbers: &mut [u64]) {
    for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(BYTES)) {
        *number = big_endian(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(run: Result<Option<(usize, usize)>, Fault>, numbers: &[u64], bytes: &[u8]) -> Vec<u64> {
        let (used, count) = run.unwrap().unwrap();
        assert_eq!(used, bytes.len());
        numbers[..count].to_vec()
    }

    fn v2(bytes: &[u8]) -> Vec<u64> {
        let mut all = [0; MAX_RUN];
        for end in 0..bytes.len() {
            assert_eq!(run_v2(&bytes[..end], false, &mut all), Ok(None));
        }
        let run = run_v2(bytes, false, &mut all);
        numbers(run, &all, bytes)
    }

    fn v1(bytes: &[u8]) -> Vec<u64> {
        let mut all = [0; MAX_RUN];
        let run = run_v1(bytes, false, &mut all);
        numbers(run, &all, bytes)
    }

    /// The examples of the specification.
    #[test]
    fn the_example_runs_of_the_specification_are_decoded() {
        assert_eq!(v1(&[0x61, 0x00, 0x07]), [7; 100]);
        assert_eq!(v1(&[0x61, 0xff, 0x64]), (1..=100).rev().collect::<Vec<_>>());
        assert_eq!(v1(&[0xfb, 0x02, 0x03, 0x06, 0x07, 0x0b]), [2, 3, 6, 7, 11]);
        assert_eq!(v2(&[0x0a, 0x27, 0x10]), [10_000; 5]);
        assert_eq!(
            v2(&[0x5e, 0x03, 0x5c, 0xa1, 0xab, 0x1e, 0xde, 0xad, 0xbe, 0xef]),
            [23_713, 43_806, 57_005, 48_879]
        );
        let patched = [
            0x8e, 0x13, 0x2b, 0x21, 0x07, 0xd0, 0x1e, 0x00, 0x14, 0x70, 0x28, 0x32, 0x3c, 0x46, 0x50, 0x5a, 0x64, 0x6e,
            0x78, 0x82, 0x8c, 0x96, 0xa0, 0xaa, 0xb4, 0xbe, 0xfc, 0xe8,
        ];
        let mut expected: Vec<u64> = (0..20).map(|n| 2_000 + 10 * n).collect();
        (expected[0], expected[1], expected[2], expected[3]) = (2_030, 2_000, 2_020, 1_000_000);
        assert_eq!(v2(&patched), expected);
        assert_eq!(
            v2(&[0xc6, 0x09, 0x02, 0x02, 0x22, 0x42, 0x42, 0x46]),
            [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]
        );
    }

    #[test]
    fn signed_numbers_are_kept_in_zigzag_form() {
        let mut all = [0; MAX_RUN];
        // Three numbers from -1 in steps of -2.
        assert_eq!(run_v1(&[0x00, 0xfe, 0x01], true, &mut all), Ok(Some((3, 3))));
        assert_eq!(
            all[..3].iter().map(|n| from_zigzag(*n)).collect::<Vec<_>>(),
            [-1, -3, -5]
        );
        // The same numbers as deltas.
        assert_eq!(run_v2(&[0xc0, 0x02, 0x01, 0x03], true, &mut all), Ok(Some((4, 3))));
        assert_eq!(
            all[..3].iter().map(|n| from_zigzag(*n)).collect::<Vec<_>>(),
            [-1, -3, -5]
        );
        for number in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(from_zigzag(stored(number, true)), number);
        }
    }

    #[test]
    fn a_varint_of_more_than_64_bits_is_refused() {
        assert!(varint(&[0xff; 10]).is_err());
    }

    proptest! {
        #[test]
        fn all_widths_are_unpacked(
            code in 0_u8..32,
            numbers in proptest::collection::vec(any::<u64>(), 1..40),
            behind in 0_usize..10,
        ) {
            let width = width(code);
            let numbers: Vec<u64> = numbers.iter().map(|number| number >> (64 - width)).collect();
            let mut bytes = vec![0; (width * numbers.len()).div_ceil(8)];
            for (index, number) in numbers.iter().enumerate() {
                for bit in 0..width {
                    let at = index * width + bit;
                    bytes[at / 8] |= ((number >> (width - 1 - bit) & 1) as u8) << (7 - at % 8);
                }
            }
            let mut unpacked = vec![0; numbers.len()];
            prop_assert!(!unpack(&bytes[..bytes.len() - 1], width, &mut unpacked));
            bytes.extend(vec![0xff; behind]);
            prop_assert!(unpack(&bytes, width, &mut unpacked));
            prop_assert_eq!(unpacked, numbers);
        }
    }
}
