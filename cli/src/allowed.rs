//! What a deployment allows an event to name.
//!
//! What must stay true: the allow list that is made from a stack's parameters is the one that its functions have. An
//! event's members are compared with it as the functions compare them. Tests compare both with the functions' own.

use std::collections::BTreeMap;

use landfall::{
    fault::Faults,
    gate::AllowList,
    members::OPTIONS,
    registered::RegisteredUser,
    s3_uri::S3Uri,
    service::{Named, NamedResources},
};
use serde_json::Value;

use crate::kinds;

/// The allow list of a stack, made from its parameters and outputs.
pub fn of_stack(parameters: &BTreeMap<String, String>, outputs: &BTreeMap<String, String>) -> AllowList {
    let list = |name: &str| {
        let text = parameters.get(name).map_or("", String::as_str);
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
    };
    let own = outputs.get("ExportBucketName").map(|bucket| S3Uri {
        bucket: bucket.clone(),
        key: String::new(),
    });
    // The roles that the stack makes for its services.
    let roles = outputs.iter().filter(|(name, _)| name.ends_with("RoleArn"));
    AllowList {
        destinations: own
            .into_iter()
            .chain(list("AllowedDestinations").filter_map(|uri| uri.parse().ok()))
            .collect(),
        roles: roles
            .map(|(_, role)| role.clone())
            .chain(list("SegmentSnapshotRoleArn"))
            .chain(list("AllowedRoles"))
            .collect(),
        keys: list("KmsKeyArn").chain(list("AllowedKmsKeys")).collect(),
        domains: list("AllowedDomains").collect(),
        dashboards: list("AllowedDashboards").collect(),
        users: list("AllowedQuickSightUsers").collect(),
    }
}

/// The account and the region in which a deployment's functions make their calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Twelve digits.
    pub account: String,
    /// Such as `eu-central-1`.
    pub region: String,
}

impl Place {
    /// The account and region of an ARN.
    pub fn of_arn(arn: &str) -> Option<Self> {
        let mut parts = arn.split(':').skip(3);
        let (region, account) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        Some(Self { account, region })
    }
}

/// The resources that an event of this kind names and that the gate has to look at.
pub fn named(kind: &str, detail: &Value) -> NamedResources {
    let row = kinds::row(kind);
    row.map_or_else(NamedResources::default, |row| (row.named)(detail))
}

/// Adds a fault for each name that the deployment does not allow. Whether a value is right in itself is not looked at
/// here.
pub fn check(allowed: &AllowList, place: &Place, kind: &str, detail: &Value, faults: &mut Faults) {
    let named = named(kind, detail);
    let location = |named: &Named| match named.value.parse() {
        Ok(uri) => allowed.check_location("it", &uri),
        Err(_) => Ok(()),
    };
    let mut add = |named: &Option<Named>, check: &dyn Fn(&Named) -> landfall::error::Result<()>| {
        if let Some(named) = named
            && let Err(refused) = check(named)
        {
            faults.add(named.path, format!("{:?}", named.value), refused.message);
        }
    };
    add(&named.destination, &location);
    add(&named.source, &location);
    add(&named.role, &|role| allowed.check_role("it", &role.value));
    add(&named.kms_key.filter(|key| !key.value.is_empty()), &|key| {
        allowed.check_key("it", &key.value)
    });
    add(&named.domain, &|domain| allowed.check_domain("it", &domain.value));
    add(&named.dashboard, &|dashboard| {
        allowed.check_dashboard("it", &dashboard.value)
    });
    // For kinds that act for nobody, the schema refuses this option.
    check_user(allowed, place, detail, faults);
}

