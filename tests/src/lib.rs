//! Helpers of the tests.

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

/// Gives the jobs of a local world time on a busy machine for what they do at once on an idle one.
pub fn patient(options: &mut landfall_local::world::Options) {
    options
        .variables
        .insert("LANDFALL_DEADLINE_SECONDS".to_owned(), "900".to_owned());
}
