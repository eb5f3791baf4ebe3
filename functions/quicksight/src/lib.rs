//! Dashboard snapshots of Amazon Quick Sight.
//!
//! What must stay true: the attempt key is the SnapshotJobId, so a start call that is made twice makes one job, and a
//! job whose answer was lost is found by its id; errors are told apart by the service's code, because the status 409 is
//! both a job that exists and a service that is full, and denied access is 401; a job that ended is done only when its
//! result can be read, and each requested file is in it with a place or with an error; neither a presigned link nor a
//! tag value nor a parameter value leaves this crate.
//!
//! Source of the request's constraints: the API model of 2018-04-01.

use aws_sdk_quicksight::{
    Client,
    error::{BuildError, ProvideErrorMetadata, SdkError},
    operation::{
        describe_dashboard_snapshot_job::DescribeDashboardSnapshotJobOutput,
        describe_dashboard_snapshot_job_result::DescribeDashboardSnapshotJobResultOutput,
    },
    types::{SnapshotConfiguration as SdkConfiguration, SnapshotJobStatus},
};
use chrono::{DateTime, Utc};
use landfall::{
    error::{Error, ErrorKind},
    fault::Faults,
    job::{Format, Job},
    reach::{self, Service},
    runtime::{SdkConfig, calling_once},
    service::{Aim, Found, JobService, Named, NamedResources, Observation, ServiceState, StartCall, StartError},
    store::s3::{describe, transport_kind},
};
use serde_json::Value;

pub mod functions;
pub mod request;
mod result;
mod s3_link;

use request::{Recorded, StartDashboardSnapshotJob};

/// The service.
const SERVICE: Service = Service {
    name: "Amazon Quick Sight",
    regions: "docs/kinds.md says how to look up in which regions it is",
};

/// The kind `dashboard-snapshot`.
#[derive(Clone, Debug)]
pub struct DashboardSnapshots {
    client: Client,
}

/// A job by the three ids that name it.
#[derive(Clone, Copy)]
struct Ids<'a> {
    account: &'a str,
    dashboard: &'a str,
    job: &'a str,
}

impl Ids<'_> {
    fn label(self) -> String {
        format!("snapshot job {} of dashboard {}", self.job, self.dashboard)
    }
}

impl DashboardSnapshots {
    /// The service by a client of its own.
    pub fn new(sdk: &SdkConfig) -> Self {
        Self {
            client: Client::new(&calling_once(sdk)),
        }
    }

    async fn describe(&self, ids: Ids<'_>) -> Result<DescribeDashboardSnapshotJobOutput, Error> {
        self.client
            .describe_dashboard_snapshot_job()
            .aws_account_id(ids.account)
            .dashboard_id(ids.dashboard)
            .snapshot_job_id(ids.job)
            .send()
            .await
            .map_err(|error| named_error("DescribeDashboardSnapshotJob", &ids.label(), &error))
    }

