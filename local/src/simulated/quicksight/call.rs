//! What a call asks for, and how it is refused.

use http::{Method, StatusCode};

use super::scenario::Fault;
use crate::simulated::{Failure, Refusal};

/// An operation of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// StartDashboardSnapshotJob.
    Start,
    /// DescribeDashboardSnapshotJob.
    Describe,
    /// DescribeDashboardSnapshotJobResult.
    Result,
    /// GetIdentityContext.
    Identity,
    /// AssumeRole, which is an operation of STS.
    Session,
    /// An operation that the service does not have.
    Unknown,
}

/// Account, dashboard and job. A start call has no job here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) account: String,
    pub(super) dashboard: String,
    pub(super) job: String,
}

/// What a method and a path ask for. Labels are taken as they stand, because a label with an escape fits no pattern.
pub(super) fn route(method: &Method, path: &str) -> (Operation, Option<Name>) {
    let labels: Vec<&str> = path.split('/').collect();
    let name = |account: &str, dashboard: &str, job: &str| {
        Some(Name {
            account: account.to_owned(),
            dashboard: dashboard.to_owned(),
            job: job.to_owned(),
        })
    };
    match labels.as_slice() {
        // STS has only one path.
        ["", ""] if method == Method::POST => (Operation::Session, name("", "", "")),
        ["", "accounts", account, "identity-context"] if method == Method::POST => {
            (Operation::Identity, name(account, "", ""))
        }
        ["", "accounts", account, "dashboards", dashboard, "snapshot-jobs"] if method == Method::POST => {
            (Operation::Start, name(account, dashboard, ""))
        }
        ["", "accounts", account, "dashboards", dashboard, "snapshot-jobs", job] if method == Method::GET => {
            (Operation::Describe, name(account, dashboard, job))
        }
        [
            "",
            "accounts",
            account,
            "dashboards",
            dashboard,
            "snapshot-jobs",
            job,
            "result",
        ] if method == Method::GET => (Operation::Result, name(account, dashboard, job)),
        _ => (Operation::Unknown, None),
    }
}

pub(super) fn failure(status: StatusCode, code: &'static str, message: impl Into<String>) -> Failure {
    Refusal::new(status, code, message).into()
}

pub(super) fn invalid(message: impl Into<String>) -> Failure {
    failure(StatusCode::BAD_REQUEST, "InvalidParameterValueException", message)
}

pub(super) fn serialization(message: &str) -> Failure {
    Refusal::serialization(message).into()
}

pub(super) fn not_found(message: impl Into<String>) -> Failure {
    failure(StatusCode::NOT_FOUND, "ResourceNotFoundException", message)
}

/// The error of this service for a fault.
pub(super) fn of_fault(fault: Fault, name: &Name) -> Failure {
    match fault {
        // Other services answer 403 here.
        Fault::Denied => failure(
            StatusCode::UNAUTHORIZED,
            "AccessDeniedException",
            format!("User is not authorized to access dashboard {}", name.dashboard),
        ),
        Fault::NotFound => not_found(format!("Dashboard {} is not found", name.dashboard)),
        Fault::Throttled => failure(StatusCode::TOO_MANY_REQUESTS, "ThrottlingException", "Rate exceeded"),
        Fault::Full => failure(
            StatusCode::CONFLICT,
            "LimitExceededException",
            "Limit of concurrent dashboard snapshot jobs exceeded",
        ),
        Fault::Unavailable | Fault::Cut => Failure {
            cut: fault == Fault::Cut,
            ..failure(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalFailureException",
                "An internal failure occurred.",
            )
        },
    }
}

pub(super) fn arn(region: &str, name: &Name) -> String {
    format!(
        "arn:aws:quicksight:{region}:{}:dashboard/{}/snapshot-job/{}",
        name.account, name.dashboard, name.job
    )
}
