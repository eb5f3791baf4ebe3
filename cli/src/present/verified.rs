//! A verification as short tables.
//!
//! What must stay true: the verdict comes first. Keys are shown escaped.

use std::time::Duration;

use comfy_table::Cell;
use landfall::job::{self, Level};
use landfall_output::verify::{CheckVerdict, Verdict};
use serde_json::Value;

use super::{
    paint::{Layout, Tone, cell},
    receipt::{SHOWN_OBJECTS, checks_table, key_of, objects_table},
    words::{bytes, counted, grouped, per_second},
};
use crate::verify::{
    Verified, escaped,
    sealed::{Comparison, Difference, Lone},
};

/// A verification as short tables: the verdict, what differs from the receipt, the checks, the objects.
pub fn verified(verified: &Verified, layout: Layout) -> String {
    let paint = layout.paint;
    let mut facts = layout.table(&[]);
    let mut fact = |name: &str, value: String, tone: Tone| {
        facts.add_row([cell(name, Tone::Faint, paint), cell(&value, tone, paint)]);
    };
    let (verdict, tone) = verdict(verified);
    fact("verdict", verdict, tone);
    if let Some(report) = &verified.report {
        let others = report.all_objects.saturating_sub(report.data_objects);
        let others = if others > 0 {
            format!(", and {}", counted(others, "other object"))
        } else {
            String::new()
        };
        let format = verified
            .format
            .map_or_else(String::new, |format| format!(" of {format}"));
        let data = counted(report.data_objects, "object");
        let rows = match verified.level {
            Level::Full => format!(", {}", counted(report.rows, "row")),
            Level::Listing | Level::Structure => String::new(),
        };
        fact(
            "output",
            format!("{data}{rows}, {}{format}{others}", bytes(report.bytes)),
            Tone::Plain,
        );
    }
    let level = match verified.level {
        Level::Full => "every byte read",
        Level::Structure => "headers, footers and directories read",
        Level::Listing => "keys, sizes and times only",
    };
    fact("level", format!("{}: {level}", verified.level), Tone::Plain);
    fact("took", rate(verified), Tone::Plain);
    if let Some(comparison) = &verified.comparison {
        fact("receipt", comparison.receipt.clone(), Tone::Plain);
        fact(
            "of",
            format!("{} {}", comparison.verdict.name(), comparison.job_key),
            Tone::Plain,
        );
        fact("against it", against(comparison), Tone::Plain);
    }
    if let Some(why) = &verified.receipt_not_used {
        fact("receipt", format!("not used: {}", escaped(why)), Tone::Warning);
    }
    let mut parts = vec![facts.trim_fmt()];

    if let Some(comparison) = verified.comparison.as_ref().filter(|comparison| !comparison.same) {
        let mut rows = layout.table(&["object", "", "sealed → now"]);
        let of = |found: &str, lone: &Lone| (lone.key.clone(), found.to_owned(), bytes(lone.size));
        let changed = comparison.changed.iter().map(|change| {
            let all: Vec<String> = change.differences.iter().map(difference).collect();
            (change.key.clone(), "changed".to_owned(), all.join(", "))
        });
        let vanished = comparison.vanished.iter().map(|lone| of("vanished", lone));
        let added = comparison.added.iter().map(|lone| of("added", lone));
        // Some of each sort, however many there are of another sort.
        for (key, found, what) in changed
            .take(SHOWN_OBJECTS)
            .chain(vanished.take(SHOWN_OBJECTS))
            .chain(added.take(SHOWN_OBJECTS))
        {
            rows.add_row([
                Cell::new(escaped(&key)),
                cell(&found, Tone::Bad, paint),
                Cell::new(what),
            ]);
        }
        parts.push(rows.trim_fmt());
        let more = [
            comparison.changed.len(),
            comparison.vanished.len(),
            comparison.added.len(),
        ]
        .map(|found| found.saturating_sub(SHOWN_OBJECTS) as u64);
        let more: Vec<String> = ["changed", "vanished", "added"]
            .iter()
            .zip(more)
            .filter(|&(_, more)| more > 0)
            .map(|(what, more)| format!("{} more {what}", grouped(more)))
            .collect();
        if !more.is_empty() {
            parts.push(format!("  and {}; --json has all", more.join(", ")));
        }
    }

    if let Some(report) = &verified.report {
        // The tables show members of the published form.
        let report = serde_json::to_value(report).unwrap_or_default();
        if let Some(checks) = report["checks"].as_array() {
            parts.push(checks_table(checks, layout));
        }
        parts.extend(objects_shown(verified, &report, layout));
    }
    parts.join("\n\n")
}

