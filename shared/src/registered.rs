//! The registered user of the service for whom a job acts.
//!
//! What must stay true: a user's name and address are never shown, recorded or sealed. A record keeps the user's ARN if
//! the event gave it, otherwise how the user was given and in which namespace. So each poll reads the user from the
//! event again.
//!
//! The gate compares ARNs, before any call. A name gives an ARN. An address could belong to any user of its namespace,
//! so only a pattern that allows the whole namespace allows it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{fault::Faults, members::OPTIONS};

/// The registered user for whom a job acts: an ARN, or a namespace with a name or an address.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RegisteredUser {
    /// The user's ARN.
    #[schemars(
        length(max = 1024),
        regex(pattern = r"^arn:aws[a-z-]*:quicksight:[a-z0-9-]+:[0-9]{12}:user/[a-zA-Z0-9._-]{1,64}/.+$"),
        extend("writeOnly" = true)
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_arn: Option<String>,
    /// The user's name. It needs a namespace.
    #[schemars(length(min = 1, max = 512), extend("writeOnly" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// The user's address. It needs a namespace.
    #[schemars(length(min = 1, max = 512), extend("writeOnly" = true))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The namespace of a user who is given by name or address.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-zA-Z0-9._-]*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The region of the user's identity, if the user is given by name or address; the region of the call when absent.
    #[schemars(regex(pattern = r"^[a-z]+(-[a-z]+)+-[0-9]$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_region: Option<String>,
}

impl fmt::Debug for RegisteredUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegisteredUser(by {})", self.given_by())
    }
}

/// For whom a job acts, as the gate sees it.
#[derive(Clone, PartialEq, Eq)]
pub enum Actor {
    /// The user with this ARN.
    One(String),
    /// Any user whose ARN begins with this.
    AnyOf(String),
}

impl RegisteredUser {
    /// The member that identifies the user.
    pub const fn given_by(&self) -> &'static str {
        match self {
            Self { user_arn: Some(_), .. } => "UserArn",
            Self { user_name: Some(_), .. } => "UserName",
            _ => "Email",
        }
    }

    /// For whom a call of `account` in `region` acts.
    pub fn actor(&self, account: &str, region: &str) -> Actor {
        if let Some(arn) = &self.user_arn {
            return Actor::One(arn.clone());
        }
        let identity_region = self.identity_region(region);
        let partition = partition(identity_region);
        let namespace = self.namespace.as_deref().unwrap_or_default();
        let users = format!("arn:{partition}:quicksight:{identity_region}:{account}:user/{namespace}/");
        match &self.user_name {
            Some(name) => Actor::One(users + name),
            None => Actor::AnyOf(users),
        }
    }

    /// The region of the user's identity, for a call in `region`.
    pub fn identity_region<'a>(&'a self, region: &'a str) -> &'a str {
        let of_arn = self.user_arn.as_deref().and_then(|arn| arn.split(':').nth(3));
        of_arn.or(self.identity_region.as_deref()).unwrap_or(region)
    }

    /// What a record keeps: the ARN, or how the user was given.
    pub fn recorded(&self) -> Value {
        match &self.user_arn {
            Some(arn) => json!({ "UserArn": arn }),
            None => json!({ "GivenBy": self.given_by(), "Namespace": self.namespace }),
        }
    }

    /// The values that no message may show.
    pub fn secrets(&self) -> impl Iterator<Item = &String> {
        // The ARN is among them, because it ends with the user's name.
        self.user_arn.iter().chain(&self.user_name).chain(&self.email)
    }
}

