//! The steps of an execution as lines.
//!
//! What must stay true: each line is told once, when it is complete. Times never go back.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use landfall::error::ErrorKind;
use serde_json::Value;

use super::{
    paint::{Paint, Tone},
    words::{amounts, counted, grouped, ordinal, span, text, times},
};
use crate::steps::{Step, What};

/// One line of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How long after the execution began.
    pub since: Duration,
    /// The state.
    pub state: String,
    /// What became of it.
    pub text: String,
    /// How the text is meant.
    pub tone: Tone,
    /// The state that was chosen next.
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

/// Turns steps into lines. A state's line is shown when the state has been left and the next one is known. An error's
/// line is shown at once. Of waits and polls only those with news are shown, and at the end how many there were.
#[derive(Clone, Debug, Default)]
pub struct Narrator {
    /// Whether every wait and every poll is shown.
    all: bool,
    begun: Option<DateTime<Utc>>,
    inputs: BTreeMap<String, (Value, DateTime<Utc>)>,
    held: Option<Held>,
    now: Option<String>,
    line: Option<InLine>,
    polls: Polls,
}

/// A line that is shown when the next state is known.
#[derive(Clone, Debug)]
struct Held {
    line: Line,
    /// The status that the service gave, if the state was a poll.
    status: Option<String>,
}

/// The polls of a job so far.
#[derive(Clone, Debug, Default)]
struct Polls {
    count: u32,
    /// The shortest and the longest wait, in seconds.
    waits: Option<(u64, u64)>,
    /// The status that was shown last.
    shown: Option<String>,
}

impl Polls {
    fn wait(&mut self, seconds: u64) {
        let (shortest, longest) = self.waits.unwrap_or((seconds, seconds));
        self.waits = Some((shortest.min(seconds), longest.max(seconds)));
    }

    /// How many polls there were, if there were several.
    fn words(&self) -> String {
        let waits = match self.waits {
            Some((shortest, longest)) if shortest < longest => format!(", every {shortest} to {longest} s"),
            Some((shortest, _)) => format!(", every {shortest} s"),
            None => String::new(),
        };
        if self.count > 1 {
            format!("  ({}{waits})", counted(self.count.into(), "poll"))
        } else {
            String::new()
        }
    }
}

/// A job that waits in line.
#[derive(Clone, Debug)]
struct InLine {
    since: DateTime<Utc>,
    /// When it asked last.
    until: DateTime<Utc>,
    /// The reason for waiting that was told last.
    why: String,
    asked: u32,
}

impl Narrator {
    /// A narrator that shows every wait and every poll (`all`), or only news.
    pub fn new(all: bool) -> Self {
        Self { all, ..Self::default() }
    }

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
                // A choice is told by the state that it chose.
                if state_type != "Choice"
                    && let Some(mut held) = self.held.take()
                {
                    held.line.next = Some(step.state.clone());
                    lines.extend(self.unless_repeated(held, state_type == "Wait"));
                }
                if state_type == "Wait" {
                    let seconds = input["wait_seconds"].as_u64();
                    if let Some(seconds) = seconds {
                        self.polls.wait(seconds);
                    }
                    if self.all {
                        lines.push(line(
                            seconds.map_or_else(String::new, |seconds| format!("{seconds} s")),
                            Tone::Faint,
                        ));
                    }
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
                // Asking again often brings the same answer.
                let first = message.lines().next().unwrap_or_default();
                if in_line.why != first {
                    first.clone_into(&mut in_line.why);
                    lines.push(line(format!("waits: {first}"), Tone::Warning));
                }
            }
            What::TaskFailed { error, message } => {
                lines.extend(self.out_of_line(step));
                let first = message.lines().next().unwrap_or_default();
                // The next line has its own time, so that times never go back.
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
                    let (text, tone) = result(&step.state, &input, output, step.at);
                    let status = is_poll(&input, output).then(|| status(output).to_owned());
                    self.held = Some(Held {
                        line: Line {
                            since: since(entered),
                            ..line(text, tone)
                        },
                        status,
                    });
                }
            }
            What::Ended { .. } => {
                if let Some(held) = self.held.take() {
                    lines.extend(self.unless_repeated(held, false));
                }
                self.now = None;
            }
        }
        lines
    }

    /// The line, unless a poll gave the same status as the poll before and the job waits again.
    fn unless_repeated(&mut self, held: Held, waits: bool) -> Option<Line> {
        let Held { mut line, status } = held;
        let Some(status) = status else { return Some(line) };
        self.polls.count += 1;
        if self.all {
            return Some(line);
        }
        if waits {
            let is_news = self.polls.shown.as_ref() != Some(&status);
            self.polls.shown = Some(status);
            return is_news.then_some(line);
        }
        line.text.push_str(&std::mem::take(&mut self.polls).words());
        Some(line)
    }

    /// How long a job waited in line that does not wait any more.
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

    /// What is going on now, for the line that is drawn again and again.
    pub fn now(&self) -> Option<&str> {
        self.now.as_deref()
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
fn result(state: &str, input: &Value, output: &Value, at: DateTime<Utc>) -> (String, Tone) {
    let is_new = |member: &str| is_new(input, output, member);
    if is_new("outcome") {
        let verdict = text(&output["outcome"]["verdict"]);
        return match output["outcome"]["error"]["Error"].as_str() {
            Some(error) => (format!("{verdict}: {error}"), Tone::Bad),
            None => (verdict, Tone::Good),
        };
    }
    if is_new("verifying") {
        let slices = output["verifying"]["slices"].as_u64().unwrap_or_default();
        let concurrency = output["verifying"]["concurrency"].as_u64().unwrap_or_default();
        let text = format!("too much at once: {} slices, {concurrency} at a time", grouped(slices));
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
    if is_poll(input, output) {
        let status = status(output);
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
            (_, Some(true)) => format!("adopted {id}{}", deadline(output, at)),
            _ => format!("started {id}{}", deadline(output, at)),
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

fn is_new(input: &Value, output: &Value, member: &str) -> bool {
    !output[member].is_null() && output[member] != input[member]
}

fn is_poll(input: &Value, output: &Value) -> bool {
    is_new(input, output, "polls") && !input["polls"].is_null()
}

fn status(polled: &Value) -> &str {
    polled["service_status"].as_str().unwrap_or("no news")
}

/// How long until the job's deadline.
fn deadline(job: &Value, now: DateTime<Utc>) -> String {
    let deadline = job["deadline_at"]
        .as_str()
        .and_then(|at| at.parse::<DateTime<Utc>>().ok());
    deadline.map_or_else(String::new, |at| {
        format!(", deadline in {}", span((at - now).to_std().unwrap_or_default()))
    })
}

/// What a batch is going to run.
fn planned(batch: &Value) -> String {
    let number = |name: &str| batch[name].as_u64().unwrap_or_default();
    let round = number("round");
    if round > 1 {
        return format!(
            "some have no outcome: they are run again, {}",
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

pub(super) fn progress(job: &Value) -> Option<String> {
    let done = job["progress"]["done"].as_u64()?;
    let total = job["progress"]["total"].as_u64()?;
    let share = done.min(total) * 100 / total.max(1);
    Some(format!("{} of {} ({share}%)", grouped(done), grouped(total)))
}
