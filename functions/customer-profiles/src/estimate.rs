//! The service's own estimate of a segment's rows.
//!
//! What must stay true: nothing here fails or delays a job. If an estimate cannot be had, the reason is kept instead. A
//! step makes at most three short calls. The segment's definition, which the service marks as sensitive, is passed on
//! and never kept.
//!
//! The service estimates a query, not a named segment. So this reads the segment's definition first and sends its
//! groups or its SQL back. The estimate comes later, as a text.

use std::time::Duration;

use aws_sdk_customerprofiles::{
    Client,
    types::{EstimateStatus, SegmentGroupStructure},
};
use landfall::{
    error::Error,
    job::Estimate,
    runtime::{SdkConfig, timeouts},
};

use crate::{CreateSegmentSnapshot, errors};

/// How long each call may take, so that a step is not held up.
const LIMIT: Duration = Duration::from_secs(5);

/// The longest reason that is kept, in characters.
const REASON_MAX: usize = 300;

/// Asks for estimates and reads them.
#[derive(Clone, Debug)]
pub(crate) struct Estimates {
    client: Client,
}

fn missing(reason: impl AsRef<str>) -> Estimate {
    Estimate::Missing {
        reason: reason.as_ref().chars().take(REASON_MAX).collect(),
    }
}

impl Estimates {
    /// Makes its own client. `sdk` must not repeat calls.
    pub(crate) fn new(sdk: &SdkConfig) -> Self {
        let limits = sdk.timeout_config().cloned().unwrap_or_else(timeouts);
        let limits = limits.to_builder().operation_timeout(LIMIT).build();
        Self {
            client: Client::new(&sdk.clone().into_builder().timeout_config(limits).build()),
        }
    }

    /// Asks for the estimate of a segment.
    pub(crate) async fn ask(&self, domain: &str, segment: &str) -> Estimate {
        match self.create(domain, segment).await {
            Ok(Some(id)) => Estimate::Asked { id },
            Ok(None) => missing("the segment's definition has neither groups nor SQL"),
            Err(error) => missing(error.message),
        }
    }

    /// Asks for an estimate and answers its id; `None` if the definition has no query.
    async fn create(&self, domain: &str, segment: &str) -> Result<Option<String>, Error> {
        let definition = self
            .client
            .get_segment_definition()
            .domain_name(domain)
            .segment_definition_name(segment)
            .send()
            .await
            .map_err(|error| {
                errors::named(
                    "GetSegmentDefinition",
                    &format!("segment {segment} of domain {domain}"),
                    &error,
                )
            })?;
        let call = self.client.create_segment_estimate().domain_name(domain);
        let call = match (definition.segment_sql_query, definition.segment_groups) {
            (Some(sql), _) => call.segment_sql_query(sql),
            (None, Some(groups)) => call.segment_query(
                SegmentGroupStructure::builder()
                    .set_groups(groups.groups)
                    .include(groups.include)
                    .build(),
            ),
            (None, None) => return Ok(None),
        };
        let answer = call.send().await.map_err(|error| {
            // A refusal may quote the query, which is sensitive.
            let mut error = errors::named("CreateSegmentEstimate", &format!("domain {domain}"), &error);
            error.message = format!("CreateSegmentEstimate for segment {segment} met {}", error.kind);
            error
        })?;
        Ok(answer.estimate_id)
    }

    /// What is known of the estimate now. Asks for an estimate if nobody has yet.
    pub(crate) async fn read(&self, request: &CreateSegmentSnapshot, known: Option<&Estimate>) -> Option<Estimate> {
        let domain = &request.domain_name;
        let asked = match known {
            None => self.ask(domain, &request.segment_definition_name).await,
            Some(known) => known.clone(),
        };
        let Estimate::Asked { id } = &asked else {
            return Some(asked);
        };
        let answer = self
            .client
            .get_segment_estimate()
            .domain_name(domain)
            .estimate_id(id)
            .send()
            .await;
        let told = match answer {
            Ok(told) => told,
            // The next poll asks again. If there is no next poll, the check reports that the estimate did not come in
            // time.
            Err(error) => {
                let error = errors::named("GetSegmentEstimate", &format!("domain {domain}"), &error);
                tracing::warn!(error = error.kind.name(), code = error.code, "no news of the estimate");
                return Some(asked);
            }
        };
        Some(match told.status() {
            Some(EstimateStatus::Succeeded) => match told.estimate().map(str::trim).map(str::parse) {
                Some(Ok(rows)) => Estimate::Known { rows },
                _ => missing("the service's estimate is no whole number"),
            },
            // The service's message may quote the query.
            Some(EstimateStatus::Failed) => missing("the service says that it failed"),
            _ => asked,
        })
    }
}
