//! The numbers of a report.
//!
//! What must stay true: they are a pure function of the jobs and the time. Runs of the same request are one line, known
//! by the request's hash. A request is called late only if it came regularly before.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use crate::{
    cost::Cost,
    jobs::{Row, Status, Totals},
};

/// How many runs of a request it takes to know its rhythm.
const RHYTHM: usize = 4;

/// The jobs of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// How many were sealed as a success.
    pub succeeded: u32,
    /// How many failed, were aborted or are not sealed.
    pub failed: u32,
    /// How many go on.
    pub open: u32,
}

/// The runs of one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What it is called.
    pub label: String,
    /// The kind.
    pub kind: String,
    /// How many runs there were.
    pub runs: usize,
    /// How many of them succeeded.
    pub succeeded: usize,
    /// The rows of each success, oldest first.
    pub rows: Vec<(DateTime<Utc>, u64)>,
    /// How many seconds each success took, oldest first.
    pub took: Vec<(DateTime<Utc>, f64)>,
    /// The median of these seconds.
    pub median_seconds: Option<f64>,
    /// The longest time from a trigger to the claim of its job, in seconds.
    pub longest_delay: f64,
    /// How much more or fewer rows the last success has than the one before, in percent.
    pub change: Option<f64>,
    /// What its sealed runs cost.
    pub cost: Cost,
}

/// Something that is late.
#[derive(Clone, Debug, PartialEq)]
pub struct Late {
    /// What it is called.
    pub label: String,
    /// The kind.
    pub kind: String,
    /// Why it is called late.
    pub why: String,
}

/// The numbers of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Digest {
    /// Jobs that began at this time or later.
    pub since: DateTime<Utc>,
    /// Jobs until this time.
    pub until: DateTime<Utc>,
    /// The sums over all jobs.
    pub totals: Totals,
    /// Every day of the period, including days without a job.
    pub days: BTreeMap<NaiveDate, Day>,
    /// The requests, most rows first.
    pub requests: Vec<Request>,
    /// The jobs that somebody has to look at, newest first.
    pub failures: Vec<Row>,
    /// How often each check failed.
    pub failed_checks: BTreeMap<String, u32>,
    /// What is late.
    pub late: Vec<Late>,
    /// Jobs and cost by kind.
    pub kinds: BTreeMap<String, (usize, Cost)>,
    /// What could not be looked at, and why.
    pub notes: Vec<String>,
}

impl Digest {
    /// From jobs, newest first. `checks` holds the name of each failed check once for each job.
    pub fn of(rows: &[Row], checks: &[String], since: DateTime<Utc>, until: DateTime<Utc>, notes: Vec<String>) -> Self {
        let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
        let mut day = since.date_naive();
        while day <= until.date_naive() {
            days.insert(day, Day::default());
            match day.succ_opt() {
                Some(next) => day = next,
                None => break,
            }
        }
        let mut kinds: BTreeMap<String, (usize, Cost)> = BTreeMap::new();
        for row in rows {
            let day = days.entry(row.began_at.date_naive()).or_default();
            match row.status {
                Status::Succeeded => day.succeeded += 1,
                status if status.is_bad() => day.failed += 1,
                _ => day.open += 1,
            }
            let (jobs, cost) = kinds.entry(row.kind.clone()).or_default();
            *jobs += 1;
            *cost = Cost::sum([*cost, row.cost.unwrap_or_default()].into_iter());
        }
        let mut failed_checks = BTreeMap::new();
        for check in checks {
            *failed_checks.entry(check.clone()).or_default() += 1;
        }
        let (requests, late) = requests(rows, until);
        Self {
            since,
            until,
            totals: Totals::of(rows),
            days,
            requests,
            failures: rows.iter().filter(|row| row.status.is_bad()).cloned().collect(),
            failed_checks,
            late,
            kinds,
            notes,
        }
    }
}

