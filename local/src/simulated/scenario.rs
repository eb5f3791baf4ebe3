//! What goes wrong in a simulated run.
//!
//! What must stay true: a scenario is one entry of `Scenario::spec`, made of the few parts of `Behaviour` that
//! every simulated service obeys. No service asks which scenario it plays.

use std::{fmt, str::FromStr};

/// A way in which a simulated service behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scenario {
    /// All goes well.
    #[default]
    Success,
    /// The job ends as failed, with a part of its files written.
    ServiceFailed,
    /// The first polls of each job are throttled.
    PollThrottled,
    /// The first polls of each job meet a server error.
    PollUnavailable,
    /// The service has forgotten the job when it is polled.
    PollNotFound,
    /// The job ends in a status that no model knows.
    UnknownStatus,
    /// Starting is denied.
    Denied,
    /// What is to be exported does not exist.
    NotFound,
    /// The first start is throttled and makes no job.
    StartThrottled,
    /// The first start is answered as throttled although it made a job.
    StartThrottledButAccepted,
    /// The first start makes a job, then its connection breaks.
    LostAnswer,
    /// The first start meets a server error and makes no job.
    StartUnavailable,
    /// The job completes and no data file lands.
    OutputMissing,
    /// One data file has no bytes.
    OutputEmptyFile,
    /// One data file ends in the middle.
    OutputCorrupt,
    /// One data file is of another format than asked for.
    OutputWrongFormat,
    /// One more data file lands after the job completed.
    LateFile,
    /// The job never ends.
    Stuck,
    /// Nothing matches: the job completes with no rows.
    EmptySegment,
    /// The day's quota is used up.
    QuotaExceeded,
    /// The job writes more data files than one invocation of verify-output reads.
    ManyFiles,
}

/// How many data files [`Scenario::ManyFiles`] writes: two batches of a verification.
pub const MANY_FILES: u64 = 1_200;

/// How a service behaves, in parts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behaviour {
    /// The first starts, counted over the life of the service.
    pub(crate) start: Option<Fault>,
    /// The first polls of each job.
    pub(crate) poll: Option<Fault>,
    /// How jobs end.
    pub(crate) outcome: Outcome,
    /// What lands.
    pub(crate) output: Output,
    /// Nothing matches what is to be exported.
    pub(crate) empty: bool,
    /// No job is left in the day's quota.
    pub(crate) quota_used_up: bool,
    /// How many data files a job writes at least, with a row in each.
    pub(crate) least_files: u64,
}

/// An answer that calls get instead of the right one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// How many calls; those after them succeed.
    pub(crate) times: u32,
    /// What they are answered.
    pub(crate) answer: FaultAnswer,
    /// Whether the call has its effect all the same.
    pub(crate) takes_effect: bool,
}

/// What a caller gets instead of the right answer. Each service says it in its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultAnswer {
    Denied,
    NotFound,
    Throttled,
    Unavailable,
    ConnectionCut,
}

/// How a job ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
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
pub(crate) enum Output {
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
pub(crate) enum Flaw {
    None,
    Empty,
    Truncated,
    OtherFormat,
}

const EVERY: u32 = u32::MAX;
/// Fewer polls than any sensible retry policy gives up after.
const FIRST_FEW: u32 = 3;

const RIGHT: Behaviour = Behaviour {
    start: None,
    poll: None,
    outcome: Outcome::Completes,
    output: Output::Whole,
    empty: false,
    quota_used_up: false,
    least_files: 1,
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

const fn output(output: Output) -> Behaviour {
    Behaviour { output, ..RIGHT }
}

impl Scenario {
    /// Every scenario, in the order of the help.
    pub const ALL: &'static [Self] = &[
        Self::Success,
        Self::ServiceFailed,
        Self::PollThrottled,
        Self::PollUnavailable,
        Self::PollNotFound,
        Self::UnknownStatus,
        Self::Denied,
        Self::NotFound,
        Self::StartThrottled,
        Self::StartThrottledButAccepted,
        Self::LostAnswer,
        Self::StartUnavailable,
        Self::OutputMissing,
        Self::OutputEmptyFile,
        Self::OutputCorrupt,
        Self::OutputWrongFormat,
        Self::LateFile,
        Self::Stuck,
        Self::EmptySegment,
        Self::QuotaExceeded,
        Self::ManyFiles,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        self.spec().0
    }

    /// One line for the help.
    pub const fn description(self) -> &'static str {
        self.spec().1
    }

    pub(crate) const fn behaviour(self) -> Behaviour {
        self.spec().2
    }

