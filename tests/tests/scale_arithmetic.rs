//! Computes the tables of docs/scale.md again from its constants.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::cast_precision_loss)]

use std::fmt::Write;

use anyhow::{Context, Result};
use landfall::{
    config::Config,
    cost::{ARM64_GB_SECOND_USD, Usage, X86_64_GB_SECOND_USD},
    slices::{MAX_BYTES, MAX_OBJECTS, MAX_SECONDS, MAX_SLICES, TRANSITIONS, TRANSITIONS_OF_ROUND, TRANSITIONS_OF_TURN},
    store::upload::PART,
};
use landfall_output::verify::Limits;
use serde_json::Value;

const MB: u64 = 1_000_000;
const GB: u64 = 1_000 * MB;
const TB: u64 = 1_000 * GB;

// What the program does:

/// Bytes of one read of an object: 16 MiB.
const RANGE: u64 = 16 << 20;
/// Keys of a page of a listing.
const PAGE: u64 = 1_000;
/// Listings: one before the slices, one after them, which must agree.
const LISTINGS: u64 = 2;
/// Writes for a slice: its part of the plan, and its findings.
const PUTS_OF_SLICE: u64 = 2;
/// Reads for a slice: the plan, its part of it, its progress, and its findings during the merge.
const GETS_OF_SLICE: u64 = 4;
/// Bytes of an object in the report and in the list of objects beside the receipt.
const LINE: u64 = 400;
/// Documents with a line for each object, each written once: the report, and the list of objects.
const LISTS: u64 = 2;
/// Memory of verify-output.
const MEMORY_MB: u64 = 1_769;
/// How long an invocation of 900 seconds works before it stops in time.
const WORKING_SECONDS: u64 = 840;

// What is assumed here and measured elsewhere:

/// The time for an object besides its bytes: two requests that run beside those of other objects.
const OBJECT_SECONDS: f64 = 0.01;
/// A page of a listing.
const PAGE_SECONDS: f64 = 0.15;

#[derive(Clone, Copy)]
struct Case {
    objects: u64,
    size: u64,
}

const CASES: [Case; 5] = [
    Case {
        objects: 1_000,
        size: 10 * MB,
    },
    Case {
        objects: 20_000,
        size: MB,
    },
    Case {
        objects: 1_000_000,
        size: 10 * MB,
    },
    Case {
        objects: 1_000,
        size: 10 * GB,
    },
    Case {
        objects: 10_000_000,
        size: MB,
    },
];

impl Case {
    fn bytes(self) -> u64 {
        self.objects * self.size
    }

    fn objects_of_slice(self) -> u64 {
        (MAX_BYTES / self.size).clamp(1, MAX_OBJECTS)
    }

    fn slices(self) -> u64 {
        self.objects.div_ceil(self.objects_of_slice())
    }

    /// Work that fits in one slice needs no state machine.
    fn is_split(self) -> bool {
        self.slices() > 1
    }

    fn pages(self) -> u64 {
        self.objects.div_ceil(PAGE)
    }

    /// Seconds of one slice.
    fn slice_seconds(self, rate: u64) -> f64 {
        let objects = self.objects_of_slice().min(self.objects);
        (objects * self.size) as f64 / (rate * MB) as f64 + objects as f64 * OBJECT_SECONDS
    }

    /// Invocations of one slice.
    fn turns(self, rate: u64) -> u64 {
        (self.slice_seconds(rate) / WORKING_SECONDS as f64).ceil().max(1.0) as u64
    }

    /// The invocations that plan and merge, and those of the slices.
    fn invocations(self, rate: u64) -> u64 {
        if self.is_split() {
            2 + self.slices() * self.turns(rate)
        } else {
            self.turns(rate)
        }
    }

    /// Verify and Verified, one round of slices, and the turns of each slice.
    fn transitions(self, rate: u64) -> u64 {
        let of_slices = if self.is_split() {
            TRANSITIONS_OF_ROUND + self.slices() * (TRANSITIONS + TRANSITIONS_OF_TURN * self.turns(rate))
        } else {
            0
        };
        2 + of_slices
    }

    fn listings(self) -> u64 {
        LISTINGS
    }

    fn lists(self) -> u64 {
        self.listings() * self.pages()
    }

    /// Parts of the report and of the list of objects.
    fn parts(self) -> u64 {
        LISTS * (self.objects * LINE).div_ceil(PART as u64)
    }

    fn reads(self) -> u64 {
        let of_slices = if self.is_split() {
            self.slices() * GETS_OF_SLICE
        } else {
            0
        };
        self.objects * (1 + self.size.div_ceil(RANGE)) + of_slices + 1
    }

