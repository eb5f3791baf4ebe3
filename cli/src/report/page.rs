//! A report as one page of HTML.
//!
//! What must stay true: the page needs no other file (no script, no picture, no font). Every text of a job is escaped.

use anyhow::Result;

use super::{
    charts,
    digest::{Digest, Request, words},
};
use crate::{
    jobs::Row,
    next::next,
    present::{bytes, grouped},
};

/// How many requests have a line of their own at most.
const REQUESTS: usize = 40;
/// How many failures are shown at most.
const FAILURES: usize = 100;

/// The page. `target` holds the arguments that name the deployment, for the commands.
pub fn page(digest: &Digest, ledger: &str, target: &str) -> Result<String> {
    let totals = &digest.totals;
    let ended = totals.succeeded + totals.failed;
    let rate = match ended {
        0 => "–".to_owned(),
        _ => percent(totals.succeeded, ended),
    };
    let figure = |value: &str, what: &str| format!("<div><b>{value}</b>{what}</div>");
    let figures = [
        figure(&grouped(totals.jobs as u64), "jobs"),
        figure(&rate, "succeeded"),
        figure(&grouped(totals.failed as u64), "to look at"),
        figure(&short(totals.rows), "rows"),
        figure(&bytes(totals.bytes), "verified"),
        figure(
            &format!("${:.4}", totals.cost.state_transitions_usd),
            "state transitions",
        ),
    ]
    .concat();
    let parts = [
        format!("<div class=\"figures\">{figures}</div>"),
        late(digest),
        format!(
            "<h2>Jobs a day</h2><figure>{}<figcaption class=\"key\"><i style=\"background:var(--good)\"></i>succeeded\
             <i style=\"background:var(--bad)\"></i>failed, aborted or not sealed<i style=\"background:var(--open)\"></i>\
             open</figcaption></figure>",
            charts::outcomes(digest)?
        ),
        format!(
            "<h2>Minutes that each success took</h2><figure>{}<figcaption>From the claim to the seal, one point a \
             job.</figcaption></figure>",
            charts::durations(digest)?
        ),
        requests(digest)?,
        failures(digest, target),
        checks(digest),
        kinds(digest),
        notes(digest),
    ];
    let (since, until) = (
        digest.since.format("%Y-%m-%d %H:%M"),
        digest.until.format("%Y-%m-%d %H:%M"),
    );
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Exports since {since}</title>\n\
         <style>\n{}</style>\n</head>\n<body>\n<h1>Exports</h1>\n<p class=\"faint\">{since} to {until} UTC, from {}, by \
         Landfall {}</p>\n{}\n</body>\n</html>\n",
        include_str!("style.css"),
        escape(ledger),
        env!("CARGO_PKG_VERSION"),
        parts.join("\n")
    ))
}

fn late(digest: &Digest) -> String {
    if digest.late.is_empty() {
        return String::new();
    }
    let rows: Vec<String> = digest
        .late
        .iter()
        .map(|late| {
            format!(
                "<tr><td class=\"bad\">{}</td><td>{} {}</td></tr>",
                escape(&late.label),
                escape(&late.kind),
                escape(&late.why)
            )
        })
        .collect();
    format!("<h2>Late</h2><table>{}</table>", rows.concat())
}

fn requests(digest: &Digest) -> Result<String> {
    if digest.requests.is_empty() {
        return Ok(String::new());
    }
    let mut rows = Vec::new();
    for request in digest.requests.iter().take(REQUESTS) {
        let chart = match request.rows.len() {
            0 | 1 => String::new(),
            _ => charts::rows(request, digest.since, digest.until)?,
        };
        rows.push(request_row(request, &chart));
    }
    let more = digest.requests.len().saturating_sub(REQUESTS);
    let more = match more {
        0 => String::new(),
        n => format!("<p class=\"faint\">and {n} more requests</p>"),
    };
    Ok(format!(
        "<h2>Requests</h2><table><tr><th>what</th><th class=\"number\">runs</th><th>rows over time</th>\
         <th class=\"number\">rows</th><th class=\"number\">change</th><th class=\"number\">takes</th>\
         <th class=\"number\">started after</th></tr>{}</table>{more}",
        rows.concat()
    ))
}

