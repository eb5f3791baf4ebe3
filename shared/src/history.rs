//! How long earlier runs of a request took.
//!
//! What must stay true: a history only improves the waits, so no job fails because its history cannot be read or
//! written. The history is changed by compare-and-set. It holds the newest runs, and each run once, however often the
//! run is sealed.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    clock::Clock,
    job::{Job, Kind},
    ledger::{Attempt, Change, Ledger, encode},
    polling::{MAX_HISTORY, Ran},
};

/// The schema of [`History`].
pub const SCHEMA: &str = "landfall.history/1";

/// How much later than planned a poll may come, because of retries or a slow start of the function.
const LATENESS: TimeDelta = TimeDelta::seconds(60);

/// A run that succeeded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Each job is in a history at most once.
    pub job_key: String,
    /// When the service gave the id.
    pub accepted_at: DateTime<Utc>,
    /// Seconds from `accepted_at` until the job was last seen running; 0 if it never was.
    pub after_seconds: f64,
    /// Seconds from `accepted_at` until the job was seen to have ended. Both numbers are the same if the service itself
    /// says when it ended.
    pub by_seconds: f64,
}

impl Run {
    /// The run of a job that succeeded. `None` if its beginning or its end is not known well enough.
    pub fn of(job: &Job, attempt: &Attempt) -> Option<Self> {
        // If the start call's answer was lost, the id was found some time after the service had made the job.
        if attempt.started_at.is_none_or(|started| started > attempt.lease_until) {
            return None;
        }
        let since = |time: DateTime<Utc>| time - job.accepted_at;
        let by = since(job.ended_at?);
        let after = job.running_at.map_or(TimeDelta::zero(), since).max(TimeDelta::zero());
        // The service's clock differs from ours, so its time counts only if it lies between our two polls.
        let told = job
            .service_ended_at
            .map(since)
            .filter(|told| (after..=by).contains(told));
        // If the job was not polled for longer than planned, because it was adopted, redriven or picked up, it may have
        // ended long before the poll.
        let planned = TimeDelta::seconds(i64::from(job.wait_seconds) * 3 / 2) + LATENESS;
        if told.is_none() && by - after > planned {
            return None;
        }
        let run = Self {
            job_key: job.job_key.clone(),
            accepted_at: job.accepted_at,
            after_seconds: seconds(told.unwrap_or(after)),
            by_seconds: seconds(told.unwrap_or(by)),
        };
        (run.by_seconds > 0.0 && after <= by).then_some(run)
    }
}

#[allow(clippy::cast_precision_loss)]
fn seconds(duration: TimeDelta) -> f64 {
    duration.num_milliseconds() as f64 / 1000.0
}

/// The newest runs of one request, as stored in the ledger bucket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// [`SCHEMA`].
    pub schema: String,
    pub kind: Kind,
    /// SHA-256 of the canonical request, hex.
    pub request_sha256: String,
    /// At most [`MAX_HISTORY`] runs, oldest first.
    pub runs: Vec<Run>,
}

impl History {
    /// Adds a run, unless it is there already or older than all runs that are kept. Says whether the history changed.
    pub fn add(&mut self, run: Run) -> bool {
        let before = self.runs.clone();
        if self.runs.iter().all(|other| other.job_key != run.job_key) {
            self.runs.push(run);
        }
        self.runs
            .sort_by(|one, other| (one.accepted_at, &one.job_key).cmp(&(other.accepted_at, &other.job_key)));
        self.runs.drain(..self.runs.len().saturating_sub(MAX_HISTORY));
        self.runs != before
    }
}

/// Key of a request's history in the ledger bucket.
pub fn key(kind: &Kind, request_sha256: &str) -> String {
    format!("history/{kind}/{request_sha256}.json")
}

