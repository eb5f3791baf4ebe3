//! Sessions that act for a registered user.
//!
//! What must stay true: each step makes a new session, because a session that a role's own session makes lasts an hour
//! at most. A token and a session make no job, so if they fail, the attempt stays as it was. No message names the user.
//!
//! A session takes two calls. GetIdentityContext gives a token of the user, in the region of the user's identity.
//! AssumeRole with the token gives credentials of the session role, and Quick Sight treats calls with them as calls of
//! the user.

use std::time::Duration;

use aws_sdk_quicksight::{
    Client,
    config::{Credentials, Region},
    types::UserIdentifier,
};
use aws_sdk_sts::types::ProvidedContext;
use landfall::{
    error::{Error, ErrorKind},
    reach,
    registered::RegisteredUser,
    runtime::SdkConfig,
};

use crate::{
    errors::{self, SERVICE},
    text,
};

/// Who issued the token, as AWS documents it.
const PROVIDER: &str = "arn:aws:iam::aws:contextProvider/QuickSight";

/// How long each of the two calls may take. A function has 60 s, and two calls of up to 20 s follow.
const LIMIT: Duration = Duration::from_secs(5);

/// How long a session lasts, in seconds: the shortest that the API allows.
const LASTS: i32 = 900;

/// The longest name of a session, in characters.
const NAME_MAX: usize = 64;

/// Why there is no session.
#[derive(Debug)]
pub(crate) struct NoSession {
    pub(crate) error: Error,
    /// Whether no connection was made.
    pub(crate) never_left: bool,
}

impl From<Error> for NoSession {
    fn from(error: Error) -> Self {
        Self {
            error,
            never_left: false,
        }
    }
}

/// Makes sessions.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    quicksight: Client,
    sts: aws_sdk_sts::Client,
    role: Option<String>,
}

impl Sessions {
    /// Makes its own clients. `sdk` must not repeat calls.
    pub(crate) fn new(sdk: &SdkConfig, role: Option<String>) -> Self {
        let timeouts = sdk
            .timeout_config()
            .cloned()
            .unwrap_or_else(landfall::runtime::timeouts);
        let sdk = sdk
            .clone()
            .into_builder()
            .timeout_config(timeouts.to_builder().operation_timeout(LIMIT).build())
            .build();
        Self {
            quicksight: Client::new(&sdk),
            sts: aws_sdk_sts::Client::new(&sdk),
            role,
        }
    }

    /// Credentials that act for a user of the account. `about` is the job, which the session's name contains.
    pub(crate) async fn credentials(
        &self,
        account: &str,
        user: &RegisteredUser,
        about: &str,
    ) -> Result<Credentials, NoSession> {
        let role = self.role.as_deref().ok_or_else(|| {
            Error::new(
                ErrorKind::Forbidden,
                "this deployment has no role for sessions of registered users; set AllowedQuickSightUsers",
            )
        })?;
        let token = self.token(account, user).await?;
        self.session(role, token, about).await
    }

    async fn token(&self, account: &str, user: &RegisteredUser) -> Result<String, NoSession> {
        const OPERATION: &str = "GetIdentityContext";
        let own = self.quicksight.config().region().map(AsRef::as_ref).unwrap_or_default();
        let of_user = user.identity_region(own);
        let client = match of_user == own {
            true => self.quicksight.clone(),
            false => {
                let config = self.quicksight.config().to_builder();
                Client::from_conf(config.region(Region::new(of_user.to_owned())).build())
            }
        };
        let who = match (&user.user_arn, &user.user_name, &user.email) {
            (Some(arn), ..) => UserIdentifier::UserArn(arn.clone()),
            (None, Some(name), _) => UserIdentifier::UserName(name.clone()),
            (None, None, Some(email)) => UserIdentifier::Email(email.clone()),
            (None, None, None) => return Err(Error::internal("the event's registered user is nobody").into()),
        };
        let answer = client
            .get_identity_context()
            .aws_account_id(account)
            .user_identifier(who)
            .set_namespace(user.namespace.clone())
            .set_context_region((of_user != own).then(|| own.to_owned()))
            .send()
            .await;
        const RESOURCE: &str = "the event's registered user";
        match answer {
            Ok(answer) => answer.context.filter(|token| !token.is_empty()).ok_or_else(|| {
                let why = format!("{OPERATION} for {RESOURCE} succeeded, but its answer has no token");
                Error::new(ErrorKind::Unavailable, why).into()
            }),
            Err(error) if reach::never_left(&error) => Err(NoSession {
                error: reach::unreachable(SERVICE, Some(of_user), OPERATION, RESOURCE, &error),
                never_left: true,
            }),
            Err(error) => {
                let mut error = errors::named(OPERATION, RESOURCE, &[errors::OF_IDENTITY], &error);
                let secrets: Vec<String> = user.secrets().cloned().collect();
                error.message = text::without_secrets(&error.message, &secrets);
                Err(error.into())
            }
        }
    }

    async fn session(&self, role: &str, token: String, about: &str) -> Result<Credentials, NoSession> {
        const OPERATION: &str = "AssumeRole";
        let context = ProvidedContext::builder()
            .provider_arn(PROVIDER)
            .context_assertion(&token)
            .build();
        let name: String = format!("landfall-{about}").chars().take(NAME_MAX).collect();
        let answer = self
            .sts
            .assume_role()
            .role_arn(role)
            .role_session_name(name)
            .duration_seconds(LASTS)
            .provided_contexts(context)
            .send()
            .await;
        let answer = answer.map_err(|error| {
            if reach::never_left(&error) {
                let sts = reach::Service {
                    name: "AWS STS",
                    regions: "It is in every region",
                };
                let region = self.sts.config().region().map(AsRef::as_ref);
                return NoSession {
                    error: reach::unreachable(sts, region, OPERATION, role, &error),
                    never_left: true,
                };
            }
            let mut error = errors::named(OPERATION, role, &[errors::OF_SESSIONS], &error);
            error.message = text::without_secrets(&error.message, std::slice::from_ref(&token));
            NoSession::from(error)
        })?;
        let given = answer.credentials.ok_or_else(|| {
            let why = format!("{OPERATION} for {role} succeeded, but its answer has no credentials");
            NoSession::from(Error::new(ErrorKind::Unavailable, why))
        })?;
        Ok(Credentials::new(
            given.access_key_id,
            given.secret_access_key,
            Some(given.session_token),
            given.expiration.try_into().ok(),
            "a session of a registered user",
        ))
    }
}