    /// The result of a job that has ended; `None` while the service does not have it.
    async fn result(&self, ids: Ids<'_>) -> Result<Option<DescribeDashboardSnapshotJobResultOutput>, Error> {
        let answer = self
            .client
            .describe_dashboard_snapshot_job_result()
            .aws_account_id(ids.account)
            .dashboard_id(ids.dashboard)
            .snapshot_job_id(ids.job)
            .send()
            .await;
        match answer {
            Ok(output) => Ok(Some(output)),
            // Which of them says that the job is not at its end is not documented.
            Err(error)
                if matches!(
                    error.code(),
                    Some("PreconditionNotMetException" | "InvalidParameterValueException")
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(named_error("DescribeDashboardSnapshotJobResult", &ids.label(), &error)),
        }
    }

    fn configuration(&self, request: &StartDashboardSnapshotJob) -> Result<SdkConfiguration, BuildError> {
        let region = self.client.config().region().map(AsRef::as_ref);
        request.sdk_snapshot(region)
    }

    /// Looks for the job that a start call has made, and makes sure that it is that call's.
    async fn look(&self, call: &StartCall<StartDashboardSnapshotJob>) -> Result<String, Error> {
        let ids = ids_of(call)?;
        let found = self.describe(ids).await?;
        let wanted = self.configuration(&call.request).map_err(|error| unbuildable(&error))?;
        match found.snapshot_configuration() {
            Some(told) if !is_same(&wanted, told) => Err(Error::new(
                ErrorKind::InvalidEvent,
                format!(
                    "{} is another one: its files or its destination differ. An id is free again 24 hours after its job \
                     has ended; send the event with Landfall.Rerun for another id",
                    ids.label()
                ),
            )),
            // The id holds a hash of the request. Without a word to the contrary it is ours.
            _ => Ok(call.attempt_key.clone()),
        }
    }

    fn call_ended_badly<E>(&self, request: &StartDashboardSnapshotJob, error: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let resource = format!("dashboard {}", request.dashboard_id);
        let mut error = named_error("StartDashboardSnapshotJob", &resource, error);
        error.message = result::without_secrets(&error.message, &request.secrets());
        error
    }
}

impl JobService for DashboardSnapshots {
    const KIND: &'static str = "dashboard-snapshot";
    // The API bounds it nowhere. A key in S3 has at most 1,024 bytes; the rest is for the names that the service gives.
    const DESTINATION_MAX: usize = 768;

    type Request = StartDashboardSnapshotJob;

    fn named_resources(detail: &Value) -> NamedResources {
        let bucket = detail.pointer(request::BUCKET);
        let member = |name: &str| bucket.and_then(|bucket| bucket.get(name)).and_then(Value::as_str);
        let destination = member("BucketName").map(|bucket| Named {
            path: request::BUCKET_PATH,
            value: format!("s3://{bucket}/{}", member("BucketPrefix").unwrap_or_default()),
        });
        NamedResources {
            destination,
            dashboard: Named::member(detail, "DashboardId", "$.detail.DashboardId"),
            ..NamedResources::default()
        }
    }

    fn check(detail: &Value, faults: &mut Faults) {
        request::check(detail, faults);
    }

    fn check_envelope(event: &Value, faults: &mut Faults) {
        request::check_envelope(event, faults);
    }

    fn aim(request: StartDashboardSnapshotJob, aim: &Aim<'_>) -> StartDashboardSnapshotJob {
        request.aimed(aim)
    }

    fn record(request: &StartDashboardSnapshotJob) -> Result<Value, Error> {
        request
            .recorded()
            .map_err(|error| Error::internal(format!("the request cannot be recorded: {error}")))
    }

    fn format(_request: &StartDashboardSnapshotJob) -> Option<Format> {
        None
    }

    async fn start(&self, call: &StartCall<StartDashboardSnapshotJob>) -> Result<String, StartError> {
        let request = &call.request;
        let build = |error: BuildError| StartError::Refused(unbuildable(&error));
        let ids = ids_of(call).map_err(StartError::Refused)?;
        let answer = self
            .client
            .start_dashboard_snapshot_job()
            .aws_account_id(ids.account)
            .dashboard_id(ids.dashboard)
            .snapshot_job_id(ids.job)
            .set_user_configuration(request.sdk_user().map_err(build)?)
            .snapshot_configuration(self.configuration(request).map_err(build)?)
            .send()
            .await;
        let error = match answer {
            Ok(_) => return Ok(call.attempt_key.clone()),
            Err(error) => error,
        };
        match error.code() {
            // An earlier call of this very attempt made it, or there is a job that has nothing to do with it.
            Some("ResourceExistsException") => self.look(call).await.map_err(|error| match error.kind {
                ErrorKind::InvalidEvent => StartError::Refused(error),
                // It exists, and is not shown yet.
                ErrorKind::NotFound => StartError::Uncertain(Error::new(ErrorKind::Unavailable, error.message)),
                _ => StartError::Uncertain(error),
            }),
            Some("LimitExceededException") => Err(StartError::Full(self.call_ended_badly(request, &error))),
            _ if reach::never_left(&error) => {
                let region = self.client.config().region().map(AsRef::as_ref);
                let resource = format!("dashboard {}", request.dashboard_id);
                let error = reach::unreachable(SERVICE, region, "StartDashboardSnapshotJob", &resource, &error);
                Err(StartError::NeverLeft(error))
            }
            _ => {
                let error = self.call_ended_badly(request, &error);
                Err(match error.kind {
                    ErrorKind::Throttled | ErrorKind::Unavailable => StartError::Uncertain(error),
                    _ => StartError::Refused(error),
                })
            }
        }
    }