/// The objects with a fault, or the first objects if there is none.
fn objects_shown(verified: &Verified, report: &Value, layout: Layout) -> Option<String> {
    let objects = report["objects"].as_array().filter(|objects| !objects.is_empty())?;
    let is_unproved = |object: &&Value| {
        let of_data = object["role"] == "data";
        let unread = verified.level == Level::Full && object["rows"].is_null() && object["pages"].is_null();
        of_data && (unread || object["size"] == 0)
    };
    let wrong: Vec<&Value> = objects.iter().filter(is_unproved).collect();
    let (shown, all, what) = if wrong.is_empty() {
        let all = report["all_objects"].as_u64().unwrap_or(objects.len() as u64);
        (objects.iter().collect(), all, "more object")
    } else {
        let all = wrong.len() as u64;
        (wrong, all, "more object that could not be proved")
    };
    let shown: Vec<&Value> = shown.into_iter().take(SHOWN_OBJECTS).collect();
    let mut text = objects_table(&shown, key_of(&verified.place), layout);
    let more = all.saturating_sub(shown.len() as u64);
    if more > 0 {
        let what = if more == 1 {
            what.to_owned()
        } else {
            what.replacen("object", "objects", 1)
        };
        text.push_str(&format!("\n\n  and {} {what}", grouped(more)));
    }
    Some(text)
}

fn verdict(verified: &Verified) -> (String, Tone) {
    let checks = verified.report.iter().flat_map(|report| &report.checks);
    let of = |wanted: CheckVerdict| checks.clone().filter(|check| check.verdict == wanted).count() as u64;
    let (failed, warned) = (of(CheckVerdict::Fail), of(CheckVerdict::Warn));
    let mut why = Vec::new();
    if failed > 0 {
        why.push(format!("{} failed", counted(failed, "check")));
    }
    if verified.comparison.as_ref().is_some_and(|comparison| !comparison.same) {
        why.push("it differs from the receipt".to_owned());
    }
    if verified
        .comparison
        .as_ref()
        .is_some_and(|comparison| comparison.verdict == job::Verdict::Failed)
    {
        why.push("the receipt is that of a failed job".to_owned());
    }
    if warned > 0 {
        why.push(format!("{} warned", counted(warned, "check")));
    }
    let (name, tone) = match verified.verdict {
        Verdict::Passed => ("passed", Tone::Good),
        Verdict::PassedWithWarnings => ("passed with warnings", Tone::Warning),
        Verdict::Failed => ("failed", Tone::Bad),
    };
    if why.is_empty() {
        (name.to_owned(), tone)
    } else {
        (format!("{name}: {}", why.join(", ")), tone)
    }
}

fn rate(verified: &Verified) -> String {
    let took = format!("{:.1} s", verified.seconds);
    if verified.bytes_read == 0 {
        return took;
    }
    format!(
        "{took}; {} read{}",
        bytes(verified.bytes_read),
        per_second(verified.bytes_read, verified.working_seconds)
    )
}

fn against(comparison: &Comparison) -> String {
    let mut parts = vec![format!("{} unchanged", grouped(comparison.unchanged))];
    if comparison.rewritten > 0 {
        parts.push(format!(
            "of which {} written again with the same content",
            grouped(comparison.rewritten)
        ));
    }
    for (found, what) in [
        (comparison.unproven, "of the same size, content not compared"),
        (comparison.changed.len() as u64, "changed"),
        (comparison.vanished.len() as u64, "vanished"),
        (comparison.added.len() as u64, "added"),
    ] {
        if found > 0 {
            parts.push(format!("{} {what}", grouped(found)));
        }
    }
    parts.join(", ")
}

fn difference(difference: &Difference) -> String {
    // Enough of a hash to tell two apart.
    let short = |value: &str| {
        let value = value.trim_matches('"');
        if value.chars().count() > 14 {
            format!("{}…", escaped(&value.chars().take(12).collect::<String>()))
        } else {
            escaped(value)
        }
    };
    let number = |value: &str| value.parse().map_or_else(|_| short(value), grouped);
    let (name, sealed, now) = match difference.what {
        "etag" => ("ETag", short(&difference.sealed), short(&difference.now)),
        "sha256" => ("SHA-256", short(&difference.sealed), short(&difference.now)),
        what => (what, number(&difference.sealed), number(&difference.now)),
    };
    format!("{name} {sealed} → {now}")
}

/// How far a verification is, in one line. The numbers are those of [`crate::verify::Progress::now`].
pub fn verifying([objects, of_objects, read, of_bytes]: [u64; 4], level: Level, since: Duration) -> String {
    let seconds = since.as_secs_f64();
    if of_objects == 0 {
        return "listing".to_owned();
    }
    let done = format!("{} of {}", grouped(objects), counted(of_objects, "object"));
    if level != Level::Full {
        return done;
    }
    format!(
        "{done}, {} of {}{}{}",
        bytes(read),
        bytes(of_bytes),
        per_second(read, seconds),
        left(read, of_bytes, seconds)
    )
}

#[allow(clippy::cast_precision_loss)]
fn left(read: u64, of: u64, seconds: f64) -> String {
    if read == 0 || read >= of || seconds < 1.0 {
        return String::new();
    }
    let left = seconds * (of - read) as f64 / read as f64;
    format!(", about {left:.0} s left")
}
