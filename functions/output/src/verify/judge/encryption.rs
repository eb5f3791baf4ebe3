//! `encryption`: whether each data object is encrypted with the key that was asked for.
//!
//! What must stay true: keys that cannot be compared count as unknown, never as equal.

use landfall::job::Level;

use super::{
    case::Case,
    judgement::{Judgement, fail, pass, skipped, warn},
    words::{Examples, key, objects},
};
use crate::verify::{Expectation, report::Reading};

/// The keys of the data objects, as far as they are known.
#[derive(Clone, Debug, Default)]
pub(super) struct Keys {
    wrong: Examples,
    unknown: u64,
}

impl Keys {
    pub(super) fn add(&mut self, asked: &Expectation, reading: &Reading) {
        let Some(asked) = &asked.kms_key else { return };
        let object = &reading.object;
        match same_key(asked, object.encryption.as_deref(), object.kms_key.as_deref()) {
            SameKey::Yes => {}
            SameKey::Unknown => self.unknown += 1,
            SameKey::No(why) => self.wrong.add(|| format!("{} {why}", key(reading))),
        }
    }

    pub(super) fn judge(&self, case: &Case<'_>) -> Judgement {
        if case.asked.kms_key.is_none() {
            return skipped(case.words().no_key);
        }
        if case.counts.objects == 0 {
            return case.without_data();
        }
        if case.asked.level == Level::Listing {
            return skipped(case.beyond_level("a listing does not say with which key objects are encrypted"));
        }
        let data = case.data_objects();
        let wrong = &self.wrong;
        if !wrong.is_empty() {
            return fail(format!(
                "{} of {data} not encrypted as asked: {wrong}. Look at the export role's rights on the key and at the \
                 bucket's default encryption",
                wrong.count
            ));
        }
        if self.unknown > 0 {
            return warn(format!(
                "{} encrypted with a KMS key, which cannot be compared with the alias that was asked for; name the key \
                 by its ARN",
                objects(self.unknown, "data object")
            ));
        }
        pass(format!("{data} encrypted with the key asked for"))
    }
}

/// The result of comparing two keys.
enum SameKey {
    Yes,
    Unknown,
    No(&'static str),
}

/// Compares the key that was asked for with what S3 says of an object.
fn same_key(asked: &str, encryption: Option<&str>, found: Option<&str>) -> SameKey {
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
        // At least one of them has no account and region.
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
