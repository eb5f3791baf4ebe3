//! The poll policy over traces of jobs, beside the waits that people write by hand.
//!
//! What must stay true: time is simulated, and everything follows from the seed. A policy knows of earlier runs what its
//! own looks told it, never how long they really took.

pub mod contestant;
pub mod picture;
pub mod simulate;
pub mod svg;
pub mod table;
pub mod trace;
