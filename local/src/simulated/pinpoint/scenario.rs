//! What goes wrong at the simulated Pinpoint.
//!
//! What must stay true: a scenario is one entry of [`Scenario::spec`]; what also other services can do goes by the same
//! name there.

use std::{fmt, str::FromStr};

/// A way in which the simulated Pinpoint behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scenario {
    /// All goes well.
    #[default]
    Success,
    /// The job fails, with a part of its work done.
    ServiceFailed,
    /// The job completes, and some endpoints failed.
    CompletedWithFailures,
    /// The first polls of each job are throttled.
    PollThrottled,
    /// The first polls of each job meet a server error.
    PollUnavailable,
    /// The job ends in a status that no model knows.
    UnknownStatus,
    /// Starting is denied.
    Denied,
    /// What the request names does not exist.
    NotFound,
    /// The first start is throttled and makes no job.
    StartThrottled,
    /// The first start is answered as throttled although it made a job.
    StartThrottledButAccepted,
    /// The first start makes a job, then its connection breaks.
    LostAnswer,
    /// The first start meets a server error and makes no job.
    StartUnavailable,
    /// The first starts meet the limit of jobs at once.
    Full,
    /// As [`Scenario::LostAnswer`], and the lists give no definitions.
    SparseLists,
    /// As [`Scenario::LostAnswer`], and no answer gives a definition.
    EmptyDefinition,
    /// The service is retired and forbids everything.
    Retired,
    /// The service is retired and knows nothing.
    RetiredNotFound,
    /// The service is retired and says so.
    RetiredGone,
    /// The job completes and no data file lands.
    OutputMissing,
    /// The last data file ends in the middle.
    OutputCorrupt,
    /// Nothing matches: the job completes with no rows.
    EmptySegment,
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

/// How much of the definitions is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Definitions {
    Whole,
    NotInLists,
    Nowhere,
}

/// How jobs end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Completes,
    CompletesWithFailures,
    Fails,
    Never,
    Says(&'static str),
}

/// What lands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Whole,
    Missing,
    LastTruncated,
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
    /// Every call gets this status and code.
    pub(super) every: Option<(u16, &'static str)>,
    pub(super) definitions: Definitions,
    pub(super) outcome: Outcome,
    pub(super) output: Output,
    pub(super) empty: bool,
}

const EVERY: u32 = u32::MAX;

const RIGHT: Behaviour = Behaviour {
    start: None,
    accepted: false,
    poll: None,
    every: None,
    definitions: Definitions::Whole,
    outcome: Outcome::Completes,
    output: Output::Whole,
    empty: false,
};

const fn start(times: u32, fault: Fault, accepted: bool) -> Behaviour {
    Behaviour {
        start: Some((times, fault)),
        accepted,
        ..RIGHT
    }
}

