//! How an export service joins Landfall.
//!
//! What must stay true: all that is particular to a service is behind [`JobService`]. The steps (claim, start, adopt,
//! poll, give up) are the same for all services and are in [`crate::start`] and [`crate::poll`].

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

/// How long a call of a service may take. If the service has not answered by then, the answer counts as lost. A
/// function has 60 s and makes at most two calls.
pub const CALL_LIMIT: Duration = Duration::from_secs(20);

/// A value in the event with its JSON path, for the gate and for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// For example `$.detail.DestinationUri`.
    pub path: &'static str,
    /// The value in the event.
    pub value: String,
}

impl Named {
    /// The string member `name` of `detail`, if there is one.
    pub fn member(detail: &Value, name: &str, path: &'static str) -> Option<Self> {
        let value = detail.get(name)?.as_str()?.to_owned();
        Some(Self { path, value })
    }
}

/// The resources that a request names, for the gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedResources {
    /// `s3://bucket/prefix/`, the folder that the export is written to.
    pub destination: Option<Named>,
    /// `s3://bucket/prefix`, where the job reads.
    pub source: Option<Named>,
    /// ARN of the role that the service assumes.
    pub role: Option<Named>,
    /// ARN of the KMS key for the output.
    pub kms_key: Option<Named>,
    /// The domain of Customer Profiles whose data are exported.
    pub domain: Option<Named>,
    /// The id of the dashboard that the snapshot shows.
    pub dashboard: Option<Named>,
}

/// What Landfall fills into a request before it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim<'a> {
    /// Unique to the attempt, for services that let the caller choose the job's id.
    pub attempt_key: &'a str,
    /// The attempt's own prefix. For kinds without output it is in the ledger bucket, and nothing is written there.
    pub prefix: &'a S3Uri,
    /// The role for requests that name none.
    pub role: Option<&'a str>,
    /// The account that the event names, 12 digits.
    pub account: Option<&'a str>,
    /// The region that the function runs in, or else the region that the event names.
    pub region: Option<&'a str>,
    /// The registered user for whom the job acts.
    pub user: Option<&'a RegisteredUser>,
}

/// A start call: one that is about to be made, or one that may have been lost.
#[derive(Clone, Debug, PartialEq)]
pub struct StartCall<R> {
    /// The request with this attempt's own prefix.
    pub request: R,
    /// Unique to this attempt: the job key, followed by `-<number>` from the second attempt on.
    pub attempt_key: String,
    /// This attempt's own prefix.
    pub prefix: S3Uri,
    /// When the attempt was first claimed. No job that it made is older.
    pub claimed_at: DateTime<Utc>,
    /// When the call was over, or else when its caller cannot have been running any more. Its job may appear some time
    /// later.
    pub over_at: DateTime<Utc>,
}

/// Why a start call brought no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The service refused the call. No job was made, and the service would refuse the same call again.
    Refused(Error),
    /// The service is full, or cannot be asked now. No job was made, and the same call is made again later. The error
    /// is transient, most often `Busy`.
    Full(Error),
    /// The request never left ([`crate::reach`]). No job was made, and the same call is made again for some minutes.
    /// After that the job fails with this error.
    NeverLeft(Error),
    /// A job may have been made, because the answer was lost, or the service throttled or failed.
    Uncertain(Error),
}

/// What became of a start call whose answer was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The call made the job with this id.
    Started(String),
    /// The call made no job, so the same attempt may be started again.
    Absent,
    /// The service cannot say. So the next call needs an attempt with its own prefix.
    Unknowable,
}

/// The state of a job, as the service reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// The job has not ended, or the service uses a word that Landfall does not know.
    Running,
    /// The job ended well.
    Succeeded,
    /// The job failed.
    Failed,
}

