//! The gate: which values an event may name.
//!
//! Anyone who can put an event could otherwise send data elsewhere, or read data that is not meant for them. What must
//! stay true: the gate decides before any service is called; an empty list allows nothing; a prefix is compared by
//! whole path segments; a name is compared with a pattern as a whole, and case matters.

use crate::{
    error::{Error, ErrorKind, Result},
    registered::Actor,
    s3_uri::S3Uri,
};

/// What a deployment allows events to name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    /// Folders that exports may write to and imports may read from.
    pub destinations: Vec<S3Uri>,
    /// ARNs of roles that a service may be given. One that ends in `*` allows all ARNs with that beginning.
    pub roles: Vec<String>,
    /// ARNs of KMS keys, by the same rule.
    pub keys: Vec<String>,
    /// Names of domains whose segments may be exported. Each `*` stands for any characters, and may be anywhere.
    pub domains: Vec<String>,
    /// Ids of dashboards that snapshots may be taken of, by the same rule.
    pub dashboards: Vec<String>,
    /// ARNs of registered users of Quick Sight that events may act for, by the same rule.
    pub users: Vec<String>,
}

impl AllowList {
    /// Whether data may be written to or read from this location. `what` is the location's name in the message.
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

    /// Whether segments of this domain may be exported.
    pub fn check_domain(&self, what: &str, name: &str) -> Result<()> {
        check_name(what, name, "AllowedDomains", &self.domains)
    }

    /// Whether snapshots may be taken of this dashboard.
    pub fn check_dashboard(&self, what: &str, id: &str) -> Result<()> {
        check_name(what, id, "AllowedDashboards", &self.dashboards)
    }

    /// Whether an event may act for this user. The message names the event's member, `given_by`, and not the user, who
    /// is personal data.
    pub fn check_user(&self, given_by: &str, actor: &Actor) -> Result<()> {
        let is_allowed = |pattern: &String| match actor {
            Actor::One(arn) => matches_name(pattern, arn),
            // A pattern that ends in `*` and matches the head also matches whatever follows the head.
            Actor::AnyOf(head) => pattern.ends_with('*') && matches_name(pattern, head),
        };
        if self.users.iter().any(is_allowed) {
            return Ok(());
        }
        let every = match actor {
            Actor::One(_) => "",
            Actor::AnyOf(_) => {
                " An address may be that of any user of its namespace, so a pattern has to allow them all."
            }
        };
        Err(Error::new(
            ErrorKind::Forbidden,
            format!(
                "this deployment does not let events act for the user of $.detail.Landfall.RegisteredUser.{given_by}.{every} \
                 Nothing was started. Add the user's ARN, or a pattern of it with *, to the parameter \
                 AllowedQuickSightUsers of the stack"
            ),
        ))
    }
}

fn check_name(what: &str, name: &str, parameter: &str, patterns: &[String]) -> Result<()> {
    if patterns.iter().any(|pattern| matches_name(pattern, name)) {
        return Ok(());
    }
    Err(refusal(what, name, parameter, patterns.iter().cloned()))
}

