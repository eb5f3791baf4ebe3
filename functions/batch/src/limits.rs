//! How large a batch may be, and how long it may go on.
//!
//! What must stay true: these limits bound the state machine's loops, which have no counters of their own. They keep
//! the loops within the machine's time-out and within what a Distributed Map allows. The tests of the definition
//! compute with them.

/// Most requests of one batch. The outputs of this many executions fit in the 256 KiB of a map's result.
pub const MAX_REQUESTS: usize = 10_000;

/// The largest list of requests in S3, in bytes: 32 MiB.
pub const MAX_SOURCE_BYTES: u64 = 32 << 20;

/// The largest event that is made of one request, in bytes: 64 KiB. It goes through the state machine three times, as
/// the input of two executions and beside the output of one, and a state allows 256 KiB.
pub const MAX_EVENT_BYTES: usize = 64 << 10;

/// How often the requests of a batch are run, at most. Requests whose job has no outcome are run again.
pub const MAX_ROUNDS: u32 = 3;

/// How many unsuccessful requests a summary lists. Its list of results has all requests.
pub const MAX_SPELLED_OUT: usize = 20;

/// The longest cause of one request's error in what is written of a batch, in characters.
pub const MAX_CAUSE: usize = 1_000;
