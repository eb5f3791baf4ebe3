//! Segment snapshots of Amazon Connect Customer Profiles.
//!
//! What must stay true: CreateSegmentSnapshot has no client token, and a snapshot can be neither named nor listed. So
//! the SDK must never repeat the call, and after a lost answer the job gets a new attempt with its own prefix.
//!
//! An event may expect the rows to be near the service's own estimate. Then the start function asks for an estimate
//! once the job is recorded, and the polls read it ([`estimate`]). No job fails or waits because there is no estimate.

use aws_sdk_customerprofiles::{Client, types::SegmentSnapshotStatus};
use landfall::{
    error::{Error, ErrorKind},
    fault::Faults,
    job::{Echo, Estimate, Format, Job},
    reach::{self, Service},
    registered::RegisteredUser,
    runtime::{SdkConfig, calling_once},
    service::{Aim, Found, JobService, Named, NamedResources, Observation, ServiceState, StartCall, StartError},
};
use serde_json::Value;

pub mod errors;
mod estimate;
pub mod functions;
pub mod request;

use estimate::Estimates;
pub use request::{CreateSegmentSnapshot, SnapshotFormat};

/// The service, with the regions that botocore 1.43 lists.
const SERVICE: Service = Service {
    name: "Amazon Connect Customer Profiles",
    regions: "botocore 1.43 lists it in af-south-1, ap-northeast-1, ap-northeast-2, ap-southeast-1, ap-southeast-2, \
              ca-central-1, eu-central-1, eu-west-2, us-east-1 and us-west-2; docs/kinds.md says how to look up whether there \
              are more",
};

#[derive(Clone, Debug)]
pub struct SegmentSnapshots {
    client: Client,
    estimates: Estimates,
}

impl SegmentSnapshots {
    /// Makes its own clients.
    pub fn new(sdk: &SdkConfig) -> Self {
        let sdk = calling_once(sdk);
        Self {
            client: Client::new(&sdk),
            estimates: Estimates::new(&sdk),
        }
    }
}

impl JobService for SegmentSnapshots {
    const KIND: &'static str = "segment-snapshot";
    const DESTINATION_MAX: usize = 255;
    const ESTIMATES: bool = true;

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
        // The model allows any text up to 255 characters. Its description says that the key is an ARN, and the
        // verification compares ARNs.
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
            .data_format(request.data_format.to_sdk())
            .set_encryption_key(request.encryption_key.clone())
            .set_role_arn(request.role_arn.clone())
            .set_destination_uri(request.destination_uri.clone())
            .send()
            .await;
        match answer {
            // If the answer has no id, the SDK fills in an empty one.
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
                let error = errors::named("CreateSegmentSnapshot", &resource, &error);
                Err(match error.kind {
                    // Busy never comes from a call; only claims are refused with it.
                    ErrorKind::Throttled | ErrorKind::Unavailable => StartError::Uncertain(error),
                    _ => StartError::Refused(error),
                })
            }
        }
    }

    async fn estimate(&self, request: &CreateSegmentSnapshot) -> Option<Estimate> {
        let asking = self
            .estimates
            .ask(&request.domain_name, &request.segment_definition_name);
        Some(Box::pin(asking).await)
    }

    async fn find(&self, _call: &StartCall<CreateSegmentSnapshot>) -> Result<Found, Error> {
        Ok(Found::Unknowable)
    }

    async fn poll(&self, job: &Job, _: Option<&RegisteredUser>) -> Result<Observation, Error> {
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
            errors::named("GetSegmentSnapshot", &resource, &error)
        })?;
        let state = match &snapshot.status {
            SegmentSnapshotStatus::Completed => ServiceState::Succeeded,
            SegmentSnapshotStatus::Failed => ServiceState::Failed,
            // An unknown word does not mean that the job has ended.
            _ => ServiceState::Running,
        };
        let status = snapshot.status.as_str();
        let estimate = match job.expects_estimate() {
            // Boxed, because the futures of a client's calls are large.
            true => Box::pin(self.estimates.read(&request, job.estimate.as_ref())).await,
            false => None,
        };
        let mut echo = Echo::default();
        echo.compare(
            "SnapshotId",
            Some(job.service_id.as_str()),
            Some(snapshot.snapshot_id.as_str()),
        );
        echo.compare(
            "DataFormat",
            Some(request.data_format.to_sdk().as_str()),
            Some(snapshot.data_format.as_str()),
        );
        let mut compare = |name, asked: &Option<String>, told| echo.compare(name, asked.as_deref(), told);
        // AWS does not document whether the prefix comes back with its last slash.
        let without_slash = |uri: &str| uri.trim_end_matches('/').to_owned();
        let destination = request.destination_uri.as_deref().map(without_slash);
        let told = snapshot.destination_uri().map(without_slash);
        compare("DestinationUri", &destination, told.as_deref());
        compare("EncryptionKey", &request.encryption_key, snapshot.encryption_key());
        compare("RoleArn", &request.role_arn, snapshot.role_arn());
        Ok(Observation {
            message: snapshot.status_message.clone(),
            echo: Some(echo),
            estimate,
            ..Observation::of(state, status)
        })
    }
}

#[cfg(test)]
mod tests;
