//! How waits grow with the age of a job of which nothing more is known.

/// The wait as a share of the job's age. On average, the end is then seen late by half of this share.
pub(crate) const GROWTH: f64 = 0.10;

/// No wait is shorter than this share of the job's age, whatever the upper bound says. This limits the number of polls.
pub(crate) const FLOOR_GROWTH: f64 = 0.03;
