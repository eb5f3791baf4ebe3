//! Starts an endpoint export, or adopts one that another delivery of the same trigger started.

use landfall::runtime::{Threads, serve};

fn main() -> Result<(), lambda_runtime::Error> {
    serve(Threads::One, landfall_pinpoint::functions::start_export)
}
