//! `landfall verify`: the verification of the deployed function, over any prefix or folder.
//!
//! What must stay true: what is verified is only read; the checks are the function's own, called with an expectation
//! that says no more than what was asked here; what was found wrong is in [`Verified`], and an error says what kept the
//! verification from being made. Messages name keys with their control characters escaped, and no value of the data.

mod ask;
pub mod folder;
pub mod kept;
mod names;
mod place;
mod progress;
mod recognise;
mod run;
pub mod sealed;

pub use self::{
    ask::Ask,
    names::{escaped, printable},
    place::{Location, Place},
    progress::Progress,
    run::{SCHEMA, TO_LOOK_INTO, Verified, verify, verify_in},
};
pub use crate::access::Access;
