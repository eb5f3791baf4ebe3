//! Endpoint imports.
//!
//! What must stay true: an import changes the users' data. So it is started again only if it is certain that the lost
//! call made no job. If that is not certain, the job fails, and its message says which jobs to look at.

use std::fmt;

use aws_sdk_pinpoint::types;
use landfall::{
    error::{Error, ErrorKind},
    fault::Faults,
    job::{Format, Job, Source},
    registered::RegisteredUser,
    runtime::SdkConfig,
    service::{Aim, Found, JobService, Named, NamedResources, Observation, StartCall, StartError},
    store::ObjectStore,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    client::{Definition, Pinpoint, Surroundings, Way},
    exports::{id_of, no_role},
    lost,
    source::{self, ImportFormat},
};

/// The request of CreateImportJob, as AWS documents it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateImportJob {
    /// The application's identifier; the console calls it project ID.
    // The model has no constraint. All ids that AWS shows have 32 hex digits; placeholders and ARNs are not ids.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-zA-Z0-9_-]+$"))]
    pub application_id: String,
    /// The settings of the job.
    pub import_job_request: ImportJobRequest,
}

/// The settings of an import job.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ImportJobRequest {
    /// The format of the files.
    pub format: ImportFormat,
    /// ARN of the role that Pinpoint assumes for S3. The deployment's role when absent.
    #[schemars(length(max = 512), regex(pattern = r"^arn:aws[a-z-]*:iam:.*:[0-9]+:.*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The object to import, `s3://bucket-name/folder-name/file-name`, or a folder, which ends with a slash.
    #[schemars(length(min = 1, max = 1092))]
    pub s3_url: String,
    /// Whether to make a segment of the endpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub define_segment: Option<bool>,
    /// Whether to store the endpoints in the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub register_endpoints: Option<bool>,
    /// The segment to add the endpoints to.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-zA-Z0-9_-]+$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_id: Option<String>,
    /// The name of the new segment.
    #[schemars(length(min = 1))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment_name: Option<String>,
    /// Deprecated by AWS: an external ID in the role's trust policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

impl fmt::Debug for ImportJobRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImportJobRequest({})", self.s3_url)
    }
}

#[derive(Clone)]
pub struct EndpointImports {
    pinpoint: Pinpoint,
}

impl EndpointImports {
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

impl JobService for EndpointImports {
    const KIND: &'static str = "endpoint-import";
    const DESTINATION_MAX: usize = 0;
    const WRITES_OUTPUT: bool = false;

    type Request = CreateImportJob;

    fn named_resources(detail: &Value) -> NamedResources {
        let request = detail.get("ImportJobRequest").unwrap_or(&Value::Null);
        NamedResources {
            source: Named::member(request, "S3Url", "$.detail.ImportJobRequest.S3Url"),
            role: Named::member(request, "RoleArn", "$.detail.ImportJobRequest.RoleArn"),
            ..NamedResources::default()
        }
    }

    fn check(detail: &Value, faults: &mut Faults) {
        let Some(request) = detail.get("ImportJobRequest").and_then(Value::as_object) else {
            return;
        };
        // AWS rejects a request with both set to false. It does not document what an absent member means: its own
        // sample without DefineSegment comes back with false, and there is no sample for RegisterEndpoints. So the
        // event must set one of them to true.
        let says_no = |name: &str| matches!(request.get(name), None | Some(Value::Null | Value::Bool(false)));
        if says_no("DefineSegment") && says_no("RegisterEndpoints") {
            faults.add(
                "$.detail.ImportJobRequest",
                "neither DefineSegment nor RegisterEndpoints",
                "set RegisterEndpoints (the endpoints are stored), DefineSegment (a segment is made) or both to true: \
                 Pinpoint rejects an import that does neither",
            );
        }
        if let Some(url) = request.get("S3Url").and_then(Value::as_str)
            && let Some(suffix) = source::compressed_suffix(url)
        {
            faults.add(
                "$.detail.ImportJobRequest.S3Url",
                Value::from(url),
                format!("Pinpoint imports no compressed files ({suffix}): unpack it first"),
            );
        }
    }

    fn aim(mut request: CreateImportJob, aim: &Aim<'_>) -> CreateImportJob {
        let settings = &mut request.import_job_request;
        settings.role_arn = settings.role_arn.take().or_else(|| aim.role.map(str::to_owned));
        request
    }

    fn format(_request: &CreateImportJob) -> Option<Format> {
        None
    }

    async fn source(&self, store: &dyn ObjectStore, request: &CreateImportJob) -> Result<Option<Source>, Error> {
        let request = &request.import_job_request;
        let uri = request
            .s3_url
            .parse()
            .map_err(|why| Error::internal(format!("$.detail.ImportJobRequest.S3Url: {why}")))?;
        source::check(store, uri, request.format, &source::Limits::default())
            .await
            .map(Some)
    }

