//! The values of one stream, decoded while its bytes come in pieces.
//!
//! What must stay true: every value is decoded, and what is kept of them is what says whether the streams of a column
//! fit together: how many there are, what they add up to, how large they grow. So nothing grows with a stream, and a
//! corrupt length or count can ask for no memory.

use super::Fault;

/// The most values of a run of integers.
const MAX_RUN: usize = 512;
/// The most bytes that a stream's decoder holds between two pushes.
pub(super) const HELD: u64 = 2 * MAX_RUN_BYTES as u64;
/// No run of any encoding takes more bytes: the longest is one of 512 eight-byte values with 31 eight-byte patches.
const MAX_RUN_BYTES: usize = 4_608;

/// What was found in a stream.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Values; bytes where the stream is one of bytes, texts or bits.
    pub(super) count: u64,
    /// All integers as they are stored (signed ones in zigzag), joined bit by bit.
    pub(super) wide: u64,
    /// The largest integer.
    pub(super) largest: u64,
    /// The sum of all lengths.
    pub(super) sum: u64,
    /// Bits that are set, those of the last byte included.
    ones: u64,
    last: u8,
    /// How often each tag of a union came.
    pub(super) tags: Option<Box<[u64; 256]>>,
}

impl Tally {
    /// How many of the first `bits` bits are set; `None` if there are not as many bytes as those take.
    pub(super) fn ones(&self, bits: u64) -> Option<u64> {
        if self.count != bits.div_ceil(8) {
            return None;
        }
        let padding = (8 - bits % 8) % 8;
        let padded = self.last & ((1_u16 << padding) - 1) as u8;
        Some(self.ones - u64::from(padded.count_ones()))
    }
}

/// What a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes without a form of their own; floating-point numbers too, since all their bits are numbers.
    Raw,
    /// UTF-8.
    Text,
    /// Bits in runs of bytes.
    Bits,
    /// Bytes in runs.
    Bytes,
    /// Tags of a union: bytes in runs.
    Tags,
    /// Integers.
    Integers {
        /// Runs of the second version.
        v2: bool,
        /// Stored in zigzag.
        signed: bool,
        meaning: Meaning,
    },
    /// Integers of at most 128 bits, each by itself.
    Decimals,
}

/// What integers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Number,
    Length,
    Index,
    /// Nanoseconds, whose last three bits say how many zeros were cut off.
    Nanoseconds,
}

/// Decodes the values of one stream.
#[derive(Debug)]
pub(super) struct Values {
    kind: Kind,
    tally: Tally,
    /// The begin of a run or character that is not whole yet.
    carry: Vec<u8>,
    /// Bytes so far of a number that is not whole yet.
    begun: usize,
    /// How many more numbers the runs may have.
    room: u64,
}

