//! What goes wrong at the simulated Quick Sight.
//!
//! What must stay true: a scenario is one entry of [`Scenario::spec`]; what also other services can do goes by the same
//! name there.

use std::{fmt, str::FromStr};

/// A way in which the simulated Quick Sight behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scenario {
    /// All goes well.
    #[default]
    Success,
    /// The job fails, and its result says why.
    ServiceFailed,
    /// The job completes, and its last file has an error in its place.
    FileError,
    /// The first polls of each job are throttled.
    PollThrottled,
    /// The first polls of each job meet a server error.
    PollUnavailable,
    /// The job ends in a status that no model knows.
    UnknownStatus,
    /// The result of a job follows its end late.
    ResultLate,
    /// Starting is denied.
    Denied,
    /// The dashboard does not exist.
    NotFound,
    /// The first start is throttled and makes no job.
    StartThrottled,
    /// The first start is answered as throttled although it made a job.
    StartThrottledButAccepted,
    /// The first start makes a job, then its connection breaks.
    LostAnswer,
    /// The first start meets a server error and makes no job.
    StartUnavailable,
    /// More than 10 calls a second are throttled.
    RateLimited,
    /// The first starts meet the limit of jobs at once.
    Full,
    /// Another job has the id of the first start.
    IdTaken,
    /// Files are named by presigned links.
    HttpsUri,
    /// The job completes, and the last file that it names does not exist.
    OutputMissing,
    /// The last file ends in the middle, or has a row that lacks fields.
    OutputCorrupt,
    /// The last file has another format than asked for.
    OutputWrongFormat,
    /// The job never ends.
    Stuck,
}

/// What the first calls of a sort get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Denied,
    NotFound,
    Throttled,
    Unavailable,
    Cut,
    Full,
}

/// How jobs end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Completes,
    Fails,
    Never,
    Says(&'static str),
}

/// What becomes of the last file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Whole,
    HasError,
    Missing,
    Corrupt,
    WrongFormat,
}

/// How the service behaves, in parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behaviour {
    /// The first so many starts get this.
    pub(super) start: Option<(u32, Fault)>,
    /// Whether such a start makes its job all the same.
    pub(super) accepted: bool,
    /// The first so many polls of each job get this.
    pub(super) poll: Option<(u32, Fault)>,
    /// Whether more than 10 calls a second are throttled.
    pub(super) rate_limited: bool,
    /// Whether somebody else's job has the id of the first start.
    pub(super) id_taken: bool,
    /// Whether the result is not there at once.
    pub(super) result_late: bool,
    /// Whether files are named by presigned links.
    pub(super) links: bool,
    pub(super) outcome: Outcome,
    pub(super) last: Last,
}

const EVERY: u32 = u32::MAX;

const RIGHT: Behaviour = Behaviour {
    start: None,
    accepted: false,
    poll: None,
    rate_limited: false,
    id_taken: false,
    result_late: false,
    links: false,
    outcome: Outcome::Completes,
    last: Last::Whole,
};

const fn start(times: u32, fault: Fault, accepted: bool) -> Behaviour {
    Behaviour {
        start: Some((times, fault)),
        accepted,
        ..RIGHT
    }
}

const fn poll(fault: Fault) -> Behaviour {
    Behaviour {
        poll: Some((3, fault)),
        ..RIGHT
    }
}

const fn outcome(outcome: Outcome) -> Behaviour {
    Behaviour { outcome, ..RIGHT }
}

const fn last(last: Last) -> Behaviour {
    Behaviour { last, ..RIGHT }
}

