//! Times full verification against the tools people would use instead, and against a bare download.
//!
//! `cargo benchmark` makes the data, serves it over S3 on loopback and runs the contestants in rounds, one after
//! another, each in a process of its own; then, for plain text, verification and the bare download alone, at the rate of
//! a deployed function's link ([`link`]): [`contestant::Contestant`] says who they are, `benches/python/peers.py` how
//! each peer is made to parse every value in the way that was the fastest of those that do.
//!
//! What must stay true: all contestants of a run read the same objects of the same server with the same number of
//! threads; the caches are warmed by a round that is not counted; a wrong number of rows fails the run.
//!
//! The server is [`server`], which hands out memory: on two cores that all share, a gigabyte takes 0.3 s of the
//! processor from it. SeaweedFS 4.48 in its place took 1.2 s for a gigabyte of random bytes and 13 s for a gigabyte of
//! CSV, which it keeps compressed, so that a bare download of the CSV took as long as its verification: the contestants
//! would all have been timed waiting for the server.

use std::{fmt::Display, io::Write};

use anyhow::{Context, Result};

pub mod build;
pub mod client;
pub mod contestant;
pub mod data;
pub mod functions;
pub mod link;
pub mod picture;
pub mod prepare;
pub mod results;
pub mod run;
pub mod server;

/// Prints a result.
fn print(text: &impl Display) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").context("nobody hears the result")
}
