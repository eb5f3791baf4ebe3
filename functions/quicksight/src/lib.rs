//! Dashboard snapshots of Amazon Quick Sight.
//!
//! What must stay true:
//! * The attempt key is the SnapshotJobId. So a start call that is made twice makes one job, and a job whose answer was
//!   lost is found by its id.
//! * Errors are told apart by the service's code. The status alone does not suffice: 409 means both an existing job and
//!   a full service, and denied access is 401.
//! * A job is done only when its result can be read. Each requested file is in the result, with a URI or with an error.
//! * No presigned link, tag value, parameter value, and no name or address of a user leaves this crate.
//!
//! A job for an anonymous reader is started and polled with the function's own role. A job for a registered user is
//! started and polled in sessions that act for that user ([`session`]), because Quick Sight shows the job to nobody
//! else.
//!
//! The constraints of the request come from the API model of 2018-04-01.

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
    reach,
    registered::RegisteredUser,
    runtime::{SdkConfig, calling_once},
    service::{Aim, Found, JobService, Named, NamedResources, Observation, ServiceState, StartCall, StartError},
};
use serde_json::Value;

mod echo;
pub mod errors;
pub mod functions;
mod ids;
pub mod request;
mod result;
mod s3_link;
mod session;
mod text;

use errors::SERVICE;
use ids::Ids;
use request::{Recorded, StartDashboardSnapshotJob, rules};
use session::{NoSession, Sessions};

#[derive(Clone, Debug)]
pub struct DashboardSnapshots {
    client: Client,
    sessions: Sessions,
}

/// A client for the reader whom a job is for.
struct Reader {
    client: Client,
    is_registered: bool,
}

impl Reader {
    fn error<E>(&self, operation: &str, resource: &str, error: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let tables: &[_] = match self.is_registered {
            true => &[errors::OF_REGISTERED_USERS, errors::OF_SNAPSHOTS],
            false => &[errors::OF_SNAPSHOTS],
        };
        errors::named(operation, resource, tables, error)
    }

    async fn describe(&self, ids: Ids<'_>) -> Result<DescribeDashboardSnapshotJobOutput, Error> {
        self.client
            .describe_dashboard_snapshot_job()
            .aws_account_id(ids.account)
            .dashboard_id(ids.dashboard)
            .snapshot_job_id(ids.job)
            .send()
            .await
            .map_err(|error| self.error("DescribeDashboardSnapshotJob", &ids.label(), &error))
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
            // AWS does not document which of them says that the job has not ended.
            Err(error)
                if matches!(
                    error.code(),
                    Some("PreconditionNotMetException" | "InvalidParameterValueException")
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(self.error("DescribeDashboardSnapshotJobResult", &ids.label(), &error)),
        }
    }
}

impl DashboardSnapshots {
    /// Makes its own clients. `session_role` is the role that is assumed to act for a registered user.
    pub fn new(sdk: &SdkConfig, session_role: Option<String>) -> Self {
        let sdk = calling_once(sdk);
        Self {
            client: Client::new(&sdk),
            sessions: Sessions::new(&sdk, session_role),
        }
    }

    /// A client with our own role or, if there is a registered user, in a session of that user.
    async fn reader(&self, ids: Ids<'_>, user: Option<&RegisteredUser>) -> Result<Reader, NoSession> {
        let Some(user) = user else {
            return Ok(Reader {
                client: self.client.clone(),
                is_registered: false,
            });
        };
        // Boxed, because the futures of two clients' calls are large.
        let session = Box::pin(self.sessions.credentials(ids.account, user, ids.job)).await?;
        let config = self.client.config().to_builder().credentials_provider(session);
        Ok(Reader {
            client: Client::from_conf(config.build()),
            is_registered: true,
        })
    }

    fn configuration(&self, request: &StartDashboardSnapshotJob) -> Result<SdkConfiguration, BuildError> {
        let region = self.client.config().region().map(AsRef::as_ref);
        request.sdk_snapshot(region)
    }

