//! The checksums of what is read: SHA-256 for the receipt, and the CRC that S3 keeps of the object, if it keeps one.
//!
//! What must stay true: each checksum is of all bytes of the object, however often the reading was interrupted. If it
//! cannot be had, there is none, and nothing equals it.
//!
//! Two libraries compute SHA-256, because neither does both: the state of `sha2` can be stored, so that another process
//! can go on; `aws-lc-rs`, which TLS needs anyway, is almost twice as fast on processors without instructions for
//! SHA-256.

use aws_lc_rs::digest::{Context, SHA256};
use aws_smithy_types::base64;
use crc_fast::{CrcAlgorithm, Digest as CrcDigest};
use landfall::store::checksum::{Algorithm, StoredChecksum};
use serde::{Deserialize, Serialize};
use sha2::{
    Digest, Sha256,
    digest::common::hazmat::{SerializableState, SerializedState},
};

/// A SHA-256 that is being computed.
pub enum Hash {
    /// Its state cannot be stored.
    Quick(Context),
    /// Its state can be stored.
    Kept(Sha256),
}

/// The state of SHA-256 after some bytes, in hex.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct State(String);

impl Hash {
    /// For an object that is read without interruption.
    #[must_use]
    pub fn quick() -> Self {
        Self::Quick(Context::new(&SHA256))
    }

    /// For an object whose reading may be interrupted.
    pub(super) fn kept() -> Self {
        Self::Kept(Sha256::new())
    }

    /// Continues from a stored state; `None` if it is not one.
    pub(super) fn resume(state: &State) -> Option<Self> {
        let state = hex::decode(&state.0).ok()?;
        let state = SerializedState::<Sha256>::try_from(state.as_slice()).ok()?;
        Sha256::deserialize(&state).ok().map(Self::Kept)
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Quick(context) => context.update(bytes),
            Self::Kept(hash) => hash.update(bytes),
        }
    }

    /// The state to continue from; `None` if it cannot be stored.
    pub(super) fn state(&self) -> Option<State> {
        match self {
            Self::Quick(_) => None,
            Self::Kept(hash) => Some(State(hex::encode(hash.serialize()))),
        }
    }

    /// The checksum in hex.
    #[must_use]
    pub fn finish(self) -> String {
        match self {
            Self::Quick(context) => hex::encode(context.finish()),
            Self::Kept(hash) => hex::encode(hash.finalize()),
        }
    }
}

/// The state of a CRC after some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CrcState {
    algorithm: Algorithm,
    state: u64,
}

/// A CRC that is being computed.
struct Crc {
    algorithm: Algorithm,
    digest: CrcDigest,
}

impl Crc {
    /// `None` for an algorithm that is not a CRC.
    fn new(algorithm: Algorithm) -> Option<Self> {
        let digest = CrcDigest::new(crc_algorithm(algorithm)?);
        Some(Self { algorithm, digest })
    }

    fn resume(kept: CrcState) -> Option<Self> {
        let digest = CrcDigest::new_with_init_state(crc_algorithm(kept.algorithm)?, kept.state);
        let algorithm = kept.algorithm;
        Some(Self { algorithm, digest })
    }

    /// The checksum as S3 writes it: its bytes in big-endian order, in base64.
    fn finish(&self) -> String {
        let bytes = self.digest.finalize().to_be_bytes();
        base64::encode(match self.algorithm {
            Algorithm::Crc32 | Algorithm::Crc32c => &bytes[4..],
            Algorithm::Crc64Nvme | Algorithm::Sha256 => &bytes,
        })
    }
}

const fn crc_algorithm(algorithm: Algorithm) -> Option<CrcAlgorithm> {
    match algorithm {
        Algorithm::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
        Algorithm::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
        Algorithm::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
        Algorithm::Sha256 => None,
    }
}

