//! What a start call asks for.
//!
//! What must stay true: members and errors are those of the API model; members that the model does not have are ignored, as
//! AWS does.

use std::collections::BTreeMap;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::simulated::Refusal;

/// The two directions in which endpoints go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Out of Pinpoint.
    Export,
    /// Into Pinpoint.
    Import,
}

impl Way {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Export => "EXPORT",
            Self::Import => "IMPORT",
        }
    }
}

/// A start order, as it was given.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) way: Way,
    pub(super) application: String,
    /// `S3UrlPrefix` or `S3Url`.
    pub(super) place: String,
    pub(super) bucket: String,
    pub(super) prefix: String,
    pub(super) segment: Option<String>,
    /// All members, for the answers.
    pub(super) definition: Value,
}

pub(super) fn bad_request(message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "BadRequestException", message)
}

pub(super) fn not_found(message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "NotFoundException", message)
}

impl Order {
    pub(super) fn parse(application: &str, way: Way, body: &[u8]) -> Result<Self, Refusal> {
        let members: Map<String, Value> =
            serde_json::from_slice(body).map_err(|_| bad_request("The request body is not a JSON object"))?;
        // Members that the model does not have are ignored, as AWS does.
        let texts: &[&str] = match way {
            Way::Export => &["RoleArn", "S3UrlPrefix", "SegmentId"],
            Way::Import => &["Format", "RoleArn", "S3Url", "SegmentId", "SegmentName", "ExternalId"],
        };
        let others: &[&str] = match way {
            Way::Export => &["SegmentVersion"],
            Way::Import => &["DefineSegment", "RegisterEndpoints"],
        };
        let mut definition = BTreeMap::new();
        for name in texts.iter().chain(others) {
            let Some(value) = members.get(*name).filter(|value| !value.is_null()) else {
                continue;
            };
            let is_right = match *name {
                "SegmentVersion" => value.is_i64(),
                "DefineSegment" | "RegisterEndpoints" => value.is_boolean(),
                _ => value.is_string(),
            };
            if !is_right {
                return Err(bad_request(format!("Invalid value for {name}")));
            }
            definition.insert(*name, value.clone());
        }
        let text = |name: &str| {
            definition
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
        };
        let required = |name: &str| text(name).ok_or_else(|| bad_request(format!("{name} is required")));
        required("RoleArn")?;
        let place = required(match way {
            Way::Export => "S3UrlPrefix",
            Way::Import => "S3Url",
        })?
        .to_owned();
        let (bucket, key) = place
            .strip_prefix("s3://")
            .map(|rest| rest.split_once('/').unwrap_or((rest, "")))
            .filter(|(bucket, _)| !bucket.is_empty())
            .ok_or_else(|| bad_request("Invalid S3 URL"))?;
        let (bucket, mut prefix) = (bucket.to_owned(), key.to_owned());
        let segment = text("SegmentId").map(str::to_owned);
        if way == Way::Import {
            if !matches!(required("Format")?, "CSV" | "JSON") {
                return Err(bad_request("Invalid format"));
            }
            let is_set = |name: &str| definition.get(name) == Some(&Value::Bool(true));
            if !is_set("DefineSegment") && !is_set("RegisterEndpoints") {
                return Err(bad_request("Either DefineSegment or RegisterEndpoints must be true"));
            }
            // AWS's own sample shows a member that was left out as false.
            definition.entry("DefineSegment").or_insert(Value::Bool(false));
        } else if !prefix.is_empty() && !prefix.ends_with('/') {
            // Whether a slash is added is not documented. With it no file lands beside the folder that was meant.
            prefix.push('/');
        }
        Ok(Self {
            way,
            application: application.to_owned(),
            place,
            bucket,
            prefix,
            segment,
            definition: json!(definition),
        })
    }
}
