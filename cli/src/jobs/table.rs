//! Jobs as a table for a terminal of 80 columns.
//!
//! What must stay true: no line of the table is wider than [`WIDTH`]. Every job has a line. A job that needs a look has
//! a second line that says why.

use std::fmt::Write as _;

use super::{
    batches::BatchRow,
    document::Totals,
    row::{Row, Status},
};
use crate::{
    kinds,
    present::{Paint, Tone, bytes, grouped},
    verify::escaped,
};

/// The widest line, in columns.
pub const WIDTH: usize = 80;

/// The indent of a job's second line.
const INDENT: &str = "         ";

/// Jobs as lines, and their sums. `wide` adds what does not fit: bytes, polls, cost and the whole job key.
pub fn table(rows: &[Row], totals: &Totals, paint: Paint, wide: bool) -> String {
    let mut text = String::new();
    if rows.is_empty() {
        return "No job was found. --since 30d looks further back.".to_owned();
    }
    let head = format!(
        "{:<8} {:<11} {:<9} {:<20} {:>10} {:>5} {:<9}",
        "job", "began (UTC)", "kind", "what", "rows", "took", "outcome"
    );
    let more = if wide {
        format!(" {:>9} {:>5} {:>9}  key", "bytes", "polls", "US$")
    } else {
        String::new()
    };
    line(&mut text, &paint.paint(Tone::Faint, format!("{head}{more}").trim_end()));
    for row in rows {
        let rows_of = row.rows.map_or_else(String::new, grouped);
        let rows_of = if rows_of.len() > 10 {
            row.rows.map_or_else(String::new, compact)
        } else {
            rows_of
        };
        let tone = match row.status {
            Status::Succeeded if row.verification.as_deref() == Some("passed_with_warnings") => Tone::Warning,
            Status::Succeeded => Tone::Good,
            status if status.is_bad() => Tone::Bad,
            _ => Tone::Warning,
        };
        let outcome = match row.status {
            Status::Succeeded if row.verification.as_deref() == Some("passed_with_warnings") => "warnings",
            status => status.name(),
        };
        let mut shown = format!(
            "{:<8} {:<11} {:<9} {:<20} {:>10} {:>5} {}",
            clipped(row.short(), 8),
            row.began_at.format("%m-%d %H:%M"),
            kind(&row.kind),
            clipped(&escaped(row.label()), 20),
            rows_of,
            took(row.seconds),
            paint.paint(tone, &format!("{outcome:<9}")),
        );
        if wide {
            let cost = row
                .cost
                .map_or_else(String::new, |cost| format!("{:.5}", cost.state_transitions_usd));
            let size = row.bytes.map_or_else(String::new, bytes);
            let _ = write!(shown, " {size:>9} {:>5} {cost:>9}  {}", row.polls, row.job_key);
        }
        line(&mut text, shown.trim_end());
        if let Some(why) = why(row) {
            let width = WIDTH - INDENT.len();
            line(
                &mut text,
                &format!("{INDENT}{}", paint.paint(tone, &clipped(&escaped(&why), width))),
            );
        }
    }
    line(&mut text, "");
    line(&mut text, &sum(totals));
    text.trim_end().to_owned()
}

/// Batches as lines beneath the jobs: how many of their requests succeeded, and what became of the others.
pub fn batch_lines(batches: &[BatchRow], paint: Paint) -> String {
    let mut text = String::new();
    for batch in batches {
        let (tone, outcome) = match batch.verdict.as_deref() {
            Some("succeeded") => (
                Tone::Good,
                format!("{}/{}", batch.counts.succeeded, batch.counts.requests),
            ),
            Some(_) => (
                Tone::Bad,
                format!("{}/{}", batch.counts.succeeded, batch.counts.requests),
            ),
            None => (Tone::Warning, format!("of {}", batch.counts.requests)),
        };
        let seconds = batch
            .sealed_at
            .map(|sealed| (sealed - batch.planned_at).as_seconds_f64());
        let rows = batch.rows.map_or_else(String::new, grouped);
        let rows = if rows.len() > 10 {
            batch.rows.map_or_else(String::new, compact)
        } else {
            rows
        };
        let shown = format!(
            "{:<8} {:<11} {:<9} {:<20} {:>10} {:>5} {}",
            clipped(batch.short(), 8),
            batch.planned_at.format("%m-%d %H:%M"),
            "batch",
            clipped(&escaped(batch.name.as_deref().unwrap_or_default()), 20),
            rows,
            seconds.map_or_else(String::new, took),
            paint.paint(tone, &outcome),
        );
        text.push('\n');
        text.push_str(shown.trim_end());
        if let Some(shortfall) = batch.shortfall() {
            text.push_str(&format!("\n{INDENT}{}", paint.paint(tone, &shortfall)));
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn line(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// The second line of a job: why it needs a look.
fn why(row: &Row) -> Option<String> {
    if row.status.is_open() {
        return row.waits_for.as_ref().map(|what| format!("waits for {what}"));
    }
    let error = row.error.as_ref()?;
    let first = error.message.lines().map(str::trim).find(|line| !line.is_empty());
    let picked = match row.picked_up_by.last() {
        Some(by) => format!("picked up by {by}; "),
        None => String::new(),
    };
    Some(format!(
        "{picked}{}: {}",
        error.name.trim_start_matches("Landfall."),
        first.unwrap_or_default()
    ))
}

fn sum(totals: &Totals) -> String {
    let jobs = if totals.jobs == 1 { "job" } else { "jobs" };
    let mut parts = vec![format!("{} {jobs}", grouped(totals.jobs as u64))];
    for (number, what) in [
        (totals.succeeded, "succeeded"),
        (totals.failed, "failed"),
        (totals.open, "open"),
    ] {
        if number > 0 {
            parts.push(format!("{} {what}", grouped(number as u64)));
        }
    }
    let mut text = parts.join(", ");
    if totals.succeeded > 0 {
        let _ = write!(text, "; {} rows, {}", grouped(totals.rows), bytes(totals.bytes));
    }
    if totals.cost.state_transitions > 0 {
        let _ = write!(text, "; about ${:.4}", totals.cost.state_transitions_usd);
    }
    text
}

/// A kind in nine columns.
fn kind(kind: &str) -> String {
    kinds::row(kind).map_or_else(|| clipped(kind, 9), |row| row.short.to_owned())
}

/// How long it took, in five columns.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn took(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..=99 => format!("{whole}s"),
        100..=5_999 => format!("{}m", whole / 60),
        6_000..=172_799 => format!("{}h{:02}", whole / 3_600, whole % 3_600 / 60),
        _ => format!("{}d", whole / 86_400),
    }
}

/// A number in few digits, for a narrow column.
#[allow(clippy::cast_precision_loss)]
fn compact(n: u64) -> String {
    match n {
        0..1_000_000_000 => format!("{:.1} M", n as f64 / 1e6),
        _ => format!("{:.2} G", n as f64 / 1e9),
    }
}

/// A text, cut to that many columns.
fn clipped(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}
