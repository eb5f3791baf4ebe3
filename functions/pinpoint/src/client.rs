//! Pinpoint's API: calls, pages, jobs, and named errors.
//!
//! What must stay true: the SDK never repeats a call. Members that the model requires may be missing from an answer,
//! because AWS's own samples lack them. The number of pages that are read is limited.

use std::{ops::ControlFlow, sync::Arc};

use aws_sdk_pinpoint::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{ExportJobResponse, ImportJobResponse, JobStatus},
};
use chrono::{DateTime, Utc};
use landfall::{
    clock::{Clock, SystemClock},
    error::{Error, ErrorKind},
    job::{Counts, Echo, Progress, is_told},
    reach::{self, Service},
    runtime::{SdkConfig, calling_once},
    service::{Observation, ServiceState, StartError},
    store::s3::{code_of, describe, transport_kind},
};

use crate::{
    errors, failures,
    retirement::{self, Answer, Judgement},
};

/// Most pages that are read. AWS does not document the default page size; an application has few jobs.
const MAX_PAGES: usize = 100;

const SERVICE: Service = Service {
    name: "Amazon Pinpoint",
    regions: "docs/kinds.md says how to look up in which regions it is",
};

/// What the functions need in addition to the SDK.
#[derive(Clone)]
pub struct Surroundings {
    /// When Pinpoint's support ends.
    pub end_of_support: DateTime<Utc>,
    pub clock: Arc<dyn Clock>,
}

impl Default for Surroundings {
    /// For deployed functions.
    fn default() -> Self {
        Self {
            end_of_support: retirement::END_OF_SUPPORT,
            clock: Arc::new(SystemClock),
        }
    }
}

/// Whether endpoints are exported or imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Export,
    Import,
}

/// What a job was asked to do, as far as the service says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Definition {
    /// `S3UrlPrefix` or `S3Url`. If it is missing, there is no definition.
    pub(crate) place: Option<String>,
    pub(crate) segment: Option<String>,
    pub(crate) segment_name: Option<String>,
    pub(crate) format: Option<String>,
    pub(crate) define_segment: Option<bool>,
    pub(crate) register_endpoints: Option<bool>,
}

/// A job as the service describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: String,
    /// The service's word for the state; empty if it is missing.
    pub(crate) status: String,
    /// `None` if it is missing or not a time.
    pub(crate) created: Option<DateTime<Utc>>,
    /// `None` if it is missing or not a time.
    completed: Option<DateTime<Utc>>,
    pub(crate) definition: Definition,
    completed_pieces: Option<i32>,
    failed_pieces: Option<i32>,
    total_pieces: Option<i32>,
    total_processed: Option<i32>,
    total_failures: Option<i32>,
    failures: Vec<String>,
}

/// Reads the members that export and import jobs share.
macro_rules! record {
    ($job:expr, $definition:expr) => {{
        let job = $job;
        Record {
            status: job.job_status().map(JobStatus::as_str).unwrap_or_default().to_owned(),
            created: job.creation_date().and_then(instant),
            completed: job.completion_date().and_then(instant),
            definition: $definition,
            completed_pieces: job.completed_pieces(),
            failed_pieces: job.failed_pieces(),
            total_pieces: job.total_pieces(),
            total_processed: job.total_processed(),
            total_failures: job.total_failures(),
            failures: failures::kept(job.failures()),
            id: job.id.unwrap_or_default(),
        }
    }};
}

impl From<ExportJobResponse> for Record {
    fn from(job: ExportJobResponse) -> Self {
        let definition = job.definition().cloned().map(|definition| Definition {
            place: definition.s3_url_prefix.filter(|place| !place.is_empty()),
            segment: definition.segment_id,
            ..Definition::default()
        });
        record!(job, definition.unwrap_or_default())
    }
}

impl From<ImportJobResponse> for Record {
    fn from(job: ImportJobResponse) -> Self {
        let definition = job.definition().cloned().map(|definition| Definition {
            place: definition.s3_url.filter(|place| !place.is_empty()),
            segment: definition.segment_id,
            segment_name: definition.segment_name,
            format: definition
                .format
                .map(|format| format.as_str().to_owned())
                .filter(|format| is_told(format)),
            define_segment: definition.define_segment,
            register_endpoints: definition.register_endpoints,
        });
        record!(job, definition.unwrap_or_default())
    }
}

fn instant(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}

