//! The plan of a seed: the kind, the deliveries, the faults, the behaviour of the service and what others do to the
//! output.
//!
//! What must stay true: the plan holds everything that is drawn before a run, so that two runs of one plan are the
//! same.

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use serde_json::{Value, json};

use crate::{
    dice::Dice,
    faults::{Fault, Weather},
    kinds::{Character, Kind, with_options},
};

/// What someone else does to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meddling {
    None,
    /// Another file is put beside the data.
    Notes,
    /// Some time after it was written, a data object is overwritten with something else.
    Overwrite,
    /// Some time after it was written, a data object is deleted.
    Delete,
    /// Someone else's object is in place of the receipt.
    Receipt,
    /// Someone else's object is in place of the pointer.
    Pointer,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub kind: Kind,
    /// The trigger that picks up the job of the first trigger.
    pub pick_up: Option<usize>,
    /// How many jobs may run at a time; 0 means any number.
    pub max_running: u64,
    /// How many start calls a day the deployment allows; 0 means any number.
    pub max_starts_per_day: u64,
    pub weather: Weather,
    /// How the service behaves.
    pub character: Character,
    pub meddling: Meddling,
    /// Whether functions may go on after their time-out.
    pub stale: bool,
    pub deliveries: Vec<Delivery>,
    /// The deadline of the jobs.
    pub deadline: Duration,
    /// Seconds between the two listings of an output.
    pub settle: u64,
    /// Whether a job fails if the rows differ from the count of the service.
    pub strict: bool,
    /// Whether outputs are read in slices of one object.
    pub slices: bool,
    /// Breaks a rule of the world, so that a promise must be found broken.
    pub broken: Option<Broken>,
}

/// Breaks a rule of S3 or of the client. The promises must notice its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Broken {
    /// `If-None-Match` is ignored.
    IgnoresAbsent,
    /// `If-Match` is ignored.
    IgnoresMatch,
    /// Start calls are sent twice.
    StartsTwice,
}

#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its number in the plan of the seed, which selects its dice.
    pub number: u64,
    /// The number of the trigger, from 0.
    pub trigger: usize,
    pub at: Duration,
    /// The event, or the input that asks for a cancel.
    pub event: Value,
}

impl Delivery {
    /// Whether it cancels the job of its trigger.
    pub fn is_cancel(&self) -> bool {
        landfall::cancel::is_asked(&self.event)
    }
}

