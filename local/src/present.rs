//! What a run looks like to a person.
//!
//! What must stay true: everything here is a pure function from steps and receipts to text, so it looks the same
//! wherever it is shown. It reads the general members of jobs and receipts and shows less where one is missing: it
//! never fails, and it knows no export service.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};
use landfall::{
    error::ErrorKind,
    job::{self, Level, TaskError},
};
use landfall_output::verify::{CheckVerdict, Verdict};
use serde_json::Value;

use crate::{
    verify::{
        Verified, escaped,
        sealed::{Comparison, Difference, Lone},
    },
    watch::{Step, What},
};

/// How a text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Beside the point.
    Faint,
    /// It went well.
    Good,
    /// It needs a look.
    Warning,
    /// It went wrong.
    Bad,
    /// A heading.
    Strong,
}

/// Whether colours are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint(pub bool);

impl Paint {
    /// The text in the colour of its tone.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Faint => "2",
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
            Tone::Strong => "1",
        };
        if self.0 && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// One line of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Since the execution began.
    pub since: Duration,
    /// The state.
    pub state: String,
    /// What became of it.
    pub text: String,
    /// How that is meant.
    pub tone: Tone,
    /// The state that was chosen then.
    pub next: Option<String>,
}

impl Line {
    /// The line in aligned columns. `label` tells deliveries apart.
    pub fn render(&self, label: &str, paint: Paint) -> String {
        let since = format!("{:>6.1} s", self.since.as_secs_f64());
        let next = self
            .next
            .as_ref()
            .map_or_else(String::new, |next| format!("  → {next}"));
        let line = format!(
            "{}{}  {} {}{}",
            paint.paint(Tone::Faint, label),
            paint.paint(Tone::Faint, &since),
            paint.paint(Tone::Strong, &format!("{:<10}", self.state)),
            paint.paint(self.tone, &self.text),
            paint.paint(Tone::Faint, &next),
        );
        line.trim_end().to_owned()
    }
}

/// Turns steps into lines. A state's line is shown when it is left and the next one is known, a wait's and an error's
/// at once.
#[derive(Clone, Debug, Default)]
pub struct Narrator {
    begun: Option<DateTime<Utc>>,
    inputs: BTreeMap<String, (Value, DateTime<Utc>)>,
    held: Option<Line>,
    now: Option<String>,
    line: Option<InLine>,
}

/// A job that stands in line.
#[derive(Clone, Debug)]
struct InLine {
    since: DateTime<Utc>,
    /// When it asked last.
    until: DateTime<Utc>,
    /// Why it stands there, as it was told last.
    why: String,
    asked: u32,
}