fn partition(region: &str) -> &'static str {
    match region {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// Checks what the schema cannot express.
pub(crate) fn check(detail: &Value, faults: &mut Faults) {
    let Some(user) = detail[OPTIONS]["RegisteredUser"].as_object() else {
        return;
    };
    let place = format!("$.detail.{OPTIONS}.RegisteredUser");
    let has = |name: &str| user.get(name).is_some_and(|value| !value.is_null());
    let ways = ["UserArn", "UserName", "Email"];
    let given = ways.iter().filter(|name| has(name)).count();
    if given != 1 {
        faults.add(
            &place,
            if given == 0 {
                "nobody"
            } else {
                "more than one way to say who"
            },
            "give UserArn, or Namespace with UserName or Email",
        );
    }
    if has("UserArn") {
        for name in ["Namespace", "IdentityRegion"].into_iter().filter(|name| has(name)) {
            faults.add(
                format!("{place}.{name}"),
                "a value beside UserArn",
                "the ARN says it: leave it out",
            );
        }
    } else if given > 0 && !has("Namespace") {
        faults.add(
            format!("{place}.Namespace"),
            "nothing",
            "it is required with UserName and Email; most accounts have only the namespace default",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:quicksight:us-east-1:111122223333:user/default/Analysts/anna";

    fn named(name: Option<&str>, email: Option<&str>) -> RegisteredUser {
        RegisteredUser {
            user_name: name.map(str::to_owned),
            email: email.map(str::to_owned),
            namespace: Some("default".to_owned()),
            ..RegisteredUser::default()
        }
    }

    #[test]
    fn a_user_name_makes_an_arn_and_an_address_only_its_head() {
        let account = "111122223333";
        let one = |user: &RegisteredUser, region| match user.actor(account, region) {
            Actor::One(arn) => arn,
            Actor::AnyOf(head) => format!("{head}…"),
        };
        let by_arn = RegisteredUser {
            user_arn: Some(ARN.to_owned()),
            ..RegisteredUser::default()
        };
        assert_eq!(one(&by_arn, "eu-central-1"), ARN);
        assert_eq!(by_arn.identity_region("eu-central-1"), "us-east-1");
        assert_eq!(
            one(&named(Some("anna"), None), "eu-central-1"),
            "arn:aws:quicksight:eu-central-1:111122223333:user/default/anna"
        );
        let elsewhere = RegisteredUser {
            identity_region: Some("us-gov-west-1".to_owned()),
            ..named(None, Some("anna@example.com"))
        };
        assert_eq!(
            one(&elsewhere, "us-gov-east-1"),
            "arn:aws-us-gov:quicksight:us-gov-west-1:111122223333:user/default/…"
        );
    }

    #[test]
    fn a_record_and_a_debug_text_hold_no_name_and_no_address() {
        for user in [named(Some("anna"), None), named(None, Some("anna@example.com"))] {
            let told = format!("{:?} {}", user, user.recorded());
            assert!(!told.contains("anna") && told.contains(user.given_by()), "{told}");
        }
    }

    #[test]
    fn an_event_names_a_user_in_exactly_one_way() {
        let faults = |user: Value| {
            let mut faults = Faults::default();
            check(&json!({ OPTIONS: {"RegisteredUser": user} }), &mut faults);
            faults.into_result().err().map_or(String::new(), |error| error.message)
        };
        for right in [
            json!({ "UserArn": ARN }),
            json!({"UserName": "anna", "Namespace": "default"}),
            json!({"Email": "anna@example.com", "Namespace": "n", "IdentityRegion": "us-east-1", "UserName": null}),
        ] {
            assert_eq!(faults(right.clone()), "", "{right}");
        }
        for (wrong, place) in [
            (json!({}), "RegisteredUser: found nobody"),
            (
                json!({"UserArn": ARN, "UserName": "anna"}),
                "RegisteredUser: found more than one",
            ),
            (
                json!({"UserArn": ARN, "Namespace": "default"}),
                "RegisteredUser.Namespace: found a value",
            ),
            (
                json!({"UserArn": ARN, "IdentityRegion": "us-east-1"}),
                "IdentityRegion: found a value",
            ),
            (json!({"UserName": "anna"}), "RegisteredUser.Namespace: found nothing"),
        ] {
            let found = faults(wrong.clone());
            assert!(found.contains(place) && !found.contains("anna"), "{wrong}: {found}");
        }
    }
}