impl Record {
    /// Compares the members that exports and imports share with what was asked for.
    pub(crate) fn echo_of(&self, id: &str, segment: Option<&str>) -> Echo {
        let mut echo = Echo::default();
        echo.compare("Id", Some(id), Some(self.id.as_str()));
        echo.compare("SegmentId", segment, self.definition.segment.as_deref());
        echo
    }

    /// What a poll reports.
    pub(crate) fn observation(self) -> Observation {
        let state = match self.status.as_str() {
            "COMPLETED" => ServiceState::Succeeded,
            "FAILED" => ServiceState::Failed,
            // CREATED, PREPARING_FOR_INITIALIZATION, INITIALIZING, PROCESSING, PENDING_JOB, COMPLETING and FAILING are
            // not an end, nor is an unknown word.
            _ => ServiceState::Running,
        };
        let number = |number: Option<i32>| number.and_then(|number| u64::try_from(number).ok());
        let pieces = number(self.total_pieces);
        let message = match (state, number(self.failed_pieces), pieces) {
            (ServiceState::Failed, Some(failed), Some(total)) if failed > 0 => {
                Some(format!("{failed} of {total} pieces failed"))
            }
            _ => None,
        };
        let counts = number(self.total_processed).map(|processed| Counts {
            processed,
            failed: number(self.total_failures).unwrap_or(0),
        });
        let progress = pieces.filter(|total| *total > 0).map(|total| Progress {
            done: number(self.completed_pieces).unwrap_or(0).min(total),
            total,
        });
        let status = if self.status.is_empty() {
            "no status".to_owned()
        } else {
            self.status
        };
        Observation {
            message,
            progress,
            counts,
            failures: self.failures,
            ended_at: self.completed,
            ..Observation::of(state, status)
        }
    }
}

/// How reading the pages of a list ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Walk<T> {
    /// The visitor stopped.
    Stopped(T),
    /// All jobs were read.
    Whole,
    /// The list has more pages than are read.
    CutShort,
}

/// A failed call.
#[derive(Clone, Copy, Debug)]
struct Failed<'a> {
    operation: &'static str,
    resource: &'a str,
    way: Way,
    application: &'a str,
}

/// The client, and what its errors are judged by.
#[derive(Clone)]
pub(crate) struct Pinpoint {
    pub(crate) client: Client,
    surroundings: Surroundings,
}

impl Pinpoint {
    pub(crate) fn new(sdk: &SdkConfig, surroundings: Surroundings) -> Self {
        Self {
            client: Client::new(&calling_once(sdk)),
            surroundings,
        }
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.surroundings.clock.now()
    }

    /// Reads a job by its id.
    pub(crate) async fn job(&self, way: Way, application: &str, id: &str) -> Result<Record, Error> {
        let resource = format!("job {id} of application {application}");
        let failed = |operation| Failed {
            operation,
            resource: &resource,
            way,
            application,
        };
        let record = match way {
            Way::Export => {
                let call = self.client.get_export_job().application_id(application).job_id(id);
                match call.send().await {
                    Ok(answer) => answer.export_job_response.map(Record::from),
                    Err(error) => return Err(self.named_error(failed("GetExportJob"), &error).await),
                }
            }
            Way::Import => {
                let call = self.client.get_import_job().application_id(application).job_id(id);
                match call.send().await {
                    Ok(answer) => answer.import_job_response.map(Record::from),
                    Err(error) => return Err(self.named_error(failed("GetImportJob"), &error).await),
                }
            }
        };
        Ok(record.unwrap_or_default())
    }

    /// Shows all jobs of a segment, or of an application if there is no segment, to `visit` until that stops.
    pub(crate) async fn walk<T>(
        &self,
        way: Way,
        application: &str,
        segment: Option<&str>,
        mut visit: impl FnMut(Record) -> ControlFlow<T> + Send,
    ) -> Result<Walk<T>, Error> {
        let mut token = None;
        for _ in 0..MAX_PAGES {
            let (records, next) = self.page(way, application, segment, token.clone()).await?;
            for record in records {
                if let ControlFlow::Break(found) = visit(record) {
                    return Ok(Walk::Stopped(found));
                }
            }
            match next.filter(|next| !next.is_empty()) {
                None => return Ok(Walk::Whole),
                // The service returned the same page again.
                next if next == token => return Ok(Walk::CutShort),
                next => token = next,
            }
        }
        Ok(Walk::CutShort)
    }

