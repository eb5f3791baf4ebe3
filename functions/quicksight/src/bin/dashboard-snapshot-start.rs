//! Starts a dashboard snapshot, or adopts one that another delivery of the same trigger started.

use landfall::runtime::{Threads, serve};

fn main() -> Result<(), lambda_runtime::Error> {
    serve(Threads::One, landfall_quicksight::functions::start)
}