    fn writes(self, rate: u64) -> u64 {
        let of_slices = if self.is_split() {
            1 + self.slices() * (PUTS_OF_SLICE - 1 + self.turns(rate))
        } else {
            0
        };
        of_slices + self.parts()
    }

    fn listing_seconds(self) -> f64 {
        self.lists() as f64 * PAGE_SECONDS
    }

    /// The time from the first listing to the merged report.
    fn seconds(self, rate: u64, concurrency: u64) -> f64 {
        let waves = self.slices().div_ceil(concurrency);
        self.listing_seconds() + waves as f64 * self.slice_seconds(rate)
    }

    fn gb_seconds(self, rate: u64) -> f64 {
        let busy = self.bytes() as f64 / (rate * MB) as f64 + self.objects as f64 * OBJECT_SECONDS;
        (self.listing_seconds() + busy) * MEMORY_MB as f64 / 1024.0
    }

    fn usd_besides_compute(self, rate: u64) -> f64 {
        let usage = Usage {
            state_transitions: self.transitions(rate),
            invocations: self.invocations(rate),
            reads: self.reads(),
            writes: self.lists() + self.writes(rate),
        };
        usage.usd()
    }

    fn usd(self, rate: u64, gb_second: f64) -> f64 {
        self.gb_seconds(rate) * gb_second + self.usd_besides_compute(rate)
    }

    fn name(self) -> String {
        format!(
            "{} × {} = {}",
            grouped(self.objects),
            size(self.size),
            size(self.bytes())
        )
    }
}

fn grouped(n: u64) -> String {
    landfall_local::present::grouped(n)
}

fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= TB => format!("{} TB", bytes / TB),
        bytes if bytes >= GB => format!("{} GB", bytes / GB),
        bytes => format!("{} MB", bytes / MB),
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

fn dollars(usd: f64) -> String {
    if usd < 0.1 {
        format!("${usd:.3}")
    } else {
        format!("${usd:.2}")
    }
}

/// The rates of the tables, in MB a second for one invocation.
const RATES: [u64; 2] = [60, 75];

fn counts() -> String {
    let mut text = String::from(
        "| output | slices | invocations | state transitions | S3 HEAD and GET | S3 LIST | S3 PUT |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for case in CASES {
        let rate = RATES[0];
        let slices = if case.is_split() {
            grouped(case.slices())
        } else {
            "none".to_owned()
        };
        writeln!(
            text,
            "| {} | {slices} | {} | {} | {} | {} | {} |",
            case.name(),
            grouped(case.invocations(rate)),
            grouped(case.transitions(rate)),
            grouped(case.reads()),
            grouped(case.lists()),
            grouped(case.writes(rate)),
        )
        .unwrap();
    }
    text
}

fn times(usual: u64) -> String {
    let many = 10 * usual;
    let mut text = format!(
        "| output | MB/s | a slice | {usual} at a time | {many} at a time | cost, arm64 | cost, x86_64 |\n\
         |---|---|---|---|---|---|---|\n"
    );
    for case in CASES {
        for rate in RATES {
            writeln!(
                text,
                "| {} | {rate} | {} | {} | {} | {} | {} |",
                case.name(),
                duration(case.slice_seconds(rate)),
                duration(case.seconds(rate, usual)),
                duration(case.seconds(rate, many)),
                dollars(case.usd(rate, ARM64_GB_SECOND_USD)),
                dollars(case.usd(rate, X86_64_GB_SECOND_USD)),
            )
            .unwrap();
        }
    }
    text
}

fn documented(name: &str) -> Result<String> {
    let page = include_str!("../../docs/scale.md");
    let begin = format!("<!-- computed: {name} -->\n");
    let (_, rest) = page.split_once(&begin).with_context(|| format!("no {begin}"))?;
    let (table, _) = rest.split_once("<!-- end -->").context("no end")?;
    Ok(table.to_owned())
}

fn usual_concurrency() -> Result<u64> {
    let config = Config::read(|name| (name == "LANDFALL_LEDGER_BUCKET").then(|| "ledger".to_owned()));
    Ok(config.map_err(|error| anyhow::anyhow!("{error:?}"))?.verify_concurrency)
}

#[test]
fn the_page_shows_the_computed_numbers() -> Result<()> {
    let tables = [("counts", counts()), ("times", times(usual_concurrency()?))];
    let mut wrong = String::new();
    for (name, table) in tables {
        if documented(name)? != table {
            writeln!(wrong, "{name}:\n{table}")?;
        }
    }
    assert!(wrong.is_empty(), "docs/scale.md should say\n{wrong}");
    Ok(())
}