impl Values {
    /// Runs may have no more than `room` numbers.
    pub(super) const fn new(kind: Kind, room: u64) -> Self {
        Self {
            kind,
            tally: Tally {
                count: 0,
                wide: 0,
                largest: 0,
                sum: 0,
                ones: 0,
                last: 0,
                tags: None,
            },
            carry: Vec::new(),
            begun: 0,
            room,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match self.kind {
            Kind::Raw => {
                self.tally.count += bytes.len() as u64;
                Ok(())
            }
            Kind::Text => self.text(bytes),
            Kind::Decimals => self.decimals(bytes),
            Kind::Bits | Kind::Bytes | Kind::Tags | Kind::Integers { .. } => self.runs(bytes),
        }
    }

    /// Says that the stream ends here.
    pub(super) fn end(self) -> Result<Tally, Fault> {
        if self.carry.is_empty() && self.begun == 0 {
            return Ok(self.tally);
        }
        Err("a stream ends within a value")
    }

    /// How many more numbers the runs may have.
    pub(super) const fn room(&self) -> u64 {
        self.room
    }

    /// Bytes that are held.
    pub(super) const fn held(&self) -> usize {
        self.carry.capacity()
    }

    fn text(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        const INVALID: Fault = "its texts are not UTF-8";
        self.tally.count += bytes.len() as u64;
        while !self.carry.is_empty()
            && let Some((first, rest)) = bytes.split_first()
        {
            self.carry.push(*first);
            bytes = rest;
            match std::str::from_utf8(&self.carry) {
                Ok(_) => self.carry.clear(),
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(INVALID),
            }
        }
        match std::str::from_utf8(bytes) {
            Ok(_) => {}
            Err(error) if error.error_len().is_none() => self.carry.extend_from_slice(&bytes[error.valid_up_to()..]),
            Err(_) => return Err(INVALID),
        }
        Ok(())
    }

    fn decimals(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        // 18 bytes of seven bits, and two more bits.
        const LAST: usize = 18;
        for byte in bytes {
            if self.begun == LAST && *byte > 3 {
                return Err("a decimal is longer than 128 bits");
            }
            self.begun += 1;
            if byte & 0x80 == 0 {
                self.begun = 0;
                self.tally.count += 1;
            }
        }
        Ok(())
    }

    fn runs(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        if !self.carry.is_empty() {
            let before = self.carry.len();
            let added = bytes.len().min(MAX_RUN_BYTES);
            let mut carry = std::mem::take(&mut self.carry);
            carry.extend_from_slice(&bytes[..added]);
            let used = self.whole_runs(&carry)?;
            if used < before {
                // All that came is held: a run that began before would else have ended.
                carry.drain(..used);
                self.carry = carry;
                return Ok(());
            }
            bytes = &bytes[used - before..];
            carry.clear();
            self.carry = carry;
        }
        let used = self.whole_runs(bytes)?;
        self.carry.extend_from_slice(&bytes[used..]);
        Ok(())
    }

    /// Decodes as many whole runs as there are; gives how many bytes they take.
    fn whole_runs(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        match self.kind {
            Kind::Integers { v2, signed, meaning } => {
                let mut numbers = [0; MAX_RUN];
                let mut used = 0;
                loop {
                    let rest = &bytes[used..];
                    let run = if v2 {
                        run_v2(rest, signed, &mut numbers)?
                    } else {
                        run_v1(rest, signed, &mut numbers)?
                    };
                    let Some((taken, count)) = run else {
                        return Ok(used);
                    };
                    used += taken;
                    self.integers(&numbers[..count], meaning)?;
                }
            }
            _ => Ok(self.byte_runs(bytes)),
        }
    }

    fn integers(&mut self, numbers: &[u64], meaning: Meaning) -> Result<(), Fault> {
        self.room = self
            .room
            .checked_sub(numbers.len() as u64)
            .ok_or("it has more numbers than are taken of so few bytes")?;
        let tally = &mut self.tally;
        tally.count += numbers.len() as u64;
        match meaning {
            Meaning::Number => tally.wide = numbers.iter().fold(tally.wide, |wide, number| wide | number),
            Meaning::Length => {
                let (mut wide, mut sum) = (0, 0_u64);
                for number in numbers {
                    wide |= number;
                    sum = sum.wrapping_add(*number);
                }
                // So neither a run's sum nor all of them, which lie in one file's stripe, can have wrapped.
                if wide >> 48 != 0 {
                    return Err("a length is longer than any stripe");
                }
                tally.sum = tally.sum.checked_add(sum).ok_or("its lengths add up to too much")?;
            }
            Meaning::Index => {
                tally.largest = numbers
                    .iter()
                    .fold(tally.largest, |largest, number| largest.max(*number));
            }
            Meaning::Nanoseconds => {
                for number in numbers {
                    let zeros = number & 7;
                    let scale = if zeros == 0 { 1 } else { 10_u64.pow(zeros as u32 + 1) };
                    let digits = (*number as i64 >> 3).unsigned_abs();
                    if digits.saturating_mul(scale) >= 1_000_000_000 {
                        return Err("a timestamp has more nanoseconds than a second");
                    }
                }
            }
        }
        Ok(())
    }

    fn byte_runs(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let [control, rest @ ..] = &bytes[used..] {
            let control = *control as i8;
            if control >= 0 {
                let Some(byte) = rest.first() else { break };
                self.bytes(&[*byte], control as u64 + 3);
                used += 2;
            } else {
                let length = usize::from(control.unsigned_abs());
                let Some(literals) = rest.get(..length) else { break };
                self.bytes(literals, 1);
                used += 1 + length;
            }
        }
        used
    }

    fn bytes(&mut self, bytes: &[u8], times: u64) {
        let tally = &mut self.tally;
        tally.count += bytes.len() as u64 * times;
        match self.kind {
            Kind::Bits => {
                let ones: u64 = bytes.iter().map(|byte| u64::from(byte.count_ones())).sum();
                tally.ones += ones * times;
                tally.last = bytes.last().copied().unwrap_or(tally.last);
            }
            Kind::Tags => {
                let tags = tally.tags.get_or_insert_with(|| Box::new([0; 256]));
                for byte in bytes {
                    tags[usize::from(*byte)] += times;
                }
            }
            _ => {}
        }
    }
}

/// A number of at most 64 bits, and the bytes that it takes; `None` if it is not whole.
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

/// A number as it would be stored. One that is unsigned may be negative all the same: some writers store nanoseconds
/// before 1970 so.
const fn stored(number: i64, signed: bool) -> u64 {
    if signed {
        ((number << 1) ^ (number >> 63)) as u64
    } else {
        number as u64
    }
}

const fn read(number: u64, signed: bool) -> i64 {
    if signed { from_zigzag(number) } else { number as i64 }
}

const OVERFLOW: Fault = "a number is out of range";

/// Decodes a run of the first version: the bytes and the numbers that it has; `None` if it is not whole.
fn run_v1(bytes: &[u8], signed: bool, numbers: &mut [u64; MAX_RUN]) -> Result<Option<(usize, usize)>, Fault> {
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

/// The width that five bits stand for.
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

/// The next width that can be stored.
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

/// Decodes a run of the second version: the bytes and the numbers that it has; `None` if it is not whole.
fn run_v2(bytes: &[u8], signed: bool, numbers: &mut [u64; MAX_RUN]) -> Result<Option<(usize, usize)>, Fault> {
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
    // Its first bit is the sign.
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

/// Unpacks numbers of `width` bits, those of the highest value first; whether there are enough bytes.
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
            // As many as can be taken out of eight bytes at once.
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

    fn integers(v2: bool, signed: bool, meaning: Meaning) -> Kind {
        Kind::Integers { v2, signed, meaning }
    }

    fn tally(kind: Kind, bytes: &[u8], size: usize) -> Result<Tally, Fault> {
        let mut values = Values::new(kind, u64::MAX);
        for piece in bytes.chunks(size) {
            values.push(piece)?;
            assert!(values.held() as u64 <= HELD);
        }
        values.end()
    }

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
    fn runs_are_those_of_the_specification() {
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
    fn runs_have_no_more_numbers_than_there_is_room_for() {
        // 512 zeros.
        let run = [0xc1, 0xff, 0x00, 0x00];
        let mut values = Values::new(integers(true, true, Meaning::Number), 1_200);
        values.push(&run).unwrap();
        values.push(&run).unwrap();
        assert_eq!(values.room(), 176);
        assert!(values.push(&run).unwrap_err().contains("more numbers"));
        // What is stored by the byte needs no room.
        let mut values = Values::new(Kind::Raw, 0);
        values.push(&run).unwrap();
        assert_eq!(values.end().unwrap().count, 4);
    }

    #[test]
    fn signed_numbers_are_kept_as_they_are_stored() {
        let mut all = [0; MAX_RUN];
        // From -1 down by 2, three of them.
        assert_eq!(run_v1(&[0x00, 0xfe, 0x01], true, &mut all), Ok(Some((3, 3))));
        assert_eq!(
            all[..3].iter().map(|n| from_zigzag(*n)).collect::<Vec<_>>(),
            [-1, -3, -5]
        );
        // The same as deltas.
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
    fn bits_behind_the_last_value_do_not_count() {
        // Two literals: 0b1010_0000 and 0b1111_1111.
        let tally = tally(Kind::Bits, &[0xfe, 0xa0, 0xff], 1).unwrap();
        assert_eq!(
            (tally.ones(16), tally.ones(11), tally.ones(9)),
            (Some(10), Some(5), Some(3))
        );
        assert_eq!((tally.ones(8), tally.ones(17), tally.ones(0)), (None, None, None));
        assert_eq!(Tally::default().ones(0), Some(0));
    }

    #[test]
    fn texts_may_be_cut_anywhere() {
        let text = "aé日🦀b".as_bytes();
        for size in 1..=text.len() {
            assert_eq!(tally(Kind::Text, text, size).unwrap().count, text.len() as u64);
        }
        for broken in [&b"a\xc3"[..], b"a\xc3b", b"\xff", b"\xe6\x97"] {
            for size in 1..=broken.len() {
                tally(Kind::Text, broken, size).unwrap_err();
            }
        }
    }

    #[test]
    fn what_no_writer_writes_is_a_fault() {
        let length = integers(true, false, Meaning::Length);
        // 2 to the power of 48, three times.
        assert!(tally(length, &[0x30, 1, 0, 0, 0, 0, 0, 0], 9).is_err());
        assert_eq!(tally(length, &[0x28, 1, 0, 0, 0, 0, 0], 9).unwrap().sum, 3 << 40);
        // From 2 down by 2, three of them.
        let down = [0xc0, 0x02, 0x02, 0x03];
        assert!(tally(length, &down, 9).is_err());
        let index = tally(integers(true, false, Meaning::Index), &down, 9).unwrap();
        assert_eq!(index.largest, -2_i64 as u64);
        let nanoseconds = integers(true, false, Meaning::Nanoseconds);
        assert!(tally(nanoseconds, &[0xc0, 0x01, 0x00, 0x0f], 9).is_ok());
        // Nine nines, and one more.
        for (number, fits) in [
            (999_999_999_u64 << 3, true),
            (1_000_000_000 << 3, false),
            (9 << 3 | 7, true),
            (10 << 3 | 7, false),
        ] {
            let bytes = [&[0x38][..], &number.to_be_bytes()].concat();
            assert_eq!(tally(nanoseconds, &bytes, 3).is_ok(), fits, "{number}");
        }
        let most = [[0xff; 18].as_slice(), &[3]].concat();
        assert_eq!(tally(Kind::Decimals, &most, 5).unwrap().count, 1);
        let more = [[0xff; 18].as_slice(), &[4]].concat();
        assert!(tally(Kind::Decimals, &more, 5).is_err());
        assert!(tally(Kind::Decimals, &[0x80], 5).is_err());
        assert!(varint(&[0xff; 10]).is_err());
        assert!(tally(integers(true, true, Meaning::Number), &[0x5e, 0x03, 0x5c], 2).is_err());
        assert!(tally(Kind::Bytes, &[0xfe, 0], 2).is_err());
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

        #[test]
        fn no_bytes_make_it_panic_and_no_cut_matters(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            size in 1_usize..40,
            v2: bool,
            signed: bool,
        ) {
            for kind in [
                integers(v2, signed, Meaning::Number),
                integers(v2, signed, Meaning::Length),
                Kind::Bits,
                Kind::Tags,
                Kind::Text,
                Kind::Decimals,
            ] {
                let whole = tally(kind, &bytes, usize::MAX).map(|tally| format!("{tally:?}"));
                let cut = tally(kind, &bytes, size).map(|tally| format!("{tally:?}"));
                prop_assert_eq!(whole, cut);
            }
        }
    }
}
