//! S3 URIs, `s3://bucket/prefix/`: the places where jobs write, where receipts are, and where services say that an
//! object is.
//!
//! What must stay true: an [`S3Uri`], which comes from a user, can be read in one way only. Dot segments, empty
//! segments, percent signs, backslashes and control characters are refused, because S3, the export service and the
//! allow list could each read them differently. An [`S3Object`], which comes from a service, may have any key that S3
//! allows.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A bucket with a key or a key prefix in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct S3Uri {
    /// The bucket's name, 3 to 63 characters.
    pub bucket: String,
    /// The key or prefix, without a leading slash. May be empty.
    pub key: String,
}

impl S3Uri {
    /// The URI of a folder: its key is empty or ends with a slash.
    #[must_use]
    pub fn as_folder(&self) -> Self {
        let mut folder = self.clone();
        if !folder.key.is_empty() && !folder.key.ends_with('/') {
            folder.key.push('/');
        }
        folder
    }

    /// The key `name` in this folder.
    #[must_use]
    pub fn join(&self, name: &str) -> Self {
        let mut joined = self.as_folder();
        joined.key.push_str(name);
        joined
    }

    /// Whether `self` is `folder` or is in it, compared by bucket and by whole path segments.
    pub fn is_within(&self, folder: &Self) -> bool {
        self.bucket == folder.bucket && self.as_folder().key.starts_with(&folder.as_folder().key)
    }
}

impl fmt::Display for S3Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

impl JsonSchema for S3Uri {
    fn schema_name() -> Cow<'static, str> {
        "S3Uri".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^s3://[a-z0-9.-]{3,63}/"})
    }
}

/// An object that a service says it wrote: `s3://bucket/key`. The key is the one in S3, without any encoding.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct S3Object {
    /// The bucket's name, 3 to 63 characters.
    pub bucket: String,
    /// The key: 1 to 1,024 bytes, without control characters.
    pub key: String,
}

impl S3Object {
    /// Whether the object is beneath a folder, compared byte for byte as S3 does.
    #[must_use]
    pub fn is_within(&self, folder: &S3Uri) -> bool {
        self.bucket == folder.bucket && self.key.starts_with(&folder.as_folder().key)
    }
}

impl fmt::Display for S3Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

impl FromStr for S3Object {
    type Err = InvalidS3Uri;

    fn from_str(text: &str) -> Result<Self, InvalidS3Uri> {
        let (bucket, key) = split(text)?;
        check_bucket(bucket)?;
        check_length(key)?;
        if key.is_empty() {
            return Err(InvalidS3Uri("it names a bucket and no object"));
        }
        if key.contains(char::is_control) {
            return Err(InvalidS3Uri("its key has a control character"));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }
}

impl From<S3Object> for String {
    fn from(object: S3Object) -> Self {
        object.to_string()
    }
}

impl TryFrom<String> for S3Object {
    type Error = InvalidS3Uri;

    fn try_from(text: String) -> Result<Self, InvalidS3Uri> {
        text.parse()
    }
}

impl From<S3Uri> for String {
    fn from(uri: S3Uri) -> Self {
        uri.to_string()
    }
}

impl TryFrom<String> for S3Uri {
    type Error = InvalidS3Uri;

    fn try_from(text: String) -> Result<Self, InvalidS3Uri> {
        text.parse()
    }
}

/// Why a text is not an S3 URI that Landfall accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidS3Uri(pub &'static str);

impl fmt::Display for InvalidS3Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidS3Uri {}

impl FromStr for S3Uri {
    type Err = InvalidS3Uri;