/// What a poll saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// What the service's word means.
    pub state: ServiceState,
    /// The service's own word for the state.
    pub status: String,
    /// The service's own message.
    pub message: Option<String>,
    /// How far the work is, if the service says so.
    pub progress: Option<Progress>,
    /// The rows that the service counts, if it does.
    pub counts: Option<Counts>,
    /// The first failures that the service names. The service's crate limits how many.
    pub failures: Vec<String>,
    /// The files that the service names once the job is done.
    pub files: Option<Vec<NamedFile>>,
    /// What the service says it was asked for, compared with the request; absent if it does not say.
    pub echo: Option<Echo>,
    /// What is known of the estimate, if one was asked for.
    pub estimate: Option<Estimate>,
    /// When the job ended by the service's own clock.
    pub ended_at: Option<DateTime<Utc>>,
}

impl Observation {
    /// An observation of a state and its word alone.
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
    /// For example `segment-snapshot`.
    const KIND: &'static str;

    /// The longest destination that the service accepts, in characters.
    const DESTINATION_MAX: usize;

    /// Whether a job writes files. If it does, it needs a destination, and it succeeds only if the files were verified.
    const WRITES_OUTPUT: bool = true;

    /// Whether a job may act for a registered user of the service (`Landfall.RegisteredUser`).
    const ACTS_FOR_USERS: bool = false;

    /// Whether the service can be asked for an estimate of the rows (`Verification.Expect.SegmentEstimate`).
    const ESTIMATES: bool = false;

    /// The request of the service's API, with the API's own member names. Its JSON Schema holds each documented
    /// constraint.
    type Request: JsonSchema + Serialize + DeserializeOwned + Clone + Send + Sync;

    fn kind() -> Kind {
        Kind::new(Self::KIND)
    }

    /// What the gate checks, read from a `detail` whose other members may be wrong.
    fn named_resources(detail: &Value) -> NamedResources;

    /// Checks what the schema cannot express, in a `detail` whose other members may be wrong.
    fn check(_detail: &Value, _faults: &mut Faults) {}

    /// Checks members of `detail` that repeat or replace a part of the envelope, in an event whose other members may be
    /// wrong.
    fn check_envelope(_event: &Value, _faults: &mut Faults) {}

    /// The request to send: with the attempt's own prefix, and with what the request leaves to the deployment.
    fn aim(request: Self::Request, aim: &Aim<'_>) -> Self::Request;

    /// The request to record: without the values that the service marks as sensitive.
    fn record(request: &Self::Request) -> Result<Value, Error> {
        serde_json::to_value(request)
            .map_err(|error| Error::internal(format!("the request cannot be recorded: {error}")))
    }

    /// The format of the whole output; `None` if the service names each file with its own.
    fn format(request: &Self::Request) -> Option<Format>;

    /// Reads what the job reads, before the start call; `None` for kinds that read nothing. If it fails, the job is not
    /// started.
    fn source(
        &self,
        _store: &dyn ObjectStore,
        _request: &Self::Request,
    ) -> impl Future<Output = Result<Option<Source>, Error>> + Send {
        async { Ok(None) }
    }

    /// What the service counts a day's start calls by, such as a domain, in letters, digits, `-` and `_`; `None` for
    /// services without such a quota. A service that has one answers [`Found::Unknowable`] for each lost call, so that
    /// each call is an attempt of its own and is counted once.
    fn daily_quota_of(_request: &Self::Request) -> Option<&str> {
        None
    }

    /// Makes the start call, once. It never repeats the call, because a second call may make a second job.
    fn start(&self, call: &StartCall<Self::Request>) -> impl Future<Output = Result<String, StartError>> + Send;

    /// Asks for an estimate of the rows, for a started job whose event expects one. It cannot fail: an estimate that
    /// cannot be had says why.
    fn estimate(&self, _request: &Self::Request) -> impl Future<Output = Option<Estimate>> + Send {
        async { None }
    }

    /// Looks for the job of a start call whose answer was lost.
    fn find(&self, call: &StartCall<Self::Request>) -> impl Future<Output = Result<Found, Error>> + Send;

    /// Reads the job's state once. `user` is the registered user for whom the job acts.
    fn poll(&self, job: &Job, user: Option<&RegisteredUser>)
    -> impl Future<Output = Result<Observation, Error>> + Send;
}
