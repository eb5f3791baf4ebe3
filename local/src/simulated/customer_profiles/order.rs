//! What a CreateSegmentSnapshot call asks for, checked against the model.

use std::{ops::Range, sync::LazyLock};

use regex::Regex;
use serde_json::{Map, Value};

use super::call::bad_request;
use crate::simulated::{Refusal, profiles::DataFormat};

/// A valid CreateSegmentSnapshot request.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) domain: String,
    pub(super) segment: String,
    pub(super) format: DataFormat,
    pub(super) destination: Destination,
    pub(super) encryption_key: Option<String>,
    pub(super) role_arn: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Destination {
    /// As it was given.
    pub(super) text: String,
    pub(super) bucket: String,
    /// Empty, or ends with a slash.
    pub(super) prefix: String,
}

/// A pattern of the model, and how the model writes it.
pub(super) struct Pattern {
    text: &'static str,
    regex: LazyLock<Option<Regex>>,
}

impl Pattern {
    pub(super) fn matches(&self, value: &str) -> bool {
        self.regex.as_ref().is_some_and(|regex| regex.is_match(value))
    }
}

pub(super) static NAME: Pattern = Pattern {
    text: "^[a-zA-Z0-9_-]+$",
    regex: LazyLock::new(|| Regex::new("^[a-zA-Z0-9_-]+$").ok()),
};
// The model writes the next two patterns without anchors. Here they must match the whole value, which refuses more. A
// value that passes here therefore passes at AWS too.
pub(super) static SNAPSHOT_ID: Pattern = Pattern {
    text: "[a-f0-9]{32}",
    regex: LazyLock::new(|| Regex::new("^[a-f0-9]{32}$").ok()),
};
pub(super) static ROLE_ARN: Pattern = Pattern {
    text: "arn:aws:iam:.*:[0-9]+:.*",
    regex: LazyLock::new(|| Regex::new("^arn:aws:iam:.*:[0-9]+:.*$").ok()),
};

/// All constraints that a request breaks, in AWS's words.
#[derive(Default)]
pub(super) struct Faults(Vec<String>);

impl Faults {
    pub(super) fn add(&mut self, member: &str, value: Option<&str>, constraint: &str) {
        let value = value.map(|value| format!(" '{value}'")).unwrap_or_default();
        self.0.push(format!(
            "Value{value} at '{member}' failed to satisfy constraint: Member must {constraint}"
        ));
    }

    pub(super) fn check_length(&mut self, member: &str, value: &str, allowed: Range<usize>) {
        let length = value.chars().count();
        if length < allowed.start {
            let constraint = format!("have length greater than or equal to {}", allowed.start);
            self.add(member, Some(value), &constraint);
        }
        if length >= allowed.end {
            let constraint = format!("have length less than or equal to {}", allowed.end - 1);
            self.add(member, Some(value), &constraint);
        }
    }

    pub(super) fn check_pattern(&mut self, member: &str, value: &str, pattern: &Pattern) {
        if !pattern.matches(value) {
            let constraint = format!("satisfy regular expression pattern: {}", pattern.text);
            self.add(member, Some(value), &constraint);
        }
    }

    pub(super) fn check_name(&mut self, member: &str, value: &str) {
        self.check_length(member, value, 1..65);
        self.check_pattern(member, value, &NAME);
    }

    pub(super) fn into_result(self) -> Result<(), Refusal> {
        let (count, faults) = (self.0.len(), self.0.join("; "));
        match count {
            0 => Ok(()),
            1 => Err(bad_request(format!("1 validation error detected: {faults}"))),
            _ => Err(bad_request(format!("{count} validation errors detected: {faults}"))),
        }
    }
}

/// A member that must be a string if it is present.
pub(super) fn string_member(body: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::serialization(format!(
            "Unexpected type for member {name}: expected a string"
        ))),
    }
}

impl Order {
    pub(super) fn parse(domain: &str, segment: &str, body: &[u8]) -> Result<Self, Refusal> {
        let body = match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => members,
            _ if body.is_empty() => Map::new(),
            _ => return Err(Refusal::serialization("The request body is not a JSON object")),
        };
        // Members that the model does not have are ignored, as AWS does.
        let format = string_member(&body, "DataFormat")?;
        let encryption_key = string_member(&body, "EncryptionKey")?;
        let role_arn = string_member(&body, "RoleArn")?;
        let destination = string_member(&body, "DestinationUri")?;

        let mut faults = Faults::default();
        faults.check_name("domainName", domain);
        faults.check_name("segmentDefinitionName", segment);
        let parsed_format = format.as_deref().and_then(DataFormat::from_name);
        match (&format, parsed_format) {
            (None, _) => faults.add("dataFormat", None, "not be null"),
            (Some(name), None) => faults.add("dataFormat", Some(name), "satisfy enum value set: [CSV, JSONL, ORC]"),
            (Some(_), Some(_)) => {}
        }
        if let Some(key) = &encryption_key {
            faults.check_length("encryptionKey", key, 0..256);
        }
        if let Some(arn) = &role_arn {
            faults.check_length("roleArn", arn, 0..513);
            faults.check_pattern("roleArn", arn, &ROLE_ARN);
        }
        if let Some(uri) = &destination {
            faults.check_length("destinationUri", uri, 1..256);
        }
        faults.into_result()?;

        let format = parsed_format.ok_or_else(|| bad_request("DataFormat is required."))?;
        // Optional in the model. But the model's description requires it of every caller except the Connect admin
        // website.
        let text = destination.ok_or_else(|| bad_request("DestinationUri is required."))?;
        Ok(Self {
            domain: domain.to_owned(),
            segment: segment.to_owned(),
            format,
            destination: Destination::parse(text)?,
            encryption_key,
            role_arn,
        })
    }
}

impl Destination {
    /// The form of a destination is not documented (reference CP8). Any URI with a bucket is accepted. A missing slash
    /// at the end is added, so that no file lands beside the folder that was meant.
    pub(super) fn parse(text: String) -> Result<Self, Refusal> {
        let invalid = || bad_request("DestinationUri must be of the form s3://bucket/prefix/.");
        let rest = text.strip_prefix("s3://").ok_or_else(invalid)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(invalid());
        }
        let slash = if prefix.is_empty() || prefix.ends_with('/') {
            ""
        } else {
            "/"
        };
        Ok(Self {
            bucket: bucket.to_owned(),
            prefix: format!("{prefix}{slash}"),
            text,
        })
    }
}