/// Whether a pattern matches the whole name. Each `*` stands for any characters or none; IAM matches the resources of
/// the functions' roles in the same way. The text between two stars is taken at its first place in the name, which
/// leaves the most for the rest of the pattern.
fn matches_name(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(head) else {
        return false;
    };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        match left.find(part) {
            Some(at) => left = left.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    left.ends_with(tail)
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
            domains: vec!["shop".into(), "test-*".into(), "*-eu-*-open".into()],
            ..AllowList::default()
        }
    }

    #[test]
    fn a_destination_is_allowed_by_whole_segments() {
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
    fn a_role_is_allowed_by_its_arn_or_a_leading_part() {
        let check = |arn| list().check_role("$.detail.RoleArn", arn).is_ok();
        assert!(check("arn:aws:iam::111122223333:role/landfall-export"));
        assert!(check("arn:aws:iam::111122223333:role/x"));
        assert!(!check("arn:aws:iam::111122223333:role/xy"));
        assert!(!check("arn:aws:iam::999999999999:role/landfall-export"));
    }

    #[test]
    fn names_match_as_a_whole_and_case_sensitively() {
        let check = |name: &str| list().check_domain("$.detail.DomainName", name);
        for inside in [
            "shop",
            "test-",
            "test-a",
            "test-*",
            "a-eu-b-open",
            "-eu--open",
            "x-eu-eu-y-open-open",
        ] {
            assert!(check(inside).is_ok(), "{inside}");
        }
        for outside in [
            "",
            "*",
            "Shop",
            "SHOP",
            "shop2",
            "myshop",
            "shop ",
            " shop",
            "test",
            "Test-a",
            "a-test-b",
            "a-eu-open",
            "-eu-open",
            "a-eu-b-open2",
            "a-EU-b-open",
            "shop\0",
            "shop\n",
            "ｓｈｏｐ",
        ] {
            let error = check(outside).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Forbidden, "{outside}");
            assert!(error.message.contains("AllowedDomains") && error.message.contains("test-*"));
        }
    }

    #[test]
    fn a_single_star_allows_every_name_and_an_empty_list_allows_none() {
        let all = AllowList {
            dashboards: vec!["*".into()],
            ..AllowList::default()
        };
        for id in ["sales", "", "a*b", "日本"] {
            assert!(all.check_dashboard("$.detail.DashboardId", id).is_ok(), "{id}");
            assert!(all.check_domain("$.detail.DomainName", id).is_err(), "{id}");
        }
    }

    #[test]
    fn a_dashboard_that_is_not_listed_is_refused() {
        let some = AllowList {
            dashboards: vec!["sales-*".into()],
            ..AllowList::default()
        };
        assert!(some.check_dashboard("$.detail.DashboardId", "sales-eu").is_ok());
        let error = some.check_dashboard("$.detail.DashboardId", "salaries").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Forbidden);
        for part in ["$.detail.DashboardId is salaries", "sales-*", "AllowedDashboards"] {
            assert!(error.message.contains(part), "{error}");
        }
    }

    #[test]
    fn patterns_may_have_adjacent_stars_and_parts_do_not_overlap() {
        for (pattern, name, matches) in [
            ("**", "", true),
            ("a**b", "ab", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*ab*ab", "ab", false),
            ("*ab*ab", "abab", true),
            ("*ab*b", "aab", false),
            ("*a*b*c*", "xaxbxcx", true),
            ("*a*b*c*", "xaxcxbx", false),
            ("*é*", "caf\u{e9}s", true),
            ("*é", "cafe\u{301}", false),
        ] {
            assert_eq!(matches_name(pattern, name), matches, "{pattern} {name}");
        }
    }

    proptest::proptest! {
        /// Compares with a matcher that tries every length for each star.
        #[test]
        fn patterns_match_as_a_matcher_that_tries_every_length(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
            fn slow(pattern: &[u8], name: &[u8]) -> bool {
                match pattern.split_first() {
                    None => name.is_empty(),
                    Some((b'*', rest)) => (0..=name.len()).any(|skipped| slow(rest, &name[skipped..])),
                    Some((first, rest)) => name.split_first().is_some_and(|(c, left)| c == first && slow(rest, left)),
                }
            }
            proptest::prop_assert_eq!(matches_name(&pattern, &name), slow(pattern.as_bytes(), name.as_bytes()));
        }
    }

    #[test]
    fn a_user_is_allowed_by_arn_and_an_address_only_where_every_user_is() {
        let users = |patterns: &[&str]| AllowList {
            users: patterns.iter().map(|pattern| (*pattern).to_owned()).collect(),
            ..AllowList::default()
        };
        const HEAD: &str = "arn:aws:quicksight:us-east-1:111122223333:user/default/";
        let one = |name: &str| Actor::One(format!("{HEAD}{name}"));
        let check = |patterns: &[&str], actor: &Actor| users(patterns).check_user("UserArn", actor).is_ok();
        let anna = format!("{HEAD}anna");
        for (pattern, actor, is_allowed) in [
            (anna.as_str(), one("anna"), true),
            (anna.as_str(), one("annabel"), false),
            (anna.as_str(), one("Anna"), false),
            (anna.as_str(), one("*"), false),
            (anna.as_str(), one("x/anna"), false),
            ("arn:aws:quicksight:*:111122223333:user/default/*", one("anna"), true),
            ("arn:aws:quicksight:*:111122223333:user/default/a*", one("anna"), true),
            ("arn:aws:quicksight:*:111122223333:user/other/*", one("anna"), false),
            ("*", one("anna"), true),
            ("", one("anna"), false),
            (
                "arn:aws:quicksight:*:111122223333:user/default/*",
                Actor::AnyOf(HEAD.to_owned()),
                true,
            ),
            (
                "arn:aws:quicksight:*:111122223333:user/default/a*",
                Actor::AnyOf(HEAD.to_owned()),
                false,
            ),
            (
                "arn:aws:quicksight:*:111122223333:user/default/",
                Actor::AnyOf(HEAD.to_owned()),
                false,
            ),
            (anna.as_str(), Actor::AnyOf(HEAD.to_owned()), false),
            ("*", Actor::AnyOf(HEAD.to_owned()), true),
        ] {
            assert_eq!(check(&[pattern], &actor), is_allowed, "{pattern}");
        }
        let error = users(&[]).check_user("UserArn", &one("anna")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Forbidden);
        assert!(!error.message.contains("anna") && error.message.contains("AllowedQuickSightUsers"));
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        let error = list().check_key("$.detail.EncryptionKey", "arn:aws:kms:x").unwrap_err();
        assert!(error.message.contains("allows nothing"));
    }
}
