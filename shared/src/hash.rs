//! Hashes, and what follows from them.
//!
//! What must stay true: the same value gives the same hash in every version and on every machine, because job keys, which
//! the ledger keeps, are made of hashes.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// The canonical form (RFC 8785) that keys and hashes are taken of.
pub fn canonical(value: &Value) -> Result<Vec<u8>> {
    serde_json_canonicalizer::to_vec(value)
        .map_err(|error| Error::internal(format!("cannot canonicalise JSON: {error}")))
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A number from 0 to 1 that spreads jobs which started together, the same for the same job and poll.
pub(crate) fn spread(job_key: &str, poll: u32) -> f64 {
    let hash = sha256_hex(format!("{job_key}/{poll}").as_bytes());
    u16::from_str_radix(&hash[..4], 16).map_or(0.5, |number| f64::from(number) / f64::from(u16::MAX))
}
