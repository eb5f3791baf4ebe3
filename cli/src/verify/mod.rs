//! `landfall verify`: the verification of the deployed function, over any prefix or folder.
//!
//! What must stay true:
//! * What is verified is only read.
//! * The checks are the function's own. The expectation that they get says no more than what was asked here.
//! * What was found wrong is in [`Verified`]. An error says why the verification could not be made.
//! * Messages name keys with their control characters escaped, and hold no value of the data.

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
