//! Segment snapshots of Amazon Connect Customer Profiles.
//!
//! What must stay true: CreateSegmentSnapshot has no client token, and a snapshot can be neither named nor listed, so
//! the call is never tried again by the SDK, and a lost answer means a new attempt with a prefix of its own.
//!
//! Source of the request's constraints: the API model of 2020-08-15.

pub mod functions;

use std::fmt;

use aws_sdk_customerprofiles::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{DataFormat, SegmentSnapshotStatus},
};
use landfall::{
    error::{Error, ErrorKind},
    fault::Faults,
    job::{Format, Job},
    reach::{self, Service},
    runtime::{SdkConfig, calling_once},
    service::{Aim, Found, JobService, Named, NamedResources, Observation, ServiceState, StartCall, StartError},
    store::s3::{describe, transport_kind},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The request of CreateSegmentSnapshot, as AWS documents it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateSegmentSnapshot {
    /// The unique name of the domain.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-zA-Z0-9_-]+$"))]
    pub domain_name: String,
    /// The name of the segment definition: its generated identifier, not the display name of the console.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-zA-Z0-9_-]+$"))]
    pub segment_definition_name: String,
    /// The format of the export.
    pub data_format: SnapshotFormat,
    /// ARN of the KMS key that the export is encrypted with.
    #[schemars(length(max = 255))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_key: Option<String>,
    /// ARN of the role that Customer Profiles assumes for S3 and KMS; the deployment's export role when absent.
    // The model spells the partition `aws` only; whether the service insists on it elsewhere is not documented.
    #[schemars(length(max = 512), regex(pattern = r"^arn:aws[a-z-]*:iam:.*:[0-9]+:.*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The S3 folder to export beneath; the deployment's default when absent.
    #[schemars(length(min = 1, max = 255))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_uri: Option<String>,
}

impl fmt::Debug for CreateSegmentSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CreateSegmentSnapshot({}/{})",
            self.domain_name, self.segment_definition_name
        )
    }
}

/// The formats of a segment snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum SnapshotFormat {
    /// Comma-separated values with a header row.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// Apache ORC.
    Orc,
}

/// The service, and the regions that botocore 1.43 knows of it.
const SERVICE: Service = Service {
    name: "Amazon Connect Customer Profiles",
    regions: "It is in af-south-1, ap-northeast-1, ap-northeast-2, ap-southeast-1, ap-southeast-2, ca-central-1, \
              eu-central-1, eu-west-2, us-east-1 and us-west-2, as botocore 1.43 has it; docs/kinds.md says how to look up \
              whether others have joined",
};

/// The kind `segment-snapshot`.
#[derive(Clone, Debug)]
pub struct SegmentSnapshots {
    client: Client,
}

impl SegmentSnapshots {
    /// The service by a client of its own.
    pub fn new(sdk: &SdkConfig) -> Self {
        Self {
            client: Client::new(&calling_once(sdk)),
        }
    }
}

impl JobService for SegmentSnapshots {
    const KIND: &'static str = "segment-snapshot";
    const DESTINATION_MAX: usize = 255;

    type Request = CreateSegmentSnapshot;

    fn named_resources(detail: &Value) -> NamedResources {
        NamedResources {
            destination: Named::member(detail, "DestinationUri", "$.detail.DestinationUri"),
            source: None,
            role: Named::member(detail, "RoleArn", "$.detail.RoleArn"),
            kms_key: Named::member(detail, "EncryptionKey", "$.detail.EncryptionKey"),
            domain: Named::member(detail, "DomainName", "$.detail.DomainName"),
            dashboard: None,
        }
    }

    fn check(detail: &Value, faults: &mut Faults) {
        // The model allows any text up to 255 characters; its description says ARN, and verification compares ARNs.
        if let Some(key) = detail.get("EncryptionKey").and_then(Value::as_str)
            && !key.is_empty()
            && !(key.starts_with("arn:aws") && key.contains(":kms:"))
        {
            faults.add(
                "$.detail.EncryptionKey",
                Value::from(key),
                "must be the ARN of a KMS key, such as arn:aws:kms:eu-central-1:111122223333:key/…",
            );
        }
    }

    fn aim(mut request: CreateSegmentSnapshot, aim: &Aim<'_>) -> CreateSegmentSnapshot {
        request.destination_uri = Some(aim.prefix.to_string());
        request.role_arn = request.role_arn.or_else(|| aim.role.map(str::to_owned));
        request
    }