    async fn page(
        &self,
        way: Way,
        application: &str,
        segment: Option<&str>,
        token: Option<String>,
    ) -> Result<(Vec<Record>, Option<String>), Error> {
        let resource = match segment {
            Some(segment) => format!("segment {segment} of application {application}"),
            None => format!("application {application}"),
        };
        let failed = |operation| Failed {
            operation,
            resource: &resource,
            way,
            application,
        };
        /// Sends one of the four calls, which differ only in names.
        macro_rules! page {
            ($call:expr, $operation:literal, $body:ident) => {
                match $call.application_id(application).set_token(token).send().await {
                    Ok(answer) => {
                        let page = answer.$body;
                        let next = page.as_ref().and_then(|page| page.next_token.clone());
                        let items = page.and_then(|page| page.item).unwrap_or_default();
                        Ok((items.into_iter().map(Record::from).collect(), next))
                    }
                    Err(error) => Err(self.named_error(failed($operation), &error).await),
                }
            };
        }
        let client = &self.client;
        match (way, segment) {
            (Way::Export, Some(segment)) => {
                let call = client.get_segment_export_jobs().segment_id(segment);
                page!(call, "GetSegmentExportJobs", export_jobs_response)
            }
            (Way::Export, None) => page!(client.get_export_jobs(), "GetExportJobs", export_jobs_response),
            (Way::Import, Some(segment)) => {
                let call = client.get_segment_import_jobs().segment_id(segment);
                page!(call, "GetSegmentImportJobs", import_jobs_response)
            }
            (Way::Import, None) => page!(client.get_import_jobs(), "GetImportJobs", import_jobs_response),
        }
    }

    /// Reads a job's state: from its segment's list if it has a segment, otherwise, or if the list does not have the
    /// job, by its id.
    pub(crate) async fn look(
        &self,
        way: Way,
        application: &str,
        segment: Option<&str>,
        id: &str,
    ) -> Result<Record, Error> {
        if let Some(segment) = segment {
            let is_it = |record: Record| {
                if record.id == id {
                    ControlFlow::Break(record)
                } else {
                    ControlFlow::Continue(())
                }
            };
            if let Walk::Stopped(record) = self.walk(way, application, Some(segment), is_it).await? {
                return Ok(record);
            }
        }
        self.job(way, application, id).await
    }

    /// Why a start call brought no id.
    pub(crate) async fn start_error<E>(
        &self,
        way: Way,
        operation: &'static str,
        application: &str,
        error: &SdkError<E>,
    ) -> StartError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let resource = format!("application {application}");
        if reach::never_left(error) {
            let region = self.client.config().region().map(AsRef::as_ref);
            let mut error = reach::unreachable(SERVICE, region, operation, &resource, error);
            if let Some(gone) = retirement::of_unreachable(self.now(), self.surroundings.end_of_support) {
                error = Error::new(ErrorKind::Retired, format!("{}. {gone}", error.message));
            }
            return StartError::NeverLeft(error);
        }
        let failed = Failed {
            operation,
            resource: &resource,
            way,
            application,
        };
        let error = self.named_error(failed, error).await;
        match error.kind {
            ErrorKind::Busy => StartError::Full(error),
            ErrorKind::Throttled | ErrorKind::Unavailable => StartError::Uncertain(error),
            _ => StartError::Refused(error),
        }
    }

    /// The named error of a failed call, with its code.
    async fn named_error<E>(&self, failed: Failed<'_>, error: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.judged(failed, error).await.with_code(code_of(error))
    }

    /// What a failed call means, before and after the end of Pinpoint's support.
    async fn judged<E>(&self, failed: Failed<'_>, error: &SdkError<E>) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let text = describe(error);
        let status = error.raw_response().map(|response| response.status().as_u16());
        let answer = Answer {
            code: error.code(),
            status,
            message: error.message(),
            never_left: reach::never_left(error),
        };
        let said = format!("{} for {}: {text}", failed.operation, failed.resource);
        if answer.message.is_some_and(is_full) {
            return Error::new(
                ErrorKind::Busy,
                format!("{said}; Pinpoint runs only so many of these jobs at once: the call is made again later"),
            );
        }
        let (kind, remedy) =
            errors::named(answer.code, status).unwrap_or((transport_kind(error), "the service says no more"));
        let end = self.surroundings.end_of_support;
        let day = end.format("%Y-%m-%d");
        let instead = retirement::INSTEAD;
        match retirement::judge(answer, self.now(), end) {
            Judgement::AtItsWord => Error::new(kind, format!("{said}; {remedy}")),
            Judgement::Gone => Error::new(
                ErrorKind::Retired,
                format!(
                    "{said}; the support of Amazon Pinpoint ended on {day}, and this says that it is gone: {instead}"
                ),
            ),
            Judgement::Unclear if !answer.never_left && self.is_alive(failed).await => Error::new(
                kind,
                format!(
                    "{said}; {remedy}. The support of Amazon Pinpoint ended on {day}, but it still lists this \
                     application's jobs, so this error is taken at its word"
                ),
            ),
            Judgement::Unclear => Error::new(
                ErrorKind::Retired,
                format!(
                    "{said}; the support of Amazon Pinpoint ended on {day}, and a retired endpoint may answer so: \
                     {instead}. If Pinpoint still answers other callers of this account, then read this as {kind}: \
                     {remedy}"
                ),
            ),
        }
    }

    /// Whether Pinpoint still answers for this application: asks for its list of jobs once.
    async fn is_alive(&self, failed: Failed<'_>) -> bool {
        let application = failed.application;
        let status = match failed.way {
            // The list itself failed, and would fail again.
            _ if matches!(failed.operation, "GetExportJobs" | "GetImportJobs") => return false,
            Way::Export => {
                let call = self.client.get_export_jobs().application_id(application).page_size("1");
                call.send().await.map(drop).map_err(|error| status_of(&error))
            }
            Way::Import => {
                let call = self.client.get_import_jobs().application_id(application).page_size("1");
                call.send().await.map(drop).map_err(|error| status_of(&error))
            }
        };
        // A service that asks to slow down exists.
        matches!(status, Ok(()) | Err(Some(429)))
    }
}

