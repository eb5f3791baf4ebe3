//! The gate: what an event may name.
//!
//! Whoever can put an event could otherwise send data elsewhere. What must stay true: this is decided before any
//! service is called, an empty list allows nothing, and a prefix is compared by whole path segments.

use crate::{
    error::{Error, ErrorKind, Result},
    s3_uri::S3Uri,
};

/// What a deployment allows events to name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    /// Folders that exports may be written beneath, or read from.
    pub destinations: Vec<S3Uri>,
    /// ARNs of roles that a service may be given; one that ends in `*` allows all that begin so.
    pub roles: Vec<String>,
    /// ARNs of KMS keys, by the same rule.
    pub keys: Vec<String>,
}

impl AllowList {
    /// Whether data may lie here; `what` names the member for the message.
    pub fn check_location(&self, what: &str, uri: &S3Uri) -> Result<()> {
        if self.destinations.iter().any(|folder| uri.is_within(folder)) {
            return Ok(());
        }
        Err(refusal(
            what,
            &uri.to_string(),
            "AllowedDestinations",
            self.destinations.iter().map(ToString::to_string),
        ))
    }

    /// Whether the service may be given this role.
    pub fn check_role(&self, what: &str, arn: &str) -> Result<()> {
        check_pattern(what, arn, "AllowedRoles", &self.roles)
    }

    /// Whether the data may be encrypted with this key.
    pub fn check_key(&self, what: &str, arn: &str) -> Result<()> {
        check_pattern(what, arn, "AllowedKmsKeys", &self.keys)
    }
}

fn check_pattern(what: &str, arn: &str, parameter: &str, patterns: &[String]) -> Result<()> {
    let matches = |pattern: &String| match pattern.strip_suffix('*') {
        Some(head) => arn.starts_with(head),
        None => arn == pattern,
    };
    if patterns.iter().any(matches) {
        return Ok(());
    }
    Err(refusal(what, arn, parameter, patterns.iter().cloned()))
}

fn refusal(what: &str, value: &str, parameter: &str, allowed: impl Iterator<Item = String>) -> Error {
    let allowed: Vec<_> = allowed.collect();
    let allowed = if allowed.is_empty() {
        "nothing".to_owned()
    } else {
        allowed.join(", ")
    };
    Error::new(
        ErrorKind::Forbidden,
        format!(
            "{what} is {value}, but this deployment allows {allowed}. Nothing was started. Name an allowed one, or add \
             it to the parameter {parameter} of the stack"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> AllowList {
        AllowList {
            destinations: vec!["s3://exports/segments/".parse().unwrap()],
            roles: vec![
                "arn:aws:iam::111122223333:role/landfall-*".into(),
                "arn:aws:iam::111122223333:role/x".into(),
            ],
            keys: vec![],
        }
    }

    #[test]
    fn destinations_by_whole_segments() {
        let check = |uri: &str| list().check_location("$.detail.DestinationUri", &uri.parse().unwrap());
        assert!(check("s3://exports/segments/a/").is_ok());
        assert!(check("s3://exports/segments").is_ok());
        for outside in ["s3://exports/", "s3://exports/segments2/", "s3://other/segments/"] {
            let error = check(outside).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Forbidden);
            assert!(
                error.message.contains("$.detail.DestinationUri") && error.message.contains("s3://exports/segments/")
            );
        }
    }

    #[test]
    fn roles_by_arn_or_leading_part() {
        let check = |arn| list().check_role("$.detail.RoleArn", arn).is_ok();
        assert!(check("arn:aws:iam::111122223333:role/landfall-export"));
        assert!(check("arn:aws:iam::111122223333:role/x"));
        assert!(!check("arn:aws:iam::111122223333:role/xy"));
        assert!(!check("arn:aws:iam::999999999999:role/landfall-export"));
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        let error = list().check_key("$.detail.EncryptionKey", "arn:aws:kms:x").unwrap_err();
        assert!(error.message.contains("allows nothing"));
    }
}