impl Narrator {
    /// The lines that a step completes.
    pub fn tell(&mut self, step: &Step) -> Vec<Line> {
        let begun = *self.begun.get_or_insert(step.at);
        let since = |at: DateTime<Utc>| (at - begun).to_std().unwrap_or_default();
        let line = |text: String, tone: Tone| Line {
            since: since(step.at),
            state: step.state.clone(),
            text,
            tone,
            next: None,
        };
        let mut lines = Vec::new();
        match &step.what {
            What::Started | What::Redriven => {}
            What::Entered { state_type, input } => {
                self.now = Some(doing(state_type, &step.state, input));
                self.inputs.insert(step.state.clone(), (input.clone(), step.at));
                // A choice is told as what it chose.
                if state_type != "Choice" {
                    lines.extend(self.held.take().map(|mut held| {
                        held.next = Some(step.state.clone());
                        held
                    }));
                }
                if state_type == "Wait" {
                    let seconds = input["wait_seconds"].as_u64();
                    lines.push(line(
                        seconds.map_or_else(String::new, |seconds| format!("{seconds} s")),
                        Tone::Faint,
                    ));
                }
            }
            What::TaskFailed { error, message } if error == ErrorKind::Busy.name() => {
                let in_line = self.line.get_or_insert_with(|| InLine {
                    since: step.at,
                    until: step.at,
                    why: String::new(),
                    asked: 1,
                });
                self.now = Some(format!("{} waits, asked {}", step.state, times(in_line.asked)));
                // Asking again brings the same answer, often many times.
                let first = message.lines().next().unwrap_or_default();
                if in_line.why != first {
                    first.clone_into(&mut in_line.why);
                    lines.push(line(format!("waits: {first}"), Tone::Warning));
                }
            }
            What::TaskFailed { error, message } => {
                lines.extend(self.out_of_line(step));
                let first = message.lines().next().unwrap_or_default();
                // What follows is told with its own time, so that times only grow.
                if let Some((_, entered)) = self.inputs.get_mut(&step.state) {
                    *entered = step.at;
                }
                lines.push(line(format!("{error}: {first}"), Tone::Warning));
            }
            What::Retried { attempt } => {
                if let Some((_, entered)) = self.inputs.get_mut(&step.state) {
                    *entered = step.at;
                }
                if let Some(in_line) = &mut self.line {
                    in_line.asked += 1;
                    in_line.until = step.at;
                    return lines;
                }
                lines.push(line(format!("tries again ({})", ordinal(*attempt)), Tone::Faint));
            }
            What::Jobs {
                running,
                succeeded,
                failed,
            } => {
                let parts = [(running, "running"), (succeeded, "succeeded"), (failed, "failed")];
                let parts: Vec<String> = parts
                    .into_iter()
                    .filter(|(number, _)| **number > 0)
                    .map(|(number, what)| format!("{} {what}", grouped(*number)))
                    .collect();
                lines.push(Line {
                    state: "Requests".to_owned(),
                    ..line(parts.join(", "), Tone::Plain)
                });
            }
            What::Exited { state_type, output } => {
                lines.extend(self.out_of_line(step));
                let (input, entered) = self.inputs.remove(&step.state).unwrap_or((Value::Null, step.at));
                if matches!(state_type.as_str(), "Task" | "Pass") {
                    let (text, tone) = result(&step.state, &input, output);
                    self.held = Some(Line {
                        since: since(entered),
                        ..line(text, tone)
                    });
                }
            }
            What::Ended { .. } => {
                lines.extend(self.held.take());
                self.now = None;
            }
        }
        lines
    }

    /// How long a job stood in line that does so no more.
    fn out_of_line(&mut self, step: &Step) -> Option<Line> {
        let in_line = self.line.take()?;
        let waited = (in_line.until - in_line.since).to_std().unwrap_or_default();
        Some(Line {
            since: (in_line.until - self.begun?).to_std().unwrap_or_default(),
            state: step.state.clone(),
            text: format!("waited {:.1} s, asked {}", waited.as_secs_f64(), times(in_line.asked)),
            tone: Tone::Faint,
            next: None,
        })
    }

    /// What is going on now, for a line that is drawn anew.
    pub fn now(&self) -> Option<&str> {
        self.now.as_deref()
    }
}

fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{} times", grouped(n.into())),
    }
}

fn ordinal(n: u32) -> String {
    match n {
        2 => "second time".to_owned(),
        3 => "third time".to_owned(),
        n => format!("time {n}"),
    }
}

fn doing(state_type: &str, state: &str, input: &Value) -> String {
    match (state_type, input["wait_seconds"].as_u64()) {
        ("Wait", Some(seconds)) => {
            let progress = progress(input).map_or_else(String::new, |text| format!(", {text}"));
            format!("{state} {seconds} s{progress}")
        }
        _ => state.to_owned(),
    }
}

