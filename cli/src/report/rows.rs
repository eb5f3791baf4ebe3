//! Jobs as CSV.
//!
//! What must stay true: columns are added at the end, and times are RFC 3339.

use anyhow::Result;
use chrono::{DateTime, SecondsFormat, Utc};

use crate::jobs::Row;

const COLUMNS: [&str; 22] = [
    "kind",
    "job_key",
    "name",
    "what",
    "status",
    "triggered_at",
    "began_at",
    "sealed_at",
    "seconds",
    "attempts",
    "polls",
    "objects",
    "rows",
    "bytes",
    "verification",
    "state_transitions",
    "usd",
    "error",
    "message",
    "receipt",
    "prefix",
    "execution",
];

/// Jobs as CSV with a line of headings.
pub fn rows(rows: &[Row]) -> Result<String> {
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for row in rows {
        let error = row.error.as_ref();
        writer.write_record([
            row.kind.clone(),
            row.job_key.clone(),
            text(&row.name),
            row.what.clone(),
            row.status.name().to_owned(),
            time(row.triggered_at),
            time(row.began_at),
            row.sealed_at.map(time).unwrap_or_default(),
            format!("{:.1}", row.seconds),
            row.attempts.to_string(),
            row.polls.to_string(),
            number(row.objects),
            number(row.rows),
            number(row.bytes),
            text(&row.verification),
            number(row.cost.map(|cost| cost.state_transitions)),
            row.cost
                .map_or_else(String::new, |cost| cost.state_transitions_usd.to_string()),
            error.map_or_else(String::new, |error| error.name.clone()),
            error.map_or_else(String::new, |error| {
                error.message.lines().next().unwrap_or_default().to_owned()
            }),
            text(&row.receipt),
            text(&row.prefix),
            text(&row.execution),
        ])?;
    }
    Ok(String::from_utf8(
        writer.into_inner().map_err(|error| error.into_error())?,
    )?)
}
