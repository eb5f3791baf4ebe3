//! The timeline of a run, for people and for the promises.
//!
//! What must stay true: what only people read costs nothing unless they ask for it.

use std::{
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::time::Timeline;

#[derive(Debug)]
pub struct Log {
    timeline: Timeline,
    /// `None` if nobody wants to read the timeline.
    lines: Option<Mutex<Vec<Line>>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub at: Duration,
    /// The number of the delivery that did it; `None` for the world.
    pub delivery: Option<usize>,
    pub text: String,
}

impl Log {
    /// A log that records lines only if `is_kept`.
    pub fn new(timeline: Timeline, is_kept: bool) -> Self {
        Self {
            timeline,
            lines: is_kept.then(Mutex::default),
        }
    }

    /// Adds a line about a delivery.
    pub fn tell(&self, delivery: usize, text: impl FnOnce() -> String) {
        self.add(Some(delivery), text);
    }

    /// Adds a line about the world.
    pub fn tell_of_world(&self, text: impl FnOnce() -> String) {
        self.add(None, text);
    }

    fn add(&self, delivery: Option<usize>, text: impl FnOnce() -> String) {
        if let Some(mut lines) = self.lines() {
            lines.push(Line {
                at: self.timeline.elapsed(),
                delivery,
                text: text(),
            });
        }
    }

    /// Takes all lines so far.
    pub fn take(&self) -> Vec<Line> {
        self.lines()
            .map(|mut lines| std::mem::take(&mut *lines))
            .unwrap_or_default()
    }

    fn lines(&self) -> Option<MutexGuard<'_, Vec<Line>>> {
        let lines = self.lines.as_ref()?;
        Some(lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Formats lines for people.
pub fn readable(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let who = line
            .delivery
            .map_or("world".to_owned(), |delivery| format!("#{delivery}"));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:>10.3} s  {who:<5}  {}", line.at.as_secs_f64(), line.text);
    }
    text
}
