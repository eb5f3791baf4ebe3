//! The checksums that S3 keeps of an object.
//!
//! What must stay true: only a checksum of all bytes of an object is [`StoredChecksum::Whole`]. For an upload in parts,
//! S3 may keep a checksum of the parts' checksums, which cannot be compared with the bytes alone.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The algorithms that Landfall computes too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// S3 computes this one for each new object, unless the writer names another one.
    #[serde(rename = "CRC64NVME")]
    Crc64Nvme,
    /// With Castagnoli's polynomial.
    #[serde(rename = "CRC32C")]
    Crc32c,
    /// With the polynomial of zip and Ethernet.
    #[serde(rename = "CRC32")]
    Crc32,
    #[serde(rename = "SHA-256")]
    Sha256,
}

impl Algorithm {
    /// All algorithms, beginning with the one that proves most.
    pub const ALL: [Self; 4] = [Self::Sha256, Self::Crc64Nvme, Self::Crc32c, Self::Crc32];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "CRC64NVME",
            Self::Crc32c => "CRC32C",
            Self::Crc32 => "CRC32",
            Self::Sha256 => "SHA-256",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A checksum that S3 keeps of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredChecksum {
    /// A checksum of all bytes.
    Whole {
        algorithm: Algorithm,
        /// In base64. A CRC's bytes are in big-endian order.
        value: String,
    },
    /// A checksum of the checksums of the uploaded parts; the algorithm's name.
    OfParts(String),
    /// A checksum of an algorithm that Landfall does not compute; the algorithm's name.
    Other(String),
}

impl StoredChecksum {
    /// Chooses the checksum that proves most. `given` has the names of algorithms and the values that S3 gave for one
    /// object. `of_parts` says that S3 calls them composite; a value that ends with the number of parts is composite
    /// too.
    #[must_use]
    pub fn choose<'a>(given: impl IntoIterator<Item = (&'a str, &'a str)>, of_parts: bool) -> Option<Self> {
        let mut found: Vec<(usize, Self)> = given
            .into_iter()
            .map(|(name, value)| {
                let known = Algorithm::ALL
                    .into_iter()
                    .enumerate()
                    .find(|(_, known)| known.name() == name);
                match known {
                    // The hyphen precedes the number of parts. Base64 has no hyphen.
                    _ if of_parts || value.contains('-') => (Algorithm::ALL.len(), Self::OfParts(name.to_owned())),
                    Some((rank, algorithm)) => {
                        let value = value.to_owned();
                        (rank, Self::Whole { algorithm, value })
                    }
                    None => (Algorithm::ALL.len() + 1, Self::Other(name.to_owned())),
                }
            })
            .collect();
        found.sort_by_key(|(rank, _)| *rank);
        found.into_iter().next().map(|(_, checksum)| checksum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_checksum_is_chosen() {
        let of = |given: &[(&'static str, &'static str)], of_parts| {
            StoredChecksum::choose(given.iter().copied(), of_parts).map(|checksum| match checksum {
                StoredChecksum::Whole { algorithm, value } => format!("{algorithm} {value}"),
                StoredChecksum::OfParts(name) => format!("of parts {name}"),
                StoredChecksum::Other(name) => format!("other {name}"),
            })
        };
        assert_eq!(of(&[], false), None);
        let all = [("SHA-1", "a"), ("CRC32", "b"), ("CRC64NVME", "c"), ("SHA-256", "d")];
        assert_eq!(of(&all, false).unwrap(), "SHA-256 d");
        assert_eq!(of(&all[..3], false).unwrap(), "CRC64NVME c");
        assert_eq!(of(&all[..2], false).unwrap(), "CRC32 b");
        assert_eq!(of(&all[..1], false).unwrap(), "other SHA-1");
        // S3 says that a checksum is made of parts, or the end of the value shows it.
        assert_eq!(of(&[("CRC32", "b")], true).unwrap(), "of parts CRC32");
        assert_eq!(of(&[("SHA-256", "d-3")], false).unwrap(), "of parts SHA-256");
        assert_eq!(of(&[("SHA-1", "a-2")], false).unwrap(), "of parts SHA-1");
    }

    #[test]
    fn names_match_the_serialised_form() {
        for algorithm in Algorithm::ALL {
            assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.name());
        }
    }
}
