//! What goes wrong at the simulated Customer Profiles.

use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray, VariantNames};

use crate::simulated::scenario::UnknownScenario;

/// A way in which the simulated Customer Profiles behaves.
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
    /// The job ends as FAILED with a status message and a part of its files.
    ServiceFailed,
    /// The first 3 polls of each job are throttled (429), later ones succeed.
    PollThrottled,
    /// The first 3 polls of each job meet a server error (500), later ones succeed.
    PollUnavailable,
    /// The service no longer knows the job when it is polled (404).
    PollNotFound,
    /// The job ends in a status that is not in the service's model.
    UnknownStatus,
    /// Starting is denied (403).
    Denied,
    /// The domain does not exist (404).
    NotFound,
    /// The first start is throttled (429) and makes no job.
    StartThrottled,
    /// The first start is answered 429 although it made a job.
    StartThrottledButAccepted,
    /// The first start makes a job, then the connection breaks before the answer.
    LostAnswer,
    /// The first start meets a server error (500) and makes no job.
    StartUnavailable,
    /// The job completes, but only its test file lands.
    OutputMissing,
    /// The last data file has 0 bytes.
    OutputEmptyFile,
    /// The last data file ends in the middle.
    OutputCorrupt,
    /// The last data file has another format than asked for.
    OutputWrongFormat,
    /// One more data file lands 1 s after completion was first told.
    LateFile,
    /// The job never ends.
    Stuck,
    /// Nothing matches: one data file without rows.
    EmptySegment,
    /// The day's quota is used up: every start is throttled (429).
    QuotaExceeded,
    /// The estimate of the segment is more than twice the rows of the export.
    EstimateOff,
    /// The estimate of the segment fails.
    EstimateFailed,
    /// The estimate of the segment never ends.
    EstimateStuck,
    /// The segment's definition may not be read (403).
    EstimateDenied,
    /// 1,200 small data files land, which are verified in slices; takes a minute or two.
    ManyFiles,
}

/// How many data files [`Scenario::ManyFiles`] writes: two batches of a verification.
pub const MANY_FILES: u64 = 1_200;

/// How a service behaves, in parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behaviour {
    /// The first starts, counted over the life of the service.
    pub(super) start: Option<Fault>,
    /// The first polls of each job.
    pub(super) poll: Option<Fault>,
    /// How jobs end.
    pub(super) outcome: Outcome,
    /// What lands.
    pub(super) output: Output,
    /// Nothing matches what is to be exported.
    pub(super) empty: bool,
    /// No job is left in the day's quota.
    pub(super) quota_used_up: bool,
    /// How many data files a job writes at least, with a row in each.
    pub(super) least_files: u64,
    /// What becomes of estimates.
    pub(super) estimates: Estimates,
}

/// What becomes of estimates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Estimates {
    Near,
    Off,
    Failed,
    Running,
    Denied,
}

/// An answer that calls get instead of the right one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    /// How many calls get it. Later calls succeed.
    pub(super) times: u32,
    /// Their answer.
    pub(super) answer: FaultAnswer,
    /// Whether the call has its effect all the same.
    pub(super) takes_effect: bool,
}

/// What a caller gets instead of the right answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultAnswer {
    Denied,
    NotFound,
    Throttled,
    Unavailable,
    ConnectionCut,
}

/// How a job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Completes,
    /// With this status message; the last data file never lands.
    Fails(&'static str),
    /// The last data file never lands.
    Never,
    /// In this state, which the model does not have.
    Says(&'static str),
}

/// What lands in S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// Every data file.
    Whole,
    /// No data file.
    Missing,
    /// The last data file with this flaw.
    LastIs(Flaw),
    /// Every data file, and one more after completion was told.
    OneLate,
}

/// What is wrong with a data file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    None,
    Empty,
    Truncated,
    OtherFormat,
}

const EVERY: u32 = u32::MAX;
/// Any sensible retry policy makes more polls than this before it gives up.
const FIRST_FEW: u32 = 3;

const RIGHT: Behaviour = Behaviour {
    start: None,
    poll: None,
    outcome: Outcome::Completes,
    output: Output::Whole,
    empty: false,
    quota_used_up: false,
    least_files: 1,
    estimates: Estimates::Near,
};

const fn start(times: u32, answer: FaultAnswer, takes_effect: bool) -> Behaviour {
    let fault = Fault {
        times,
        answer,
        takes_effect,
    };
    Behaviour {
        start: Some(fault),
        ..RIGHT
    }
}

const fn poll(times: u32, answer: FaultAnswer) -> Behaviour {
    let fault = Fault {
        times,
        answer,
        takes_effect: false,
    };
    Behaviour {
        poll: Some(fault),
        ..RIGHT
    }
}

const fn outcome(outcome: Outcome) -> Behaviour {
    Behaviour { outcome, ..RIGHT }
}

const fn estimates(estimates: Estimates) -> Behaviour {
    Behaviour { estimates, ..RIGHT }
}

const fn output(output: Output) -> Behaviour {
    Behaviour { output, ..RIGHT }
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
            Self::ServiceFailed => outcome(Outcome::Fails(
                "The segment could not be exported because of an internal failure.",
            )),
            Self::PollThrottled => poll(FIRST_FEW, FaultAnswer::Throttled),
            Self::PollUnavailable => poll(FIRST_FEW, FaultAnswer::Unavailable),
            Self::PollNotFound => poll(EVERY, FaultAnswer::NotFound),
            Self::UnknownStatus => outcome(Outcome::Says("SUSPENDED")),
            Self::Denied => start(EVERY, FaultAnswer::Denied, false),
            Self::NotFound => start(EVERY, FaultAnswer::NotFound, false),
            Self::StartThrottled => start(1, FaultAnswer::Throttled, false),
            Self::StartThrottledButAccepted => start(1, FaultAnswer::Throttled, true),
            Self::LostAnswer => start(1, FaultAnswer::ConnectionCut, true),
            Self::StartUnavailable => start(1, FaultAnswer::Unavailable, false),
            Self::OutputMissing => output(Output::Missing),
            Self::OutputEmptyFile => output(Output::LastIs(Flaw::Empty)),
            Self::OutputCorrupt => output(Output::LastIs(Flaw::Truncated)),
            Self::OutputWrongFormat => output(Output::LastIs(Flaw::OtherFormat)),
            Self::LateFile => output(Output::OneLate),
            Self::Stuck => outcome(Outcome::Never),
            Self::EmptySegment => Behaviour { empty: true, ..RIGHT },
            Self::QuotaExceeded => Behaviour {
                quota_used_up: true,
                ..RIGHT
            },
            Self::EstimateOff => estimates(Estimates::Off),
            Self::EstimateFailed => estimates(Estimates::Failed),
            Self::EstimateStuck => estimates(Estimates::Running),
            Self::EstimateDenied => estimates(Estimates::Denied),
            Self::ManyFiles => Behaviour {
                least_files: MANY_FILES,
                ..RIGHT
            },
        }
    }
}
