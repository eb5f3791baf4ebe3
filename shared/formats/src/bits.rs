//! Bit masks of 64 bytes. With them, the fast paths for CSV and JSON find quotes, commas and brackets.

/// For each bit, whether the number of set bits up to it is odd.
#[inline(always)]
pub(crate) fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// The bytes after backslashes that are not escaped themselves. `first` says whether the byte before these 64 is such a
/// backslash.
#[inline(always)]
pub(crate) fn escaped(backslashes: u64, first: bool) -> u64 {
    let mut escaped = u64::from(first);
    // Goes over the backslashes that are not escaped. An escaped one escapes nothing.
    let mut left = backslashes & !escaped;
    while left != 0 {
        let behind = (left & left.wrapping_neg()) << 1;
        escaped |= behind;
        left &= (left - 1) & !behind;
    }
    escaped
}
