//! The checks: one file for each, named as the check is published.
//!
//! What must stay true: all of this is a pure function of the [`Reading`](super::Reading)s, in the order of their keys,
//! and of the [`Circumstances`]. Each check stands for itself and gives a reason that says what was found, at which object,
//! and what to do. What is not known is never taken for good: at the level `full`, data that was not decoded fails at
//! least one check; below it, what was not looked at is skipped.
//!
//! [`Tally`] takes up reading after reading, and then judges: its list of checks is the order of the report. Plain counts
//! are kept once, in `counts`; a check that needs more keeps it itself. What all checks may ask of an output, such as how
//! many rows it has, is answered by `case`. How a reason speaks to an event or to a command line is in `asker`.

mod asker;
mod case;
mod checksum;
mod columns_agree;
mod counts;
mod data_age;
mod encryption;
mod expected_rows;
mod extra_objects;
mod format;
mod judgement;
mod listing_stable;
mod named_files;
mod newer_than_start;
mod no_duplicates;
mod no_empty_files;
mod output_present;
mod required_columns;
mod row_change;
mod row_count_matches;
mod rows_counted;
mod segment_estimate;
mod service_echo;
mod service_failures;
mod source;
mod tally;
#[cfg(test)]
mod tests;
mod text_complete;
mod words;

pub use self::{
    asker::Asker,
    source::judge_source,
    tally::{Circumstances, Judged, Tally},
};
