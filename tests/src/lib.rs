//! Shared helpers of the tests.

pub mod clock;
pub mod documents;
pub mod embedded_metrics;
pub mod harness;
pub mod in_process;
pub mod kinds;
pub mod memory_store;
pub mod s3_http;
pub mod s3_server;
pub mod schema;
pub mod store_contract;
pub mod wire;

/// Gives jobs of a local world more time, because a busy machine needs seconds for what an idle one does at once.
pub fn patient(options: &mut landfall_local::world::Options) {
    options
        .variables
        .insert("LANDFALL_DEADLINE_SECONDS".to_owned(), "900".to_owned());
}