    fn format(request: &CreateSegmentSnapshot) -> Option<Format> {
        Some(match request.data_format {
            SnapshotFormat::Csv => Format::Csv,
            SnapshotFormat::Jsonl => Format::Jsonl,
            SnapshotFormat::Orc => Format::Orc,
        })
    }

    fn daily_quota_of(request: &CreateSegmentSnapshot) -> Option<&str> {
        Some(&request.domain_name)
    }

    async fn start(&self, call: &StartCall<CreateSegmentSnapshot>) -> Result<String, StartError> {
        let request = &call.request;
        let answer = self
            .client
            .create_segment_snapshot()
            .domain_name(&request.domain_name)
            .segment_definition_name(&request.segment_definition_name)
            .data_format(match request.data_format {
                SnapshotFormat::Csv => DataFormat::Csv,
                SnapshotFormat::Jsonl => DataFormat::Jsonl,
                SnapshotFormat::Orc => DataFormat::Orc,
            })
            .set_encryption_key(request.encryption_key.clone())
            .set_role_arn(request.role_arn.clone())
            .set_destination_uri(request.destination_uri.clone())
            .send()
            .await;
        match answer {
            // The SDK fills a missing id with an empty one.
            Ok(started) if started.snapshot_id.is_empty() => Err(StartError::Uncertain(Error::new(
                ErrorKind::Unavailable,
                "CreateSegmentSnapshot succeeded, but its answer names no snapshot",
            ))),
            Ok(started) => Ok(started.snapshot_id),
            Err(error) => {
                let resource = format!(
                    "segment {} of domain {}",
                    request.segment_definition_name, request.domain_name
                );
                if reach::never_left(&error) {
                    let region = self.client.config().region().map(AsRef::as_ref);
                    let error = reach::unreachable(SERVICE, region, "CreateSegmentSnapshot", &resource, &error);
                    return Err(StartError::NeverLeft(error));
                }
                let error = named_error("CreateSegmentSnapshot", &resource, &error);
                Err(match error.kind {
                    // Busy is a refusal of the claim, not of the call, and is not raised here.
                    ErrorKind::Throttled | ErrorKind::Unavailable => StartError::Uncertain(error),
                    _ => StartError::Refused(error),
                })
            }
        }
    }

    async fn find(&self, _call: &StartCall<CreateSegmentSnapshot>) -> Result<Found, Error> {
        Ok(Found::Unknowable)
    }

    async fn poll(&self, job: &Job) -> Result<Observation, Error> {
        let request: CreateSegmentSnapshot = serde_json::from_value(job.request.clone())
            .map_err(|error| Error::internal(format!("the job's request is not of this kind: {error}")))?;
        let answer = self
            .client
            .get_segment_snapshot()
            .domain_name(&request.domain_name)
            .segment_definition_name(&request.segment_definition_name)
            .snapshot_id(&job.service_id)
            .send()
            .await;
        let snapshot = answer.map_err(|error| {
            let resource = format!("snapshot {} of domain {}", job.service_id, request.domain_name);
            named_error("GetSegmentSnapshot", &resource, &error)
        })?;
        let state = match &snapshot.status {
            SegmentSnapshotStatus::Completed => ServiceState::Succeeded,
            SegmentSnapshotStatus::Failed => ServiceState::Failed,
            // A word that is not known is no end.
            _ => ServiceState::Running,
        };
        let status = snapshot.status.as_str();
        Ok(Observation {
            message: snapshot.status_message.clone(),
            ..Observation::of(state, status)
        })
    }
}

/// The named error of a failed call, told apart by the service's code.
fn named_error<E>(operation: &str, resource: &str, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let (kind, remedy) = match error.code() {
        Some("BadRequestException" | "ValidationException") => (
            ErrorKind::InvalidEvent,
            "correct the request, or let the export role and key fit the destination",
        ),
        Some("AccessDeniedException" | "UnrecognizedClientException" | "ExpiredTokenException") => (
            ErrorKind::Forbidden,
            "the function's role needs the profile action and iam:PassRole for the export role",
        ),
        Some("ResourceNotFoundException") => (
            ErrorKind::NotFound,
            "check the names; the service says the same where access is denied",
        ),
        Some("ThrottlingException" | "TooManyRequestsException") => (
            ErrorKind::Throttled,
            "a domain has 200 snapshots a day; the call is tried again",
        ),
        Some("InternalServerException" | "RequestTimeoutException") => {
            (ErrorKind::Unavailable, "the call is tried again")
        }
        _ => match error.raw_response().map(|response| response.status().as_u16()) {
            Some(429) => (ErrorKind::Throttled, "the call is tried again"),
            Some(408 | 500..=599) => (ErrorKind::Unavailable, "the call is tried again"),
            Some(403) => (ErrorKind::Forbidden, "check the function's role"),
            _ => (transport_kind(error), "see the function's log"),
        },
    };
    Error::new(
        kind,
        format!("{operation} for {resource}: {}; {remedy}", describe(error)),
    )
}