/// How long the newest runs of a request took, oldest first. Empty if there are none. If they cannot be read, that is
/// logged, and it is empty too.
pub async fn recall(ledger: &Ledger<'_>, kind: &Kind, request_sha256: &str) -> Vec<Ran> {
    match ledger.read(&key(kind, request_sha256)).await {
        Ok(stored) => read(kind, request_sha256, stored.as_deref())
            .runs
            .iter()
            .map(|run| Ran {
                after: run.after_seconds,
                by: run.by_seconds,
            })
            .collect(),
        Err(error) => {
            tracing::warn!(
                error = error.kind.name(),
                code = error.code,
                "the job is polled as if it were the first of its request"
            );
            Vec::new()
        }
    }
}

/// Adds a run. If that fails, it is only logged, and later runs are planned without this one.
pub async fn record(ledger: &Ledger<'_>, clock: &dyn Clock, kind: &Kind, request_sha256: &str, run: Run) {
    let add = |stored: Option<&[u8]>| {
        let mut history = read(kind, request_sha256, stored);
        Ok(if history.add(run.clone()) {
            Change::To(encode(&history)?)
        } else {
            Change::Leave(())
        })
    };
    let key = key(kind, request_sha256);
    if let Err(error) = ledger.change_object(&key, clock, &run.job_key, add).await {
        tracing::warn!(
            error = error.kind.name(),
            code = error.code,
            "how long it took is not kept for the polls of later runs"
        );
    }
}

/// Reads a stored history. If it cannot be read, an empty one replaces it, because nothing depends on it.
fn read(kind: &Kind, request_sha256: &str, stored: Option<&[u8]>) -> History {
    let empty = History {
        schema: SCHEMA.to_owned(),
        kind: kind.clone(),
        request_sha256: request_sha256.to_owned(),
        runs: Vec::new(),
    };
    let Some(stored) = stored else { return empty };
    match serde_json::from_slice::<History>(stored) {
        Ok(history) if history.schema == SCHEMA => history,
        _ => {
            tracing::warn!(
                "{} is not of {SCHEMA}; an empty history replaces it",
                key(kind, request_sha256)
            );
            empty
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(number: u32) -> Run {
        Run {
            job_key: format!("job-{number:03}"),
            accepted_at: DateTime::UNIX_EPOCH + TimeDelta::hours(number.into()),
            after_seconds: 90.0,
            by_seconds: 100.0 + f64::from(number),
        }
    }

    fn history(runs: impl IntoIterator<Item = u32>) -> History {
        let mut history = History {
            schema: SCHEMA.to_owned(),
            kind: Kind::new("segment-snapshot"),
            request_sha256: "aa".to_owned(),
            runs: Vec::new(),
        };
        for number in runs {
            history.add(run(number));
        }
        history
    }

    #[test]
    fn the_newest_runs_are_kept_in_whichever_order_they_come() {
        let forward = history(0..50);
        assert_eq!(forward.runs.len(), MAX_HISTORY);
        assert_eq!(forward.runs.last(), Some(&run(49)));
        assert_eq!(forward, history((0..50).rev()));
        assert_eq!(forward, history((0..50).map(|number| number * 7 % 50)));
    }

    #[test]
    fn the_history_holds_each_run_once() {
        let mut some = history(0..5);
        assert!(!some.add(run(3)));
        let again = Run {
            by_seconds: 7.0,
            ..run(3)
        };
        assert!(!some.add(again), "the first word stands");
        assert!(some.add(run(5)));
        // A job that left the history long ago is sealed once more.
        let mut full = history(10..60);
        assert!(!full.add(run(3)));
        assert_eq!(full, history(10..60));
    }

    #[test]
    fn a_history_stays_small() {
        let long = |number| Run {
            job_key: format!("{}-{number}", "k".repeat(100)),
            ..run(number)
        };
        let mut full = history([]);
        for number in 0..30 {
            full.add(long(number));
        }
        assert!(encode(&full).unwrap().len() < 8_000);
        let ran: Vec<Ran> = full
            .runs
            .iter()
            .map(|_| Ran {
                after: 12_345.678,
                by: 12_999.999,
            })
            .collect();
        assert!(serde_json::to_vec(&ran).unwrap().len() < 500);
    }
}