    async fn find(&self, call: &StartCall<StartDashboardSnapshotJob>) -> Result<Found, Error> {
        match self.look(call).await {
            Ok(id) => Ok(Found::Started(id)),
            // The same id is used for the next call: if the job appears after all, that call meets it.
            Err(error) if error.kind == ErrorKind::NotFound => Ok(Found::Absent),
            Err(error) => Err(error),
        }
    }

    async fn poll(&self, job: &Job) -> Result<Observation, Error> {
        let request: Recorded = serde_json::from_value(job.request.clone())
            .map_err(|error| Error::internal(format!("the job's request is not of this kind: {error}")))?;
        let ids = Ids {
            account: &request.aws_account_id,
            dashboard: &request.dashboard_id,
            job: &job.service_id,
        };
        let description = self.describe(ids).await?;
        let status = description.job_status().map_or("no status", SnapshotJobStatus::as_str);
        let has_failed = match description.job_status() {
            Some(SnapshotJobStatus::Completed) => false,
            Some(SnapshotJobStatus::Failed) => true,
            // A word that is not known is no end.
            _ => return Ok(Observation::of(ServiceState::Running, status)),
        };
        let running = || Ok(Observation::of(ServiceState::Running, status));
        let told = self.result(ids).await?;
        let error = told
            .as_ref()
            .and_then(DescribeDashboardSnapshotJobResultOutput::error_info);
        let message = error.map(|error| result::error_text(error.error_type(), error.error_message()));
        let files = told
            .as_ref()
            .and_then(DescribeDashboardSnapshotJobResultOutput::result)
            .map(|told| {
                let prefix = job.output.as_ref().map(|output| &output.prefix);
                result::named_files(&request.snapshot_configuration.file_groups, told, prefix)
            });
        let state = match (has_failed, &message, &files) {
            // An error of the whole job counts whatever its status says.
            (_, Some(_), _) => ServiceState::Failed,
            (false, None, Some(_)) => ServiceState::Succeeded,
            (false, None, None) => return running(),
            (true, None, Some(_)) => ServiceState::Failed,
            // The reason may follow. A second look without one is enough: a failure does not mend.
            (true, None, None) if job.service_status.as_deref() != Some(status) => return running(),
            (true, None, None) => ServiceState::Failed,
        };
        Ok(Observation {
            message,
            files,
            // What changed last is that it ended.
            ended_at: description.last_updated_time().and_then(instant),
            ..Observation::of(state, status)
        })
    }
}

fn instant(time: &aws_smithy_types::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}

fn ids_of(call: &StartCall<StartDashboardSnapshotJob>) -> Result<Ids<'_>, Error> {
    let account = call.request.aws_account_id.as_deref();
    Ok(Ids {
        account: account.ok_or_else(|| Error::internal("the request was sent on without an account"))?,
        dashboard: &call.request.dashboard_id,
        job: &call.attempt_key,
    })
}

