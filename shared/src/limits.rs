//! The largest values that a deployment may set.
//!
//! What must stay true: the template allows exactly what stands here, so a stack that deploys has functions that start.

/// Longest deadline of a job, in seconds: a day. The state machine's own time-out lies beyond it.
pub const MAX_DEADLINE_SECONDS: u64 = 24 * 60 * 60;

/// Most jobs of a kind that a deployment may let run at a time: all of their places are read and written together.
pub const MAX_PLACES: u64 = 500;

/// Most start calls a day that a deployment may count: all of them are read and written together.
pub const MAX_CALLS: u64 = 5_000;