impl Scenario {
    /// Every scenario, in the order of the help.
    pub const ALL: &'static [Self] = &[
        Self::Success,
        Self::ServiceFailed,
        Self::FileError,
        Self::PollThrottled,
        Self::PollUnavailable,
        Self::UnknownStatus,
        Self::ResultLate,
        Self::Denied,
        Self::NotFound,
        Self::StartThrottled,
        Self::StartThrottledButAccepted,
        Self::LostAnswer,
        Self::StartUnavailable,
        Self::RateLimited,
        Self::Full,
        Self::IdTaken,
        Self::HttpsUri,
        Self::OutputMissing,
        Self::OutputCorrupt,
        Self::OutputWrongFormat,
        Self::Stuck,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        self.spec().0
    }

    /// One line for the help.
    pub const fn description(self) -> &'static str {
        self.spec().1
    }

    pub(super) const fn behaviour(self) -> Behaviour {
        self.spec().2
    }

    /// Name, description and behaviour: all that a scenario is.
    #[rustfmt::skip]
    const fn spec(self) -> (&'static str, &'static str, Behaviour) {
        match self {
            Self::Success => ("success", "all goes well", RIGHT),
            Self::ServiceFailed => ("service-failed", "the job ends as FAILED, and its result says why", outcome(Outcome::Fails)),
            Self::FileError => ("file-error", "the job completes, but its last file has an error in its place", last(Last::HasError)),
            Self::PollThrottled => ("poll-throttled", "the first 3 polls of each job are throttled (429), later ones succeed", poll(Fault::Throttled)),
            Self::PollUnavailable => ("poll-unavailable", "the first 3 polls of each job meet a server error (500), later ones succeed", poll(Fault::Unavailable)),
            Self::UnknownStatus => ("unknown-status", "the job ends in a status that is not in the service's model", outcome(Outcome::Says("SUSPENDED"))),
            Self::ResultLate => ("result-late", "the first 3 reads of a finished job's result do not find it", Behaviour { result_late: true, ..RIGHT }),
            Self::Denied => ("denied", "starting is denied (401)", start(EVERY, Fault::Denied, false)),
            Self::NotFound => ("not-found", "the dashboard does not exist (404)", start(EVERY, Fault::NotFound, false)),
            Self::StartThrottled => ("start-throttled", "the first start is throttled (429) and makes no job", start(1, Fault::Throttled, false)),
            Self::StartThrottledButAccepted => ("start-throttled-but-accepted", "the first start is answered 429 although it made a job", start(1, Fault::Throttled, true)),
            Self::LostAnswer => ("lost-answer", "the first start makes a job, then the connection breaks before the answer", start(1, Fault::Cut, true)),
            Self::StartUnavailable => ("start-unavailable", "the first start meets a server error (500) and makes no job", start(1, Fault::Unavailable, false)),
            Self::RateLimited => ("rate-limited", "more than 10 calls within a second are throttled (429)", Behaviour { rate_limited: true, ..RIGHT }),
            Self::Full => ("full", "the first 2 starts meet the limit of jobs at once (409), later ones succeed", start(2, Fault::Full, false)),
            Self::IdTaken => ("id-taken", "another job, of other files, has the id of the first start (409)", Behaviour { id_taken: true, ..RIGHT }),
            Self::HttpsUri => ("https-uri", "files are named by presigned https links", Behaviour { links: true, ..RIGHT }),
            Self::OutputMissing => ("output-missing", "the job completes, but the last file that it names is not there", last(Last::Missing)),
            Self::OutputCorrupt => ("output-corrupt", "the last file ends in the middle; of a CSV, a row lacks fields", last(Last::Corrupt)),
            Self::OutputWrongFormat => ("output-wrong-format", "the last file has another format than asked for", last(Last::WrongFormat)),
            Self::Stuck => ("stuck", "the job never ends", outcome(Outcome::Never)),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no scenario of this service has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownScenario(String);

impl fmt::Display for UnknownScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Scenario::ALL.iter().map(|scenario| scenario.name()).collect();
        write!(
            f,
            "dashboard snapshots have no scenario {:?}; there are {}",
            self.0,
            names.join(", ")
        )
    }
}

impl std::error::Error for UnknownScenario {}

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(name: &str) -> Result<Self, UnknownScenario> {
        Self::ALL
            .iter()
            .copied()
            .find(|scenario| scenario.name() == name)
            .ok_or_else(|| UnknownScenario(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kebab_case_unique_and_lead_back() {
        for (i, scenario) in Scenario::ALL.iter().enumerate() {
            assert_eq!(*scenario as usize, i, "in the order of the enum, none left out");
            assert_eq!(scenario.to_string().parse(), Ok(*scenario));
            assert_eq!(scenario.name().replace('-', ""), format!("{scenario:?}").to_lowercase());
            assert!(!Scenario::ALL[..i].contains(scenario));
            assert!(!scenario.description().contains('\n') && scenario.description().len() < 100);
        }
        assert!("sucess".parse::<Scenario>().is_err());
    }
}
