//! Starts an endpoint import, or adopts one that another delivery of the same trigger started.

use landfall::runtime::{Threads, serve};

fn main() -> Result<(), lambda_runtime::Error> {
    serve(Threads::Many, landfall_pinpoint::functions::start_import)
}
