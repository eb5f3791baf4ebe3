//! Ids that follow from the seed.

use sha2::{Digest, Sha256};

/// 16 bytes that follow from the seed and the parts. They differ if any part differs.
pub(crate) fn derived_bytes(seed: u64, parts: &[&str]) -> [u8; 16] {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    for part in parts {
        // Hashed with its length, so that ("ab", "c") and ("a", "bc") differ.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    bytes
}

/// [`derived_bytes`] as 32 hex digits, like the ids of AWS's snapshots and jobs.
pub(crate) fn derived_hex(seed: u64, parts: &[&str]) -> String {
    hex::encode(derived_bytes(seed, parts))
}

/// [`derived_bytes`] as a version 4 UUID, like request ids and the names of part files.
pub(crate) fn derived_uuid(seed: u64, parts: &[&str]) -> String {
    uuid(derived_bytes(seed, parts))
}

/// Bytes as a version 4 UUID.
pub(crate) fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex::encode(bytes);
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_ids_depend_on_every_part() {
        let ids = [
            derived_hex(1, &["ab", "c"]),
            derived_hex(1, &["a", "bc"]),
            derived_hex(1, &["abc"]),
            derived_hex(2, &["abc"]),
        ];
        let shape = regex::Regex::new("^[a-f0-9]{32}$").unwrap();
        for (i, id) in ids.iter().enumerate() {
            assert!(shape.is_match(id));
            assert!(!ids[..i].contains(id));
        }
        let uuid = derived_uuid(1, &["x"]);
        let shape = "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";
        assert!(regex::Regex::new(shape).unwrap().is_match(&uuid), "{uuid}");
    }
}
