//! Looks once how far an endpoint import is.

use landfall::runtime::{Threads, serve};

fn main() -> Result<(), lambda_runtime::Error> {
    serve(Threads::One, landfall_pinpoint::functions::poll_import)
}