    fn from_str(text: &str) -> Result<Self, InvalidS3Uri> {
        let (bucket, key) = split(text)?;
        check_bucket(bucket)?;
        check_key(key)?;
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }
}

fn split(text: &str) -> Result<(&str, &str), InvalidS3Uri> {
    let rest = text
        .strip_prefix("s3://")
        .ok_or(InvalidS3Uri("it does not begin with s3://"))?;
    Ok(rest.split_once('/').unwrap_or((rest, "")))
}

/// The naming rules of general purpose buckets, as far as they ensure that the name can be read in one way only.
fn check_bucket(bucket: &str) -> Result<(), InvalidS3Uri> {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-' || c == b'.';
    let edge = |c: Option<&u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !(3..=63).contains(&bucket.len()) {
        return Err(InvalidS3Uri("its bucket name is not 3 to 63 characters long"));
    }
    if !bucket.bytes().all(allowed) {
        return Err(InvalidS3Uri(
            "its bucket name has characters other than a-z, 0-9, '-' and '.'",
        ));
    }
    if !edge(bucket.as_bytes().first()) || !edge(bucket.as_bytes().last()) || bucket.contains("..") {
        return Err(InvalidS3Uri(
            "its bucket name does not begin and end with a letter or digit, or has '..'",
        ));
    }
    Ok(())
}

fn check_length(key: &str) -> Result<(), InvalidS3Uri> {
    if key.len() > 1024 {
        return Err(InvalidS3Uri("its key is longer than 1,024 bytes"));
    }
    Ok(())
}

fn check_key(key: &str) -> Result<(), InvalidS3Uri> {
    check_length(key)?;
    if key
        .chars()
        .any(|c| c.is_control() || matches!(c, '%' | '\\' | '?' | '#' | '*'))
    {
        return Err(InvalidS3Uri("its key has a control character or one of % \\ ? # *"));
    }
    let segments = key.strip_suffix('/').unwrap_or(key);
    if !key.is_empty() && segments.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err(InvalidS3Uri("its key has an empty or dot segment"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uri(text: &str) -> S3Uri {
        text.parse().unwrap()
    }

    #[test]
    fn an_object_of_a_service_may_have_any_key() {
        let folder = uri("s3://exports/run=1");
        for key in ["run=1//a.csv", "run=1/100% #1?.csv", "run=1/../b", "run=1/a*b"] {
            let text = format!("s3://exports/{key}");
            let object: S3Object = text.parse().unwrap();
            assert_eq!((object.key.as_str(), object.to_string()), (key, text.clone()));
            assert!(object.is_within(&folder), "{key}");
            assert_eq!(serde_json::from_value::<S3Object>(text.into()).unwrap(), object);
        }
        for (text, is_within) in [("s3://exports/run=12/a", false), ("s3://other/run=1/a", false)] {
            assert_eq!(
                text.parse::<S3Object>().unwrap().is_within(&folder),
                is_within,
                "{text}"
            );
        }
        for text in [
            "https://exports/a",
            "s3://exports",
            "s3://exports/",
            "s3://Exports/a",
            "s3://exports/a\nb",
        ] {
            assert!(text.parse::<S3Object>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_ambiguous_uri_is_refused() {
        for text in [
            "https://bucket/key",
            "S3://bucket/key",
            "s3://",
            "s3:///key",
            "s3://Bucket/key",
            "s3://bucket-/key",
            "s3://buc..ket/key",
            "s3://bucket/a//b",
            "s3://bucket//",
            "s3://bucket/../b",
            "s3://bucket/a/./b",
            "s3://bucket/a/..",
            "s3://bucket/a%2Fb",
            "s3://bucket/a\\b",
            "s3://bucket/a\nb",
        ] {
            assert!(text.parse::<S3Uri>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_uri_contains_another_by_whole_segments() {
        let folder = uri("s3://bucket/exports");
        assert!(uri("s3://bucket/exports").is_within(&folder));
        assert!(uri("s3://bucket/exports/a/b/").is_within(&folder));
        assert!(!uri("s3://bucket/exports-2/a").is_within(&folder));
        assert!(!uri("s3://bucket2/exports/a").is_within(&folder));
        assert!(!uri("s3://bucket/").is_within(&folder));
        assert!(uri("s3://bucket/anything").is_within(&uri("s3://bucket")));
    }

    proptest! {
        #[test]
        fn a_parsed_uri_prints_as_it_was_written(bucket in "[a-z0-9][a-z0-9-]{1,20}[a-z0-9]", key in "([a-zA-Z0-9=_. -]{1,8}/){0,4}") {
            let text = format!("s3://{bucket}/{key}");
            if let Ok(uri) = text.parse::<S3Uri>() {
                prop_assert_eq!(uri.to_string(), text);
                prop_assert!(uri.join("x").is_within(&uri));
            }
        }

        #[test]
        fn no_key_escapes_its_folder(key in ".{0,40}") {
            let folder = uri("s3://bucket/allowed/");
            if let Ok(inner) = format!("s3://bucket/allowed/{key}").parse::<S3Uri>() {
                prop_assert!(inner.is_within(&folder));
                prop_assert!(!inner.key.split('/').any(|segment| segment == ".."));
            }
        }
    }
}
