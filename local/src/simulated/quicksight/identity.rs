//! Who calls: Landfall's own role, or a registered user of Quick Sight in a session.
//!
//! What must stay true: a token belongs to one user and one region. Credentials are known by their access key and their
//! session token, and expire by the clock. A caller with expired credentials is denied and never taken for somebody
//! else. Signatures are not verified.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::{Request, StatusCode};

use super::call::failure;
use crate::simulated::Failure;

/// Tokens and sessions that were given.
#[derive(Default)]
pub(super) struct Identities {
    pub(super) asked: u32,
    pub(super) tokens: BTreeMap<String, Token>,
    pub(super) sessions: BTreeMap<String, Session>,
}

#[derive(Clone)]
pub(super) struct Token {
    pub(super) user: String,
    pub(super) region: String,
    pub(super) expires: DateTime<Utc>,
}

#[derive(Clone)]
pub(super) struct Session {
    pub(super) user: String,
    pub(super) region: String,
    pub(super) token: String,
    pub(super) expires: DateTime<Utc>,
}

/// Who makes a call.
pub(super) enum Caller {
    /// A role, which is not a user of Quick Sight.
    Role,
    /// A registered user, by ARN, in a session for one region.
    User { arn: String, region: String },
    /// Somebody with credentials that have expired or never existed.
    Nobody,
}

impl Caller {
    /// The registered user who makes a call in this region, if there is one.
    pub(super) fn user(&self, here: &str) -> Result<Option<String>, Failure> {
        let denied = |why| failure(StatusCode::UNAUTHORIZED, "AccessDeniedException", why);
        match self {
            Self::Role => Ok(None),
            Self::User { arn, region } if region == here => Ok(Some(arn.clone())),
            Self::User { .. } => Err(denied("The identity context is of another region.")),
            Self::Nobody => Err(denied("The credentials have expired.")),
        }
    }
}

/// The access key and the region that a request is signed with.
pub(super) fn scope(request: &Request<Bytes>) -> Option<(&str, &str)> {
    let header = request.headers().get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (_, scope) = header.split_once("Credential=")?;
    let mut parts = scope.split('/');
    Some((parts.next()?, parts.nth(1)?))
}

impl Identities {
    pub(super) fn caller(&self, request: &Request<Bytes>, at: DateTime<Utc>) -> Caller {
        let Some((key, _)) = scope(request) else {
            return Caller::Role;
        };
        let Some(session) = self.sessions.get(key) else {
            return match key.starts_with("ASIALANDFALL") {
                true => Caller::Nobody,
                false => Caller::Role,
            };
        };
        let token = request.headers().get("x-amz-security-token");
        let is_whole = token.and_then(|token| token.to_str().ok()) == Some(session.token.as_str());
        match is_whole && at < session.expires {
            true => Caller::User {
                arn: session.user.clone(),
                region: session.region.clone(),
            },
            false => Caller::Nobody,
        }
    }
}
