//! Bit masks of 64 bytes, by which the fast ways over CSV and JSON tell what stands where.

/// For each bit, whether an odd number of bits is set up to it.
#[inline(always)]
pub(crate) fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// The bytes behind backslashes that are not escaped themselves. `first`: whether the byte before these is one.
#[inline(always)]
pub(crate) fn escaped(backslashes: u64, first: bool) -> u64 {
    let mut escaped = u64::from(first);
    // A backslash that is escaped itself escapes nothing: this goes over those that are not.
    let mut left = backslashes & !escaped;
    while left != 0 {
        let behind = (left & left.wrapping_neg()) << 1;
        escaped |= behind;
        left &= (left - 1) & !behind;
    }
    escaped
}
