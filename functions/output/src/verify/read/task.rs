//! An object that is to be read, and where its reading goes on in another invocation.
//!
//! What must stay true: what is kept is all that the next invocation needs, and of the size of a decoder's state.

use landfall::{
    error::{Error, Result},
    store::{Listed, checksum::StoredChecksum},
};
use landfall_formats::Checkpoint;
use serde::{Deserialize, Serialize};

use crate::verify::{
    classify::Plan,
    hash::{Checksums, CrcState, Hash, State, States},
    report::Reading,
};

/// An object that is to be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::verify) struct Task {
    /// As it was listed.
    pub(in crate::verify) listed: Listed,
    /// What is to be done with it.
    pub(in crate::verify) plan: Plan,
}

/// An object whose reading stopped because time was up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paused {
    pub key: String,
    /// Where it goes on.
    pub at: Resume,
}

/// An object that was replaced or removed before it was read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disturbed {
    /// As it was listed.
    pub listed: Listed,
    /// Whether it was taken for data.
    pub data: bool,
}

impl Disturbed {
    /// Whether it is listed as it was.
    pub(in crate::verify) fn is_of(&self, listed: &Listed) -> bool {
        self.listed == *listed
    }
}

/// What became of reading an object.
pub(in crate::verify) enum ReadResult {
    Read(Box<Reading>),
    /// It was replaced or removed since it was listed.
    Disturbed(Disturbed),
    /// Time was up.
    Paused {
        key: String,
        /// Where it can go on; `None` if where it began this time.
        at: Option<Box<Resume>>,
    },
}

/// Where the reading of an object goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// Of the decoder; `None` if it begins again.
    pub(super) checkpoint: Option<Checkpoint>,
    /// Bytes that were hashed: as many as the checkpoint's offset, or more.
    pub(super) hashed: u64,
    /// The state of SHA-256 after them; `None` before the first.
    pub(super) hash: Option<State>,
    /// That of the CRC that S3 keeps of the object; `None` if none is computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) crc: Option<CrcState>,
}

impl Resume {
    /// Offset of the first byte that is to be decoded.
    pub(in crate::verify) fn offset(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.offset)
    }

    /// The checksums of what was hashed. Fails if their state cannot be read.
    pub(super) fn checksums(&self, stored: Option<&StoredChecksum>) -> Result<Checksums> {
        let unreadable = || Error::internal("the state of a checksum cannot be read");
        match &self.hash {
            Some(sha256) => Checksums::resume(&States {
                sha256: sha256.clone(),
                crc: self.crc,
            })
            .ok_or_else(unreadable),
            None => Ok(Checksums::new(Hash::kept(), stored)),
        }
    }
}
