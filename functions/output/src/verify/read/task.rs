//! An object to read, and where another invocation continues.
//!
//! What must stay true: the next invocation needs only what is kept here. It is hardly larger than a decoder's state.

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

/// An object to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::verify) struct Task {
    /// The object as it was listed.
    pub(in crate::verify) listed: Listed,
    /// What to do with the object.
    pub(in crate::verify) plan: Plan,
}

/// An object that was not read to its end, because time was up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paused {
    pub key: String,
    /// Where to continue.
    pub at: Resume,
}

/// An object that was replaced or removed before it was read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disturbed {
    /// The object as it was listed.
    pub listed: Listed,
    /// Whether it counted as data.
    pub data: bool,
}

impl Disturbed {
    /// Whether the listing still has the object as it was.
    pub(in crate::verify) fn is_of(&self, listed: &Listed) -> bool {
        self.listed == *listed
    }
}

/// The result of reading an object.
pub(in crate::verify) enum ReadResult {
    Read(Box<Reading>),
    /// The object was replaced or removed since it was listed.
    Disturbed(Disturbed),
    /// Time was up.
    Paused {
        key: String,
        /// Where to continue; `None` if from where this reading began.
        at: Option<Box<Resume>>,
    },
}

/// Where the reading of an object continues.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// The decoder's checkpoint; `None` to begin again.
    pub(super) checkpoint: Option<Checkpoint>,
    /// How many bytes were hashed. At least as many as the checkpoint's offset.
    pub(super) hashed: u64,
    /// The state of SHA-256 after these bytes; `None` if there are none.
    pub(super) hash: Option<State>,
    /// The state of the CRC that S3 keeps of the object; `None` if none is computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) crc: Option<CrcState>,
}

impl Resume {
    /// Offset of the first byte to decode.
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