fn status_of<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Whether a message says that too many jobs are running. AWS does not document its code. The text for exports is known
/// only from users' reports, and the text for imports is not known.
fn is_full(message: &str) -> bool {
    let message = message.to_lowercase();
    let has = |word: &str| message.contains(word);
    (has("concurrent") || has("active") || has("at the same time"))
        && (has("export") || has("import") || has("job"))
        && (has("limit") || has("exceed") || has("maximum"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_service_is_recognised_by_its_message() {
        for text in [
            "Maximum concurrent exports limit exceeded",
            "Maximum concurrent imports limit exceeded.",
            "You have exceeded the maximum number of active import jobs.",
        ] {
            assert!(is_full(text), "{text}");
        }
        for text in [
            "Too many requests",
            "Rate exceeded",
            "The bucket is not active",
            "limit",
        ] {
            assert!(!is_full(text), "{text}");
        }
    }

    fn record(status: &str) -> Record {
        Record {
            status: status.to_owned(),
            ..Record::default()
        }
    }

    #[test]
    fn only_completed_and_failed_end_a_job() {
        for status in [
            "CREATED",
            "PREPARING_FOR_INITIALIZATION",
            "INITIALIZING",
            "PROCESSING",
            "PENDING_JOB",
            "COMPLETING",
            "FAILING",
            "SUSPENDED",
            "",
        ] {
            assert_eq!(record(status).observation().state, ServiceState::Running, "{status}");
        }
        assert_eq!(record("COMPLETED").observation().state, ServiceState::Succeeded);
        assert_eq!(record("FAILED").observation().state, ServiceState::Failed);
    }

    #[test]
    fn missing_counters_are_left_out() {
        let early = record("CREATED").observation();
        assert_eq!((early.progress, early.counts), (None, None));
        let job = ExportJobResponse::builder()
            .job_status(JobStatus::Failed)
            .total_pieces(5)
            .completed_pieces(3)
            .failed_pieces(2)
            .total_processed(30)
            .total_failures(2)
            .failures("Invalid Address: anna@example.com")
            .build();
        let seen = Record::from(job).observation();
        assert_eq!(seen.progress, Some(Progress { done: 3, total: 5 }));
        assert_eq!(
            seen.counts,
            Some(Counts {
                processed: 30,
                failed: 2
            })
        );
        assert_eq!(seen.message.as_deref(), Some("2 of 5 pieces failed"));
        assert_eq!(seen.failures, ["Invalid Address …"]);
    }

    #[test]
    fn an_empty_answer_is_a_running_job() {
        let seen = Record::from(ImportJobResponse::builder().build()).observation();
        assert_eq!((seen.state, seen.status.as_str()), (ServiceState::Running, "no status"));
    }
}
