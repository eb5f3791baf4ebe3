//! How far a verification in slices may go.
//!
//! What must stay true: the state machine's loops know no bound of their own, so these hold them: within the machine's
//! time-out, within the 25,000 events of an execution's history, and within what a Distributed Map takes. The tests of
//! the definition compute with them.

/// Most data objects of one slice.
pub const MAX_OBJECTS: u64 = 1_000;

/// Most bytes of one slice that holds more than one object: 16 GiB.
pub const MAX_BYTES: u64 = 16 << 30;

/// Most slices of one verification. The outputs of that many executions fit in the 256 KiB of a map's result.
pub const MAX_SLICES: u64 = 10_000;

/// Most times that the slices of one verification are run.
pub const MAX_ROUNDS: u32 = 5;

/// Most times that slices which nobody finished are run again, in one verification: their invocations were throttled
/// for longer than the definition tries, or somebody stopped their executions.
pub const MAX_REPEATS: u32 = 10;

/// Most invocations of one slice in one round.
pub const MAX_TURNS: u32 = 400;

/// State transitions of a slice beside its invocations: the start of its execution, which AWS does not say to be free, and
/// the state that ends it.
pub const TRANSITIONS: u64 = 2;

/// State transitions of each invocation of a slice: `Slice` and `More`.
pub const TRANSITIONS_OF_TURN: u64 = 2;

/// State transitions of each round of slices in the job's own execution: `VerifySlices`, `Verify` and `Verified`.
pub const TRANSITIONS_OF_ROUND: u64 = 3;

/// How long a verification may go on after its slices were planned: 7 days. What is invoked later gives up at once.
pub const MAX_SECONDS: u64 = 7 * 24 * 60 * 60;
