//! Compares the poll policy with waits that people write by hand, over traces of jobs.
//!
//! What must stay true: time is simulated, and everything depends on the seed. A policy knows only what its own polls
//! of earlier runs showed, and never how long they really took.

pub mod contestant;
pub mod picture;
pub mod simulate;
pub mod svg;
pub mod table;
pub mod trace;