fn requests(rows: &[Row], until: DateTime<Utc>) -> (Vec<Request>, Vec<Late>) {
    let mut groups: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().rev().filter(|row| !row.request_sha256.is_empty()) {
        // A rejected event has the hash of the whole event, not of a request.
        if !row.job_key.starts_with("rejected-") {
            groups.entry(&row.request_sha256).or_default().push(row);
        }
    }
    let mut requests: Vec<Request> = groups.values().filter_map(|rows| request(rows)).collect();
    let newest = |request: &Request| request.rows.last().map_or(0, |(_, rows)| *rows);
    requests.sort_by(|a, b| newest(b).cmp(&newest(a)).then_with(|| a.label.cmp(&b.label)));
    let mut late: Vec<Late> = groups.values().filter_map(|rows| overdue(rows, until)).collect();
    late.extend(rows.iter().filter_map(|row| dragging(row, until)));
    (requests, late)
}

#[allow(clippy::cast_precision_loss)]
fn request(rows: &[&Row]) -> Option<Request> {
    let last = rows.last()?;
    let successes = || rows.iter().filter(|row| row.status == Status::Succeeded);
    let counted: Vec<_> = successes().filter_map(|row| Some((row.began_at, row.rows?))).collect();
    let took: Vec<_> = successes().map(|row| (row.began_at, row.seconds)).collect();
    let change = match counted.as_slice() {
        [.., (_, before), (_, now)] if *before > 0 => Some((*now as f64 - *before as f64) / *before as f64 * 100.0),
        _ => None,
    };
    let delay = |row: &&&Row| (row.began_at - row.triggered_at).num_milliseconds().max(0) as f64 / 1_000.0;
    Some(Request {
        label: last.label().to_owned(),
        kind: last.kind.clone(),
        runs: rows.len(),
        succeeded: successes().count(),
        median_seconds: median(took.iter().map(|(_, seconds)| *seconds).collect()),
        longest_delay: rows.iter().map(|row| delay(&row)).fold(0.0, f64::max),
        rows: counted,
        took,
        change,
        cost: Cost::sum(rows.iter().filter_map(|row| row.cost)),
    })
}

/// Says so if a request that came regularly did not come again.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
fn overdue(rows: &[&Row], until: DateTime<Utc>) -> Option<Late> {
    let times: BTreeSet<DateTime<Utc>> = rows.iter().map(|row| row.triggered_at).collect();
    if times.len() < RHYTHM {
        return None;
    }
    let times: Vec<_> = times.into_iter().collect();
    let gaps = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).num_seconds() as f64)
        .collect();
    let gap = median(gaps).filter(|gap| *gap >= 600.0)?;
    let last = times.last()?;
    let due = *last + TimeDelta::seconds(gap as i64);
    let by = until - due;
    if by.num_seconds() as f64 <= gap / 2.0 {
        return None;
    }
    let row = rows.last()?;
    Some(Late {
        label: row.label().to_owned(),
        kind: row.kind.clone(),
        why: format!(
            "was triggered every {} and last at {}: the next one is missing since {}",
            words(gap),
            last.format("%Y-%m-%d %H:%M"),
            due.format("%Y-%m-%d %H:%M")
        ),
    })
}

/// Says so if an open job has used more than half of its time.
#[allow(clippy::cast_precision_loss)]
fn dragging(row: &Row, until: DateTime<Utc>) -> Option<Late> {
    let deadline = row.deadline_at.filter(|_| row.status.is_open())?;
    let all = (deadline - row.began_at).num_seconds() as f64;
    (row.seconds > all / 2.0).then(|| Late {
        label: row.label().to_owned(),
        kind: row.kind.clone(),
        why: format!(
            "is {} since {}, and is given up in {}",
            row.status.name(),
            words(row.seconds),
            words((deadline - until).num_seconds().max(0) as f64)
        ),
    })
}

fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    match numbers.len() {
        0 => None,
        n if n.is_multiple_of(2) => Some(f64::midpoint(numbers[n / 2 - 1], numbers[n / 2])),
        n => Some(numbers[n / 2]),
    }
}

/// About how long.
pub(super) fn words(seconds: f64) -> String {
    match seconds {
        ..100.0 => format!("{seconds:.0} s"),
        ..6_000.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.0} h", seconds / 3_600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}
