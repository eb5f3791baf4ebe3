//! Start calls that never left.
//!
//! What must stay true: a request that never left made no job. So its attempt keeps its number, key and prefix, and does
//! not count as a start call of the day.
//!
//! The call is made again for [`RETRIED_FOR`], because a name that is not found and a connection that is refused may be an
//! outage of minutes. Then the job fails with a message that says where the service is. The attempt keeps since when it
//! could not be reached, for all deliveries.

use chrono::{DateTime, TimeDelta, Utc};

use super::Starter;
use crate::{
    error::{Error, ErrorKind, Result, moment},
    ledger::{Attempt, AttemptState, Versioned},
    service::JobService,
};

/// How long a call is made again that does not reach the service.
pub(super) const RETRIED_FOR: TimeDelta = TimeDelta::minutes(5);

impl<S: JobService> Starter<'_, S> {
    /// Ends a claim whose start call did not leave. `error` is what the job fails with in the end.
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

/// Whether a call that did not leave is made again.
#[derive(Debug, PartialEq, Eq)]
enum Again {
    /// With what is raised until then.
    Later(Error),
    /// With what the job fails with.
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
