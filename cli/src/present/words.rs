//! Numbers and names in people's words.
//!
//! What must stay true: every function is pure and total.

use std::time::Duration;

use serde_json::Value;

/// About how long, for people.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    match seconds {
        ..=99.5 => format!("{seconds:.0} s"),
        ..=5_970.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
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

/// A number and a noun, such as `2 rows`.
pub fn counted(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(n))
}

pub(super) fn times(n: u32) -> String {
    match n {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{} times", grouped(n.into())),
    }
}

pub(super) fn ordinal(n: u32) -> String {
    match n {
        2 => "second time".to_owned(),
        3 => "third time".to_owned(),
        n => format!("time {n}"),
    }
}

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// The objects, rows and bytes of a report or of a receipt's output.
pub(super) fn amounts(of: &Value) -> String {
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

/// A rate, if the time is long enough for one.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]
pub(super) fn per_second(n: u64, seconds: f64) -> String {
    if seconds < 0.01 {
        return String::new();
    }
    format!(" at {}/s", bytes((n as f64 / seconds) as u64))
}

/// A text in lines of at most that many characters, broken between words. A longer word stays whole. Line breaks of the
/// text stay.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut length = 0;
        for word in paragraph.split_whitespace() {
            let more = word.chars().count();
            if length > 0 && length + 1 + more > width {
                lines.push(std::mem::take(&mut line));
                length = 0;
            }
            if length > 0 {
                line.push(' ');
                length += 1;
            }
            line.push_str(word);
            length += more;
        }
        lines.push(line);
    }
    if lines.is_empty() {
        lines.push(String::new());
    }
    lines
}