/// What a state did, by what is new in its output.
fn result(state: &str, input: &Value, output: &Value) -> (String, Tone) {
    let is_new = |member: &str| !output[member].is_null() && output[member] != input[member];
    if is_new("outcome") {
        let verdict = text(&output["outcome"]["verdict"]);
        return match output["outcome"]["error"]["Error"].as_str() {
            Some(error) => (format!("{verdict}: {error}"), Tone::Bad),
            None => (verdict, Tone::Good),
        };
    }
    if is_new("verifying") {
        let batches = output["verifying"]["batches"].as_u64().unwrap_or_default();
        let concurrency = output["verifying"]["concurrency"].as_u64().unwrap_or_default();
        let text = format!(
            "too much at once: {} batches, {concurrency} at a time",
            grouped(batches)
        );
        return (text, Tone::Plain);
    }
    if is_new("report") {
        let report = &output["report"];
        let verdict = text(&report["verdict"]);
        let tone = match verdict.as_str() {
            "passed" => Tone::Good,
            "failed" => Tone::Bad,
            _ => Tone::Warning,
        };
        return (format!("{}: {}", amounts(report), verdict.replace('_', " ")), tone);
    }
    if is_new("polls") && !input["polls"].is_null() {
        let status = output["service_status"].as_str().unwrap_or("no news");
        let progress = progress(output).map_or_else(String::new, |text| format!("  {text}"));
        let tone = match output["status"].as_str() {
            Some("succeeded") => Tone::Good,
            Some("failed" | "timed_out") => Tone::Bad,
            _ => Tone::Plain,
        };
        let error = match output["error"]["Error"].as_str() {
            Some(error) if is_new("error") => format!(": {error}"),
            _ => String::new(),
        };
        return (format!("{status}{progress}{error}"), tone);
    }
    if is_new("round") {
        return (planned(output), Tone::Plain);
    }
    if is_new("error") {
        let error = &output["error"];
        return (format!("gave up: {}", text(&error["Error"])), Tone::Bad);
    }
    if is_new("job_key") {
        let id = text(&output["service_id"]);
        let what = match (output["status"].as_str(), output["adopted"].as_bool()) {
            (Some("sealed"), _) => "was sealed before".to_owned(),
            (_, Some(true)) => format!("adopted {id}"),
            _ => format!("started {id}"),
        };
        return (what, Tone::Plain);
    }
    if is_new("event") {
        return (text(&output["event"]["detail-type"]), Tone::Plain);
    }
    if state == "Announce" {
        return (text(&output["announcement"]["detail_type"]), Tone::Plain);
    }
    (String::new(), Tone::Plain)
}

/// What a batch is about to run.
fn planned(batch: &Value) -> String {
    let number = |name: &str| batch[name].as_u64().unwrap_or_default();
    let round = number("round");
    if round > 1 {
        return format!(
            "some have no outcome: run again, {}",
            ordinal(u32::try_from(round).unwrap_or(u32::MAX))
        );
    }
    if batch["status"] == "sealed" {
        return "was summed up before".to_owned();
    }
    let (requests, accepted) = (number("requests"), number("accepted"));
    let rejected = match requests - accepted.min(requests) {
        0 => String::new(),
        rejected => format!(", {} rejected", grouped(rejected)),
    };
    format!(
        "{}{rejected}, {} at a time",
        counted(requests, "request"),
        grouped(number("concurrency"))
    )
}

fn progress(job: &Value) -> Option<String> {
    let done = job["progress"]["done"].as_u64()?;
    let total = job["progress"]["total"].as_u64()?;
    let share = done.min(total) * 100 / total.max(1);
    Some(format!("{} of {} ({share}%)", grouped(done), grouped(total)))
}

/// Objects, rows and bytes of a report or of a receipt's output.
fn amounts(of: &Value) -> String {
    let number = |names: [&str; 2]| names.iter().find_map(|name| of[name].as_u64());
    let mut parts = Vec::new();
    if let Some(objects) = number(["objects", "object_count"]) {
        parts.push(counted(objects, "object"));
    }
    if let Some(rows) = number(["rows", "rows"]) {
        parts.push(counted(rows, "row"));
    }
    if let Some(size) = number(["bytes", "bytes"]) {
        parts.push(bytes(size));
    }
    parts.join(", ")
}

fn counted(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(n))
}

/// A number with commas between thousands.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in bytes, for people.
#[allow(clippy::cast_precision_loss)]
pub fn bytes(n: u64) -> String {
    let mut size = n as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if size < 1000.0 || unit == "GB" {
            return if unit == "B" {
                format!("{n} B")
            } else {
                format!("{size:.1} {unit}")
            };
        }
        size /= 1000.0;
    }
    format!("{n} B")
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// Most objects that a table shows.
const SHOWN_OBJECTS: usize = 12;

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

/// Most requests that a summary's table shows.
const SHOWN_REQUESTS: usize = 20;