impl Plan {
    pub fn of(seed: u64) -> Result<Self> {
        let dice = Dice::of(seed, "plan", &[]);
        let kind = dice.pick(Kind::all()).clone();
        let stale = dice.chance(0.3);
        let weather = Weather::of(&Dice::of(seed, "weather", &[]), stale);
        let stall = Dice::of(seed, "stall", &[]);
        let is_stalled = stall.chance(0.08);
        let weather = if is_stalled { weather.stalled(&stall) } else { weather };
        let character = kind.character(&Dice::of(seed, "service", &[]));
        let meddling = match dice.chance(0.75) {
            true => Meddling::None,
            false => *dice.pick(&[
                Meddling::Notes,
                Meddling::Overwrite,
                Meddling::Delete,
                Meddling::Receipt,
                Meddling::Pointer,
            ]),
        };
        let triggers = *dice.pick(&[1, 1, 1, 1, 2, 2, 3]);
        let deadline = Duration::from_secs(*dice.pick(&[20, 120, 600, 600, 3600, 3600]));
        let deadline = match is_stalled {
            true => Duration::from_secs(*stall.pick(&[3600, 6 * 3600, 24 * 3600])),
            false => deadline,
        };
        // A job is polled a few times, in some runs often.
        let few = if dice.chance(0.06) { 40 } else { 4 };
        let longest = if character.may_succeed {
            character.duration
        } else {
            deadline
        };
        let poll = (longest.min(deadline).as_secs() / few)
            .max(*dice.pick(&[1, 5, 30]))
            .min(900);
        let settle = dice.number(0..7);
        let strict = dice.chance(0.5);
        let identity = *dice.pick(&["event", "schedule", "key"]);
        // Drawn with separate dice, so that the seeds of other kinds stay the same.
        let somebodys = kind.event_for_somebody(&Dice::of(seed, "reader", &[]))?;
        let mut deliveries = Vec::new();
        for trigger in 0..triggers {
            let first = dice.between(Duration::ZERO, Duration::from_secs(*dice.pick(&[0, 1, 60])));
            let count = *dice.pick(&[1, 2, 2, 2, 3]);
            for number in 0..count {
                let later = match (number, dice.number(0..4)) {
                    (0, _) => Duration::ZERO,
                    (_, 0) => dice.between(Duration::ZERO, Duration::from_millis(200)),
                    (_, 1) => dice.between(Duration::ZERO, Duration::from_secs(10)),
                    (_, 2) => dice.between(Duration::ZERO, Duration::from_secs(300)),
                    (_, _) => dice.between(Duration::ZERO, Duration::from_secs(7200)),
                };
                let mut options = json!({
                    "DeadlineSeconds": deadline.as_secs(),
                    "Poll": { "MinSeconds": poll, "MaxSeconds": (poll * 10).clamp(60, 3600) },
                });
                if kind.writes_output {
                    options["Verification"] =
                        json!({ "SettleSeconds": settle, "RowCount": if strict { "fail" } else { "warn" } });
                }
                let mut event = somebodys.clone();
                // The triggers differ as the days of a schedule do, as events do, or as reruns of one key do.
                match identity {
                    "schedule" => {
                        event["id"] = json!(format!("00000000-0000-4000-8000-{trigger:06}{number:06}"));
                        event["time"] = json!(format!("2026-10-01T04:{:02}:00Z", 10 + trigger));
                        event["resources"] = json!(["arn:aws:events:eu-central-1:111122223333:rule/nightly"]);
                    }
                    "key" => {
                        event["id"] = json!(format!("00000000-0000-4000-8000-{trigger:06}{number:06}"));
                        options["IdempotencyKey"] = json!("nightly");
                        if trigger > 0 {
                            options["Rerun"] = json!(trigger);
                        }
                    }
                    _ => event["id"] = json!(format!("00000000-0000-4000-8000-{trigger:012}")),
                }
                deliveries.push(Delivery {
                    number: deliveries.len() as u64,
                    trigger,
                    at: first + later,
                    event: with_options(event, options),
                });
            }
        }
        // The job of the first trigger is picked up at a time when it may have failed, whether or not it has.
        let mut pick_up = None;
        if dice.chance(0.2)
            && let Some(first) = deliveries.first().cloned()
        {
            let trigger = triggers;
            let picked = job_key(&kind, &first.event)?;
            let after = deadline + dice.between(Duration::ZERO, Duration::from_secs(3600));
            for number in 0..dice.number(1..3) {
                let mut event = first.event.clone();
                event["id"] = json!(format!("00000000-0000-4000-8000-{trigger:06}{number:06}"));
                let mut options = json!({ "PickUp": picked, "DeadlineSeconds": 900 });
                if kind.writes_output {
                    options["Verification"] = event["detail"]["Landfall"]["Verification"].clone();
                }
                deliveries.push(Delivery {
                    number: deliveries.len() as u64,
                    trigger,
                    at: first.at + after + dice.between(Duration::ZERO, Duration::from_secs(5)),
                    event: with_options(event, options),
                });
            }
            pick_up = Some(trigger);
        }
        let cancels = cancels(
            &kind,
            &Dice::of(seed, "cancel", &[]),
            &deliveries,
            longest.min(deadline),
        )?;
        deliveries.extend(cancels);
        Ok(Self {
            seed,
            kind,
            pick_up,
            max_running: *dice.pick(&[0, 0, 1, 2]),
            max_starts_per_day: *dice.pick(&[0, 0, 0, 2, 5]),
            weather,
            character,
            meddling,
            stale,
            deliveries,
            deadline,
            settle,
            strict,
            slices: dice.chance(0.15),
            broken: None,
        })
    }

