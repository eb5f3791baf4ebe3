//! Makes one event of each request of a batch, and the list that the state machine runs.

use landfall::runtime::{Threads, serve};

fn main() -> Result<(), lambda_runtime::Error> {
    serve(Threads::One, landfall_batch::functions::plan)
}