    async fn start(&self, call: &StartCall<CreateImportJob>) -> Result<String, StartError> {
        let application = &call.request.application_id;
        let request = &call.request.import_job_request;
        if request.role_arn.is_none() {
            return Err(StartError::Refused(no_role("$.detail.ImportJobRequest.RoleArn")));
        }
        let settings = types::ImportJobRequest::builder()
            .format(match request.format {
                ImportFormat::Csv => types::Format::Csv,
                ImportFormat::Json => types::Format::Json,
            })
            .set_role_arn(request.role_arn.clone())
            .s3_url(&request.s3_url)
            .set_define_segment(request.define_segment)
            .set_register_endpoints(request.register_endpoints)
            .set_segment_id(request.segment_id.clone())
            .set_segment_name(request.segment_name.clone())
            .set_external_id(request.external_id.clone())
            .build();
        let answer = self
            .pinpoint
            .client
            .create_import_job()
            .application_id(application)
            .import_job_request(settings)
            .send()
            .await;
        match answer {
            Ok(started) => id_of(started.import_job_response.and_then(|job| job.id), "CreateImportJob"),
            Err(error) => {
                let way = Way::Import;
                Err(self
                    .pinpoint
                    .start_error(way, "CreateImportJob", application, &error)
                    .await)
            }
        }
    }

    async fn find(&self, call: &StartCall<CreateImportJob>) -> Result<Found, Error> {
        let request = &call.request.import_job_request;
        let segment = request.segment_id.as_deref();
        let application = &call.request.application_id;
        let way = Way::Import;
        let claimed_at = call.claimed_at;
        let does_the_same = |definition: &Definition| is_same(definition, request);
        let found = lost::search(
            &self.pinpoint,
            way,
            application,
            segment,
            claimed_at,
            false,
            does_the_same,
        )
        .await?;
        // Several jobs that do the same work may belong to several triggers. Each was made after this import was asked
        // for, so each does its work, and another one would import once more. The oldest is nearest to our call.
        if let Some(id) = found.fitting.first() {
            return Ok(Found::Started(id.clone()));
        }
        lost::wait_for_lists(self.pinpoint.now(), call.over_at)?;
        if !found.cut_short && found.unclear.is_empty() {
            return Ok(Found::Absent);
        }
        let where_to_look = match found.unclear.as_slice() {
            [] => "it lists more jobs than are read".to_owned(),
            ids => format!(
                "it does not say what these jobs of the same time import: {}",
                ids.join(", ")
            ),
        };
        Err(Error::new(
            ErrorKind::JobFailed,
            format!(
                "the answer of CreateImportJob for application {application} was lost, and Pinpoint does not tell whether \
                 it made a job: {where_to_look}. It is not started again, since that may import {} twice. Look at the \
                 application's import jobs; if none is of this file, send the event with a higher Landfall.Rerun",
                request.s3_url
            ),
        ))
    }

    async fn poll(&self, job: &Job, _: Option<&RegisteredUser>) -> Result<Observation, Error> {
        let request: CreateImportJob = serde_json::from_value(job.request.clone())
            .map_err(|error| Error::internal(format!("the job's request is not of this kind: {error}")))?;
        let segment = request.import_job_request.segment_id.as_deref();
        let application = &request.application_id;
        let look = self.pinpoint.look(Way::Import, application, segment, &job.service_id);
        let record = look.await?;
        let mut echo = record.echo_of(&job.service_id, segment);
        let (asked, told) = (&request.import_job_request, &record.definition);
        let place = |text: &str| text.trim_end_matches('/').to_owned();
        echo.compare(
            "S3Url",
            Some(&place(&asked.s3_url)),
            told.place.as_deref().map(place).as_deref(),
        );
        echo.compare("Format", Some(asked.format.name()), told.format.as_deref());
        Ok(Observation {
            echo: Some(echo),
            ..record.observation()
        })
    }
}

/// Whether a job does what a request asks for. Members that the service leaves out are not compared.
fn is_same(definition: &Definition, request: &ImportJobRequest) -> bool {
    fn agree<T: PartialEq>(told: Option<T>, asked: Option<T>) -> bool {
        match (told, asked) {
            (Some(told), Some(asked)) => told == asked,
            _ => true,
        }
    }
    let place = definition.place.as_deref().map(|place| place.trim_end_matches('/'));
    place == Some(request.s3_url.trim_end_matches('/'))
        && agree(definition.format.as_deref(), Some(request.format.name()))
        && agree(definition.segment.as_deref(), request.segment_id.as_deref())
        && agree(definition.segment_name.as_deref(), request.segment_name.as_deref())
        && agree(definition.define_segment, request.define_segment)
        && agree(definition.register_endpoints, request.register_endpoints)
}

#[cfg(test)]
mod tests {
    use landfall::event::parse;
    use serde_json::json;

    use super::*;

