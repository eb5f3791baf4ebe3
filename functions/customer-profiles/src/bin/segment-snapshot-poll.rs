//! Looks once how far a segment snapshot is.

use landfall::runtime::{Threads, serve};

fn main() -> Result<(), lambda_runtime::Error> {
    serve(Threads::One, landfall_customer_profiles::functions::poll)
}
