//! Checks what a job wrote to S3.

use landfall::runtime::{Threads, serve};

fn main() -> Result<(), lambda_runtime::Error> {
    serve(Threads::Many, landfall_output::functions::verify)
}