#[cfg(test)]
mod tests {
    use landfall::event::parse;
    use serde_json::json;

    use super::*;

    fn event(detail: &Value) -> Value {
        json!({
            "version": "0", "id": "00000000-0000-4000-8000-000000000001", "detail-type": "Segment Snapshot Requested",
            "source": "acme", "account": "111122223333", "time": "2026-11-01T05:00:00Z", "region": "eu-central-1",
            "resources": [], "detail": detail,
        })
    }

    fn detail() -> Value {
        json!({
            "DomainName": "acme", "SegmentDefinitionName": "gold", "DataFormat": "CSV",
            "DestinationUri": "s3://exports/segments/",
        })
    }

    fn faults(detail: &Value) -> Vec<String> {
        let error = parse::<SegmentSnapshots>(&event(detail), None).unwrap_err();
        assert_eq!(error.kind, ErrorKind::InvalidEvent);
        error
            .message
            .lines()
            .skip(1)
            .map(|line| line.trim().to_owned())
            .collect()
    }

    #[test]
    fn the_page_names_the_same_regions() {
        let page = include_str!("../../../docs/kinds.md");
        let (_, regions) = SERVICE.regions.split_once("It is in ").unwrap();
        let (regions, _) = regions.split_once(", as botocore").unwrap();
        assert_eq!(regions.matches('-').count(), 2 * 10);
        assert!(
            page.contains(&format!("as botocore 1.43 has it: {regions}.")),
            "{regions}"
        );
    }

    #[test]
    fn a_right_event_is_read() {
        let requested = parse::<SegmentSnapshots>(&event(&detail()), None).unwrap();
        assert_eq!(requested.request.data_format, SnapshotFormat::Csv);
        assert_eq!(requested.destination.unwrap().to_string(), "s3://exports/segments/");
        assert!(requested.trigger.job_key.starts_with("20261101T050000Z-"));
        assert_eq!(requested.trigger.job_key.len(), 25);
    }