/// The result of comparing the checksum that S3 keeps with the bytes that were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// The checksum matches the bytes.
    Same(Algorithm),
    /// The checksum is of other bytes.
    Different(Algorithm),
    /// S3 keeps only a checksum of the parts' checksums, with this algorithm.
    OfParts(String),
    /// S3 keeps a checksum with this algorithm, which is not computed here.
    NotComputed(String),
}

/// All checksums of an object, while they are being computed.
pub(super) struct Checksums {
    sha256: Hash,
    crc: Option<Crc>,
}

/// The states of checksums after some bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct States {
    pub(super) sha256: State,
    /// `None` if no CRC is computed.
    pub(super) crc: Option<CrcState>,
}

impl Checksums {
    /// Begins at the first byte: SHA-256, and the CRC that S3 keeps.
    pub(super) fn new(sha256: Hash, stored: Option<&StoredChecksum>) -> Self {
        let crc = match stored {
            Some(StoredChecksum::Whole { algorithm, .. }) => Crc::new(*algorithm),
            _ => None,
        };
        Self { sha256, crc }
    }

    /// Continues from stored states; `None` if they cannot be read.
    pub(super) fn resume(states: &States) -> Option<Self> {
        Some(Self {
            sha256: Hash::resume(&states.sha256)?,
            crc: states.crc.and_then(Crc::resume),
        })
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(crc) = &mut self.crc {
            crc.digest.update(bytes);
        }
    }

    /// The states to continue from; `None` if they cannot be stored.
    pub(super) fn states(&self) -> Option<States> {
        let sha256 = self.sha256.state()?;
        let crc = self.crc.as_ref().map(|crc| CrcState {
            algorithm: crc.algorithm,
            state: crc.digest.get_state(),
        });
        Some(States { sha256, crc })
    }

