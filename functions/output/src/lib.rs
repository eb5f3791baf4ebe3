//! Verifies what landed in S3 and seals it in a receipt.

pub mod formats;
pub mod verify;
