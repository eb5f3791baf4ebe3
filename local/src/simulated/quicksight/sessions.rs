//! Sessions of registered users: GetIdentityContext, and AssumeRole of STS.
//!
//! What must stay true: a session is given only for a token that has not expired, and it lasts an hour at most. AWS
//! documents neither how long a token may be used nor what it looks like.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http::{HeaderValue, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{
    Service,
    call::{Name, Operation, failure, invalid, not_found, of_fault, serialization},
    identity::{Session, Token, scope},
    scenario::{Fault, Identity},
};
use crate::simulated::{Call, Failure, derived_hex, derived_uuid};

/// How long a token may be used.
const TOKEN_LASTS: TimeDelta = TimeDelta::minutes(15);

/// The only issuer of tokens that is known here.
const PROVIDER: &str = "arn:aws:iam::aws:contextProvider/QuickSight";

impl Service {
    /// GetIdentityContext.
    pub(super) fn identity_context(
        &self,
        name: &Name,
        request: &Request<Bytes>,
        at: DateTime<Utc>,
    ) -> Result<Value, Failure> {
        let body: Value = serde_json::from_slice(request.body())
            .map_err(|_| serialization("The request body is not a JSON object"))?;
        let here = scope(request)
            .map_or(self.settings.region.as_str(), |(_, region)| region)
            .to_owned();
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
        let given: Vec<(&str, &str)> = ["UserArn", "UserName", "Email"]
            .into_iter()
            .filter_map(|member| Some((member, text(&format!("/UserIdentifier/{member}"))?)))
            .collect();
        let [(member, who)] = given.as_slice() else {
            return Err(invalid(
                "UserIdentifier must be exactly one of UserName, Email and UserArn.",
            ));
        };
        let users = format!("arn:aws:quicksight:{here}:{}:user/", name.account);
        let user = match (*member, text("/Namespace")) {
            ("UserArn", _) if who.starts_with(&users) => (*who).to_owned(),
            ("UserArn", _) => return Err(not_found("The user is not found in this account and region.")),
            (_, None) => return Err(invalid("Namespace is required with UserName and Email.")),
            (_, Some(namespace)) => format!("{users}{namespace}/{who}"),
        };
        let mut state = self.state();
        state.identities.asked = state.identities.asked.saturating_add(1);
        let asked = state.identities.asked;
        match self.behaviour.identity {
            Identity::ThrottledOnce if asked == 1 => return Err(of_fault(Fault::Throttled, name)),
            // AWS does not document the error.
            Identity::OfIdentityCenter => {
                let message = "The identity type of the user is not supported.";
                return Err(failure(StatusCode::BAD_REQUEST, "PreconditionNotMetException", message));
            }
            _ => {}
        }
        let token = derived_hex(self.settings.seed, &["token", &user, &asked.to_string()]);
        let given = Token {
            user,
            region: text("/ContextRegion").unwrap_or(&here).to_owned(),
            expires: at + TOKEN_LASTS,
        };
        state.identities.tokens.insert(token.clone(), given);
        Ok(json!({ "Context": token }))
    }

    /// AssumeRole of STS. Its request is a form, and its answer is XML.
    pub(super) fn assume_role(&self, at: DateTime<Utc>, request: &Request<Bytes>) -> Response<Bytes> {
        let answer = self.session(at, request);
        let mut state = self.state();
        let id = derived_uuid(self.settings.seed, &["request", &state.calls.len().to_string()]);
        let (status, error, body) = match answer {
            Ok(result) => (
                StatusCode::OK,
                None,
                format!(
                    "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>{result}\
                     </AssumeRoleResult><ResponseMetadata><RequestId>{id}</RequestId></ResponseMetadata>\
                     </AssumeRoleResponse>"
                ),
            ),
            Err((status, code, message)) => (
                status,
                Some(code),
                format!(
                    "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                     <Code>{code}</Code><Message>{message}</Message></Error><RequestId>{id}</RequestId></ErrorResponse>"
                ),
            ),
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert("x-amzn-requestid", id);
        }
        state.calls.push(Call {
            at,
            operation: Operation::Session,
            status: status.as_u16(),
            error,
        });
        response
    }

    fn session(&self, at: DateTime<Utc>, request: &Request<Bytes>) -> Result<String, Refused> {
        let members = form(request.body());
        let member = |name: &str| members.get(name).map_or("", String::as_str);
        let invalid = |message| Err((StatusCode::BAD_REQUEST, "ValidationError", message));
        if (member("Action"), member("Version")) != ("AssumeRole", "2011-06-15") {
            return Err((
                StatusCode::BAD_REQUEST,
                "InvalidAction",
                "Could not find the operation.",
            ));
        }
        let role = member("RoleArn");
        let (account, role_name) = match role.splitn(6, ':').collect::<Vec<_>>().as_slice() {
            ["arn", _, "iam", "", account, resource] if resource.starts_with("role/") => (
                (*account).to_owned(),
                resource.rsplit('/').next().unwrap_or_default().to_owned(),
            ),
            _ => return invalid("RoleArn is no ARN of a role."),
        };
        let name = member("RoleSessionName");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if !(2..=64).contains(&name.len()) || !name.chars().all(is_plain) {
            return invalid("RoleSessionName is not valid.");
        }
        let lasts = match member("DurationSeconds").parse::<i64>() {
            // If a role assumes another role, the session lasts an hour at most.
            Ok(seconds @ 900..=3600) => TimeDelta::seconds(seconds),
            _ => return invalid("DurationSeconds is not valid for a chained role."),
        };
        let denied = "User is not authorized to perform: sts:SetContext";
        if self.behaviour.identity == Identity::SessionDenied {
            return Err((StatusCode::FORBIDDEN, "AccessDenied", denied));
        }
        if member("ProvidedContexts.member.1.ProviderArn") != PROVIDER {
            return invalid("The context provider is not known.");
        }
        let mut state = self.state();
        let assertion = member("ProvidedContexts.member.1.ContextAssertion");
        let token = state
            .identities
            .tokens
            .get(assertion)
            .filter(|token| at < token.expires)
            .cloned();
        let Some(token) = token else {
            return Err((
                StatusCode::BAD_REQUEST,
                "ExpiredTokenException",
                "The context assertion is not valid.",
            ));
        };
        let number = state.identities.sessions.len().to_string();
        let seed = self.settings.seed;
        let derived = |what: &str| derived_hex(seed, &[what, assertion, &number]);
        let key = format!("ASIALANDFALL{}", derived("key")[..8].to_uppercase());
        let session = Session {
            user: token.user,
            region: token.region,
            token: derived("session"),
            expires: at + lasts,
        };
        let result = format!(
            "<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}\
             </SessionToken><Expiration>{}</Expiration></Credentials><AssumedRoleUser><AssumedRoleId>AROALANDFALL:{name}\
             </AssumedRoleId><Arn>arn:aws:sts::{account}:assumed-role/{role_name}/{name}</Arn></AssumedRoleUser>",
            derived("secret"),
            session.token,
            session.expires.to_rfc3339_opts(SecondsFormat::Secs, true),
        );
        state.identities.sessions.insert(key, session);
        Ok(result)
    }
}

/// The status, the code and the words of a refusal.
type Refused = (StatusCode, &'static str, &'static str);

/// The members of a form.
fn form(body: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(body);
    let decode = |part: &str| {
        let part = part.replace('+', " ");
        percent_decode_str(&part).decode_utf8_lossy().into_owned()
    };
    text.split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}
