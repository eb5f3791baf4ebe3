//! Verifies what landed in S3, and seals it in a receipt.

pub mod functions;
pub mod latest;
pub mod metrics;
pub mod receipt;
pub mod seal;
pub mod step;
pub mod verify;
