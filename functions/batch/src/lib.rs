//! Batches: many requests in one event.
//!
//! A batch is a list of requests of any kinds. [`plan`] makes an event of each request, as if it had come by itself,
//! and writes the list that the state machine runs. The machine runs each request as an execution of its kind's own
//! machine. [`summary`] reads in the ledger how each job ended. This crate knows no export service; only the functions
//! of a kind know what its requests mean.

pub mod event;
pub mod functions;
pub mod limits;
pub mod plan;
pub mod record;
pub mod source;
pub mod summary;