/// Whether two configurations ask for the same files in the same place. Parameters are left out: the service need not
/// tell them, and the id of a job holds a hash of them.
fn is_same(wanted: &SdkConfiguration, told: &SdkConfiguration) -> bool {
    let place = |configuration: &SdkConfiguration| {
        let destination = configuration.destination_configuration()?.s3_destinations().first()?;
        let bucket = destination.bucket_configuration()?;
        // Whether the service keeps a slash at the end is not documented.
        let prefix = bucket.bucket_prefix().trim_matches('/').to_owned();
        Some((
            bucket.bucket_name().to_owned(),
            prefix,
            bucket.bucket_region().to_owned(),
        ))
    };
    let files = |configuration: &SdkConfiguration| {
        let files = configuration.file_groups().iter().flat_map(|group| group.files());
        let selections = files.map(|file| {
            let selections = file.sheet_selections().iter().map(|selection| {
                let visuals = selection.visual_ids().to_vec();
                (
                    selection.sheet_id().to_owned(),
                    selection.selection_scope().clone(),
                    visuals,
                )
            });
            (file.format_type().clone(), selections.collect::<Vec<_>>())
        });
        selections.collect::<Vec<_>>()
    };
    place(wanted) == place(told) && files(wanted) == files(told)
}

fn unbuildable(error: &BuildError) -> Error {
    Error::internal(format!("the schema took a request that the SDK refuses: {error}"))
}

/// The named error of a failed call, told apart by the service's code.
fn named_error<E>(operation: &str, resource: &str, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let (kind, remedy) = match error.code() {
        Some("InvalidParameterValueException") => (
            ErrorKind::InvalidEvent,
            "correct the request; the ids of sheets and visuals are those of the published dashboard",
        ),
        Some("AccessDeniedException" | "UnrecognizedClientException" | "ExpiredTokenException") => (
            ErrorKind::Forbidden,
            "the function's role needs the quicksight action on the dashboard, and Quick Sight the bucket",
        ),
        Some("UnsupportedUserEditionException") => (
            ErrorKind::Forbidden,
            "snapshots need the Enterprise edition of Quick Sight; upgrade the account's subscription",
        ),
        Some("UnsupportedPricingPlanException") => (
            ErrorKind::Forbidden,
            "snapshots for anonymous users need capacity pricing, CSV, EXCEL and paginated PDF the Pixel-Perfect \
             Reports add-on; change the account's subscription",
        ),
        Some("ResourceNotFoundException") => (
            ErrorKind::NotFound,
            "check the account, the dashboard and the region; what became of old jobs is not documented",
        ),
        Some("LimitExceededException") => (
            ErrorKind::Busy,
            "an account runs 12 snapshot jobs at a time by default; the job waits in line",
        ),
        Some("ResourceExistsException") => (ErrorKind::Busy, "the id is in use; the call is tried again"),
        Some("PreconditionNotMetException") => (ErrorKind::Unavailable, "the job is not at its end yet"),
        Some("ThrottlingException" | "TooManyRequestsException") => (
            ErrorKind::Throttled,
            "an account has 10 calls a second; the call is tried again",
        ),
        Some("InternalFailureException" | "ServiceUnavailableException" | "RequestTimeoutException") => {
            (ErrorKind::Unavailable, "the call is tried again")
        }
        _ => match error.raw_response().map(|response| response.status().as_u16()) {
            Some(400) => (ErrorKind::InvalidEvent, "correct the request"),
            Some(401 | 403) => (ErrorKind::Forbidden, "check the function's role"),
            Some(404) => (ErrorKind::NotFound, "check the account, the dashboard and the region"),
            Some(429) => (ErrorKind::Throttled, "the call is tried again"),
            // A conflict that is not known may be a job of ours.
            Some(408 | 409 | 500..=599) => (ErrorKind::Unavailable, "the call is tried again"),
            _ => (transport_kind(error), "see the function's log"),
        },
    };
    let said = result::without_links(&describe(error));
    Error::new(kind, format!("{operation} for {resource}: {said}; {remedy}"))
}

#[cfg(test)]
mod tests;
