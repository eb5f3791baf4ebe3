//! Decides a job's outcome in the ledger and writes its receipt.

use landfall::runtime::{Threads, serve};

fn main() -> Result<(), lambda_runtime::Error> {
    serve(Threads::One, landfall_output::functions::seal)
}
