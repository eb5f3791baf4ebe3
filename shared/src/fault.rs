//! Faults: everything that is wrong with an event.
//!
//! What must stay true: a fault names its place as a JSON path, what was found, and what is allowed. It never quotes a
//! value that the schema marks as sensitive (`writeOnly`).

use std::fmt;

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};

/// How many characters of a found value a message shows.
const SHOWN: usize = 80;

/// How many bytes of faults an error lists in all, and how many characters of each fault. A state machine passes on
/// 32,768 characters of an error, and escapes them as JSON within JSON.
const LISTED: usize = 12_000;
const LINE: usize = 600;

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// JSON path, such as `$.detail.DataFormat`.
    pub path: String,
    /// The value that was found, or a description of it.
    pub found: String,
    /// What is allowed, or what to do.
    pub allowed: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found {}; {}", self.path, self.found, self.allowed)
    }
}

/// All faults of an event, in the order of their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault once. `found` is cut to [`SHOWN`] characters.
    pub fn add(&mut self, path: impl Into<String>, found: impl fmt::Display, allowed: impl Into<String>) {
        let found = shorten(&found.to_string(), SHOWN);
        let fault = Fault {
            path: path.into(),
            found,
            allowed: allowed.into(),
        };
        if let Err(place) = self.0.binary_search(&fault) {
            self.0.insert(place, fault);
        }
    }

    /// Whether there is a fault at this path.
    pub fn has(&self, path: &str) -> bool {
        self.0.iter().any(|fault| fault.path == path)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same faults for a document that is part of another one, at `place`: `$.Kind` at `$.detail.Requests[3]`
    /// becomes `$.detail.Requests[3].Kind`.
    #[must_use]
    pub fn beneath(mut self, place: &str) -> Self {
        for fault in &mut self.0 {
            let rest = fault.path.strip_prefix('$').unwrap_or(&fault.path);
            fault.path = format!("{place}{rest}");
        }
        self
    }

    /// Takes out the faults beneath `place`, with paths that begin there: the opposite of [`Faults::beneath`].
    #[must_use]
    pub fn split_off(&mut self, place: &str) -> Self {
        let rest = |path: &str| path.strip_prefix(place).map(str::to_owned);
        let mut within =
            self.take_if(|path| rest(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])));
        for fault in &mut within.0 {
            fault.path = format!("${}", rest(&fault.path).unwrap_or_default());
        }
        within
    }

    /// Takes out the faults whose path `is_meant`.
    #[must_use]
    pub fn take_if(&mut self, is_meant: impl Fn(&str) -> bool) -> Self {
        let (taken, left) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|fault| is_meant(&fault.path));
        self.0 = left;
        Self(taken)
    }

    /// Adds faults. At each of their paths they replace the faults that were there.
    pub fn put_over(&mut self, others: &Self) {
        self.0.retain(|fault| !others.has(&fault.path));
        self.0.extend(others.0.iter().cloned());
        self.0.sort();
    }

    /// In the order of the paths.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// `Ok` if there are no faults, otherwise an [`ErrorKind::InvalidEvent`] that lists them, one on each line.
    pub fn into_result(self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let count = match self.0.len() {
            1 => "1 fault".to_owned(),
            n => format!("{n} faults"),
        };
        let mut lines = String::new();
        for (number, fault) in self.0.iter().enumerate() {
            let line = format!("\n  {}", shorten(&fault.to_string(), LINE));
            if lines.len() + line.len() > LISTED {
                lines.push_str(&format!("\n  and {} more", self.0.len() - number));
                break;
            }
            lines.push_str(&line);
        }
        Err(Error::new(
            ErrorKind::InvalidEvent,
            format!("the event has {count}; nothing was started. Correct it and send it again:{lines}"),
        ))
    }
}

/// The first `most` characters of a text.
fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let head: String = text.chars().take(most).collect();
    format!("{head}… ({} characters)", text.chars().count())
}

/// The path of a member of the object at `path`.
pub(crate) fn member_path(path: &str, name: &str) -> String {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    if name.starts_with(is_letter) && name.chars().all(|c| is_letter(c) || c.is_ascii_digit() || c == '-') {
        format!("{path}.{name}")
    } else {
        format!("{path}[{}]", quoted(name))
    }
}

/// A text as a JSON string.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_listed_once_in_order_of_path() {
        let mut faults = Faults::default();
        faults.add("$.detail.b", "2", "1");
        faults.add("$.detail.a", "\"x\"".repeat(100), "1");
        faults.add("$.detail.b", "2", "1");
        let error = faults.into_result().unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidEvent);
        let lines: Vec<_> = error.message.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].contains("2 faults"));
        assert!(lines[1].starts_with("  $.detail.a: found \"x\""));
        assert!(lines[1].contains("… (300 characters); 1"));
        assert_eq!(lines[2], "  $.detail.b: found 2; 1");
    }

    #[test]
    fn a_message_lists_no_more_than_a_state_can_hold() {
        let mut faults = Faults::default();
        for number in 0..1000 {
            faults.add(format!("$.detail.m{number:03}"), "2", "1");
        }
        let message = faults.into_result().unwrap_err().message;
        assert!(message.starts_with("the event has 1000 faults"), "{message}");
        assert!(message.len() < LISTED + 200, "{}", message.len());
        let listed = message.lines().filter(|line| line.ends_with("found 2; 1")).count();
        assert!(
            message.ends_with(&format!("\n  and {} more", 1000 - listed)),
            "{message}"
        );
    }

    #[test]
    fn a_name_of_any_length_fits_in_a_line() {
        let mut faults = Faults::default();
        faults.add(format!("$.detail.{}", "x".repeat(100_000)), "2", "1");
        let message = faults.into_result().unwrap_err().message;
        assert!(message.len() < 800, "{}", message.len());
        assert!(message.ends_with("… (100021 characters)"), "{message}");
    }

    #[test]
    fn faults_of_a_nested_document_get_its_path_in_front() {
        let mut faults = Faults::default();
        faults.add("$.Kind", "2", "1");
        faults.add("$", "3", "1");
        let paths: Vec<_> = faults
            .beneath("line 4: $")
            .iter()
            .map(|fault| fault.path.clone())
            .collect();
        assert_eq!(paths, ["line 4: $", "line 4: $.Kind"]);
    }

    #[test]
    fn the_faults_below_a_path_can_be_split_off() {
        let mut faults = Faults::default();
        for path in ["$", "$.event", "$.event.a", "$.event[0]", "$.events", "$.error"] {
            faults.add(path, "2", "1");
        }
        let within: Vec<_> = faults
            .split_off("$.event")
            .0
            .into_iter()
            .map(|fault| fault.path)
            .collect();
        assert_eq!(within, ["$", "$.a", "$[0]"]);
        let others: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(others, ["$", "$.error", "$.events"]);
    }

    #[test]
    fn one_list_of_faults_can_replace_another_at_the_same_paths() {
        let mut faults = Faults::default();
        faults.add("$.a", "2", "1");
        faults.add("$.c", "2", "1");
        let mut others = Faults::default();
        others.add("$.b", "3", "1");
        others.add("$.c", "3", "1");
        faults.put_over(&others);
        let found: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["$.a: found 2; 1", "$.b: found 3; 1", "$.c: found 3; 1"]);
    }

    #[test]
    fn without_a_fault_there_is_no_error() {
        assert_eq!(Faults::default().into_result(), Ok(()));
    }
}