    /// The plan in words.
    pub fn describe(&self) -> String {
        let Self {
            kind,
            weather,
            character,
            ..
        } = self;
        format!(
            "{} · {} · {} deliveries of {} triggers, {} of them cancels · jobs run {:?} and are given up after {:?} · {} rows in {} files · \
             somebody else: {:?}{}\nfaults {:?} at {} a call, mishaps {:?} at {} an invocation, at most {}, until {:?}; \
             calls take up to {:?}, clocks are off by up to {:?}{}{}{}",
            kind.name,
            character.scenario,
            self.deliveries.len(),
            self.triggers(),
            self.deliveries.iter().filter(|delivery| delivery.is_cancel()).count(),
            character.duration,
            self.deadline,
            character.rows,
            character.files,
            self.meddling,
            if self.slices { " · in slices" } else { "" },
            weather.faults,
            weather.rate,
            weather.mishaps,
            weather.mishap_rate,
            weather.budget,
            weather.until,
            weather.latency * 2,
            weather.skew,
            if self.stale {
                "; functions may outlast their time"
            } else {
                ""
            },
            match &weather.outage {
                Some(outage) if outage.fault == Fault::NeverLeft => format!(
                    "; the service cannot be reached from {:?} to {:?}",
                    outage.from, outage.until
                ),
                Some(outage) if outage.of_s3 => format!("; S3 is out from {:?} to {:?}", outage.from, outage.until),
                Some(outage) => format!("; the service is out from {:?} to {:?}", outage.from, outage.until),
                None => String::new(),
            },
            match &weather.stall {
                Some(stall) => format!(
                    "; polls are stalled by {:?} from {:?} to {:?}",
                    stall.by, stall.from, stall.until
                ),
                None => String::new(),
            },
        )
    }

    pub fn job_keys(&self) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        for trigger in 0..self.triggers() {
            let mut deliveries = self.deliveries.iter();
            let delivery = deliveries.find(|delivery| delivery.trigger == trigger && !delivery.is_cancel());
            keys.push(job_key(
                &self.kind,
                &delivery.context("a trigger without delivery")?.event,
            )?);
        }
        Ok(keys)
    }

    pub fn triggers(&self) -> usize {
        self.deliveries
            .iter()
            .map(|delivery| delivery.trigger + 1)
            .max()
            .unwrap_or_default()
    }
}

/// The key of the job that an event asks for.
fn job_key(kind: &Kind, event: &Value) -> Result<String> {
    let identified = landfall::trigger::identify(&landfall::job::Kind::new(kind.name), event);
    Ok(identified.map_err(|error| anyhow::anyhow!(error.message))?.job_key)
}

/// Draws cancels, in some runs: of jobs that wait, run, begin or end, more than once, and of jobs that do not exist
/// yet.
fn cancels(kind: &Kind, dice: &Dice, deliveries: &[Delivery], longest: Duration) -> Result<Vec<Delivery>> {
    let mut cancels = Vec::new();
    if !dice.chance(0.3) {
        return Ok(cancels);
    }
    for number in 0..*dice.pick(&[1, 1, 2, 3]) {
        let cancelled = dice.pick(deliveries);
        let most = *dice.pick(&[Duration::from_secs(2), Duration::from_secs(20), longest, longest * 2]);
        cancels.push(Delivery {
            number: deliveries.len() as u64 + number,
            trigger: cancelled.trigger,
            at: cancelled.at + dice.between(Duration::ZERO, most),
            event: json!({ "cancel": { "job_key": job_key(kind, &cancelled.event)? } }),
        });
    }
    Ok(cancels)
}
