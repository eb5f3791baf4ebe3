//! Endpoint exports.
//!
//! What must stay true: only the request of one attempt has its prefix, so a job with this prefix is ours. If two jobs
//! have the same prefix, nothing is sealed, because their files mix.

use std::fmt;

use aws_sdk_pinpoint::types;
use landfall::{
    error::{Error, ErrorKind},
    fault::Faults,
    job::{Format, Job},
    registered::RegisteredUser,
    runtime::SdkConfig,
    s3_uri::S3Uri,
    service::{Aim, Found, JobService, Named, NamedResources, Observation, StartCall, StartError},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    client::{Definition, Pinpoint, Surroundings, Way},
    lost,
};

/// The request of CreateExportJob, as AWS documents it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateExportJob {
    /// The application's identifier; the console calls it project ID.
    // The model has no constraint. All ids that AWS shows have 32 hex digits; placeholders and ARNs are not ids.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-zA-Z0-9_-]+$"))]
    pub application_id: String,
    /// The settings of the job.
    pub export_job_request: ExportJobRequest,
}

/// The settings of an export job.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ExportJobRequest {
    /// ARN of the role that Pinpoint assumes for S3. The deployment's export role when absent.
    #[schemars(length(max = 512), regex(pattern = r"^arn:aws[a-z-]*:iam:.*:[0-9]+:.*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The S3 folder for the export, `s3://bucket-name/folder-name/`. The deployment's default destination when absent.
    #[schemars(length(min = 1, max = 900))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3_url_prefix: Option<String>,
    /// The segment to export. All endpoints of the application when absent.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-zA-Z0-9_-]+$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_id: Option<String>,
    /// The version of the segment. The current one when absent.
    #[schemars(range(min = 1, max = 2_147_483_647))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_version: Option<i32>,
}

impl fmt::Debug for ExportJobRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let segment = self.segment_id.as_deref().unwrap_or("all endpoints");
        write!(f, "ExportJobRequest({segment})")
    }
}

#[derive(Clone)]
pub struct EndpointExports {
    pinpoint: Pinpoint,
}

impl EndpointExports {
    /// For deployed functions.
    pub fn new(sdk: &SdkConfig) -> Self {
        Self::within(sdk, Surroundings::default())
    }

    /// For tests, which set the clock and the end of support.
    pub fn within(sdk: &SdkConfig, surroundings: Surroundings) -> Self {
        Self {
            pinpoint: Pinpoint::new(sdk, surroundings),
        }
    }
}

impl JobService for EndpointExports {
    const KIND: &'static str = "endpoint-export";
    /// The model has no limit. A key in S3 has at most 1,024 bytes, and Pinpoint adds names of its own to the prefix.
    const DESTINATION_MAX: usize = 900;

    type Request = CreateExportJob;

    fn named_resources(detail: &Value) -> NamedResources {
        let request = detail.get("ExportJobRequest").unwrap_or(&Value::Null);
        NamedResources {
            destination: Named::member(request, "S3UrlPrefix", "$.detail.ExportJobRequest.S3UrlPrefix"),
            role: Named::member(request, "RoleArn", "$.detail.ExportJobRequest.RoleArn"),
            ..NamedResources::default()
        }
    }

    fn check(detail: &Value, faults: &mut Faults) {
        let member = |name: &str| {
            detail
                .pointer(&format!("/ExportJobRequest/{name}"))
                .filter(|value| !value.is_null())
        };
        if let (Some(version), None) = (member("SegmentVersion"), member("SegmentId")) {
            faults.add(
                "$.detail.ExportJobRequest.SegmentVersion",
                version,
                "is the version of a segment: name its SegmentId too",
            );
        }
    }

    fn aim(mut request: CreateExportJob, aim: &Aim<'_>) -> CreateExportJob {
        let settings = &mut request.export_job_request;
        settings.s3_url_prefix = Some(aim.prefix.to_string());
        settings.role_arn = settings.role_arn.take().or_else(|| aim.role.map(str::to_owned));
        request
    }

    fn format(_request: &CreateExportJob) -> Option<Format> {
        Some(Format::JsonlGzip)
    }

