//! The request of CreateSegmentSnapshot. Source of the constraints: the API model of 2020-08-15.

use std::fmt;

use aws_sdk_customerprofiles::types::DataFormat;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The request of CreateSegmentSnapshot, as AWS documents it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CreateSegmentSnapshot {
    /// The domain's name.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-zA-Z0-9_-]+$"))]
    pub domain_name: String,
    /// The name of the segment definition. This is the identifier that was generated, not the display name in the
    /// console.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[a-zA-Z0-9_-]+$"))]
    pub segment_definition_name: String,
    /// The format of the export.
    pub data_format: SnapshotFormat,
    /// ARN of the KMS key that encrypts the export.
    #[schemars(length(max = 255))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_key: Option<String>,
    /// ARN of the role that Customer Profiles assumes for S3 and KMS. The deployment's export role when absent.
    // In the model the partition is always `aws`. AWS does not document whether the service insists on it elsewhere.
    #[schemars(length(max = 512), regex(pattern = r"^arn:aws[a-z-]*:iam:.*:[0-9]+:.*$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// The S3 folder for the export. The deployment's default destination when absent.
    #[schemars(length(min = 1, max = 255))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_uri: Option<String>,
}

impl fmt::Debug for CreateSegmentSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CreateSegmentSnapshot({}/{})",
            self.domain_name, self.segment_definition_name
        )
    }
}

/// The formats of a segment snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum SnapshotFormat {
    /// Comma-separated values with a header row.
    Csv,
    /// One JSON object on each line.
    Jsonl,
    /// Apache ORC.
    Orc,
}

impl SnapshotFormat {
    pub(crate) const fn to_sdk(self) -> DataFormat {
        match self {
            Self::Csv => DataFormat::Csv,
            Self::Jsonl => DataFormat::Jsonl,
            Self::Orc => DataFormat::Orc,
        }
    }
}
