//! What goes wrong at the simulated Pinpoint.

use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray, VariantNames};

use crate::simulated::scenario::UnknownScenario;

/// A way in which the simulated Pinpoint behaves.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Display,
    EnumMessage,
    EnumString,
    Eq,
    Hash,
    IntoStaticStr,
    PartialEq,
    VariantArray,
    VariantNames,
)]
#[strum(serialize_all = "kebab-case", parse_err_ty = UnknownScenario, parse_err_fn = UnknownScenario::of::<Scenario>)]
pub enum Scenario {
    /// All goes well.
    #[default]
    Success,
    /// The job ends as FAILED with a part of its work done.
    ServiceFailed,
    /// The job completes, and 3 endpoints failed.
    CompletedWithFailures,
    /// The first 3 polls of each job are throttled (429).
    PollThrottled,
    /// The first 3 polls of each job meet a server error (500).
    PollUnavailable,
    /// The job ends in a status that is not in the service's model.
    UnknownStatus,
    /// Starting is denied (403).
    Denied,
    /// What the request names does not exist (404).
    NotFound,
    /// The first start is throttled (429) and makes no job.
    StartThrottled,
    /// The first start is answered 429 although it made a job.
    StartThrottledButAccepted,
    /// The first start makes a job, then the connection breaks before the answer.
    LostAnswer,
    /// The first start meets a server error (500) and makes no job.
    StartUnavailable,
    /// The first 2 starts meet the limit of jobs at once.
    Full,
    /// A lost answer, and lists of jobs without their definitions.
    SparseLists,
    /// A lost answer, and no job ever tells its definition.
    EmptyDefinition,
    /// The service has ended: 403 to everything.
    Retired,
    /// The service has ended: 404 to everything.
    RetiredNotFound,
    /// The service has ended: 410 to everything.
    RetiredGone,
    /// The job completes, but no data file lands.
    OutputMissing,
    /// The last data file ends in the middle.
    OutputCorrupt,
    /// Nothing matches: one data file without rows.
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
    /// This many first starts get this fault.
    pub(super) start: Option<(u32, Fault)>,
    /// Whether such a start makes its job all the same.
    pub(super) accepted: bool,
    /// This many first polls of each job get this fault.
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
    pub const ALL: &'static [Self] = <Self as VariantArray>::VARIANTS;

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        self.into()
    }

    pub(super) const fn behaviour(self) -> Behaviour {
        match self {
            Self::Success => RIGHT,
            Self::ServiceFailed => outcome(Outcome::Fails),
            Self::CompletedWithFailures => outcome(Outcome::CompletesWithFailures),
            Self::PollThrottled => poll(Fault::Throttled),
            Self::PollUnavailable => poll(Fault::Unavailable),
            Self::UnknownStatus => outcome(Outcome::Says("SUSPENDED")),
            Self::Denied => start(EVERY, Fault::Denied, false),
            Self::NotFound => start(EVERY, Fault::NotFound, false),
            Self::StartThrottled => start(1, Fault::Throttled, false),
            Self::StartThrottledButAccepted => start(1, Fault::Throttled, true),
            Self::LostAnswer => lost(Definitions::Whole),
            Self::StartUnavailable => start(1, Fault::Unavailable, false),
            Self::Full => start(2, Fault::Full, false),
            Self::SparseLists => lost(Definitions::NotInLists),
            Self::EmptyDefinition => lost(Definitions::Nowhere),
            Self::Retired => every(403, "ForbiddenException"),
            Self::RetiredNotFound => every(404, "NotFoundException"),
            Self::RetiredGone => every(410, "GoneException"),
            Self::OutputMissing => output(Output::Missing),
            Self::OutputCorrupt => output(Output::LastTruncated),
            Self::EmptySegment => Behaviour { empty: true, ..RIGHT },
            Self::Stuck => outcome(Outcome::Never),
        }
    }
}
