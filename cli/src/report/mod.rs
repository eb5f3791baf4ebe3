//! A page about the jobs of a period, to send to a colleague.

mod charts;
mod digest;
mod page;
mod rows;

#[cfg(test)]
mod tests;

pub use self::{
    digest::{Digest, Late, Request},
    page::page,
    rows::rows,
};