    /// SHA-256 in hex, and the result of comparing S3's own checksum with the bytes.
    pub(super) fn finish(self, stored: Option<&StoredChecksum>) -> (String, Option<Compared>) {
        let sha256 = self.sha256.finish();
        let compared = stored.map(|stored| match stored {
            StoredChecksum::OfParts(algorithm) => Compared::OfParts(algorithm.clone()),
            StoredChecksum::Other(algorithm) => Compared::NotComputed(algorithm.clone()),
            StoredChecksum::Whole { algorithm, value } => {
                let ours = match (&self.crc, algorithm) {
                    (_, Algorithm::Sha256) => hex::decode(&sha256).ok().map(base64::encode),
                    (Some(crc), _) if crc.algorithm == *algorithm => Some(crc.finish()),
                    // Reading began before S3 was asked for this checksum.
                    _ => None,
                };
                match ours {
                    Some(ours) if ours == *value => Compared::Same(*algorithm),
                    Some(_) => Compared::Different(*algorithm),
                    None => Compared::NotComputed(algorithm.name().to_owned()),
                }
            }
        });
        (sha256, compared)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored(algorithm: Algorithm, value: &str) -> StoredChecksum {
        let value = value.to_owned();
        StoredChecksum::Whole { algorithm, value }
    }

    fn of(bytes: &[u8], stored: &StoredChecksum) -> Option<Compared> {
        let mut checksums = Checksums::new(Hash::quick(), Some(stored));
        checksums.update(bytes);
        checksums.finish(Some(stored)).1
    }

    /// The check values of CRC catalogues, the CRCs of "123456789", in the form of botocore's awscrt.
    const CHECKS: [(Algorithm, &str); 4] = [
        (Algorithm::Crc64Nvme, "rosUhgp5mIg="),
        (Algorithm::Crc32, "y/Q5Jg=="),
        (Algorithm::Crc32c, "4waSgw=="),
        (Algorithm::Sha256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
    ];

    #[test]
    fn checksums_have_the_form_that_s3_uses() {
        for (algorithm, value) in CHECKS {
            let stored = stored(algorithm, value);
            assert_eq!(
                of(b"123456789", &stored),
                Some(Compared::Same(algorithm)),
                "{algorithm}"
            );
            assert_eq!(
                of(b"123456788", &stored),
                Some(Compared::Different(algorithm)),
                "{algorithm}"
            );
        }
        assert_eq!(
            of(b"123456789", &stored(Algorithm::Crc32, "no base64")),
            Some(Compared::Different(Algorithm::Crc32))
        );
        assert_eq!(
            of(b"1", &StoredChecksum::OfParts("CRC32".to_owned())),
            Some(Compared::OfParts("CRC32".to_owned()))
        );
        assert_eq!(
            of(b"1", &StoredChecksum::Other("SHA-1".to_owned())),
            Some(Compared::NotComputed("SHA-1".to_owned()))
        );
    }

    /// Reading began in a version that computed no CRC, or when S3 kept another checksum.
    #[test]
    fn a_crc_that_was_not_computed_from_the_first_byte_is_not_compared() {
        let (first, second) = (
            stored(Algorithm::Crc32, "y/Q5Jg=="),
            stored(Algorithm::Crc64Nvme, "rosUhgp5mIg="),
        );
        let mut checksums = Checksums::new(Hash::kept(), Some(&first));
        checksums.update(b"1234");
        let resumed = |states: &States| {
            let mut checksums = Checksums::resume(states).unwrap();
            checksums.update(b"56789");
            checksums
        };
        let mut states = checksums.states().unwrap();
        assert_eq!(
            resumed(&states).finish(Some(&first)).1,
            Some(Compared::Same(Algorithm::Crc32))
        );
        let not_computed = |name: &str| Some(Compared::NotComputed(name.to_owned()));
        assert_eq!(resumed(&states).finish(Some(&second)).1, not_computed("CRC64NVME"));
        states.crc = None;
        assert_eq!(resumed(&states).finish(Some(&first)).1, not_computed("CRC32"));
    }

    proptest! {
        /// Both libraries agree, also after an interruption.
        #[test]
        fn every_sha256_implementation_gives_the_same_value(bytes in prop::collection::vec(any::<u8>(), 0..500), at in 0_usize..500) {
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            let (mut quick, mut kept) = (Hash::quick(), Hash::kept());
            for hash in [&mut quick, &mut kept] {
                hash.update(first);
            }
            let mut resumed = Hash::resume(&kept.state().unwrap()).unwrap();
            for hash in [&mut quick, &mut kept, &mut resumed] {
                hash.update(second);
            }
            prop_assert_eq!(quick.state(), None);
            let expected = landfall::hash::sha256_hex(&bytes);
            prop_assert_eq!([quick.finish(), kept.finish(), resumed.finish()], [&*expected, &*expected, &*expected]);
        }

        /// A CRC that is interrupted and kept as JSON covers all bytes.
        #[test]
        fn an_interrupted_crc_covers_all_bytes(bytes in prop::collection::vec(any::<u8>(), 0..500), at in 0_usize..500) {
            let (first, second) = bytes.split_at(at.min(bytes.len()));
            for (algorithm, _) in CHECKS {
                let Some(mut whole) = Crc::new(algorithm) else { continue };
                whole.digest.update(&bytes);
                let stored = stored(algorithm, &whole.finish());
                let mut begun = Checksums::new(Hash::kept(), Some(&stored));
                begun.update(first);
                let States { sha256, crc } = begun.states().unwrap();
                let kept = serde_json::to_string(&(sha256, crc)).unwrap();
                let (sha256, crc) = serde_json::from_str(&kept).unwrap();
                let mut resumed = Checksums::resume(&States { sha256, crc }).unwrap();
                resumed.update(second);
                prop_assert_eq!(resumed.finish(Some(&stored)).1, Some(Compared::Same(algorithm)));
            }
        }
    }

    #[test]
    fn an_invalid_hash_state_is_not_resumed() {
        assert!(Hash::resume(&State("00".to_owned())).is_none());
        assert!(Hash::resume(&State("xy".repeat(52))).is_none());
    }
}