/// The states from one state until another, or to the end. `chosen` says where choices lead.
fn path(states: &Value, from: &str, until: &str, chosen: &str) -> Vec<String> {
    let mut path = vec![from.to_owned()];
    while let Some(state) = path.last().map(|name| &states[name]) {
        let choices = state["Choices"].as_array().into_iter().flatten();
        let targets: Vec<&str> = choices
            .chain([state])
            .filter_map(|choice| choice["Next"].as_str().or(choice["Default"].as_str()))
            .collect();
        let next = targets.iter().find(|target| **target == chosen).or(targets.first());
        match next {
            Some(next) if *next != until && path.len() < 20 => path.push((*next).to_owned()),
            _ => break,
        }
    }
    path
}

/// The definition has as many transitions as the page and the receipts count.
#[test]
fn transitions_are_those_of_the_definition() -> Result<()> {
    let definition: Value = serde_json::from_str(include_str!("../../statemachine/export-job.asl.json"))?;
    let states = &definition["States"];
    let round = path(states, "VerifySlices", "Seal", "Seal");
    assert_eq!(round, ["VerifySlices", "Verify", "Verified"]);
    assert_eq!(round.len() as u64, TRANSITIONS_OF_ROUND);

    let slice = &states["VerifySlices"]["ItemProcessor"]["States"];
    let turn = path(slice, "Slice", "Slice", "Slice");
    assert_eq!(turn, ["Slice", "More"]);
    assert_eq!(turn.len() as u64, TRANSITIONS_OF_TURN);
    let whole = path(slice, "Slice", "", "SliceDone");
    assert_eq!(whole, ["Slice", "More", "SliceDone"]);
    // The start counts as a transition, too.
    assert_eq!(whole.len() as u64 + 1, TRANSITIONS + TRANSITIONS_OF_TURN);
    Ok(())
}

/// Each number in the page's sentences follows from the constants.
#[test]
fn the_sentences_of_the_page_have_the_computed_numbers() {
    let page = include_str!("../../docs/scale.md");
    let terabytes = (u128::from(MAX_SLICES) * u128::from(MAX_BYTES)) as f64 / TB as f64;
    let planned = (WORKING_SECONDS as f64 / PAGE_SECONDS * PAGE as f64) / 1e6;
    for sentence in [
        format!("at most {} data objects or 16 GiB", grouped(MAX_OBJECTS)),
        format!(
            "{} slices: {} objects, or {terabytes:.0} TB",
            grouped(MAX_SLICES),
            grouped(MAX_SLICES * MAX_OBJECTS)
        ),
        format!("about {planned:.1} million objects"),
        format!("{} days", MAX_SECONDS / 86_400),
        format!("({OBJECT_SECONDS} s an object)"),
        format!("({PAGE_SECONDS} s a page)"),
    ] {
        assert!(page.contains(&sentence), "{sentence}");
    }
    assert_eq!(MAX_BYTES, 16 << 30);
    assert_eq!(RANGE, Limits::default().range);
}

/// A slice has as many transitions in the definition as the constants say.
#[test]
fn a_slice_has_as_many_transitions_as_the_definition() -> Result<()> {
    let definition: Value = serde_json::from_str(include_str!("../../statemachine/export-job.asl.json"))?;
    let slice = &definition["States"]["VerifySlices"]["ItemProcessor"];
    let after = |state: &str, done: bool| {
        let state = &slice["States"][state];
        let next = match state["Choices"].as_array() {
            Some(choices) if done => &choices[0]["Next"],
            Some(_) => &state["Default"],
            None => &state["Next"],
        };
        next.as_str().map(str::to_owned)
    };
    let begin = slice["StartAt"].as_str().context("no begin")?.to_owned();
    // The start counts, too.
    let (mut transitions, mut state) = (1, Some(begin.clone()));
    while let Some(name) = state {
        transitions += 1;
        state = after(&name, true);
    }
    assert_eq!(transitions, TRANSITIONS + TRANSITIONS_OF_TURN);
    let (mut further, mut state) = (1, after(&begin, false));
    while state.as_ref().is_some_and(|name| *name != begin) {
        further += 1;
        state = state.and_then(|name| after(&name, false));
    }
    assert_eq!((further, state), (TRANSITIONS_OF_TURN, Some(begin)));
    Ok(())
}

/// At every rate, each case of the page is within the limits of the definition and the code.
#[test]
fn every_case_is_within_the_limits() {
    for case in CASES {
        assert!(case.slices() <= MAX_SLICES, "{}", case.name());
        for rate in RATES {
            assert_eq!(case.turns(rate), 1, "{}", case.name());
            assert!(case.seconds(rate, 20) < MAX_SECONDS as f64, "{}", case.name());
        }
    }
}