/// Adds a fault if the deployment does not let events act for the registered user. The fault does not say who that user
/// is.
fn check_user(allowed: &AllowList, place: &Place, detail: &Value, faults: &mut Faults) {
    let given = detail[OPTIONS]["RegisteredUser"].clone();
    let Ok(user) = serde_json::from_value::<RegisteredUser>(given) else {
        return;
    };
    let actor = user.actor(&place.account, &place.region);
    if let Err(refused) = allowed.check_user(user.given_by(), &actor) {
        let path = format!("$.detail.{OPTIONS}.RegisteredUser");
        faults.add(path, format!("a user by {}", user.given_by()), refused.message);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stack() -> AllowList {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let parameters = map(&[
            ("AllowedDestinations", "s3://other/folder/, s3://third/"),
            ("AllowedDomains", "example-*"),
            ("AllowedKmsKeys", ""),
            ("AllowedRoles", "arn:aws:iam::111122223333:role/exports"),
        ]);
        let outputs = map(&[
            ("ExportBucketName", "own"),
            ("SegmentSnapshotExportRoleArn", "arn:aws:iam::111122223333:role/stack"),
        ]);
        of_stack(&parameters, &outputs)
    }

    #[test]
    fn the_parameters_of_a_stack_say_what_it_allows() {
        let allowed = stack();
        let text: Vec<String> = allowed.destinations.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["s3://own/", "s3://other/folder/", "s3://third/"]);
        assert_eq!(
            allowed.roles,
            [
                "arn:aws:iam::111122223333:role/stack",
                "arn:aws:iam::111122223333:role/exports"
            ]
        );
        assert_eq!(
            (allowed.keys.len(), allowed.domains.as_slice()),
            (0, &["example-*".to_owned()][..])
        );
    }

    #[test]
    fn each_value_that_is_not_allowed_is_reported_with_its_path() {
        let paths = |detail: &Value| {
            let mut faults = Faults::default();
            check(&stack(), &Place::default(), "segment-snapshot", detail, &mut faults);
            faults.iter().map(|fault| fault.path.clone()).collect::<Vec<_>>()
        };
        let mut detail = json!({"DomainName": "example-a", "DestinationUri": "s3://own/x/"});
        assert_eq!(paths(&detail), Vec::<String>::new());
        detail["DomainName"] = json!("other");
        detail["DestinationUri"] = json!("s3://elsewhere/");
        detail["EncryptionKey"] = json!("arn:aws:kms:eu-central-1:111122223333:key/a");
        assert_eq!(
            paths(&detail),
            [
                "$.detail.DestinationUri",
                "$.detail.DomainName",
                "$.detail.EncryptionKey"
            ]
        );
    }

    #[test]
    fn users_are_checked_as_the_functions_check_them() {
        let place = Place::of_arn("arn:aws:states:eu-central-1:111122223333:stateMachine:landfall-dashboard-snapshot");
        let place = place.unwrap();
        let faults_of = |users: &str, user: &Value| {
            let parameters = BTreeMap::from([
                ("AllowedQuickSightUsers".to_owned(), users.to_owned()),
                ("AllowedDashboards".to_owned(), "*".to_owned()),
            ]);
            let allowed = of_stack(&parameters, &BTreeMap::new());
            let mut faults = Faults::default();
            let detail = json!({"DashboardId": "sales", "Landfall": {"RegisteredUser": user}});
            check(&allowed, &place, "dashboard-snapshot", &detail, &mut faults);
            faults.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let everybody = "arn:aws:quicksight:eu-central-1:111122223333:user/default/*";
        let anna = "arn:aws:quicksight:eu-central-1:111122223333:user/default/anna";
        let by_arn = json!({ "UserArn": anna });
        let by_name = json!({"UserName": "anna", "Namespace": "default"});
        let by_address = json!({"Email": "anna@example.com", "Namespace": "default"});
        for user in [&by_arn, &by_name, &by_address] {
            assert_eq!(faults_of(everybody, user), Vec::<String>::new(), "{user}");
            let refused = faults_of("", user);
            assert!(
                refused[0].starts_with("$.detail.Landfall.RegisteredUser: found a user by "),
                "{refused:?}"
            );
            assert!(!refused[0].contains("anna"), "{refused:?}");
        }
        // An address may belong to any user of its namespace.
        assert_eq!(faults_of(anna, &by_name), Vec::<String>::new());
        assert_eq!(faults_of(anna, &by_address).len(), 1);
        assert_eq!(faults_of("", &Value::Null), Vec::<String>::new());
    }
}