    async fn start(&self, call: &StartCall<CreateExportJob>) -> Result<String, StartError> {
        let application = &call.request.application_id;
        let request = &call.request.export_job_request;
        if request.role_arn.is_none() {
            return Err(StartError::Refused(no_role("$.detail.ExportJobRequest.RoleArn")));
        }
        let settings = types::ExportJobRequest::builder()
            .set_role_arn(request.role_arn.clone())
            .set_s3_url_prefix(request.s3_url_prefix.clone())
            .set_segment_id(request.segment_id.clone())
            .set_segment_version(request.segment_version)
            .build();
        let answer = self
            .pinpoint
            .client
            .create_export_job()
            .application_id(application)
            .export_job_request(settings)
            .send()
            .await;
        match answer {
            Ok(started) => id_of(started.export_job_response.and_then(|job| job.id), "CreateExportJob"),
            Err(error) => {
                let way = Way::Export;
                Err(self
                    .pinpoint
                    .start_error(way, "CreateExportJob", application, &error)
                    .await)
            }
        }
    }

    async fn find(&self, call: &StartCall<CreateExportJob>) -> Result<Found, Error> {
        let request = &call.request;
        let segment = request.export_job_request.segment_id.as_deref();
        let has_our_prefix = |definition: &Definition| is_at(definition, &call.prefix);
        let application = &request.application_id;
        let way = Way::Export;
        let claimed_at = call.claimed_at;
        let found = lost::search(
            &self.pinpoint,
            way,
            application,
            segment,
            claimed_at,
            true,
            has_our_prefix,
        )
        .await?;
        match found.fitting.as_slice() {
            [id] => Ok(Found::Started(id.clone())),
            // The files of two jobs are mixed under one prefix. The next attempt has its own prefix.
            [_, _, ..] => Ok(Found::Unknowable),
            [] if found.cut_short || !found.unclear.is_empty() => Ok(Found::Unknowable),
            [] => {
                lost::wait_for_lists(self.pinpoint.now(), call.over_at)?;
                // If the job is listed later after all, its files must not mix with those of the next call.
                Ok(Found::Unknowable)
            }
        }
    }

    async fn poll(&self, job: &Job, _: Option<&RegisteredUser>) -> Result<Observation, Error> {
        let request: CreateExportJob = serde_json::from_value(job.request.clone())
            .map_err(|error| Error::internal(format!("the job's request is not of this kind: {error}")))?;
        let segment = request.export_job_request.segment_id.as_deref();
        let application = &request.application_id;
        let look = self.pinpoint.look(Way::Export, application, segment, &job.service_id);
        let record = look.await?;
        let mut echo = record.echo_of(&job.service_id, segment);
        if let (Some(output), Some(_)) = (&job.output, &record.definition.place) {
            echo.note("S3UrlPrefix", is_at(&record.definition, &output.prefix));
        }
        Ok(Observation {
            echo: Some(echo),
            ..record.observation()
        })
    }
}

/// Whether a job writes to this prefix. The service may return the prefix without its last slash.
fn is_at(definition: &Definition, prefix: &S3Uri) -> bool {
    let without_slash = |text: &str| text.trim_end_matches('/').to_owned();
    definition
        .place
        .as_deref()
        .is_some_and(|place| without_slash(place) == without_slash(&prefix.to_string()))
}

/// The id of a started job. An answer without an id counts as lost.
pub(crate) fn id_of(id: Option<String>, operation: &str) -> Result<String, StartError> {
    id.filter(|id| !id.is_empty()).ok_or_else(|| {
        StartError::Uncertain(Error::new(
            ErrorKind::Unavailable,
            format!("{operation} succeeded, but its answer names no job; it is looked for"),
        ))
    })
}

/// The refusal of a request if neither it nor the deployment names a role.
pub(crate) fn no_role(path: &str) -> Error {
    Error::new(
        ErrorKind::InvalidEvent,
        format!(
            "{path} is missing and the deployment has no default: Pinpoint needs a role. Name one, or set \
             LANDFALL_DEFAULT_ROLE_ARN of the start function"
        ),
    )
}

#[cfg(test)]
mod tests {
    use landfall::event::parse;
    use serde_json::json;

    use super::*;

    fn event(detail: &Value) -> Value {
        json!({
            "version": "0", "id": "00000000-0000-4000-8000-000000000001", "detail-type": "Endpoint Export Requested",
            "source": "acme", "account": "111122223333", "time": "2026-11-01T05:00:00Z", "region": "eu-central-1",
            "resources": [], "detail": detail,
        })
    }

