//! Sums up what became of the requests of a batch.

use landfall::runtime::{Threads, serve};

fn main() -> Result<(), lambda_runtime::Error> {
    serve(Threads::One, landfall_batch::functions::summary)
}