    /// Finds the job that a start call made, and checks that it belongs to that call.
    async fn look(&self, reader: &Reader, call: &StartCall<StartDashboardSnapshotJob>) -> Result<String, Error> {
        let ids = ids_of(call)?;
        let found = reader.describe(ids).await?;
        let wanted = self.configuration(&call.request).map_err(|error| unbuildable(&error))?;
        match found.snapshot_configuration() {
            Some(told) if !echo::differences(&wanted, told).is_empty() => Err(Error::new(
                ErrorKind::InvalidEvent,
                format!(
                    "{} is another job: its files or its destination differ. An id is free again 24 hours after its job has \
                     ended; send the event with Landfall.Rerun for another id",
                    ids.label()
                ),
            )),
            // The id holds a hash of the request, so the job is ours unless its configuration differs.
            _ => Ok(call.attempt_key.clone()),
        }
    }

    fn call_ended_badly<E>(&self, reader: &Reader, request: &StartDashboardSnapshotJob, error: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let resource = format!("dashboard {}", request.dashboard_id);
        let mut error = reader.error("StartDashboardSnapshotJob", &resource, error);
        error.message = text::without_secrets(&error.message, &request.secrets());
        error
    }
}

impl JobService for DashboardSnapshots {
    const KIND: &'static str = "dashboard-snapshot";
    // The API sets no limit. A key in S3 has at most 1,024 bytes, and the service adds names of its own.
    const DESTINATION_MAX: usize = 768;
    const ACTS_FOR_USERS: bool = true;

    type Request = StartDashboardSnapshotJob;

    fn named_resources(detail: &Value) -> NamedResources {
        let bucket = detail.pointer(rules::BUCKET);
        let member = |name: &str| bucket.and_then(|bucket| bucket.get(name)).and_then(Value::as_str);
        let destination = member("BucketName").map(|bucket| Named {
            path: rules::BUCKET_PATH,
            value: format!("s3://{bucket}/{}", member("BucketPrefix").unwrap_or_default()),
        });
        NamedResources {
            destination,
            dashboard: Named::member(detail, "DashboardId", "$.detail.DashboardId"),
            ..NamedResources::default()
        }
    }

    fn check(detail: &Value, faults: &mut Faults) {
        rules::check(detail, faults);
    }

