//! What the service tells about its jobs, and how it answers.
//!
//! What must stay true: AWS does not document the order of pages, the order of the middle states, or when counters
//! appear. A caller must be able to live with what is chosen here.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use http::{Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{
    Job, Service, locked,
    order::{Way, bad_request},
    route::Operation,
    scenario::{Definitions, Outcome},
};
use crate::simulated::{Call, Failure, derived_hex, derived_uuid, json_response};

/// How many jobs a page has if the caller names no size. They are few, so that every caller meets more than one page.
const PAGE: usize = 3;

impl Service {
    pub(super) async fn list(
        self: &Arc<Self>,
        application: &str,
        way: Way,
        segment: Option<&str>,
        query: &str,
    ) -> Result<(StatusCode, Value), Failure> {
        let parameter = |name: &str| {
            query.split('&').find_map(|pair| {
                let (key, value) = pair.split_once('=')?;
                (key == name).then(|| percent_decode_str(value).decode_utf8_lossy().into_owned())
            })
        };
        let size = match parameter("page-size") {
            None => PAGE,
            Some(text) => match text.parse() {
                Ok(size @ 1..=100) => size,
                _ => return Err(bad_request("Invalid page size").into()),
            },
        };
        let is_asked = |job: &&Arc<Job>| {
            job.order.way == way
                && job.order.application == application
                && segment.is_none_or(|segment| job.order.segment.as_deref() == Some(segment))
        };
        // The order is not documented: newest first.
        let mut jobs: Vec<Arc<Job>> = self.state().jobs.iter().filter(is_asked).rev().cloned().collect();
        if let Some(token) = parameter("token") {
            let after = jobs.iter().find(|job| self.token(job) == token).map(|job| job.number);
            let after = after.ok_or_else(|| bad_request("Invalid token"))?;
            jobs.retain(|job| job.number < after);
        }
        let has_more = jobs.len() > size;
        jobs.truncate(size);
        for job in &jobs {
            // Jobs of one segment or application are polled by listing them.
            if segment.is_some() {
                self.poll(job).await?;
            }
        }
        let whole = self.behaviour.definitions == Definitions::Whole;
        let items: Vec<Value> = jobs.iter().map(|job| self.describe(job, whole)).collect();
        let mut page = json!({ "Item": items });
        if let Some(last) = jobs.last().filter(|_| has_more) {
            page["NextToken"] = json!(self.token(last));
        }
        Ok((StatusCode::OK, page))
    }

    fn token(&self, job: &Job) -> String {
        // It has characters that must be escaped in a query.
        format!("{}+/=", derived_hex(self.settings.seed, &["token", &job.id]))
    }

    /// A job as the answers show it.
    pub(super) fn describe(&self, job: &Job, whole: bool) -> Value {
        let progress = locked(&job.progress);
        let age = (self.clock.now() - job.created).to_std().unwrap_or_default();
        let share = age.as_secs_f64() / self.settings.duration.as_secs_f64().max(0.001);
        // The order of the middle states is not documented.
        let status = match progress.end {
            Some((status, _)) => status,
            None if share < 0.05 => "CREATED",
            None if share < 0.1 => "PREPARING_FOR_INITIALIZATION",
            None if share < 0.2 => "INITIALIZING",
            None if progress.done == 0 && share < 0.3 => "PENDING_JOB",
            None if progress.done < job.parts.len() => "PROCESSING",
            None if self.behaviour.outcome == Outcome::Fails => "FAILING",
            None => "COMPLETING",
        };
        let mut body = json!({
            "ApplicationId": job.order.application,
            "CreationDate": job.created.to_rfc3339_opts(SecondsFormat::Millis, true),
            "Definition": if whole { job.order.definition.clone() } else { json!({}) },
            "Id": job.id,
            "JobStatus": status,
            "Type": job.order.way.name(),
        });
        // Counters appear late: a job that was just made has none.
        if share >= 0.2 || progress.end.is_some() {
            let failed = usize::from(status == "FAILED" || status == "FAILING");
            body["TotalPieces"] = json!(job.parts.len());
            body["CompletedPieces"] = json!(progress.done.saturating_sub(failed));
            body["FailedPieces"] = json!(failed);
        }
        if progress.done > 0 || progress.end.is_some() {
            body["TotalProcessed"] = json!(progress.processed);
            body["TotalFailures"] = json!(progress.failures);
        }
        if !progress.failed_entries.is_empty() {
            body["Failures"] = json!(progress.failed_entries);
        }
        if let Some((_, at)) = progress.end {
            body["CompletionDate"] = json!(at.to_rfc3339_opts(SecondsFormat::Millis, true));
        }
        body
    }

    pub(super) fn answer(
        &self,
        at: DateTime<Utc>,
        operation: Operation,
        answer: Result<(StatusCode, Value), Failure>,
    ) -> Response<Bytes> {
        let mut state = self.state();
        let id = derived_uuid(
            self.settings.seed,
            &["pinpoint request", &state.calls.len().to_string()],
        );
        let (response, error) = match answer {
            Ok((status, body)) => (json_response(status, &id, &body), None),
            Err(failure) => {
                let body = json!({ "Message": failure.refusal.message, "RequestID": id });
                (failure.response(&id, &body), Some(failure.refusal.code))
            }
        };
        state.calls.push(Call {
            at,
            operation,
            status: response.status().as_u16(),
            error,
        });
        response
    }
}
