//! The checks. Each has a file with its published name.
//!
//! What must stay true: verdicts are a pure function of the [`Reading`](super::Reading)s, in key order, and of the
//! [`Circumstances`]. Each check has a reason, which says what was found, at which object, and what to do. What is not
//! known never counts as good: at the level `full`, data that was not decoded fails at least one check; below it, what
//! was not looked at is skipped.
//!
//! [`Tally`] adds reading after reading and then judges. The list of checks in it is the order of the report. `counts`
//! holds the counts that several checks need; a check that needs more keeps it itself. `case` answers what all checks
//! may ask of an output, such as its number of rows. `asker` has the words that differ between events and command
//! lines.

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
