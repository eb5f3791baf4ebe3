//! `source_rows_processed`, and the report of a job that writes nothing.
//!
//! What must stay true: rows of the source that the service does not account for fail the check. If the service does
//! not count rows, the check warns.

use chrono::{DateTime, Utc};
use landfall::job::{Counts, Echo, Level, Source};

use super::{
    asker::Asker,
    judgement::{Judgement, fail, pass, published, warn},
    service_echo, service_failures,
};
use crate::verify::report::{Report, SCHEMA, Verdict};

/// Judges a job that writes nothing, from what the service says about the source.
#[must_use]
pub fn judge_source(source: &Source, counts: Option<Counts>, echo: Option<&Echo>, checked_at: DateTime<Utc>) -> Report {
    let checks = published([
        ("source_rows_processed", source_rows_processed(source.rows, counts)),
        (
            "service_failures",
            service_failures::judge(counts.map(|counts| counts.failed), Asker::Event.words()),
        ),
        ("service_echo", service_echo::judge(echo)),
    ]);
    Report {
        schema: SCHEMA.to_owned(),
        checked_at,
        verdict: Verdict::of(&checks),
        level: Level::Full,
        rows: source.rows,
        bytes: source.bytes,
        data_objects: 0,
        all_objects: 0,
        slices: 0,
        source: Some(source.clone()),
        checks,
        objects_file: None,
        objects: Vec::new(),
    }
}

/// AWS calls `processed` the number of rows that were handled. It does not say whether failed rows are among them.
fn source_rows_processed(rows: u64, counts: Option<Counts>) -> Judgement {
    let Some(Counts { processed, failed }) = counts else {
        return warn(format!(
            "the service does not say how many of the {rows} rows of the source it handled: look at what it made of \
             them"
        ));
    };
    if processed == rows {
        return pass(format!("all {rows} rows of the source were handled"));
    }
    if processed > rows {
        return warn(format!(
            "the service handled {processed} rows, and the source had {rows} when it was read before the start: make \
             sure that nobody writes there while a job runs"
        ));
    }
    if processed.saturating_add(failed) >= rows {
        return pass(format!(
            "all {rows} rows of the source were handled: {processed} processed, {failed} failed"
        ));
    }
    fail(format!(
        "the service handled {processed} of the {rows} rows of the source, and {failed} failed: {} are unaccounted \
         for. Run the job again",
        rows - processed - failed
    ))
}
