//! Looks for the job of a start call whose answer was lost.
//!
//! What must stay true: a job that cannot be identified is never taken for ours, and never ignored. If a list does not
//! have the job, that counts only some time after the call, because AWS does not say how soon a new job is listed.

use std::ops::ControlFlow;

use chrono::{DateTime, TimeDelta, Utc};
use landfall::error::{Error, ErrorKind, moment};

use crate::client::{Definition, Pinpoint, Record, Walk, Way};

/// How far the service's clock may be behind ours.
const SKEW: TimeDelta = TimeDelta::seconds(10);

/// How long after the call the lists may not have the job.
const LISTED_WITHIN: TimeDelta = TimeDelta::seconds(30);

/// How many jobs without a definition are looked up one by one.
const MAX_ASKED: usize = 20;

/// The result of searching the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Search {
    /// Jobs that fit, oldest first.
    pub(crate) fitting: Vec<String>,
    /// Jobs from the time of the call that may fit.
    pub(crate) unclear: Vec<String>,
    /// Whether there are more jobs than were read.
    pub(crate) cut_short: bool,
}

/// Whether a job's time allows that a call made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Older,
    Fits,
    Unknown,
}

fn age(record: &Record, claimed_at: DateTime<Utc>) -> Age {
    match record.created {
        Some(created) if created < claimed_at - SKEW => Age::Older,
        Some(_) => Age::Fits,
        None => Age::Unknown,
    }
}

/// Searches the jobs of a segment or an application for those that `fits` and that are not older than the claim.
/// `unique` says that a job that fits is ours at any time, because only this attempt uses its location.
pub(crate) async fn search(
    pinpoint: &Pinpoint,
    way: Way,
    application: &str,
    segment: Option<&str>,
    claimed_at: DateTime<Utc>,
    unique: bool,
    fits: impl Fn(&Definition) -> bool + Send + Sync,
) -> Result<Search, Error> {
    let mut candidates = Vec::new();
    let keep = |record: Record| {
        let is_nameless = record.definition.place.is_none();
        let is_possible = match age(&record, claimed_at) {
            Age::Older => unique && fits(&record.definition),
            Age::Fits | Age::Unknown => is_nameless || fits(&record.definition),
        };
        if is_possible && !record.id.is_empty() {
            candidates.push(record);
        }
        ControlFlow::<()>::Continue(())
    };
    let walk = pinpoint.walk(way, application, segment, keep).await?;
    let mut search = Search {
        cut_short: walk == Walk::CutShort,
        ..Search::default()
    };
    candidates.sort_by_key(|record| record.created);
    let mut asked = 0;
    for mut record in candidates {
        if record.definition.place.is_none() && asked < MAX_ASKED {
            asked += 1;
            match pinpoint.job(way, application, &record.id).await {
                Ok(whole) => {
                    record.created = record.created.or(whole.created);
                    record.definition = whole.definition;
                }
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let is_nameless = record.definition.place.is_none();
        let by_time = age(&record, claimed_at);
        let list = match by_time {
            _ if !is_nameless && !fits(&record.definition) => continue,
            Age::Fits if !is_nameless => &mut search.fitting,
            _ if unique && !is_nameless => &mut search.fitting,
            Age::Older => continue,
            Age::Fits | Age::Unknown => &mut search.unclear,
        };
        list.push(record.id);
    }
    Ok(search)
}

/// Fails with `Busy` while the lists may not yet have a job of a call that was over at `over_at`.
pub(crate) fn wait_for_lists(now: DateTime<Utc>, over_at: DateTime<Utc>) -> Result<(), Error> {
    if now >= over_at + LISTED_WITHIN {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Busy,
        format!(
            "the answer of its start call was lost, and Pinpoint may take until {} to list what the call made",
            moment(over_at + LISTED_WITHIN)
        ),
    ))
}
