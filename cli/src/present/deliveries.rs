//! What became of each delivery, one row each.
//!
//! What must stay true: every delivery has its row.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment};
use serde_json::Value;

use super::paint::{Layout, Tone, cell};

/// What became of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The delivery's number, from 1.
    pub number: usize,
    /// The event's file.
    pub event: String,
    /// `SUCCEEDED`, `FAILED`, …
    pub status: String,
    /// `started it`, `adopted it`, `found it sealed`, or the error.
    pub became: String,
    /// The job's key, if there is a job.
    pub job_key: String,
    /// How long it took.
    pub took: Duration,
}

/// What became of a delivered event, in words.
pub fn became(job: Option<&Value>, error: Option<&str>) -> String {
    if let Some(error) = error {
        return error.to_owned();
    }
    match job {
        Some(batch) if batch["batch_key"].is_string() => if batch["outcome"]["sealed_by"] == batch["execution"] {
            "summed it up"
        } else {
            "found it summed up"
        }
        .to_owned(),
        Some(job) if job["outcome"]["sealed_by"].is_string() && job["adopted"] == true => {
            if job["outcome"]["sealed_by"] == job["execution"] {
                "adopted it, sealed it"
            } else {
                "adopted it"
            }
            .to_owned()
        }
        Some(job) if job["adopted"] == false => if job["outcome"]["sealed_by"] == job["execution"] {
            "started it, sealed it"
        } else {
            "started it"
        }
        .to_owned(),
        _ => String::new(),
    }
}

/// One row for each delivery.
pub fn deliveries(all: &[Delivery], layout: Layout) -> String {
    let paint = layout.paint;
    let mut rows = layout.table(&["#", "event", "execution", "took", "what became of it", "job"]);
    for delivery in all {
        let tone = if delivery.status == "SUCCEEDED" {
            Tone::Good
        } else {
            Tone::Bad
        };
        rows.add_row([
            Cell::new(delivery.number).set_alignment(CellAlignment::Right),
            Cell::new(&delivery.event),
            cell(&delivery.status, tone, paint),
            Cell::new(format!("{:.1} s", delivery.took.as_secs_f64())).set_alignment(CellAlignment::Right),
            Cell::new(&delivery.became),
            Cell::new(&delivery.job_key),
        ]);
    }
    rows.trim_fmt()
}
