//! How waits grow with the age of a job of which nothing more is known.

/// The share of the job's age that is waited before the next look. A job's end is then seen late by about half of it.
pub(crate) const GROWTH: f64 = 0.10;

/// The share below which no wait falls, whatever the upper bound says: it is what bounds the number of polls.
pub(crate) const FLOOR_GROWTH: f64 = 0.03;
