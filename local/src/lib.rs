//! Runs the whole flow on one machine.
