//! The checksums that S3 itself keeps of an object.
//!
//! What must stay true: only a checksum of all bytes of an object is [`StoredChecksum::Whole`]. The checksum that S3
//! makes of the checksums of an upload's parts says nothing that the bytes alone could be held against.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The algorithms whose checksums are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// The one that S3 computes of every new object for which its writer names no other.
    #[serde(rename = "CRC64NVME")]
    Crc64Nvme,
    /// Castagnoli's.
    #[serde(rename = "CRC32C")]
    Crc32c,
    /// That of zip and Ethernet.
    #[serde(rename = "CRC32")]
    Crc32,
    /// SHA-256.
    #[serde(rename = "SHA-256")]
    Sha256,
}

impl Algorithm {
    /// Every algorithm, from the one whose equality proves most.
    pub const ALL: [Self; 4] = [Self::Sha256, Self::Crc64Nvme, Self::Crc32c, Self::Crc32];

    /// Its name.
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
    /// Of all its bytes.
    Whole {
        /// How it is computed.
        algorithm: Algorithm,
        /// The checksum in base64; that of a CRC is of its bytes from the highest one.
        value: String,
    },
    /// Of the checksums of the parts that it was uploaded in; the algorithm's name.
    OfParts(String),
    /// Of an algorithm that Landfall does not compute; its name.
    Other(String),
}

impl StoredChecksum {
    /// The one that proves most, of those that S3 gives of one object by their algorithms' names. `of_parts` says that
    /// S3 calls them composite; a value that ends with the number of its parts is so, too.
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
                    // No value in base64 has a hyphen.
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
    fn the_checksum_that_proves_most_is_chosen() {
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
        // Of parts by what S3 says, and by how the value ends.
        assert_eq!(of(&[("CRC32", "b")], true).unwrap(), "of parts CRC32");
        assert_eq!(of(&[("SHA-256", "d-3")], false).unwrap(), "of parts SHA-256");
        assert_eq!(of(&[("SHA-1", "a-2")], false).unwrap(), "of parts SHA-1");
    }

    #[test]
    fn names_are_those_of_the_serialised_form() {
        for algorithm in Algorithm::ALL {
            assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.name());
        }
    }
}