    fn check_envelope(event: &Value, faults: &mut Faults) {
        rules::check_envelope(event, faults);
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
        let user = request.registered_user.as_ref();
        let reader = self
            .reader(ids, user)
            .await
            .map_err(|NoSession { error, never_left }| {
                // A session makes no job, so no error here leaves one.
                match error.kind {
                    _ if never_left => StartError::NeverLeft(error),
                    kind if kind.is_transient() => StartError::Full(error),
                    _ => StartError::Refused(error),
                }
            })?;
        let answer = reader
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
            // An earlier call of this attempt made the job, or the id belongs to another job.
            Some("ResourceExistsException") => self.look(&reader, call).await.map_err(|error| match error.kind {
                ErrorKind::InvalidEvent => StartError::Refused(error),
                // The job exists, but the service does not show it yet.
                ErrorKind::NotFound => StartError::Uncertain(Error::new(ErrorKind::Unavailable, error.message)),
                _ => StartError::Uncertain(error),
            }),
            Some("LimitExceededException") => Err(StartError::Full(self.call_ended_badly(&reader, request, &error))),
            _ if reach::never_left(&error) => {
                let region = self.client.config().region().map(AsRef::as_ref);
                let resource = format!("dashboard {}", request.dashboard_id);
                let error = reach::unreachable(SERVICE, region, "StartDashboardSnapshotJob", &resource, &error);
                Err(StartError::NeverLeft(error))
            }
            _ => {
                let error = self.call_ended_badly(&reader, request, &error);
                Err(match error.kind {
                    ErrorKind::Throttled | ErrorKind::Unavailable => StartError::Uncertain(error),
                    _ => StartError::Refused(error),
                })
            }
        }
    }

    async fn find(&self, call: &StartCall<StartDashboardSnapshotJob>) -> Result<Found, Error> {
        let user = call.request.registered_user.as_ref();
        let reader = self.reader(ids_of(call)?, user).await.map_err(|none| none.error)?;
        match self.look(&reader, call).await {
            Ok(id) => Ok(Found::Started(id)),
            // The next call uses the same id. If the job appears after all, that call finds it.
            Err(error) if error.kind == ErrorKind::NotFound => Ok(Found::Absent),
            Err(error) => Err(error),
        }
    }

    async fn poll(&self, job: &Job, user: Option<&RegisteredUser>) -> Result<Observation, Error> {
        let request: Recorded = serde_json::from_value(job.request.clone())
            .map_err(|error| Error::internal(format!("the job's request is not of this kind: {error}")))?;
        let ids = Ids {
            account: &request.aws_account_id,
            dashboard: &request.dashboard_id,
            job: &job.service_id,
        };
        let user = user_of(&request, user)?;
        let reader = self.reader(ids, user.as_ref()).await.map_err(|none| none.error)?;
        let description = reader.describe(ids).await?;
        let echo = Some(echo::of(&request, ids, &description));
        let status = description.job_status().map_or("no status", SnapshotJobStatus::as_str);
        let has_failed = match description.job_status() {
            Some(SnapshotJobStatus::Completed) => false,
            Some(SnapshotJobStatus::Failed) => true,
            // An unknown word does not mean that the job has ended.
            _ => return Ok(Observation::of(ServiceState::Running, status)),
        };
        let running = || Ok(Observation::of(ServiceState::Running, status));
        let told = reader.result(ids).await?;
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
            // An error of the whole job counts, whatever its status says.
            (_, Some(_), _) => ServiceState::Failed,
            (false, None, Some(_)) => ServiceState::Succeeded,
            (false, None, None) => return running(),
            (true, None, Some(_)) => ServiceState::Failed,
            // The reason may come later. Wait for one more poll: a failure stays one.
            (true, None, None) if job.service_status.as_deref() != Some(status) => return running(),
            (true, None, None) => ServiceState::Failed,
        };
        Ok(Observation {
            message,
            files,
            echo,
            // The last update of an ended job is its end.
            ended_at: description.last_updated_time().and_then(instant),
            ..Observation::of(state, status)
        })
    }
}

fn instant(time: &aws_smithy_types::DateTime) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.secs(), time.subsec_nanos())
}

/// The registered user for whom a job acts: the event's, which the record must not contradict.
fn user_of(request: &Recorded, said: Option<&RegisteredUser>) -> Result<Option<RegisteredUser>, Error> {
    let Some(recorded) = &request.registered_user else {
        return match said {
            None => Ok(None),
            Some(_) => Err(Error::internal(
                "the event acts for a registered user, and the job was started for none",
            )),
        };
    };
    match (&recorded.user_arn, said) {
        (None, None) => Err(Error::internal(
            "the job acts for a user whose name is not recorded, and the event that says it was not handed over",
        )),
        (Some(arn), Some(said)) if said.user_arn.as_ref() != Some(arn) => Err(Error::new(
            ErrorKind::Forbidden,
            "the job was started for another registered user than the event says",
        )),
        (_, Some(said)) => Ok(Some(said.clone())),
        (Some(arn), None) => Ok(Some(RegisteredUser {
            user_arn: Some(arn.clone()),
            ..RegisteredUser::default()
        })),
    }
}

fn ids_of(call: &StartCall<StartDashboardSnapshotJob>) -> Result<Ids<'_>, Error> {
    let account = call.request.aws_account_id.as_deref();
    Ok(Ids {
        account: account.ok_or_else(|| Error::internal("the request was sent on without an account"))?,
        dashboard: &call.request.dashboard_id,
        job: &call.attempt_key,
    })
}

fn unbuildable(error: &BuildError) -> Error {
    Error::internal(format!("the schema took a request that the SDK refuses: {error}"))
}

#[cfg(test)]
mod tests;
