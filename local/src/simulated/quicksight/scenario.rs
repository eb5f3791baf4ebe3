//! What goes wrong at the simulated Quick Sight.

use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray, VariantNames};

use crate::simulated::scenario::UnknownScenario;

/// A way in which the simulated Quick Sight behaves.
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
    /// The job ends as FAILED, and its result says why.
    ServiceFailed,
    /// The job completes, but its last file has an error in its place.
    FileError,
    /// The first 3 polls of each job are throttled (429), later ones succeed.
    PollThrottled,
    /// The first 3 polls of each job meet a server error (500), later ones succeed.
    PollUnavailable,
    /// The job ends in a status that is not in the service's model.
    UnknownStatus,
    /// The first 3 reads of a finished job's result do not find it.
    ResultLate,
    /// Starting is denied (401).
    Denied,
    /// The dashboard does not exist (404).
    NotFound,
    /// The first start is throttled (429) and makes no job.
    StartThrottled,
    /// The first start is answered 429 although it made a job.
    StartThrottledButAccepted,
    /// The first start makes a job, then the connection breaks before the answer.
    LostAnswer,
    /// The first start meets a server error (500) and makes no job.
    StartUnavailable,
    /// More than 10 calls within a second are throttled (429).
    RateLimited,
    /// The first 2 starts meet the limit of jobs at once (409), later ones succeed.
    Full,
    /// Another job, of other files, has the id of the first start (409).
    IdTaken,
    /// Files are named by presigned https links.
    HttpsUri,
    /// The job completes, but the last file that it names is not there.
    OutputMissing,
    /// The last file ends in the middle; of a CSV, a row lacks fields.
    OutputCorrupt,
    /// The last file has another format than asked for.
    OutputWrongFormat,
    /// The user of the event is one of IAM Identity Center, who has no token here (400).
    IdentityCenterUser,
    /// The first token of a user is throttled (429), later ones are given.
    TokenThrottled,
    /// No session of a user is given: the role's trust policy does not let it (403).
    SessionDenied,
    /// Row-level security changes while the job runs, and its last file says so.
    RlsChanged,
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
    RlsChanged,
}

/// What the makers of sessions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    Given,
    ThrottledOnce,
    OfIdentityCenter,
    SessionDenied,
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
    /// Whether more than 10 calls a second are throttled.
    pub(super) rate_limited: bool,
    /// Whether somebody else's job has the id of the first start.
    pub(super) id_taken: bool,
    /// Whether the result is missing at first.
    pub(super) result_late: bool,
    /// Whether files are named by presigned links.
    pub(super) links: bool,
    pub(super) identity: Identity,
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
    identity: Identity::Given,
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

const fn identity(identity: Identity) -> Behaviour {
    Behaviour { identity, ..RIGHT }
}

const fn last(last: Last) -> Behaviour {
    Behaviour { last, ..RIGHT }
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
            Self::FileError => last(Last::HasError),
            Self::PollThrottled => poll(Fault::Throttled),
            Self::PollUnavailable => poll(Fault::Unavailable),
            Self::UnknownStatus => outcome(Outcome::Says("SUSPENDED")),
            Self::ResultLate => Behaviour {
                result_late: true,
                ..RIGHT
            },
            Self::Denied => start(EVERY, Fault::Denied, false),
            Self::NotFound => start(EVERY, Fault::NotFound, false),
            Self::StartThrottled => start(1, Fault::Throttled, false),
            Self::StartThrottledButAccepted => start(1, Fault::Throttled, true),
            Self::LostAnswer => start(1, Fault::Cut, true),
            Self::StartUnavailable => start(1, Fault::Unavailable, false),
            Self::RateLimited => Behaviour {
                rate_limited: true,
                ..RIGHT
            },
            Self::Full => start(2, Fault::Full, false),
            Self::IdTaken => Behaviour {
                id_taken: true,
                ..RIGHT
            },
            Self::HttpsUri => Behaviour { links: true, ..RIGHT },
            Self::OutputMissing => last(Last::Missing),
            Self::OutputCorrupt => last(Last::Corrupt),
            Self::OutputWrongFormat => last(Last::WrongFormat),
            Self::IdentityCenterUser => identity(Identity::OfIdentityCenter),
            Self::TokenThrottled => identity(Identity::ThrottledOnce),
            Self::SessionDenied => identity(Identity::SessionDenied),
            Self::RlsChanged => last(Last::RlsChanged),
            Self::Stuck => outcome(Outcome::Never),
        }
    }
}
