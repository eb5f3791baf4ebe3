//! Proves that the objects beneath a prefix are the whole output of a job.
//!
//! What must stay true:
//! * Everything that is wrong with the output is a failed [`Check`] in the [`Report`]. An error means that something
//!   kept the output from being checked; it is never a verdict.
//! * Each byte of each data object is read once, from the ETag that was listed, and is hashed and decoded on the way.
//! * When all is read, the objects are listed again, at least [`Expectation::settle`] after the last listing. Objects
//!   that changed are read, and everything is listed once more. The number of listings is limited.
//! * Verdicts are pure functions of what was found ([`classify`], [`settle`], [`judge`]).
//! * No reason quotes exported data. The length of each reason and of each list of names is limited.
//!
//! [`verify`] does all of this in one process. The function takes one [`turn`] after another: if the objects do not fit
//! in one slice, or in the time of one invocation, they are written as slices to the ledger bucket, and other
//! invocations read them ([`run_slice`]). [`work`] goes from listing to listing. [`rounds`] joins a listing with what
//! was read. [`planner`] cuts the rest into slices, and [`desk`] stores them. [`slice`] and [`read`] fetch and decode.
//!
//! Memory does not depend on the number and the sizes of the objects. With the default [`Limits`], all objects being
//! read hold less than [`Limits::memory`] together: for each the ranges that are fetched ahead, and a line of at most
//! 16 MiB for JSON lines, a few MiB for ORC, or twice the document for PDF. An object that needs more than all of it is
//! read alone. Besides, the readings of a few slices are held, at about 1 KiB an object. Without a ledger all readings
//! are held, so [`Limits::objects`] limits them.

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
