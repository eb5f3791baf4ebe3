//! The limits of a verification in slices.
//!
//! What must stay true: these limits bound the state machine's loops, which have no counters of their own. They keep
//! the loops within the machine's time-out, within the 25,000 events of an execution's history, and within what a
//! Distributed Map allows. The tests of the definition compute with them.

/// Most data objects in one slice.
pub const MAX_OBJECTS: u64 = 1_000;

/// Most bytes in a slice that holds more than one object: 16 GiB.
pub const MAX_BYTES: u64 = 16 << 30;

/// Most slices of one verification. The outputs of this many executions fit in the 256 KiB of a map's result.
pub const MAX_SLICES: u64 = 10_000;

/// How often the slices of one verification are run, at most.
pub const MAX_ROUNDS: u32 = 5;

/// How often, at most, a verification runs slices again that nobody finished. Their invocations were throttled for
/// longer than the definition retries, or somebody stopped their executions.
pub const MAX_REPEATS: u32 = 10;

/// Most invocations of one slice in one round.
pub const MAX_TURNS: u32 = 400;

/// State transitions of a slice in addition to those of its invocations: the start of its execution, which AWS does not
/// say is free, and its last state.
pub const TRANSITIONS: u64 = 2;

/// State transitions of each invocation of a slice: `Slice` and `More`.
pub const TRANSITIONS_OF_TURN: u64 = 2;

/// State transitions of a round of slices in the job's own execution: `VerifySlices`, `Verify` and `Verified`.
pub const TRANSITIONS_OF_ROUND: u64 = 3;

/// How long after the plan a verification may go on: 7 days. An invocation after that gives up at once.
pub const MAX_SECONDS: u64 = 7 * 24 * 60 * 60;