    fn faults(detail: &Value) -> Vec<String> {
        let error = parse::<EndpointExports>(&event(detail), None).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidEvent);
        error
            .message
            .lines()
            .skip(1)
            .map(|line| line.trim().to_owned())
            .collect()
    }

    #[test]
    fn the_event_has_the_shape_of_the_api() {
        let detail = json!({
            "ApplicationId": "01234567890123456789012345678901",
            "ExportJobRequest": {
                "RoleArn": "arn:aws:iam::111122223333:role/landfall-export", "S3UrlPrefix": "s3://exports/endpoints/",
                "SegmentId": "98765432109876543210987654321098", "SegmentVersion": 2,
            },
        });
        let requested = parse::<EndpointExports>(&event(&detail), None).unwrap();
        assert_eq!(serde_json::to_value(&requested.request).unwrap(), detail);
        let prefix: S3Uri = "s3://exports/endpoints/run=k/".parse().unwrap();
        let aim = Aim {
            attempt_key: "k",
            prefix: &prefix,
            role: Some("other"),
            account: None,
            region: None,
            user: None,
        };
        let aimed = serde_json::to_value(EndpointExports::aim(requested.request, &aim)).unwrap();
        assert_eq!(
            aimed["ExportJobRequest"]["S3UrlPrefix"],
            "s3://exports/endpoints/run=k/"
        );
        assert_eq!(
            aimed["ExportJobRequest"]["RoleArn"],
            detail["ExportJobRequest"]["RoleArn"]
        );
    }

    #[test]
    fn the_deployment_gives_role_and_destination_if_the_event_has_none() {
        let default: S3Uri = "s3://exports/".parse().unwrap();
        let smallest = json!({"ApplicationId": "a", "ExportJobRequest": {}});
        let requested = parse::<EndpointExports>(&event(&smallest), Some(&default)).unwrap();
        assert_eq!(requested.destination, Some(default.clone()));
        let aim = Aim {
            attempt_key: "k",
            prefix: &default,
            role: Some("arn"),
            account: None,
            region: None,
            user: None,
        };
        let aimed = EndpointExports::aim(requested.request, &aim);
        assert_eq!(aimed.export_job_request.role_arn.as_deref(), Some("arn"));
        assert_eq!(faults(&smallest).len(), 1, "no destination from anywhere");
    }

    #[test]
    fn all_faults_are_reported_at_once_with_their_paths() {
        let found = faults(&json!({
            "ApplicationId": "<application id>", "applicationId": "x", "Landfall": {"Rerun": 0},
            "ExportJobRequest": {
                "RoleArn": "role", "S3UrlPrefix": "https://exports.s3.amazonaws.com/", "SegmentID": "x", "SegmentVersion": 0,
            },
        }));
        let expected = [
            "$.detail.ApplicationId: found \"<application id>\"; must be a string of 1 to 64 characters matching ^",
            "$.detail.ExportJobRequest.RoleArn: found \"role\"; must be a string of at most 512 characters matching ^arn",
            "$.detail.ExportJobRequest.S3UrlPrefix: found \"https://exports.s3.amazonaws.com/\"; must be s3://bucket/prefix/",
            "$.detail.ExportJobRequest.SegmentID: found an unknown member; did you mean SegmentId?",
            "$.detail.ExportJobRequest.SegmentVersion: found 0; is the version of a segment: name its SegmentId too",
            "$.detail.ExportJobRequest.SegmentVersion: found 0; must be an integer from 1 to 2147483647",
            "$.detail.Landfall.Rerun: found 0; must be an integer from 1",
            "$.detail.applicationId: found an unknown member; did you mean ApplicationId?",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}\nshould begin with\n{expected}");
        }
        assert!(faults(&json!({}))[0].contains("$.detail"), "{:?}", faults(&json!({})));
        assert_eq!(
            faults(&json!({"ApplicationId": "a", "ExportJobRequest": []}))
                .last()
                .unwrap(),
            "$.detail.ExportJobRequest: found an array of no items; must be an object"
        );
    }

    #[test]
    fn the_run_prefix_counts_towards_the_limit() {
        let with = |length: usize| {
            let prefix = format!("s3://exports/{}/", "x".repeat(length - "s3://exports//".len()));
            json!({"ApplicationId": "a", "ExportJobRequest": {"S3UrlPrefix": prefix}})
        };
        let longest = 900 - 4 - 25 - 2 - 1;
        assert!(parse::<EndpointExports>(&event(&with(longest)), None).is_ok());
        assert_eq!(faults(&with(longest + 1)).len(), 1);
    }

    #[test]
    fn a_prefix_matches_with_and_without_its_last_slash() {
        let prefix: S3Uri = "s3://exports/a/run=k/".parse().unwrap();
        let at = |place: &str| {
            let definition = Definition {
                place: Some(place.to_owned()),
                ..Definition::default()
            };
            is_at(&definition, &prefix)
        };
        assert!(at("s3://exports/a/run=k/") && at("s3://exports/a/run=k"));
        assert!(!at("s3://exports/a/run=k-2/") && !at("s3://exports/a/") && !at(""));
        assert!(!is_at(&Definition::default(), &prefix));
    }
}