fn request_row(request: &Request, chart: &str) -> String {
    let rows = request
        .rows
        .last()
        .map_or_else(|| "–".to_owned(), |(_, rows)| grouped(*rows));
    let change = match request.change {
        None => String::new(),
        Some(change) if change.abs() >= 20.0 => format!("<span class=\"open\">{change:+.1} %</span>"),
        Some(change) if change.abs() < 0.05 => "0 %".to_owned(),
        Some(change) => format!("{change:+.1} %"),
    };
    let runs = if request.succeeded == request.runs {
        request.runs.to_string()
    } else {
        format!("{} <span class=\"bad\">of {}</span>", request.succeeded, request.runs)
    };
    format!(
        "<tr><td>{}<br><span class=\"faint\">{}</span></td><td class=\"number\">{runs}</td><td>{chart}</td>\
         <td class=\"number\">{rows}</td><td class=\"number\">{change}</td><td class=\"number\">{}</td>\
         <td class=\"number\">{}</td></tr>",
        escape(&request.label),
        escape(&request.kind),
        request.median_seconds.map_or_else(|| "–".to_owned(), words),
        words(request.longest_delay),
    )
}

fn failures(digest: &Digest, target: &str) -> String {
    if digest.failures.is_empty() {
        return "<h2>To look at</h2><p>Nothing.</p>".to_owned();
    }
    let row = |row: &Row| {
        let error = row.error.as_ref();
        let name = error.map_or(row.status.name(), |error| error.name.as_str());
        let why = error.and_then(|error| error.message.lines().next()).unwrap_or_default();
        let next = next(row, None, target);
        let command = next
            .commands
            .first()
            .map_or_else(String::new, |command| format!("<br><code>{}</code>", escape(command)));
        format!(
            "<tr><td class=\"number\">{}</td><td>{}<br><span class=\"faint\">{}</span></td><td><span class=\"bad\">{}</span>\
             <br>{}{command}</td></tr>",
            row.began_at.format("%m-%d %H:%M"),
            escape(row.label()),
            escape(&row.job_key),
            escape(name),
            escape(why),
        )
    };
    let rows: Vec<String> = digest.failures.iter().take(FAILURES).map(row).collect();
    let more = match digest.failures.len().saturating_sub(FAILURES) {
        0 => String::new(),
        n => format!("<p class=\"faint\">and {n} more</p>"),
    };
    format!(
        "<h2>To look at</h2><table><tr><th>began</th><th>job</th><th>why, and what to do first</th></tr>{}</table>{more}",
        rows.concat()
    )
}

fn checks(digest: &Digest) -> String {
    if digest.failed_checks.is_empty() {
        return String::new();
    }
    let rows: Vec<String> = digest
        .failed_checks
        .iter()
        .map(|(check, times)| format!("<tr><td>{}</td><td class=\"number\">{times}</td></tr>", escape(check)))
        .collect();
    format!(
        "<h2>Checks that failed</h2><table><tr><th>check</th><th class=\"number\">jobs</th></tr>{}</table>",
        rows.concat()
    )
}

fn kinds(digest: &Digest) -> String {
    let rows: Vec<String> = digest
        .kinds
        .iter()
        .map(|(kind, (jobs, cost))| {
            format!(
                "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td>\
                 <td class=\"number\">${:.4}</td></tr>",
                escape(kind),
                grouped(*jobs as u64),
                grouped(cost.state_transitions),
                grouped(cost.invocations),
                cost.state_transitions_usd
            )
        })
        .collect();
    format!(
        "<h2>Cost</h2><table><tr><th>kind</th><th class=\"number\">jobs</th><th class=\"number\">state transitions</th>\
         <th class=\"number\">invocations</th><th class=\"number\">transitions at us-east-1's price</th></tr>{}</table>",
        rows.concat()
    )
}

fn notes(digest: &Digest) -> String {
    let notes: Vec<String> = digest
        .notes
        .iter()
        .map(|note| format!("<p class=\"faint\">{}</p>", escape(note)))
        .collect();
    notes.concat()
}

#[allow(clippy::cast_precision_loss)]
fn percent(part: usize, of: usize) -> String {
    // Rounded down, so that it is 100 % only if it is all.
    let share = (part as f64 / of as f64 * 1_000.0).floor() / 10.0;
    format!("{share} %")
}

/// A number that fits in a box.
#[allow(clippy::cast_precision_loss)]
fn short(n: u64) -> String {
    match n {
        0..10_000_000 => grouped(n),
        10_000_000..10_000_000_000 => format!("{:.1} M", n as f64 / 1e6),
        _ => format!("{:.1} G", n as f64 / 1e9),
    }
}

/// A text, escaped for HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
