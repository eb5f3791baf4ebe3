//! What happened, for people and for the promises.
//!
//! What must stay true: what is only for people costs nothing unless it is asked for.

use std::{
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::time::Timeline;

/// The timeline of a run.
#[derive(Debug)]
pub struct Log {
    timeline: Timeline,
    /// `None` if nobody wants to read it.
    lines: Option<Mutex<Vec<Line>>>,
}

/// One line of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Duration,
    /// Whose: the number of a delivery.
    pub delivery: Option<usize>,
    /// What.
    pub text: String,
}

impl Log {
    /// A log that is kept or not.
    pub fn new(timeline: Timeline, is_kept: bool) -> Self {
        Self {
            timeline,
            lines: is_kept.then(Mutex::default),
        }
    }

    /// Tells what a delivery does.
    pub fn tell(&self, delivery: usize, text: impl FnOnce() -> String) {
        self.add(Some(delivery), text);
    }

    /// Tells what the world does.
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

    /// All lines so far.
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

/// Lines as people read them.
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
