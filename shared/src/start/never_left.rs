//! Start calls that never left.
//!
//! What must stay true: a request that never left made no job. So its attempt keeps its number, key and prefix, and
//! does not count as a start call of the day.
//!
//! The call is repeated for [`RETRIED_FOR`], because an unknown host name or a refused connection may be an outage of
//! minutes. Then the job fails, and its message says in which regions the service is. The attempt in the ledger holds
//! since when the service could not be reached, so that all deliveries count from the same time.

use chrono::{DateTime, TimeDelta, Utc};

use super::Starter;
use crate::{
    error::{Error, ErrorKind, Result, moment},
    ledger::{Attempt, AttemptState, Versioned},
    service::JobService,
};

/// How long a start call is repeated that does not reach the service.
pub(super) const RETRIED_FOR: TimeDelta = TimeDelta::minutes(5);

impl<S: JobService> Starter<'_, S> {
    /// Ends a claim whose start call never left. `error` is the job's error if the service stays out of reach.
    pub(super) async fn never_left<T>(&self, current: Versioned, attempt: &Attempt, error: Error) -> Result<T> {
        self.capacity().take_back(attempt).await;
        let now = self.now();
        let since = attempt.unreachable_since.unwrap_or(now);
        match again(error, since, now) {
            Again::Later(error) => {
                let waiting = AttemptState::Waiting;
                self.recorder().failed_since(current, waiting, error, Some(since)).await
            }
            Again::Never(error) => self.recorder().failed(current, AttemptState::Refused, error).await,
        }
    }
}

/// Whether a start call that never left is made again.
#[derive(Debug, PartialEq, Eq)]
enum Again {
    /// Yes; the invocation fails with this error until then.
    Later(Error),
    /// No; the job fails with this error.
    Never(Error),
}

fn again(error: Error, since: DateTime<Utc>, now: DateTime<Utc>) -> Again {
    let until = since + RETRIED_FOR;
    if now < until {
        return Again::Later(Error::new(
            ErrorKind::Unavailable,
            format!("{}. It is tried again until {}", error.message, moment(until)),
        ));
    }
    let tried = (now - since).num_minutes();
    Again::Never(Error::new(
        error.kind,
        format!("{}. It was tried for {tried} minutes", error.message),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_does_not_leave_is_made_again_for_five_minutes() {
        let since: DateTime<Utc> = "2026-11-01T05:00:00Z".parse().unwrap();
        let after = |seconds| {
            let error = Error::new(ErrorKind::Unreachable, "nobody is there");
            again(error, since, since + TimeDelta::seconds(seconds))
        };
        for seconds in [0, 299] {
            let Again::Later(error) = after(seconds) else {
                panic!("given up after {seconds} s")
            };
            assert_eq!(error.kind, ErrorKind::Unavailable);
            assert!(error.message.ends_with(&moment(since + RETRIED_FOR)), "{error}");
        }
        for (seconds, minutes) in [(300, 5), (599, 9)] {
            let Again::Never(error) = after(seconds) else {
                panic!("made again after {seconds} s")
            };
            assert_eq!(error.kind, ErrorKind::Unreachable);
            assert!(error.message.ends_with(&format!("for {minutes} minutes")), "{error}");
        }
    }
}
