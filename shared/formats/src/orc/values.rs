//! The values of one stream, decoded while its bytes come in pieces.
//!
//! What must stay true: each value is decoded. What is kept is the number of values, their sum, and the largest one,
//! which is enough to see whether the streams of a column fit together. So nothing grows with a stream, and a corrupt
//! length or count cannot make the decoder allocate memory.

use super::{
    fault::Fault,
    runs::{MAX_RUN, run_v1, run_v2},
};

/// How many bytes a stream's decoder holds between two pushes, at most.
pub(super) const HELD: u64 = 2 * MAX_RUN_BYTES as u64;
/// No run of any encoding takes more bytes. The longest has 512 eight-byte values and 31 eight-byte patches.
const MAX_RUN_BYTES: usize = 4_608;

/// What was found in a stream.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Number of values; in a stream of bytes, texts or bits, the number of bytes.
    pub(super) count: u64,
    /// All integers as they are stored (signed ones in zigzag), combined by a bitwise or.
    pub(super) wide: u64,
    /// The largest integer.
    pub(super) largest: u64,
    /// The sum of all lengths.
    pub(super) sum: u64,
    /// Number of set bits, with those of the last byte.
    ones: u64,
    last: u8,
    /// How often each tag of a union occurred.
    pub(super) tags: Option<Box<[u64; 256]>>,
}

impl Tally {
    /// How many of the first `bits` bits are set; `None` if there are not enough bytes.
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
    /// Bytes without a structure. Floating-point numbers too, because all their bit patterns are numbers.
    Raw,
    /// UTF-8.
    Text,
    /// Bits in runs of bytes.
    Bits,
    /// Bytes in runs.
    Bytes,
    /// Tags of a union: bytes in runs.
    Tags,
    Integers {
        /// Whether in runs of the second version.
        v2: bool,
        /// Whether stored in zigzag.
        signed: bool,
        meaning: Meaning,
    },
    /// Integers of at most 128 bits, not in runs.
    Decimals,
}

/// What integers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Number,
    Length,
    Index,
    /// Nanoseconds. The last three bits say how many zeros were cut off.
    Nanoseconds,
}

/// Decodes the values of one stream.
#[derive(Debug)]
pub(super) struct Values {
    kind: Kind,
    tally: Tally,
    /// The beginning of an unfinished run or character.
    carry: Vec<u8>,
    /// How many bytes of an unfinished number have come.
    begun: usize,
    /// How many more numbers the runs may have.
    room: u64,
}

impl Values {
    /// Runs may have at most `room` numbers.
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

    /// Must be called at the end of the stream.
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

    /// How many bytes are held.
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
                // Hold all bytes that came. An earlier run would have ended before.
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

    /// Decodes all complete runs, and answers how many bytes they take.
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
                // So neither the sum of a run nor the sum of all runs, which are in one stripe, can have wrapped.
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

    #[test]
    fn a_run_with_more_numbers_than_expected_is_a_fault() {
        // 512 zeros.
        let run = [0xc1, 0xff, 0x00, 0x00];
        let mut values = Values::new(integers(true, true, Meaning::Number), 1_200);
        values.push(&run).unwrap();
        values.push(&run).unwrap();
        assert_eq!(values.room(), 176);
        assert!(values.push(&run).unwrap_err().contains("more numbers"));
        // Values that are stored as bytes need no room.
        let mut values = Values::new(Kind::Raw, 0);
        values.push(&run).unwrap();
        assert_eq!(values.end().unwrap().count, 4);
    }

    #[test]
    fn bits_after_the_last_value_do_not_count() {
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
    fn texts_are_checked_the_same_in_all_chunks() {
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
    fn impossible_values_are_faults() {
        let length = integers(true, false, Meaning::Length);
        // Three times 2 to the power of 48.
        assert!(tally(length, &[0x30, 1, 0, 0, 0, 0, 0, 0], 9).is_err());
        assert_eq!(tally(length, &[0x28, 1, 0, 0, 0, 0, 0], 9).unwrap().sum, 3 << 40);
        // Three numbers from 2 in steps of -2.
        let down = [0xc0, 0x02, 0x02, 0x03];
        assert!(tally(length, &down, 9).is_err());
        let index = tally(integers(true, false, Meaning::Index), &down, 9).unwrap();
        assert_eq!(index.largest, -2_i64 as u64);
        let nanoseconds = integers(true, false, Meaning::Nanoseconds);
        assert!(tally(nanoseconds, &[0xc0, 0x01, 0x00, 0x0f], 9).is_ok());
        // The most nanoseconds and one above, written in full and with trailing zeros left out.
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
        assert!(tally(integers(true, true, Meaning::Number), &[0x5e, 0x03, 0x5c], 2).is_err());
        assert!(tally(Kind::Bytes, &[0xfe, 0], 2).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_give_the_same_in_all_chunks_without_a_panic(
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
