//! The library that all functions share.
//!
//! Landfall starts export jobs of AWS services that offer neither a `.sync` integration nor a completion event, waits
//! for them, and proves that their files landed in S3. This crate holds what is the same for each kind of job: the
//! event, the job key, the gate, the ledger, the poll policy, S3 access and the named errors. It knows no export
//! service. A service joins by implementing [`service::JobService`].

pub mod cancel;
pub mod clock;
pub mod config;
pub mod cost;
pub mod error;
pub mod event;
pub mod expect;
pub mod fault;
pub mod gate;
pub mod hash;
pub mod heavy;
pub mod history;
pub mod https;
pub mod input;
pub mod invocation;
pub mod job;
pub mod ledger;
pub mod limits;
pub mod logging;
pub mod members;
pub mod poll;
pub mod queue;
pub mod reach;
pub mod registered;
pub mod remedy;
pub mod runtime;
pub mod s3_uri;
pub mod sdk;
pub mod service;
pub mod slices;
pub mod span;
pub mod start;
pub mod store;
pub mod trace;
pub mod trigger;

pub use landfall_polling as polling;
