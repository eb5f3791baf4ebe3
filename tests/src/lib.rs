//! Helpers of the tests.

pub mod clock;
pub mod harness;
pub mod in_process;
pub mod memory_store;
pub mod s3_server;
pub mod schema;
pub mod wire;
