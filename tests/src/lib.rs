//! Helpers of the tests.

pub mod clock;
pub mod memory_store;