    /// Name, description and behaviour: all that a scenario is.
    const fn spec(self) -> (&'static str, &'static str, Behaviour) {
        match self {
            Self::Success => ("success", "all goes well", RIGHT),
            Self::ServiceFailed => (
                "service-failed",
                "the job ends as FAILED with a status message and a part of its files",
                outcome(Outcome::Fails(
                    "The segment could not be exported because of an internal failure.",
                )),
            ),
            Self::PollThrottled => (
                "poll-throttled",
                "the first 3 polls of each job are throttled (429), later ones succeed",
                poll(FIRST_FEW, FaultAnswer::Throttled),
            ),
            Self::PollUnavailable => (
                "poll-unavailable",
                "the first 3 polls of each job meet a server error (500), later ones succeed",
                poll(FIRST_FEW, FaultAnswer::Unavailable),
            ),
            Self::PollNotFound => (
                "poll-not-found",
                "the service no longer knows the job when it is polled (404)",
                poll(EVERY, FaultAnswer::NotFound),
            ),
            Self::UnknownStatus => (
                "unknown-status",
                "the job ends in a status that is not in the service's model",
                outcome(Outcome::Says("SUSPENDED")),
            ),
            Self::Denied => (
                "denied",
                "starting is denied (403)",
                start(EVERY, FaultAnswer::Denied, false),
            ),
            Self::NotFound => (
                "not-found",
                "the domain does not exist (404)",
                start(EVERY, FaultAnswer::NotFound, false),
            ),
            Self::StartThrottled => (
                "start-throttled",
                "the first start is throttled (429) and makes no job",
                start(1, FaultAnswer::Throttled, false),
            ),
            Self::StartThrottledButAccepted => (
                "start-throttled-but-accepted",
                "the first start is answered 429 although it made a job",
                start(1, FaultAnswer::Throttled, true),
            ),
            Self::LostAnswer => (
                "lost-answer",
                "the first start makes a job, then the connection breaks before the answer",
                start(1, FaultAnswer::ConnectionCut, true),
            ),
            Self::StartUnavailable => (
                "start-unavailable",
                "the first start meets a server error (500) and makes no job",
                start(1, FaultAnswer::Unavailable, false),
            ),
            Self::OutputMissing => (
                "output-missing",
                "the job completes, but only its test file lands",
                output(Output::Missing),
            ),
            Self::OutputEmptyFile => (
                "output-empty-file",
                "the last data file has 0 bytes",
                output(Output::LastIs(Flaw::Empty)),
            ),
            Self::OutputCorrupt => (
                "output-corrupt",
                "the last data file ends in the middle",
                output(Output::LastIs(Flaw::Truncated)),
            ),
            Self::OutputWrongFormat => (
                "output-wrong-format",
                "the last data file has another format than asked for",
                output(Output::LastIs(Flaw::OtherFormat)),
            ),
            Self::LateFile => (
                "late-file",
                "one more data file lands 1 s after completion was first told",
                output(Output::OneLate),
            ),
            Self::Stuck => ("stuck", "the job never ends", outcome(Outcome::Never)),
            Self::EmptySegment => (
                "empty-segment",
                "nothing matches: one data file without rows",
                Behaviour { empty: true, ..RIGHT },
            ),
            Self::QuotaExceeded => (
                "quota-exceeded",
                "the day's quota is used up: every start is throttled (429)",
                Behaviour {
                    quota_used_up: true,
                    ..RIGHT
                },
            ),
            Self::ManyFiles => (
                "many-files",
                "1,200 small data files land, which are verified in batches; takes a minute or two",
                Behaviour {
                    least_files: MANY_FILES,
                    ..RIGHT
                },
            ),
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no scenario has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownScenario(String);

impl fmt::Display for UnknownScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no scenario is called {:?}; there are", self.0)?;
        for (i, scenario) in Scenario::ALL.iter().enumerate() {
            write!(f, "{} {scenario}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
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
            assert!(scenario.name().chars().all(|c| c.is_ascii_lowercase() || c == '-'));
            assert_eq!(scenario.name().replace('-', ""), format!("{scenario:?}").to_lowercase());
            assert!(!Scenario::ALL[..i].contains(scenario));
            assert!(!scenario.description().contains('\n') && scenario.description().len() < 100);
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_all_names() {
        let error = "sucess".parse::<Scenario>().unwrap_err().to_string();
        assert!(error.starts_with("no scenario is called \"sucess\"; there are success, service-failed"));
        assert!(error.ends_with("many-files"));
    }
}