    #[test]
    fn every_fault_is_reported_at_once_with_its_place() {
        let found = faults(&json!({
            "DomainName": "a b", "SegmentDefinitionname": "gold", "DataFormat": "csv", "RoleArn": "role", "EncryptionKey": "k",
            "DestinationUri": format!("s3://exports/{}/", "x".repeat(300)),
            "Landfall": {"DeadlineSeconds": 0, "Poll": {"MinSeconds": 60, "MaxSeconds": 30, "Every": 1}, "Rerun": "1"},
        }));
        let expected = [
            "$.detail.DataFormat: found \"csv\"; must be one of \"CSV\", \"JSONL\", \"ORC\"",
            "$.detail.DestinationUri: found \"s3://exports/xxxxx",
            "$.detail.DomainName: found \"a b\"; must be a string of 1 to 64 characters matching ^[a-zA-Z0-9_-]+$",
            "$.detail.EncryptionKey: found \"k\"; must be the ARN of a KMS key",
            "$.detail.Landfall.DeadlineSeconds: found 0; must be an integer from 1 to 86400",
            "$.detail.Landfall.Poll.Every: found an unknown member; allowed here: MaxSeconds, MinSeconds",
            "$.detail.Landfall.Poll.MinSeconds: found 60; must not be larger than MaxSeconds, which is 30",
            "$.detail.Landfall.Rerun: found \"1\"; must be an integer from 1 to 1000000",
            "$.detail.RoleArn: found \"role\"; must be a string of at most 512 characters matching ^arn:aws",
            "$.detail.SegmentDefinitionName: found nothing; it is required: a string of 1 to 64 characters",
            "$.detail.SegmentDefinitionname: found an unknown member; did you mean SegmentDefinitionName? allowed here: DataFormat",
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.starts_with(expected), "{found}\nshould begin with\n{expected}");
        }
    }

    #[test]
    fn a_destination_is_needed_from_somewhere() {
        let mut without = detail();
        without.as_object_mut().unwrap().remove("DestinationUri");
        assert_eq!(faults(&without).len(), 1);
        let default: landfall::s3_uri::S3Uri = "s3://exports/".parse().unwrap();
        let requested = parse::<SegmentSnapshots>(&event(&without), Some(&default)).unwrap();
        assert_eq!(requested.destination, Some(default));
    }

    #[test]
    fn a_destination_is_not_in_another_run() {
        let mut inside = detail();
        inside["DestinationUri"] = json!("s3://exports/segments/run=20261101T050000Z-1a2b3c4d/");
        let faults = faults(&inside);
        assert!(
            faults.len() == 1 && faults[0].contains("the prefix of another run"),
            "{faults:?}"
        );
    }

    #[test]
    fn the_run_prefix_counts_towards_the_limit() {
        let with = |length: usize| {
            let mut detail = detail();
            detail["DestinationUri"] = json!(format!("s3://exports/{}/", "x".repeat(length - "s3://exports//".len())));
            detail
        };
        // 255 less `run=`, the key of 25 characters, `-9` and `/`.
        let longest = 255 - 4 - 25 - 2 - 1;
        assert!(parse::<SegmentSnapshots>(&event(&with(longest)), None).is_ok());
        assert_eq!(faults(&with(longest + 1)).len(), 1);
    }

    #[test]
    fn the_same_trigger_has_the_same_key() {
        let key = |event: &Value| parse::<SegmentSnapshots>(event, None).unwrap().trigger.job_key;
        let change = |path: &str, value: Value| {
            let mut event = event(&detail());
            *event.pointer_mut(path).unwrap() = value;
            event
        };
        let once = key(&event(&detail()));
        assert_eq!(once, key(&event(&detail())));
        assert_ne!(once, key(&change("/id", json!("00000000-0000-4000-8000-000000000002"))));
        assert_ne!(once, key(&change("/detail/DataFormat", json!("ORC"))));

        // A tick of a schedule is one trigger whatever the event id, and one for each of its requests.
        let rule = json!(["arn:aws:events:eu-central-1:111122223333:rule/nightly"]);
        let scheduled = |id: &str, format: &str| {
            let mut event = change("/resources", rule.clone());
            event["id"] = json!(id);
            event["detail"]["DataFormat"] = json!(format);
            event
        };
        assert_eq!(key(&scheduled("a", "CSV")), key(&scheduled("b", "CSV")));
        assert_ne!(key(&scheduled("a", "CSV")), key(&scheduled("a", "ORC")));

        // The user's own key stands above ids and times; a rerun is another job.
        let keyed = |time: &str, options: Value| {
            let mut event = change("/time", json!(time));
            event["detail"]["Landfall"] = options;
            event
        };
        let first = key(&keyed("2026-11-01T05:00:00Z", json!({"IdempotencyKey": "nightly"})));
        assert!(first.starts_with("nightly-"));
        assert_eq!(
            first,
            key(&keyed("2026-11-02T05:00:00Z", json!({"IdempotencyKey": "nightly"})))
        );
        assert_ne!(
            first,
            key(&keyed(
                "2026-11-01T05:00:00Z",
                json!({"IdempotencyKey": "nightly", "Rerun": 1})
            ))
        );
        // Options that do not change what is exported do not change the key.
        assert_eq!(
            once,
            key(&keyed("2026-11-01T05:00:00Z", json!({"DeadlineSeconds": 60})))
        );
    }

    #[test]
    fn an_envelope_is_checked_too() {
        let mut event = event(&detail());
        event["time"] = json!("yesterday");
        event["detail-type"] = json!("Segment Snapshot");
        event.as_object_mut().unwrap().remove("source");
        let message = parse::<SegmentSnapshots>(&event, None).unwrap_err().message;
        for place in [
            "$.time: found \"yesterday\"; must be a time such as 2026-11-01T05:00:00Z",
            "$.detail-type: found \"Segment Snapshot\"; must be \"Segment Snapshot Requested\"",
            "$.source: found nothing; it is required",
        ] {
            assert!(message.contains(place), "{place} in {message}");
        }
        let message = parse::<SegmentSnapshots>(&json!([]), None).unwrap_err().message;
        assert!(
            message.contains("$: found an array of no items; must be an object"),
            "{message}"
        );
    }
}