    fn event(detail: &Value) -> Value {
        json!({
            "version": "0", "id": "00000000-0000-4000-8000-000000000001", "detail-type": "Endpoint Import Requested",
            "source": "acme", "account": "111122223333", "time": "2026-11-01T05:00:00Z", "region": "eu-central-1",
            "resources": [], "detail": detail,
        })
    }

    fn detail(settings: &Value) -> Value {
        let mut request = json!({"Format": "CSV", "S3Url": "s3://exports/imports/a.csv"});
        for (name, value) in settings.as_object().unwrap() {
            request[name] = value.clone();
        }
        json!({"ApplicationId": "a", "ImportJobRequest": request})
    }

    fn faults(detail: &Value) -> Vec<String> {
        let error = parse::<EndpointImports>(&event(detail), None).unwrap_err();
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
        let detail = detail(&json!({
            "RoleArn": "arn:aws:iam::111122223333:role/landfall-export", "DefineSegment": true, "RegisterEndpoints": false,
            "SegmentId": "s", "SegmentName": "gold", "ExternalId": "x",
        }));
        let requested = parse::<EndpointImports>(&event(&detail), None).unwrap();
        assert_eq!(serde_json::to_value(&requested.request).unwrap(), detail);
        assert_eq!(requested.destination, None);
    }

    #[test]
    fn an_import_that_does_nothing_is_refused() {
        for (settings, is_right) in [
            (json!({"RegisterEndpoints": true}), true),
            (json!({"DefineSegment": true}), true),
            (json!({"DefineSegment": true, "RegisterEndpoints": false}), true),
            (json!({"DefineSegment": false, "RegisterEndpoints": true}), true),
            (json!({"DefineSegment": true, "RegisterEndpoints": true}), true),
            (json!({"DefineSegment": false, "RegisterEndpoints": false}), false),
            (json!({"DefineSegment": false}), false),
            (json!({"RegisterEndpoints": null}), false),
            (json!({}), false),
        ] {
            let detail = detail(&settings);
            assert_eq!(
                parse::<EndpointImports>(&event(&detail), None).is_ok(),
                is_right,
                "{settings}"
            );
            if !is_right {
                let found = faults(&detail);
                assert_eq!(found.len(), 1, "{found:?}");
                assert!(
                    found[0].starts_with("$.detail.ImportJobRequest: found neither"),
                    "{found:?}"
                );
            }
        }
    }

    #[test]
    fn all_faults_are_reported_at_once_with_their_paths() {
        let found = faults(&json!({
            "ApplicationId": "", "ImportJobRequest": {
                "Format": "JSONL", "S3Url": "s3://exports/imports/../a.json.GZ", "SegmentId": "a b", "SegmentName": "",
                "RoleArn": "role", "RegisterEndpoints": "true", "Compression": "GZIP",
            },
        }));
        let expected = [
            "$.detail.ApplicationId: found \"\"; must be a string of 1 to 64 characters",
            "$.detail.ImportJobRequest.Compression: found an unknown member; allowed here: DefineSegment",
            "$.detail.ImportJobRequest.Format: found \"JSONL\"; must be one of \"CSV\", \"JSON\"",
            "$.detail.ImportJobRequest.RegisterEndpoints: found \"true\"; must be a boolean",
            "$.detail.ImportJobRequest.RoleArn: found \"role\"; must be",
            "$.detail.ImportJobRequest.S3Url: found \"s3://exports/imports/../a.json.GZ\"; Pinpoint imports no compressed",
            "$.detail.ImportJobRequest.S3Url: found \"s3://exports/imports/../a.json.GZ\"; must be s3://bucket/key",
            "$.detail.ImportJobRequest.SegmentId: found \"a b\"; must be",
            "$.detail.ImportJobRequest.SegmentName: found \"\"; must be",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}\nshould begin with\n{expected}");
        }
    }

    #[test]
    fn an_import_is_the_same_only_if_all_its_settings_are() {
        let request: CreateImportJob = serde_json::from_value(detail(&json!({
            "RegisterEndpoints": true, "SegmentId": "s", "SegmentName": "gold",
        })))
        .unwrap();
        let same = Definition {
            place: Some("s3://exports/imports/a.csv".to_owned()),
            format: Some("CSV".to_owned()),
            ..Definition::default()
        };
        let is_same = |definition: Definition| is_same(&definition, &request.import_job_request);
        assert!(is_same(same.clone()));
        let text = |text: &str| Some(text.to_owned());
        for other in [
            Definition {
                place: None,
                ..same.clone()
            },
            Definition {
                place: text("s3://exports/imports/b.csv"),
                ..same.clone()
            },
            Definition {
                format: text("JSON"),
                ..same.clone()
            },
            Definition {
                segment: text("t"),
                ..same.clone()
            },
            Definition {
                segment_name: text("silver"),
                ..same.clone()
            },
            Definition {
                register_endpoints: Some(false),
                ..same.clone()
            },
        ] {
            assert!(!is_same(other.clone()), "{other:?}");
        }
    }
}
