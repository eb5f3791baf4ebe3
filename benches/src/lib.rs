//! Times full verification beside the tools that people would use instead, and beside a bare download.
//!
//! `cargo benchmark` makes the data, serves it over S3 on loopback, and runs the contestants in rounds, one after
//! another, each in a process of its own. Then it times verification and the bare download of plain text at the rate of
//! a deployed function's link ([`link`]). [`contestant::Contestant`] lists the contestants. `benches/python/peers.py`
//! makes each peer parse every value in its fastest way.
//!
//! What must stay true: all contestants read the same objects from the same server with the same number of threads. A
//! round that does not count warms the caches. A wrong number of rows fails the run.
//!
//! The server, [`server`], serves from memory: on two shared cores, a gigabyte costs it 0.3 s of processor time.
//! SeaweedFS 4.48 needed 1.2 s for a gigabyte of random bytes, and 13 s for a gigabyte of CSV, which it stores
//! compressed. With it, a bare download of the CSV took as long as its verification, so every contestant would have
//! waited for the server.

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
