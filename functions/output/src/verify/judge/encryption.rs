//! Whether an object is encrypted with the key that was asked for.
//!
//! What must stay true: what cannot be compared is unknown, never equal.

/// What comparing came to.
pub(super) enum SameKey {
    Yes,
    Unknown,
    No(&'static str),
}

/// Holds the key that was asked for against what S3 says of an object.
pub(super) fn same_key(asked: &str, encryption: Option<&str>, found: Option<&str>) -> SameKey {
    if !encryption.is_some_and(|encryption| encryption.starts_with("aws:kms")) {
        return SameKey::No("is not encrypted with a KMS key");
    }
    let Some(found) = found else {
        return SameKey::No("is encrypted with a KMS key that S3 does not name");
    };
    match (KeyName::of(asked), KeyName::of(found)) {
        (KeyName::Alias, _) | (_, KeyName::Alias) if asked == found => SameKey::Yes,
        (KeyName::Alias, _) | (_, KeyName::Alias) => SameKey::Unknown,
        (KeyName::Arn, KeyName::Arn) if asked == found => SameKey::Yes,
        (KeyName::Arn, KeyName::Arn) => SameKey::No("is encrypted with another KMS key"),
        // At least one of them is without account and region.
        (KeyName::Arn | KeyName::Id, KeyName::Arn | KeyName::Id) if key_id(asked) == key_id(found) => SameKey::Yes,
        _ => SameKey::No("is encrypted with another KMS key"),
    }
}

enum KeyName {
    Arn,
    Id,
    Alias,
}

impl KeyName {
    fn of(text: &str) -> Self {
        if text.starts_with("alias/") || text.contains(":alias/") {
            Self::Alias
        } else if text.starts_with("arn:") {
            Self::Arn
        } else {
            Self::Id
        }
    }
}

fn key_id(text: &str) -> &str {
    text.rsplit_once("key/").map_or(text, |(_, id)| id)
}
