//! The errors of Quick Sight, what they mean and what to do.
//!
//! What must stay true: each error that the API model has for an operation that is called here has a row, and so has
//! each code that the descriptions give for a job or a file. The same rows name the error of a failed call,
//! whose message ends with the row's remedy; a receipt has that of a job or a file.

use aws_sdk_quicksight::error::{ProvideErrorMetadata, SdkError};
use landfall::{
    error::{Error, ErrorKind},
    reach::Service,
    remedy::{ServiceError, find},
    store::s3::{code_of, describe, transport_kind},
};

use crate::text;

/// The service, in messages.
pub(crate) const SERVICE: Service = Service {
    name: "Amazon Quick Sight",
    regions: "docs/kinds.md says how to look up in which regions it is",
};

const fn row(code: &'static str, kind: ErrorKind, meaning: &'static str, remedy: &'static str) -> ServiceError {
    ServiceError {
        code,
        kind,
        meaning,
        remedy,
    }
}

const AGAIN: &str = "the call is tried again";

/// The advice if there was no answer, or the answer has no known code.
const UNSAID: &str = "the service says no more";

const NO_SIGNATURE: ServiceError = row(
    "UnrecognizedClientException",
    ErrorKind::Forbidden,
    "The credentials of the call are not known.",
    "look at the function's role, and at the clock of what calls",
);

const THROTTLED: ServiceError = row(
    "ThrottlingException",
    ErrorKind::Throttled,
    "Access is throttled.",
    "an account has 10 calls a second; the call is tried again",
);

const FAILED: ServiceError = row(
    "InternalFailureException",
    ErrorKind::Unavailable,
    "An internal failure occurred.",
    AGAIN,
);

/// The errors of StartDashboardSnapshotJob, DescribeDashboardSnapshotJob and DescribeDashboardSnapshotJobResult.
pub const OF_SNAPSHOTS: &[ServiceError] = &[
    row(
        "InvalidParameterValueException",
        ErrorKind::InvalidEvent,
        "One or more parameters has a value that isn't valid.",
        "correct the request; the ids of sheets and visuals are those of the published dashboard",
    ),
    row(
        "AccessDeniedException",
        ErrorKind::Forbidden,
        "The caller has no access to this item.",
        "the function's role needs the quicksight action on the dashboard, and Quick Sight the bucket",
    ),
    row(
        "UnsupportedUserEditionException",
        ErrorKind::Forbidden,
        "The subscription's edition does not include this operation.",
        "snapshots need the Enterprise edition of Quick Sight; upgrade the account's subscription",
    ),
    row(
        "UnsupportedPricingPlanException",
        ErrorKind::Forbidden,
        "The subscription's pricing plan does not include this operation.",
        "snapshots for anonymous users need capacity pricing, CSV, EXCEL and paginated PDF the Pixel-Perfect Reports \
         add-on; change the account's subscription, or take the snapshot for a registered user",
    ),
    row(
        "ResourceNotFoundException",
        ErrorKind::NotFound,
        "One or more resources can't be found.",
        "check the account, the dashboard and the region; what became of old jobs is not documented",
    ),
    row(
        "LimitExceededException",
        ErrorKind::Busy,
        "A limit is exceeded.",
        "an account runs 12 snapshot jobs at a time by default; the job waits in line",
    ),
    row(
        "ResourceExistsException",
        ErrorKind::Busy,
        "The resource specified already exists.",
        "the id is in use; the call is tried again",
    ),
    row(
        "PreconditionNotMetException",
        ErrorKind::Unavailable,
        "One or more preconditions aren't met.",
        "the job has not ended yet",
    ),
    THROTTLED,
    FAILED,
    NO_SIGNATURE,
];

/// The errors that differ if a call is made for a registered user.
pub const OF_REGISTERED_USERS: &[ServiceError] = &[row(
    "AccessDeniedException",
    ErrorKind::Forbidden,
    "The credentials have expired, or the user has no access to the dashboard, or may not export one of the formats; of a \
     poll also: the job was started by a different user.",
    "share the dashboard with the user, let the user export the formats that the event asks for, and give the session role \
     the quicksight actions on the dashboard; a poll is also denied if another user started the job",
)];

