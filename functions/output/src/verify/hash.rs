//! SHA-256 of what is read.
//!
//! What must stay true: the checksum is that of all bytes of the object, however often its reading was interrupted.
//!
//! Two libraries, since none does both: the state of `sha2` can be kept and gone on with in another process; `aws-lc-rs`,
//! which TLS brings along, is almost twice as fast on processors without instructions for SHA-256.

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use sha2::{
    Digest, Sha256,
    digest::common::hazmat::{SerializableState, SerializedState},
};

/// SHA-256 on its way, as verification computes it.
pub enum Hash {
    /// Cannot be kept.
    Quick(Context),
    /// Can.
    Kept(Sha256),
}

/// The state of SHA-256 after some bytes, hex.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct State(String);

impl Hash {
    /// For an object that is read in one go.
    #[must_use]
    pub fn quick() -> Self {
        Self::Quick(Context::new(&SHA256))
    }

    /// For an object whose reading may be interrupted.
    pub(super) fn kept() -> Self {
        Self::Kept(Sha256::new())
    }

    /// Goes on from a state; `None` if that is none.
    pub(super) fn resume(state: &State) -> Option<Self> {
        let state = hex::decode(&state.0).ok()?;
        let state = SerializedState::<Sha256>::try_from(state.as_slice()).ok()?;
        Sha256::deserialize(&state).ok().map(Self::Kept)
    }

    /// Takes in further bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Quick(context) => context.update(bytes),
            Self::Kept(hash) => hash.update(bytes),
        }
    }

    /// What to go on from; `None` if it cannot be kept.
    pub(super) fn state(&self) -> Option<State> {
        match self {
            Self::Quick(_) => None,
            Self::Kept(hash) => Some(State(hex::encode(hash.serialize()))),
        }
    }

    /// The checksum, hex.
    #[must_use]
    pub fn finish(self) -> String {
        match self {
            Self::Quick(context) => hex::encode(context.finish()),
            Self::Kept(hash) => hex::encode(hash.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Both libraries, and one that is interrupted, agree with each other.
        #[test]
        fn all_ways_lead_to_one_checksum(bytes in prop::collection::vec(any::<u8>(), 0..500), at in 0_usize..500) {
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
            let expected = landfall::event::sha256_hex(&bytes);
            prop_assert_eq!([quick.finish(), kept.finish(), resumed.finish()], [&*expected, &*expected, &*expected]);
        }
    }

    #[test]
    fn what_is_no_state_is_none() {
        assert!(Hash::resume(&State("00".to_owned())).is_none());
        assert!(Hash::resume(&State("xy".repeat(52))).is_none());
    }
}
