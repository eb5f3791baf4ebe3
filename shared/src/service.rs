//! How an export service joins Landfall.
//!
//! What must stay true: everything that is particular to a service lies behind [`JobService`]. The steps (claim, start,
//! adopt, poll, give up) are the same for all and live in [`crate::start`] and [`crate::poll`].

use std::{future::Future, time::Duration};

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    error::Error,
    fault::Faults,
    job::{Counts, Echo, Estimate, Format, Job, Kind, NamedFile, Progress, Source},
    registered::RegisteredUser,
    s3_uri::S3Uri,
    store::ObjectStore,
};

/// How long a call of a service may take; what does not answer until then is lost. A function has 60 s and makes at most two
/// calls.
pub const CALL_LIMIT: Duration = Duration::from_secs(20);

/// A value of the request and its JSON path, for the gate and for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// JSON path, such as `$.detail.DestinationUri`.
    pub path: &'static str,
    /// The value as the event has it.
    pub value: String,
}

impl Named {
    /// The string member `name` of `detail`, if it is there.
    pub fn member(detail: &Value, name: &str, path: &'static str) -> Option<Self> {
        let value = detail.get(name)?.as_str()?.to_owned();
        Some(Self { path, value })
    }
}

/// What a request names that the gate has to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedResources {
    /// `s3://bucket/prefix/` that the export is to be written beneath.
    pub destination: Option<Named>,
    /// `s3://bucket/prefix` that is read.
    pub source: Option<Named>,
    /// ARN of the role that the service assumes.
    pub role: Option<Named>,
    /// ARN of the KMS key for the output.
    pub kms_key: Option<Named>,
    /// Domain of Customer Profiles whose data are exported.
    pub domain: Option<Named>,
    /// Id of the dashboard that a snapshot is taken of.
    pub dashboard: Option<Named>,
}

/// What Landfall puts into a request before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim<'a> {
    /// Unique to the attempt, for services that take the job's id from the caller.
    pub attempt_key: &'a str,
    /// The attempt's own prefix; for kinds without output the ledger's, which nothing is written to.
    pub prefix: &'a S3Uri,
    /// The role for requests that name none.
    pub role: Option<&'a str>,
    /// The account that the event names, 12 digits.
    pub account: Option<&'a str>,
    /// The region that the function runs in; without one the region that the event names.
    pub region: Option<&'a str>,
    /// The registered user that the job acts for.
    pub user: Option<&'a RegisteredUser>,
}

/// A start call that is about to be made, or was made and may have been lost.
#[derive(Clone, Debug, PartialEq)]
pub struct StartCall<R> {
    /// The request, aimed at this attempt's own prefix.
    pub request: R,
    /// Unique to this attempt: the job key, with `-<number>` from the second attempt on.
    pub attempt_key: String,
    /// This attempt's own prefix.
    pub prefix: S3Uri,
    /// When the attempt was first claimed: no job of it is older.
    pub claimed_at: DateTime<Utc>,
    /// When the call was over, or its caller cannot have been at it any more: a job may appear some time after.
    pub over_at: DateTime<Utc>,
}

/// Why a start call brought no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The service refused: no job was made, and the same call will be refused again.
    Refused(Error),
    /// The service is full, or does not let us ask right now: no job was made, and the same call is made again later. The
    /// error is transient, mostly `Busy`.
    Full(Error),
    /// The request never left ([`crate::reach`]): no job was made, and the same call is made again for some minutes. The
    /// error is what the job then fails with.
    NeverLeft(Error),
    /// A job may have been made: the answer was lost, or the service throttled or failed.
    Uncertain(Error),
}

/// What became of a start call whose answer was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It made the job with this id.
    Started(String),
    /// It made none, and the same attempt may be started.
    Absent,
    /// The service cannot say: the next attempt needs a prefix of its own.
    Unknowable,
}

/// The state of a job as the service tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// Not ended, or a word that Landfall does not know.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
}

