//! How large a batch may be, and how long it may go on.
//!
//! What must stay true: the state machine's loops know no bound of their own, so these hold them: within the machine's
//! time-out, and within what a Distributed Map takes. The tests of the definition compute with them.

/// Most requests of one batch. The words of that many children fit in the 256 KiB of a map's result.
pub const MAX_REQUESTS: usize = 10_000;

/// Most bytes of a list of requests in S3: 32 MiB.
pub const MAX_SOURCE_BYTES: u64 = 32 << 20;

/// Most bytes of the event that is made of one request: 64 KiB. It goes through the state machine three times over, as
/// the input of two executions and beside the output of one, which takes 256 KiB.
pub const MAX_EVENT_BYTES: usize = 64 << 10;

/// Most times that the requests of a batch are run: those whose job has no outcome are run again.
pub const MAX_ROUNDS: u32 = 3;

/// Most requests that a summary spells out; its list of results has all.
pub const MAX_SPELLED_OUT: usize = 20;

/// Longest cause of one request's error, in characters, in what is written of a batch.
pub const MAX_CAUSE: usize = 1_000;