const fn lost(definitions: Definitions) -> Behaviour {
    Behaviour {
        definitions,
        ..start(1, Fault::Cut, true)
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

const fn output(output: Output) -> Behaviour {
    Behaviour { output, ..RIGHT }
}

const fn every(status: u16, code: &'static str) -> Behaviour {
    Behaviour {
        every: Some((status, code)),
        ..RIGHT
    }
}

impl Scenario {
    /// Every scenario, in the order of the help.
    pub const ALL: &'static [Self] = &[
        Self::Success,
        Self::ServiceFailed,
        Self::CompletedWithFailures,
        Self::PollThrottled,
        Self::PollUnavailable,
        Self::UnknownStatus,
        Self::Denied,
        Self::NotFound,
        Self::StartThrottled,
        Self::StartThrottledButAccepted,
        Self::LostAnswer,
        Self::StartUnavailable,
        Self::Full,
        Self::SparseLists,
        Self::EmptyDefinition,
        Self::Retired,
        Self::RetiredNotFound,
        Self::RetiredGone,
        Self::OutputMissing,
        Self::OutputCorrupt,
        Self::EmptySegment,
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
            Self::ServiceFailed => ("service-failed", "the job ends as FAILED with a part of its work done", outcome(Outcome::Fails)),
            Self::CompletedWithFailures => (
                "completed-with-failures", "the job completes, and 3 endpoints failed", outcome(Outcome::CompletesWithFailures),
            ),
            Self::PollThrottled => ("poll-throttled", "the first 3 polls of each job are throttled (429)", poll(Fault::Throttled)),
            Self::PollUnavailable => ("poll-unavailable", "the first 3 polls of each job meet a server error (500)", poll(Fault::Unavailable)),
            Self::UnknownStatus => (
                "unknown-status", "the job ends in a status that is not in the service's model", outcome(Outcome::Says("SUSPENDED")),
            ),
            Self::Denied => ("denied", "starting is denied (403)", start(EVERY, Fault::Denied, false)),
            Self::NotFound => ("not-found", "what the request names does not exist (404)", start(EVERY, Fault::NotFound, false)),
            Self::StartThrottled => (
                "start-throttled", "the first start is throttled (429) and makes no job", start(1, Fault::Throttled, false),
            ),
            Self::StartThrottledButAccepted => (
                "start-throttled-but-accepted", "the first start is answered 429 although it made a job", start(1, Fault::Throttled, true),
            ),
            Self::LostAnswer => (
                "lost-answer", "the first start makes a job, then the connection breaks before the answer", lost(Definitions::Whole),
            ),
            Self::StartUnavailable => (
                "start-unavailable", "the first start meets a server error (500) and makes no job", start(1, Fault::Unavailable, false),
            ),
            Self::Full => ("full", "the first 2 starts meet the limit of jobs at once", start(2, Fault::Full, false)),
            Self::SparseLists => (
                "sparse-lists", "a lost answer, and lists of jobs without their definitions", lost(Definitions::NotInLists),
            ),
            Self::EmptyDefinition => (
                "empty-definition", "a lost answer, and no job ever tells its definition", lost(Definitions::Nowhere),
            ),
            Self::Retired => ("retired", "the service has ended: 403 to everything", every(403, "ForbiddenException")),
            Self::RetiredNotFound => ("retired-not-found", "the service has ended: 404 to everything", every(404, "NotFoundException")),
            Self::RetiredGone => ("retired-gone", "the service has ended: 410 to everything", every(410, "GoneException")),
            Self::OutputMissing => ("output-missing", "the job completes, but no data file lands", output(Output::Missing)),
            Self::OutputCorrupt => ("output-corrupt", "the last data file ends in the middle", output(Output::LastTruncated)),
            Self::EmptySegment => ("empty-segment", "nothing matches: one data file without rows", Behaviour { empty: true, ..RIGHT }),
            Self::Stuck => ("stuck", "the job never ends", outcome(Outcome::Never)),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scenario {
    type Err = UnknownScenario;

    fn from_str(name: &str) -> Result<Self, UnknownScenario> {
        let mut all = Self::ALL.iter().copied();
        all.find(|scenario| scenario.name() == name).ok_or(UnknownScenario)
    }
}

/// A name that no scenario has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownScenario;

impl fmt::Display for UnknownScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Scenario::ALL.iter().map(|scenario| scenario.name()).collect();
        write!(
            f,
            "no scenario of Pinpoint is called so; there are {}",
            names.join(", ")
        )
    }
}

impl std::error::Error for UnknownScenario {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kebab_case_unique_and_lead_back() {
        for (i, scenario) in Scenario::ALL.iter().enumerate() {
            assert_eq!(*scenario as usize, i, "in the order of the enum, none left out");
            assert_eq!(scenario.to_string().parse(), Ok(*scenario));
            assert_eq!(scenario.name().replace('-', ""), format!("{scenario:?}").to_lowercase());
            assert!(!scenario.description().contains('\n') && scenario.description().len() < 100);
        }
        assert!(
            "sucess"
                .parse::<Scenario>()
                .unwrap_err()
                .to_string()
                .contains("success, service-failed")
        );
    }
}