/// What one poll saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// What the word means.
    pub state: ServiceState,
    /// The service's own word.
    pub status: String,
    /// The service's own message.
    pub message: Option<String>,
    /// How far the work is.
    pub progress: Option<Progress>,
    /// Rows, where the service counts them.
    pub counts: Option<Counts>,
    /// The first failures that the service names, bounded by the service's crate.
    pub failures: Vec<String>,
    /// The files that the service names, once it is done.
    pub files: Option<Vec<NamedFile>>,
    /// What the service says that it was asked for, held against the request; absent where it does not say.
    pub echo: Option<Echo>,
    /// What is known of the estimate that was asked for.
    pub estimate: Option<Estimate>,
    /// When it ended by the service's own clock.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Observation {
    /// A state with nothing but its word.
    pub fn of(state: ServiceState, status: impl Into<String>) -> Self {
        let status = status.into();
        Self {
            state,
            status,
            message: None,
            progress: None,
            counts: None,
            failures: Vec::new(),
            files: None,
            echo: None,
            estimate: None,
            ended_at: None,
        }
    }
}

/// A service that runs export jobs of one kind.
pub trait JobService: Send + Sync {
    /// The kind's name, such as `segment-snapshot`.
    const KIND: &'static str;

    /// Longest destination that the service takes, in characters.
    const DESTINATION_MAX: usize;

    /// Whether a job writes files: then it needs a destination, and success means that they were verified.
    const WRITES_OUTPUT: bool = true;

    /// Whether a job may act for a registered user of the service (`Landfall.RegisteredUser`).
    const ACTS_FOR_USERS: bool = false;

    /// Whether the service can be asked for an estimate of the rows (`Verification.Expect.SegmentEstimate`).
    const ESTIMATES: bool = false;

    /// The API's request, in its own member names; its JSON Schema holds every documented constraint.
    type Request: JsonSchema + Serialize + DeserializeOwned + Clone + Send + Sync;

    fn kind() -> Kind {
        Kind::new(Self::KIND)
    }

    /// What the gate has to see, read from a `detail` that may be wrong elsewhere.
    fn named_resources(detail: &Value) -> NamedResources;

    /// Rules that the schema cannot express, on a `detail` that may be wrong elsewhere.
    fn check(_detail: &Value, _faults: &mut Faults) {}

    /// Rules about members of `detail` that repeat or replace a part of the envelope, on an event that may be wrong
    /// elsewhere.
    fn check_envelope(_event: &Value, _faults: &mut Faults) {}

    /// The request as it is sent: with the attempt's own prefix, and with what it leaves to the deployment.
    fn aim(request: Self::Request, aim: &Aim<'_>) -> Self::Request;

    /// The request as it may be recorded: without what the service marks as sensitive.
    fn record(request: &Self::Request) -> Result<Value, Error> {
        serde_json::to_value(request)
            .map_err(|error| Error::internal(format!("the request cannot be recorded: {error}")))
    }

    /// The format of the whole output; `None` where the service names each file with its own.
    fn format(request: &Self::Request) -> Option<Format>;

    /// What the job reads, checked before the start call; `None` for kinds that read nothing. An error is a refusal.
    fn source(
        &self,
        _store: &dyn ObjectStore,
        _request: &Self::Request,
    ) -> impl Future<Output = Result<Option<Source>, Error>> + Send {
        async { Ok(None) }
    }

    /// What a daily quota of start calls is of, such as a domain, in letters, digits, `-` and `_`; `None` for services
    /// that have none. A service that has one answers every lost call with [`Found::Unknowable`], so that each call is
    /// an attempt of its own and counts as one.
    fn daily_quota_of(_request: &Self::Request) -> Option<&str> {
        None
    }

    /// Makes the one start call. Never tries again by itself: a second call may make a second job.
    fn start(&self, call: &StartCall<Self::Request>) -> impl Future<Output = Result<String, StartError>> + Send;

    /// Asks for an estimate of the rows of a job that was started, whose event expects one. It never fails: an estimate
    /// that cannot be had says why.
    fn estimate(&self, _request: &Self::Request) -> impl Future<Output = Option<Estimate>> + Send {
        async { None }
    }

    /// Looks for the job of a start call whose answer was lost.
    fn find(&self, call: &StartCall<Self::Request>) -> impl Future<Output = Result<Found, Error>> + Send;

    /// Reads the job's state once. `user` is the registered user that the event has the job act for.
    fn poll(&self, job: &Job, user: Option<&RegisteredUser>)
    -> impl Future<Output = Result<Observation, Error>> + Send;
}
