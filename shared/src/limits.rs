//! The largest values that a deployment may set.
//!
//! What must stay true: the template allows the same values, so a stack that deploys has functions that start.

/// The longest deadline of a job, in seconds: a day. The state machine's time-out is longer.
pub const MAX_DEADLINE_SECONDS: u64 = 24 * 60 * 60;

/// How many jobs of a kind may run at a time, at most. All their slots are read and written together.
pub const MAX_PLACES: u64 = 500;

/// How many start calls of a day are counted, at most. All of them are read and written together.
pub const MAX_CALLS: u64 = 5_000;