/// The errors of GetIdentityContext, which gives the token of a registered user.
pub const OF_IDENTITY: &[ServiceError] = &[
    row(
        "InvalidParameterValueException",
        ErrorKind::InvalidEvent,
        "One or more parameters has a value that isn't valid.",
        "check the user, the namespace and the region of the identities. Users of IAM Identity Center have no such token",
    ),
    row(
        "PreconditionNotMetException",
        ErrorKind::InvalidEvent,
        "One or more preconditions aren't met.",
        "the user must be active, and native, federated by IAM or of Active Directory. A user of IAM Identity Center has no \
         such token without that person's own sign-in (CreateTokenWithIAM), which an event does not have: take the snapshot \
         for another user, or for an anonymous reader",
    ),
    row(
        "AccessDeniedException",
        ErrorKind::Forbidden,
        "The caller has no access to this item.",
        "the function's role needs quicksight:GetIdentityContext, which the stack gives where AllowedQuickSightUsers is set",
    ),
    row(
        "ResourceNotFoundException",
        ErrorKind::NotFound,
        "One or more resources can't be found.",
        "check the user, the namespace and the region of the identities (of the ARN, or IdentityRegion), which may differ from \
         the dashboard's",
    ),
    THROTTLED,
    FAILED,
    NO_SIGNATURE,
];

/// The errors of AssumeRole, which makes the session of a registered user.
pub const OF_SESSIONS: &[ServiceError] = &[
    row(
        "AccessDenied",
        ErrorKind::Forbidden,
        "The caller may not assume the role with this context.",
        "the session role's trust policy must allow the function's role sts:AssumeRole and sts:SetContext, and so must the \
         function's own role",
    ),
    row(
        "ExpiredTokenException",
        ErrorKind::Unavailable,
        "The token that was passed is expired or is not valid.",
        "Landfall asks for a new token and tries the call again",
    ),
    row(
        "MalformedPolicyDocument",
        ErrorKind::Internal,
        "The policy document was malformed.",
        "no policy is sent with the call: this is a defect of Landfall",
    ),
    row(
        "PackedPolicyTooLarge",
        ErrorKind::Internal,
        "The policies and tags of the session are too large in all.",
        "no policy and no tag is sent with the call: this is a defect of Landfall",
    ),
    row(
        "RegionDisabledException",
        ErrorKind::Forbidden,
        "STS is not activated in the region for this account.",
        "activate STS in the stack's region, in the account settings of IAM",
    ),
];

/// The codes of jobs and files in the result. All concern registered users.
pub const OF_JOBS: &[ServiceError] = &[
    row(
        "DASHBOARD_ACCESS_DENIED",
        ErrorKind::JobFailed,
        "The registered user lost access to the dashboard.",
        "share the dashboard with the user again, then rerun",
    ),
    row(
        "CAPABILITY_RESTRICTED",
        ErrorKind::JobFailed,
        "The registered user is restricted from exporting data in all selected formats, or, of one file, in its format.",
        "lift the restriction in the user's custom permissions, or ask for other formats; then rerun",
    ),
    row(
        "RLS_CHANGED",
        ErrorKind::OutputRejected,
        "Row-level security settings have changed.",
        "rerun with the current settings",
    ),
    row(
        "CLS_CHANGED",
        ErrorKind::OutputRejected,
        "Column-level security settings have changed.",
        "rerun with the current settings",
    ),
    row(
        "DATASET_DELETED",
        ErrorKind::OutputRejected,
        "The dataset has been deleted.",
        "restore the dataset, then rerun",
    ),
];

/// The named error of a failed call, chosen by the service's code. `tables` are searched in order.
pub(crate) fn named<E>(operation: &str, resource: &str, tables: &[&[ServiceError]], error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let known = error
        .code()
        .and_then(|code| tables.iter().find_map(|table| find(table, code)));
    let (kind, remedy) = match known {
        Some(row) => (row.kind, row.remedy),
        None => match error.code() {
            Some("ExpiredTokenException") => (ErrorKind::Forbidden, "the session is asked for anew at the next try"),
            Some("TooManyRequestsException" | "Throttling") => (ErrorKind::Throttled, AGAIN),
            Some("ServiceUnavailableException" | "RequestTimeoutException") => (ErrorKind::Unavailable, AGAIN),
            _ => match error.raw_response().map(|response| response.status().as_u16()) {
                Some(400) => (ErrorKind::InvalidEvent, "correct the request"),
                Some(401 | 403) => (ErrorKind::Forbidden, "check the function's role"),
                Some(404) => (ErrorKind::NotFound, "check the account, the dashboard and the region"),
                Some(429) => (ErrorKind::Throttled, AGAIN),
                // An unknown conflict may be a job of ours.
                Some(408 | 409 | 500..=599) => (ErrorKind::Unavailable, AGAIN),
                _ => (transport_kind(error), UNSAID),
            },
        },
    };
    let said = text::without_links(&describe(error));
    Error::new(kind, format!("{operation} for {resource}: {said}; {remedy}")).with_code(code_of(error))
}
