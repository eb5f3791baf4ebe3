//! Proves that what lies beneath a prefix is the whole output of a job.
//!
//! What must stay true:
//! * Whatever was found wrong with the output is a failed [`Check`] in the [`Report`]; an error is returned only for
//!   what kept the check from being made, and never stands for a verdict.
//! * Every byte of every data object is read once, pinned to the ETag that was listed, hashed and decoded on the way.
//! * The listing is taken again when all was read, at least [`Expectation::settle`] after the one before; what changed
//!   is read and listed again, a bounded number of times.
//! * What decides is a pure function of what was found ([`classify`], [`settle`], [`judge`]). [`work`] goes from listing to
//!   listing, [`rounds`] joins a listing with what was read, [`planner`] cuts the rest into slices, [`desk`] keeps them;
//!   [`slice`] and [`read`] only fetch.
//! * No reason quotes a value of the data, and every reason and list of names in it is bounded.
//!
//! Any size: [`verify`] does all in one process. The function takes one [`turn`] after the other: what does not fit in
//! one slice, or in the time of one invocation, is left to other invocations ([`run_slice`]) by way of the ledger bucket.
//!
//! Memory, whatever the number and the sizes of the objects, with the default [`Limits`]: what objects are being read
//! may hold stays beneath [`Limits::memory`] in sum (for each the ranges that are fetched ahead, plus one line of at
//! most 16 MiB for JSON lines, a few MiB for ORC, or twice the document for PDF); an object that needs more than all of
//! it is read alone. It also holds a few slices of readings, at about 1 KiB an object; without a ledger all of them, so
//! that [`Limits::objects`] bounds it.

pub mod classify;
mod desk;
mod expectation;
mod hash;
pub mod judge;
mod limits;
mod objects;
mod planner;
mod read;
mod report;
mod rounds;
pub mod settle;
mod shape;
pub mod slice;
mod work;

pub use self::{
    desk::{Desk, Item},
    expectation::{Expectation, Previous},
    hash::{Compared, Hash},
    judge::Asker,
    limits::Limits,
    report::{
        Check, CheckVerdict, Finding, MAX_OBJECTS, ObjectsFile, Reading, Report, Role, SCHEMA, Verdict, VerifiedObject,
    },
    shape::ColumnShape,
    slice::run_slice,
    work::{Begin, Turn, turn, verify, verify_within},
};
pub use landfall_formats::Format;
