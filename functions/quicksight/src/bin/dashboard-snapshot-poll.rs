//! Looks once how far a dashboard snapshot is, and once it has ended which files it wrote.

use landfall::runtime::{Threads, serve};

fn main() -> Result<(), lambda_runtime::Error> {
    serve(Threads::One, landfall_quicksight::functions::poll)
}
