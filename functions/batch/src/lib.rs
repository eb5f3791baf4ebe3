//! Batches: many requests in one event.
//!
//! A batch is a list of requests of any kinds. [`plan`] makes one event of each, as if it had come by itself, and writes
//! the list that the state machine runs, each as an execution of its kind's own machine; [`summary`] reads in the ledger
//! what became of them. This crate knows no export service: what a request means is for the functions of its kind.

pub mod event;
pub mod functions;
pub mod limits;
pub mod plan;
pub mod record;
pub mod source;
pub mod summary;