/// A batch's summary as short tables: the batch, and what became of its requests, which `results` has one a line.
pub fn summary(summary: &Value, results: &[Value], layout: Layout) -> String {
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
        let mut rows = layout.table(&["#", "kind", "became", "rows", "job or error"]);
        // Those that need a look first.
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

fn checks_table(checks: &[Value], layout: Layout) -> String {
    let paint = layout.paint;
    let mut rows = layout.table(&["check", "verdict", "reason"]);
    for check in checks {
        let verdict = text(&check["verdict"]);
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
    rows.trim_fmt()
}

/// Objects with their keys beneath a prefix.
fn objects_table(objects: &[&Value], prefix: &str, layout: Layout) -> String {
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

/// The key of an `s3://` URI; empty for a folder, beneath which all keys begin.
fn key_of(uri: &str) -> &str {
    let key = uri.strip_prefix("s3://").and_then(|rest| rest.split_once('/'));
    key.map_or("", |(_, key)| key)
}

/// Colours and lines of what is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The colours.
    pub paint: Paint,
    /// Columns after which a line is broken; whole lines for whoever reads them with a program when `None`.
    pub width: Option<u16>,
}

impl Layout {
    /// On a terminal as wide as that, with colours or without; else with whole lines.
    pub fn new(paint: Paint, is_terminal: bool) -> Self {
        Self {
            paint,
            width: if is_terminal { Table::new().width() } else { None },
        }
    }

    fn table(self, header: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        match self.width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic);
                table.set_width(width);
            }
            None => {
                table.force_no_tty();
            }
        }
        if self.paint.0 {
            table.enforce_styling();
        }
        if !header.is_empty() {
            table.set_header(header.iter().map(|name| cell(name, Tone::Faint, self.paint)));
        }
        table
    }
}

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
        // Some of each kind, however many there are of another.
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
        // The members that the tables show are those of the published form.
        let report = serde_json::to_value(report).unwrap_or_default();
        if let Some(checks) = report["checks"].as_array() {
            parts.push(checks_table(checks, layout));
        }
        parts.extend(objects_shown(verified, &report, layout));
    }
    parts.join("\n\n")
}

/// The objects of which something is wrong, else the first ones.
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
        Verdict::Failed => ("rejected", Tone::Bad),
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

/// A rate, where the time is long enough to say one.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
fn per_second(n: u64, seconds: f64) -> String {
    if seconds < 0.01 {
        return String::new();
    }
    format!(" at {}/s", bytes((n as f64 / seconds) as u64))
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
    // As much of a hash as tells two apart.
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

/// How far a verification is, in a line. The numbers are those of [`crate::verify::Progress::now`].
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
    if let Some(transitions) = receipt["cost"]["state_transitions"].as_u64() {
        parts.push(counted(transitions, "state transition"));
    }
    parts.join(", ")
}

/// What became of one delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// From 1.
    pub number: usize,
    /// The event's file.
    pub event: String,
    /// `SUCCEEDED`, `FAILED`, …
    pub status: String,
    /// `started it`, `adopted it`, `found it sealed`, or the error.
    pub became: String,
    /// The job's key, where there is one.
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

