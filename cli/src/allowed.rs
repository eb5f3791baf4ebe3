//! What a deployment allows an event to name.
//!
//! What must stay true: the parameters of a stack come to the allow list that its functions have, and an event's members to
//! what the functions hold against it; tests compare both with theirs.

use std::collections::BTreeMap;

use landfall::{
    fault::Faults,
    gate::AllowList,
    s3_uri::S3Uri,
    service::{Named, NamedResources},
};
use serde_json::Value;

use crate::kinds;

/// The allow list of a stack, by its parameters and outputs.
pub fn of_stack(parameters: &BTreeMap<String, String>, outputs: &BTreeMap<String, String>) -> AllowList {
    let list = |name: &str| {
        let text = parameters.get(name).map_or("", String::as_str);
        text.split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
    };
    let output = |name: &str| outputs.get(name).cloned();
    let own = output("ExportBucketName").map(|bucket| S3Uri {
        bucket,
        key: String::new(),
    });
    let roles = [
        "SegmentSnapshotExportRoleArn",
        "EndpointExportRoleArn",
        "EndpointImportRoleArn",
    ];
    AllowList {
        destinations: own
            .into_iter()
            .chain(list("AllowedDestinations").filter_map(|uri| uri.parse().ok()))
            .collect(),
        roles: roles
            .into_iter()
            .filter_map(output)
            .chain(list("SegmentSnapshotRoleArn"))
            .chain(list("AllowedRoles"))
            .collect(),
        keys: list("KmsKeyArn").chain(list("AllowedKmsKeys")).collect(),
        domains: list("AllowedDomains").collect(),
        dashboards: list("AllowedDashboards").collect(),
        users: list("AllowedQuickSightUsers").collect(),
    }
}

/// What the event of a kind names that the gate has to see.
pub fn named(kind: &str, detail: &Value) -> NamedResources {
    let row = kinds::row(kind);
    row.map_or_else(NamedResources::default, |row| (row.named)(detail))
}

/// Adds what the deployment does not allow. What is wrong with a value in itself is not looked at.
pub fn check(allowed: &AllowList, kind: &str, detail: &Value, faults: &mut Faults) {
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
    fn a_stack_allows_what_its_parameters_say() {
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
    fn what_is_not_allowed_is_named_in_its_place() {
        let paths = |detail: &Value| {
            let mut faults = Faults::default();
            check(&stack(), "segment-snapshot", detail, &mut faults);
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
}
