//! What is shown: progress on stderr, the result on stdout.
//!
//! What must stay true: a program that reads JSON reads no progress. If the reader closes the pipe, this is no error.
#![allow(clippy::print_stderr)]

use std::{
    io::{ErrorKind, IsTerminal, Write},
    path::Path,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use landfall::job::Level;

use crate::present::{self, Layout, Paint, Tone};

/// Prints a result, the last thing on stdout. If the reader has closed the pipe, it has read enough.
pub fn print(result: &str) -> Result<()> {
    match writeln!(std::io::stdout().lock(), "{result}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("cannot write the result"),
        _ => Ok(()),
    }
}

/// How a result is laid out on stdout.
pub fn layout(all: bool) -> Layout {
    let is_terminal = std::io::stdout().is_terminal();
    Layout::new(Paint(colours(is_terminal)), is_terminal, all)
}

/// Whether colours are shown: on a terminal, unless `NO_COLOR` is set.
pub fn colours(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A path, relative to the current directory if it lies there.
pub fn relative(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// Progress on stderr: lines, and on a terminal a last line that is drawn again and again.
pub struct Screen {
    /// Its colours.
    pub paint: Paint,
    quiet: bool,
    bar: Mutex<Option<ProgressBar>>,
}

impl Screen {
    /// Quiet if a program reads JSON.
    pub fn new(json: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = is_terminal.then(|| {
            let style =
                ProgressStyle::with_template("  {spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = ProgressBar::new_spinner().with_style(style);
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            paint: Paint(colours(is_terminal)),
            // Progress is for people, and nobody looks on.
            quiet: json && !is_terminal,
            bar: Mutex::new(bar),
        }
    }

    /// A line above the lines that follow.
    pub fn heading(&self, text: &str) {
        self.line("");
        self.line(&self.paint.paint(Tone::Strong, text));
    }

    /// A line that stays.
    pub fn line(&self, line: &str) {
        if self.quiet {
            return;
        }
        match &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Shows what is being done, until the next call.
    pub fn doing(&self, text: &str) {
        if let Some(bar) = &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            bar.set_message(text.to_owned());
        }
    }

    /// Shows nothing as being done.
    pub fn rest(&self) {
        self.doing("");
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bar.finish_and_clear();
        }
    }
}

/// How far a verification is, on stderr: a bar on a terminal, otherwise a line now and then.
pub struct Meter {
    level: Level,
    bar: Option<ProgressBar>,
    quiet: bool,
    /// When a byte was first seen to have been read.
    reading: Option<Instant>,
}

impl Meter {
    /// For a verification at this level. Quiet if a program reads JSON.
    pub fn new(json: bool, level: Level) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let bar = is_terminal.then(|| {
            let template = if colours(true) {
                "  {bar:12.cyan/dim} {wide_msg}"
            } else {
                "  {bar:12} {wide_msg}"
            };
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
        });
        Self {
            level,
            bar,
            quiet: json,
            reading: None,
        }
    }

    /// How often to show it.
    pub fn every(&self) -> Duration {
        if self.bar.is_some() {
            Duration::from_millis(120)
        } else {
            Duration::from_secs(5)
        }
    }

    /// Shows the numbers of [`crate::verify::Progress::now`].
    pub fn show(&mut self, numbers: [u64; 4]) {
        let [objects, of_objects, read, of_bytes] = numbers;
        let since = if read > 0 {
            self.reading.get_or_insert_with(Instant::now).elapsed()
        } else {
            Duration::ZERO
        };
        let line = present::verifying(numbers, self.level, since);
        match &self.bar {
            Some(bar) => {
                let (done, all) = match self.level {
                    Level::Full => (read, of_bytes),
                    Level::Listing | Level::Structure => (objects, of_objects),
                };
                bar.set_length(all);
                bar.set_position(done);
                bar.set_message(line);
            }
            None if !self.quiet && of_objects > 0 => eprintln!("  {line}"),
            None => {}
        }
    }

    /// Removes the bar from the terminal.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.end();
    }
}

/// How many of how many are done, on stderr if that is a terminal.
pub struct Counter(Option<ProgressBar>);

impl Counter {
    /// Counts things that `what` names. Quiet if a program reads JSON.
    pub fn new(json: bool, what: &'static str) -> Self {
        let is_shown = std::io::stderr().is_terminal() && !json;
        Self(is_shown.then(|| {
            let template = format!("  {{bar:12}} {{human_pos}} of {{human_len}} {what}");
            let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
        }))
    }

    /// Shows how many are done.
    pub fn show(&self, done: usize, all: usize) {
        if let Some(bar) = &self.0 {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        }
    }

    /// Removes the counter from the terminal.
    pub fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.end();
    }
}
