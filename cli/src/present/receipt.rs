//! Receipts and summaries of batches as short tables.
//!
//! What must stay true: if a member is missing, less is shown. Nothing here fails.

use chrono::{DateTime, Utc};
use comfy_table::{Cell, CellAlignment};
use landfall::{
    cost::{Usage, dollars},
    job::TaskError,
};
use serde_json::Value;

use super::{
    paint::{Layout, Tone, cell},
    words::{amounts, counted, grouped, text},
};
use crate::verify::escaped;

/// How many objects a table shows at most.
pub(super) const SHOWN_OBJECTS: usize = 12;

/// A receipt as short tables: the job, its checks, its objects.
pub fn receipt(receipt: &Value, layout: Layout) -> String {
    let paint = layout.paint;
    let mut facts = layout.table(&[]);
    let mut fact = |name: &str, value: String, tone: Tone| {
        if !value.is_empty() {
            facts.add_row([cell(name, Tone::Faint, paint), cell(&value, tone, paint)]);
        }
    };
    let verdict = text(&receipt["verdict"]);
    let tone = if verdict == "succeeded" { Tone::Good } else { Tone::Bad };
    fact("verdict", verdict, tone);
    fact("error", text(&receipt["error"]["Error"]), Tone::Bad);
    let key = [text(&receipt["kind"]), text(&receipt["job_key"])].join(" ");
    fact("job", key.trim().to_owned(), Tone::Plain);
    fact("service", service(&receipt["service"]), Tone::Plain);
    let output = &receipt["output"];
    if output.is_object() {
        let format = output["format"]
            .as_str()
            .map_or_else(String::new, |format| format!(" of {format}"));
        fact("output", format!("{}{format}", amounts(output)), Tone::Plain);
        fact("at", text(&output["prefix"]), Tone::Plain);
    }
    fact("took", took(receipt), Tone::Plain);
    let mut parts = vec![facts.trim_fmt()];

    if let Some(checks) = receipt["verification"]["checks"]
        .as_array()
        .filter(|checks| !checks.is_empty())
    {
        parts.push(checks_table(checks, layout));
    }

    if let Some(objects) = output["objects"].as_array().filter(|objects| !objects.is_empty()) {
        let prefix = text(&output["prefix"]);
        let shown: Vec<&Value> = objects.iter().take(SHOWN_OBJECTS).collect();
        parts.push(objects_table(&shown, key_of(&prefix), layout));
        let more = objects.len().saturating_sub(SHOWN_OBJECTS) as u64 + output["objects_omitted"].as_u64().unwrap_or(0);
        if more > 0 {
            parts.push(format!("  and {}", counted(more, "more object")));
        }
    }
    parts.join("\n\n")
}

/// How many requests a summary's table shows at most.
const SHOWN_REQUESTS: usize = 20;

/// A batch's summary as short tables: the batch, and what became of its requests. `results` has one item for each
/// request. `labels` has the name of each request, by its index.
pub fn summary(summary: &Value, results: &[Value], labels: &[String], layout: Layout) -> String {
    let paint = layout.paint;
    let mut facts = layout.table(&[]);
    let mut fact = |name: &str, value: String, tone: Tone| {
        if !value.is_empty() {
            facts.add_row([cell(name, Tone::Faint, paint), cell(&value, tone, paint)]);
        }
    };
    let verdict = text(&summary["verdict"]);
    let tone = if verdict == "succeeded" { Tone::Good } else { Tone::Bad };
    fact("verdict", verdict, tone);
    fact("error", text(&summary["error"]["Error"]), Tone::Bad);
    let key = [text(&summary["trigger"]["job_key"]), text(&summary["name"])].join(" ");
    fact("batch", key.trim().to_owned(), Tone::Plain);
    let counts = &summary["counts"];
    let mut parts = vec![counted(counts["requests"].as_u64().unwrap_or_default(), "request")];
    for name in ["succeeded", "failed", "rejected", "unknown"] {
        if let Some(number) = counts[name].as_u64().filter(|number| *number > 0) {
            parts.push(format!("{} {name}", grouped(number)));
        }
    }
    fact("requests", parts.join(", "), Tone::Plain);
    fact("output", amounts(summary), Tone::Plain);
    fact("from", text(&summary["source"]["uri"]), Tone::Plain);
    let mut parts = vec![facts.trim_fmt()];
    if !results.is_empty() {
        let mut rows = layout.table(&["#", "kind", "request", "became", "rows", "job or error"]);
        let label = |result: &Value| {
            let index = result["index"].as_u64().and_then(|index| usize::try_from(index).ok());
            index.and_then(|index| labels.get(index)).map_or("", String::as_str)
        };
        // Requests that need a look come first.
        let (good, other): (Vec<&Value>, Vec<&Value>) =
            results.iter().partition(|result| result["became"] == "succeeded");
        for result in other.iter().chain(&good).take(SHOWN_REQUESTS) {
            let tone = match result["became"].as_str() {
                Some("succeeded") => Tone::Good,
                _ => Tone::Bad,
            };
            let last = match serde_json::from_value::<TaskError>(result["error"].clone()) {
                Ok(error) => format!("{}: {}", error.error, error.gist()),
                Err(_) => text(&result["job_key"]),
            };
            let rows_of = result["rows"].as_u64().map_or_else(String::new, grouped);
            rows.add_row([
                Cell::new(text(&result["index"])).set_alignment(CellAlignment::Right),
                Cell::new(escaped(&text(&result["kind"]))),
                Cell::new(escaped(label(result))),
                cell(&text(&result["became"]), tone, paint),
                Cell::new(rows_of).set_alignment(CellAlignment::Right),
                Cell::new(escaped(&last)),
            ]);
        }
        parts.push(rows.trim_fmt());
        let more = results.len().saturating_sub(SHOWN_REQUESTS) as u64;
        if more > 0 {
            parts.push(format!("  and {}", counted(more, "more request")));
        }
    }
    parts.join("\n\n")
}