fn cell(text: &str, tone: Tone, paint: Paint) -> Cell {
    let cell = Cell::new(text);
    let color = match tone {
        _ if !paint.0 => return cell,
        Tone::Plain | Tone::Strong => return cell,
        Tone::Faint => Color::DarkGrey,
        Tone::Good => Color::Green,
        Tone::Warning => Color::Yellow,
        Tone::Bad => Color::Red,
    };
    cell.fg(color)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAIN: Paint = Paint(false);
    const WHOLE: Layout = Layout {
        paint: PLAIN,
        width: None,
    };

    fn at(milliseconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(milliseconds).unwrap()
    }

    fn step(milliseconds: i64, state: &str, what: What) -> Step {
        Step {
            at: at(milliseconds),
            state: state.to_owned(),
            what,
        }
    }

    fn entered(ms: i64, state: &str, state_type: &str, input: Value) -> Step {
        let state_type = state_type.to_owned();
        step(ms, state, What::Entered { state_type, input })
    }

    fn exited(ms: i64, state: &str, state_type: &str, output: Value) -> Step {
        let state_type = state_type.to_owned();
        step(ms, state, What::Exited { state_type, output })
    }

    #[test]
    fn a_run_is_told_state_by_state() {
        let event = json!({"event": {"detail-type": "Segment Snapshot Requested"}});
        let started = json!({"job_key": "k", "service_id": "abc", "adopted": false, "status": "running", "polls": 0,
                             "wait_seconds": 2});
        let mut polled = started.clone();
        polled["polls"] = json!(1);
        polled["service_status"] = json!("IN_PROGRESS");
        polled["progress"] = json!({"done": 1500, "total": 3000});
        let steps = [
            step(0, "", What::Started),
            entered(0, "Start", "Task", event),
            step(
                100,
                "Start",
                What::TaskFailed {
                    error: "Landfall.Unavailable".into(),
                    message: "wait\nmore".into(),
                },
            ),
            step(200, "Start", What::Retried { attempt: 2 }),
            exited(400, "Start", "Task", started.clone()),
            entered(400, "Status", "Choice", started.clone()),
            exited(400, "Status", "Choice", started.clone()),
            entered(400, "Wait", "Wait", started.clone()),
            exited(2400, "Wait", "Wait", started.clone()),
            entered(2400, "Poll", "Task", started),
            exited(2500, "Poll", "Task", polled.clone()),
            entered(2500, "Verify", "Task", polled.clone()),
            exited(3000, "Verify", "Task", {
                let mut verified = polled;
                verified["report"] = json!({"objects": 3, "rows": 10_000, "bytes": 1_234_567, "verdict": "passed"});
                verified
            }),
            step(
                3100,
                "",
                What::Ended {
                    status: "SUCCEEDED".into(),
                    error: None,
                    message: None,
                },
            ),
        ];
        let mut narrator = Narrator::default();
        let lines: Vec<String> = steps
            .iter()
            .flat_map(|step| narrator.tell(step))
            .map(|line| line.render("", PLAIN))
            .collect();
        assert_eq!(
            lines,
            [
                "   0.1 s  Start      Landfall.Unavailable: wait",
                "   0.2 s  Start      tries again (second time)",
                "   0.2 s  Start      started abc  → Wait",
                "   0.4 s  Wait       2 s",
                "   2.4 s  Poll       IN_PROGRESS  1,500 of 3,000 (50%)  → Verify",
                "   2.5 s  Verify     3 objects, 10,000 rows, 1.2 MB: passed",
            ]
        );
    }

    #[test]
    fn standing_in_line_is_told_once() {
        let busy = |ms, why: &str| {
            let (error, message) = ("Landfall.Busy".into(), why.into());
            step(ms, "Start", What::TaskFailed { error, message })
        };
        let started = json!({"job_key": "k", "service_id": "abc", "adopted": false, "status": "running"});
        let mut steps = vec![step(0, "", What::Started), entered(0, "Start", "Task", json!({}))];
        for turn in 0..50 {
            steps.push(busy(
                1000 * turn + 100,
                if turn < 40 { "12 jobs run" } else { "200 were started" },
            ));
            steps.push(step(1000 * turn + 900, "Start", What::Retried { attempt: 2 }));
        }
        let mut narrator = Narrator::default();
        let mut lines: Vec<Line> = steps.iter().flat_map(|step| narrator.tell(step)).collect();
        assert_eq!(narrator.now(), Some("Start waits, asked 50 times"));
        let ended = [
            exited(50_000, "Start", "Task", started.clone()),
            entered(50_000, "Wait", "Wait", json!({"wait_seconds": 2})),
        ];
        lines.extend(ended.iter().flat_map(|step| narrator.tell(step)));
        let lines: Vec<String> = lines.iter().map(|line| line.render("", PLAIN)).collect();
        assert_eq!(
            lines,
            [
                "   0.1 s  Start      waits: 12 jobs run",
                "  40.1 s  Start      waits: 200 were started",
                "  49.9 s  Start      waited 49.8 s, asked 51 times",
                "  49.9 s  Start      started abc  → Wait",
                "  50.0 s  Wait       2 s",
            ]
        );
    }

    #[test]
    fn a_receipt_is_shown_as_far_as_it_goes() {
        let whole = json!({
            "verdict": "succeeded", "kind": "segment-snapshot", "job_key": "k", "polls": 4,
            "service": {"id": "abc", "status": "COMPLETED"},
            "times": {"claimed_at": "2026-11-01T05:00:00Z", "sealed_at": "2026-11-01T05:00:08.500Z"},
            "output": {"prefix": "s3://b/run=k/", "format": "CSV", "object_count": 1, "rows": 1000, "bytes": 999,
                       "objects": [{"key": "run=k/part-0.csv", "rows": 1000, "size": 999}], "objects_omitted": 2},
            "verification": {"checks": [{"name": "landed", "verdict": "pass", "reason": "1 object"}]},
            "cost": {"state_transitions": 20},
        });
        let text = receipt(&whole, WHOLE);
        for part in [
            "succeeded",
            "segment-snapshot k",
            "abc COMPLETED",
            "1 object, 1,000 rows, 999 B of CSV",
            "8.5 s, 4 polls",
            "landed",
            "part-0.csv",
            "and 2 more objects",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
        assert!(receipt(&json!({}), WHOLE).lines().count() < 3);
    }

    #[test]
    fn a_summary_is_shown_worst_first() {
        let whole = json!({
            "verdict": "failed", "error": {"Error": "Landfall.BatchFailed"}, "name": "nightly",
            "trigger": {"job_key": "k"}, "counts": {"requests": 30, "succeeded": 29, "failed": 0, "rejected": 1},
            "objects": 29, "rows": 2900, "bytes": 29_000,
        });
        let mut results: Vec<Value> = (0..29)
            .map(|index| json!({"index": index, "kind": "a", "became": "succeeded", "rows": 100, "job_key": "j"}))
            .collect();
        results.push(json!({"index": 29, "kind": "b\u{1b}", "became": "rejected",
                            "error": {"Error": "Landfall.InvalidEvent", "Cause": "1 fault:\n  $.x: wrong"}}));
        let text = summary(&whole, &results, WHOLE);
        for part in [
            "k nightly",
            "30 requests, 29 succeeded, 1 rejected",
            "29 objects, 2,900 rows, 29.0 kB",
            "b\\u{1b}",
            "Landfall.InvalidEvent: $.x: wrong",
            "and 10 more requests",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(
            text.find("rejected ")
                .zip(text.find("succeeded  "))
                .is_none_or(|(bad, good)| bad < good)
        );
        assert!(!text.contains('\u{1b}'));
        assert!(summary(&json!({}), &[], WHOLE).lines().count() < 3);
    }

    #[test]
    fn a_batch_is_told_state_by_state() {
        let event = json!({"event": {"detail-type": "Export Batch Requested"}});
        let planned = json!({"batch_key": "k", "round": 1, "requests": 4, "accepted": 3, "concurrency": 2,
                             "status": "running"});
        let mut again = planned.clone();
        again["round"] = json!(2);
        let mut sealed = again.clone();
        sealed["outcome"] = json!({"verdict": "succeeded"});
        let jobs = What::Jobs {
            running: 1,
            succeeded: 2,
            failed: 0,
        };
        let steps = [
            step(0, "", What::Started),
            entered(0, "Plan", "Task", event),
            exited(100, "Plan", "Task", planned.clone()),
            entered(100, "Requests", "Map", planned.clone()),
            step(900, "", jobs),
            entered(1000, "Summary", "Task", planned),
            exited(1100, "Summary", "Task", again.clone()),
            entered(2000, "Summary", "Task", again),
            exited(2100, "Summary", "Task", sealed),
            entered(2100, "Announce", "Task", json!({})),
        ];
        let mut narrator = Narrator::default();
        let lines: Vec<String> = steps
            .iter()
            .flat_map(|step| narrator.tell(step))
            .map(|line| line.render("", PLAIN))
            .collect();
        assert_eq!(
            lines,
            [
                "   0.0 s  Plan       4 requests, 1 rejected, 2 at a time  → Requests",
                "   0.9 s  Requests   1 running, 2 succeeded",
                "   1.0 s  Summary    some have no outcome: run again, second time  → Summary",
                "   2.0 s  Summary    succeeded  → Announce",
            ]
        );
    }

    fn verification() -> Verified {
        let object = |key: &str, rows: Option<u64>, size: u64| {
            json!({"key": format!("p/{key}"), "role": "data", "size": size, "etag": "e", "rows": rows,
                   "last_modified": "2026-11-01T05:00:00Z"})
        };
        let check =
            |name: &str, verdict: &str| json!({"name": name, "verdict": verdict, "reason": "of a reason ".repeat(9)});
        let report = json!({
            "schema": "landfall.report/1", "checked_at": "2026-11-01T05:00:00Z", "verdict": "failed", "data_objects": 2,
            "all_objects": 3, "rows": 1000, "bytes": 2000, "checks": [check("format", "fail"), check("checksum", "warn")],
            "objects": [object("a.csv", Some(1000), 1500), object("b\u{1b}.csv", None, 500)],
        });
        Verified {
            schema: crate::verify::SCHEMA,
            landfall: "0.1.0",
            place: "s3://bucket/p/".to_owned(),
            verdict: Verdict::Failed,
            format: Some(landfall_formats::Format::Csv),
            level: Level::Full,
            seconds: 7.0,
            working_seconds: 2.0,
            bytes_read: 2_000_000,
            report: Some(serde_json::from_value(report).unwrap()),
            comparison: None,
            receipt_not_used: None,
        }
    }

    #[test]
    fn a_verification_is_shown_verdict_first() {
        let plain = |width| Layout { paint: PLAIN, width };
        let mut verified = verification();
        let text = super::verified(&verified, plain(None));
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(
            lines[..4],
            [
                " verdict  rejected: 1 check failed, 1 check warned",
                " output   2 objects, 1,000 rows, 2.0 kB of CSV, and 1 other object",
                " level    full: every byte read",
                " took     7.0 s; 2.0 MB read at 1.0 MB/s",
            ]
        );
        // Of the objects those that are not proved, and their keys without tricks.
        assert!(
            text.contains("b\\u{1b}.csv") && !text.contains('\u{1b}') && !text.contains("a.csv"),
            "{text}"
        );
        assert!(
            lines.iter().any(|line| line.len() > 100),
            "whole lines for a program:\n{text}"
        );
        let narrow = super::verified(&verified, plain(Some(60)));
        assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");

        let lone = |number: u64| Lone {
            key: number.to_string(),
            size: number,
        };
        verified.comparison = Some(Comparison {
            receipt: "r.json".to_owned(),
            verdict: job::Verdict::Succeeded,
            job_key: "k".to_owned(),
            prefix: "s3://bucket/p/".to_owned(),
            same: false,
            unchanged: 2_000,
            rewritten: 1,
            unproven: 3,
            changed: Vec::new(),
            vanished: (0..20).map(lone).collect(),
            added: vec![lone(99)],
        });
        let text = super::verified(&verified, plain(None));
        for part in [
            "rejected: 1 check failed, it differs from the receipt",
            "2,000 unchanged, of which 1 written again with the same content, 3 of the same size, content not compared, \
             20 vanished, 1 added",
            "and 8 more vanished; --json has all",
            "99 B",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn progress_is_told_in_a_line() {
        let at = |numbers, level| verifying(numbers, level, Duration::from_secs(2));
        assert_eq!(at([0, 0, 0, 0], Level::Full), "listing");
        assert_eq!(
            at([1, 4, 20_000_000, 80_000_000], Level::Full),
            "1 of 4 objects, 20.0 MB of 80.0 MB at 10.0 MB/s, about 6 s left"
        );
        assert_eq!(
            at([4, 4, 80_000_000, 80_000_000], Level::Full),
            "4 of 4 objects, 80.0 MB of 80.0 MB at 40.0 MB/s"
        );
        assert_eq!(at([1, 1, 0, 9], Level::Listing), "1 of 1 object");
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1_500), "1.5 kB");
        assert_eq!(bytes(u64::MAX / 1_000_000), "18446.7 GB");
    }

    #[test]
    fn colours_only_where_wanted() {
        assert_eq!(Paint(true).paint(Tone::Good, "x"), "\u{1b}[32mx\u{1b}[0m");
        assert_eq!(PLAIN.paint(Tone::Bad, "x"), "x");
    }
}
