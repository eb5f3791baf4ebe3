//! Hashes, and numbers derived from hashes.
//!
//! What must stay true: a value has the same hash in each version and on each machine, because the job keys in the
//! ledger are made of hashes.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The canonical form of JSON (RFC 8785), which keys and hashes are made of.
pub fn canonical(value: &Value) -> Result<Vec<u8>> {
    serde_json_canonicalizer::to_vec(value)
        .map_err(|error| Error::internal(format!("cannot canonicalise JSON: {error}")))
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A number from 0 to 1 that differs between jobs, so that jobs which started together do not act together. It is
/// always the same for one job and poll.
pub(crate) fn spread(job_key: &str, poll: u32) -> f64 {
    let hash = sha256_hex(format!("{job_key}/{poll}").as_bytes());
    u16::from_str_radix(&hash[..4], 16).map_or(0.5, |number| f64::from(number) / f64::from(u16::MAX))
}