pub(super) fn checks_table(checks: &[Value], layout: Layout) -> String {
    let paint = layout.paint;
    let mut rows = layout.table(&["check", "verdict", "reason"]);
    let mut skipped = 0;
    for check in checks {
        let verdict = text(&check["verdict"]);
        if verdict == "skipped" && !layout.all {
            skipped += 1;
            continue;
        }
        let tone = match verdict.as_str() {
            "pass" | "passed" => Tone::Good,
            "warn" | "warning" => Tone::Warning,
            "fail" | "failed" => Tone::Bad,
            _ => Tone::Faint,
        };
        rows.add_row([
            cell(&text(&check["name"]), Tone::Plain, paint),
            cell(&verdict, tone, paint),
            cell(&text(&check["reason"]), Tone::Plain, paint),
        ]);
    }
    let mut table = rows.trim_fmt();
    if skipped > 0 {
        let checks = counted(skipped, "check");
        let verb = if skipped == 1 { "does" } else { "do" };
        table.push_str(&format!("\n\n  {checks} {verb} not apply; --all shows why"));
    }
    table
}

/// Objects, with their keys beneath a prefix.
pub(super) fn objects_table(objects: &[&Value], prefix: &str, layout: Layout) -> String {
    let mut rows = layout.table(&["object", "", "rows", "bytes"]);
    for object in objects {
        let key = text(&object["key"]);
        let number = |names: [&str; 2]| {
            let found = names.iter().find_map(|name| object[name].as_u64());
            Cell::new(found.map_or_else(String::new, grouped)).set_alignment(CellAlignment::Right)
        };
        rows.add_row([
            Cell::new(escaped(key.strip_prefix(prefix).unwrap_or(&key))),
            cell(&text(&object["role"]).replace('_', " "), Tone::Faint, layout.paint),
            number(["rows", "rows"]),
            number(["size", "bytes"]),
        ]);
    }
    rows.trim_fmt()
}

/// The key of an `s3://` URI. It is empty for a folder, so that all keys begin with it.
pub(super) fn key_of(uri: &str) -> &str {
    let key = uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    key.map_or("", |(_, key)| key)
}

fn service(service: &Value) -> String {
    let mut parts: Vec<String> = [&service["id"], &service["status"]].map(text).into();
    parts.retain(|part| !part.is_empty());
    let mut line = parts.join(" ");
    if let Some(message) = service["message"].as_str() {
        line.push_str(&format!(": {message}"));
    }
    line
}

fn took(receipt: &Value) -> String {
    let time = |name: &str| receipt["times"][name].as_str()?.parse::<DateTime<Utc>>().ok();
    let mut parts = Vec::new();
    if let (Some(claimed), Some(sealed)) = (time("claimed_at"), time("sealed_at")) {
        let duration = (sealed - claimed).to_std().unwrap_or_default();
        parts.push(format!("{:.1} s", duration.as_secs_f64()));
    }
    if let Some(polls) = receipt["polls"].as_u64() {
        parts.push(counted(polls, "poll"));
    }
    let used = |name: &str| receipt["usage"][name].as_u64();
    let Some(state_transitions) = used("state_transitions") else {
        return parts.join(", ");
    };
    parts.push(counted(state_transitions, "state transition"));
    let usage = Usage {
        state_transitions,
        invocations: used("invocations").unwrap_or_default(),
        ..Usage::default()
    };
    format!(
        "{}; at AWS about {} besides the time of functions",
        parts.join(", "),
        dollars(usage.usd())
    )
}
